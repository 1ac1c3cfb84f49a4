//! What the engines have in common.

use crate::error::Error;

/// A decision that can be taken again and again.
pub type Decision<'e> = Box<dyn Fn() -> bool + 'e>;

/// A policy in force.
pub trait Engine {
    /// What the tables call it.
    fn name(&self) -> &'static str;

    /// Decides a call that came in: the tool's name and the arguments as JSON text. What cannot be read or judged is not allowed.
    fn allows(&self, tool: &str, arguments: &str) -> bool;

    /// The same decision with all made ready that the engine can be given instead of JSON text; nothing where it takes the text.
    ///
    /// # Errors
    /// Where the arguments cannot be read.
    fn prepared<'e>(&'e self, tool: &'e str, arguments: &str) -> Result<Option<Decision<'e>>, Error>;
}
