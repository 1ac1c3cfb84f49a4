//! The keeper holds one run on a machine: it contains the run, keeps what it says, stops it, and proves that nothing of
//! it lives. It is a small program of its own (`portcullis-keeper`), so that what it holds can be stopped whatever
//! becomes of the gate.
//!
//! This library is what the gate and the keeper have in common: the messages between them, one JSON object a line on a
//! socket, and how processes are told apart. The first message is [`Start`], which has everything; more come as [`Order`],
//! and the keeper answers with [`Report`]. Finding a run's processes ([`Members`]) and stopping them ([`stop()`]) are here too:
//! where a keeper was killed, the gate does its work.
//!
//! ```
//! use portcullis_keeper::{Process, Report, processes};
//! // A process is known by its pid and its start time: a pid alone may come to stand for another one.
//! let me = Process::of(std::process::id().try_into().unwrap()).unwrap();
//! assert!(processes().iter().any(|process| process.same_as(&me)));
//! let report: Report = serde_json::from_str(r#"{"exited":{"code":3,"last":["no such file"]}}"#).unwrap();
//! let Report::Exited(exit) = report else { unreachable!() };
//! assert_eq!(exit.to_string(), "exited with code 3");
//! ```

mod cgroup;
mod folder;
mod handle;
mod members;
mod memory;
mod message;
mod peer;
mod process;
pub mod spool;
mod stop;

pub use cgroup::Cgroup;
pub use folder::{Folder, RunFile, boot_id};
pub use handle::{kill, wake};
pub use members::{Members, Usage, Watcher, fetch_ended_children};
pub use memory::let_go_of_the_start;
pub use message::{
    Containment, Ended, Exit, Limits, OnLoss, Order, Output, Proof, Report, Start, Started, Stop, Stopped,
    Survivor, Verdict,
};
pub use peer::peer_handle;
pub use process::{Process, parent_of, processes};
pub use stop::{Ask, stop};
