//! What a policy says of a tool.

use portcullis_document::Span;

use crate::predicate::{Place, Predicate};
use crate::redaction::Redaction;
use crate::{Concurrent, Limit};

#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// Where it stands in the file: the selector, or the word `all_tools`.
    pub(crate) span: Span,
    pub(crate) pointer: String,
    /// The names of the arguments that are judged or counted, so that one pass finds them all.
    pub(crate) arguments: Vec<Box<str>>,
    /// Each must hold.
    pub(crate) require: Vec<Clause>,
    /// Each denies where it holds.
    pub(crate) deny_if: Vec<Clause>,
    /// Each leaves the call to a person where it holds, or cannot be told not to.
    pub(crate) hold_if: Vec<Hold>,
    pub(crate) limits: Vec<Limit>,
    pub(crate) concurrent: Vec<Concurrent>,
    pub(crate) redact: Vec<Redaction>,
    /// Whether the caller does not get what is redacted either.
    pub(crate) redact_result: bool,
    pub(crate) stopping: Stopping,
    /// Whether it is only tried: judged and recorded, and absent for the outcome.
    pub(crate) shadow: bool,
}

/// When and how a call is ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stopping {
    /// After how many milliseconds.
    pub after_ms: Option<i64>,
    /// Whether each notice of progress begins the time anew.
    pub extend_on_progress: bool,
    /// Whether the server's process is ended too, where nobody else uses it.
    pub process: bool,
    /// The rule that says after which time, as a pointer.
    pub rule: String,
}

impl Rule {
    /// All of its clauses, each with the word under which it stands.
    pub(crate) fn clauses(&self) -> impl Iterator<Item = (&'static str, &Clause)> {
        let require = self.require.iter().map(|clause| ("require", clause));
        let deny_if = self.deny_if.iter().map(|clause| ("deny_if", clause));
        let hold_if = self.hold_if.iter().map(|hold| ("hold_if", &hold.clause));
        require.chain(deny_if).chain(hold_if)
    }
}

/// Conditions that hold together; where there are none, they do.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) place: Place,
    pub(crate) conditions: Vec<Predicate>,
    /// What the caller is told.
    pub(crate) words: Option<String>,
}

/// When a person decides, and who.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) clause: Clause,
    pub(crate) approvers: Vec<String>,
    pub(crate) timeout_ms: Option<i64>,
}
