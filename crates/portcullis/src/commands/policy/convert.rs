//! `portcullis policy convert`.

use super::text;
use crate::failure::Failure;
use crate::out::{self, aside, counted, say};
use crate::place::rendered;
use portcullis_policy::{Policy, from_intercept};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Translates a file of Intercept, and says what means another thing then.
pub(super) fn convert(file: &Path, to: Option<&Path>, as_json: bool) -> Result<ExitCode, Failure> {
    let name = file.display().to_string();
    let converted = from_intercept(&name, &text::read(file)?)
        .map_err(|problems| Failure::report(&rendered(&problems)))?;
    // What is written must be a policy; where it is none, nothing is written.
    Policy::parse("policy.yaml", &converted.policy).map_err(|problems| {
        Failure::bug(format!("what came of {name} is no policy:")).and_lines(&rendered(&problems))
    })?;
    if let Some(to) = to {
        write_new(to, &converted.policy)?;
    }
    match (as_json, to) {
        (true, _) => {
            say!("{}", serde_json::to_string(&converted).map_err(|error| Failure::bug(error.to_string()))?);
        }
        (false, None) => out::hand_on(&converted.policy.to_string()),
        (false, Some(_)) => {}
    }
    if !as_json {
        for remark in &converted.report {
            aside!("{name}:{}:{}: {}: {}", remark.line, remark.column, remark.what, remark.why);
        }
        match converted.report.iter().filter(|remark| !remark.kept).count() {
            0 => aside!("everything is kept as it was"),
            count => aside!("{} not kept exactly; all else is", counted(count, "thing is", "things are")),
        }
    }
    Ok(if converted.is_exact() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// A file that is there may be in force.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    written.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        Failure::usage(match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                format!("{} is there already: name another file, or remove it first", path.display())
            }
            _ => format!("{} cannot be written: {error}", path.display()),
        })
    })
}
