//! What was accepted of servers, as it is kept.

/// A server, or one of its tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinRow {
    /// The upstream.
    pub upstream: String,
    /// The tool; empty for the server itself.
    pub tool: String,
    /// What is kept of it, JSON.
    pub body: String,
}
