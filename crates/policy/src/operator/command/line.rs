//! A line as a shell reads it: which commands it is made of, and what else stands in it.

use brush_parser::ast::{
    AndOr, AndOrList, Command, CommandPrefixOrSuffixItem, CompoundCommand, CompoundList,
    IoFileRedirectTarget, IoRedirect, SeparatorOperator, SimpleCommand,
};
use brush_parser::{ParserOptions, SourceInfo, parse_tokens};

use super::place::Place;
use super::tokens::{Tokens, assigned};
use super::word::Word;
use super::{Commands, DIFFERENTLY, Holds, MAX_DEPTH, MISREAD, Not, TOO_DEEP, only_if};
use crate::truth::Why;

/// Reserved by bash, and names of programs to POSIX.
const RESERVED_BY_BASH: [&str; 5] = ["[[", "]]", "coproc", "function", "select"];

impl Commands {
    /// Whether all that a line starts is allowed.
    pub(super) fn line(&self, line: &str, place: Place<'_>) -> Holds {
        if place.depth > MAX_DEPTH {
            return Err(TOO_DEEP.into());
        }
        let tokens = Tokens::of(line)?;
        let options = ParserOptions {
            enable_extended_globbing: false,
            posix_mode: true,
            sh_mode: true,
            tilde_expansion: false,
        };
        let program = parse_tokens(&tokens.shape, &options, &SourceInfo::default())
            .map_err(|_| Why::Form("no shell can read it as a line"))?;
        if program.complete_commands.is_empty() {
            return Err(Why::Form("it names no program").into());
        }
        let walk = Walk { allowed: self, tokens, place };
        let several = program.complete_commands.len() > 1;
        part(!several || self.parts.sequences, SEVERAL)?;
        program.complete_commands.iter().try_for_each(|list| walk.list(list))
    }
}

const SEVERAL: &str = "it is several commands (`sequences`)";

/// A part of a line that the policy must allow, by its word for it.
fn part(allowed: bool, why: &str) -> Holds {
    only_if(allowed, || why.to_owned())
}

/// One walk over what the grammar made of a line.
struct Walk<'a> {
    allowed: &'a Commands,
    tokens: Tokens,
    place: Place<'a>,
}

impl Walk<'_> {
    /// Its depth is that of the brackets, which are counted before.
    fn list(&self, list: &CompoundList) -> Holds {
        let parts = self.allowed.parts;
        let in_background = list.0.iter().any(|item| matches!(item.1, SeparatorOperator::Async));
        part(!in_background || parts.background, "it goes on in the background (`background`)")?;
        part(list.0.len() <= 1 || parts.sequences, SEVERAL)?;
        list.0.iter().try_for_each(|item| self.and_or(&item.0))
    }

    fn and_or(&self, list: &AndOrList) -> Holds {
        part(list.additional.is_empty() || self.allowed.parts.sequences, SEVERAL)?;
        let additional = list.additional.iter().map(|(AndOr::And(pipeline) | AndOr::Or(pipeline))| pipeline);
        [&list.first].into_iter().chain(additional).try_for_each(|pipeline| {
            // A `!` alone is a mistake to POSIX.
            if pipeline.seq.is_empty() {
                return Err(Why::Form(DIFFERENTLY).into());
            }
            part(pipeline.seq.len() <= 1 || self.allowed.parts.pipes, "it has a pipe (`pipes`)")?;
            pipeline.seq.iter().try_for_each(|command| self.command(command))
        })
    }

    fn command(&self, command: &Command) -> Holds {
        let never = || Err(Not::Allowed("it has a loop, a condition or a function, which never hold".into()));
        let (compound, redirections) = match command {
            Command::Simple(simple) => return self.simple(simple),
            Command::Compound(compound, redirections) => (compound, redirections),
            Command::Function(_) | Command::ExtendedTest(..) => return never(),
        };
        redirections
            .iter()
            .flat_map(|list| &list.0)
            .try_for_each(|redirection| self.redirection(redirection))?;
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(subshell) => self.list(&subshell.list),
            // What runs how often, and with what, is not to be told.
            _ => never(),
        }
    }

    fn simple(&self, command: &SimpleCommand) -> Holds {
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        let starts = command.word_or_name.is_some();
        prefix.into_iter().try_for_each(|item| self.before_program(item, starts))?;
        let mut words = Vec::new();
        if let Some(program) = &command.word_or_name {
            let word = self.word(&program.value)?.0;
            if RESERVED_BY_BASH.contains(&word.text.as_str()) {
                return Err(Why::Form(DIFFERENTLY).into());
            }
            words.push(word);
        }
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    words.push(self.word(&word.value)?.0);
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirection) => self.redirection(redirection)?,
                CommandPrefixOrSuffixItem::ProcessSubstitution(..) => return process_substitution(),
            }
        }
        words.iter().try_for_each(|word| self.inside(word))?;
        self.allowed.words(&words, self.place)
    }

    /// Judges what stands before a program, or alone where none is started.
    fn before_program(&self, item: &CommandPrefixOrSuffixItem, starts: bool) -> Holds {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirection) => self.redirection(redirection),
            CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                let (word, raw) = self.word(&word.value)?;
                let name = assigned(raw).map_or("", |(name, _)| name);
                // What stands open is of no known kind.
                let value = word.text.split_once('=').map_or("", |(_, value)| value);
                let value = if word.open { "$" } else { value };
                part(self.allowed.parts.assignments, "it sets a variable (`assignments`)")?;
                let may = match starts {
                    true => self.allowed.may_export(name, Some(value)),
                    false => self.allowed.may_set(name, Some(value)),
                };
                only_if(may, || format!("setting `{name}` is not known to be harmless (`assignments`)"))?;
                self.inside(&word)
            }
            CommandPrefixOrSuffixItem::Word(_) | CommandPrefixOrSuffixItem::ProcessSubstitution(..) => {
                process_substitution()
            }
        }
    }

    fn redirection(&self, redirection: &IoRedirect) -> Holds {
        let IoRedirect::File(_, _, target) = redirection else { return Err(Why::Form(DIFFERENTLY).into()) };
        part(self.allowed.parts.redirections, "it has a redirection (`redirections`)")?;
        match target {
            IoFileRedirectTarget::Filename(word) => {
                let word = self.word(&word.value)?.0;
                // Files to POSIX, and connections to bash.
                if word.text.starts_with("/dev/tcp/") || word.text.starts_with("/dev/udp/") {
                    return Err(Why::Form(DIFFERENTLY).into());
                }
                only_if(!word.open, || "which file it redirects to cannot be told".into())
            }
            IoFileRedirectTarget::Duplicate(word) => {
                let word = self.word(&word.value)?.0;
                // >&name is a file to bash.
                let is_known = word.text == "-"
                    || (word.text.len() == 1 && word.text.bytes().all(|byte| byte.is_ascii_digit()));
                if is_known && !word.open { Ok(()) } else { Err(Why::Form(DIFFERENTLY).into()) }
            }
            IoFileRedirectTarget::Fd(_) | IoFileRedirectTarget::ProcessSubstitution(..) => {
                Err(Why::Form(DIFFERENTLY).into())
            }
        }
    }

    /// Whether the lines in a word are allowed.
    fn inside(&self, word: &Word) -> Holds {
        let substitutes = !word.inside.is_empty();
        part(
            !substitutes || self.allowed.parts.substitutions,
            "it has a command inside of a word (`substitutions`)",
        )?;
        word.inside.iter().try_for_each(|line| self.allowed.line(line, self.place.deeper()))
    }

    fn word(&self, shown: &str) -> Result<(Word, &str), Why> {
        let (word, raw) = self.tokens.word(shown).ok_or(Why::Form(MISREAD))?;
        Ok((word.into_owned(), raw))
    }
}

fn process_substitution() -> Holds {
    Err(Not::Allowed("it has a process substitution, which never holds".into()))
}
