//! How a command fails: what is said and with which exit code.

use std::fmt;
use std::process::ExitCode;

/// A failed command.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// What was asked did not come true (exit code 1).
    pub(crate) fn untrue(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    /// Wrong usage or bad configuration (2).
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// The gate cannot be reached (3).
    pub(crate) fn unreachable(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }

    /// Denied (4).
    pub(crate) fn denied(text: impl Into<String>) -> Self {
        Self { code: 4, text: text.into() }
    }

    /// A fault of ours (70).
    pub(crate) fn bug(text: impl Into<String>) -> Self {
        Self { code: 70, text: text.into() }
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
        let text = self.text.trim_end();
        // A list of mistakes brings its own headings.
        if text.contains('\n') { f.write_str(text) } else { write!(f, "error: {text}") }
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
