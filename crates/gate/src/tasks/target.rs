//! Which task a request is about.

use super::message::request_about;
use crate::answer::Answer;
use crate::asker::Asker;
use crate::gate::Gate;
use crate::session::Route;
use crate::target::{NoTarget, Target};
use http::StatusCode;
use portcullis_upstreams::TASKS;
use portcullis_wire::{Envelope, Era, Id, MISSING_CAPABILITY, error_response, member, text};
use serde_json::json;

/// What is said of a task that is not there: not any more, not for this client, or never.
pub(crate) const NOT_FOUND: &str = "Task not found";

/// Whether a request is about a task.
pub(crate) fn is_about_a_task(message: &Envelope) -> bool {
    message.method().is_some_and(|method| method.starts_with("tasks/"))
}

/// Whether a client's capabilities have the extension.
pub(crate) fn declares_tasks(capabilities: &str) -> bool {
    member(capabilities, "extensions").and_then(|all| member(all, TASKS)).is_some_and(|it| it != "null")
}

/// What a client of the new era that did not declare the extension is answered.
pub(crate) fn undeclared(id: &Id) -> Answer {
    let data = json!({ "requiredCapabilities": { "extensions": { TASKS: {} } } });
    let text = "Missing required client capability";
    crate::answer::json(StatusCode::BAD_REQUEST, error_response(Some(id), MISSING_CAPABILITY, text, &data))
}

/// The task and its upstream, with the request as that knows it.
pub(crate) fn find(gate: &Gate, asker: &Asker, message: &Envelope) -> Result<Target, NoTarget> {
    match (asker.era, message.method().unwrap_or_default()) {
        (Era::Old, "tasks/get" | "tasks/result" | "tasks/cancel") => {}
        (Era::New, "tasks/get" | "tasks/update" | "tasks/cancel") => {}
        _ => return Err(NoTarget::Method),
    }
    if asker.era == Era::New && !declares_tasks(&asker.capabilities) {
        return Err(NoTarget::Undeclared);
    }
    let task =
        message.peek().task_id.and_then(text).and_then(|id| gate.tasks.find(asker.principal.name(), &id));
    let task = task.filter(|task| {
        let on_this_route = match &asker.route {
            Route::All => true,
            Route::One(upstream) => *upstream == task.upstream,
        };
        on_this_route && task.design == asker.era && gate.admit.covers(&asker.principal, &task.upstream)
    });
    let task = task.ok_or(NoTarget::Task)?;
    let upstream = gate.upstream(&task.upstream).ok_or(NoTarget::Task)?;
    let message = request_about(&task, message);
    Ok(Target { upstream, message, name: task.tool.to_string(), task: Some(task) })
}
