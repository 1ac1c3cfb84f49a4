//! `portcullis catalogue …`: what is known of the tools behind the gate, and what of it was accepted.

mod diff;

use super::table::{cell, print};
use crate::cli::{CatalogueCommand, PlaceArgs};
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{counted, say};
use crate::place;
use http::Method;
use portcullis_catalogue::{Dimension, Signal, written_out};
use portcullis_ledger::{Filter, query};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Places of differences that the list names; the others are counted.
const PLACES: usize = 3;

/// Runs one command on the catalogue of the running gate.
pub(crate) fn run(
    place: &PlaceArgs,
    command: Option<CatalogueCommand>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let client = Client::of(place)?;
    match command.unwrap_or(CatalogueCommand::List { upstream: None }) {
        CatalogueCommand::List { upstream } => {
            let found = known(&client, upstream.as_deref(), None)?;
            if as_json {
                lines(&found)
            } else {
                list(&found)
            }
            Ok(ExitCode::SUCCESS)
        }
        CatalogueCommand::Show { upstream, tool } => {
            let mut found = known(&client, Some(&upstream), tool.as_deref())?;
            if let (Some(tool), [one]) = (&tool, &mut *found)
                && let Some(members) = one.as_object_mut()
            {
                members.insert("history".into(), history(place, &upstream, tool)?.into());
            }
            if as_json {
                lines(&found)
            } else {
                found.iter().for_each(show)
            }
            Ok(ExitCode::SUCCESS)
        }
        CatalogueCommand::Diff { upstream, tool } => {
            let mut found = known(&client, Some(&upstream), tool.as_deref())?;
            found.retain(diff::waits);
            if as_json {
                lines(&found)
            } else {
                diff::print(&upstream, &found)
            }
            Ok(ExitCode::SUCCESS)
        }
        CatalogueCommand::Accept { upstream, tool, reason } => {
            let body = json!({ "upstream": upstream, "tool": tool, "reason": reason });
            let done = client.ask(Method::POST, "catalogue/accept", &body)?;
            if as_json {
                say!("{done}");
                return Ok(ExitCode::SUCCESS);
            }
            if done.get("server") == Some(&Value::Bool(true)) {
                say!("accepted: the server {upstream} as it is now");
            }
            for tool in done.get("tools").and_then(Value::as_array).into_iter().flatten() {
                say!("accepted: {upstream} {}", written_out(tool.as_str().unwrap_or_default()));
                for finding in all(&done, "blocking").iter().filter(|it| it.get("tool") == Some(tool)) {
                    say!("  although: {}", finding_text(finding));
                }
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn known(client: &Client, upstream: Option<&str>, tool: Option<&str>) -> Result<Vec<Value>, Failure> {
    let path = upstream.map_or("catalogue".to_owned(), |upstream| format!("catalogue/{upstream}"));
    let answer = client.ask(Method::GET, &path, &Value::Null)?;
    let mut found = match answer {
        Value::Array(found) => found,
        _ => Vec::new(),
    };
    if let Some(tool) = tool {
        found.retain(|one| one.get("tool").and_then(Value::as_str) == Some(tool));
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "{} has no tool named `{tool}`; `portcullis catalogue list` shows them",
                upstream.unwrap_or_default()
            )));
        }
    }
    Ok(found)
}

fn lines(found: &[Value]) {
    found.iter().for_each(|one| say!("{one}"));
}

fn list(found: &[Value]) {
    if found.is_empty() {
        say!("no server has listed a tool yet; `portcullis status` shows the upstreams");
        return;
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .map(|one| {
            let quality = one.get("quality").filter(|quality| !quality.is_null());
            let grade =
                quality.map_or("-".to_owned(), |it| format!("{} {}", cell(it, "tier"), cell(it, "score")));
            let findings = one.get("findings").and_then(Value::as_array).map_or(0, Vec::len);
            let mut says = match one.get("tool") {
                Some(Value::Null) => {
                    vec![format!(
                        "it says that it is {}, and was accepted as {}",
                        cell(one, "seen"),
                        cell(one, "accepted")
                    )]
                }
                _ => Vec::new(),
            };
            if findings > 0 {
                says.push(counted(findings, "finding", "findings"));
            }
            let changed = one.get("differences").and_then(Value::as_array);
            says.extend(changed.map(|all| {
                let mut places: Vec<String> = all.iter().take(PLACES).map(|it| cell(it, "where")).collect();
                if all.len() > PLACES {
                    places.push(format!("and {} more", all.len() - PLACES));
                }
                format!("changed: {}", places.join(", "))
            }));
            [
                cell(one, "upstream"),
                cell(one, "tool"),
                cell(one, "state"),
                cell(one, "risk"),
                cell(one, "category"),
                grade,
                says.join("; "),
            ]
            .map(|text| written_out(&text))
            .into()
        })
        .collect();
    print(&["upstream", "tool", "state", "risk", "category", "grade", ""], &rows);
}

fn show(one: &Value) {
    say!("{} {}", written_out(&cell(one, "upstream")), written_out(&cell(one, "tool")));
    let line = |name: &str, text: &str| say!("  {name:<12} {}", written_out(text));
    for name in ["state", "category", "risk", "why", "fingerprint", "since", "by", "reason"] {
        if one.get(name).is_some_and(|value| !value.is_null() && value.as_str() != Some("")) {
            line(name, &cell(one, name));
        }
    }
    let signals = all(one, "signals").into_iter().filter_map(|it| serde_json::from_value::<Signal>(it).ok());
    let signals: Vec<&str> = signals.map(Signal::says).collect();
    if !signals.is_empty() {
        line("signals", &signals.join(", "));
    }
    if let Some(quality) = one.get("quality").filter(|quality| !quality.is_null()) {
        let grades = Dimension::ALL.map(|of| format!("{} {}", of.as_str(), cell(quality, of.as_str())));
        let whole = format!("{} {}", cell(quality, "tier"), cell(quality, "score"));
        line("grade", &format!("{whole}: {}", grades.join(", ")));
        for advice in all(quality, "advice") {
            line("better", &format!("{}: {}", cell(&advice, "dimension"), cell(&advice, "suggestion")));
        }
    }
    for finding in all(one, "findings") {
        line("finding", &finding_text(&finding));
    }
    if let Some(policy) =
        one.get("policy").filter(|policy| policy.as_object().is_some_and(|it| !it.is_empty()))
    {
        line("policy", &policy.to_string());
    }
    for row in all(one, "history") {
        line("history", &format!("{}  {}", cell(&row, "time"), cell(&row, "message")));
    }
    let definition = ["seen", "definition"].iter().find_map(|name| one.get(name).filter(|it| it.is_object()));
    if let Some(definition) = definition {
        let text = serde_json::to_string_pretty(definition).unwrap_or_default();
        text.lines().for_each(|line| say!("    {}", written_out(line)));
    }
    say!("");
}

/// The members of an array of an object.
fn all(of: &Value, name: &str) -> Vec<Value> {
    of.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// A finding in one line, how grave it is first.
fn finding_text(finding: &Value) -> String {
    let [severity, rule, place, text] = ["severity", "rule", "where", "text"].map(|name| cell(finding, name));
    format!("{severity} {rule} in {place}: {text}")
}

/// What became of a tool's definition, as the record has it, the oldest first.
fn history(place: &PlaceArgs, upstream: &str, tool: &str) -> Result<Vec<Value>, Failure> {
    let filter = Filter { kind: Some("pin".into()), upstream: Some(upstream.into()), ..Filter::default() };
    let mut rows = Vec::new();
    query(&place::data_folder(place)?, &filter, |row| {
        // A row without a tool is about the server, and so about all of them.
        if row.get("tool").and_then(Value::as_str).is_none_or(|of| of == tool) {
            rows.push(json!({ "time": row.get("time"), "message": row.get("message") }));
        }
        true
    })?;
    Ok(rows)
}
