//! Ours.

use portcullis_policy::{Call, Facts, Judgement, Policy, Target};

use crate::calls::PROPERTIES;
use crate::engine::{Decision, Engine};
use crate::error::Error;

/// A policy of ours.
pub struct Ours(Policy);

impl Ours {
    /// Reads it; the ending of `file` says how.
    ///
    /// # Errors
    /// Where it has a mistake.
    pub fn read(file: &str, text: &str) -> Result<Self, Error> {
        Policy::parse(file, text).map(Self).map_err(Error::refused("ours", "a policy"))
    }
}

impl Engine for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn allows(&self, tool: &str, arguments: &str) -> bool {
        let call =
            Call { tool: Target::named(tool), arguments, properties: &PROPERTIES, facts: Facts::default() };
        matches!(self.0.judge(&call), Judgement::Allow(_))
    }

    fn prepared<'e>(&'e self, _: &'e str, _: &str) -> Result<Option<Decision<'e>>, Error> {
        Ok(None)
    }
}
