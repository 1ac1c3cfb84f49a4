//! Ids of runs.

use data_encoding::BASE32_NOPAD;
use std::fmt;

/// `r_` and 20 random base32 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId(Box<str>);

impl RunId {
    /// A fresh id.
    ///
    /// # Errors
    /// Where the system gives no random bytes.
    pub fn fresh() -> Result<Self, getrandom::Error> {
        let mut random = [0; 13];
        getrandom::fill(&mut random)?;
        let text = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        Ok(Self(format!("r_{}", text.get(..20).unwrap_or(&text)).into()))
    }

    /// What stands for an id where none could be made.
    pub(crate) fn none() -> Self {
        Self("r_none".into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
