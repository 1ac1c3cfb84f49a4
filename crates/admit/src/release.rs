//! The way back: what of a server's words a client may see.
//!
//! Whatever a client is sent is a [`Release`]. From a server's message one is made by [`Authority::release`] alone, under the
//! authority by which the message came: the call that it answers, the task that it is about, the session that it was said in.
//! What the policy keeps from the caller is covered there, wherever in the message a result stands; what cannot be covered is
//! withheld, and so is all of what a drop holds. A server's question is released with the [`Ticket`] that says that it was
//! judged.

use crate::ticket::ResultRules;
use crate::{Admit, Ticket};
use bytes::Bytes;
use portcullis_ledger::{Draft, Grant, Kind, Outcome};
use portcullis_policy::Target;
use portcullis_wire::{Envelope, Kind as MessageKind, Splice, folds_to, keys, member};
use std::borrow::Cow;
use std::sync::Arc;

/// One message that a client may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release(Bytes);

impl Release {
    /// What the gate itself says: an error, a notice, the answer to what it answers itself.
    #[must_use]
    pub fn own(text: Bytes) -> Self {
        Self(text)
    }

    /// The message.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The message.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// Why a client does not see what a server said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotReleased {
    /// A drop holds.
    #[error("{0}")]
    Dropped(String),
    /// The policy keeps parts of it from the caller, and they cannot be told from the rest.
    #[error(
        "the policy keeps parts of the answer from its caller, and the answer cannot be read so that they could be covered"
    )]
    Unreadable,
    /// It asks something that was not judged.
    #[error("it asks its client something that was not judged")]
    Unjudged,
}

impl NotReleased {
    /// As the ledger's row of it says it.
    #[must_use]
    pub fn recorded(&self) -> String {
        format!("withheld from the caller: {self}")
    }
}

/// By what a server's message reaches a client.
#[derive(Debug, Clone)]
pub struct Authority {
    admit: Admit,
    grant: Arc<Grant>,
    upstream: Arc<str>,
    results: Option<Arc<ResultRules>>,
}

/// What a server asks with a message, as far as it does.
#[derive(Debug, Clone, Copy)]
pub enum Questions<'a> {
    /// Nothing that was judged.
    None,
    /// The question that the message is, by its ticket.
    One(&'a Ticket),
    /// Those of them that stand in the message, by their keys: each was judged and may be put.
    Keys(&'a [String]),
}

impl Authority {
    pub(crate) fn new(
        admit: Admit,
        grant: Arc<Grant>,
        upstream: Arc<str>,
        results: Option<Arc<ResultRules>>,
    ) -> Self {
        Self { admit, grant, upstream, results }
    }

    /// The name of the grant that sees it.
    #[must_use]
    pub fn grant(&self) -> &str {
        &self.grant.name
    }

    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Makes what its client may see of a server's message; `seen_as` gives it the client's own ids and names, or nothing where
    /// there is nothing for this client in it.
    ///
    /// # Errors
    /// Why it does not see it. Where it waits for the message, it has to be told so.
    pub fn release(
        &self,
        message: &Envelope,
        asked: Questions<'_>,
        seen_as: impl FnOnce(&Envelope) -> Option<Bytes>,
    ) -> Result<Option<Release>, NotReleased> {
        if let Some(why) = self.admit.drops().holds(&self.grant.name, &self.upstream) {
            return Err(NotReleased::Dropped(why));
        }
        let were_judged = |asked: &str, judged: &[String]| {
            keys(asked).iter().all(|key| judged.iter().any(|judged| **judged == **key))
        };
        let may_be_put = match (message.kind(), asked) {
            (MessageKind::Request, asked) => matches!(asked, Questions::One(_)),
            (_, asked) => match (Inputs::of(message), asked) {
                (Inputs::None, _) => true,
                (Inputs::Plain(inputs), Questions::Keys(judged)) => were_judged(inputs, judged),
                (Inputs::Plain(_) | Inputs::Odd, _) => false,
            },
        };
        if !may_be_put {
            return Err(NotReleased::Unjudged);
        }
        let plain = message.without_others();
        let plain = plain.as_ref().unwrap_or(message);
        let seen = match self.covered(plain)? {
            Some(covered) => seen_as(&covered),
            None => seen_as(plain),
        };
        Ok(seen.map(Release))
    }

    /// Records that a message was withheld.
    pub fn note_withheld(&self, method: Option<&str>, run: &str, why: &NotReleased) {
        let why = why.recorded();
        let draft = Draft {
            grant: Some(&self.grant.name),
            upstream: Some(&self.upstream),
            method,
            run: (!run.is_empty()).then_some(run),
            outcome: Some(Outcome::Error),
            message: Some(&why),
            ..Draft::of(Kind::Outcome)
        };
        if let Err(failure) = self.admit.ledger().append_later(draft.write(), Vec::new()) {
            tracing::error!(%failure, "that an answer was withheld could not be recorded");
        }
    }

    /// The message without what the policy keeps from the caller; `None` where that is nothing.
    fn covered(&self, message: &Envelope) -> Result<Option<Envelope>, NotReleased> {
        let Some(rules) = &self.results else { return Ok(None) };
        let result = match message.kind() {
            MessageKind::Response => message.result(),
            // Of a task that has ended its server tells the result, too.
            MessageKind::Notification => message.params().and_then(|params| member(params, "result")),
            MessageKind::Request => None,
        };
        let Some(result) = result else { return Ok(None) };
        let mut seen = rules.covered(result)?;
        // What is told of a task has the result of its call inside.
        if let Some(inner) = member(&seen, "result")
            && let Cow::Owned(covered) = rules.covered(inner)?
        {
            let start = (inner.as_ptr() as usize).saturating_sub(seen.as_ptr() as usize);
            let end = start + inner.len();
            let around = seen.get(..start).zip(seen.get(end..)).ok_or(NotReleased::Unreadable)?;
            seen = Cow::Owned(format!("{}{covered}{}", around.0, around.1));
        }
        let Cow::Owned(seen) = seen else { return Ok(None) };
        let mut splice = Splice::new(message.bytes());
        splice.replace(message.span_of(result), seen);
        Envelope::reply(splice.finish()).map(Some).map_err(|_| NotReleased::Unreadable)
    }
}

/// The member in which questions stand in an answer, or in what is told of a task.
const INPUTS: &str = "inputRequests";

/// The questions that stand in a message.
enum Inputs<'a> {
    None,
    /// Under their name, once.
    Plain(&'a str),
    /// Under a name that only some readers take for theirs, or twice.
    Odd,
}

impl<'a> Inputs<'a> {
    fn of(message: &'a Envelope) -> Self {
        if !may_name_inputs(message.bytes()) {
            return Self::None;
        }
        let Some(inside) = message.result().or_else(|| message.params()) else { return Self::None };
        let names = keys(inside);
        let mut named = names.iter().filter(|name| **name == INPUTS || folds_to(name, INPUTS));
        match (named.next(), named.next()) {
            (None, _) => Self::None,
            (Some(name), None) if name == INPUTS => match member(inside, INPUTS) {
                Some("null") | None => Self::None,
                Some(inputs) => Self::Plain(inputs),
            },
            (Some(_), _) => Self::Odd,
        }
    }
}

/// Whether the name of questions could stand in a text, by a search of its bytes: nearly no message has any, and none needs to be
/// read for it. Whatever case it is in, and also where a letter of it is escaped. The letters around the rarest have no other form.
fn may_name_inputs(text: &[u8]) -> bool {
    const AROUND: &[u8] = b"nputreque";
    let is_named = |q: usize| {
        let found = q.checked_sub(6).and_then(|from| text.get(from..from + AROUND.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(AROUND))
    };
    let is_escape = |at: usize| text.get(at + 1) == Some(&b'u');
    memchr::memchr2_iter(b'q', b'Q', text).any(is_named) || memchr::memchr_iter(b'\\', text).any(is_escape)
}

impl ResultRules {
    fn covered<'a>(&self, result: &'a str) -> Result<Cow<'a, str>, NotReleased> {
        let in_force =
            self.rules.in_force(&self.grant, &self.upstream).map_err(|_| NotReleased::Unreadable)?;
        let target =
            Target { kind: self.kind, upstream: &self.upstream, name: &self.name, category: &self.category };
        let mut shown = Cow::Borrowed(result);
        for redactions in in_force.redactions(&target) {
            if let Cow::Owned(covered) = redactions.result(&shown).ok_or(NotReleased::Unreadable)? {
                shown = Cow::Owned(covered);
            }
        }
        Ok(shown)
    }
}

impl Admit {
    /// By what a grant sees what a server says on its own account, in a session of the grant's.
    #[must_use]
    pub fn session_authority(&self, grant: Arc<Grant>, upstream: &Arc<str>) -> Authority {
        Authority::new(self.clone(), grant, upstream.clone(), None)
    }

    /// By what the owner of a task sees what its server says of it: the rules for the tool that made it, as they are now.
    #[must_use]
    pub fn task_authority(
        &self,
        grant: Arc<Grant>,
        upstream: &Arc<str>,
        tool: &str,
        category: &str,
    ) -> Authority {
        let rules = self.rules();
        let target = Target { kind: portcullis_policy::Kind::Tool, upstream, name: tool, category };
        let covers = rules.in_force(&grant, upstream).map_or(true, |in_force| {
            in_force.redactions(&target).iter().any(portcullis_policy::Redactions::covers_results)
        });
        let results = covers.then(|| Arc::new(ResultRules::new(&rules, &grant, &target)));
        Authority::new(self.clone(), grant, upstream.clone(), results)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_found_however_their_name_is_written() {
        let of = |inside: &str| {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required",{inside}}}}}"#);
            match Inputs::of(&Envelope::reply(text.into()).unwrap()) {
                Inputs::None => "none",
                Inputs::Plain(_) => "plain",
                Inputs::Odd => "odd",
            }
        };
        let asks = r#"{"k":{"method":"sampling/createMessage"}}"#;
        for (name, found) in [
            ("inputRequests", "plain"),
            (r"\u0069nputRequests", "plain"),
            (r"input\u0052equests", "plain"),
            (r"inputRe\u0071uests", "plain"),
            ("InputRequests", "odd"),
            ("INPUTREQUESTS", "odd"),
            ("inputRequest\u{17f}", "odd"),
            ("\u{131}nputRequests", "odd"),
            (r"input\u0072equests", "odd"),
            ("inputRequest", "none"),
            ("input_requests", "none"),
        ] {
            assert_eq!(of(&format!(r#""{name}":{asks}"#)), found, "{name}");
            let twice = if found == "none" { "plain" } else { "odd" };
            assert_eq!(of(&format!(r#""inputRequests":{{}},"{name}":{asks}"#)), twice, "{name}");
        }
        assert_eq!(of(r#""inputRequests":null"#), "none");
        assert_eq!(of(r#""text":"\u00e9 inputRequests q""#), "none");
    }
}
