//! The tools on services.

use crate::asked::{Nothing, PAGE, StreamName, Time, wanted};
use crate::commands::Commands;
use crate::service::{Now, Service, State};
use crate::services::{Started, Stopping};
use crate::shapes::{paged, read, summed, time, told, verdict_of, with};
use portcullis_builtin::{Answer, Calling};
use portcullis_runs::spool::now_ms;
use portcullis_runs::{Begin, Verdict, Wanted, spool};
use regex::Regex;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a condition is waited for, and how often output is looked at meanwhile.
const CONDITION: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Start {
    server_id: String,
    wait: Option<Time>,
    port: Option<u16>,
}

pub(crate) async fn start_server(own: Arc<Commands>, asked: Start, calling: Calling) -> Answer {
    let Start { server_id, wait, port } = asked;
    calling.progress(&format!("starting {server_id}"));
    let start = own.services.start(&server_id, port, wait.map(|wait| wait.0));
    tokio::select! {
        started = start => begun(&server_id, started).await,
        () = calling.cancelled.cancelled() => {
            // Nobody wants it any more: what is still starting is stopped.
            if let Ok(service) = own.services.get(&server_id)
                && service.now().state == State::Starting
            {
                let _ = service.stop(None).await;
            }
            Answer::failed("cancelled")
        }
    }
}

async fn begun(id: &str, started: Started) -> Answer {
    match started {
        Started::Failed(why) => Answer::failed(why),
        Started::Up(now, before) => {
            let shown = shown(id, &now).await;
            let ran = if before { "was running already" } else { "is running" };
            let at = shown.get("url").and_then(Value::as_str);
            let at = at.map(|url| format!(" at {url}")).unwrap_or_default();
            Answer::of(format!("`{id}` {ran}{at}."), with(shown, "already_running", before))
        }
        Started::NotYet(now) => {
            let why = now.reason.clone().map(|why| format!(": {why}")).unwrap_or_default();
            Answer::of(format!("`{id}` runs and is not ready yet{why}."), shown(id, &now).await)
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    server_id: String,
    grace: Option<Time>,
}

pub(crate) async fn stop_server(own: Arc<Commands>, asked: Stop, calling: Calling) -> Answer {
    calling.progress(&format!("stopping {}", asked.server_id));
    match own.services.stop(&asked.server_id, asked.grace.map(|grace| grace.0)).await {
        Ok(stopping) => told(&said(&stopping), stopped(&stopping), is_final(&stopping)),
        Err(why) => Answer::failed(why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restart {
    server_id: String,
    grace: Option<Time>,
    wait: Option<Time>,
}

pub(crate) async fn restart_server(own: Arc<Commands>, asked: Restart, calling: Calling) -> Answer {
    let Restart { server_id, grace, wait } = asked;
    calling.progress(&format!("stopping {server_id}"));
    let stopping = match own.services.stop(&server_id, grace.map(|grace| grace.0)).await {
        Ok(stopping) => stopping,
        Err(why) => return Answer::failed(why),
    };
    if !is_final(&stopping) {
        let content = json!({ "stopped": stopped(&stopping), "started": null });
        return Answer::failed_with(format!("{} It is not started again.", said(&stopping)), content);
    }
    calling.progress(&format!("starting {server_id}"));
    match own.services.start(&server_id, None, wait.map(|wait| wait.0)).await {
        Started::Failed(why) => {
            Answer::failed_with(why, json!({ "stopped": stopped(&stopping), "started": null }))
        }
        Started::Up(now, _) | Started::NotYet(now) => {
            let started = shown(&server_id, &now).await;
            let text = format!("{} It is {} now.", said(&stopping), now.state.as_str());
            Answer::of(text, json!({ "stopped": stopped(&stopping), "started": started }))
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct One {
    server_id: String,
}

pub(crate) async fn get_server_status(own: Arc<Commands>, asked: One, _: Calling) -> Answer {
    let service = match own.services.get(&asked.server_id) {
        Ok(service) => service,
        Err(why) => return Answer::failed(why),
    };
    let content = status(&own, &service).await;
    let now = service.now();
    let why = now.reason.map(|why| format!(": {why}")).unwrap_or_default();
    Answer::of(format!("`{}` is {}{why}.", service.id, now.state.as_str()), content)
}

async fn status(own: &Commands, service: &Arc<Service>) -> Value {
    let now = service.now();
    let (looked, id) = (now.clone(), service.id.clone());
    let seen = tokio::task::spawn_blocking(move || looked.looked_at()).await.unwrap_or_default();
    let (logs, cover) = (service.clone(), own.services.0.cover);
    let lines = tokio::task::spawn_blocking(move || logs.last_lines(cover)).await.unwrap_or_default();
    let restarts: Vec<Value> =
        now.restarts.iter().map(|(at, why)| json!({ "time": time(*at), "reason": why })).collect();
    let mut shown = described(&id, &now, &seen.0);
    let more = json!({
        "ready": now.state == State::Running, "reason": now.reason,
        "uptime_s": now.lives().map(|run| now_ms().saturating_sub(run.began_ms) / 1000),
        "since_s": now.since.elapsed().as_secs(), "restarts": restarts, "cpu_ms": seen.1,
        "memory_bytes": seen.2, "last_lines": lines,
        "exit": now.run.as_ref().and_then(|run| run.exit()).map(|exit| exit.to_string()),
        "description": now.definition.description, "tags": now.definition.tags,
    });
    if let (Some(shown), Value::Object(more)) = (shown.as_object_mut(), more) {
        shown.extend(more);
    }
    shown
}

/// What a start and a status have in common.
async fn shown(id: &str, now: &Now) -> Value {
    let looked = now.clone();
    let (ports, ..) = tokio::task::spawn_blocking(move || looked.looked_at()).await.unwrap_or_default();
    described(id, now, &ports)
}

fn described(id: &str, now: &Now, ports: &BTreeMap<u16, IpAddr>) -> Value {
    let run = now.lives();
    json!({
        "server_id": id, "state": now.state.as_str(), "run": run.map(|run| run.about.id.as_str()),
        "pid": run.map(|run| run.started.process.pid), "containment": run.map(|run| run.started.containment),
        "ports": ports.keys().collect::<Vec<_>>(), "url": now.url(ports),
    })
}

pub(crate) async fn list_servers(own: Arc<Commands>, _: Nothing, _: Calling) -> Answer {
    let services = own.services.list();
    let mut shown = Vec::new();
    for service in &services {
        let now = service.now();
        let looked = now.clone();
        let (ports, ..) = tokio::task::spawn_blocking(move || looked.looked_at()).await.unwrap_or_default();
        shown.push(json!({
            "server_id": &*service.id, "state": now.state.as_str(), "reason": now.reason,
            "run": now.lives().map(|run| run.about.id.as_str()), "url": now.url(&ports),
            "description": now.definition.description, "tags": now.definition.tags,
        }));
    }
    let mut lines: Vec<String> =
        services.iter().map(|service| format!("{}: {}", service.id, service.now().state.as_str())).collect();
    if lines.is_empty() {
        lines.push("No service is configured.".into());
    }
    if let Some(trouble) = own.services.trouble() {
        lines.push(format!("The file has mistakes and was not taken: {trouble}"));
    }
    let warnings = own.services.warnings();
    lines.extend(warnings.iter().map(|warning| format!("Warning: {warning}")));
    Answer::of(lines.join("\n"), json!({ "servers": shown, "warnings": warnings }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Many {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    wait: Option<Time>,
    grace: Option<Time>,
}

pub(crate) async fn start_all_servers(own: Arc<Commands>, asked: Many, calling: Calling) -> Answer {
    let mut chosen = match own.services.chosen(&asked.names, &asked.tags) {
        Ok(chosen) => chosen,
        Err(why) => return Answer::failed(why),
    };
    chosen.retain(|service| {
        !service.now().definition.only_by_name || asked.names.iter().any(|name| **name == *service.id)
    });
    calling.progress(&format!("starting {} services", chosen.len()));
    let wait = asked.wait.map(|wait| wait.0);
    let each = chosen.iter().map(|service| async {
        let started = own.services.start(&service.id, None, wait).await;
        match started {
            Started::Up(now, _) | Started::NotYet(now) => shown(&service.id, &now).await,
            Started::Failed(why) => {
                json!({ "server_id": &*service.id, "state": service.now().state.as_str(), "error": why })
            }
        }
    });
    let results = futures_util::future::join_all(each).await;
    let good = results.iter().all(|result| result.get("error").is_none());
    let (text, content) = summed(results, "state");
    told(&text, content, good)
}

pub(crate) async fn stop_all_servers(own: Arc<Commands>, asked: Many, calling: Calling) -> Answer {
    let chosen = match own.services.chosen(&asked.names, &asked.tags) {
        Ok(chosen) => chosen,
        Err(why) => return Answer::failed(why),
    };
    calling.progress(&format!("stopping {} services", chosen.len()));
    let all = own.services.stop_all(chosen, asked.grace.map(|grace| grace.0)).await;
    let good = all.iter().all(is_final);
    // Of what did not run nothing is to be said, unless it was asked for by name.
    let named = |stopping: &Stopping| asked.names.iter().any(|name| **name == *stopping.id);
    let told_of =
        all.iter().filter(|stopping| stopping.stopped.verdict != Verdict::AlreadyEnded || named(stopping));
    let (text, content) = summed(told_of.map(stopped).collect(), "verdict");
    told(&text, content, good)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadLogs {
    server_id: String,
    cursor: Option<u64>,
    tail: Option<usize>,
    since: Option<Time>,
    grep: Option<String>,
    stream: Option<StreamName>,
    max_bytes: Option<usize>,
}

pub(crate) async fn read_server_logs(own: Arc<Commands>, asked: ReadLogs, _: Calling) -> Answer {
    let service = match own.services.get(&asked.server_id) {
        Ok(service) => service,
        Err(why) => return Answer::failed(why),
    };
    let ReadLogs { cursor, tail, since, grep, stream, max_bytes, .. } = asked;
    match wanted(cursor, tail, since, grep, stream, max_bytes) {
        Ok(wanted) => paged(&read(&own, &service.spool, wanted).await, Map::new()),
        Err(why) => Answer::failed(why),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WaitFor {
    server_id: String,
    condition: Condition,
    log: Option<String>,
    timeout: Option<Time>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Condition {
    Ready,
    Stopped,
    Log,
}

pub(crate) async fn wait_for_server(own: Arc<Commands>, asked: WaitFor, calling: Calling) -> Answer {
    let service = match own.services.get(&asked.server_id) {
        Ok(service) => service,
        Err(why) => return Answer::failed(why),
    };
    let at_most = asked.timeout.map_or(CONDITION, |timeout| timeout.0);
    let met = async {
        match asked.condition {
            Condition::Ready => {
                let settled = |now: &Now| matches!(now.state, State::Running | State::Failed);
                service.wait_for(settled, at_most).await.state == State::Running
            }
            Condition::Stopped => {
                let ended = |now: &Now| now.lives().is_none() && now.state != State::Restarting;
                ended(&service.wait_for(ended, at_most).await)
            }
            Condition::Log => return has_line(&own, &service.spool, asked.log.as_deref(), at_most).await,
        }
        .then_some(())
        .ok_or_else(String::new)
    };
    let met = tokio::select! {
        met = met => met,
        () = calling.cancelled.cancelled() => return Answer::failed("cancelled"),
    };
    if let Err(why) = &met
        && !why.is_empty()
    {
        return Answer::failed(why);
    }
    let now = service.now();
    let state = now.state.as_str();
    let content = with(shown(&service.id, &now).await, "met", met.is_ok());
    let text = match met {
        Ok(()) => format!("It came true; `{}` is {state}.", service.id),
        Err(_) => {
            format!("It did not come true within {} s; `{}` is {state}.", at_most.as_secs_f64(), service.id)
        }
    };
    Answer::of(text, content)
}

/// Waits for a line. The error is empty where none came in time.
async fn has_line(own: &Commands, folder: &Path, log: Option<&str>, at_most: Duration) -> Result<(), String> {
    let log = log.ok_or("Say in `log` which line to wait for.")?;
    let grep = Regex::new(log).map_err(|error| format!("log: expected a regular expression: {error}"))?;
    let began = Instant::now();
    let mut from = spool::end(folder);
    while began.elapsed() < at_most {
        let wanted = Wanted {
            from: Begin::At(from),
            since_ms: 0,
            grep: Some(grep.clone()),
            stream: None,
            max_bytes: PAGE,
        };
        let found = read(own, folder, wanted).await;
        if !found.lines.is_empty() {
            return Ok(());
        }
        from = found.cursor;
        tokio::time::sleep(LOOK).await;
    }
    Err(String::new())
}

/// The verdict on a service as data.
fn stopped(stopping: &Stopping) -> Value {
    with(verdict_of(stopping.run.as_deref(), &stopping.stopped).1, "server_id", &*stopping.id)
}

fn said(stopping: &Stopping) -> String {
    match &stopping.run {
        Some(run) => format!("`{}`: {}.", stopping.id, verdict_of(Some(run), &stopping.stopped).0),
        None => format!("`{}` did not run.", stopping.id),
    }
}

fn is_final(stopping: &Stopping) -> bool {
    stopping.stopped.verdict.is_final()
}
