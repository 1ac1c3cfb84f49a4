//! What a policy says of one tool.

use portcullis_document::Span;

use crate::Limit;
use crate::predicate::{Place, Predicate};

#[derive(Debug)]
pub(crate) struct Rule {
    /// The tool's name in the file.
    pub(crate) span: Span,
    pub(crate) pointer: String,
    /// The names of the arguments that are judged or counted, so that one pass finds them all.
    pub(crate) arguments: Vec<Box<str>>,
    pub(crate) require: Vec<Requirement>,
    pub(crate) deny_if: Vec<Clause>,
    pub(crate) limits: Vec<Limit>,
}

#[derive(Debug)]
pub(crate) struct Requirement {
    pub(crate) place: Place,
    pub(crate) predicate: Predicate,
}

/// Denies when all its conditions hold; without conditions, always.
#[derive(Debug)]
pub(crate) struct Clause {
    pub(crate) place: Place,
    pub(crate) conditions: Vec<Predicate>,
    pub(crate) on_deny: Option<String>,
}
