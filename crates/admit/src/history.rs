//! What a session called before, as far as policies ask.

use parking_lot::Mutex;
use portcullis_policy::Calls;
use std::collections::HashMap;
use std::sync::Arc;

/// What one session called. It is kept as long as the session; what belongs to no session is counted for its grant, since the
/// gate started.
#[derive(Debug)]
pub struct History {
    /// What a limit with the scope `session` counts for.
    scope: String,
    calls: Mutex<HashMap<String, u64>>,
}

impl History {
    /// That of a new session.
    #[must_use]
    pub fn of_session(id: &str) -> Arc<Self> {
        Arc::new(Self { scope: format!("session:{id}"), calls: Mutex::default() })
    }

    pub(crate) fn scope(&self) -> &str {
        &self.scope
    }

    pub(crate) fn note(&self, upstream: &str, tool: &str) {
        *self.calls.lock().entry(format!("{upstream}/{tool}")).or_default() += 1;
    }
}

/// Those of grants whose clients have no sessions.
#[derive(Debug, Default)]
pub(crate) struct Histories(Mutex<HashMap<String, Arc<History>>>);

impl Histories {
    pub(crate) fn of_grant(&self, name: &str) -> Arc<History> {
        let mut all = self.0.lock();
        if let Some(known) = all.get(name) {
            return known.clone();
        }
        // As the grant's own limits are counted: without sessions, both scopes mean the same calls.
        let history = Arc::new(History { scope: name.to_owned(), calls: Mutex::default() });
        all.insert(name.to_owned(), history.clone());
        history
    }
}

/// The history as a call to one server sees it.
pub(crate) struct Seen<'a> {
    pub history: &'a History,
    pub upstream: &'a str,
}

impl Calls for Seen<'_> {
    fn of(&self, tool: &str) -> u64 {
        let calls = self.history.calls.lock();
        let of = |key: &str| calls.get(key).copied();
        // A tool of this server may have a slash in its own name.
        of(&format!("{}/{tool}", self.upstream)).or_else(|| of(tool)).unwrap_or(0)
    }
}
