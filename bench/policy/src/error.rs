//! Why there is no measurement.

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A policy or a call that an engine does not read.
    #[error("{engine}: expected {expected}, found a mistake: {found}")]
    Refused {
        /// The engine's name.
        engine: &'static str,
        /// What was read.
        expected: &'static str,
        /// In the engine's words.
        found: String,
    },
    /// Two engines answer differently.
    #[error("expected the same answer of all engines, found {answers} for {arguments}")]
    Disagreement {
        /// Each engine with its answer.
        answers: String,
        /// The call.
        arguments: String,
    },
    /// The calls do not try enough.
    #[error("expected at least {least} calls of each answer, found {allowed} allowed and {denied} denied")]
    OneSided {
        /// The least of each.
        least: usize,
        /// Allowed ones.
        allowed: usize,
        /// Denied ones.
        denied: usize,
    },
    /// A file that cannot be written.
    #[error("writing {file}: {error}")]
    Write {
        /// Its path as it was given.
        file: String,
        /// Why.
        error: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: what an engine was to read.
    pub fn refused<E: std::fmt::Display>(engine: &'static str, expected: &'static str) -> impl Fn(E) -> Self {
        move |found| Self::Refused { engine, expected, found: found.to_string() }
    }
}
