//! What stays of a call that passed: enough to record its end, and to go on with it.

use crate::limits::{Places, Reservation};
use crate::permit::{Message, Permit};
use crate::rules::Rules;
use crate::{Admit, Authority};
use portcullis_ledger::{Draft, Grant, Kind, Outcome};
use portcullis_policy::{Kind as What, Stopping, Target};
use portcullis_wire::{Allowance, Era, text};
use std::sync::Arc;
use std::time::Instant;

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The upstream answered. `error`: with a JSON-RPC error or a result that says `isError`.
    Answered {
        /// Whether the answer was an error.
        error: bool,
    },
    /// It surely never reached the upstream.
    NotReached(String),
    /// It reached the upstream, and what happened then is not known.
    Broken(String),
    /// The caller or the gate cancelled it.
    Cancelled(String),
}

#[derive(Debug)]
pub(crate) struct About {
    pub method: Option<String>,
    pub name: String,
    pub run: String,
    pub request: String,
    /// Of the arguments alone.
    pub digest: String,
    /// Of the definition of the tool that is called.
    pub fingerprint: Option<String>,
    /// What may go on beside the members that the method has.
    pub passing: PassRules,
}

/// See [`portcullis_wire::Allowance`].
#[derive(Debug, Clone)]
pub(crate) struct PassRules {
    pub era: Era,
    pub unknown: bool,
    pub meta: Arc<[String]>,
}

impl PassRules {
    pub(crate) fn allowance(&self) -> Allowance<'_> {
        Allowance { era: self.era, unknown: self.unknown, meta: &self.meta }
    }
}

/// What keeps parts of a result from its caller.
#[derive(Debug)]
pub(crate) struct ResultRules {
    pub rules: Arc<Rules>,
    pub grant: Arc<Grant>,
    pub upstream: String,
    pub kind: What,
    pub name: String,
    pub category: String,
}

impl ResultRules {
    pub(crate) fn new(rules: &Arc<Rules>, grant: &Arc<Grant>, target: &Target<'_>) -> Self {
        Self {
            rules: rules.clone(),
            grant: grant.clone(),
            upstream: target.upstream.to_owned(),
            kind: target.kind,
            name: target.name.to_owned(),
            category: target.category.to_owned(),
        }
    }
}

/// A call that passed. Its end is recorded by [`Ticket::close`], or as broken when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    admit: Admit,
    row: u64,
    reserved: Reservation,
    about: About,
    authority: Authority,
    stopping: Stopping,
    began: Instant,
    closed: bool,
}

impl Ticket {
    pub(crate) fn new(
        admit: Admit,
        row: u64,
        reserved: Reservation,
        about: About,
        authority: Authority,
        stopping: Stopping,
    ) -> Self {
        Self { admit, row, reserved, about, authority, stopping, began: Instant::now(), closed: false }
    }

    /// Number of the decision's row.
    #[must_use]
    pub fn row(&self) -> u64 {
        self.row
    }

    /// When and how the call is to be ended, as the policy says.
    #[must_use]
    pub fn stopping(&self) -> &Stopping {
        &self.stopping
    }

    /// By what the caller sees what is answered.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The places that the call has among those that may run at once: for what goes on when the call has ended.
    #[must_use]
    pub fn places(&self) -> Option<Arc<Places>> {
        self.reserved.places.clone()
    }

    pub(crate) fn admit(&self) -> &Admit {
        &self.admit
    }

    /// The method that was judged.
    pub(crate) fn method(&self) -> &str {
        self.about.method.as_deref().unwrap_or("tools/call")
    }

    /// Whether members pass that the protocol does not define.
    pub(crate) fn passes_unknown(&self) -> bool {
        self.about.passing.unknown
    }

    /// Why nothing of it may go on now, where a drop holds.
    pub(crate) fn dropped(&self) -> Option<String> {
        self.admit.drops().holds(self.authority.grant(), self.authority.upstream())
    }

    /// A permit to go on with the same call: to repeat it where it was not acted on, or to bring the answers
    /// that the upstream asked for. `None` where the message is about anything else than what was judged, or what was judged
    /// may not be used any more: its server or its tool became another, or a drop holds.
    #[must_use]
    pub fn again(&self, message: Message, era: Era) -> Option<Permit> {
        let withheld = |fingerprint: &String| {
            self.admit.pins().withholds(self.authority.upstream(), &self.about.name, fingerprint).is_some()
        };
        if self.dropped().is_some() || self.about.fingerprint.as_ref().is_some_and(withheld) {
            return None;
        }
        let allowance = Allowance { era, ..self.about.passing.allowance() };
        let message = Message { envelope: message.envelope.narrowed(&allowance), ..message };
        let peek = message.envelope.peek();
        let arguments = peek.arguments.unwrap_or("{}");
        let same_arguments = self.admit.ledger().arguments_digest(arguments) == self.about.digest;
        let method = message.envelope.method()?;
        let same_method = method == self.method();
        let named = peek.name.or(peek.uri).and_then(text).unwrap_or_default();
        let same_name =
            named == self.about.name || !matches!(method, "tools/call" | "prompts/get" | "resources/read");
        (same_arguments && same_method && same_name).then(|| Permit::new(message))
    }

    /// Records the end and gives back what it did not use.
    pub fn close(mut self, end: &End) {
        self.record(end, None);
    }

    /// The beginning of a row about it.
    pub(crate) fn draft(&self, kind: Kind) -> Draft<'_> {
        let about = &self.about;
        Draft {
            grant: Some(self.authority.grant()),
            upstream: Some(self.authority.upstream()),
            method: about.method.as_deref(),
            tool: (!about.name.is_empty()).then_some(&*about.name),
            request: Some(&about.request),
            run: Some(&about.run),
            ..Draft::of(kind)
        }
    }

    /// Records the end, with what was answered where a client did.
    pub(crate) fn record(&mut self, end: &End, answer: Option<&str>) {
        self.closed = true;
        let (outcome, message, counters) = match end {
            End::Answered { error: false } => (Outcome::Allowed, None, Vec::new()),
            End::Answered { error: true } => {
                (Outcome::Error, None, self.admit.give_back(&self.reserved.drawn, true))
            }
            End::NotReached(why) => {
                (Outcome::Error, Some(why), self.admit.give_back(&self.reserved.drawn, false))
            }
            End::Broken(why) => (Outcome::Error, Some(why), Vec::new()),
            End::Cancelled(why) => (Outcome::Cancelled, Some(why), Vec::new()),
        };
        // Whether its server has stopped is not known.
        if let (End::Cancelled(_) | End::Broken(_), Some(places)) = (end, self.reserved.places.take()) {
            places.linger();
        }
        let digest = answer.map(|answer| self.admit.ledger().arguments_digest(answer));
        let kept = answer.and_then(|answer| Some(self.admit.rules().values.keep(answer)?.into_owned()));
        let draft = Draft {
            outcome: Some(outcome),
            message: message.map(String::as_str),
            args_digest: digest.as_deref(),
            args: kept.as_deref(),
            // In steps of a microsecond: finer is noise and longer to write.
            duration_ms: Some((self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3),
            ..self.draft(Kind::Outcome)
        };
        let row = draft.write_covered(|text| self.admit.kept_text(text));
        if let Err(failure) = self.admit.ledger().append_later(row, counters) {
            tracing::error!(%failure, run = %self.about.run, "the end of a call could not be recorded");
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.closed {
            self.record(&End::Broken("the gate gave the call up".into()), None);
        }
    }
}
