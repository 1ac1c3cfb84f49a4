//! Whether a command is made of programs that are allowed.
//!
//! A text is a line for a shell: [`tokens`] takes it apart and trusts nobody, [`line`] walks what the grammar made of it, and
//! comes to the words of each command. A list of texts is such words already. [`program`] judges them: the program
//! by its name, what it starts by the same rules ([`wrappers`]), its options by what is known of it ([`programs`], [`entry`]).

mod entry;
mod implication;
mod line;
mod options;
mod place;
mod program;
mod programs;
mod scripts;
mod tokens;
mod variables;
mod word;
mod wrappers;

use std::collections::BTreeMap;

use options::Flags;
use place::{Folder, Place};
use word::Word;

use crate::arguments::Type;
use crate::literal::Equal;
use crate::truth::Why;
use portcullis_json::{elements, text};

/// Bytes of a line, or of all words of a list.
const MAX_BYTES: usize = 16 * 1024;
/// Lines within lines: `sh -c`, `$(…)`.
const MAX_DEPTH: usize = 4;

const ARITHMETIC: &str = "it has arithmetic in it";
const DIFFERENTLY: &str = "shells read it differently";
const MISREAD: &str = "its quotes and signs cannot be told apart for certain";
const TOO_DEEP: Why = Why::Form("too much is nested in it");

/// What a policy allows of commands.
#[derive(Debug)]
pub(crate) struct Commands {
    /// By name or by path, exactly.
    programs: Vec<Box<str>>,
    /// What the first word behind a program may be.
    arguments: BTreeMap<Box<str>, Vec<Box<str>>>,
    flags: BTreeMap<Box<str>, Flags>,
    parts: Parts,
    /// Variables that may be set beside those that are harmless.
    variables: Vec<Box<str>>,
}

/// What a line may be made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) sequences: bool,
    pub(crate) pipes: bool,
    pub(crate) redirections: bool,
    pub(crate) substitutions: bool,
    pub(crate) background: bool,
    pub(crate) assignments: bool,
}

impl Commands {
    pub(crate) fn of(
        programs: Vec<Box<str>>,
        arguments: BTreeMap<Box<str>, Vec<Box<str>>>,
        flags: BTreeMap<Box<str>, Vec<Box<str>>>,
        parts: Parts,
        variables: Vec<Box<str>>,
    ) -> Self {
        let flags = flags.into_iter().map(|(program, flags)| (program, Flags::of(flags))).collect();
        Self { programs, arguments, flags, parts, variables }
    }

    /// Whether `name` is how a policy may name a program: without a folder, or from the root.
    pub(crate) fn can_name(name: &str) -> bool {
        let is_plain = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:+@-".contains(&byte))
        };
        match name.strip_prefix('/') {
            Some(path) => path.split('/').all(is_plain),
            None => name == "[" || (is_plain(name) && !name.starts_with(['-', '@'])),
        }
    }

    /// Whether a program of this name never holds, whatever is said of it.
    pub(crate) fn never(name: &str) -> bool {
        programs::known(name).is_some_and(|entry| entry.kind == entry::Kind::Never)
    }

    /// Whether a program of this name holds only where `arguments` names its first word.
    pub(crate) fn needs_arguments(name: &str) -> bool {
        programs::known(name).is_some_and(|entry| entry.kind == entry::Kind::Runs)
    }

    /// Whether a policy may allow to set a variable of this name.
    pub(crate) fn can_set(name: &str) -> bool {
        variables::can_allow(name)
    }

    /// Judges a line, or a list of a program and its words.
    pub(crate) fn hold(&self, raw: &str) -> Equal {
        match self.judge(raw) {
            Ok(()) => Ok(true),
            Err(Not::Allowed(_)) => Ok(false),
            Err(Not::Judged(why)) => Err(why),
        }
    }

    /// What of a command is not allowed; `None` where all is, or it cannot be judged.
    pub(crate) fn refusal(&self, raw: &str) -> Option<String> {
        match self.judge(raw) {
            Err(Not::Allowed(why)) => Some(why),
            Ok(()) | Err(Not::Judged(_)) => None,
        }
    }

    fn judge(&self, raw: &str) -> Holds {
        let folder = Folder::default();
        self.judge_at(raw, Place { depth: 0, folder: &folder })?;
        folder.refusal().map_or(Ok(()), |why| Err(Not::Allowed(why)))
    }

    fn judge_at(&self, raw: &str, place: Place<'_>) -> Holds {
        match Type::of(raw) {
            Type::String => {
                let line = text(raw).ok_or(Why::Malformed)?;
                check(&line, line.len())?;
                self.line(&line, place)
            }
            Type::Array => self.words(&words(raw)?, place),
            found => Err(Why::Type { expected: "a string or an array of strings", found }.into()),
        }
    }
}

/// Why a command does not hold.
enum Not {
    /// The policy does not allow it: what of it, in words.
    Allowed(String),
    /// It cannot be judged.
    Judged(Why),
}

/// The first reason why a command does not hold.
type Holds = Result<(), Not>;

impl From<Why> for Not {
    fn from(why: Why) -> Self {
        Self::Judged(why)
    }
}

/// It holds where that is so, else for that reason not.
fn only_if(holds: bool, why: impl FnOnce() -> String) -> Holds {
    if holds { Ok(()) } else { Err(Not::Allowed(why())) }
}

/// The words of a list.
fn words(raw: &str) -> Result<Vec<Word>, Why> {
    let mut words = Ok(Vec::new());
    let mut bytes = 0;
    let read = elements(raw, &mut |element| {
        if let Ok(known) = &mut words {
            match word(element, &mut bytes) {
                Ok(word) => known.push(word),
                Err(why) => words = Err(why),
            }
        }
    });
    read.ok_or(Why::Malformed)?;
    let words = words?;
    if words.is_empty() { Err(Why::Form("it names no program")) } else { Ok(words) }
}

fn word(element: &str, bytes: &mut usize) -> Result<Word, Why> {
    let text = match Type::of(element) {
        Type::String => text(element).ok_or(Why::Malformed)?,
        found => return Err(Why::Type { expected: "an array of strings", found }),
    };
    *bytes += text.len();
    check(&text, *bytes)?;
    Ok(Word::plain(text))
}

fn check(text: &str, bytes: usize) -> Result<(), Why> {
    if bytes > MAX_BYTES {
        return Err(Why::Form("it has more than 16 KiB"));
    }
    let is_odd = |sign: char| match sign {
        '\t' | '\n' | ' ' => false,
        sign => sign.is_control() || sign.is_whitespace() || sign == tokens::SECOND,
    };
    if text.contains(is_odd) {
        return Err(Why::Form(
            "it has a character in it that is not seen, or a blank that is not one to all shells",
        ));
    }
    Ok(())
}
