//! How much is allowed in a stretch of time.

use crate::predicate::Place;
use crate::{Decimal, Path, Window};

/// A limit on a named counter. A counter's key is (policy, `counter`, `window`, value of `scope`), so limits of several
/// tools that name the same counter share one budget; each keeps its own `max`. Where two limits that are due for one
/// call have the same key, the call is counted once.
#[derive(Debug)]
pub struct Limit {
    /// The counter's name.
    pub counter: String,
    /// When it begins anew.
    pub window: Window,
    /// What the counter may reach in one window; never negative.
    pub max: Decimal,
    /// Whose calls are counted together.
    pub scope: Scope,
    /// The argument that is counted; calls are counted where it is `None`.
    pub amount: Option<Path>,
    /// Which calls are given back.
    pub refund: Refund,
    pub(crate) place: Place,
    /// Where `amount` stands in the file, and which of the rule's arguments it reads.
    pub(crate) source: Option<(Place, usize)>,
}

impl Limit {
    /// The limit as a pointer into the policy, such as `/tools/create_refund/limits/0`.
    pub fn pointer(&self) -> &str {
        &self.place.pointer
    }
}

/// Whose calls a counter counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of one grant.
    Grant,
}

/// Which calls are given back to the counter. Calls that never reached the upstream always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refund {
    /// No other.
    Never,
    /// Also those that ended in a JSON-RPC error or in `isError`.
    OnError,
}
