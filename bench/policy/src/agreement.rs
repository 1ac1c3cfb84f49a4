//! Whether all engines answer alike. Times of different answers could not be compared.

use serde::Serialize;

use crate::engine::Engine;
use crate::error::Error;

/// The least calls of each answer.
const LEAST: usize = 50;

/// Calls that all engines answered alike.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// Those that all allowed.
    pub allowed: usize,
    /// Those that all denied.
    pub denied: usize,
}

/// Asks all engines about all calls of a tool, and about a tool that no rule names.
///
/// # Errors
/// Where they differ, or too few calls are of one answer.
pub fn agree(engines: &[&dyn Engine], tool: &str, calls: &[String]) -> Result<Agreement, Error> {
    let mut found = Agreement { allowed: 0, denied: 0 };
    for call in calls {
        match answer(engines, tool, call)? {
            true => found.allowed += 1,
            false => found.denied += 1,
        }
        if answer(engines, "no_rule_names_it", call)? {
            found.allowed += 1;
        }
    }
    let Agreement { allowed, denied } = found;
    if allowed.min(denied) < LEAST {
        return Err(Error::OneSided { least: LEAST, allowed, denied });
    }
    Ok(found)
}

/// What all of them answer.
///
/// # Errors
/// Where they differ.
pub fn answer(engines: &[&dyn Engine], tool: &str, arguments: &str) -> Result<bool, Error> {
    let answers: Vec<_> =
        engines.iter().map(|engine| (engine.name(), engine.allows(tool, arguments))).collect();
    match answers.as_slice() {
        [(_, first), rest @ ..] if rest.iter().all(|(_, other)| other == first) => Ok(*first),
        _ => {
            let said = answers
                .iter()
                .map(|(name, allows)| format!("{name}: {}", if *allows { "allow" } else { "deny" }));
            let answers = said.collect::<Vec<_>>().join(", ");
            Err(Error::Disagreement { answers, arguments: arguments.to_owned() })
        }
    }
}
