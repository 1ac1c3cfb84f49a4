//! A program with its words.

use super::entry::{Kind, Said};
use super::options::Flags;
use super::place::{Place, moves};
use super::programs::known;
use super::word::Word;
use super::wrappers::{Starts, followed, is_shell, is_wrapper, shell};
use super::{Commands, Holds, MAX_DEPTH, Not, TOO_DEEP, only_if};

impl Commands {
    /// Whether a program may be started with these words.
    pub(super) fn words(&self, words: &[Word], place: Place<'_>) -> Holds {
        if place.depth > MAX_DEPTH {
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
        if is_wrapper(name) {
            return self.starts(name, words, place);
        }
        if moves(name) && arguments.is_none() {
            place.folder.moved();
        }
        let flags = self.flags.get(name);
        let Some(entry) = known(name) else {
            place.folder.obeyed_by(name);
            all_known(name, words)?;
            return no_options(name, words, flags, arguments.is_some());
        };
        if entry.obeys_folder() {
            place.folder.obeyed_by(name);
        }
        // What stands open may become any option.
        if arguments.is_some() || flags.is_some() || !entry.open {
            all_known(name, words)?;
        }
        if entry.kind == Kind::Variables {
            return only_if(self.sets_harmless(name, words), || {
                format!("`{name}` sets a variable that is not known to be harmless (`assignments`)")
            });
        }
        let said = Said { told: arguments.is_some(), flags, parts: self.parts };
        all_listed(name, words, flags)?;
        // Where words may be open, those that are say nothing here.
        let plain: Vec<Word> = words.iter().filter(|word| !word.open).cloned().collect();
        entry.judge(name, &plain, said).map_err(Not::Allowed)
    }

    /// Whether a wrapper may be started with these words, and what it starts.
    fn starts(&self, name: &str, words: &[Word], place: Place<'_>) -> Holds {
        let flags = self.flags.get(name);
        let untold = || format!("what `{name}` starts cannot be told");
        if is_shell(name) {
            let options = words.iter().take_while(|word| word.text.starts_with('-')).count();
            let Some(line) = shell(words) else {
                // It runs a file, or what it reads.
                only_if(self.arguments.contains_key(name), untold)?;
                place.folder.obeyed_by(name);
                all_known(name, words)?;
                return no_options(name, words, flags, true);
            };
            all_listed(name, words.get(..options).unwrap_or_default(), flags)?;
            return self.line(&line, place.deeper());
        }
        let may_set = |name: &str, value: &str| self.may_export(name, Some(value));
        let Some((options, starts)) = followed(name, words, &may_set) else {
            return only_if(false, untold);
        };
        all_listed(name, words.get(..options).unwrap_or_default(), flags)?;
        match starts {
            Starts::Nothing => Ok(()),
            Starts::Words(words) => self.words(&words, place.deeper()),
            Starts::Line(line) => self.line(&line, place.deeper()),
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

/// Whether a program of which nothing is known has no options but those that the policy lists. The first word is the policy's own
/// where `told`.
fn no_options(name: &str, words: &[Word], flags: Option<&Flags>, told: bool) -> Holds {
    let Some(flags) = flags else {
        let is_option = |text: &str| text.starts_with(['-', '@', '+']) && !matches!(text, "-" | "--");
        let option = words.iter().skip(usize::from(told)).find(|word| is_option(&word.text));
        return only_if(option.is_none(), || {
            let option = option.map_or("", |word| &word.text);
            format!(
                "`{option}` may be an option, and none of `{name}` are known: `flags` says which it may have"
            )
        });
    };
    all_listed(name, words, Some(flags))
}
