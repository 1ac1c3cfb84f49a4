//! Who asks, and how.

use crate::session::{Route, Session};
use http::HeaderMap;
use portcullis_admit::Principal;
use portcullis_runs::Caller;
use portcullis_upstreams::Rooms;
use portcullis_wire::Era;
use std::sync::Arc;

/// One request's surroundings.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub principal: Principal,
    pub route: Route,
    pub era: Era,
    /// The session; requests of the new era have none.
    pub session: Option<Arc<Session>>,
    /// The number under which cancellations find the request.
    pub caller: Caller,
    pub headers: HeaderMap,
    /// Whether it came through `portcullis stdio`: what HTTP clients repeat in headers stands in the message alone.
    pub is_stdio: bool,
    /// What the client can do, JSON.
    pub capabilities: Arc<str>,
    /// Name and version of the client, JSON.
    pub client_info: Arc<str>,
    /// Whether the client accepts an event stream.
    pub takes_events: bool,
    /// Where what belongs to its grant waits.
    pub rooms: Arc<Rooms>,
}

impl Asker {
    /// Whether names and URIs carry the upstream's name.
    pub(crate) fn aggregated(&self) -> bool {
        self.route == Route::All
    }
}
