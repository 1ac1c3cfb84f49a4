//! The tools on commands.

use crate::asked::{Nothing, PAGE, StreamName, Time, wanted};
use crate::commands::{Commands, Wanted as Command};
use crate::definition::in_shell;
use crate::shapes::{ending, outcome, paged, paper, read, summed, time, told, verdict_of};
use portcullis_builtin::{Answer, Calling};
use portcullis_runs::{Begin, Held, Stopped, Wanted};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a command is waited for, and how long it may take to end.
const COMMAND: Duration = Duration::from_secs(10);
const GRACE: Duration = Duration::from_secs(5);
/// How often output is looked at while somebody waits for it.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunCommand {
    argv: Option<Vec<String>>,
    command: Option<String>,
    cwd: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    wait: Option<Time>,
    timeout: Option<Time>,
    stdin: Option<String>,
    #[serde(default)]
    open_stdin: bool,
}

pub(crate) async fn run_command(own: Arc<Commands>, asked: RunCommand, calling: Calling) -> Answer {
    let words = match (asked.argv, asked.command) {
        (Some(argv), None) => argv,
        (None, Some(line)) if !line.trim().is_empty() => in_shell(&line),
        _ => {
            return Answer::failed(
                "Say `argv` (a program and its arguments) or `command` (a line for sh), one of them.",
            );
        }
    };
    let RunCommand { cwd, env, wait, timeout, stdin, open_stdin, .. } = asked;
    let timeout = timeout.map(|timeout| timeout.0);
    let held = match own.run(Command { words, cwd, env, timeout, stdin, open_stdin }).await {
        Ok(held) => held,
        Err(why) => return Answer::failed(format!("It is not started: {why}.")),
    };
    let id = held.about.id.as_str();
    calling.progress(&format!("{id} is running"));
    tokio::select! {
        _ = tokio::time::timeout(wait.map_or(COMMAND, |wait| wait.0), held.ended()) => {}
        () = calling.cancelled.cancelled() => {
            // Whoever cancels the call wants its command gone.
            let _ = held.stop(GRACE).await;
            return Answer::failed("cancelled");
        }
    }
    let page = read(
        &own,
        &held.spool(),
        Wanted { from: Begin::Tail(10_000), since_ms: 0, grep: None, stream: None, max_bytes: PAGE },
    )
    .await;
    let (text, content) = paper(&page, outcome(&held));
    let how = ending(&held);
    let lines = if text.is_empty() { String::new() } else { format!("\n{text}") };
    match held.over() {
        Some(ended) => {
            let good = ended.exit.as_ref().is_some_and(|exit| exit.code == Some(0));
            told(&format!("It {how}.{lines}"), content, good)
        }
        None => Answer::of(
            format!(
                "{id} goes on in the background; `read_run` shows its output, `stop_run` ends it.{lines}"
            ),
            content,
        ),
    }
}

pub(crate) async fn list_runs(own: Arc<Commands>, _: Nothing, _: Calling) -> Answer {
    let runs = own.list();
    let lines: Vec<String> = runs
        .iter()
        .map(|held| format!("{} {} {}", held.about.id.as_str(), ending(held), held.about.line))
        .collect();
    let shown: Vec<Value> = runs
        .iter()
        .map(|held| {
            let mut shown = outcome(held);
            shown.insert("command".into(), held.about.line.clone().into());
            shown.insert("started".into(), time(held.began_ms).into());
            shown.insert("pid".into(), held.started.process.pid.into());
            Value::Object(shown)
        })
        .collect();
    let text = if lines.is_empty() { "You have no runs.".into() } else { lines.join("\n") };
    Answer::of(text, json!({ "runs": shown }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadRun {
    run: String,
    cursor: Option<u64>,
    tail: Option<usize>,
    since: Option<Time>,
    grep: Option<String>,
    stream: Option<StreamName>,
    max_bytes: Option<usize>,
    wait: Option<Time>,
}

pub(crate) async fn read_run(own: Arc<Commands>, asked: ReadRun, calling: Calling) -> Answer {
    let held = match own.get(&asked.run) {
        Ok(held) => held,
        Err(why) => return Answer::failed(why),
    };
    let ReadRun { cursor, tail, since, grep, stream, max_bytes, wait, .. } = asked;
    let wanted = match wanted(cursor, tail, since, grep, stream, max_bytes) {
        Ok(wanted) => wanted,
        Err(why) => return Answer::failed(why),
    };
    let until = Instant::now() + wait.map_or(Duration::ZERO, |wait| wait.0);
    loop {
        // Asked before it is read: what ended has nothing to add after that.
        let over = held.over().is_some();
        let page = read(&own, &held.spool(), wanted.clone()).await;
        if over || !page.lines.is_empty() || Instant::now() >= until || calling.cancelled.is_cancelled() {
            return paged(&page, outcome(&held));
        }
        tokio::time::sleep(LOOK).await;
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteRun {
    run: String,
    text: String,
    #[serde(default)]
    close: bool,
}

pub(crate) async fn write_run(own: Arc<Commands>, asked: WriteRun, _: Calling) -> Answer {
    let written = match own.get(&asked.run) {
        Ok(held) => own.write(&held, &asked.text, asked.close).await,
        Err(why) => return Answer::failed(why),
    };
    match written {
        Ok(()) => {
            Answer::of(format!("{} bytes written.", asked.text.len()), json!({ "written": asked.text.len() }))
        }
        Err(why) => Answer::failed(format!("Nothing more is written: {why}.")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRun {
    run: String,
    grace: Option<Time>,
}

pub(crate) async fn stop_run(own: Arc<Commands>, asked: StopRun, _: Calling) -> Answer {
    let held = match own.get(&asked.run) {
        Ok(held) => held,
        Err(why) => return Answer::failed(why),
    };
    let (text, content, good) = verdict_of(Some(&held), &stop_one(&own, &held, asked.grace).await);
    let text = format!("{}: {text}.", held.about.id.as_str());
    told(&text, content, good)
}

async fn stop_one(own: &Commands, held: &Arc<Held>, grace: Option<Time>) -> Stopped {
    own.services.0.keepers.stop(held, grace.map_or(GRACE, |grace| grace.0)).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StopRuns {
    grace: Option<Time>,
}

pub(crate) async fn stop_all_runs(own: Arc<Commands>, asked: StopRuns, _: Calling) -> Answer {
    let running: Vec<Arc<Held>> = own.list().into_iter().filter(|held| held.may_live()).collect();
    let each = running.iter().map(|held| async {
        let stopped = stop_one(&own, held, asked.grace).await;
        verdict_of(Some(held), &stopped)
    });
    let all = futures_util::future::join_all(each).await;
    let good = all.iter().all(|(_, _, good)| *good);
    let (text, content) = summed(all.into_iter().map(|(_, content, _)| content).collect(), "verdict");
    told(&text, content, good)
}
