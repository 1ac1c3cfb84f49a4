//! Whether each line that holds under one policy holds under another.
//!
//! Every check of a line asks the policy only whether something is in a list, and stops at the first answer that is no. So lists that
//! have less in them let less hold, with two exceptions, which this file is about: a program whose first word `arguments` names is
//! trusted with what that word does, and `flags` replace the options that are known of a program. What cannot be told is no.

use super::entry::Kind;
use super::programs::known;
use super::wrappers::{is_shell, is_wrapper};
use super::{Commands, Parts};

impl Commands {
    /// Whether whatever holds here holds under `other` too; `false` where that cannot be told.
    pub(crate) fn implies(&self, other: &Self) -> bool {
        self.parts.imply(other.parts)
            && (!self.parts.assignments || has_all(&other.variables, &self.variables))
            && self.programs.iter().filter(|name| !self.never_holds(name)).all(|name| {
                // One after the other: the first leaves the arguments as they are, and the second the flags.
                other.programs.contains(name)
                    && self.flags_imply(other, name)
                    && self.arguments_imply(other, name)
            })
    }

    fn never_holds(&self, name: &str) -> bool {
        let is_told = self.arguments.contains_key(name);
        !is_wrapper(name)
            && known(name)
                .is_some_and(|entry| entry.kind == Kind::Never || (entry.kind == Kind::Runs && !is_told))
    }

    /// Whether the arguments of a program here let no more of it hold than those of `other`, whatever its flags.
    fn arguments_imply(&self, other: &Self, name: &str) -> bool {
        match (self.arguments.get(name), other.arguments.get(name)) {
            (None, None) => true,
            (Some(own), Some(other)) => has_all(other, own),
            (None, Some(_)) => false,
            (Some(own), None) => adds_nothing(name, own),
        }
    }

    /// Whether the flags of a program here let no more of it hold than those of `other`, if that had the arguments that are here.
    fn flags_imply(&self, other: &Self, name: &str) -> bool {
        match (self.flags.get(name), other.flags.get(name)) {
            (None, None) => true,
            (Some(own), Some(other)) => own.imply(other),
            // A program of which nothing is known has no options but its first word, where that is named.
            (None, Some(flags)) => {
                let firsts = self.arguments.get(name).map(Vec::as_slice).unwrap_or_default();
                !is_wrapper(name) && known(name).is_none() && firsts.iter().all(|first| flags.allow(first))
            }
            (Some(_), None) if is_wrapper(name) => !is_shell(name),
            (Some(flags), None) => known(name).is_some_and(|entry| match entry.kind {
                Kind::Sed => false,
                Kind::Text | Kind::Variables | Kind::Never => true,
                _ if flags.is_empty() => true,
                Kind::Options | Kind::Writes | Kind::Printf | Kind::Runs => {
                    entry.faces.is_empty() && flags.are_all_of(&entry.options)
                }
                Kind::Bundled => false,
            }),
        }
    }
}

/// Whether a program holds with each of these first words where no `arguments` name them, if it holds where they do.
fn adds_nothing(name: &str, arguments: &[Box<str>]) -> bool {
    if is_wrapper(name) {
        // A shell that runs a file holds only where it is named.
        return !is_shell(name);
    }
    let Some(entry) = known(name) else {
        return !arguments.iter().any(|first| first.starts_with(['-', '@', '+']));
    };
    // A folder that is named is one that a program may obey.
    if super::place::moves(name) {
        return false;
    }
    match entry.kind {
        Kind::Text | Kind::Sed | Kind::Variables | Kind::Never => true,
        Kind::Runs => false,
        Kind::Options | Kind::Bundled | Kind::Writes | Kind::Printf if entry.faces.is_empty() => {
            !arguments.iter().any(|first| first.starts_with('-'))
        }
        Kind::Options | Kind::Bundled | Kind::Writes | Kind::Printf => {
            arguments.iter().all(|first| entry.is_open_face(first))
        }
    }
}

impl Parts {
    fn imply(self, other: Self) -> bool {
        let Self { sequences, pipes, redirections, substitutions, background, assignments } = self;
        (!sequences || other.sequences)
            && (!pipes || other.pipes)
            && (!redirections || other.redirections)
            && (!substitutions || other.substitutions)
            && (!background || other.background)
            && (!assignments || other.assignments)
    }
}

fn has_all(list: &[Box<str>], parts: &[Box<str>]) -> bool {
    parts.iter().all(|part| list.contains(part))
}
