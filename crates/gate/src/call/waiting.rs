//! Calls that wait for their task, because their client knows none: it gets the result in the end, as of any other call.
//! In the core design the server is asked for the result, which comes when there is one; in the extension it is asked
//! how the task stands.

use super::questions::answers_of;
use super::{Call, QUIET};
use crate::asker::Asker;
use crate::mrtr::Inputs;
use crate::outlet::{left, saying};
use crate::rewrite::with_params;
use crate::tasks::message::answer_about;
use crate::tasks::target::declares_tasks;
use crate::tasks::{State, Task, look};
use http::StatusCode;
use memchr::memmem;
use portcullis_admit::{End, Housekeeping};
use portcullis_catalogue::List;
use portcullis_upstreams::{Link, Reply, TASKS};
use portcullis_wire::{
    Envelope, Era, INTERNAL_ERROR, Splice, UPSTREAM_FAILED, error_response, member, notification,
    result_response,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use tokio::time::Instant;

/// A call of a tool with what its server needs to make a task of it, where the client knows no tasks. Gives whether the
/// client is to wait for the result.
pub(crate) fn as_task(
    asker: &Asker,
    link: &Link,
    list: Option<&List>,
    name: &str,
    message: Envelope,
) -> (Envelope, bool) {
    if !link.declares_tasks() {
        return (message, false);
    }
    match (asker.era, link.era()) {
        (Era::Old, Era::Old) if message.peek().task.is_some() => (message, false),
        (_, Era::Old) if only_as_task(list, name) => (with_params(&message, &[("task", "{}")]), true),
        (Era::New, Era::New) if asker.aggregated() && !declares_tasks(&asker.capabilities) => {
            let Some(capabilities) = message.meta().capabilities else { return (message, false) };
            let mut splice = Splice::new(message.bytes());
            splice.replace(message.span_of(capabilities), with_tasks(capabilities));
            (Envelope::reply(splice.finish()).unwrap_or(message), true)
        }
        _ => (message, false),
    }
}

/// Whether a tool of the core design can be called as a task alone.
fn only_as_task(list: Option<&List>, name: &str) -> bool {
    list.and_then(|list| task_support(list, name)) == Some("\"required\"")
}

/// What a tool says of tasks in the core design, JSON.
pub(super) fn task_support<'l>(list: &'l List, name: &str) -> Option<&'l str> {
    let raw = list.get(name)?.raw();
    memmem::find(raw.as_bytes(), b"taskSupport")?;
    member(raw, "execution").and_then(|it| member(it, "taskSupport"))
}

/// Capabilities of a client with the extension of tasks.
pub(crate) fn with_tasks(capabilities: &str) -> String {
    let mut all: Map<String, Value> = serde_json::from_str(capabilities).unwrap_or_default();
    let extensions = all.entry("extensions").or_insert_with(|| json!({}));
    match extensions.as_object_mut() {
        Some(extensions) => drop(extensions.insert(TASKS.into(), json!({}))),
        None => *extensions = json!({ TASKS: {} }),
    }
    Value::Object(all).to_string()
}

impl Call {
    /// Asks the server of a core task for its result: `reply` then brings it, and what the server asks on the way.
    pub(super) async fn ask_for_result(&mut self, task: &Arc<Task>, reply: &mut Reply) -> Result<(), End> {
        match self.chosen.link.send_about_task(Housekeeping::TaskResult, &task.theirs, None).await {
            Ok(next) => {
                *reply = next;
                Ok(())
            }
            Err(error) => Err(self.broken(&error.to_string()).await),
        }
    }

    /// Waits for the end of a task of the extension; gives what the call would have been answered.
    pub(super) async fn wait_for_task(
        &mut self,
        task: &Arc<Task>,
        made: &Envelope,
        deadline: Instant,
    ) -> Result<Envelope, End> {
        if let Some(outlet) = &mut self.outlet {
            outlet.begin();
        }
        let mut changed = task.watch();
        let (mut steps, mut asked) = (0, Vec::new());
        loop {
            let link = self.chosen.link.clone();
            let answer = link.ask_about_task(Housekeeping::TaskGet, &task.theirs, None).await;
            if let Ok(answer) = &answer {
                let looked = look::note(&self.gate, task, answer).await;
                if task.state().is_final() || looked == look::Looked::Unknown {
                    return Ok(final_answer(task, made, answer));
                }
                if task.state() == State::InputRequired {
                    let mut inputs = Inputs::of(answer);
                    // A question is shown until its answer has arrived.
                    inputs.requests.retain(|one| !asked.contains(&one.key));
                    asked.extend(inputs.requests.iter().map(|one| one.key.clone()));
                    if !inputs.requests.is_empty() {
                        self.answer_task(task, &inputs, deadline).await?;
                        continue;
                    }
                }
            }
            steps += 1;
            self.tell_step(steps, answer.ok().as_ref()).await;
            let gone = left(self.outlet.as_mut(), self.asker.era);
            tokio::select! {
                biased;
                () = self.open.cancelled().cancelled() => return Err(self.cancelled_before().await),
                () = gone => return Err(End::Cancelled("the client closed the stream".into())),
                () = tokio::time::sleep_until(deadline) => return Err(self.timed_out(0).await),
                _ = changed.changed() => {}
                () = tokio::time::sleep(task.poll()) => {}
            }
        }
    }

    /// Asks the client what a task wants to know and brings the server the answers.
    async fn answer_task(&mut self, task: &Arc<Task>, inputs: &Inputs, deadline: Instant) -> Result<(), End> {
        let asked = self.judge_inputs(inputs).await?;
        let answers = self.ask_client(inputs, deadline).await.and_then(|raw| answers_of(asked, &raw));
        let answers = match answers {
            Ok(answers) => answers,
            Err(_) if self.open.cancelled().is_cancelled() => return Err(self.cancelled_before().await),
            Err(why) => {
                self.fail(StatusCode::OK, INTERNAL_ERROR, &why).await;
                return Err(End::Broken(why));
            }
        };
        let told =
            self.chosen.link.ask_about_task(Housekeeping::TaskUpdate, &task.theirs, Some(&answers)).await;
        match told {
            Ok(_) => Ok(()),
            Err(error) => Err(self.broken(&error.to_string()).await),
        }
    }

    /// Progress of a task that its server only tells when it is asked.
    async fn tell_step(&mut self, steps: u32, answer: Option<&Envelope>) {
        let said = answer.and_then(Envelope::result).and_then(|result| member(result, "statusMessage"));
        self.tell_progress(f64::from(steps), said).await;
    }

    /// Tells a client that wants progress how far it is, and in which words (JSON).
    pub(super) async fn tell_progress(&mut self, progress: f64, words: Option<&str>) {
        let Some(token) = &self.known.progress else { return };
        let message = words.map(|words| format!(",\"message\":{words}")).unwrap_or_default();
        let params = format!("{{\"progressToken\":{token},\"progress\":{progress}{message}}}");
        // The next one says more.
        self.say(saying(notification("notifications/progress", &params)), Instant::now() + QUIET).await;
    }

    /// The call is over. Where nobody waits for its task any more and it was not answered, the task is not wanted either.
    pub(super) fn waited(&self, end: &End) {
        let Some(task) = self.waits_for.as_ref().filter(|task| !task.state().is_final()) else { return };
        if !matches!(end, End::Answered { .. }) {
            let by = if self.open.by_operator() { "operator" } else { "client" };
            task.want_stopped(by, portcullis_ledger::now_ms());
        }
        task.nudged.notify_one();
    }
}

/// What a call would have been answered whose task has ended.
fn final_answer(task: &Task, made: &Envelope, answer: &Envelope) -> Envelope {
    let shown = answer_about(task, answer);
    let part = |name| shown.result().and_then(|result| member(result, name));
    let (id, null) = (made.id(), Value::Null);
    let text = match (task.state(), id) {
        (State::Completed, Some(id)) => result_response(id, part("result").unwrap_or("{}")),
        (State::Failed, Some(id)) => {
            let error = part("error").unwrap_or(r#"{"code":-32603,"message":"the task failed"}"#);
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#).into()
        }
        (State::Lost, _) => {
            let why = format!("the task is lost: {}", task.why().unwrap_or_default());
            error_response(id, UPSTREAM_FAILED, &why, &null)
        }
        _ => error_response(id, INTERNAL_ERROR, "the task was cancelled", &null),
    };
    Envelope::reply(text).unwrap_or_else(|_| made.clone())
}
