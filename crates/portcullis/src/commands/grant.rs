//! `portcullis grant …`.

use super::table::{cell, print};
use crate::cli::{GrantCommand, PlaceArgs};
use crate::config::duration;
use crate::control::Client;
use crate::failure::Failure;
use crate::out::say;
use crate::peer;
use http::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// Runs one command on grants, through the running gate.
pub(crate) fn run(place: &PlaceArgs, command: GrantCommand) -> Result<ExitCode, Failure> {
    if peer::inside_a_run() {
        return Err(Failure::denied(
            "this shell was started through the gate; grants are changed from outside of it",
        ));
    }
    let client = Client::of(place)?;
    match command {
        GrantCommand::Add { name, upstreams, labels, expires, approver, shadow, json: as_json } => {
            let expires = match expires {
                None => None,
                Some(text) => {
                    let after = duration(&text).ok_or_else(|| {
                        Failure::usage(format!(
                            "--expires: expected a time such as 30d or 12h, found `{text}`"
                        ))
                    })?;
                    let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX);
                    Some(jiff::Timestamp::now().as_millisecond().saturating_add(after))
                }
            };
            let body = json!({
                "name": name, "upstreams": pairs("--upstream", &upstreams)?, "labels": pairs("--label", &labels)?,
                "expires": expires, "approver": approver, "shadow": shadow,
            });
            let added = client.ask(Method::POST, "grants", &body)?;
            show_token(&added, as_json);
        }
        GrantCommand::List { json: as_json } => {
            let grants = client.ask(Method::GET, "grants", &Value::Null)?;
            let grants = grants.as_array().cloned().unwrap_or_default();
            if as_json {
                grants.iter().for_each(|grant| say!("{grant}"));
            } else {
                let columns = ["name", "upstreams", "labels", "expires"];
                let rows: Vec<Vec<String>> = grants
                    .iter()
                    .map(|grant| columns.iter().map(|column| cell(grant, column)).collect())
                    .collect();
                print(&columns, &rows);
            }
        }
        GrantCommand::Rotate { name, json: as_json } => {
            let rotated = client.ask(Method::POST, &format!("grants/{name}/rotate"), &Value::Null)?;
            show_token(&rotated, as_json);
        }
        GrantCommand::Revoke { name } => {
            client.ask(Method::DELETE, &format!("grants/{name}"), &Value::Null)?;
            say!("the grant {name} was revoked; its sessions have ended");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show_token(grant: &Value, as_json: bool) {
    if as_json {
        say!("{grant}");
        return;
    }
    say!("grant  {}", cell(grant, "name"));
    say!("token  {}", cell(grant, "token"));
    say!("The token is shown this once. Clients send it as `Authorization: Bearer <token>`.");
}

/// `K=V` arguments as an object.
fn pairs(flag: &str, arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for argument in arguments {
        let (key, value) = argument
            .split_once('=')
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
            .ok_or_else(|| Failure::usage(format!("{flag}: expected NAME=VALUE, found `{argument}`")))?;
        if map.insert(key.to_owned(), value.into()).is_some() {
            return Err(Failure::usage(format!("{flag}: `{key}` stands twice")));
        }
    }
    Ok(map)
}
