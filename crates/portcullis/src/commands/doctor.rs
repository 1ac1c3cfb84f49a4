//! `portcullis doctor`: what is well, what is not, and what to do about it.

mod check;
mod gate;
mod machine;
mod upstream;

use crate::cli::PlaceArgs;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::out::{say, say_lines};
use crate::place::{self, config_file};
use check::Check;
use portcullis_policy::Policy;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs all checks; fails with 1 where one of them failed.
pub(crate) fn run(place: &PlaceArgs, json: bool) -> Result<ExitCode, Failure> {
    let (config, mut checks) = configuration(place);
    let data = data_folder(place, config.as_ref());
    if let Some(config) = &config {
        checks.extend(config.policies.iter().map(|(name, path)| policy(name, path)));
        checks.push(gate::listen(&config.listen));
    }
    if let Some(data) = &data {
        checks.push(gate::data(data));
        checks.push(gate::ledger(data));
        let (running, status) = gate::running(data);
        checks.extend(running);
        if let Some(config) = &config {
            checks.extend(config.upstreams.iter().flat_map(upstream::reachable));
            checks.extend(status.iter().flat_map(upstream::states));
        }
        checks.push(machine::disk(data));
        checks.push(machine::clock(data));
    }
    checks.push(machine::runtime_folder(data.as_deref()));
    checks.push(machine::descriptors());
    checks.push(machine::separation());
    let failed = checks.iter().any(Check::has_failed);
    for check in &checks {
        if json { say!("{}", check.to_json()) } else { say_lines!("{check}") }
    }
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

fn configuration(place: &PlaceArgs) -> (Option<Config>, Vec<Check>) {
    const NAME: &str = "configuration";
    let file = match config_file(place) {
        Ok(Some(file)) => file,
        Ok(None) => {
            let advice =
                "`portcullis up` makes one, `portcullis import` makes one from other clients' servers";
            return (None, vec![Check::warn(NAME, "none in this folder or above", advice)]);
        }
        Err(failure) => {
            let advice = "name a file that is there, or leave --config and PORTCULLIS_CONFIG out";
            return (None, vec![Check::fail(NAME, failure.to_string(), advice)]);
        }
    };
    let shown = file.display().to_string();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            let found = format!("{shown} cannot be read: {error}");
            return (None, vec![Check::fail(NAME, found, "give it to the user that runs the gate")]);
        }
    };
    match config::read(&file, &text) {
        Ok(config) if config.warnings.is_empty() => (Some(config), vec![Check::ok(NAME, shown)]),
        Ok(config) => {
            let found = config.warnings.to_string();
            let advice = "take out what has no effect";
            (Some(config), vec![Check::warn(NAME, found, advice)])
        }
        Err(problems) => {
            let advice = "mend these places; `portcullis schema config` says what may stand there";
            (None, vec![Check::fail(NAME, problems.to_string(), advice)])
        }
    }
}

fn data_folder(place: &PlaceArgs, config: Option<&Config>) -> Option<PathBuf> {
    match &place.data {
        Some(data) => place::absolute(data).ok(),
        None => config.map(|config| config.data.clone()),
    }
}

fn policy(name: &str, path: &Path) -> Check {
    let check = format!("policy {name}");
    let advice = "grants that use it are denied everything until it is mended";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            return Check::fail(check, format!("{} cannot be read: {error}", path.display()), advice);
        }
    };
    match Policy::parse(&path.to_string_lossy(), &text) {
        Err(problems) => Check::fail(check, problems.to_string(), advice),
        Ok(policy) if policy.warnings().is_empty() => Check::ok(check, path.display().to_string()),
        Ok(policy) => Check::warn(check, policy.warnings().to_string(), "see `portcullis policy check`"),
    }
}
