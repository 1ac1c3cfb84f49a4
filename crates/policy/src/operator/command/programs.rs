//! What is known of programs: which of their options and words run nothing else and write no file.
//!
//! It is data. A program that is not here has no options but those that a policy lists, and the options of one that is here are
//! those that it lists: what a later version adds, what is written short and what nobody thought of does not hold. That `rm` removes
//! and `cp` writes is what they are for.

mod files;
mod git;
mod network;
mod projects;
mod runners;
mod shell;
mod system;
mod text;

use super::entry::Entry;
use super::options::has;

/// The tables.
const TABLES: [&[Entry]; 8] = [
    shell::TABLE,
    runners::TABLE,
    files::TABLE,
    text::TABLE,
    system::TABLE,
    network::TABLE,
    git::TABLE,
    projects::TABLE,
];

fn all() -> impl Iterator<Item = &'static Entry> {
    TABLES.into_iter().flatten()
}

/// What is known of a program, by its name without its folder and version.
pub(super) fn known(program: &str) -> Option<&'static Entry> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let find = |name: &str| all().find(|entry| has(entry.names, name));
    find(name).or_else(|| find(&unversioned(name).to_ascii_lowercase()))
}

/// `python` of `python3.11`, `clang` of `clang-15`.
pub(super) fn unversioned(name: &str) -> &str {
    name.trim_end_matches(|sign: char| sign.is_ascii_digit() || sign == '.' || sign == '-')
}

#[cfg(test)]
mod tests;
