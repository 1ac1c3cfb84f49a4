//! A program with its words.

use super::table::{Entry, Kind, known};
use super::word::Word;
use super::wrappers::{Starts, followed, is_shell, is_wrapper, shell};
use super::{Commands, MAX_DEPTH, TOO_DEEP};
use crate::literal::Equal;

impl Commands {
    /// Whether a program may be started with these words; `deep` lines within lines are around it.
    pub(super) fn words(&self, words: &[Word], deep: usize) -> Equal {
        if deep > MAX_DEPTH {
            return Err(TOO_DEEP);
        }
        let Some((program, words)) = words.split_first() else { return Ok(true) };
        let name = program.text.as_str();
        if program.open || !self.programs.iter().any(|own| **own == *name) {
            return Ok(false);
        }
        let arguments = self.arguments.get(name);
        if let Some(arguments) = arguments {
            let is_one = |word: &Word| !word.open && arguments.iter().any(|own| **own == *word.text);
            if !words.first().is_some_and(is_one) {
                return Ok(false);
            }
        }
        let flags = self.flags.get(name);
        if is_wrapper(name) {
            return self.starts(name, words, deep);
        }
        let entry = known(name);
        // What stands open may become any option.
        if (arguments.is_some() || flags.is_some() || entry.is_some()) && words.iter().any(|word| word.open) {
            return Ok(false);
        }
        if entry.is_some_and(|entry| entry.kind == Kind::Variables) {
            return Ok(Entry::sets_harmless(words, self.parts.assignments));
        }
        Ok(match (entry, flags) {
            (Some(entry), flags) => entry.allows(words, arguments.is_some(), flags),
            (None, Some(flags)) => words.iter().all(|word| flags.allow(&word.text)),
            (None, None) => true,
        })
    }

    /// Whether a wrapper may be started with these words, and what it starts.
    fn starts(&self, name: &str, words: &[Word], deep: usize) -> Equal {
        let flags = self.flags.get(name);
        let allowed =
            |options: &[Word]| flags.is_none_or(|flags| options.iter().all(|word| flags.allow(&word.text)));
        if is_shell(name) {
            let options = words.iter().take_while(|word| word.text.starts_with('-')).count();
            return match shell(words) {
                Some(_) if !words.get(..options).is_some_and(allowed) => Ok(false),
                Some(line) => self.line(&line, deep + 1),
                // It runs a file, or what it reads.
                None => Ok(self.arguments.contains_key(name)
                    && !words.iter().any(|word| word.open)
                    && allowed(words)),
            };
        }
        match followed(name, words, self.parts.assignments) {
            Some((options, _)) if !words.get(..options).is_some_and(allowed) => Ok(false),
            Some((_, Starts::Nothing)) => Ok(true),
            Some((_, Starts::Words(words))) => self.words(&words, deep + 1),
            Some((_, Starts::Line(line))) => self.line(&line, deep + 1),
            None => Ok(false),
        }
    }
}
