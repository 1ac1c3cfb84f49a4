//! Looking after tasks: whoever began one may be gone, and it goes on.

use super::message::answer_about;
use super::task::{Heard, Task};
use crate::asked::Asking;
use crate::gate::Gate;
use crate::links;
use crate::mrtr::Inputs;
use portcullis_admit::{End, Housekeeping, InputRequest, Principal};
use portcullis_ledger::{Written, now_ms};
use portcullis_upstreams::{How, Link, Per, SendFailed, Upstream};
use portcullis_wire::{Envelope, Era, INVALID_PARAMS, METHOD_NOT_FOUND, member};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a server may take to answer.
const WAIT: Duration = Duration::from_secs(10);
/// The longest time between two looks at a server that cannot be asked.
const SLOWEST: Duration = Duration::from_secs(30);

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Looked {
    /// The server told how it stands.
    Heard,
    /// The server does not know it any more.
    Unknown,
    /// The server could not be asked, and why.
    Unreached(String),
}

/// Looks after a task until it has ended.
pub(crate) fn follow(gate: &Arc<Gate>, task: &Arc<Task>) {
    tokio::spawn(following(Arc::downgrade(gate), task.clone()));
}

async fn following(gate: Weak<Gate>, task: Arc<Task>) {
    let mut failures = 0;
    while !task.state().is_final() {
        let pause = jittered((task.poll() * 2_u32.pow(failures)).min(SLOWEST));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = task.nudged.notified() => {}
        }
        let Some(gate) = gate.upgrade() else { return };
        if task.state().is_final() {
            return;
        }
        if task.stop().is_some_and(|stop| !stop.told) {
            let _ = tell_to_stop(&gate, &task).await;
        }
        failures = match look(&gate, &task).await {
            Looked::Unreached(why) => {
                tracing::debug!(task = %task.run, %why, "a task could not be looked at");
                if task.is_forsaken(now_ms()) {
                    lost(
                        &gate,
                        &task,
                        &format!("its time was over, and its server could not be asked: {why}"),
                    )
                    .await;
                }
                (failures + 1).min(7)
            }
            _ => 0,
        };
    }
}

/// A tenth more or less, so that tasks that began together are not asked for together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0];
    let _ = getrandom::fill(&mut random);
    pause.mul_f64(0.9 + 0.2 * f64::from(random[0]) / 255.0)
}

/// Asks the server how the task stands.
pub(crate) async fn look(gate: &Arc<Gate>, task: &Arc<Task>) -> Looked {
    // Its server knows nothing of it.
    if task.is_ours() {
        return Looked::Heard;
    }
    match ask(gate, task, Housekeeping::TaskGet).await {
        Ok(answer) => note(gate, task, &answer).await,
        Err(looked) => looked,
    }
}

/// Makes sure that what the server knows there by the task's id is this task, and not one that it made after it was
/// started anew.
pub(crate) async fn verify(gate: &Arc<Gate>, task: &Arc<Task>, link: &Link) -> Looked {
    let asked = link.ask_about_task(Housekeeping::TaskGet, &task.theirs, None);
    match tokio::time::timeout(WAIT, asked).await {
        Ok(Ok(answer)) => note(gate, task, &answer).await,
        Ok(Err(error)) => Looked::Unreached(error.to_string()),
        Err(_) => Looked::Unreached("it does not answer".into()),
    }
}

/// Asks the server to stop the task.
pub(crate) async fn tell_to_stop(gate: &Arc<Gate>, task: &Arc<Task>) -> Looked {
    // Not another one that has its id by now.
    match look(gate, task).await {
        Looked::Heard if !task.state().is_final() => {}
        looked => return looked,
    }
    match ask(gate, task, Housekeeping::TaskCancel).await {
        Ok(answer) => {
            asked_to_stop(gate, task, &answer).await;
            Looked::Heard
        }
        Err(looked) => looked,
    }
}

/// Takes a server's answer to `tasks/cancel`: in the core design it tells how the task stands, too.
pub(crate) async fn asked_to_stop(gate: &Arc<Gate>, task: &Arc<Task>, answer: &Envelope) {
    task.told_to_stop();
    let said = answer.result().filter(|result| member(result, "status").is_some());
    if said.is_some() {
        let _ = note(gate, task, answer).await;
    } else {
        keep(gate, task, None).await;
        task.nudged.notify_one();
    }
}

async fn ask(gate: &Arc<Gate>, task: &Arc<Task>, what: Housekeeping) -> Result<Envelope, Looked> {
    let unreached = |why: &str| Looked::Unreached(why.to_owned());
    let Ok(_turn) = gate.tasks.asking.acquire().await else { return Err(unreached("the gate is stopping")) };
    let Some(upstream) = gate.upstream(&task.upstream) else {
        return Err(unreached("its upstream is not in the configuration"));
    };
    if let Some(why) = ended_with_its_server(&upstream, task) {
        lost(gate, task, why).await;
        return Err(Looked::Unknown);
    }
    let asked = async {
        let chosen =
            links::of_task(gate, &upstream, task).await.map_err(|why| unreached(&why.to_string()))?;
        match chosen.link.ask_about_task(what, &task.theirs, None).await {
            Ok(answer) => Ok(answer),
            Err(error) => {
                if error == SendFailed::SessionLost {
                    links::forget_of_task(gate, task, &chosen);
                }
                Err(unreached(&error.to_string()))
            }
        }
    };
    tokio::time::timeout(WAIT, asked).await.unwrap_or_else(|_| Err(unreached("it does not answer")))
}

/// Why a task cannot live any more: its server was a process for its own session or grant, and has ended.
fn ended_with_its_server(upstream: &Upstream, task: &Task) -> Option<&'static str> {
    let own = matches!(upstream.spec().how, How::Command(_)) && upstream.spec().per != Per::Gate;
    let kept_by_the_process = own && task.design == Era::Old && task.link().is_none();
    kept_by_the_process.then_some("the process of its server has ended, and the task with it")
}

/// Takes a server's answer that tells how a task stands.
pub(crate) async fn note(gate: &Arc<Gate>, task: &Arc<Task>, answer: &Envelope) -> Looked {
    if let Some(result) = answer.result() {
        match task.hear(result, now_ms()) {
            // Somebody else heard of its end first, and may still be writing it down.
            Heard::Same if task.is_end_to_be_kept() => keep(gate, task, None).await,
            Heard::Same => {}
            Heard::Changed => {
                let done = task.state().is_final().then(|| task.record(&task.told()));
                keep(gate, task, done).await;
                let shown = answer_about(task, answer);
                let judged = match crate::streams::has_listener(gate, task) {
                    true => judge_inputs(gate, task, answer).await,
                    false => Vec::new(),
                };
                crate::streams::tell_of_task(gate, task, shown.result().unwrap_or("{}"), &judged);
            }
            Heard::Another => {
                lost(gate, task, "its server has started anew and gives out its id again").await;
                return Looked::Unknown;
            }
        }
        return Looked::Heard;
    }
    let code =
        answer.error().and_then(|error| member(error, "code")).and_then(|code| code.parse::<i32>().ok());
    if matches!(code, Some(INVALID_PARAMS | METHOD_NOT_FOUND)) {
        let over = task.deadline().is_some_and(|deadline| now_ms() > deadline);
        let why = match over {
            true => "its time was over, and its server has let it go",
            false => "its server does not know it any more: it was started anew, or has let it go",
        };
        lost(gate, task, why).await;
        return Looked::Unknown;
    }
    Looked::Unreached(answer.error().unwrap_or("an empty answer").to_owned())
}

/// Judges what a task wants to know of its client, as its server tells it; each question once. Gives the keys of those that may
/// be put.
pub(crate) async fn judge_inputs(gate: &Gate, task: &Task, answer: &Envelope) -> Vec<String> {
    let inputs = Inputs::of(answer);
    let Some(grant) = gate.grants().by_name(&task.owner).cloned() else { return Vec::new() };
    let who = Principal { grant, client: Arc::default(), history: None };
    let asking = Asking { gate, who: &who, upstream: &task.upstream, run: &task.run };
    let mut judged = Vec::new();
    for InputRequest { key, method, params } in inputs.requests {
        let may = match task.was_judged(&key) {
            Some(may) => may,
            None => {
                let asked = asking.judge_input(&method, &params, false).await;
                let may = asked.is_ok();
                asked.into_iter().for_each(|asked| asked.close(&End::Answered { error: false }));
                task.note_judged(&key, may);
                may
            }
        };
        judged.extend(may.then_some(key));
    }
    judged
}

/// The task is lost. One that had ended before is only forgotten.
pub(crate) async fn lost(gate: &Arc<Gate>, task: &Arc<Task>, why: &str) {
    if task.lose(why, now_ms()) {
        gate.tasks.count_lost();
        keep(gate, task, Some(task.record(&task.told()))).await;
        crate::streams::tell_of_task(gate, task, &task.lost(), &[]);
    } else if task.state() != super::State::Lost {
        gate.tasks.let_go(gate.ledger(), task).await;
    }
}

pub(crate) async fn keep(gate: &Gate, task: &Task, row: Option<Written>) {
    let has_ended = task.state().is_final();
    match gate.ledger().keep_task(task.row(), row).await {
        Ok(()) if has_ended => task.end_is_kept(),
        Ok(()) => {}
        Err(failure) => {
            tracing::error!(%failure, task = %task.run, "how a task stands could not be kept");
        }
    }
}
