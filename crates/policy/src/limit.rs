//! How much is allowed in a stretch of time, or at once.

use crate::predicate::Place;
use crate::{Decimal, Path, Window};

/// A limit on a named counter. A counter's key is (policy, `counter`, `window`, value of `scope`), so limits of several
/// tools that name the same counter share one budget; each keeps its own `max`. Where two limits that are due for one
/// call have the same key, the call is counted once.
#[derive(Debug)]
pub struct Limit {
    /// The counter's name; of no meaning for [`Counts::Identical`].
    pub counter: String,
    /// When it begins anew.
    pub window: Window,
    /// What the counter may reach in one window; never negative.
    pub max: Decimal,
    /// Whose calls are counted together.
    pub scope: Scope,
    /// What is counted.
    pub counts: Counts,
    /// Which calls are given back.
    pub refund: Refund,
    pub(crate) place: Place,
    /// Where the path of an amount stands in the file, and which of the rule's arguments it reads.
    pub(crate) source: Option<(Place, usize)>,
}

impl Limit {
    /// The limit as a pointer into the policy, such as `/tools/create_refund/limits/0`.
    pub fn pointer(&self) -> &str {
        &self.place.pointer
    }

    /// The argument that is counted.
    pub fn amount(&self) -> Option<&Path> {
        match &self.counts {
            Counts::Amount(path) => Some(path),
            Counts::Calls | Counts::Identical => None,
        }
    }
}

/// What a limit counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counts {
    /// Calls.
    Calls,
    /// The argument at a path.
    Amount(Path),
    /// Calls of the same tool with the same arguments: each other call has a counter of its own.
    Identical,
}

/// How many calls may run at once.
#[derive(Debug)]
pub struct Concurrent {
    /// At least 1.
    pub max: u32,
    /// Whose calls are counted together.
    pub scope: Scope,
    pub(crate) place: Place,
}

impl Concurrent {
    /// The limit as a pointer into the policy, such as `/tools/build/limits/0`. Calls under the same pointer count together.
    pub fn pointer(&self) -> &str {
        &self.place.pointer
    }
}

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Those of one grant.
    Grant,
    /// Those to one server, whoever calls.
    Upstream,
    /// Those of one session; where there are no sessions, those of one grant.
    Session,
    /// All.
    Everyone,
}

/// Which calls are given back to the counter. Calls that never reached the upstream always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refund {
    /// No other.
    Never,
    /// Also those that ended in a JSON-RPC error or in `isError`.
    OnError,
}
