//! What became of a file.

use portcullis_document::{Source, Span, Value};
use serde::Serialize;

/// A policy of this language, and how it differs from the file that it was made of.
#[derive(Debug, Serialize)]
pub struct Converted {
    /// Its YAML.
    pub policy: String,
    /// In the order of the file.
    pub report: Vec<Remark>,
}

impl Converted {
    /// Whether the policy decides each call as the file did.
    pub fn is_exact(&self) -> bool {
        self.report.iter().all(|remark| remark.kept)
    }
}

/// What is to be known of one place of the file.
#[derive(Debug, Serialize)]
pub struct Remark {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The place in the tree as a JSON pointer.
    pub path: String,
    /// What stands there.
    pub what: String,
    /// What became of it, and why.
    pub why: String,
    /// Whether it means the same all the same.
    pub kept: bool,
    #[serde(skip)]
    span: Span,
}

/// The remarks while they are gathered.
pub(super) struct Report<'s> {
    pub(super) source: &'s Source,
    remarks: Vec<Remark>,
}

impl<'s> Report<'s> {
    pub(super) fn of(source: &'s Source) -> Self {
        Self { source, remarks: Vec::new() }
    }

    /// Something means another thing now.
    pub(super) fn changed(&mut self, value: &Value<'_>, what: &str, why: &str) {
        self.at(value.span(), value.pointer(), false, what, why);
    }

    /// Something is written in another way, and means the same.
    pub(super) fn kept(&mut self, value: &Value<'_>, what: &str, why: &str) {
        self.at(value.span(), value.pointer(), true, what, why);
    }

    pub(super) fn at(&mut self, span: Span, path: &str, kept: bool, what: &str, why: &str) {
        let (line, column) = self.source.line_and_column(span.start);
        let (what, why) = (what.to_owned(), why.to_owned());
        self.remarks.push(Remark { line, column, path: path.into(), what, why, kept, span });
    }

    pub(super) fn sorted(mut self) -> Vec<Remark> {
        self.remarks.sort_by_key(|remark| remark.span.start);
        self.remarks
    }
}
