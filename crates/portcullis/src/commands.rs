//! What each command does.

mod approvals;
mod catalogue;
mod doctor;
mod drop;
mod first_grant;
mod grant;
mod import;
mod ledger;
mod logs;
mod mcp;
mod policy;
mod runs;
mod scan;
mod schema;
pub(crate) mod start;
mod status;
mod stdio;
mod table;
mod up;

use crate::cli::{Cli, Command};
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{self, say};
use clap::CommandFactory;
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Runs one command.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let place = &cli.place;
    match cli.command {
        None => up::run(place, &crate::cli::UpArgs::default()),
        Some(Command::Up(args)) => up::run(place, &args),
        Some(Command::Mcp { which, file }) => mcp::run(place, which, &file),
        Some(Command::Stdio { grant, upstream }) => stdio::run(place, &grant, upstream.as_deref()),
        Some(Command::Status { json }) => status::run(place, json),
        Some(Command::Grant(command)) => grant::run(place, command),
        Some(Command::Policy(command)) => policy::run(place, command),
        Some(Command::Runs { command, json }) => runs::run(place, command, json),
        Some(Command::Drop(args)) => drop::drop(place, &args),
        Some(Command::Raise { scope, json }) => drop::raise(place, &scope.scope(), json),
        Some(Command::Approvals { command, json }) => approvals::run(place, command, json),
        Some(Command::Catalogue { command, json }) => catalogue::run(place, command, json),
        Some(Command::Ledger(command)) => ledger::run(place, command),
        Some(Command::Reload) => {
            let said = Client::of(place)?.ask(Method::POST, "reload", &Value::Null)?;
            say!("reloaded: {}", said.get("reloaded").and_then(Value::as_str).unwrap_or_default());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Import { files, write, yes, shared, undo, json }) => {
            import::run(place, &import::Wish { files, write, yes, shared, undo, json })
        }
        Some(Command::Scan(args)) => scan::run(place.config.as_deref(), &args),
        Some(Command::Doctor { json }) => doctor::run(place, json),
        Some(Command::Schema { of }) => Ok(schema::run(of)),
        Some(Command::Completions { shell }) => {
            // Into memory first: the library panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
            out::hand_on(&String::from_utf8_lossy(&script));
            Ok(ExitCode::SUCCESS)
        }
    }
}
