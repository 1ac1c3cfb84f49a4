//! Tasks: work at a server that goes on after the call that began it was answered.
//!
//! There are two designs, the core tasks of 2025-11-25 and the extension `io.modelcontextprotocol/tasks` of
//! 2026-07-28; a task belongs to the one in which it was made. Clients know a task by an id of the gate's own
//! ([`Task::id`]), which stands for one task of one upstream and one grant; whoever else comes with it learns no more
//! than with an id that was never given. The registry ([`Tasks`]) is kept in the ledger's file before a client hears of a
//! task, so it outlives the gate. As long as a task lives somebody looks after it (`look`), whether or not its client
//! does, so what was started is never forgotten and can be stopped (`stop`). Some the gate makes itself (`ours`).

pub(crate) mod list;
pub(crate) mod look;
pub(crate) mod message;
pub(crate) mod ours;
mod registry;
mod stop;
pub(crate) mod target;
mod task;

pub(crate) use registry::NotKept;
pub use registry::{Counts, Tasks};
pub use stop::TaskStopped;
pub(crate) use task::NewTask;
pub use task::{State, Task};
