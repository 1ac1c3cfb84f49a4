//! `portcullis policy check`.

use super::{text, tools};
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::out::{aside_lines, say};
use crate::place::rendered;
use portcullis_document::{Problem, Problems, Severity};
use portcullis_policy::Policy;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Says what is wrong with a file, also beside the tools of a server.
pub(super) fn check(
    place: &PlaceArgs,
    file: &Path,
    against: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let text = text::read(file)?;
    let mut found: Vec<Problems> = Vec::new();
    match Policy::parse(&file.to_string_lossy(), &text) {
        Err(problems) => found.push(problems),
        Ok(policy) => {
            found.push(policy.warnings().clone());
            if let Some(against) = against {
                let tools = tools::of(place, against)?;
                let kinds = tools::kinds(against, &tools);
                found.push(policy.check_against(&tools::shapes(against, &tools, &kinds)));
            }
        }
    }
    let ok = !found.iter().any(Problems::has_errors);
    if as_json {
        let of = |severity: Severity| -> Vec<&Problem> {
            found.iter().flat_map(Problems::iter).filter(|problem| problem.severity == severity).collect()
        };
        say!(
            "{}",
            json!({
                "file": file.to_string_lossy(), "ok": ok,
                "errors": of(Severity::Error), "warnings": of(Severity::Warning),
            })
        );
    } else {
        for problems in found.iter().filter(|problems| !problems.is_empty()) {
            aside_lines!("{}", rendered(problems).trim_end());
        }
        if ok {
            say!("{}: ok", file.display());
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
