//! Tasks of servers, as they are remembered over a restart.

/// A new one.
pub(crate) const ENTER: &str = "
    INSERT INTO tasks (id, run, owner, upstream, theirs, tool, digest, design, state, why, ttl_ms, created, stamp, looked, stop,
        said, places, version)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// One that is there, unless what is kept of it is newer. One that was forgotten meanwhile does not come back.
pub(crate) const UPDATE: &str = "
    UPDATE tasks SET run = ?2, owner = ?3, upstream = ?4, theirs = ?5, tool = ?6, digest = ?7, design = ?8, state = ?9, why = ?10,
        ttl_ms = ?11, created = ?12, stamp = ?13, looked = ?14, stop = ?15, said = ?16, places = ?17, version = ?18
    WHERE id = ?1 AND version < ?18";

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// The id that its client knows.
    pub id: String,
    /// Its id among the runs.
    pub run: String,
    /// Name of the grant that it belongs to.
    pub owner: String,
    /// Name of its upstream.
    pub upstream: String,
    /// The id that the upstream gave it.
    pub theirs: String,
    /// The tool that was called.
    pub tool: String,
    /// Keyed digest of the arguments.
    pub digest: String,
    /// `core` (2025-11-25) or `extension` (2026-07-28).
    pub design: String,
    /// Its state, as it was last heard or found.
    pub state: String,
    /// Why it is in that state, where the gate knows more than the server said.
    pub why: Option<String>,
    /// How long it is kept from its creation, in milliseconds; for ever where absent.
    pub ttl_ms: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// When the upstream says that it was made: an equal id with another time is another task.
    pub stamp: String,
    /// When it was last looked at with another outcome than before, in milliseconds since 1970.
    pub looked: i64,
    /// Who asked to stop it and when, JSON.
    pub stop: Option<String>,
    /// What the upstream last said of it, JSON.
    pub said: String,
    /// Which places among calls that may run at once it has until it ends, JSON.
    pub places: Option<String>,
    /// 1 when it is new, and higher with every row that is made of it: whatever order they arrive in, the highest one stands.
    pub version: i64,
}
