//! `portcullis drop` and `portcullis raise`.

use super::runs::{grace, verdicts};
use super::table::cell;
use crate::cli::{DropArgs, PlaceArgs};
use crate::control::Client;
use crate::failure::Failure;
use crate::lock::Lock;
use crate::out::{aside, aside_lines, say};
use crate::stopping::{counts, result};
use crate::{peer, place};
use http::Method;
use portcullis_ledger::time_text;
use portcullis_runs::{
    DROPPED, Dropped, Drops, Left, RunId, Scope, Stopped, Verdict, end_keepers_of, keepers_of, millis,
};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How long a gate may take to answer at all, and how much longer than the grace a drop, before it is taken for hung.
const ANSWERS: Duration = Duration::from_secs(2);
const DROPS: Duration = Duration::from_secs(15);
/// How long what a gate left behind may take to end, and how often is looked.
const LEFT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(50);

/// Drops through the running gate; where it cannot be reached, through the file that it looks at and that the next one
/// reads first, and through the keepers.
pub(crate) fn drop(place: &PlaceArgs, args: &DropArgs) -> Result<ExitCode, Failure> {
    let (data, scope) = (place::data_folder(place)?, args.scope.scope());
    let grace = grace(&args.grace)?;
    let client = Client::at(data.clone());
    if client.is_held() {
        let body = json!({ "scope": scope, "reason": args.reason, "grace_ms": millis(grace) });
        let answers = client.ask_within(Method::GET, "status", &Value::Null, Some(ANSWERS));
        match answers.and_then(|_| client.ask_within(Method::POST, "drop", &body, Some(grace + DROPS))) {
            Ok(answer) => return Ok(dropped(&scope, &answer, args.json)),
            Err(failure) if !failure.is_unreachable() => return Err(failure),
            Err(failure) => aside_lines!("{failure}"),
        }
    }
    let by = std::env::var("USER").unwrap_or_else(|_| "operator".into());
    let since = time_text(jiff::Timestamp::now().as_millisecond());
    let dropped = Dropped { scope: scope.clone(), reason: args.reason.clone(), since, by };
    let file = data.join(DROPPED);
    let drops = Drops::of(&data);
    drops.put(dropped);
    drops.keep().map_err(|error| {
        Failure::untrue(format!("{} cannot be written, so nothing is dropped: {error}", file.display()))
    })?;
    let held = Client::at(data.clone()).is_held();
    if held {
        let file = file.display();
        say_unless(
            args.json,
            &format!("dropped `{scope}` by {file}: a gate that goes on takes it within a second"),
        );
    } else {
        let until = "`portcullis raise` ends it";
        say_unless(
            args.json,
            &format!("dropped `{scope}`; no gate runs, and the next one starts so; {until}"),
        );
    }
    let mut ended = json!({ "results": [], "counts": { "runs": 0 } });
    if !held || scope == Scope::default() {
        // A keeper does not know whose its run is, so all of them or none.
        let runs = Left::held(&data);
        end_keepers_of(&data);
        leftovers(&data)?;
        let stopped = |(id, left): (RunId, Left)| {
            let stopped = left.ended().map(|ended| ended.stopped);
            result(id.as_str(), &stopped.unwrap_or(Stopped::without_proof(Verdict::Unconfirmed, 0)))
        };
        let results: Vec<Value> = runs.into_iter().map(stopped).collect();
        ended = json!({ "counts": counts(&results), "results": results });
    }
    let code = verdicts(&ended, args.json);
    if held {
        return Err(Failure::untrue(
            "calls in flight are not known here; once the gate goes on, `portcullis runs` tells",
        ));
    }
    Ok(code)
}

fn say_unless(json: bool, text: &str) {
    if !json {
        say!("{text}");
    }
}

fn dropped(scope: &Scope, answer: &Value, as_json: bool) -> ExitCode {
    say_unless(as_json, &format!("dropped `{scope}`: nothing in it passes until `portcullis raise`"));
    let ended = verdicts(answer, as_json);
    match answer.get("not_kept").and_then(Value::as_str) {
        None => ended,
        Some(why) => {
            aside!(
                "the file {DROPPED} cannot be written: {why}; the drop holds while this gate runs, which tries again until it can"
            );
            ExitCode::FAILURE
        }
    }
}

/// Waits for the keepers: each ends when nothing of its run lives.
fn leftovers(data: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    while !keepers_of(data).is_empty() && began.elapsed() < LEFT {
        #[allow(
            clippy::disallowed_methods,
            reason = "processes of another program: they can only be looked at again"
        )]
        std::thread::sleep(LOOK);
    }
    match keepers_of(data).as_slice() {
        [] => Ok(()),
        left => {
            let pids: Vec<String> = left.iter().map(ToString::to_string).collect();
            Err(Failure::untrue(format!("keepers still hold something: pid {}", pids.join(", "))))
        }
    }
}

/// Ends a drop, through the running gate or in the file.
pub(crate) fn raise(place: &PlaceArgs, scope: &Scope, as_json: bool) -> Result<ExitCode, Failure> {
    if peer::inside_a_run() {
        return Err(Failure::denied(
            "this shell was started through the gate; a drop is raised from outside of it",
        ));
    }
    let data = place::data_folder(place)?;
    let client = Client::at(data.clone());
    let raised: Vec<Value> = if client.is_held() {
        let raised = client.ask(Method::POST, "raise", &json!(scope))?;
        raised.as_array().cloned().unwrap_or_default()
    } else {
        let _alone = Lock::take(&data)?;
        let wanted = Some(scope).filter(|scope| **scope != Scope::default());
        let raised = Drops::of(&data).raise(wanted).map_err(|error| {
            Failure::untrue(format!(
                "{} cannot be written, so nothing is raised: {error}",
                data.join(DROPPED).display()
            ))
        })?;
        raised.iter().map(Dropped::shown).collect()
    };
    if as_json {
        raised.iter().for_each(|one| say!("{one}"));
    } else if raised.is_empty() {
        say!("nothing is dropped with the scope `{scope}`");
    } else {
        raised.iter().for_each(|one| {
            say!(
                "raised `{}`, dropped by {} since {}: {}",
                cell(one, "scope"),
                cell(one, "by"),
                cell(one, "since"),
                cell(one, "reason")
            );
        });
    }
    Ok(ExitCode::SUCCESS)
}
