//! What deciding costs: our language, Cedar and CEL, with the same policies and the same calls in one run.
//!
//! All engines have to give the same answers before anything is timed. `bench/README.md` says what is compared with what.

pub mod agreement;
pub mod allocations;
pub mod calls;
pub mod cedar;
pub mod cel;
pub mod deciding;
pub mod engine;
pub mod error;
pub mod loading;
// The one that the other benchmark has: a path, so that this one is built without its servers.
#[path = "../../src/machine.rs"]
pub mod machine;
pub mod ours;
pub mod policies;
pub mod report;
pub mod rounds;
