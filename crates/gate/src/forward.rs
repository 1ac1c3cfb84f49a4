//! From a request to a call in flight.

use crate::answer::{Answer, json, rpc_error};
use crate::asker::Asker;
use crate::call::{about_lost, denial};
use crate::entered::Entered;
use crate::gate::Gate;
use crate::mrtr;
use crate::outlet::outlet;
use crate::rewrite::Known;
use crate::target::{self, NoTarget, Target};
use crate::tasks::target::NOT_FOUND;
use crate::tasks::{self, State};
use http::StatusCode;
use portcullis_runs::NewRun;
use portcullis_wire::{
    Envelope, Era, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, error_response,
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
    let message = match message.meta().related_task {
        Some(_) => tasks::message::back(&gate.tasks, asker.principal.name(), &message),
        None => message,
    };
    let Target { upstream, message, name, task } = match target::find(gate, asker, message) {
        Ok(target) => target,
        Err(NoTarget::Method) => {
            let status = if asker.era == Era::New { StatusCode::NOT_FOUND } else { StatusCode::OK };
            return rpc_error(status, Some(&id), METHOD_NOT_FOUND, &format!("Method not found: {method}"));
        }
        Err(NoTarget::Undeclared) => {
            let why = "the client did not declare the extension of tasks";
            gate.admit.refused(&asker.principal, None, Some(&id), why).await;
            return tasks::target::undeclared(&id);
        }
        Err(NoTarget::Task) => {
            let who = &asker.principal;
            gate.admit.unknown(who, &method, "", &id, NOT_FOUND).await;
            return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, NOT_FOUND);
        }
        Err(NoTarget::Name(name)) => return unknown(gate, asker, &id, &method, &name).await,
    };
    if let Some(task) = task.as_ref().filter(|task| task.state() == State::Lost) {
        let why = format!("the task is lost: {}", task.why().unwrap_or_default());
        gate.admit.unavailable(&asker.principal, upstream.name(), &name, &id, &why).await;
        let answer = about_lost(task, &method, &message);
        return json(StatusCode::OK, answer.with_id(&id.to_json()));
    }
    if let Some(task) = task.as_ref().filter(|task| task.is_ours()) {
        if let Some(why) = gate.admit.drops().holds(asker.principal.name(), upstream.name()) {
            let denied = gate.admit.dropped(&asker.principal, upstream.name(), &name, &id, why).await;
            return json(StatusCode::OK, denial(&id, asker.era, false, &denied));
        }
        return tasks::ours::answer(gate, asker, task.clone(), &message).await;
    }
    let calls_a_tool = &*method == "tools/call";
    if calls_a_tool && message.peek().name.is_none_or(|raw| !raw.starts_with('"')) {
        let why = "`params.name` must be a string";
        gate.admit.refused(&asker.principal, Some(upstream.name()), Some(&id), why).await;
        return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, why);
    }
    let progress = message.meta().progress_token.map(str::to_owned);
    let (out, inlet) = outlet(asker.takes_events, &asker.rooms);
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
    let prefix = asker.aggregated().then(|| upstream.name().to_string());
    let entered = Entered {
        gate: gate.clone(),
        asker: asker.clone(),
        upstream,
        message,
        name,
        calls_a_tool,
        task,
        open,
        known: Known { id, progress, prefix },
        outlet: out,
    };
    inlet.answer_of(Box::pin(entered.run())).await
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
