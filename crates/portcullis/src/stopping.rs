//! All that runs, and its end: one run, those that match, or all in the scope of a drop.

use crate::running::Running;
use portcullis_gate::{Gate, Task, TaskStopped};
use portcullis_ledger::{Draft, Kind, time_text};
use portcullis_runs::{Dropped, Held, Kind as RunKind, Run, Runs, Scope, Stopped, Verdict};
use portcullis_upstreams::How;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a call may take to leave the table after it was stopped, and how often is looked.
const CALL_ENDS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
/// How long a drop waits for the disk when all else is done.
const KEPT: Duration = Duration::from_secs(2);
/// How long what is dropped by the file alone may take after SIGTERM.
const GRACE: Duration = Duration::from_secs(5);
/// How often the file is looked at.
const LOOK_AT_FILE: Duration = Duration::from_millis(500);

/// Something that runs.
pub(crate) enum Any {
    Call(Arc<Run>),
    Task(Arc<Task>),
    Process(Arc<Held>),
}

/// What runs now, and the last that is over: each run is in one of them.
pub(crate) fn all(running: &Running) -> (Vec<Any>, Vec<Any>) {
    let (held, ended) = running.keepers.all();
    let (done, live): (Vec<_>, Vec<_>) =
        running.gate.tasks().all().into_iter().partition(|task| task.state().is_final());
    // A call that goes on as a task of the gate's own is one run.
    let live = live.into_iter().filter(|task| !task.is_ours());
    let calls = running.gate.runs().list().into_iter().map(Any::Call);
    let current = held.into_iter().map(Any::Process).chain(calls).chain(live.map(Any::Task));
    let over = ended.into_iter().map(Any::Process).chain(done.into_iter().map(Any::Task));
    (current.collect(), over.collect())
}

/// Stops runs side by side and gives a verdict for each.
pub(crate) async fn stop(running: &Running, chosen: Vec<Any>, why: &str, grace: Duration) -> Vec<Value> {
    let is_chosen = |held: &Held| chosen.iter().any(|run| run.id() == held.about.id.as_str());
    let spared: Vec<Arc<Held>> = running.keepers.list().into_iter().filter(|held| !is_chosen(held)).collect();
    // The calls first: their clients are told why, and not that their server broke.
    for run in &chosen {
        if let Any::Call(call) = run {
            call.stop_by_operator(why);
        }
    }
    let mut stops = JoinSet::new();
    for run in chosen {
        let (calls, keepers) = (running.gate.runs().clone(), running.keepers.clone());
        let gate = running.gate.clone();
        stops.spawn(async move {
            let stopped = match &run {
                Any::Process(held) => keepers.stop(held, grace).await,
                Any::Call(call) => end_call(call, &calls).await,
                Any::Task(task) => end_task(&gate, task, grace).await,
            };
            (run, stopped)
        });
    }
    let mut ended = stops.join_all().await;
    // A call in a server that is a process of ours, and of which nothing lives, has ended with it.
    let mut left: BTreeMap<Arc<str>, Vec<Verdict>> = BTreeMap::new();
    for (run, stopped) in &ended {
        if let Any::Process(held) = run
            && held.about.kind == RunKind::Upstream
        {
            left.entry(held.about.upstream.clone()).or_default().push(stopped.verdict);
        }
    }
    for (run, stopped) in &mut ended {
        let run = &*run;
        let upstream = match run {
            Any::Call(call) => &call.call.upstream,
            Any::Task(task) if !stopped.verdict.is_final() => &task.upstream,
            Any::Task(_) | Any::Process(_) => continue,
        };
        if let Any::Call(call) = run
            && stopped.verdict == Verdict::Unconfirmed
            && is_our_own(running, upstream)
            && !running.gate.runs().has(call)
        {
            stopped.verdict = Verdict::Stopped;
            stopped.proof.scope = "a call in the gate itself; what it had started is a run of its own".into();
            stopped.proof.killed_by = "the gate".into();
            continue;
        }
        let proved = left.get(upstream).is_some_and(|all| all.iter().all(|verdict| verdict.is_final()));
        if proved && !spared.iter().any(|held| held.about.upstream == *upstream) {
            stopped.verdict = Verdict::Stopped;
            stopped.proof.scope =
                "its server, which is a process of this machine and was stopped with it".into();
            stopped.proof.killed_by = "the end of its server".into();
            if let Any::Task(task) = run {
                running.gate.end_task(task, "its server was stopped, and the task with it").await;
            }
        }
    }
    ended.iter().map(|(run, stopped)| of_run(run, stopped)).collect()
}

/// Drops from this instant on, and stops what runs in that scope. Gives the verdicts, and why the drop will not hold over
/// a restart, where it will not.
pub(crate) async fn drop(
    running: &Running,
    dropped: Dropped,
    grace: Duration,
) -> (Vec<Value>, Option<String>) {
    let drops = running.gate.admit().drops().clone();
    drops.put(dropped.clone());
    // A disk that is slow or full delays nothing.
    let keeping = tokio::task::spawn_blocking(move || drops.keep());
    record(running, &format!("dropped {}: {}", dropped.scope, dropped.reason));
    let results = end_all(running, &dropped, grace).await;
    let not_kept = match tokio::time::timeout(KEPT, keeping).await {
        Ok(Ok(kept)) => kept.err().map(|error| error.to_string()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("the disk did not take it within {} s after all had ended", KEPT.as_secs())),
    };
    (results, not_kept)
}

/// Lets through again what was dropped with that scope, or everything.
pub(crate) async fn raise(running: &Running, scope: Option<Scope>) -> std::io::Result<Vec<Dropped>> {
    let drops = running.gate.admit().drops().clone();
    let raised = tokio::task::spawn_blocking(move || drops.raise(scope.as_ref())).await??;
    for dropped in &raised {
        record(running, &format!("raised {}, dropped since {}", dropped.scope, dropped.since));
    }
    // Servers that were kept from starting are tried at once.
    running.gate.upstreams().values().for_each(|upstream| upstream.try_again());
    Ok(raised)
}

/// Takes what somebody writes into the file who cannot reach the gate.
pub(crate) async fn watch(running: Arc<Running>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(LOOK_AT_FILE);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = stop.cancelled() => return,
        }
        let drops = running.gate.admit().drops().clone();
        running.keepers.fetch_ended_orphans();
        let is_dropped = !drops.list().is_empty();
        // Which is usual, and costs no thread.
        if !is_dropped && !drops.has_file() {
            continue;
        }
        if is_dropped && !drops.is_kept() {
            let again = drops.clone();
            if let Ok(Some(Ok(()))) = tokio::task::spawn_blocking(move || again.keep_again()).await {
                record(&running, "what is dropped was written into the file again, and holds over a restart");
            }
        }
        for dropped in tokio::task::spawn_blocking(move || drops.look()).await.unwrap_or_default() {
            tracing::warn!(scope = %dropped.scope, reason = %dropped.reason, "dropped, by the file");
            record(&running, &format!("dropped {}, by the file: {}", dropped.scope, dropped.reason));
            let _ = end_all(&running, &dropped, GRACE).await;
        }
    }
}

/// Whether an upstream is a server that the program has in itself.
fn is_our_own(running: &Running, upstream: &str) -> bool {
    running.gate.upstream(upstream).is_some_and(|it| matches!(it.spec().how, How::Builtin(_)))
}

async fn end_all(running: &Running, dropped: &Dropped, grace: Duration) -> Vec<Value> {
    let within = |run: &Any| {
        let (_, owner, upstream) = run.of();
        dropped.scope.has(owner, upstream)
    };
    // New calls are denied by now. What an earlier gate left is part of what runs.
    let _ = tokio::time::timeout(KEPT, running.adopted()).await;
    let chosen = all(running).0.into_iter().filter(within).collect();
    stop(running, chosen, &dropped.said(), grace).await
}

/// Records an act of the operator without waiting: a store that is slow never delays a stop.
fn record(running: &Running, message: &str) {
    let row = Draft { message: Some(message), ..Draft::of(Kind::Admin) }.write();
    if let Err(failure) = running.gate.ledger().append_later(row, Vec::new()) {
        tracing::error!(%failure, "an act of the operator could not be recorded: {message}");
    }
}

/// Waits for a call that was stopped. Its server is told, and by the specification does not answer: that it ended there
/// cannot be known.
async fn end_call(call: &Arc<Run>, calls: &Runs) -> Stopped {
    let began = Instant::now();
    while began.elapsed() < CALL_ENDS && calls.has(call) {
        tokio::time::sleep(LOOK).await;
    }
    let took = portcullis_runs::millis(began.elapsed());
    if call.waits() && !calls.has(call) {
        let mut stopped = Stopped::without_proof(Verdict::Stopped, took);
        stopped.proof.scope = "a call that waited for a person; its server has not heard of it".into();
        stopped.proof.killed_by = "the gate".into();
        return stopped;
    }
    Stopped::without_proof(Verdict::Unconfirmed, took)
}

/// Asks the server of a task to stop it and waits for the final state that it reports.
async fn end_task(gate: &Arc<Gate>, task: &Arc<Task>, patience: Duration) -> Stopped {
    let TaskStopped { verdict, state, why, took, .. } = gate.stop_task(task, "operator", patience).await;
    let mut stopped = Stopped::without_proof(verdict, portcullis_runs::millis(took));
    stopped.proof.scope = match why {
        Some(why) => format!("none: {why}"),
        None if verdict == Verdict::Acknowledged => {
            format!("the word of its server, which says that it is {}", state.as_str())
        }
        None => "none: it runs in someone else's server".into(),
    };
    stopped.proof.killed_by = "tasks/cancel".into();
    stopped
}

fn of_run(run: &Any, stopped: &Stopped) -> Value {
    let mut result = result(run.id(), stopped);
    if let (Any::Task(task), Some(members)) = (run, result.as_object_mut()) {
        members.insert("task".into(), shown_state(task));
    }
    result
}

/// How a task stands, as scripts have it.
fn shown_state(task: &Task) -> Value {
    json!({ "id": &*task.id, "state": task.state().as_str(), "why": task.why() })
}

pub(crate) fn result(id: &str, stopped: &Stopped) -> Value {
    let mut result = json!({ "id": id });
    if let (Some(result), Ok(Value::Object(stopped))) =
        (result.as_object_mut(), serde_json::to_value(stopped))
    {
        result.extend(stopped);
    }
    result
}

pub(crate) fn counts(results: &[Value]) -> Value {
    let mut counts = Map::new();
    counts.insert("runs".into(), results.len().into());
    for verdict in Verdict::ALL.map(Verdict::as_str) {
        let count =
            results.iter().filter(|result| result.get("verdict").is_some_and(|it| it == verdict)).count();
        counts.insert(verdict.into(), count.into());
    }
    Value::Object(counts)
}

impl Any {
    /// Its kind, its owner and its upstream.
    pub(crate) fn of(&self) -> (&'static str, &str, &str) {
        match self {
            Self::Call(call) => ("call", &call.call.owner, &call.call.upstream),
            Self::Task(task) => ("task", &task.owner, &task.upstream),
            Self::Process(held) => (held.about.kind.as_str(), &held.about.owner, &held.about.upstream),
        }
    }

    pub(crate) fn id(&self) -> &str {
        match self {
            Self::Call(call) => call.id.as_str(),
            Self::Task(task) => &task.run,
            Self::Process(held) => held.about.id.as_str(),
        }
    }

    pub(crate) fn shown(&self) -> Value {
        match self {
            Self::Call(run) => {
                let ago = i64::try_from(run.started.elapsed().as_millis()).unwrap_or(0);
                let started = jiff::Timestamp::now().as_millisecond() - ago;
                json!({
                    "id": run.id.as_str(), "kind": "call", "owner": &*run.call.owner, "upstream": &*run.call.upstream,
                    "tool": &*run.call.name, "what": format!("{} {}", run.call.method, run.call.name),
                    "state": if run.waits() { "held" } else { "running" }, "started": time_text(started), "ended": null, "deadline": null,
                    "containment": null, "host": null, "verdict": null, "pid": null,
                })
            }
            Self::Task(task) => shown_task(task),
            Self::Process(held) => shown_process(held),
        }
    }
}

fn shown_task(task: &Task) -> Value {
    let state = match task.state() {
        state if state.is_final() => "ended",
        _ if task.is_stopping() => "stopping",
        _ => "running",
    };
    json!({
        "id": &*task.run, "kind": "task", "owner": &*task.owner, "upstream": &*task.upstream, "tool": &*task.tool,
        "what": format!("task {} ({})", task.tool, task.state().as_str()), "state": state,
        "started": time_text(task.created), "ended": task.ended().map(time_text),
        "deadline": task.deadline().map(time_text), "containment": null, "host": null, "verdict": null, "pid": null,
        "task": shown_state(task),
    })
}

fn shown_process(held: &Held) -> Value {
    let over = held.over();
    json!({
        "id": held.about.id.as_str(), "kind": held.about.kind.as_str(), "owner": &*held.about.owner,
        "upstream": &*held.about.upstream, "tool": held.about.name.as_deref(), "what": held.about.line,
        "state": held.state(), "started": time_text(millis(held.began_ms)),
        "ended": over.as_ref().map(|over| time_text(millis(over.at_ms))), "deadline": null,
        "containment": held.started.containment, "host": null,
        "verdict": over.as_ref().map(|over| over.stopped.verdict), "pid": held.started.process.pid,
        "exit": over.as_ref().and_then(|over| over.exit.as_ref()).map(ToString::to_string),
        "cause": over.as_ref().and_then(|over| over.cause.as_deref()),
    })
}

fn millis(ms: u64) -> i64 {
    ms.try_into().unwrap_or(i64::MAX)
}
