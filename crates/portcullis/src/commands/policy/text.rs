//! Reading the files that a command names.

use crate::failure::Failure;
use crate::place::rendered;
use portcullis_policy::Policy;
use std::io::Read;
use std::path::Path;

/// The text of a file; `-` is stdin.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

/// A policy without mistakes.
pub(super) fn policy(file: &Path) -> Result<Policy, Failure> {
    let text = read(file)?;
    Policy::parse(&file.to_string_lossy(), &text).map_err(|problems| Failure::report(&rendered(&problems)))
}
