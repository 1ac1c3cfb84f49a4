//! What is known of tools, and what of it was accepted.

use super::api::No;
use super::runs::own_user;
use crate::running::Running;
use http::StatusCode;
use portcullis_catalogue::{Entry, Known, ListKind, differences};
use portcullis_ledger::time_text;
use serde::Deserialize;
use serde_json::{Value, json};

/// Every tool of every upstream, or of one: an array of objects.
pub(super) fn list(running: &Running, upstream: Option<&str>) -> Result<Value, No> {
    if let Some(name) = upstream
        && !running.gate.upstreams().contains_key(name)
    {
        return Err(No::usage(format!(
            "there is no upstream named `{name}`; `portcullis status` shows them"
        )));
    }
    let kept = running.gate.admit().pins().kept(upstream)?;
    let mut found = Vec::new();
    for (name, server) in &kept.servers {
        let pins: Vec<_> = kept.tools.iter().filter(|((of, _), _)| of == name).collect();
        let definition =
            |seen: Option<&Value>, accepted: Option<&Value>| seen.or(accepted).cloned().unwrap_or_default();
        let definitions = pins
            .iter()
            .map(|(_, pin)| {
                definition(pin.seen.as_ref().map(|seen| &seen.definition), pin.definition.as_ref())
            })
            .collect();
        let known = Known::of(name, definitions);
        if let Some(seen) = &server.seen {
            found.push(json!({
                "upstream": name, "tool": null, "state": "changed", "accepted": server.identity.to_string(),
                "seen": seen.to_string(), "since": time_text(server.since),
            }));
        }
        for ((_, tool), pin) in pins {
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
    // What is built in is ours, and is not held against anything.
    let upstreams = running.gate.upstreams();
    let ours = upstreams.iter().filter(|(name, _)| {
        !kept.servers.contains_key(&***name) && upstream.is_none_or(|upstream| upstream == &***name)
    });
    for (name, upstream) in ours {
        let Some(list) = upstream.own_list(ListKind::Tools) else { continue };
        let definitions =
            list.items().iter().filter_map(|item| serde_json::from_str(item.raw()).ok()).collect();
        for entry in &Known::of(name, definitions).tools {
            found.push(about(name, &entry.tool.name, "built in", Some(entry)));
        }
    }
    Ok(Value::from(found))
}

fn about(upstream: &str, tool: &str, state: &str, entry: Option<&Entry>) -> Value {
    let category = entry.map(|entry| entry.class.category);
    json!({
        "upstream": upstream, "tool": tool, "state": state, "category": category,
        "risk": category.map(portcullis_catalogue::Category::risk), "why": entry.map(|entry| entry.class.why()),
        "quality": entry.map(|entry| json!({ "score": entry.quality.score, "tier": entry.quality.tier })),
        "findings": entry.map(|entry| &entry.findings),
    })
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
    if let Some(upstream) = running.gate.upstream(&upstream) {
        upstream.look_again();
    }
    let server = accepted.iter().any(String::is_empty);
    let tools: Vec<&String> = accepted.iter().filter(|name| !name.is_empty()).collect();
    Ok(json!({ "upstream": upstream, "server": server, "tools": tools }))
}
