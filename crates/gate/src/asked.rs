//! What servers ask of clients: judged and recorded like what clients ask of servers.

use crate::gate::Gate;
use crate::session::{Asked, Session};
use portcullis_admit::{
    AnswerText, Ask, Denied, End, FollowUp, Message, Principal, Questions, Recipient, Release, Subject,
    Ticket,
};
use portcullis_ledger::now_ms;
use portcullis_upstreams::{Link, Roots};
use portcullis_wire::{Envelope, Era, Id, Splice, check_strictly, misspelt, request};
use std::borrow::Cow;
use std::sync::Arc;

/// Where a question came up.
#[derive(Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub gate: &'a Gate,
    /// Who would be asked.
    pub who: &'a Principal,
    pub upstream: &'a str,
    /// The call that it belongs to; empty where it belongs to none.
    pub run: &'a str,
}

/// A question of a server that its client may be asked.
#[derive(Debug)]
pub(crate) struct Question {
    link: Arc<Link>,
    /// The server's own id.
    id: Id,
    /// The token under which the server wants to hear of progress, JSON.
    token: Option<String>,
    ticket: Ticket,
}

impl Question {
    /// Enters it among the questions that a session has open. Gives what the client is to be sent; nothing where it cannot be
    /// asked, which the server is told.
    pub(crate) async fn put(self, session: &Session, message: &Envelope) -> Option<Release> {
        let number = session.next_question();
        let seen_as = |message: &Envelope| Some(message.with_id(&number.to_string()));
        match self.ticket.authority().release(message, Questions::One(&self.ticket), seen_as) {
            Ok(release) => match session.ask_as(number, Asked::Server(Box::new(self))) {
                Ok(()) => release,
                Err(asked) => {
                    asked.give_up("too many questions are open in this session").await;
                    None
                }
            },
            Err(why) => {
                self.give_up(&why.to_string()).await;
                None
            }
        }
    }

    /// Brings the server the client's answer.
    pub(crate) async fn answer(self, said: AnswerText<'_>) {
        let message = match self.ticket.answer(said) {
            Ok(answer) => FollowUp::answer(&self.id, &answer),
            Err(why) => FollowUp::refusal(&self.id, &why),
        };
        if let Err(error) = self.link.follow(message).await {
            tracing::debug!(%error, "an answer did not reach its upstream");
        }
    }

    /// Tells the server that nobody answers, and why.
    pub(crate) async fn give_up(self, why: &str) {
        self.ticket.close(&End::Cancelled(why.to_owned()));
        let _ = self.link.follow(FollowUp::refusal(&self.id, why)).await;
    }

    /// Whether the server wants to hear of progress under that token (JSON).
    pub(crate) fn has_token(&self, token: &str) -> bool {
        self.token.as_deref() == Some(token)
    }

    /// What the client tells of its progress, for the server.
    pub(crate) async fn progress(&self, notice: &Envelope) -> Result<(Arc<Link>, FollowUp), String> {
        let token = self.token.as_deref().ok_or("the server wants to hear of no progress")?;
        Ok((self.link.clone(), self.ticket.progress(token, notice).await?))
    }
}

/// What a session hears of a notice of a server. Where it takes a question back: under the id that the client knows, and nothing where
/// the question is not that server's, or is answered already. Other notices stay as they are.
pub(crate) fn with_own_question<'a>(
    session: Option<&Session>,
    link: &Arc<Link>,
    notice: &'a Envelope,
) -> Option<Cow<'a, Envelope>> {
    if notice.method() != Some("notifications/cancelled") {
        return Some(Cow::Borrowed(notice));
    }
    let raw = notice.peek().request_id?;
    let id = Id::from_json(raw)?;
    let is_it = |question: &Question| Arc::ptr_eq(&question.link, link) && question.id == id;
    let (number, question) = session?.take_question(is_it)?;
    question.ticket.close(&End::Cancelled("the server took its question back".into()));
    let mut splice = Splice::new(notice.bytes());
    splice.replace(notice.span_of(raw), number.to_string());
    Envelope::reply(splice.finish()).ok().map(Cow::Owned)
}

impl Asking<'_> {
    /// Whether a client may be asked that. The record says that it was, or why not.
    pub(crate) async fn judge(&self, link: &Arc<Link>, question: &Envelope) -> Result<Question, Denied> {
        let ticket = self.ticket(question, false).await?;
        let token = question.meta().progress_token.map(str::to_owned);
        let id = question.id().cloned().unwrap_or_else(|| Id::Text("".into()));
        Ok(Question { link: link.clone(), id, token, ticket })
    }

    /// The same of what a server of the new era asks in an answer. `told` says whether the request that is answered brought what its
    /// client can do.
    pub(crate) async fn judge_input(&self, method: &str, params: &str, told: bool) -> Result<Ticket, Denied> {
        let text = request(&Id::Text("".into()), method, params);
        let question = Envelope::reply(text).unwrap_or_else(|_| Envelope::nothing());
        self.ticket(&question, told).await
    }

    /// Why a client is not asked that, whatever the policy says.
    fn never(&self, kind: &str, question: &Envelope, told: bool) -> Option<(&'static str, String)> {
        if let Some(why) = misspelt(question.method().unwrap_or_default()) {
            return Some(("(malformed)", why));
        }
        if let Err(fault) = check_strictly(question.params().unwrap_or("{}")) {
            return Some(("(malformed)", format!("`params` of the question: {fault}")));
        }
        let upstream = self.gate.upstream(self.upstream)?;
        if kind == "roots" && !told && !matches!(upstream.spec().roots, Roots::Client) {
            let name = self.upstream;
            return Some(("(not offered)", format!("upstreams.{name}.roots is not `client`")));
        }
        None
    }

    async fn ticket(&self, question: &Envelope, told: bool) -> Result<Ticket, Denied> {
        let method = question.method().unwrap_or_default();
        let kind = method.split('/').next().unwrap_or_default();
        let nameless = Id::Text("".into());
        let never = self.never(kind, question, told);
        let ask = Ask {
            who: self.who,
            upstream: self.upstream,
            run: self.run,
            request: question.id().unwrap_or(&nameless),
            message: Message { envelope: question.clone(), headers: Vec::new() },
            subject: Subject::Question(kind, never.as_ref().map(|(rule, why)| (*rule, &**why))),
            to: Recipient { era: Era::Old, forward_meta: &Arc::default(), entry: None },
        };
        let (_, ticket) = self.gate.admit.judge(ask, now_ms()).await?;
        Ok(ticket)
    }
}
