//! The way through.
//!
//! A request is data that never turns back: bytes become one strict message at the edge (`edge`), get an
//! identity and a session, are resolved to one upstream and its own names (`target`), take a link
//! (`links`), and become a `call`, which is judged, sent, passed back and recorded. What the gate answers
//! by itself (opening, lists, subscriptions) is in `hello`, `listing` and `streams`.
//!
//! [`Gate::handle`] takes one HTTP request from anywhere: the listener of [`serve()`], or the control socket.

mod answer;
mod approvals;
mod aside;
mod asked;
mod asker;
mod body;
mod call;
mod changes;
mod edge;
mod endpoint;
mod entered;
mod expiry;
mod forward;
mod gate;
mod headers;
mod hello;
mod inbox;
mod links;
mod listing;
mod logging;
mod modern;
mod mrtr;
mod names;
mod old;
mod outlet;
mod registry;
mod renewal;
mod resumable;
mod rewrite;
mod serve;
mod session;
mod stalled;
mod streams;
mod target;
mod tasks;
mod unstirred;

pub use answer::Answer;
pub use body::Body;
pub use endpoint::Via;
pub use gate::{Gate, InForce, Options, Upstreams};
pub use portcullis_admit::Grants;
pub use serve::serve;
pub use session::SessionLimits;
pub use tasks::{Counts as TaskCounts, State as TaskState, Task, TaskStopped, Tasks};
