//! What the gate costs, measured beside what a bare hop costs, in one run on one machine.
//!
//! Three ways lead to the same echo server: [`echo`] directly, through [`pass`] (a reverse proxy
//! that looks at nothing: the yardstick) and through the gate. [`load`] drives each with the same
//! closed loop. [`compare`] gives them short blocks in turn, so that a noisy moment hits all of
//! them, and only ratios within one run are judged. [`run`] does the whole measurement, [`checks`]
//! holds it against the bars, and a [`report`] is what comes out.
//!
//! ```text
//! load ─────────────────────────► echo      direct
//! load ──► pass ────────────────► echo      pass-through
//! load ──► gate (rules, ledger) ► echo      gate
//! ```
//!
//! Everything listens on the loopback only, and what was started is ended by its process id.

pub mod checks;
pub mod compare;
pub mod counts;
pub mod definitions;
pub mod disk;
pub mod echo;
pub mod error;
pub mod gate;
pub mod load;
pub mod machine;
pub mod memory;
pub mod messages;
pub mod pass;
pub mod peer;
pub mod process;
pub mod report;
pub mod run;
pub mod serve;
pub mod table;
pub mod target;
pub mod tools;
pub mod usage;
