//! How many requests reached the echo server, by MCP method: the proof that a call costs one.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    error::{Error, Result},
    peer::Peer,
    target::Target,
};

/// What is counted apart; everything else counts as `other`.
const NAMES: [&str; 10] = [
    "GET",
    "DELETE",
    "initialize",
    "notifications/initialized",
    "notifications/cancelled",
    "ping",
    "server/discover",
    "tools/list",
    "tools/call",
    OTHER,
];
const OTHER: &str = "other";

/// Counters of a running echo server.
#[derive(Debug)]
pub struct Counts(BTreeMap<&'static str, AtomicU64>);

/// The counters at one moment: HTTP method (GET, DELETE) or MCP method to number of requests.
pub type Snapshot = BTreeMap<String, u64>;

impl Default for Counts {
    fn default() -> Self {
        Self(NAMES.into_iter().map(|name| (name, AtomicU64::new(0))).collect())
    }
}

impl Counts {
    /// Counts one request.
    pub fn add(&self, name: &str) {
        if let Some(counter) = self.0.get(name).or_else(|| self.0.get(OTHER)) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counters now.
    pub fn snapshot(&self) -> Snapshot {
        self.0.iter().map(|(name, n)| ((*name).to_owned(), n.load(Ordering::Relaxed))).collect()
    }
}

/// Asks a running echo server for its counters. Asking is not counted.
///
/// # Errors
/// When the server cannot be reached or answers with something else than counters.
pub async fn read(echo: &Target) -> Result<Snapshot> {
    let body = Peer::connect(echo).await?.get("/counts").await?;
    serde_json::from_slice(&body)
        .map_err(|error| Error::answer("GET /counts", "a JSON object of numbers", error.to_string()))
}

/// All requests of a snapshot.
pub fn total(snapshot: &Snapshot) -> u64 {
    snapshot.values().sum()
}
