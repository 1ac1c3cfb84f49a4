//! Who may come in: tokens to grants.

use portcullis_ledger::{Grant, TokenHash};
use std::collections::HashMap;
use std::sync::Arc;

/// All grants in force, by the keyed hash of their token. Replaced whole when one changes.
#[derive(Debug, Default, Clone)]
pub struct Grants {
    by_token: HashMap<TokenHash, Arc<Grant>>,
    by_name: HashMap<Box<str>, Arc<Grant>>,
}

impl Grants {
    /// The grants of a list. Where two share a token the later one stands.
    pub fn new(grants: impl IntoIterator<Item = (TokenHash, Grant)>) -> Self {
        let mut all = Self::default();
        for (hash, grant) in grants {
            let grant = Arc::new(grant);
            if let Some(other) = all.by_token.insert(hash, grant.clone()) {
                all.by_name.remove(&*other.name);
            }
            all.by_name.insert(grant.name.as_str().into(), grant);
        }
        all
    }

    /// The grant of a token.
    #[must_use]
    pub fn by_token(&self, hash: &TokenHash) -> Option<&Arc<Grant>> {
        self.by_token.get(hash)
    }

    /// The grant of a name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Arc<Grant>> {
        self.by_name.get(name)
    }

    /// What a grant that was looked up before is now. `None` where it was revoked: another one of its name is another.
    #[must_use]
    pub fn current(&self, grant: &Grant) -> Option<&Arc<Grant>> {
        self.by_name(&grant.name).filter(|now| now.created == grant.created)
    }

    /// The same without a grant.
    #[must_use]
    pub fn without(&self, name: &str) -> Self {
        let mut rest = self.clone();
        rest.by_token.retain(|_, grant| grant.name != name);
        rest.by_name.remove(name);
        rest
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Grant>> {
        let mut all: Vec<_> = self.by_token.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }
}
