//! `portcullis policy …`.

mod cases;
mod check;
mod convert;
mod diff;
mod explain;
mod facts;
mod recommend;
mod replay;
mod test;
mod text;
mod tools;

use crate::cli::{PlaceArgs, PolicyCommand};
use crate::failure::Failure;
use portcullis_catalogue::Language;
use std::process::ExitCode;

/// Runs one command on policy files.
pub(crate) fn run(place: &PlaceArgs, command: PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Check { file, against, json } => check::check(place, &file, against.as_deref(), json),
        PolicyCommand::Recommend { of, policy_version, json } => {
            let language = if policy_version == "2" { Language::Two } else { Language::One };
            recommend::recommend(place, &of, language, json)
        }
        PolicyCommand::Explain { file, call, grant, against, json } => {
            explain::explain(place, &file, &call, grant.as_deref(), against.as_deref(), json)
        }
        PolicyCommand::Convert { file, out, json } => convert::convert(&file, out.as_deref(), json),
        PolicyCommand::Diff(args) => diff::diff(place, &args),
        PolicyCommand::Replay(args) => replay::replay(place, &args),
        PolicyCommand::Test { path, json } => test::test(&path, json),
    }
}
