//! Who asks.

use portcullis_ledger::Grant;
use std::sync::Arc;

/// The identity behind a request, as far as it was proved, and what the client says of itself.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The grant whose token was shown.
    pub grant: Arc<Grant>,
    /// Name and version that the client gave; unproved.
    pub client: Arc<str>,
}

impl Principal {
    /// The grant's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.grant.name
    }

    /// Whether the grant has ended at that time (milliseconds since 1970).
    #[must_use]
    pub fn expired(&self, now_ms: i64) -> bool {
        self.grant.expires.is_some_and(|end| now_ms >= end)
    }
}
