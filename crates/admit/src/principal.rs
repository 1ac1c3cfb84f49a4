//! Who asks.

use crate::History;
use portcullis_ledger::Grant;
use std::sync::Arc;

/// The identity behind a request, as far as it was proved, and what the client says of itself.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The grant whose token was shown.
    pub grant: Arc<Grant>,
    /// Name and version that the client gave, with a slash between them; unproved.
    pub client: Arc<str>,
    /// What its session called before; `None` where there is no session.
    pub history: Option<Arc<History>>,
}

impl Principal {
    /// The grant's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.grant.name
    }

    /// The client's name without its version.
    #[must_use]
    pub fn client_name(&self) -> &str {
        client_name(&self.client)
    }

    /// Whether the grant has ended at that time (milliseconds since 1970).
    #[must_use]
    pub fn expired(&self, now_ms: i64) -> bool {
        self.grant.expires.is_some_and(|end| now_ms >= end)
    }
}

/// A client's name without its version, of both as the record has them.
#[must_use]
pub fn client_name(client: &str) -> &str {
    client.rsplit_once('/').map_or(client, |(name, _)| name)
}
