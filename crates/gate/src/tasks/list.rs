//! `tasks/list`, which only the core design has: a grant's own tasks, over all upstreams of the route.

use super::Task;
use super::look::{Looked, look};
use crate::answer::{Answer, json, rpc_error};
use crate::asker::Asker;
use crate::call::denial;
use crate::gate::Gate;
use crate::session::Route;
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use http::StatusCode;
use portcullis_wire::{Envelope, Era, INVALID_PARAMS, Splice, insert_member, member, result_response, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Tasks at most in one page.
const PAGE: usize = 100;
/// How long servers may take to say how their tasks stand; after that they are listed as they were last.
const PATIENCE: Duration = Duration::from_secs(2);

/// Answers `tasks/list`. Those under way are asked for anew.
pub(crate) async fn answer(gate: &Arc<Gate>, asker: &Asker, message: &Envelope) -> Answer {
    let Some(id) = message.id() else {
        return rpc_error(StatusCode::BAD_REQUEST, None, INVALID_PARAMS, "no id");
    };
    let from = match message.peek().cursor.map(text) {
        None => String::new(),
        Some(cursor) => match cursor.as_deref().and_then(|cursor| open_cursor(gate, asker, cursor)) {
            Some(place) => place,
            None => {
                return rpc_error(StatusCode::OK, Some(id), INVALID_PARAMS, "this cursor is not one of ours");
            }
        },
    };
    let (who, grant) = (&asker.principal, asker.principal.name());
    let upstreams: Vec<Arc<str>> = match &asker.route {
        Route::One(name) => vec![name.clone()],
        Route::All => gate.upstreams().keys().filter(|name| gate.admit.covers(who, name)).cloned().collect(),
    };
    let dropped: BTreeMap<&Arc<str>, String> = upstreams
        .iter()
        .filter_map(|name| gate.admit.drops().holds(grant, name).map(|why| (name, why)))
        .collect();
    if let (true, Some((name, why))) = (dropped.len() == upstreams.len(), dropped.first_key_value()) {
        let denied = gate.admit.dropped(who, name, "", id, why.clone()).await;
        return json(StatusCode::OK, denial(id, Era::Old, false, &denied));
    }
    let mut own = gate.tasks.all();
    let now = portcullis_ledger::now_ms();
    own.retain(|task| {
        &*task.owner == grant
            && task.design == Era::Old
            && upstreams.contains(&task.upstream)
            && !task.is_over(now)
            && !task.is_behind()
            && place_of(task) > from
    });
    let more = own.len() > PAGE;
    own.truncate(PAGE);
    let mut silent: BTreeMap<Arc<str>, String> =
        dropped.into_iter().map(|(name, why)| (name.clone(), why)).collect();
    let asked = own.iter().filter(|task| !task.state().is_final() && !silent.contains_key(&task.upstream));
    let looks = asked.map(|task| async move {
        let looked = tokio::time::timeout(PATIENCE, look(gate, task)).await;
        match looked.unwrap_or_else(|_| Looked::Unreached("it did not answer in time".into())) {
            Looked::Unreached(why) => Some((task.upstream.clone(), why)),
            Looked::Heard | Looked::Unknown => None,
        }
    });
    silent.extend(join_all(looks).await.into_iter().flatten());
    let items: Vec<String> = own.iter().map(|task| item(asker, task)).collect();
    let mut result = format!("{{\"tasks\":[{}]", items.join(","));
    if let (true, Some(last)) = (more, own.last()) {
        result
            .push_str(&format!(",\"nextCursor\":{}", Value::from(seal_cursor(gate, asker, &place_of(last)))));
    }
    if !silent.is_empty() {
        let named: Vec<Value> = silent
            .iter()
            .map(|(name, why)| json!({ "name": &**name, "state": "down", "reason": why }))
            .collect();
        result.push_str(&format!(",\"_meta\":{{\"portcullis/upstreams\":{}}}", Value::from(named)));
    }
    result.push('}');
    json(StatusCode::OK, result_response(id, &result))
}

/// A task as it is listed; on the aggregated route it names its upstream.
fn item(asker: &Asker, task: &Task) -> String {
    let said = task.said();
    if !asker.aggregated() {
        return said;
    }
    let mut splice = Splice::new(said.as_bytes());
    let home = Value::from(&*task.upstream).to_string();
    match member(&said, "_meta").filter(|meta| meta.starts_with('{')) {
        Some(meta) => {
            let start = (meta.as_ptr() as usize).saturating_sub(said.as_ptr() as usize);
            insert_member(&mut splice, &(start..start + meta.len()), "portcullis/upstream", &home);
        }
        None => {
            let meta = format!("{{\"portcullis/upstream\":{home}}}");
            insert_member(&mut splice, &(0..said.len()), "_meta", &meta);
        }
    }
    String::from_utf8(splice.finish().to_vec()).unwrap_or_default()
}

/// Where a task stands in the order of lists: by age.
fn place_of(task: &Task) -> String {
    format!("{:020}.{}", task.created, task.id)
}

/// A cursor that only this client can use.
fn seal_cursor(gate: &Gate, asker: &Asker, place: &str) -> String {
    let text = format!("tasks {} {:?} {place}", asker.principal.name(), asker.route);
    let seal = BASE64URL_NOPAD.encode(&gate.ledger().token_hash(&text));
    BASE64URL_NOPAD.encode(format!("{place} {seal}").as_bytes())
}

fn open_cursor(gate: &Gate, asker: &Asker, cursor: &str) -> Option<String> {
    let text = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
    let place = text.split_once(' ')?.0.to_owned();
    (seal_cursor(gate, asker, &place) == cursor).then_some(place)
}
