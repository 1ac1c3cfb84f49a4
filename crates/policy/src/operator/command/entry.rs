//! What is known of one program, and whether it may have these words.

use super::Parts;
use super::options::{Flags, NO_OPTIONS, Options, Takes, has, is_value, listed};
use super::scripts::{counts, sed};
use super::word::Word;

/// One program, or several that are alike.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) names: &'static str,
    /// Which program, in which version, its options were looked up in.
    pub(super) checked: &'static str,
    /// Those that are harmless. All others do not hold, whatever they do. Of a program with faces, those before the face.
    pub(super) options: Options,
    /// What it can do, by the first word that is no option; empty for a program that does one thing.
    pub(super) faces: &'static [Face],
    /// How many words it may have that are no options, where more would be written to.
    pub(super) most: Option<usize>,
    /// Words that are no options must begin with one of these.
    pub(super) begin: &'static str,
    /// Words that begin with this are refused.
    pub(super) begins: &'static str,
    /// Words that have this in them are refused; behind a `-`, options that have it.
    pub(super) has: &'static str,
    /// Whether a word may stand for what only the shell knows, as whatever it becomes is harmless.
    pub(super) open: bool,
    /// Whether it obeys a file in the folder that it is in.
    pub(super) folder: bool,
    pub(super) kind: Kind,
}

/// One face of a program.
#[derive(Debug)]
pub(super) struct Face {
    pub(super) names: &'static str,
    /// What the word behind it may be, where the policy does not name the face; empty for anything.
    pub(super) second: &'static str,
    pub(super) options: Options,
    /// Words that have this in them are refused.
    pub(super) has: &'static str,
}

/// How a program's words are judged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// By its options, and by how many other words it has.
    Options,
    /// As with `tar`, whose first word may be options without a `-`.
    Bundled,
    /// It has no options: all of its words are text.
    Text,
    /// It runs what it reads, or has a face for everything: not without `arguments` that name its first word.
    Runs,
    /// It writes the files that its words name: a redirection by another name.
    Writes,
    /// As `sed`, whose first word is a program.
    Sed,
    /// As `printf`, of which some write how much they wrote into a variable.
    Printf,
    /// It sets the variables that it names.
    Variables,
    /// Never.
    Never,
}

pub(super) const PLAIN: Entry = Entry {
    names: "",
    checked: "",
    options: NO_OPTIONS,
    faces: &[],
    most: None,
    begin: "",
    begins: "",
    has: "",
    open: false,
    folder: false,
    kind: Kind::Options,
};

pub(super) const FACE: Face = Face { names: "", second: "", options: NO_OPTIONS, has: "" };

/// What a policy says of a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    /// Whether `arguments` name its first word.
    pub(super) told: bool,
    pub(super) flags: Option<&'a Flags>,
    pub(super) parts: Parts,
}

/// The reason why a word may not stand where it does.
type Refused = Result<(), String>;

impl Entry {
    /// Whether it obeys what the folder has for it.
    pub(super) fn obeys_folder(&self) -> bool {
        self.folder || self.kind == Kind::Runs
    }

    /// Whether its first word may be this one, whatever its second, without `arguments` that name it.
    pub(super) fn is_open_face(&self, first: &str) -> bool {
        !first.starts_with('-')
            && self
                .faces
                .iter()
                .find(|face| has(face.names, first))
                .is_some_and(|face| face.second.is_empty())
    }

    fn looked_up(&self) -> &str {
        if self.checked.is_empty() { "none is known" } else { self.checked }
    }

    /// Judges the words behind the program `name`, none of which is open unless all may be.
    ///
    /// # Errors
    /// Why they may not stand there.
    pub(super) fn judge(&self, name: &str, words: &[Word], said: Said<'_>) -> Refused {
        match self.kind {
            Kind::Never => return Err(format!("`{name}` never holds")),
            Kind::Text => return Ok(()),
            Kind::Runs if !said.told => {
                return Err(format!(
                    "`{name}` runs what its first word names, and no `arguments` say what that may be"
                ));
            }
            Kind::Writes if !said.parts.redirections => {
                return Err(format!("`{name}` writes files, as a redirection does (`redirections`)"));
            }
            Kind::Sed if sed(words, said.flags) => return Ok(()),
            Kind::Sed => {
                return Err(format!("`{name}` holds with one plain command and harmless options alone"));
            }
            _ => {}
        }
        let counted = |word: &&Word| self.kind == Kind::Printf && counts(&word.text);
        if let Some(word) =
            words.iter().find(|word| counted(word) || refuses(self.begins, self.has, &word.text))
        {
            return Err(format!("`{}` may make `{name}` do more than it seems to", word.text));
        }
        if self.faces.is_empty() {
            return self.rest(name, words, FACE.options, said);
        }
        let (face, rest) = self.face(name, words, said)?;
        if let Some(word) = rest.iter().find(|word| refuses("", face.has, &word.text)) {
            return Err(format!("`{}` may make `{name}` do more than it seems to", word.text));
        }
        self.rest(name, rest, face.options, said)
    }

    /// The face that the words choose, and the words behind it.
    fn face<'a>(&self, name: &str, words: &'a [Word], said: Said<'_>) -> Result<(&Face, &'a [Word]), String> {
        let mut at = 0;
        // The policy's own word is the very first.
        while let Some(word) = words.get(at).filter(|word| !said.told && word.text.starts_with('-')) {
            let takes = self.options.takes(&word.text).ok_or_else(|| {
                format!("`{}` stands before the first word of `{name}`, and is not known there", word.text)
            })?;
            at += 1 + value(takes, words.get(at + 1), &word.text)?;
        }
        let (Some(first), rest) = (words.get(at), words.get(at + 1..).unwrap_or_default()) else {
            return Ok((&FACE, &[]));
        };
        let Some(face) = self.faces.iter().find(|face| has(face.names, &first.text)) else {
            let why = || {
                format!("`{}` is not a first word of `{name}` that is harmless whatever follows", first.text)
            };
            return if said.told { Ok((&FACE, rest)) } else { Err(why()) };
        };
        let second = rest
            .iter()
            .find(|word| !word.text.starts_with('-'))
            .filter(|_| !said.told && !face.second.is_empty());
        match second.filter(|second| !has(face.second, &second.text)) {
            Some(second) => {
                Err(format!("`{} {}` may make `{name}` do more than it seems to", first.text, second.text))
            }
            None => Ok((face, rest)),
        }
    }

    /// Judges options and other words, of which those of the face are known too.
    fn rest(&self, name: &str, words: &[Word], face: Options, said: Said<'_>) -> Refused {
        let (mut others, mut ended) = (0, false);
        let mut at = 0;
        while let Some(word) = words.get(at).map(|word| word.text.as_str()) {
            let next = words.get(at + 1);
            at += 1;
            if at == 1 && self.kind == Kind::Bundled && !word.starts_with('-') && !word.is_empty() {
                self.bundled(name, word, said)?;
                continue;
            }
            if word == "--" && !ended {
                ended = true;
                continue;
            }
            if !word.starts_with('-') || matches!(word, "-" | "--") {
                others += 1;
                if !self.begin.is_empty() && !listed(self.begin).any(|begin| word.starts_with(begin)) {
                    return Err(format!("`{word}` may make `{name}` do more than it seems to"));
                }
                continue;
            }
            // The policy's own word.
            if at == 1 && said.told && self.faces.is_empty() {
                continue;
            }
            // Some take for a word what stands behind one, or behind `--`.
            others += usize::from(ended || others > 0);
            let known = face.takes(word).or_else(|| self.options.takes(word));
            if self.kind == Kind::Bundled && !word.starts_with("--") && said.flags.is_none() {
                self.bundled(name, word.trim_start_matches('-'), said)?;
            }
            match (known, said.flags) {
                (None, None) => {
                    return Err(format!(
                        "`{word}` is not among the harmless options of `{name}` ({}), and `flags` does not list it",
                        self.looked_up()
                    ));
                }
                (_, Some(flags)) if !flags.allow(word) => {
                    return Err(format!("`{word}` is not among its flags of `{name}`"));
                }
                (Some(takes), _) => at += value(takes, next, word)?,
                // What it takes is not known, so what follows is a word like others.
                (None, Some(_)) => {}
            }
        }
        match self.most.filter(|most| others > *most) {
            Some(0) => Err(format!("`{name}` with a word that is no option does more than it seems to")),
            Some(most) => Err(format!("`{name}` writes to the word behind the first {most}")),
            None => Ok(()),
        }
    }

    fn bundled(&self, name: &str, letters: &str, said: Said<'_>) -> Refused {
        let is_known = match said.flags {
            Some(flags) => flags.allow(&format!("-{letters}")),
            None => self.options.bundled(letters).is_some(),
        };
        let why = || format!("`{letters}` are not known to be harmless options of `{name}` (`flags`)");
        if is_known { Ok(()) } else { Err(why()) }
    }
}

/// How many words more an option takes.
fn value(takes: Takes, next: Option<&Word>, option: &str) -> Result<usize, String> {
    match (takes, next) {
        (Takes::Nothing, _) => Ok(0),
        (Takes::Word, None) => Ok(0),
        (Takes::Word, Some(next)) if is_value(&next.text) => Ok(1),
        (Takes::Word, Some(next)) => {
            Err(format!("`{}` stands where `{option}` takes a word, and may be an option", next.text))
        }
    }
}

/// What is to be in a word and begins with `-` is refused in options alone.
fn refuses(begins: &str, has: &str, word: &str) -> bool {
    let is_in = |part: &str| match part.strip_prefix('-') {
        Some(part) => word.starts_with('-') && word.contains(part),
        None => word.contains(part),
    };
    listed(begins).any(|begin| word.starts_with(begin)) || listed(has).any(is_in)
}
