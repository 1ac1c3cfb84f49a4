//! What is committed together with a row of the record.

use crate::CounterRow;

/// What an approval is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    /// Its name.
    pub id: String,
    /// Grows with every change of it: whatever order rows arrive in, the highest one stands.
    pub version: i64,
    /// All that is known of it, JSON; `None` where it is over.
    pub body: Option<String>,
}

impl ApprovalRow {
    /// What is kept of one that is over.
    pub(crate) const OVER: &str = r#"{"state":"over"}"#;
}

/// What is committed together with a row, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// Counters that moved.
    pub counters: Vec<CounterRow>,
    /// The approval that changed.
    pub approval: Option<ApprovalRow>,
}

impl From<Vec<CounterRow>> for Beside {
    fn from(counters: Vec<CounterRow>) -> Self {
        Self { counters, approval: None }
    }
}
