//! The servers behind the gate in the shape of the registry's read API (0.1), so that a client which reads a registry finds
//! them, each at its address here. Who asks sees those that their grant covers.

use crate::answer::{Answer, json as json_answer, plain};
use crate::gate::Gate;
use crate::listing::sees;
use http::header::HOST;
use http::request::Parts;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use portcullis_admit::Principal;
use portcullis_catalogue::{ListKind, Risk};
use portcullis_ledger::time_text;
use portcullis_upstreams::Upstream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const PATH: &str = "/v0.1/servers";
/// The namespace of names: what stands behind a gate is nobody's to publish.
const NAMESPACE: &str = "local.portcullis/";
const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
/// Servers of a page, where nothing else is asked for, and at most.
const PAGE: usize = 30;
const LONGEST: usize = 100;

/// Whether a path is one of its own.
pub(crate) fn is_here(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|below| below.is_empty() || below.starts_with('/'))
}

/// Answers one request.
pub(crate) fn answer(gate: &Gate, who: &Principal, head: &Parts) -> Answer {
    if head.method != Method::GET {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "the registry is read with GET");
    }
    let below = head.uri.path().strip_prefix(PATH).unwrap_or_default();
    let parts: Vec<String> = below
        .split('/')
        .filter(|part| !part.is_empty())
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let base = base(head);
    let one = |name: &str| {
        let upstream = gate.upstream(name.strip_prefix(NAMESPACE)?)?;
        gate.admit.covers(who, upstream.name()).then(|| server(gate, who, &upstream, &base))
    };
    let found = match *parts.as_slice() {
        [] => list(gate, who, &base, head.uri.query().unwrap_or_default()),
        [name, "versions"] => {
            one(name).map(|server| json!({ "servers": [server], "metadata": { "count": 1 } }))
        }
        [name, "versions", version] => one(name)
            .filter(|it| version == "latest" || it.pointer("/server/version") == Some(&version.into())),
        _ => None,
    };
    match found {
        Some(found) => json_answer(StatusCode::OK, found.to_string()),
        None => json_answer(
            StatusCode::NOT_FOUND,
            json!({ "error": "there is no such server for this grant" }).to_string(),
        ),
    }
}

/// A page of them, in the order of their names. `None` where the query asks for what cannot be.
fn list(gate: &Gate, who: &Principal, base: &str, query: &str) -> Option<Value> {
    let asked: BTreeMap<String, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| {
            (name.to_owned(), percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
        })
        .collect();
    let asked = |name: &str| asked.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let most = asked("limit").map_or(Some(PAGE), |limit| limit.parse().ok())?.clamp(1, LONGEST);
    let (after, part) = (asked("cursor").unwrap_or_default(), asked("search").map(str::to_lowercase));
    let upstreams = gate.upstreams();
    let mut names: Vec<&Arc<str>> = upstreams
        .keys()
        .filter(|name| gate.admit.covers(who, name) && &***name > after)
        .filter(|name| part.as_ref().is_none_or(|part| format!("{NAMESPACE}{name}").contains(part.as_str())))
        .collect();
    names.sort_unstable();
    let next = (names.len() > most).then(|| names.get(most - 1).map(|name| name.to_string())).flatten();
    let servers: Vec<Value> = names
        .into_iter()
        .take(most)
        .filter_map(|name| upstreams.get(name))
        .map(|upstream| server(gate, who, upstream, base))
        .collect();
    let mut metadata = json!({ "count": servers.len() });
    if let (Some(next), Some(metadata)) = (next, metadata.as_object_mut()) {
        metadata.insert("nextCursor".into(), next.into());
    }
    Some(json!({ "servers": servers, "metadata": metadata }))
}

/// One server: where it is reached, and how many tools of which risk this grant sees.
fn server(gate: &Gate, who: &Principal, upstream: &Upstream, base: &str) -> Value {
    let name = upstream.name();
    let tools = upstream.own_list(ListKind::Tools);
    let seen = tools
        .iter()
        .flat_map(|list| list.items())
        .filter(|item| sees(gate, who, upstream, ListKind::Tools, item));
    let mut risks: BTreeMap<Risk, usize> = BTreeMap::new();
    for risk in seen.filter_map(|item| item.tool()).map(|tool| tool.risk) {
        *risks.entry(risk).or_default() += 1;
    }
    let count: usize = risks.values().sum();
    let gravest = risks
        .keys()
        .next_back()
        .map(|risk| format!(", the gravest of risk {}", risk.as_str()))
        .unwrap_or_default();
    let risks: BTreeMap<&str, usize> = risks.iter().map(|(risk, count)| (risk.as_str(), *count)).collect();
    let accepted = gate.admit.pins().accepted(name);
    let version = accepted
        .as_ref()
        .and_then(|(identity, _)| identity.version.clone())
        .unwrap_or_else(|| "0.0.0".into());
    let since = accepted.map(|(_, since)| time_text(since));
    let tools = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
    json!({
        "server": {
            "$schema": SCHEMA,
            "name": format!("{NAMESPACE}{name}"),
            "title": &**name,
            "description": format!("{tools} behind the gate{gravest}"),
            "version": version,
            "remotes": [{
                "type": "streamable-http",
                "url": format!("{base}/mcp/{name}"),
                "headers": [{
                    "name": "Authorization", "value": "Bearer {token}", "isRequired": true, "isSecret": true,
                    "variables": { "token": { "description": "The token of a grant", "isRequired": true, "isSecret": true } },
                }],
            }],
            "_meta": { "io.modelcontextprotocol.registry/publisher-provided": { "tools": count, "risks": risks } },
        },
        "_meta": { "io.modelcontextprotocol.registry/official": {
            "status": "active", "isLatest": true, "publishedAt": since, "updatedAt": since,
        } },
    })
}

/// Where the gate is for whoever asks: a proxy before it may end TLS.
fn base(head: &Parts) -> String {
    let secure = head.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = head.uri.authority().map(http::uri::Authority::as_str).or(named).unwrap_or("localhost");
    format!("{}://{host}", if secure { "https" } else { "http" })
}
