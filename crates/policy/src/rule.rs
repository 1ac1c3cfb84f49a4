//! What a policy says of a tool.

use portcullis_document::Span;

use crate::Limit;
use crate::predicate::{Place, Predicate};

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
