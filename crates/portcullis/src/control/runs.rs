//! `/api/v1/runs`: all that runs, and its end.

use super::api::No;
use crate::out::counted;
use crate::running::Running;
use portcullis_ledger::time_text;
use portcullis_runs::{Held, Run, Stopped, Verdict};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

/// How long a call may take to leave the table after it was stopped, and how often is looked.
const CALL_ENDS: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
/// The longest grace that may be asked for.
const GRACE: Duration = Duration::from_mins(10);

/// Something that runs.
enum Any {
    Call(Arc<Run>),
    Process(Arc<Held>),
}

/// What runs now, and after it the last processes that are over.
pub(super) fn list(running: &Running) -> Value {
    let ended = running.keepers.ended();
    current(running).iter().map(Any::shown).chain(ended.iter().map(|held| shown_process(held))).collect()
}

fn current(running: &Running) -> Vec<Any> {
    let processes = running.keepers.list().into_iter().map(Any::Process);
    processes.chain(running.gate.runs().list().into_iter().map(Any::Call)).collect()
}

/// What to stop: these, or all that match.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    ids: Vec<String>,
    grant: Option<String>,
    upstream: Option<String>,
    kind: Option<String>,
    grace_ms: u64,
}

/// Stops runs side by side and gives a verdict for each.
pub(super) async fn stop(running: &Running, body: &[u8]) -> Result<Value, No> {
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))?;
    let grace = Duration::from_millis(wanted.grace_ms);
    if grace > GRACE {
        return Err(No::usage(format!(
            "expected a grace of at most {} s, found {} s",
            GRACE.as_secs(),
            grace.as_secs()
        )));
    }
    let mut chosen = current(running);
    let mut results = Vec::new();
    if wanted.ids.is_empty() {
        chosen.retain(|run| wanted.means(run));
    } else {
        let ended = running.keepers.ended();
        for id in &wanted.ids {
            if chosen.iter().any(|run| run.id() == id) {
                continue;
            }
            match ended.iter().find(|held| held.about.id.as_str() == id) {
                Some(_) => results.push(result(id, &Stopped::without_proof(Verdict::AlreadyEnded, 0))),
                None => {
                    return Err(No::usage(format!("no run has the id `{id}`; `portcullis runs` lists them")));
                }
            }
        }
        chosen.retain(|run| wanted.ids.iter().any(|id| id == run.id()));
    }
    let ids: Vec<String> = chosen.iter().map(|run| run.id().to_owned()).collect();
    if !ids.is_empty() {
        running
            .note(&format!(
                "{} stopped by the operator: {}",
                counted(ids.len(), "run", "runs"),
                ids.join(" ")
            ))
            .await;
    }
    let mut stops = JoinSet::new();
    for run in chosen {
        let calls = running.gate.runs().clone();
        stops.spawn(async move {
            let stopped = match &run {
                Any::Process(held) => match held.stop(grace).await {
                    Some(stopped) => Stopped::clone(&stopped),
                    None => Stopped::without_proof(Verdict::Unconfirmed, 0),
                },
                Any::Call(call) => end_call(call, &calls).await,
            };
            result(run.id(), &stopped)
        });
    }
    results.extend(stops.join_all().await);
    Ok(json!({ "counts": counts(&results), "results": results }))
}

/// Stops a call. Its server is told, and by the specification does not answer: that it ended there cannot be known.
async fn end_call(call: &Arc<Run>, calls: &portcullis_runs::Runs) -> Stopped {
    let began = Instant::now();
    call.stop_by_operator("the operator stopped this call");
    while began.elapsed() < CALL_ENDS && calls.list().iter().any(|run| Arc::ptr_eq(run, call)) {
        tokio::time::sleep(LOOK).await;
    }
    Stopped::without_proof(Verdict::Unconfirmed, began.elapsed().as_millis().try_into().unwrap_or(u64::MAX))
}

fn result(id: &str, stopped: &Stopped) -> Value {
    let mut result = json!({ "id": id });
    if let (Some(result), Ok(Value::Object(stopped))) =
        (result.as_object_mut(), serde_json::to_value(stopped))
    {
        result.extend(stopped);
    }
    result
}

fn counts(results: &[Value]) -> Value {
    let mut counts = Map::new();
    counts.insert("runs".into(), results.len().into());
    for verdict in Verdict::ALL.map(Verdict::as_str) {
        let count =
            results.iter().filter(|result| result.get("verdict").is_some_and(|it| it == verdict)).count();
        counts.insert(verdict.into(), count.into());
    }
    Value::Object(counts)
}

impl Wanted {
    fn means(&self, run: &Any) -> bool {
        let (kind, owner, upstream) = match run {
            Any::Call(call) => ("call", &call.call.owner, &call.call.upstream),
            Any::Process(held) => ("upstream", &held.about.owner, &held.about.upstream),
        };
        let fits =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        fits(&self.kind, kind) && fits(&self.grant, owner) && fits(&self.upstream, upstream)
    }
}

impl Any {
    fn id(&self) -> &str {
        match self {
            Self::Call(call) => call.id.as_str(),
            Self::Process(held) => held.about.id.as_str(),
        }
    }

    fn shown(&self) -> Value {
        match self {
            Self::Call(run) => {
                let ago = i64::try_from(run.started.elapsed().as_millis()).unwrap_or(0);
                let started = jiff::Timestamp::now().as_millisecond() - ago;
                json!({
                    "id": run.id.as_str(), "kind": "call", "owner": &*run.call.owner, "upstream": &*run.call.upstream,
                    "tool": &*run.call.name, "what": format!("{} {}", run.call.method, run.call.name),
                    "state": "running", "started": time_text(started), "ended": null, "deadline": null,
                    "containment": null, "host": null, "verdict": null, "pid": null,
                })
            }
            Self::Process(held) => shown_process(held),
        }
    }
}

fn shown_process(held: &Held) -> Value {
    let over = held.over();
    json!({
        "id": held.about.id.as_str(), "kind": "upstream", "owner": &*held.about.owner, "upstream": &*held.about.upstream,
        "tool": null, "what": held.about.line, "state": if over.is_some() { "ended" } else { "running" },
        "started": time_text(millis(held.began)), "ended": over.as_ref().map(|over| time_text(millis(over.at))),
        "deadline": null, "containment": held.started.containment, "host": null,
        "verdict": over.map(|over| over.stopped.verdict), "pid": held.started.process.pid,
    })
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(i64::MAX)
}
