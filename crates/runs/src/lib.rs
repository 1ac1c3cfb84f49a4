//! Everything that is running, whose it is, how to stop it.
//!
//! [`Runs`] is the one table of calls in flight: it alone knows which request of which client is which run at
//! which upstream. Cancellation, the list of runs and the drop are reads of this table. A run is in
//! it from before it can block until the [`OpenRun`] is dropped.
//!
//! [`Keepers`] starts what is a process, each held by a keeper of its own (the crate `keeper`), and knows what is held.
//! [`Drops`] is the emergency stop: what it holds passes no more, and is not started.
//!
//! ```
//! use portcullis_runs::{Caller, NewRun, Runs};
//! use portcullis_wire::Id;
//! let runs = Runs::default();
//! let call = NewRun { caller: Caller(1), request: Id::from(7), owner: "me".into(), upstream: "files".into(),
//!     method: "tools/call".into(), name: "read_file".into() };
//! let open = runs.open(call).unwrap();
//! assert_eq!(runs.list().len(), 1);
//! assert!(runs.cancel(Caller(1), &Id::from(7), "no longer needed"));
//! assert!(open.cancelled().is_cancelled());
//! drop(open);
//! assert!(runs.list().is_empty());
//! ```

mod adopt;
mod drops;
mod held;
mod hold;
mod id;
mod keepers;
mod logs;
mod program;
mod said;
mod table;

pub use adopt::Left;
pub use drops::{DROPPED, Dropped, Drops, Scope};
pub use held::{About, Held, Piped, What};
pub use hold::{Ending, GRACE, Hold, Kind, Pipes, allowed_environment, millis};
pub use id::RunId;
pub use keepers::Keepers;
pub use logs::{Begin, LogLine, Page, Wanted, page};
pub use portcullis_keeper::{
    Containment, Ended, Exit, Limits, OnLoss, Process, Started, Stopped, Verdict, let_go_of_the_start,
    parent_of, peer_handle, processes, spool,
};
pub use program::{Program, end_keepers_of, keepers_of};
pub use said::has_said;
pub use table::{Caller, InUse, NewRun, OpenRun, Run, Runs};

/// The variable that marks everything a run started. The gate's control socket refuses whoever carries it.
pub const MARK: &str = "PORTCULLIS_RUN";
