//! What an upstream says to one session outside of any call.

use crate::gate::Gate;
use crate::outlet::carrying;
use crate::rewrite::stray_notice;
use crate::session::{Asked, Route, Session};
use portcullis_upstreams::{Inbox, Link, Roots, Upstream};
use portcullis_wire::{Envelope, encode_event, result_response};
use serde_json::json;
use std::sync::{Arc, Weak};

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
    fn notice(&self, _: &Arc<Link>, notice: Envelope) {
        let (Some(session), Some(upstream)) = (self.session.upgrade(), self.upstream.upgrade()) else {
            return;
        };
        if let Some(kind) = crate::changes::kind_of(&notice) {
            upstream.list_changed(kind);
            return;
        }
        session.push(encode_event(&carrying(stray_notice(&notice, self.prefix.as_deref()))));
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
            let link = link.clone();
            tokio::spawn(async move { drop(link.answer(result_response(&id, &roots)).await) });
            return;
        }
        let who = gate.grants().by_name(&session.grant).cloned();
        let allowed = who.is_some_and(|grant| {
            let principal = portcullis_admit::Principal { grant, client: Arc::default() };
            gate.admit.passes_other(&principal, upstream.name())
        });
        if method == "ping" || !allowed {
            return link.refuse(&request);
        }
        match session.ask(Asked::Server(link.clone(), id)) {
            Some(ours) => session.push(encode_event(&carrying(request.with_id(&ours.to_string())))),
            None => link.refuse(&request),
        }
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
