//! `portcullis status`.

use super::table::{cell, narrow_cell, print};
use crate::cli::PlaceArgs;
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{say, say_lines};
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Behind a drop that its file does not say.
const NOT_KEPT: &str =
    " (THE FILE CANNOT BE WRITTEN: it ends with this gate, which tries again until it can)";

/// Shows the running gate.
pub(crate) fn run(place: &PlaceArgs, json: bool) -> Result<ExitCode, Failure> {
    let status = Client::of(place)?.ask(Method::GET, "status", &Value::Null)?;
    if json {
        say!("{status}");
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "gate {} on http://{}, up {} s, pid {}, {} sessions, {} calls in flight",
        cell(&status, "version"),
        cell(&status, "listen"),
        cell(&status, "uptime_s"),
        cell(&status, "pid"),
        cell(&status, "sessions"),
        cell(&status, "runs"),
    );
    let tasks = status.get("tasks").cloned().unwrap_or_default();
    if tasks.as_object().is_some_and(|counts| counts.values().any(|count| *count != 0)) {
        say!(
            "tasks: {} under way, {} ended and known; let go: {} for room, {} in time; {} lost",
            cell(&tasks, "live"),
            cell(&tasks, "kept"),
            cell(&tasks, "evicted"),
            cell(&tasks, "expired"),
            cell(&tasks, "lost"),
        );
    }
    say!("");
    for drop in status.get("drops").and_then(Value::as_array).into_iter().flatten() {
        let (scope, by, since, reason) =
            (cell(drop, "scope"), cell(drop, "by"), cell(drop, "since"), cell(drop, "reason"));
        let kept = if drop.get("kept") == Some(&Value::Bool(false)) { NOT_KEPT } else { "" };
        say!("DROPPED `{scope}` by {by} since {since}: {reason}{kept}");
    }
    section(&status, "upstreams", &["name", "kind", "state", "tools", "pid", "reason"]);
    section(&status, "policies", &["name", "loaded", "digest"]);
    troubles(&status);
    section(&status, "grants", &["name", "upstreams", "expires"]);
    if let Some(ledger) = status.get("ledger") {
        say!("ledger: {} rows, head {}", cell(ledger, "rows"), cell(ledger, "head"));
        if let Some(trouble) = ledger.get("trouble").and_then(Value::as_str) {
            say!("THE LEDGER CANNOT BE WRITTEN, SO NOTHING PASSES: {trouble}");
        }
        if let Some(damage) = ledger.get("damage").and_then(Value::as_str) {
            say!("THE LEDGER IS DAMAGED: {damage}; `portcullis ledger verify` says more");
        }
    }
    if let Some(waiting) = status.get("waiting").and_then(Value::as_str) {
        // Mistakes in files are lines of ours.
        say_lines!("{waiting}");
    }
    Ok(ExitCode::SUCCESS)
}

fn section(status: &Value, name: &str, columns: &[&str]) {
    let entries = status.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let Some((last, others)) = columns.split_last() else { return };
    let row = |entry: &Value| -> Vec<String> {
        others.iter().map(|column| narrow_cell(entry, column)).chain([cell(entry, last)]).collect()
    };
    let rows: Vec<Vec<String>> = entries.iter().map(row).collect();
    if rows.is_empty() {
        say!("no {name}");
    } else {
        let mut headings = columns.to_vec();
        let singular = format!("{} ", name.trim_end_matches('s').replace("policie", "policy"));
        let singular = singular.trim_end().to_owned();
        if let Some(first) = headings.first_mut() {
            *first = &singular;
        }
        print(&headings, &rows);
    }
    say!("");
}

/// What is wrong with policies, in full: the first line of a mistake is not what to mend.
fn troubles(status: &Value) {
    for policy in status.get("policies").and_then(Value::as_array).into_iter().flatten() {
        let Some(error) = policy.get("error").and_then(Value::as_str) else { continue };
        let loaded = policy.get("loaded").and_then(Value::as_bool).unwrap_or(false);
        let held = if loaded {
            "has mistakes; the last good one is in force"
        } else {
            "denies everything until it is mended"
        };
        say_lines!("the policy {} {held}:\n{}\n", cell(policy, "name"), error.trim_end());
    }
}
