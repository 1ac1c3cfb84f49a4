//! What is known of tools, and what of it was accepted.

use super::api::No;
use super::runs::own_user;
use crate::running::Running;
use crate::scan;
use http::StatusCode;
use portcullis_admit::{Kept, ServerPin, ToolPin};
use portcullis_catalogue::{Entry, Known, ListKind, Severity, compare, differences, recommended_for};
use portcullis_ledger::time_text;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Every tool of every upstream, or of one: an array of objects.
pub(super) fn list(running: &Running, upstream: Option<&str>) -> Result<Value, No> {
    if let Some(name) = upstream
        && !running.gate.upstreams().contains_key(name)
    {
        return Err(No::usage(format!(
            "there is no upstream named `{name}`; `portcullis status` shows them"
        )));
    }
    let kept = running.gate.admit().pins().kept(None)?;
    // All of them, whichever are asked for: a definition may be about another server's tools.
    let mut known: BTreeMap<String, Known> = BTreeMap::new();
    for name in kept.servers.keys() {
        let pins = kept.tools.iter().filter(|((of, _), _)| of == name);
        let definition = |pin: &ToolPin| {
            pin.seen.as_ref().map(|seen| &seen.definition).or(pin.definition.as_ref()).cloned()
        };
        known.insert(name.clone(), Known::of(name, pins.filter_map(|(_, pin)| definition(pin)).collect()));
    }
    // What is built in is ours, and is not held against anything.
    let upstreams = running.gate.upstreams();
    for (name, server) in upstreams.iter().filter(|(name, _)| !kept.servers.contains_key(&***name)) {
        let Some(list) = server.own_list(ListKind::Tools) else { continue };
        let definitions =
            list.items().iter().filter_map(|item| serde_json::from_str(item.raw()).ok()).collect();
        known.insert(name.to_string(), Known::of(name, definitions));
    }
    compare(&mut known.iter_mut().map(|(name, known)| (name.as_str(), known)).collect::<Vec<_>>());
    let mut found = Vec::new();
    for (name, known) in known.iter().filter(|(name, _)| upstream.is_none_or(|upstream| upstream == *name)) {
        match kept.servers.get(name) {
            Some(server) => pinned(name, server, &kept, known, &mut found),
            None => {
                found.extend(known.tools.iter().map(|it| about(name, &it.tool.name, "built in", Some(it))))
            }
        }
    }
    Ok(Value::from(found))
}

/// A server that was accepted: it itself where it became another, and its tools.
fn pinned(name: &str, server: &ServerPin, kept: &Kept, known: &Known, found: &mut Vec<Value>) {
    if let Some(seen) = &server.seen {
        found.push(json!({
            "upstream": name, "tool": null, "state": "changed", "accepted": server.identity.to_string(),
            "seen": seen.to_string(), "since": time_text(server.since),
        }));
    }
    for ((_, tool), pin) in kept.tools.iter().filter(|((of, _), _)| of == name) {
        let entry = known.tools.iter().find(|entry| entry.tool.name == *tool);
        let seen = pin.seen.as_ref();
        let mut shown = about(name, tool, pin.state(), entry);
        let more = json!({
            "fingerprint": seen.map(|seen| &seen.fingerprint).or(pin.accepted.last()),
            "accepted": pin.accepted, "since": time_text(seen.map_or(pin.at, |seen| seen.at)),
            "by": pin.by, "reason": pin.reason,
            "definition": pin.definition, "seen": seen.map(|seen| &seen.definition),
            "differences": match (&pin.definition, seen) {
                (Some(before), Some(seen)) => json!(differences(before, &seen.definition)),
                _ => Value::Null,
            },
        });
        extend(&mut shown, more);
        found.push(shown);
    }
}

/// What is known of a tool by its definition, and the policy that is recommended for it.
fn about(upstream: &str, tool: &str, state: &str, entry: Option<&Entry>) -> Value {
    let mut shown = json!({
        "upstream": upstream, "tool": tool, "state": state, "category": null, "risk": null, "why": null, "quality": null,
        "findings": null, "policy": null,
    });
    if let Some(entry) = entry {
        extend(&mut shown, scan::tool(entry));
        extend(&mut shown, json!({ "policy": recommended_for(entry) }));
    }
    shown
}

fn extend(shown: &mut Value, more: Value) {
    if let (Some(members), Value::Object(more)) = (shown.as_object_mut(), more) {
        members.extend(more);
    }
}

/// What to accept, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToAccept {
    upstream: String,
    tool: Option<String>,
    reason: Option<String>,
}

/// Accepts what waits, and says what that was.
pub(super) async fn accept(running: &Running, body: &[u8]) -> Result<Value, No> {
    let ToAccept { upstream, tool, reason } =
        serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))?;
    let accepted = running
        .gate
        .admit()
        .pins()
        .accept(&upstream, tool.as_deref(), &own_user(), reason.as_deref())
        .await?;
    if accepted.is_empty() {
        let what = tool.map_or(upstream.clone(), |tool| format!("{upstream} {tool}"));
        let hint =
            format!("nothing of `{what}` waits to be accepted; `portcullis catalogue list` shows what does");
        return Err(No(StatusCode::NOT_FOUND, 1, hint));
    }
    let blocking = blocking(running, &upstream, &accepted)?;
    if let Some(upstream) = running.gate.upstream(&upstream) {
        upstream.look_again();
    }
    let server = accepted.iter().any(String::is_empty);
    let tools: Vec<&String> = accepted.iter().filter(|name| !name.is_empty()).collect();
    Ok(json!({ "upstream": upstream, "server": server, "tools": tools, "blocking": blocking }))
}

/// What blocks in the definitions of those tools: whoever accepts them is told what they accept.
fn blocking(running: &Running, upstream: &str, tools: &[String]) -> Result<Vec<Value>, No> {
    let listed = list(running, Some(upstream))?;
    let mut blocking = Vec::new();
    for one in listed.as_array().into_iter().flatten() {
        let Some(tool) = one.get("tool").and_then(Value::as_str) else { continue };
        let findings = one.get("findings").and_then(Value::as_array);
        for finding in findings.into_iter().flatten().filter(|_| tools.iter().any(|name| name == tool)) {
            if finding.get("severity").and_then(Value::as_str) == Some(Severity::Block.as_str()) {
                let mut finding = finding.clone();
                extend(&mut finding, json!({ "tool": tool }));
                blocking.push(finding);
            }
        }
    }
    Ok(blocking)
}
