//! Lists as one client sees them.

use crate::answer::{Answer, events, json, rpc_error};
use crate::asker::Asker;
use crate::gate::Gate;
use crate::links;
use crate::names::{Names, expose_uri, views_of};
use crate::outlet::saying;
use crate::session::Route;
use data_encoding::BASE64URL_NOPAD;
use http::StatusCode;
use portcullis_admit::{Principal, What};
use portcullis_catalogue::{Item, List, ListKind};
use portcullis_upstreams::{Link, ListFailed, State, Upstream, queue};
use portcullis_wire::{
    Envelope, Era, INVALID_PARAMS, Id, Splice, UPSTREAM_FAILED, insert_member, member, result_response,
    span_in, text,
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// Items at most in one page.
const PAGE: usize = 1000;

/// Answers a list request.
pub(crate) async fn answer(gate: &Arc<Gate>, asker: &Asker, message: &Envelope, kind: ListKind) -> Answer {
    let Some(id) = message.id() else {
        return rpc_error(StatusCode::BAD_REQUEST, None, INVALID_PARAMS, "no id");
    };
    let from = match message.peek().cursor.map(text) {
        None => 0,
        Some(cursor) => match cursor.as_deref().and_then(|cursor| open_cursor(gate, asker, kind, cursor)) {
            Some(place) => place,
            None => {
                return rpc_error(StatusCode::OK, Some(id), INVALID_PARAMS, "this cursor is not one of ours");
            }
        },
    };
    match &asker.route {
        Route::One(name) => match gate.upstream(name) {
            Some(upstream) => one(gate, asker, &upstream, kind, id, from).await,
            None => rpc_error(StatusCode::OK, Some(id), INVALID_PARAMS, "this upstream is gone"),
        },
        Route::All => all(gate, asker, kind, id, from).await,
    }
}

/// One upstream's list, its items as they are.
async fn one(
    gate: &Arc<Gate>,
    asker: &Asker,
    upstream: &Arc<Upstream>,
    kind: ListKind,
    id: &Id,
    from: usize,
) -> Answer {
    let (list, link) = match list_of(gate, asker, upstream, kind).await {
        Ok(listed) => listed,
        Err(why) => {
            let why = format!("upstream `{}`: {why}", upstream.name());
            return rpc_error(StatusCode::OK, Some(id), UPSTREAM_FAILED, &why);
        }
    };
    let visible: Vec<&Item> =
        list.items().iter().filter(|item| sees(gate, &asker.principal, upstream, kind, item)).collect();
    let filtered = visible.len() < list.items().len();
    let next = (visible.len() > from + PAGE).then(|| seal_cursor(gate, asker, kind, from + PAGE));
    let mut replaced = Vec::new();
    if asker.era == Era::New {
        if !list.has_member("resultType") {
            replaced.push(("resultType", "\"complete\""));
        }
        if !list.has_member("ttlMs") {
            replaced.push(("ttlMs", "0"));
        }
        // What one grant sees is nobody else's to cache.
        if filtered || !list.has_member("cacheScope") {
            replaced.push(("cacheScope", "\"private\""));
        }
    }
    let page = visible.into_iter().skip(from).take(PAGE);
    let response = result_response(id, &list.write(page, next.as_deref(), &replaced));
    // In the shape that this server answers in.
    if asker.takes_events && link.is_some_and(|link| link.answers_in_events()) {
        let (stream, queue) = queue(&asker.rooms.answers);
        stream.send_last(saying(response).encoded());
        return events(queue);
    }
    json(StatusCode::OK, response)
}

/// All upstreams' lists together, names and URIs prefixed. One that is down is left out and named, one that is
/// starting and known from before is named too.
async fn all(gate: &Arc<Gate>, asker: &Asker, kind: ListKind, id: &Id, from: usize) -> Answer {
    let upstreams: Vec<Arc<Upstream>> = gate
        .upstreams()
        .values()
        .filter(|upstream| gate.admit.covers(&asker.principal, upstream.name()))
        .cloned()
        .collect();
    let asked: Vec<_> = upstreams
        .into_iter()
        .map(|upstream| {
            let (gate, asker, asked) = (gate.clone(), asker.clone(), upstream.clone());
            let patience = upstream.patience();
            let list = tokio::spawn(async move {
                let began = Instant::now();
                let list = list_of(&gate, &asker, &asked, kind).await;
                asked.took(began.elapsed(), !matches!(list, Err(ListTrouble::Down(..))));
                list
            });
            (upstream, patience, list)
        })
        .collect();
    let mut items = Vec::new();
    let mut noted = Vec::new();
    let began = Instant::now();
    for (upstream, patience, list) in asked {
        let listed = match patience {
            None => list.await,
            // It goes on without us, and who asks next may find it well.
            Some(patience) => match tokio::time::timeout_at(began + patience, list).await {
                Ok(listed) => listed,
                Err(_) => {
                    Ok(Err(ListTrouble::Down("down", "it gave no list lately, and is not waited for".into())))
                }
            },
        };
        let Ok(list) = listed else { continue };
        match list {
            Ok((list, link)) => {
                if link.is_none() {
                    let reason = "it has not answered yet; listed as it was last";
                    noted.push(json!({ "name": &**upstream.name(), "state": "starting", "reason": reason }));
                }
                let names = Names::of(upstream.name(), &list);
                for (place, item) in list.items().iter().enumerate() {
                    if sees(gate, &asker.principal, &upstream, kind, item) {
                        items.push(exposed(&upstream, kind, item, names.at(place)));
                    }
                }
            }
            // A server without such a list offers nothing of that kind; it is not down.
            Err(ListTrouble::NotOffered) => {}
            Err(ListTrouble::Down(state, reason)) => {
                noted.push(json!({ "name": &**upstream.name(), "state": state, "reason": reason }));
            }
        }
    }
    let next = (items.len() > from + PAGE).then(|| seal_cursor(gate, asker, kind, from + PAGE));
    let page: Vec<String> = items.into_iter().skip(from).take(PAGE).collect();
    let mut result = format!("{{\"{}\":[{}]", kind.member(), page.join(","));
    if let Some(next) = next {
        result.push_str(&format!(",\"nextCursor\":{}", Value::from(next)));
    }
    if asker.era == Era::New {
        result.push_str(r#","resultType":"complete","ttlMs":0,"cacheScope":"private""#);
    }
    if !noted.is_empty() {
        result.push_str(&format!(",\"_meta\":{{\"portcullis/upstreams\":{}}}", Value::from(noted)));
    }
    result.push('}');
    json(StatusCode::OK, result_response(id, &result))
}

/// Why an upstream contributes nothing to a list.
#[derive(Debug)]
pub(crate) enum ListTrouble {
    /// It has no such list.
    NotOffered,
    /// It cannot be asked: its state and the reason.
    Down(&'static str, String),
}

impl std::fmt::Display for ListTrouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotOffered => f.write_str("it has no such list"),
            Self::Down(_, why) => f.write_str(why),
        }
    }
}

/// The list as this client's link shows it. Without a link: as it was last, of a server that is still starting.
pub(crate) async fn list_of(
    gate: &Arc<Gate>,
    asker: &Asker,
    upstream: &Arc<Upstream>,
    kind: ListKind,
) -> Result<(Arc<List>, Option<Arc<Link>>), ListTrouble> {
    match upstream.list_from_before(kind) {
        Some(Some(list)) => return Ok((list, None)),
        Some(None) if asker.aggregated() => return Err(ListTrouble::NotOffered),
        _ => {}
    }
    let down = |why: String| match upstream.status().state {
        State::Starting => ListTrouble::Down("starting", why),
        State::Ready | State::Down(_) => ListTrouble::Down("down", why),
    };
    if upstream.is_starting_still().await {
        return Err(down("it has not answered yet".to_owned()));
    }
    let mut chosen =
        links::choose(gate, asker, upstream).await.map_err(|unavailable| down(unavailable.reason))?;
    if asker.aggregated() && !chosen.link.declares(kind.capability()) {
        return Err(ListTrouble::NotOffered);
    }
    let mut listed = upstream.list_now(kind, &chosen.link).await;
    if let Err(ListFailed::Send(portcullis_upstreams::SendFailed::SessionLost)) = &listed {
        links::forget(gate, asker, upstream, &chosen);
        chosen =
            links::choose(gate, asker, upstream).await.map_err(|unavailable| down(unavailable.reason))?;
        listed = upstream.list(kind, &chosen.link).await;
    }
    listed.map(|list| (list, Some(chosen.link))).map_err(|error| down(error.to_string()))
}

/// Whether somebody may see an item: by the policy; tools also by what was accepted, everything else where it does not speak to the
/// model.
pub(crate) fn sees(gate: &Gate, who: &Principal, upstream: &Upstream, kind: ListKind, item: &Item) -> bool {
    match kind {
        ListKind::Tools => {
            item.tool().is_some_and(|tool| gate.admit.lists(who, upstream.name(), item.key(), tool))
        }
        _ if item.blocks() => false,
        ListKind::Prompts => gate.admit.may_ask_for(who, upstream.name(), What::Prompt, item.key()),
        ListKind::Resources => gate.admit.may_ask_for(who, upstream.name(), What::Resource, item.key()),
        // What it stands for is judged when it is read.
        ListKind::Templates => gate.admit.may(who, upstream.name(), What::Resource),
    }
}

/// An item under its exposed name; what it is called at home is kept in `title` and `_meta`.
fn exposed(upstream: &Upstream, kind: ListKind, item: &Item, name: &str) -> String {
    let raw = item.raw();
    let mut splice = Splice::new(raw.as_bytes());
    let span_of = |part: &str| span_in(raw, part);
    let shown = match kind {
        ListKind::Tools | ListKind::Prompts => name.to_owned(),
        ListKind::Resources | ListKind::Templates => expose_uri(upstream.name(), item.key()),
    };
    if let Some(old) = member(raw, kind.key()) {
        splice.replace(span_of(old), Value::from(shown).to_string());
    }
    if kind == ListKind::Tools {
        if member(raw, "title").is_none() {
            insert_member(&mut splice, &(0..raw.len()), "title", &Value::from(item.key()).to_string());
        }
        let home = json!({ "upstream": &**upstream.name(), "name": item.key() }).to_string();
        match member(raw, "_meta").filter(|meta| meta.starts_with('{')) {
            Some(meta) => {
                match member(meta, "portcullis/tool") {
                    Some(theirs) => splice.replace(span_of(theirs), home),
                    None => insert_member(&mut splice, &span_of(meta), "portcullis/tool", &home),
                }
                for view in views_of(meta) {
                    let uri = text(view).unwrap_or_default();
                    splice.replace(span_of(view), Value::from(expose_uri(upstream.name(), &uri)).to_string());
                }
            }
            None => {
                let meta = format!("{{\"portcullis/tool\":{home}}}");
                insert_member(&mut splice, &(0..raw.len()), "_meta", &meta);
            }
        }
    }
    String::from_utf8(splice.finish().to_vec()).unwrap_or_default()
}

/// A cursor that only this client can use, for this list.
fn seal_cursor(gate: &Gate, asker: &Asker, kind: ListKind, place: usize) -> String {
    let text = cursor_text(asker, kind, place);
    let seal = gate.ledger().token_hash(&text);
    BASE64URL_NOPAD.encode(format!("{place}.{}", BASE64URL_NOPAD.encode(&seal)).as_bytes())
}

fn open_cursor(gate: &Gate, asker: &Asker, kind: ListKind, cursor: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
    let place: usize = text.split_once('.')?.0.parse().ok()?;
    (seal_cursor(gate, asker, kind, place) == cursor).then_some(place)
}

fn cursor_text(asker: &Asker, kind: ListKind, place: usize) -> String {
    format!("cursor {} {:?} {} {place}", asker.principal.name(), asker.route, kind.method())
}
