//! `portcullis approvals …`: calls that wait for a person.

use super::table::{cell, narrow_cell, print};
use crate::cli::{ApprovalsCommand, PlaceArgs};
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{aside, say};
use http::Method;
use portcullis_catalogue::written_out;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Whose token decides, where it is not the operator.
const TOKEN: &str = "PORTCULLIS_TOKEN";

/// Runs one command on what waits at the running gate.
pub(crate) fn run(
    place: &PlaceArgs,
    command: Option<ApprovalsCommand>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let client = Client::of(place)?;
    let known = known(&client)?;
    match command.unwrap_or(ApprovalsCommand::List { all: false }) {
        ApprovalsCommand::List { .. } if as_json => known.iter().for_each(|one| say!("{one}")),
        ApprovalsCommand::List { all } => list(&known, all),
        ApprovalsCommand::Show { id, reveal } => {
            let mut one = one(&known, &id)?.clone();
            if reveal {
                let path = format!("approvals/{}/reveal", cell(&one, "id"));
                let mut whole = client.ask(Method::POST, &path, &json!({ "token": token() }))?;
                if let (Some(members), Some(args)) = (one.as_object_mut(), whole.get_mut("args")) {
                    members.insert("args".into(), args.take());
                    members.insert("covered".into(), 0.into());
                    members.insert("cut".into(), 0.into());
                }
            }
            if as_json { say!("{one}") } else { show(&one) }
        }
        ApprovalsCommand::Approve { args, unseen } => {
            let body = json!({ "reason": args.reason, "token": token(), "unseen": unseen });
            let one = decided(&known, &args.id)?;
            if let (false, Named::Known(one)) = (as_json, &one) {
                // Whoever says yes has the whole call before them, whatever they looked at before.
                show(one);
                say!("");
            }
            decide(&client, &one, "approve", &body, as_json)?
        }
        ApprovalsCommand::Deny(args) => {
            let body = json!({ "reason": args.reason, "token": token() });
            decide(&client, &decided(&known, &args.id)?, "deny", &body, as_json)?
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What whoever asks may see: the operator all, a grant what it may decide.
fn known(client: &Client) -> Result<Vec<Value>, Failure> {
    let body = token().map_or(Value::Null, |token| json!({ "token": token }));
    match client.ask(Method::GET, "approvals", &body)? {
        Value::Array(known) => Ok(known),
        other => Err(Failure::bug(format!("the gate's answer is no list: {other}"))),
    }
}

/// The one of that name, or whose name alone begins so.
fn one<'k>(known: &'k [Value], id: &str) -> Result<&'k Value, Failure> {
    let name = |one: &Value| cell(one, "id");
    if let Some(one) = known.iter().find(|one| name(one) == id) {
        return Ok(one);
    }
    let mut like = known.iter().filter(|one| !id.is_empty() && name(one).starts_with(id));
    match (like.next(), like.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::usage(format!("`{id}` begins the names of several"))),
        _ => Err(Failure::usage(format!(
            "nothing is named `{id}`; `portcullis approvals list --all` shows all"
        ))),
    }
}

/// A call that is decided.
enum Named<'k> {
    Known(&'k Value),
    /// None that may be seen, so its name is whole. The gate says why it is not decided.
    Unseen(&'k str),
}

fn decided<'k>(known: &'k [Value], id: &'k str) -> Result<Named<'k>, Failure> {
    match one(known, id) {
        Err(_) if token().is_some() && !id.is_empty() => Ok(Named::Unseen(id)),
        found => found.map(Named::Known),
    }
}

/// The token of the grant that decides; without one the operator does.
fn token() -> Option<String> {
    std::env::var(TOKEN).ok().filter(|token| !token.is_empty())
}

fn decide(client: &Client, one: &Named<'_>, verb: &str, body: &Value, as_json: bool) -> Result<(), Failure> {
    let id = match one {
        Named::Known(one) => cell(one, "id"),
        Named::Unseen(id) => (*id).to_owned(),
    };
    let done = client.ask(Method::POST, &format!("approvals/{id}/{verb}"), body)?;
    if as_json {
        say!("{done}");
        return Ok(());
    }
    let what =
        format!("{} on {} by {}", name_of(&done, "tool"), cell(&done, "upstream"), cell(&done, "grant"));
    say!("{}: {what} ({})", cell(&done, "state"), cell(&done, "id"));
    Ok(())
}

fn name_of(one: &Value, member: &str) -> String {
    written_out(&cell(one, member))
}

fn is_open(one: &Value) -> bool {
    matches!(one.get("state").and_then(Value::as_str), Some("waiting" | "approved"))
}

fn list(known: &[Value], all: bool) {
    let shown: Vec<&Value> = known.iter().filter(|one| all || is_open(one)).collect();
    let over = known.len() - shown.len();
    if shown.is_empty() {
        let whose = if token().is_some() { " that the grant of PORTCULLIS_TOKEN may decide" } else { "" };
        aside!("no call waits for a person{whose}");
    } else {
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|one| {
                vec![
                    cell(one, "id"),
                    cell(one, "state"),
                    cell(one, "grant"),
                    format!("{} {}", cell(one, "upstream"), name_of(one, "tool")),
                    narrow_cell(one, "args"),
                    cell(one, "expires"),
                ]
            })
            .collect();
        print(&["ID", "STATE", "GRANT", "TOOL", "ARGUMENTS", "UNTIL"], &rows);
    }
    if over > 0 {
        aside!("{over} more that are over: `portcullis approvals list --all`");
    }
}

fn show(one: &Value) {
    for (title, text) in [
        ("id", cell(one, "id")),
        ("state", cell(one, "state")),
        ("grant", cell(one, "grant")),
        ("tool", format!("{} {}", cell(one, "upstream"), name_of(one, "tool"))),
        ("why", format!("{} ({})", name_of(one, "message"), cell(one, "rule"))),
        ("risk", cell(one, "risk")),
        ("client", cell(one, "client")),
        ("created", cell(one, "created")),
        ("expires", cell(one, "expires")),
        ("decided by", cell(one, "decided_by")),
        ("reason", name_of(one, "reason")),
    ] {
        say!("{title:<12}{text}");
    }
    let labels = one.get("approvers").and_then(Value::as_array).into_iter().flatten();
    for label in labels.filter_map(Value::as_array) {
        let label: Vec<&str> = label.iter().filter_map(Value::as_str).collect();
        say!("{:<12}a grant with {}", "approver", label.join(" or "));
    }
    let args = match one.get("args") {
        None | Some(Value::Null) => "not shown".to_owned(),
        Some(args) => serde_json::to_string_pretty(args).unwrap_or_default(),
    };
    say!("arguments");
    for line in args.split('\n') {
        say!("  {}", written_out(line));
    }
    let parts = |name: &str| one.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (covered, cut) = (parts("covered"), parts("cut"));
    if covered + cut > 0 {
        say!(
            "not shown   {covered} covered, because they look like secrets; {cut} cut, because they are long"
        );
    }
}
