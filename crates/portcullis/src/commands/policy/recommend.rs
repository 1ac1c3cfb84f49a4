//! `portcullis policy recommend`.

use super::tools;
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::out::{self, say};
use portcullis_catalogue::{Known, Language, recommended, recommended_text};
use std::process::ExitCode;

/// Writes a policy to begin with.
pub(super) fn recommend(
    place: &PlaceArgs,
    of: &str,
    language: Language,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let known = Known::of(of, tools::of(place, of)?);
    match as_json {
        true => say!("{}", recommended(&known, language)),
        false => out::hand_on(&recommended_text(of, &known, language).to_string()),
    }
    Ok(ExitCode::SUCCESS)
}
