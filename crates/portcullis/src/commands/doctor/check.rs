//! One check and what it found.

use serde_json::{Value, json};
use std::fmt;

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// A check that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Check {
    name: String,
    state: State,
    found: String,
    advice: Option<String>,
}

impl Check {
    /// All is well.
    pub(super) fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, found: found.into(), advice: None }
    }

    /// It works, but is hardly meant so.
    pub(super) fn warn(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    /// Something does not work.
    pub(super) fn fail(name: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(name, found, advice) }
    }

    /// Whether something does not work.
    pub(super) fn has_failed(&self) -> bool {
        self.state == State::Fail
    }

    /// For scripts.
    pub(super) fn to_json(&self) -> Value {
        json!({ "check": self.name, "state": self.state.word(), "found": self.found, "advice": self.advice })
    }
}

/// Its state and name, what was found, and below it what to do; further lines stand under the first.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.trim_end().replace('\n', "\n      ");
        write!(f, "{:<4}  {}: {found}", self.state.word(), self.name)?;
        match &self.advice {
            Some(advice) => write!(f, "\n      -> {advice}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_shows_what_to_do_below_what_was_found() {
        let check = Check::fail("configuration", "line one\nline two\n", "mend it");
        assert_eq!(check.to_string(), "fail  configuration: line one\n      line two\n      -> mend it");
        assert_eq!(check.to_json()["state"], "fail");
        assert_eq!(Check::ok("a", "b").to_json()["advice"], Value::Null);
    }
}
