//! The MCP servers behind the gate.
//!
//! An [`Upstream`] is one configured server: how to reach it, whether it can be reached, what it lists. It
//! keeps itself connected in the background. A [`Link`] is one conversation with it: a session of the old
//! era, or the sessionless new era, over Streamable HTTP, HTTP+SSE or stdio. [`Link::send`] is the only way
//! out of the gate and takes a [`Permit`](portcullis_admit::Permit) by value; what comes back is read from
//! its [`Reply`].
//!
//! Era types end here on this side: nothing above learns how a server speaks except through
//! [`Link::era`].

mod builtins;
mod cells;
mod client;
mod encoding;
mod given_up;
mod http_line;
mod inbox;
mod link;
mod lists;
mod mux;
mod old_sse;
mod open;
mod origin;
mod outbox;
mod process;
mod reply;
mod rest;
mod room;
mod spec;
mod stdio;
mod tasks;
mod upstream;

pub use builtins::Builtins;
pub use cells::{Cells, Opened};
pub use client::HttpClient;
pub use inbox::{Inbox, Quiet};
pub use link::{Link, SendFailed};
pub use lists::{Before, ListFailed, reading as definition_reading};
pub use reply::{Broken, Heard, Reply};
pub use room::{Full, Receiver, Room, Rooms, Sender, Uncollected, Unread, queue};
pub use spec::{Builtin, BuiltinSpec, CommandSpec, How, Limits, Per, Roots, Spec, Transport, UrlSpec};
pub use tasks::TASKS;
pub use upstream::{Change, Need, State, Status, Unavailable, Upstream};
