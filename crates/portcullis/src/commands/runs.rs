//! `portcullis runs …`.

use super::logs;
use super::table::{cell, print};
use crate::cli::{ListArgs, PlaceArgs, RunKind, RunsCommand, StopArgs};
use crate::config::duration;
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{counted, say};
use http::Method;
use portcullis_runs::{Verdict, millis};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often the gate is asked whether a run is over.
const LOOK: Duration = Duration::from_millis(200);

/// Runs one command on what runs, through the running gate.
pub(crate) fn run(
    place: &PlaceArgs,
    command: Option<RunsCommand>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let client = Client::of(place)?;
    match command.unwrap_or(RunsCommand::List(ListArgs::default())) {
        RunsCommand::List(args) => {
            let mut runs = listed(&client)?;
            let is = |run: &Value, name: &str, wanted: Option<&str>| {
                wanted.is_none_or(|wanted| cell(run, name) == wanted)
            };
            runs.retain(|run| {
                (args.all || cell(run, "state") != "ended")
                    && is(run, "owner", args.grant.as_deref())
                    && is(run, "upstream", args.upstream.as_deref())
                    && is(run, "kind", args.kind.map(RunKind::as_str))
            });
            list(&runs, as_json);
            Ok(ExitCode::SUCCESS)
        }
        RunsCommand::Show { id } => {
            let runs = listed(&client)?;
            let run = runs.iter().find(|run| cell(run, "id") == id).ok_or_else(|| no_run(&id))?;
            if as_json {
                say!("{run}");
            } else {
                run.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()).for_each(
                    |(name, _)| {
                        say!("{name:<12} {}", cell(run, name));
                    },
                );
            }
            Ok(ExitCode::SUCCESS)
        }
        RunsCommand::Wait { id, timeout } => wait(&client, &id, timeout.as_deref(), as_json),
        RunsCommand::Stop(args) => stop(&client, &args, as_json),
        RunsCommand::Logs(args) => logs::run(place, &args, as_json),
    }
}

/// Waits until a run is over. What the gate does not list any more is.
fn wait(client: &Client, id: &str, timeout: Option<&str>, as_json: bool) -> Result<ExitCode, Failure> {
    let limit = timeout.map(|text| {
        duration(text)
            .ok_or_else(|| Failure::usage(format!("--timeout: expected a time such as 30s, found `{text}`")))
    });
    let (limit, began) = (limit.transpose()?, Instant::now());
    let mut seen = false;
    loop {
        let runs = listed(client)?;
        let run = runs.iter().find(|run| cell(run, "id") == id);
        match run {
            None if !seen => return Err(no_run(id)),
            Some(run) if cell(run, "state") != "ended" => seen = true,
            ended => {
                match (ended, as_json) {
                    (Some(run), true) => say!("{run}"),
                    (Some(run), false) => say!("{id}  {}  {}", cell(run, "verdict"), cell(run, "exit")),
                    (None, _) => say!("{id}  over"),
                }
                return Ok(ExitCode::SUCCESS);
            }
        }
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            return Err(Failure::untrue(format!("{id} still runs")));
        }
        #[allow(clippy::disallowed_methods, reason = "the gate is asked again and again")]
        std::thread::sleep(LOOK);
    }
}

fn no_run(id: &str) -> Failure {
    Failure::usage(format!(
        "no run has the id `{id}`; `portcullis runs list --all` lists them, the record has older ones"
    ))
}

fn listed(client: &Client) -> Result<Vec<Value>, Failure> {
    Ok(client.ask(Method::GET, "runs", &Value::Null)?.as_array().cloned().unwrap_or_default())
}

fn list(runs: &[Value], as_json: bool) {
    if as_json {
        runs.iter().for_each(|run| say!("{run}"));
    } else if runs.is_empty() {
        say!("nothing is running");
    } else {
        let columns =
            ["id", "kind", "owner", "upstream", "state", "started", "pid", "containment", "verdict", "what"];
        let rows: Vec<Vec<String>> =
            runs.iter().map(|run| columns.iter().map(|column| cell(run, column)).collect()).collect();
        print(&columns, &rows);
    }
}

fn stop(client: &Client, args: &StopArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let body = json!({
        "ids": args.ids, "scope": args.scope.scope(), "kind": args.kind.map(|kind| kind.as_str()),
        "grace_ms": millis(grace(&args.grace)?),
    });
    let answer = client.ask(Method::POST, "runs/stop", &body)?;
    Ok(verdicts(&answer, as_json))
}

/// How long runs may take after SIGTERM.
pub(super) fn grace(text: &str) -> Result<Duration, Failure> {
    duration(text)
        .ok_or_else(|| Failure::usage(format!("--grace: expected a time such as 5s, found `{text}`")))
}

/// Says what came of each run, and the sum. The exit code tells whether something is left.
pub(super) fn verdicts(answer: &Value, as_json: bool) -> ExitCode {
    let results = answer.get("results").and_then(Value::as_array).cloned().unwrap_or_default();
    let counts = answer.get("counts").cloned().unwrap_or_default();
    if as_json {
        results.iter().for_each(|result| say!("{result}"));
        say!("{counts}");
    } else {
        results.iter().for_each(tell);
        let given =
            Verdict::ALL.map(Verdict::as_str).into_iter().filter(|verdict| cell(&counts, verdict) != "0");
        let sum: Vec<String> = given.map(|verdict| format!("{} {verdict}", cell(&counts, verdict))).collect();
        match results.len() {
            0 => say!("nothing to stop"),
            count => say!("{}: {}", counted(count, "run", "runs"), sum.join(", ")),
        }
    }
    let is_final = |result: &Value| {
        let verdict = cell(result, "verdict");
        Verdict::ALL.into_iter().any(|known| known.is_final() && known.as_str() == verdict)
    };
    if results.iter().all(is_final) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One verdict, and whom it leaves.
fn tell(result: &Value) {
    let members = |name: &str| result.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let proof = result.get("proof").cloned().unwrap_or_default();
    let how = match cell(result, "verdict").as_str() {
        "acknowledged" => format!(
            "the server says that it is {}",
            cell(result.get("task").unwrap_or(&Value::Null), "state")
        ),
        "unconfirmed" if result.get("task").is_some() => {
            "the server was asked to cancel the task and reported no final state in time".to_owned()
        }
        "unconfirmed" => "the server was told; it need not answer a call that is cancelled".to_owned(),
        "unreachable" => {
            format!("the server cannot be asked now and is told as soon as it can: {}", cell(&proof, "scope"))
        }
        "already_ended" => "it had ended before".to_owned(),
        _ => {
            let processes = counted(members("before").len(), "process", "processes");
            format!(
                "{processes} before, ended by {}; looked {} times",
                cell(&proof, "killed_by"),
                cell(&proof, "passes")
            )
        }
    };
    say!("{}  {}  {} ms  {how}", cell(result, "id"), cell(result, "verdict"), cell(result, "took_ms"));
    for survivor in members("survivors") {
        let of = |name: &str| cell(&survivor, name);
        say!("  lives: pid {} of {}, {}: {}", of("pid"), of("user"), of("command"), of("why"));
    }
}
