//! What is in force at one moment. It is replaced whole, and a call is judged by one of them alone.

use crate::{Ask, Grants, Rules};
use portcullis_ledger::Grant;
use std::collections::HashMap;
use std::sync::Arc;

/// Which entry of the configuration stands behind each upstream's name.
pub type Entries = HashMap<Arc<str>, u64>;

/// Everything that judging reads of configuration, policies and grants.
#[derive(Debug, Clone, Default)]
pub struct Generation {
    /// Grows with each: the number of the first row that can be written under it, or more.
    pub number: u64,
    /// What configuration and policies say.
    pub rules: Arc<Rules>,
    /// Who may come in.
    pub grants: Arc<Grants>,
    /// Which servers there are.
    pub entries: Arc<Entries>,
}

impl Generation {
    /// The grant of whoever asks as it is now, or why the request belongs to an earlier generation.
    pub(crate) fn standing(&self, ask: &Ask<'_>) -> Result<&Arc<Grant>, Gone> {
        let grant = self.grants.current(&ask.who.grant);
        let grant = grant.ok_or_else(|| Gone {
            rule: "(grant revoked)",
            why: format!("The grant {} was revoked.", ask.who.name()),
        })?;
        match ask.to.entry {
            Some(entry) if self.entries.get(ask.upstream) != Some(&entry) => Err(Gone {
                rule: "(upstream changed)",
                why: format!(
                    "The upstream {} was changed or taken out of the configuration while this was on its way.",
                    ask.upstream
                ),
            }),
            _ => Ok(grant),
        }
    }
}

/// What a request was made under is not there any more.
pub(crate) struct Gone {
    pub(crate) rule: &'static str,
    pub(crate) why: String,
}
