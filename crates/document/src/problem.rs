//! What is wrong with a file.

use std::fmt;

use serde::Serialize;

use crate::{Source, Span};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used but hardly means what it says.
    Warning,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether the file can be used in spite of it.
    pub severity: Severity,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The place in the tree as a JSON pointer (RFC 6901), such as `/tools/pay/limits/0/max`.
    pub path: String,
    /// What was expected and what was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The offending text.
    #[serde(skip)]
    pub span: Span,
}

/// Everything that is wrong with one file, in the order of the file.
///
/// `Display` gives one line for each problem, `file:line:column: message`; [`Problems::render`] shows the text underlined.
/// Serialises as a list of problems.
#[derive(Debug, Clone)]
pub struct Problems {
    pub(crate) source: Source,
    pub(crate) list: Vec<Problem>,
}

impl Problems {
    /// No problem yet.
    pub fn new(source: Source) -> Self {
        Self { source, list: Vec::new() }
    }

    /// Notes one more.
    pub fn add(&mut self, severity: Severity, span: Span, path: &str, message: String, hint: Option<String>) {
        let (line, column) = self.source.line_and_column(span.start);
        self.list.push(Problem { severity, line, column, path: path.into(), message, hint, span });
    }

    /// Notes an error at a place that is known by its span alone.
    pub(crate) fn error(&mut self, span: Span, path: &str, message: impl Into<String>, hint: Option<&str>) {
        self.add(Severity::Error, span, path, message.into(), hint.map(Into::into));
    }

    /// The file they are about.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The problems, in the order of the file once the reading is finished.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether the file cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Takes out the warnings that say the same of different things, at least so many each, in groups. What is said of each is its
    /// message up to what was found, and what to do about it.
    pub fn take_alike(&mut self, at_least: usize) -> Vec<Vec<Problem>> {
        let said = |problem: &Problem| {
            let what = problem.message.split(", found ").next().unwrap_or_default().to_owned();
            (problem.severity == Severity::Warning).then(|| (what, problem.hint.clone()))
        };
        let mut groups: Vec<Vec<Problem>> = Vec::new();
        for problem in &self.list {
            let Some(key) = said(problem) else { continue };
            match groups.iter_mut().find(|group| group.first().and_then(said) == Some(key.clone())) {
                Some(group) => group.push(problem.clone()),
                None => groups.push(vec![problem.clone()]),
            }
        }
        groups.retain(|group| group.len() >= at_least);
        let taken: Vec<_> = groups.iter().filter_map(|group| group.first().and_then(said)).collect();
        self.list.retain(|problem| said(problem).is_none_or(|key| !taken.contains(&key)));
        groups
    }

    /// In the order of the file.
    pub fn sorted(mut self) -> Self {
        self.list.sort_by_key(|problem| problem.span);
        self
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let Problem { line, column, path, message, .. } = problem;
            write!(f, "{}:{line}:{column}: ", self.source.name())?;
            if !path.is_empty() {
                write!(f, "{path}: ")?;
            }
            write!(f, "{message}")?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
