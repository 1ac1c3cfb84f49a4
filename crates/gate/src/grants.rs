//! Who may come in: tokens to grants.

use portcullis_ledger::{Grant, TokenHash};
use std::collections::HashMap;
use std::sync::Arc;

/// All grants in force, by the keyed hash of their token. Replaced whole when one changes.
#[derive(Debug, Default, Clone)]
pub struct Grants {
    by_token: HashMap<TokenHash, Arc<Grant>>,
}

impl Grants {
    /// The grants of a list. Where two share a token the later one stands.
    pub fn new(grants: impl IntoIterator<Item = (TokenHash, Grant)>) -> Self {
        Self { by_token: grants.into_iter().map(|(hash, grant)| (hash, Arc::new(grant))).collect() }
    }

    /// The grant of a token.
    #[must_use]
    pub fn by_token(&self, hash: &TokenHash) -> Option<&Arc<Grant>> {
        self.by_token.get(hash)
    }

    /// The grant of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Grant>> {
        self.by_token.values().find(|grant| grant.name == name)
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Grant>> {
        let mut all: Vec<_> = self.by_token.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}
