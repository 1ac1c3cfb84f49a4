//! A line as a shell reads it: which commands it is made of, and what else stands in it.

use brush_parser::ast::{
    AndOr, AndOrList, Command, CommandPrefixOrSuffixItem, CompoundCommand, CompoundList,
    IoFileRedirectTarget, IoRedirect, SeparatorOperator, SimpleCommand,
};
use brush_parser::{ParserOptions, SourceInfo, parse_tokens};

use super::tokens::{Tokens, assigned};
use super::variables::is_harmless;
use super::word::Word;
use super::{Commands, DIFFERENTLY, MAX_DEPTH, MISREAD, TOO_DEEP};
use crate::literal::Equal;
use crate::truth::Why;

/// Reserved by bash, and names of programs to POSIX.
const RESERVED_BY_BASH: [&str; 5] = ["[[", "]]", "coproc", "function", "select"];

impl Commands {
    /// Whether all that a line starts is allowed. It is in `deep` others.
    pub(super) fn line(&self, line: &str, deep: usize) -> Equal {
        if deep > MAX_DEPTH {
            return Err(TOO_DEEP);
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
            return Err(Why::Form("it names no program"));
        }
        let walk = Walk { allowed: self, tokens, deep };
        let several = program.complete_commands.len() > 1;
        if several && !self.parts.sequences {
            return Ok(false);
        }
        every(&program.complete_commands, |list| walk.list(list))
    }
}

/// One walk over what the grammar made of a line.
struct Walk<'a> {
    allowed: &'a Commands,
    tokens: Tokens,
    deep: usize,
}

/// Whether each holds; the first that does not decides.
fn every<T>(parts: impl IntoIterator<Item = T>, holds: impl Fn(T) -> Equal) -> Equal {
    for part in parts {
        if !holds(part)? {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Walk<'_> {
    /// Its depth is that of the brackets, which are counted before.
    fn list(&self, list: &CompoundList) -> Equal {
        let parts = self.allowed.parts;
        let in_background = list.0.iter().any(|item| matches!(item.1, SeparatorOperator::Async));
        if (in_background && !parts.background) || (list.0.len() > 1 && !parts.sequences) {
            return Ok(false);
        }
        every(&list.0, |item| self.and_or(&item.0))
    }

    fn and_or(&self, list: &AndOrList) -> Equal {
        if !list.additional.is_empty() && !self.allowed.parts.sequences {
            return Ok(false);
        }
        let additional = list.additional.iter().map(|(AndOr::And(pipeline) | AndOr::Or(pipeline))| pipeline);
        every([&list.first].into_iter().chain(additional), |pipeline| {
            // A `!` alone is a mistake to POSIX.
            if pipeline.seq.is_empty() {
                return Err(Why::Form(DIFFERENTLY));
            }
            if pipeline.seq.len() > 1 && !self.allowed.parts.pipes {
                return Ok(false);
            }
            every(&pipeline.seq, |command| self.command(command))
        })
    }

    fn command(&self, command: &Command) -> Equal {
        let (compound, redirections) = match command {
            Command::Simple(simple) => return self.simple(simple),
            Command::Compound(compound, redirections) => (compound, redirections),
            Command::Function(_) | Command::ExtendedTest(..) => return Ok(false),
        };
        if !every(redirections.iter().flat_map(|list| &list.0), |redirection| self.redirection(redirection))?
        {
            return Ok(false);
        }
        match compound {
            CompoundCommand::BraceGroup(group) => self.list(&group.list),
            CompoundCommand::Subshell(subshell) => self.list(&subshell.list),
            // What runs how often, and with what, is not to be told.
            _ => Ok(false),
        }
    }

    fn simple(&self, command: &SimpleCommand) -> Equal {
        let prefix = command.prefix.iter().flat_map(|prefix| &prefix.0);
        if !every(prefix, |item| self.before_program(item))? {
            return Ok(false);
        }
        let mut words = Vec::new();
        if let Some(program) = &command.word_or_name {
            let word = self.word(&program.value)?.0;
            if RESERVED_BY_BASH.contains(&word.text.as_str()) {
                return Err(Why::Form(DIFFERENTLY));
            }
            words.push(word);
        }
        for item in command.suffix.iter().flat_map(|suffix| &suffix.0) {
            match item {
                CommandPrefixOrSuffixItem::Word(word)
                | CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                    words.push(self.word(&word.value)?.0);
                }
                CommandPrefixOrSuffixItem::IoRedirect(redirection) if self.redirection(redirection)? => {}
                _ => return Ok(false),
            }
        }
        Ok(every(&words, |word| self.inside(word))? && self.allowed.words(&words, self.deep)?)
    }

    fn before_program(&self, item: &CommandPrefixOrSuffixItem) -> Equal {
        match item {
            CommandPrefixOrSuffixItem::IoRedirect(redirection) => self.redirection(redirection),
            CommandPrefixOrSuffixItem::AssignmentWord(_, word) => {
                let (word, raw) = self.word(&word.value)?;
                let is_allowed = assigned(raw).is_some_and(|(name, _)| is_harmless(name));
                Ok(self.allowed.parts.assignments && is_allowed && self.inside(&word)?)
            }
            _ => Ok(false),
        }
    }

    fn redirection(&self, redirection: &IoRedirect) -> Equal {
        let IoRedirect::File(_, _, target) = redirection else { return Err(Why::Form(DIFFERENTLY)) };
        if !self.allowed.parts.redirections {
            return Ok(false);
        }
        match target {
            IoFileRedirectTarget::Filename(word) => {
                let word = self.word(&word.value)?.0;
                // Files to POSIX, and connections to bash.
                if word.text.starts_with("/dev/tcp/") || word.text.starts_with("/dev/udp/") {
                    return Err(Why::Form(DIFFERENTLY));
                }
                Ok(!word.open)
            }
            IoFileRedirectTarget::Duplicate(word) => {
                let word = self.word(&word.value)?.0;
                // >&name is a file to bash.
                let is_known = word.text == "-"
                    || (word.text.len() == 1 && word.text.bytes().all(|byte| byte.is_ascii_digit()));
                if is_known && !word.open { Ok(true) } else { Err(Why::Form(DIFFERENTLY)) }
            }
            IoFileRedirectTarget::Fd(_) | IoFileRedirectTarget::ProcessSubstitution(..) => {
                Err(Why::Form(DIFFERENTLY))
            }
        }
    }

    /// Whether the lines in a word are allowed.
    fn inside(&self, word: &Word) -> Equal {
        if !word.inside.is_empty() && !self.allowed.parts.substitutions {
            return Ok(false);
        }
        every(&word.inside, |line| self.allowed.line(line, self.deep + 1))
    }

    fn word(&self, shown: &str) -> Result<(Word, &str), Why> {
        let (word, raw) = self.tokens.word(shown).ok_or(Why::Form(MISREAD))?;
        Ok((word.into_owned(), raw))
    }
}
