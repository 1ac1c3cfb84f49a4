//! The two protocol eras and their versions (specification, "Versioning and Compatibility").

/// Which way of speaking a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Era {
    /// An `initialize` handshake opens a session (2024-11-05 to 2025-11-25).
    Old,
    /// Every request carries version, identity and capabilities itself (2026-07-28).
    New,
}

/// The version of the new era.
pub const MODERN: &str = "2026-07-28";
/// The last version of the old era.
pub const LATEST_OLD: &str = "2025-11-25";
/// Every version of the old era, oldest first.
pub const OLD_VERSIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LATEST_OLD];

/// Whether `version` is one of the old era that we know. Such a version is echoed to a client that opens
/// with it, because old clients treat another one as fatal.
#[must_use]
pub fn known_old_version(version: &str) -> bool {
    OLD_VERSIONS.contains(&version)
}

/// Keys of `_meta` that the new era reserves.
pub mod meta {
    /// The protocol version of the request.
    pub const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    /// The capabilities of the client for this request.
    pub const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    /// Name and version of the client.
    pub const CLIENT: &str = "io.modelcontextprotocol/clientInfo";
    /// Name and version of the server, in results.
    pub const SERVER: &str = "io.modelcontextprotocol/serverInfo";
    /// The `subscriptions/listen` request that a notification belongs to.
    pub const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
    /// The least severe log message that the client wants during this request.
    pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
    /// The task that a message belongs to (2025-11-25).
    pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";
}
