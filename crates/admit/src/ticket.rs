//! What stays of a call that passed: enough to record its end, and to go on with it.

use crate::Admit;
use crate::limits::Reserved;
use crate::permit::{Message, Permit};
use portcullis_ledger::{Draft, Kind, Outcome};
use portcullis_wire::text;
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

/// A call that passed. Its end is recorded by [`Ticket::close`], or as broken when it is dropped.
#[derive(Debug)]
pub struct Ticket {
    admit: Admit,
    row: u64,
    reserved: Vec<Reserved>,
    about: About,
    began: Instant,
    closed: bool,
}

impl Ticket {
    pub(crate) fn new(admit: Admit, row: u64, reserved: Vec<Reserved>, about: About) -> Self {
        Self { admit, row, reserved, about, began: Instant::now(), closed: false }
    }

    /// Number of the decision's row.
    #[must_use]
    pub fn row(&self) -> u64 {
        self.row
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
                (Outcome::Error, None, self.admit.give_back(&self.reserved, true))
            }
            End::NotReached(why) => (Outcome::Error, Some(why), self.admit.give_back(&self.reserved, false)),
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
        if let Err(failure) = self.admit.ledger().append_later(draft.write(), counters) {
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
