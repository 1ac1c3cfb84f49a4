//! What an upstream says to one session outside of any call.

use crate::asked::{Asking, Question, with_own_question};
use crate::gate::Gate;
use crate::outlet::carrying;
use crate::rewrite::stray_notice;
use crate::session::{Route, Session};
use crate::tasks::message::{Shown, shown};
use portcullis_admit::{FollowUp, Questions};
use portcullis_upstreams::{Inbox, Link, Roots, Upstream};
use portcullis_wire::Envelope;
use serde_json::json;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a question waits for the task that it belongs to.
const ENTERED: Duration = Duration::from_secs(2);

/// The inbox of a link that one session owns.
pub(crate) struct SessionInbox {
    gate: Weak<Gate>,
    session: Weak<Session>,
    upstream: Weak<Upstream>,
    prefix: Option<String>,
}

impl SessionInbox {
    pub(crate) fn new(gate: &Arc<Gate>, session: &Arc<Session>, upstream: &Arc<Upstream>) -> Self {
        let prefix = (session.route == Route::All).then(|| upstream.name().to_string());
        Self {
            gate: Arc::downgrade(gate),
            session: Arc::downgrade(session),
            upstream: Arc::downgrade(upstream),
            prefix,
        }
    }
}

impl Inbox for SessionInbox {
    fn notice(&self, link: &Arc<Link>, notice: Envelope) {
        let (Some(session), Some(upstream)) = (self.session.upgrade(), self.upstream.upgrade()) else {
            return;
        };
        if let Some(kind) = crate::changes::kind_of(&notice) {
            upstream.list_changed(kind);
            return;
        }
        let Some(notice) = with_own_question(Some(&session), link, &notice) else { return };
        let Some(gate) = self.gate.upgrade() else { return };
        let Some(grant) = gate.grants().by_name(&session.grant).cloned() else { return };
        let authority = gate.admit.session_authority(grant, upstream.name());
        if let Shown::Message(notice) =
            shown(&gate.tasks, upstream.name(), &session.grant, Some(link), &notice)
            && let Ok(Some(release)) = authority.release(&notice, Questions::None, |notice| {
                Some(stray_notice(notice, self.prefix.as_deref()))
            })
        {
            session.push(&carrying(release));
        }
    }

    fn request(&self, link: &Arc<Link>, request: Envelope) {
        let (Some(gate), Some(session), Some(upstream)) =
            (self.gate.upgrade(), self.session.upgrade(), self.upstream.upgrade())
        else {
            return link.refuse(&request);
        };
        let method = request.method().unwrap_or_default();
        let Some(id) = request.id().cloned() else { return };
        if let Some(roots) = fixed_roots(&upstream, method) {
            return link.follow_soon(FollowUp::gate_answer(&id, &roots));
        }
        let who = session.principal(&gate.grants()).filter(|_| method != "ping");
        let Some(who) = who else { return link.refuse(&request) };
        let link = link.clone();
        tokio::spawn(async move {
            let asking = Asking { gate: &gate, who: &who, upstream: upstream.name(), run: "" };
            let Ok(question) = asking.judge(&link, &request).await else { return link.refuse(&request) };
            match shown(&gate.tasks, upstream.name(), &session.grant, Some(&link), &request) {
                Shown::Message(request) => ask(&session, question, &request).await,
                Shown::Nothing => ask_soon(&gate, &session, &upstream, &link, question, request).await,
            }
        });
    }
}

async fn ask(session: &Session, question: Question, request: &Envelope) {
    if let Some(release) = question.put(session, request).await {
        session.push(&carrying(release));
    }
}

/// A question about a task that is not known yet: the answer that made it may still be on its way.
async fn ask_soon(
    gate: &Gate,
    session: &Session,
    upstream: &Upstream,
    link: &Arc<Link>,
    question: Question,
    request: Envelope,
) {
    let entered = async {
        loop {
            let one_more = gate.tasks.one_more();
            tokio::pin!(one_more);
            one_more.as_mut().enable();
            if let Shown::Message(request) =
                shown(&gate.tasks, upstream.name(), &session.grant, Some(link), &request)
            {
                return request;
            }
            one_more.await;
        }
    };
    match tokio::time::timeout(ENTERED, entered).await {
        Ok(request) => ask(session, question, &request).await,
        Err(_) => question.give_up("it belongs to a task that is not known here").await,
    }
}

/// The answer to `roots/list` where the entry fixes the roots.
pub(crate) fn fixed_roots(upstream: &Upstream, method: &str) -> Option<String> {
    match &upstream.spec().roots {
        Roots::Fixed(uris) if method == "roots/list" => {
            let roots: Vec<_> = uris.iter().map(|uri| json!({ "uri": uri })).collect();
            Some(json!({ "roots": roots }).to_string())
        }
        _ => None,
    }
}
