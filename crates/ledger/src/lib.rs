//! Durable memory of the gate: the chained record of every decision and outcome, grants, and the counters of
//! limits, in one SQLite file in the data folder.
//!
//! One connection writes. A caller that finds it free commits its own row; where several wait, a thread commits
//! them all in one transaction (group commit). [`Ledger::append`] answers when the row is kept: in the operating system's hands, which survives
//! a SIGKILL of the gate, or on the disk, which survives a power cut ([`Keep`]). Where it cannot be kept, the
//! caller learns why and must let nothing pass; the next attempt tries again, so a disk that has room again
//! needs no restart.
//!
//! Rows are linked by hash ([`chain`](crate::Head)): row n's hash covers row n-1's hash and row n's text. The
//! head can be signed with the key of the gate and kept elsewhere; without one head kept elsewhere a chain
//! proves nothing against whoever can rewrite the whole file.
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use portcullis_ledger::{Draft, Keep, Kind, Ledger, Outcome};
//! let folder = tempfile::tempdir().unwrap();
//! let ledger = Ledger::open(folder.path()).unwrap();
//! let row = Draft { grant: Some("me"), tool: Some("echo"), outcome: Some(Outcome::Allowed), ..Draft::of(Kind::Decision) };
//! let n = ledger.append(row.write(), Vec::new(), Keep::Process).await.unwrap();
//! assert_eq!(n, 1);
//! assert!(portcullis_ledger::verify(folder.path(), None).unwrap().ok);
//! # });
//! ```

mod audit;
mod beside;
mod chain;
mod check;
mod clock;
mod counters;
mod durable;
mod files;
mod grants;
mod key;
mod ledger;
mod let_go;
mod offline;
mod pins;
mod query;
mod row;
mod schema;
mod slice;
mod store;
mod tasks;
mod verify;
mod writer;

pub use audit::{Audit, Finding, audit};
pub use beside::{ApprovalRow, Beside};
pub use chain::{Head, SignedHead};
pub use check::Checked;
pub use clock::{ClockWatch, Jump, now_ms, stamp as time_text};
pub use counters::{CounterKey, CounterRow};
pub use durable::{create_file, replace_file};
pub use grants::{Grant, TokenHash, new_token};
pub use key::GateKey;
pub use ledger::{Keep, Ledger};
pub use let_go::LetGo;
pub use offline::{definitions, grants};
pub use pins::PinRow;
pub use query::{Filter, query};
pub use row::{Draft, Kind, Outcome, Written, bounded, bounds};
pub use schema::{FILE, Failure};
pub use tasks::TaskRow;
pub use verify::{Report, verify};
