//! The first words: `initialize` and `server/discover`.

use crate::answer::{Answer, json, rpc_error};
use crate::asker::Asker;
use crate::gate::Gate;
use crate::links;
use crate::session::{NewSession, Route, Session};
use http::{HeaderValue, StatusCode};
use portcullis_admit::{Principal, What};
use portcullis_upstreams::{Link, TASKS, Upstream};
use portcullis_wire::{
    Envelope, Era, INVALID_PARAMS, Id, LATEST_OLD, MODERN, OLD_VERSIONS, UPSTREAM_FAILED, known_client,
    known_old_version, member, meta, result_response, text,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// Opens a session. A stale session id that the client still sends does not matter.
pub(crate) async fn initialize(gate: &Arc<Gate>, mut asker: Asker, message: &Envelope) -> Answer {
    let Some(id) = message.id() else {
        return rpc_error(
            StatusCode::BAD_REQUEST,
            None,
            INVALID_PARAMS,
            "`initialize` is a request: it has an id",
        );
    };
    let peek = message.peek();
    let Some(asked) = peek.protocol_version.and_then(text) else {
        let why = "`params.protocolVersion` must be a string";
        return rpc_error(StatusCode::OK, Some(id), INVALID_PARAMS, why);
    };
    let object = |json: Option<&str>| json.filter(|json| json.starts_with('{')).unwrap_or("{}").to_owned();
    asker.capabilities = object(peek.capabilities).into();
    asker.client_info = known_client(&object(peek.client_info)).into();
    asker.principal.client = client_name(&asker.client_info).into();
    // Old clients treat another version than their own as fatal, so one that we know is echoed.
    let version = if known_old_version(&asked) { asked.into_owned() } else { LATEST_OLD.to_owned() };
    let new = NewSession {
        grant: asker.principal.name().to_owned(),
        route: asker.route.clone(),
        version,
        client: asker.client_info.clone(),
        client_name: asker.principal.client.clone(),
        capabilities: asker.capabilities.clone(),
        room: asker.rooms.answers.clone(),
    };
    let opened = gate.sessions.open(new, gate.next_caller(), &gate.options().sessions);
    let (session, ended) = match opened {
        Ok(opened) => opened,
        Err(why) => {
            return rpc_error(StatusCode::TOO_MANY_REQUESTS, Some(id), UPSTREAM_FAILED, &why.to_string());
        }
    };
    drop(gate.end_sessions(ended, "its session was ended for a newer one"));
    asker.session = Some(session.clone());
    asker.caller = session.caller;
    let result = match &asker.route {
        Route::One(name) => one(gate, &asker, name, &session).await,
        Route::All => Ok(all(gate, &asker, &session)),
    };
    match result {
        Ok(result) => {
            let mut answer = json(StatusCode::OK, result_response(id, &result));
            if let Ok(value) = HeaderValue::from_str(&session.id) {
                answer.headers_mut().insert("mcp-session-id", value);
            }
            answer
        }
        Err(why) => {
            gate.sessions.remove(&session.id);
            rpc_error(StatusCode::OK, Some(id), UPSTREAM_FAILED, &why)
        }
    }
}

/// Characters of a client's name and version with a slash between: as much of them as goes on to servers
/// ([`known_client`](portcullis_wire::known_client)).
const CLIENT_NAME: usize = 401;

/// Name and version of a client as one word for the record.
pub(crate) fn client_name(info: &str) -> String {
    let part = |name| member(info, name).and_then(text).unwrap_or_default();
    let (name, version) = (part("name"), part("version"));
    // The last slash ends the name, also of one that has slashes and no version.
    let full = if version.is_empty() && !name.contains('/') {
        name.into_owned()
    } else {
        format!("{name}/{version}")
    };
    full.chars().filter(|c| !c.is_control()).take(CLIENT_NAME).collect()
}

async fn one(gate: &Arc<Gate>, asker: &Asker, name: &str, session: &Session) -> Result<String, String> {
    let upstream = gate.upstream(name).ok_or("this upstream is gone")?;
    let chosen =
        links::choose(gate, asker, &upstream).await.map_err(|unavailable| unavailable.to_string())?;
    let mut hello = object(chosen.link.hello());
    if chosen.link.era() == Era::New {
        for name in ["resultType", "supportedVersions", "ttlMs", "cacheScope"] {
            hello.remove(name);
        }
        let server =
            hello.get_mut("_meta").and_then(Value::as_object_mut).and_then(|meta| meta.remove(meta::SERVER));
        let server = server.unwrap_or_else(|| json!({ "name": &**upstream.name(), "version": "" }));
        hello.insert("serverInfo".into(), server);
    }
    hello.insert("protocolVersion".into(), session.version.clone().into());
    narrow(gate, asker, &upstream, &chosen.link, &mut hello);
    Ok(Value::Object(hello).to_string())
}

/// Whether the policy lets somebody use what a server offers under that capability.
fn may_use(gate: &Gate, who: &Principal, upstream: &str, capability: &str) -> bool {
    match capability {
        "prompts" => gate.admit.may(who, upstream, What::Prompt),
        "resources" => gate.admit.may(who, upstream, What::Resource),
        "completions" => gate.admit.may_ask_for(who, upstream, What::Method, "completion/complete"),
        "logging" => gate.admit.may_ask_for(who, upstream, What::Method, "logging/setLevel"),
        _ => gate.admit.default_allows(&who.grant, upstream),
    }
}

/// The members of what a server says at the beginning (`InitializeResult`, `DiscoverResult`).
const HELLO: [&str; 9] = [
    "_meta",
    "cacheScope",
    "capabilities",
    "instructions",
    "protocolVersion",
    "resultType",
    "serverInfo",
    "supportedVersions",
    "ttlMs",
];

/// Leaves out what the protocol does not have, capabilities that the policy lets nobody use, and instructions that are not meant for
/// people.
fn narrow(gate: &Gate, asker: &Asker, upstream: &Upstream, link: &Link, hello: &mut Map<String, Value>) {
    hello.retain(|name, _| HELLO.contains(&name.as_str()));
    // Nobody has to call anything for these to be read.
    let said = hello.get("instructions").map(|text| json!({ "instructions": text }));
    if said.is_some_and(|said| portcullis_catalogue::blocks(&said)) {
        tracing::warn!(upstream = %upstream.name(), "its instructions speak to the model behind its user's back: they are kept back");
        hello.remove("instructions");
    }
    let Some(Value::Object(capabilities)) = hello.get_mut("capabilities") else { return };
    // Tasks are calls of tools that take long.
    let of_tools = |name: &str| matches!(name, "tools" | "tasks" | "extensions");
    let may = |name: &str| may_use(gate, &asker.principal, upstream.name(), name);
    capabilities.retain(|name, _| of_tools(name) || may(name));
    let other = gate.admit.default_allows(&asker.principal.grant, upstream.name());
    if let (false, Some(Value::Object(extensions))) = (other, capabilities.get_mut("extensions")) {
        extensions.retain(|name, _| name == TASKS);
    }
    if link.era() == Era::New && asker.era == Era::Old {
        capabilities.remove("extensions");
    } else if link.era() == Era::Old && asker.era == Era::New {
        capabilities.retain(|name, _| name != "tasks");
    }
}

/// Whether the gate itself may make tasks, of calls that wait for a person. In the old era it does where a client asks for one, which
/// it may only where the server has tasks.
fn makes_tasks(gate: &Gate, asker: &Asker, upstream: &Upstream) -> bool {
    asker.era == Era::New && gate.admit.holds_calls(&asker.principal, upstream.name())
}

fn all(gate: &Gate, asker: &Asker, session: &Session) -> String {
    let mut result = json!({
        "protocolVersion": session.version,
        "capabilities": own_capabilities(gate, asker),
        "serverInfo": own_info(),
    });
    add_instructions(gate, asker, &mut result);
    result.to_string()
}

fn own_info() -> Value {
    json!({ "name": "portcullis", "title": "Portcullis", "version": env!("CARGO_PKG_VERSION") })
}

fn own_capabilities(gate: &Gate, asker: &Asker) -> Value {
    let upstreams = gate.upstreams();
    let may =
        |capability: &str| upstreams.keys().any(|name| may_use(gate, &asker.principal, name, capability));
    let mut capabilities = json!({ "tools": { "listChanged": true } });
    if let Some(members) = capabilities.as_object_mut() {
        for (name, offers) in [
            ("prompts", json!({ "listChanged": true })),
            ("resources", json!({ "listChanged": true, "subscribe": true })),
            ("completions", json!({})),
            ("logging", json!({})),
        ] {
            if may(name) && (name != "logging" || asker.era == Era::Old) {
                members.insert(name.into(), offers);
            }
        }
    }
    let tasks = gate.upstreams().values().any(|upstream| {
        gate.admit.covers(&asker.principal, upstream.name())
            && (upstream.has_tasks(asker.era) || makes_tasks(gate, asker, upstream))
    });
    if let (true, Some(members)) = (tasks, capabilities.as_object_mut()) {
        match asker.era {
            Era::Old => members.insert(
                "tasks".into(),
                json!({ "list": {}, "cancel": {}, "requests": { "tools": { "call": {} } } }),
            ),
            Era::New => members.insert("extensions".into(), json!({ TASKS: {} })),
        };
    }
    capabilities
}

/// The instructions of the upstreams that are up, each under its name.
fn add_instructions(gate: &Gate, asker: &Asker, result: &mut Value) {
    let mut parts = Vec::new();
    for (name, upstream) in gate.upstreams().iter() {
        if !gate.admit.covers(&asker.principal, name) {
            continue;
        }
        if let Some(text) = upstream.instructions() {
            parts.push(format!("## {name} (tools `{name}__…`)\n{text}"));
        }
    }
    if let (false, Some(members)) = (parts.is_empty(), result.as_object_mut()) {
        members.insert("instructions".into(), parts.join("\n\n").into());
    }
}

/// Says what the gate offers to a client of the new era.
pub(crate) async fn discover(gate: &Arc<Gate>, asker: &Asker, id: &Id) -> Answer {
    let result = match &asker.route {
        Route::All => {
            let mut result = json!({
                "resultType": "complete",
                "supportedVersions": versions(),
                "capabilities": own_capabilities(gate, asker),
                "ttlMs": 0,
                "cacheScope": "private",
                "_meta": { meta::SERVER: own_info() },
            });
            add_instructions(gate, asker, &mut result);
            result
        }
        Route::One(name) => {
            let Some(upstream) = gate.upstream(name) else {
                return rpc_error(StatusCode::OK, Some(id), UPSTREAM_FAILED, "this upstream is gone");
            };
            let chosen = match links::choose(gate, asker, &upstream).await {
                Ok(chosen) => chosen,
                Err(why) => return rpc_error(StatusCode::OK, Some(id), UPSTREAM_FAILED, &why.to_string()),
            };
            let mut hello = object(chosen.link.hello());
            if chosen.link.era() == Era::Old {
                let server = hello.remove("serverInfo").unwrap_or_default();
                hello.remove("protocolVersion");
                hello.insert("_meta".into(), json!({ meta::SERVER: server }));
                hello.insert("resultType".into(), "complete".into());
                hello.insert("ttlMs".into(), 0.into());
                hello.insert("cacheScope".into(), "private".into());
                hello.insert("supportedVersions".into(), versions());
            }
            narrow(gate, asker, &upstream, &chosen.link, &mut hello);
            if makes_tasks(gate, asker, &upstream) {
                add_tasks(&mut hello);
            }
            Value::Object(hello)
        }
    };
    json(StatusCode::OK, result_response(id, &result.to_string()))
}

fn add_tasks(hello: &mut Map<String, Value>) {
    let capabilities = hello.entry("capabilities").or_insert_with(|| json!({})).as_object_mut();
    let extensions = capabilities.map(|all| all.entry("extensions").or_insert_with(|| json!({})));
    if let Some(Value::Object(extensions)) = extensions {
        extensions.entry(TASKS).or_insert_with(|| json!({}));
    }
}

fn versions() -> Value {
    OLD_VERSIONS.iter().copied().chain([MODERN]).rev().collect::<Vec<_>>().into()
}

fn object(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}
