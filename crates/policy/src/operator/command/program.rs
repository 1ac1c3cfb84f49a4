//! A program with its words.

use super::options::Flags;
use super::table::{Entry, Kind, known};
use super::word::Word;
use super::wrappers::{Starts, followed, is_shell, is_wrapper, shell};
use super::{Commands, Holds, MAX_DEPTH, Not, TOO_DEEP, only_if};

impl Commands {
    /// Whether a program may be started with these words; `deep` lines within lines are around it.
    pub(super) fn words(&self, words: &[Word], deep: usize) -> Holds {
        if deep > MAX_DEPTH {
            return Err(TOO_DEEP.into());
        }
        let Some((program, words)) = words.split_first() else { return Ok(()) };
        let name = program.text.as_str();
        only_if(!program.open, || "which program it starts cannot be told".into())?;
        only_if(self.programs.iter().any(|own| **own == *name), || {
            format!("`{name}` is not among its programs")
        })?;
        let arguments = self.arguments.get(name);
        if let Some(arguments) = arguments {
            let is_one = |word: &Word| !word.open && arguments.iter().any(|own| **own == *word.text);
            let first = words.first();
            only_if(first.is_some_and(is_one), || match first {
                Some(first) => format!("`{}` is not among its arguments of `{name}`", first.text),
                None => format!("`{name}` has no argument, and `arguments` says which it must have"),
            })?;
        }
        let flags = self.flags.get(name);
        if is_wrapper(name) {
            return self.starts(name, words, deep);
        }
        let entry = known(name);
        // What stands open may become any option.
        if arguments.is_some() || flags.is_some() || entry.is_some() {
            all_known(name, words)?;
        }
        if entry.is_some_and(|entry| entry.kind == Kind::Variables) {
            return only_if(Entry::sets_harmless(words, self.parts.assignments), || {
                format!("`{name}` sets a variable that may change what runs, or `assignments` is not allowed")
            });
        }
        all_listed(name, words, flags)?;
        match entry.and_then(|entry| entry.refusal(name, words, arguments.is_some(), flags)) {
            Some(why) => Err(Not::Allowed(why)),
            None => Ok(()),
        }
    }

    /// Whether a wrapper may be started with these words, and what it starts.
    fn starts(&self, name: &str, words: &[Word], deep: usize) -> Holds {
        let flags = self.flags.get(name);
        let untold = || format!("what `{name}` starts cannot be told");
        if is_shell(name) {
            let options = words.iter().take_while(|word| word.text.starts_with('-')).count();
            let Some(line) = shell(words) else {
                // It runs a file, or what it reads.
                only_if(self.arguments.contains_key(name), untold)?;
                all_known(name, words)?;
                return all_listed(name, words, flags);
            };
            all_listed(name, words.get(..options).unwrap_or_default(), flags)?;
            return self.line(&line, deep + 1);
        }
        let Some((options, starts)) = followed(name, words, self.parts.assignments) else {
            return only_if(false, untold);
        };
        all_listed(name, words.get(..options).unwrap_or_default(), flags)?;
        match starts {
            Starts::Nothing => Ok(()),
            Starts::Words(words) => self.words(&words, deep + 1),
            Starts::Line(line) => self.line(&line, deep + 1),
        }
    }
}

/// Whether each of a program's words is known before a shell reads it.
fn all_known(name: &str, words: &[Word]) -> Holds {
    let is_open = words.iter().any(|word| word.open);
    only_if(!is_open, || format!("what the words of `{name}` stand for cannot be told"))
}

/// Whether the policy lists each of a program's options, where it lists any.
fn all_listed(name: &str, words: &[Word], flags: Option<&Flags>) -> Holds {
    let unlisted = flags.and_then(|flags| words.iter().find(|word| !flags.allow(&word.text)));
    only_if(unlisted.is_none(), || {
        format!("`{}` is not among its flags of `{name}`", unlisted.map_or("", |word| &word.text))
    })
}
