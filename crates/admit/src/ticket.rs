//! What stays of a call that passed: enough to record its end, and to go on with it.

use crate::limits::{Places, Reservation};
use crate::permit::{Message, Permit};
use crate::rules::Rules;
use crate::{Admit, Ask};
use portcullis_ledger::{Draft, Grant, Kind, Outcome};
use portcullis_policy::{Kind as What, Stopping, Target};
use portcullis_wire::text;
use std::borrow::Cow;
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
    pub grant: String,
    pub upstream: String,
    pub method: Option<String>,
    pub name: String,
    pub run: String,
    pub request: String,
    pub digest: String,
}

/// How a call that passed is to be carried out.
#[derive(Debug, Default)]
pub(crate) struct Manner {
    pub stopping: Stopping,
    pub results: Option<ResultRules>,
}

/// What keeps parts of a result from its caller.
#[derive(Debug)]
pub(crate) struct ResultRules {
    rules: Arc<Rules>,
    grant: Arc<Grant>,
    upstream: String,
    kind: What,
    name: String,
    category: String,
}

impl ResultRules {
    pub(crate) fn of(rules: &Arc<Rules>, ask: &Ask<'_>) -> Self {
        let target = ask.target();
        Self {
            rules: rules.clone(),
            grant: ask.who.grant.clone(),
            upstream: ask.upstream.to_owned(),
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
    manner: Manner,
    began: Instant,
    closed: bool,
}

impl Ticket {
    pub(crate) fn new(admit: Admit, row: u64, reserved: Reservation, about: About, manner: Manner) -> Self {
        Self { admit, row, reserved, about, manner, began: Instant::now(), closed: false }
    }

    /// Number of the decision's row.
    #[must_use]
    pub fn row(&self) -> u64 {
        self.row
    }

    /// When and how the call is to be ended, as the policy says.
    #[must_use]
    pub fn stopping(&self) -> &Stopping {
        &self.manner.stopping
    }

    /// A result as its caller gets it.
    #[must_use]
    pub fn covered<'a>(&self, result: &'a str) -> Cow<'a, str> {
        let Some(of) = &self.manner.results else { return Cow::Borrowed(result) };
        let Ok(in_force) = of.rules.in_force(&of.grant, &of.upstream) else { return Cow::Borrowed(result) };
        let target = Target { kind: of.kind, upstream: &of.upstream, name: &of.name, category: &of.category };
        in_force.redactions(&target).iter().fold(Cow::Borrowed(result), |shown, redactions| match redactions
            .result(&shown)
        {
            Cow::Owned(covered) => Cow::Owned(covered),
            Cow::Borrowed(_) => shown,
        })
    }

    /// The places that the call has among those that may run at once: for what goes on when the call has ended.
    #[must_use]
    pub fn places(&self) -> Option<Arc<Places>> {
        self.reserved.places.clone()
    }

    /// A permit to go on with the same call: to repeat it where it was not acted on, or to bring the answers
    /// that the upstream asked for. `None` where the message is about anything else than what was judged.
    #[must_use]
    pub fn again(&self, message: Message) -> Option<Permit> {
        let peek = message.envelope.peek();
        let arguments = peek.arguments.unwrap_or("{}");
        let same_arguments = self.admit.ledger().arguments_digest(arguments) == self.about.digest;
        let method = message.envelope.method()?;
        let same_method = method == self.about.method.as_deref().unwrap_or("tools/call");
        let named = peek.name.or(peek.uri).and_then(text).unwrap_or_default();
        let same_name =
            named == self.about.name || !matches!(method, "tools/call" | "prompts/get" | "resources/read");
        (same_arguments && same_method && same_name).then(|| Permit::new(message))
    }

    /// Records the end and gives back what it did not use.
    pub fn close(mut self, end: &End) {
        self.record(end);
    }

    fn record(&mut self, end: &End) {
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
        let about = &self.about;
        let draft = Draft {
            grant: Some(&about.grant),
            upstream: Some(&about.upstream),
            method: about.method.as_deref(),
            tool: (!about.name.is_empty()).then_some(&*about.name),
            request: Some(&about.request),
            run: Some(&about.run),
            outcome: Some(outcome),
            message: message.map(String::as_str),
            // In steps of a microsecond: finer is noise and longer to write.
            duration_ms: Some((self.began.elapsed().as_secs_f64() * 1e6).round() / 1e3),
            ..Draft::of(Kind::Outcome)
        };
        let row = draft.write_covered(|text| self.admit.kept_text(text));
        if let Err(failure) = self.admit.ledger().append_later(row, counters) {
            tracing::error!(%failure, run = %about.run, "the end of a call could not be recorded");
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.closed {
            self.record(&End::Broken("the gate gave the call up".into()));
        }
    }
}
