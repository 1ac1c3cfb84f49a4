//! Which link a request goes out on.

use crate::asker::Asker;
use crate::gate::{Gate, PoolKey};
use crate::inbox::SessionInbox;
use crate::tasks::Task;
use portcullis_admit::What;
use portcullis_upstreams::{Link, Need, Opened, Quiet, Roots, Unavailable, Upstream};
use portcullis_wire::{Era, known_capabilities};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A link, and under which key it is pooled where it is.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub link: Arc<Link>,
    pub pooled: Option<PoolKey>,
}

/// The link for a request: the session's own one, the sessionless new era, or a pooled session of the old era
/// for a client of the new one. Opening one is rare and large: it must not make every call's state larger.
pub(crate) async fn choose(
    gate: &Arc<Gate>,
    asker: &Asker,
    upstream: &Arc<Upstream>,
) -> Result<Chosen, Unavailable> {
    match &asker.session {
        Some(session) => {
            let lives = |link: &Arc<Link>| link.closed().is_none();
            if let Some(link) = session.links.get(upstream.name()).filter(lives) {
                return Ok(Chosen { link, pooled: None });
            }
            upstream.ready().await?;
            let offered = offered(gate, asker, upstream, &asker.capabilities);
            let inbox = Arc::new(SessionInbox::new(gate, session, upstream));
            let need = Need {
                grant: &session.grant,
                offered: &offered,
                client: &session.client,
                version: &session.version,
                inbox,
            };
            let opened = session.links.open(upstream.name(), lives, async || upstream.link_for(&need).await);
            let link = match Box::pin(in_time(upstream, opened)).await? {
                Opened::There(link) => link,
                Opened::Now(link) => {
                    crate::streams::attach(gate, session, upstream, &link);
                    if session.log_level.lock().is_some() {
                        Box::pin(crate::logging::tell(gate, asker, session, upstream.name(), &link)).await;
                    }
                    link
                }
                // The session ended, or the server was taken out of the configuration.
                Opened::TakenOut(link) => {
                    drop(link.end_own());
                    link
                }
            };
            Ok(Chosen { link, pooled: None })
        }
        None => {
            let first = upstream.ready().await?;
            if first.era() == Era::New {
                return Ok(Chosen { link: first, pooled: None });
            }
            // On one line for all calls nobody knows which of them a question belongs to.
            let offered = match first.is_line() {
                true => "{}".into(),
                false => offered(gate, asker, upstream, &asker.capabilities),
            };
            let grant = asker.principal.name();
            let key = PoolKey {
                grant: grant.to_owned(),
                upstream: upstream.name().clone(),
                offered: offered.clone(),
            };
            let need = Need {
                grant,
                offered: &offered,
                client: &asker.client_info,
                version: portcullis_wire::LATEST_OLD,
                inbox: Arc::new(Quiet),
            };
            pooled(gate, upstream, key, &need).await
        }
    }
}

/// The pooled link of a key, opened for this need where there is none.
async fn pooled(
    gate: &Gate,
    upstream: &Arc<Upstream>,
    key: PoolKey,
    need: &Need<'_>,
) -> Result<Chosen, Unavailable> {
    let link = in_time(upstream, gate.pool.get(&key, async || upstream.link_for(need).await)).await?;
    Ok(Chosen { link, pooled: Some(key) })
}

/// Waits for a link that is opened, by whoever, for as long as a server may take for that.
async fn in_time<T>(
    upstream: &Upstream,
    opened: impl Future<Output = Result<T, Unavailable>>,
) -> Result<T, Unavailable> {
    let opened = tokio::time::timeout(upstream.spec().limits.first_connect, opened).await;
    opened.unwrap_or_else(|_| Err(upstream.too_late()))
}

/// The link on which a task is asked about: the one that it was made on, or one of its era.
pub(crate) async fn of_task(
    gate: &Gate,
    upstream: &Arc<Upstream>,
    task: &Task,
) -> Result<Chosen, Unavailable> {
    if let Some(link) = task.link() {
        return Ok(Chosen { link, pooled: None });
    }
    let first = upstream.ready().await?;
    if first.era() == task.design && (task.design == Era::New || first.is_line()) {
        return Ok(Chosen { link: first, pooled: None });
    }
    let key =
        PoolKey { grant: task.owner.to_string(), upstream: upstream.name().clone(), offered: "{}".into() };
    let need = Need {
        grant: &task.owner,
        offered: "{}",
        client: r#"{"name":"portcullis","version":"0"}"#,
        version: portcullis_wire::LATEST_OLD,
        inbox: Arc::new(Quiet),
    };
    pooled(gate, upstream, key, &need).await
}

/// The link for a client's request about its task. Where the one that it was made on is gone, the client's own.
pub(crate) async fn of_task_for(
    gate: &Arc<Gate>,
    asker: &Asker,
    upstream: &Arc<Upstream>,
    task: &Task,
) -> Result<Chosen, Unavailable> {
    if task.link().is_none() && asker.session.is_some() {
        let own = Box::pin(choose(gate, asker, upstream)).await?;
        if own.link.era() == task.design {
            return Ok(own);
        }
    }
    Box::pin(of_task(gate, upstream, task)).await
}

/// Forgets a link on which a task was asked about and that the upstream ended.
pub(crate) fn forget_of_task(gate: &Gate, task: &Task, chosen: &Chosen) {
    if task.is_of(&chosen.link) {
        drop(task.let_go());
    }
    if let Some(key) = &chosen.pooled {
        gate.pool.forget(key);
    }
}

/// Forgets a link that the upstream ended, so that the next choice opens a new one.
pub(crate) fn forget(gate: &Gate, asker: &Asker, upstream: &Upstream, chosen: &Chosen) {
    if let Some(session) = &asker.session {
        session.links.take_if(upstream.name(), |link| Arc::ptr_eq(link, &chosen.link));
    }
    if let Some(key) = &chosen.pooled {
        gate.pool.forget(key);
    }
}

/// What of the client's capabilities is offered to an upstream: what it declared, as far as the gate can route
/// it and the policy lets a server ask for it. Roots only where the entry says so: a client's roots would
/// widen what some servers touch.
pub(crate) fn offered(gate: &Gate, asker: &Asker, upstream: &Upstream, declared: &str) -> String {
    let (who, name) = (&asker.principal, upstream.name());
    let other = gate.admit.default_allows(&who.grant, name);
    let declared = if other { Cow::Borrowed(declared) } else { known_capabilities(declared) };
    let mut capabilities: Map<String, Value> = serde_json::from_str(&declared).unwrap_or_default();
    let may = |asked: &str| gate.admit.may_ask_for(who, name, What::ServerRequest, asked);
    capabilities.retain(|asked, _| match asked.as_str() {
        "sampling" | "elicitation" | "roots" => may(asked),
        _ => other,
    });
    if asker.aggregated() {
        capabilities.retain(|name, _| matches!(name.as_str(), "sampling" | "elicitation" | "roots"));
    }
    match upstream.spec().roots {
        Roots::Client => {}
        Roots::Fixed(_) if !may("roots") => {}
        Roots::Fixed(_) => drop(capabilities.insert("roots".into(), Value::Object(Map::new()))),
        Roots::None => drop(capabilities.remove("roots")),
    }
    Value::Object(capabilities).to_string()
}

/// A client's capabilities as a server of the new era is told of them: without what it may not ask for. A client of the new era says
/// with each request whether it shows its roots for it; for one of the old era the entry says so. What an entry fixes as the roots
/// cannot be asked for there.
pub(crate) fn asked_for<'a>(
    gate: &Gate,
    asker: &Asker,
    upstream: &Upstream,
    declared: &'a str,
) -> Cow<'a, str> {
    let may = |asked: &str| {
        gate.admit.may_ask_for(&asker.principal, upstream.name(), What::ServerRequest, asked)
            && (asked != "roots" || asker.era == Era::New || matches!(upstream.spec().roots, Roots::Client))
    };
    let is_kept = |name: &str| !matches!(name, "sampling" | "elicitation" | "roots") || may(name);
    if portcullis_wire::keys(declared).iter().all(|name| is_kept(name)) {
        return Cow::Borrowed(declared);
    }
    let mut capabilities: Map<String, Value> = serde_json::from_str(declared).unwrap_or_default();
    capabilities.retain(|name, _| is_kept(name));
    Cow::Owned(Value::Object(capabilities).to_string())
}

/// What of a client's capabilities any upstream may be offered for one request.
pub(crate) fn routable(declared: &str) -> String {
    let mut capabilities: Map<String, Value> =
        serde_json::from_str(&known_capabilities(declared)).unwrap_or_default();
    capabilities.retain(|name, _| matches!(name.as_str(), "sampling" | "elicitation"));
    Value::Object(capabilities).to_string()
}

/// Whether the one upstream of a route is spoken to in the old era, in a conversation of the session's own.
pub(crate) async fn has_own_of_old(gate: &Arc<Gate>, asker: &Asker) -> bool {
    let crate::session::Route::One(name) = &asker.route else { return false };
    let Some(upstream) = gate.upstream(name) else { return false };
    choose(gate, asker, &upstream)
        .await
        .is_ok_and(|chosen| chosen.link.era() == Era::Old && !chosen.link.is_shared())
}
