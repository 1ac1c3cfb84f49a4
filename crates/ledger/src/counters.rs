//! Counters of limits, as they are kept.

/// What a counter counts: one budget per policy, counter name, window and scope value, so that a name which
/// several tools share is one budget.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CounterKey {
    /// Name of the policy.
    pub policy: String,
    /// Name of the counter.
    pub counter: String,
    /// `minute`, `hour` or `day`.
    pub window: String,
    /// The value of the scope: the grant's name.
    pub scope: String,
}

/// The state of a counter after a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CounterRow {
    /// Which.
    pub key: CounterKey,
    /// Start of the window, in milliseconds since 1970.
    pub window_start: i64,
    /// How much is used, an exact decimal.
    pub used: String,
    /// Grows with every change of this counter: rows of concurrent calls may arrive in any order, the highest
    /// one stands.
    pub version: i64,
}
