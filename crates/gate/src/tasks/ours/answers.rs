//! What a client hears that asks about a task of the gate's own.

use super::{Ours, end_as};
use crate::answer::{Answer, json, rpc_error};
use crate::asker::Asker;
use crate::call::QUIET;
use crate::gate::Gate;
use crate::outlet::{Outlet, outlet, saying};
use crate::rewrite::with_result_meta;
use crate::session::Asked;
use crate::tasks::look::keep;
use crate::tasks::target::NOT_FOUND;
use crate::tasks::{State, Task};
use http::StatusCode;
use portcullis_ledger::now_ms;
use portcullis_wire::{
    Envelope, Era, INTERNAL_ERROR, INVALID_PARAMS, Id, METHOD_NOT_FOUND, error_response, meta, notification,
    request, result_response,
};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Answers a client's request about a task of the gate's own.
pub(crate) async fn answer(
    gate: &Arc<Gate>,
    asker: &Arc<Asker>,
    task: Arc<Task>,
    message: &Envelope,
) -> Answer {
    let (Some(id), Some(method)) = (message.id().cloned(), message.method()) else {
        return rpc_error(StatusCode::BAD_REQUEST, None, INVALID_PARAMS, "no id");
    };
    let acknowledged = r#"{"resultType":"complete"}"#;
    is_kept(gate, &task).await;
    match method {
        "tasks/get" => json(StatusCode::OK, result_response(&id, &task.in_full())),
        "tasks/update" => {
            let given =
                message.peek().input_responses.map(serde_json::from_str::<BTreeMap<String, &RawValue>>);
            let Some(Ok(given)) = given else {
                let why = "`params.inputResponses` must be an object";
                return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, why);
            };
            for (key, answer) in given {
                task.answered(&key, Some(answer.get().to_owned()));
            }
            json(StatusCode::OK, result_response(&id, acknowledged))
        }
        "tasks/cancel" => {
            if task.design == Era::Old && task.state().is_final() {
                let why = format!("Cannot cancel the task: it is {}", task.state().as_str());
                return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, &why);
            }
            cancel(gate, &task).await;
            let result = match task.design {
                Era::Old => task.said(),
                Era::New => acknowledged.to_owned(),
            };
            json(StatusCode::OK, result_response(&id, &result))
        }
        "tasks/result" => {
            let (out, inlet) = outlet(asker.takes_events, &asker.rooms);
            inlet.answer_of(Box::pin(give_result(gate.clone(), asker.clone(), task, id, out))).await
        }
        _ => rpc_error(StatusCode::OK, Some(&id), METHOD_NOT_FOUND, &format!("Method not found: {method}")),
    }
}

/// Whoever hears of the end of a task must find it so after a restart.
async fn is_kept(gate: &Arc<Gate>, task: &Arc<Task>) {
    if task.is_end_to_be_kept() {
        keep(gate, task, None).await;
    }
}

async fn cancel(gate: &Arc<Gate>, task: &Arc<Task>) {
    let Some(ours) = task.ours().filter(|_| !task.state().is_final()) else { return };
    let why = "the client cancelled the task";
    task.want_stopped("client", now_ms());
    task.told_to_stop();
    // First, or the call's own end would be the task's.
    end_as(gate, task, State::Cancelled, Some(why.to_owned())).await;
    ours.run.stop(why);
}

/// Answers `tasks/result`, which waits for the end. What is asked of the client meanwhile is asked on this stream (2025-11-25,
/// "Input Required Status").
async fn give_result(gate: Arc<Gate>, asker: Arc<Asker>, task: Arc<Task>, id: Id, mut out: Outlet) {
    let mut changed = task.watch();
    loop {
        changed.mark_unchanged();
        if task.state().is_final() {
            is_kept(&gate, &task).await;
            let answer = final_answer(&task, &id);
            return out.finish(StatusCode::OK, saying(answer));
        }
        let question = if out.takes_events() { task.next_question() } else { None };
        if let Some((key, method, params)) = question {
            if !carry_question(&asker, &task, &mut out, (&key, &method, &params)).await {
                return task.not_sent(&key);
            }
            continue;
        }
        let quiet = out.takes_events() && !out.is_stream();
        tokio::select! {
            _ = changed.changed() => {}
            () = out.gone() => return,
            () = tokio::time::sleep(QUIET), if quiet => drop(out.begin()),
        }
    }
}

/// Asks the client and takes the answer to the task. Gives whether the stream is still there.
async fn carry_question(
    asker: &Asker,
    task: &Arc<Task>,
    out: &mut Outlet,
    (key, method, params): (&str, &str, &str),
) -> bool {
    let (tell, answer) = oneshot::channel();
    let asked =
        asker.session.as_ref().and_then(|session| Some((session, session.ask(Asked::Call(tell)).ok()?)));
    let Some((session, number)) = asked else {
        task.answered(key, None);
        return true;
    };
    let id = Id::from(number);
    let mut changed = task.watch();
    out.event(saying(request(&id, method, params))).await;
    let mut answer = std::pin::pin!(answer);
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => {
                let answer = answer.ok().and_then(|answer| Envelope::reply(answer).ok());
                task.answered(key, answer.as_ref().and_then(Envelope::result).map(str::to_owned));
                return true;
            }
            () = out.gone() => {
                drop(session.answered(&id));
                return false;
            }
            _ = changed.changed() => {}
        }
        if !task.asks(|question| question.key == key) {
            drop(session.answered(&id));
            let params =
                json!({ "requestId": number, "reason": "nobody needs to know any more" }).to_string();
            out.event(saying(notification("notifications/cancelled", &params))).await;
            return true;
        }
    }
}

/// What the call was answered, for whoever asks under that id for the task's result.
fn final_answer(task: &Task, id: &Id) -> bytes::Bytes {
    if task.state() == State::Cancelled {
        let why = task.why().map(|why| format!("the task was cancelled: {why}"));
        let why = why.unwrap_or_else(|| "the task was cancelled".into());
        return error_response(Some(id), INTERNAL_ERROR, &why, &Value::Null);
    }
    match task.ours().and_then(Ours::answer) {
        Some(answer) => {
            let related = json!({ "taskId": &*task.id }).to_string();
            with_result_meta(&answer, meta::RELATED_TASK, &related).with_id(&id.to_json())
        }
        None => error_response(Some(id), INVALID_PARAMS, NOT_FOUND, &Value::Null),
    }
}
