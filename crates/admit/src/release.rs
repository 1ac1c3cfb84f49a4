//! The way back: what of a server's words a client may see.
//!
//! Whatever a client is sent is a [`Release`]. From a server's message one is made by [`Authority::release`] alone, under the
//! authority by which the message came: the call that it answers, the task that it is about, the session that it was said in.
//! What the policy keeps from the caller is covered there, wherever in the message a result stands; what cannot be covered is
//! withheld, and so is all of what a drop holds. A server's question is released with the [`Ticket`] that says that it was
//! judged.

use crate::questions::{InputRequests, RESULT};
use crate::ticket::ResultRules;
use crate::{Admit, Ticket};
use bytes::Bytes;
use portcullis_ledger::{Draft, Grant, Kind, Outcome};
use portcullis_policy::Target;
use portcullis_wire::{
    Envelope, Kind as MessageKind, Splice, is_known_notice, is_known_request, misspelt, reads_as, span_in,
};
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
        let may_be_put = match (message.kind(), asked) {
            (MessageKind::Request, asked) => matches!(asked, Questions::One(_)),
            (MessageKind::Notification, _) if !self.may_be_told(message.method().unwrap_or_default()) => {
                false
            }
            (_, asked) => match (InputRequests::of(message), asked) {
                (InputRequests::Plain(all), Questions::Keys(judged)) => {
                    all.iter().all(|asked| judged.contains(&asked.key))
                }
                (InputRequests::Plain(all), _) => all.is_empty(),
                (InputRequests::Odd, _) => false,
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

    /// Whether a client may be told something by that method. What the protocol does not have passes where the policy's default lets
    /// it, and nothing that a reader could take for a request: those are judged as questions, and have an id.
    fn may_be_told(&self, method: &str) -> bool {
        is_known_notice(method)
            || (!is_known_request(method)
                && misspelt(method).is_none()
                && self.admit.default_allows(&self.grant, &self.upstream))
    }

    /// Whether parts of its server's results are kept from who sees it. Then nothing is passed on of what a server says in place of a
    /// result, either: it may be the same.
    #[must_use]
    pub fn covers_results(&self) -> bool {
        self.results.is_some()
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
            MessageKind::Notification => message.params(),
            MessageKind::Request => None,
        };
        let Some(result) = result else { return Ok(None) };
        let seen = rules.covered(result)?;
        // What is told of a task has the result of its call inside, under a name that some readers take for it, too.
        let mut inner = Vec::new();
        portcullis_json::members(&seen, &mut |name, value| {
            if reads_as(&name, RESULT) {
                inner.push(span_in(&seen, value));
            }
        })
        .ok_or(NotReleased::Unreadable)?;
        let mut splice = Splice::new(seen.as_bytes());
        let mut covers = false;
        for span in inner {
            if let Cow::Owned(covered) = rules.covered(seen.get(span.clone()).unwrap_or_default())? {
                splice.replace(span, covered);
                covers = true;
            }
        }
        let seen = match covers {
            true => {
                let whole = String::from_utf8(splice.finish().to_vec());
                Cow::Owned(whole.map_err(|_| NotReleased::Unreadable)?)
            }
            false => seen,
        };
        let Cow::Owned(seen) = seen else { return Ok(None) };
        let mut splice = Splice::new(message.bytes());
        splice.replace(message.span_of(result), seen);
        Envelope::reply(splice.finish()).map(Some).map_err(|_| NotReleased::Unreadable)
    }
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
