//! The log level of a session, at the servers that keep one for this session alone.
//!
//! A server that all share has one level for all: no client sets it.

use crate::asker::Asker;
use crate::call::now_ms;
use crate::gate::Gate;
use crate::rewrite::is_error;
use crate::session::Session;
use portcullis_admit::{Ask, End, Message, Permit, Subject};
use portcullis_upstreams::Link;
use portcullis_wire::{Envelope, Era, Id, request};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to take a level; a call must not wait for it for ever.
const TAKES: Duration = Duration::from_secs(5);

/// The levels that there are (specification, "Log Levels"), JSON.
const LEVELS: [&str; 8] = [
    "\"debug\"",
    "\"info\"",
    "\"notice\"",
    "\"warning\"",
    "\"error\"",
    "\"critical\"",
    "\"alert\"",
    "\"emergency\"",
];

/// Whether a level is one, as JSON.
pub(crate) fn is_level(level: &str) -> bool {
    LEVELS.contains(&level)
}

/// Tells the session's level to all servers that it has a link of its own to.
pub(crate) async fn tell_all(gate: &Gate, asker: &Asker, session: &Session) {
    let links: Vec<_> =
        session.links.lock().await.iter().map(|(name, link)| (name.clone(), link.clone())).collect();
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
    let id = Id::Text("".into());
    let text = request(&id, "logging/setLevel", &format!("{{\"level\":{level}}}"));
    let Ok(envelope) = Envelope::reply(text) else { return };
    let ask = Ask {
        who: &asker.principal,
        upstream,
        run: "",
        request: &id,
        message: Message { envelope, headers: Vec::new() },
        subject: Subject::Other(""),
    };
    let Ok((permit, ticket)) = gate.admit.judge(ask, now_ms()).await else { return };
    let late = || End::Broken(format!("no answer within {} s", TAKES.as_secs()));
    let end = tokio::time::timeout(TAKES, send(link, permit)).await.unwrap_or_else(|_| late());
    ticket.close(&end);
}

async fn send(link: &Link, permit: Permit) -> End {
    let mut reply = match link.send(permit).await {
        Ok(reply) => reply,
        Err(error) if error.not_acted_on() => return End::NotReached(error.to_string()),
        Err(error) => return End::Broken(error.to_string()),
    };
    loop {
        match reply.next().await {
            Ok(Some(heard)) if heard.is_final() => {
                return End::Answered { error: heard.message.as_ref().is_none_or(is_error) };
            }
            Ok(Some(_)) => {}
            Ok(None) => return End::Broken("the upstream ended its stream without an answer".into()),
            Err(broken) => return End::Broken(broken.0),
        }
    }
}
