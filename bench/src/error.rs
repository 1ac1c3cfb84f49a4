//! What can go wrong in a measurement.

use std::io;

/// A measurement that cannot be taken. Each says what was expected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A connection broke, or HTTP on it did.
    #[error("{doing}: {source}")]
    Http {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: hyper::Error,
    },
    /// A server answered, but not as the measurement needs it.
    #[error("{doing}: expected {expected}, found {found}")]
    Answer {
        /// What was asked.
        doing: String,
        /// What a right answer is.
        expected: &'static str,
        /// The answer, cut short.
        found: String,
    },
    /// A process did not come up.
    #[error("starting {what}: expected {expected}, found {found}")]
    Start {
        /// Which process.
        what: String,
        /// What it should have done.
        expected: &'static str,
        /// What it did, with its last words.
        found: String,
    },
    /// A worker of the load generator ended early.
    #[error("a load worker ended early: {0}")]
    Worker(#[from] tokio::task::JoinError),
}

/// The result of a step of a measurement.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An [`Error::Io`] with what was being done.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing: doing.into(), source }
    }

    /// An [`Error::Http`] with what was being done.
    pub fn http(doing: impl Into<String>) -> impl FnOnce(hyper::Error) -> Self {
        move |source| Self::Http { doing: doing.into(), source }
    }

    /// An [`Error::Answer`]; the found text is cut to 300 characters.
    pub fn answer(doing: impl Into<String>, expected: &'static str, found: impl AsRef<str>) -> Self {
        Self::Answer { doing: doing.into(), expected, found: found.as_ref().chars().take(300).collect() }
    }
}
