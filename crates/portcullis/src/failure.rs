//! How a command fails: what is said and with which exit code.

use crate::out::{one_line, plain, uncoloured};
use std::fmt;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: u8,
    /// In one line; empty where the lines say it all.
    text: String,
    /// Of a report or a file, where there are any.
    lines: String,
}

impl Failure {
    /// In one line, whoever's words are in it.
    fn of(code: u8, text: &str) -> Self {
        Self { code, text: one_line(text.trim_end()).into_owned(), lines: String::new() }
    }

    /// A list of mistakes in a person's file, in lines and colours of its own (exit code 2).
    pub(crate) fn report(text: &str) -> Self {
        Self { code: 2, text: String::new(), lines: plain(text.trim_end()).into_owned() }
    }

    /// The same, with lines of a report or a file behind it.
    pub(crate) fn and_lines(self, lines: &str) -> Self {
        Self { lines: plain(lines.trim_end()).into_owned(), ..self }
    }

    /// What another program or the log is told: without the word `error` and without colours. [`Failure::told`] reads it.
    pub(crate) fn bare(&self) -> String {
        let lines = uncoloured(&self.lines);
        if lines.is_empty() { self.text.clone() } else { format!("{}\n{lines}", self.text) }
    }

    /// A mistake in files of which another program told.
    pub(crate) fn told(text: &str) -> Self {
        match text.split_once('\n') {
            Some(("", lines)) => Self::report(lines),
            Some((text, lines)) => Self::usage(text).and_lines(lines),
            None => Self::usage(text),
        }
    }

    /// What was asked did not come true (exit code 1).
    pub(crate) fn untrue(text: impl Into<String>) -> Self {
        Self::of(1, &text.into())
    }

    /// Wrong usage or bad configuration (2).
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::of(2, &text.into())
    }

    /// The gate cannot be reached (3).
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self::of(3, &text.into())
    }

    /// Denied (4).
    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Self::of(4, &text.into())
    }

    /// A fault of ours (70).
    pub(crate) fn bug(text: impl Into<String>) -> Self {
        Self::of(70, &text.into())
    }

    /// Whether the gate could not be reached.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.code == 3
    }

    /// Its exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.text.as_str(), self.lines.as_str()) {
            // A list of mistakes brings its own headings.
            ("", lines) if lines.contains('\n') => f.write_str(lines),
            ("", text) | (text, "") => write!(f, "error: {text}"),
            (text, lines) => write!(f, "error: {text}\n{lines}"),
        }
    }
}

impl From<portcullis_ledger::Failure> for Failure {
    fn from(failure: portcullis_ledger::Failure) -> Self {
        use portcullis_ledger::Failure as Ledger;
        match failure {
            Ledger::GrantExists(_) | Ledger::NoGrant(_) => Self::usage(failure.to_string()),
            Ledger::Open { .. } | Ledger::Key { .. } => Self::usage(failure.to_string()),
            _ => Self::untrue(failure.to_string()),
        }
    }
}
