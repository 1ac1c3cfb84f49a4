//! From a request to a call in flight.

use crate::answer::{Answer, json, rpc_error};
use crate::asker::Asker;
use crate::call::{About, Call};
use crate::gate::Gate;
use crate::headers;
use crate::links::{self, Chosen};
use crate::mrtr;
use crate::outlet::outlet;
use crate::rewrite::{Known, with_meta, without_modern_meta};
use crate::target::{self, NoTarget, Target};
use http::StatusCode;
use portcullis_admit::Message;
use portcullis_catalogue::ListKind;
use portcullis_runs::NewRun;
use portcullis_upstreams::Upstream;
use portcullis_wire::{
    Envelope, Era, HEADER_MISMATCH, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND,
    MODERN, UPSTREAM_FAILED, error_response, meta,
};
use serde_json::Value;
use std::sync::Arc;

/// The rule that rows of calls beyond `limits.calls` name.
const TOO_MANY: &str = "(too many calls)";

/// Sends a request on its way and gives its answer, or the stream on which it will come.
pub(crate) async fn forward(gate: &Arc<Gate>, asker: &Arc<Asker>, message: Envelope) -> Answer {
    let Some(id) = message.id().cloned() else { return json(StatusCode::ACCEPTED, "") };
    let method: Box<str> = message.method().unwrap_or_default().into();
    let shown = target::named(&message).into_owned();
    let Target { upstream, message, name } = match target::find(gate, asker, message) {
        Ok(target) => target,
        Err(NoTarget::Method) => {
            let status = if asker.era == Era::New { StatusCode::NOT_FOUND } else { StatusCode::OK };
            return rpc_error(status, Some(&id), METHOD_NOT_FOUND, &format!("Method not found: {method}"));
        }
        Err(NoTarget::Name(name)) => return unknown(gate, asker, &id, &method, &name).await,
    };
    let calls_a_tool = &*method == "tools/call";
    if calls_a_tool && message.peek().name.is_none_or(|raw| !raw.starts_with('"')) {
        let why = "`params.name` must be a string";
        gate.admit.refused(&asker.principal, Some(upstream.name()), Some(&id), why).await;
        return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, why);
    }
    let progress = message.meta().progress_token.map(str::to_owned);
    let (out, inlet) = outlet(asker.takes_events);
    // The retry of a parked call wakes it; it was judged when it was opened.
    let out = match asker.era {
        Era::Old => out,
        Era::New => {
            let grant = asker.principal.name();
            match mrtr::wake(gate, grant, upstream.name(), &message, progress.clone(), out) {
                Ok(()) => return inlet.answer().await,
                Err(out) => out,
            }
        }
    };
    // Before anything is done for it. Calls that arrive at the same moment may pass the bound by as many as they are.
    if gate.runs.count() >= gate.options().calls {
        let why = "too many calls are in flight at this gate (limits.calls)";
        gate.admit.turned_away(&asker.principal, Some(upstream.name()), Some(&id), TOO_MANY, why).await;
        return rpc_error(StatusCode::TOO_MANY_REQUESTS, Some(&id), INTERNAL_ERROR, why);
    }
    // Before anything is waited for: a cancellation finds the call from here on.
    let opened = gate.runs.open(NewRun {
        caller: asker.caller,
        request: id.clone(),
        owner: asker.principal.name().into(),
        upstream: upstream.name().clone(),
        method,
        name: shown.into(),
    });
    let open = match opened {
        Ok(open) => open,
        Err(in_use) => {
            let why = in_use.to_string();
            gate.admit.refused(&asker.principal, Some(upstream.name()), Some(&id), &why).await;
            return rpc_error(StatusCode::OK, Some(&id), INVALID_REQUEST, &why);
        }
    };
    let chosen = match links::choose(gate, asker, &upstream).await {
        Ok(chosen) => chosen,
        Err(unavailable) => {
            let why = unavailable.to_string();
            gate.admit.unavailable(&asker.principal, upstream.name(), &name, &id, &why).await;
            return rpc_error(StatusCode::OK, Some(&id), UPSTREAM_FAILED, &why);
        }
    };
    let about = if calls_a_tool { look_up(&upstream, &chosen, name).await } else { About::Other(name) };
    let headers = match outgoing_headers(asker, &upstream, &chosen, &about, &message) {
        Ok(headers) => headers,
        Err(why) => {
            gate.admit.refused(&asker.principal, Some(upstream.name()), Some(&id), &why).await;
            return rpc_error(StatusCode::BAD_REQUEST, Some(&id), HEADER_MISMATCH, &why);
        }
    };
    let message = match (asker.era, chosen.link.era()) {
        (Era::Old, Era::New) => modernised(asker, &chosen, &message),
        (Era::New, Era::Old) => without_modern_meta(&message),
        _ => message,
    };
    let prefix = asker.aggregated().then(|| upstream.name().to_string());
    let call = Call {
        gate: gate.clone(),
        asker: asker.clone(),
        upstream,
        chosen,
        message: Message { envelope: message, headers },
        about,
        open,
        known: Known { id, progress, prefix },
        outlet: Some(out),
        elsewhere: None,
    };
    inlet.answer_of(Box::pin(call.run())).await
}

/// A name that no upstream has. Recorded like every call that was not let through.
async fn unknown(gate: &Gate, asker: &Asker, id: &portcullis_wire::Id, method: &str, name: &str) -> Answer {
    let what = match method {
        "tools/call" => "tool",
        "prompts/get" => "prompt",
        _ => "resource",
    };
    let why = format!("Unknown {what}: {name}");
    gate.admit.unknown(&asker.principal, method, name, id, &why).await;
    json(StatusCode::OK, error_response(Some(id), INVALID_PARAMS, &why, &Value::Null))
}

/// What the lists know of a tool. One that they do not have is asked for once more.
async fn look_up(upstream: &Upstream, chosen: &Chosen, name: String) -> About {
    if let Ok(list) = upstream.list(ListKind::Tools, &chosen.link).await
        && list.get(&name).is_some()
    {
        return About::Tool(list, name);
    }
    match upstream.list_again(ListKind::Tools, &chosen.link).await {
        Ok(list) if list.get(&name).is_some() => About::Tool(list, name),
        _ => About::UnknownTool(name),
    }
}

/// Headers that go with a call: those that the configuration passes on, and the mirrored arguments.
fn outgoing_headers(
    asker: &Asker,
    upstream: &Upstream,
    chosen: &Chosen,
    about: &About,
    message: &Envelope,
) -> Result<Vec<(String, String)>, String> {
    let mut out: Vec<(String, String)> = upstream
        .spec()
        .forward_headers
        .iter()
        .filter_map(|name| Some((name.clone(), asker.headers.get(name)?.to_str().ok()?.to_owned())))
        .collect();
    let tool = match about {
        About::Tool(list, name) => list.get(name).and_then(|item| item.tool()),
        _ => None,
    };
    let arguments = message.peek().arguments.unwrap_or("{}");
    if asker.era == Era::New {
        if let Some(tool) = tool {
            headers::check(tool, arguments, &asker.headers)?;
        }
        out.extend(headers::forwarded(&asker.headers));
    } else if let (Some(tool), Era::New) = (tool, chosen.link.era()) {
        out.extend(headers::mirrored(tool, arguments));
    }
    Ok(out)
}

/// A request of the old era as the new one writes it.
fn modernised(asker: &Asker, chosen: &Chosen, message: &Envelope) -> Envelope {
    let level = asker.session.as_ref().and_then(|session| session.log_level.lock().clone());
    let version = format!("\"{MODERN}\"");
    let offered = match chosen.link.is_shared() {
        // A shared link was opened with no client features, but each request of the new era brings its own.
        true => crate::links::routable(&asker.capabilities),
        false => chosen.link.offered().to_owned(),
    };
    let mut members = vec![
        (meta::VERSION, version.as_str()),
        (meta::CAPABILITIES, offered.as_str()),
        (meta::CLIENT, &asker.client_info),
    ];
    if let Some(level) = &level {
        members.push((meta::LOG_LEVEL, level));
    }
    with_meta(message, &members)
}
