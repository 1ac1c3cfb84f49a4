//! The log level of a session, at the servers that keep one for this session alone.
//!
//! A server that all share has one level for all: no client sets it.

use crate::aside::{self, Aside};
use crate::asker::Asker;
use crate::gate::Gate;
use crate::session::Session;
use portcullis_upstreams::Link;
use portcullis_wire::{Era, LOG_LEVELS};
use std::sync::Arc;

/// Whether a level is one, as JSON.
pub(crate) fn is_level(level: &str) -> bool {
    LOG_LEVELS.contains(&level)
}

/// Tells the session's level to all servers that it has a link of its own to.
pub(crate) async fn tell_all(gate: &Gate, asker: &Asker, session: &Session) {
    let links = session.links.all();
    let told = links.iter().map(|(name, link)| tell(gate, asker, session, name, link));
    futures_util::future::join_all(told).await;
}

/// Tells the session's level, where it has set one, to one server.
pub(crate) async fn tell(
    gate: &Gate,
    asker: &Asker,
    session: &Session,
    upstream: &Arc<str>,
    link: &Arc<Link>,
) {
    let level = session.log_level.lock().clone();
    let Some(level) = level.filter(|_| link.era() == Era::Old && !link.is_shared()) else { return };
    if !link.declares("logging") {
        return;
    }
    let params = format!("{{\"level\":{level}}}");
    let set =
        Aside { who: &asker.principal, upstream, method: "logging/setLevel", params: &params, name: "" };
    // A refusal is on record, and for nobody: the call that needs the link goes on.
    let _ = aside::send(gate, link, &set).await;
}
