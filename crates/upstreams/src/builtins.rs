//! Servers that the program has in itself.

use std::fmt;
use tokio::io::DuplexStream;

/// Connects to the built-in servers.
pub trait Builtins: fmt::Debug + Send + Sync {
    /// A connection to the server of that upstream, for one grant, or for the gate itself (`gate`): messages as on stdin
    /// and stdout of a program.
    ///
    /// # Errors
    /// Why there is none, for a person.
    fn connect(&self, upstream: &str, owner: &str) -> Result<DuplexStream, String>;
}
