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

/// Warnings that say the same of so many things are said once.
const ALIKE: usize = 3;

/// Warnings that say the same, with the names and lines of what they are about.
fn in_short(alike: &[Problem]) -> String {
    let Some(Problem { message, hint, .. }) = alike.first() else { return String::new() };
    let what = message.split(", found ").next().unwrap_or_default();
    let hint = hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
    let name = |problem: &Problem| {
        let name = problem.path.rsplit('/').next().unwrap_or_default();
        format!("{} (line {})", name.replace("~1", "/").replace("~0", "~"), problem.line)
    };
    let names: Vec<String> = alike.iter().map(name).collect();
    format!("warning, {} times: {what}{hint}: {}", alike.len(), names.join(", "))
}

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
        for problems in &mut found {
            let alike = problems.take_alike(ALIKE);
            if !problems.is_empty() {
                aside_lines!("{}", rendered(problems).trim_end());
            }
            alike.iter().for_each(|group| aside_lines!("{}", in_short(group)));
        }
        if ok {
            say!("{}: ok", file.display());
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
