//! `/api/v1/runs`, `/api/v1/drop` and `/api/v1/raise`.

use super::api::No;
use crate::out::counted;
use crate::running::Running;
use crate::stopping::{self, Any, counts, result};
use http::StatusCode;
use portcullis_ledger::time_text;
use portcullis_runs::{Dropped, Process, Scope, Stopped, Verdict};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest grace that may be asked for.
const GRACE: Duration = Duration::from_mins(10);

/// What runs now, and after it the last processes that are over.
pub(super) async fn list(running: &Running) -> Value {
    running.adopted().await;
    let (current, over) = stopping::all(running);
    current.iter().chain(&over).map(Any::shown).collect()
}

/// What to stop: these, or all that match.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    ids: Vec<String>,
    scope: Scope,
    kind: Option<String>,
    grace_ms: u64,
}

/// Stops runs and gives a verdict for each.
pub(super) async fn stop(running: &Running, body: &[u8]) -> Result<Value, No> {
    let wanted: Wanted = read(body)?;
    let grace = grace(wanted.grace_ms)?;
    running.adopted().await;
    let (mut chosen, over) = stopping::all(running);
    let mut results = Vec::new();
    if wanted.ids.is_empty() {
        chosen.retain(|run| {
            let (kind, owner, upstream) = run.of();
            wanted.kind.as_deref().is_none_or(|wanted| wanted == kind) && wanted.scope.has(owner, upstream)
        });
    } else {
        for id in &wanted.ids {
            if chosen.iter().any(|run| run.id() == id) {
                continue;
            }
            match over.iter().find(|run| run.id() == id) {
                // Something survived, which can be tried again.
                Some(Any::Process(held)) if held.may_live() => chosen.push(Any::Process(held.clone())),
                Some(Any::Process(held)) => {
                    results.push(result(id, &running.keepers.stop(held, grace).await));
                }
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
        let count = counted(ids.len(), "run", "runs");
        running.note(&format!("{count} stopped by the operator: {}", ids.join(" "))).await;
    }
    results.extend(stopping::stop(running, chosen, "The operator stopped this call.", grace).await);
    Ok(json!({ "counts": counts(&results), "results": results }))
}

/// What to drop, and why.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToDrop {
    scope: Scope,
    reason: String,
    grace_ms: u64,
}

/// Drops, and gives the verdicts on what ran.
pub(super) async fn drop(running: &Running, body: &[u8]) -> Result<Value, No> {
    let ToDrop { scope, reason, grace_ms } = read(body)?;
    known(running, &scope)?;
    let since = time_text(jiff::Timestamp::now().as_millisecond());
    let dropped = Dropped { scope, reason, since, by: own_user() };
    let (results, not_kept) = stopping::drop(running, dropped.clone(), grace(grace_ms)?).await;
    Ok(
        json!({ "dropped": dropped.shown(), "not_kept": not_kept, "counts": counts(&results), "results": results }),
    )
}

/// Raises, and gives what was.
pub(super) async fn raise(running: &Running, body: &[u8]) -> Result<Value, No> {
    let scope: Scope = read(body)?;
    let scope = Some(scope).filter(|scope| *scope != Scope::default());
    let raised = stopping::raise(running, scope).await.map_err(|error| {
        No(
            StatusCode::INTERNAL_SERVER_ERROR,
            1,
            format!("nothing is raised, because the file cannot be written: {error}"),
        )
    })?;
    Ok(raised.iter().map(Dropped::shown).collect())
}

/// A name that is misspelt must not look as if it were stopped.
fn known(running: &Running, scope: &Scope) -> Result<(), No> {
    if let Some(name) = scope.upstream.as_deref().filter(|name| !running.gate.upstreams().contains_key(*name))
    {
        return Err(No::usage(format!(
            "there is no upstream named `{name}`; `portcullis status` shows them"
        )));
    }
    if let Some(name) = scope.grant.as_deref().filter(|name| running.gate.grants().by_name(name).is_none()) {
        return Err(No::usage(format!(
            "there is no grant named `{name}`; `portcullis grant list` shows them"
        )));
    }
    Ok(())
}

pub(super) fn own_user() -> String {
    let own = i32::try_from(std::process::id()).ok().and_then(Process::of);
    own.map_or_else(|| "operator".into(), |process| process.user)
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, No> {
    serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))
}

fn grace(ms: u64) -> Result<Duration, No> {
    let grace = Duration::from_millis(ms);
    if grace > GRACE {
        let (most, found) = (GRACE.as_secs(), grace.as_secs());
        return Err(No::usage(format!("expected a grace of at most {most} s, found {found} s")));
    }
    Ok(grace)
}
