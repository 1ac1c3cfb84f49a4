//! Options of a program: which of its words are options, and which of them take a word of their own.

/// The options that are known of a program and harmless. Letters and names are followed by `:` where they take a word, and by `::`
/// where they take only what is attached to them, as getopt writes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Options {
    /// Letters behind one `-`, which may stand together: `ab:c::`.
    pub(super) short: &'static str,
    /// Names behind `--`, with a blank between: `all key: color::`. A program takes the beginning of a name for the whole; only
    /// whole names are known here.
    pub(super) long: &'static str,
    /// Names behind one `-`, as `find` has them: `print name:`.
    pub(super) single: &'static str,
}

/// What an option takes of the words behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    /// The next one, which is no option then.
    Word,
}

pub(super) const NO_OPTIONS: Options = Options { short: "", long: "", single: "" };

impl Options {
    /// What an option takes; `None` where it is not known.
    pub(super) fn takes(&self, word: &str) -> Option<Takes> {
        let name = word.strip_prefix('-')?;
        if let Some(arity) = named(self.single, name) {
            return if arity == Arity::Word { Some(Takes::Word) } else { Some(Takes::Nothing) };
        }
        match name.strip_prefix('-') {
            Some(name) => self.long(name),
            None => self.letters(name),
        }
    }

    fn long(&self, word: &str) -> Option<Takes> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        match (named(self.long, name)?, value) {
            (Arity::Nothing, Some(_)) => None,
            (Arity::Word, None) => Some(Takes::Word),
            _ => Some(Takes::Nothing),
        }
    }

    fn letters(&self, letters: &str) -> Option<Takes> {
        let mut letters = letters.chars();
        let mut takes = None;
        while let Some(letter) = letters.next() {
            match self.letter(letter)? {
                Arity::Nothing => takes = Some(Takes::Nothing),
                Arity::Attached => return Some(Takes::Nothing),
                Arity::Word if letters.as_str().is_empty() => return Some(Takes::Word),
                Arity::Word => return Some(Takes::Nothing),
            }
        }
        takes
    }

    fn letter(&self, letter: char) -> Option<Arity> {
        let (_, behind) = self.short.split_once(letter).filter(|_| letter != ':')?;
        Some(arity(behind))
    }

    /// Whether a letter is known with any number of digits behind it.
    fn has_counted(&self, letter: char) -> bool {
        let is_known = |letter| self.letter(letter).is_some();
        self.letter(letter).is_some_and(|arity| arity != Arity::Nothing || ('0'..='9').all(is_known))
    }

    /// How many words the letters of an option without `-` take, as `tar` has one; `None` where one is not known.
    pub(super) fn bundled(&self, letters: &str) -> Option<usize> {
        letters
            .chars()
            .try_fold(0, |words, letter| Some(words + usize::from(self.letter(letter)? == Arity::Word)))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arity {
    Nothing,
    Attached,
    Word,
}

fn arity(behind: &str) -> Arity {
    match (behind.starts_with("::"), behind.starts_with(':')) {
        (true, _) => Arity::Attached,
        (false, true) => Arity::Word,
        (false, false) => Arity::Nothing,
    }
}

fn named(list: &str, name: &str) -> Option<Arity> {
    let behind =
        |own: &&str| own.strip_prefix(name).is_some_and(|behind| behind.trim_start_matches(':').is_empty());
    let own = listed(list).find(|own| !name.is_empty() && behind(own))?;
    own.strip_prefix(name).map(arity)
}

/// The words of a list.
pub(super) fn listed(list: &str) -> impl Iterator<Item = &str> {
    list.split(' ').filter(|word| !word.is_empty())
}

pub(super) fn has(list: &str, word: &str) -> bool {
    listed(list).any(|own| own == word)
}

/// Whether a word can only be what an option before it takes: it does not begin as options do, or is `-` or a negative number.
pub(super) fn is_value(word: &str) -> bool {
    let is_number = |number: &str| {
        let rest = number.trim_start_matches(|sign: char| sign.is_ascii_digit());
        rest.len() < number.len() && rest.len() <= 1 && rest.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    word.strip_prefix('-').is_none_or(|rest| rest.is_empty() || is_number(rest))
}

/// The options that a policy allows of one program.
#[derive(Debug)]
pub(super) struct Flags(Vec<Box<str>>);

impl Flags {
    pub(super) fn of(flags: Vec<Box<str>>) -> Self {
        Self(flags)
    }

    /// Whether a word is no option, or one of these: as it is listed, `--max=5` where `--max` is, `-n5` where `-n` is, and `-ab`
    /// where both `-a` and `-b` are. `-` is no option, and `--` only ends them.
    pub(super) fn allow(&self, word: &str) -> bool {
        let lists = |flag: &str| self.0.iter().any(|own| **own == *flag);
        if !word.starts_with('-') || matches!(word, "-" | "--") || lists(word) {
            return true;
        }
        if word.starts_with("--") {
            return word.split_once('=').is_some_and(|(name, _)| lists(name));
        }
        let letters = || word.chars().skip(1);
        let is_counted = word.chars().count() > 2 && letters().skip(1).all(|sign| sign.is_ascii_digit());
        let first: String = word.chars().take(2).collect();
        (is_counted && lists(&first)) || letters().all(|letter| lists(&format!("-{letter}")))
    }
}

impl Flags {
    /// Whether it allows no option at all.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the other allows whatever these allow.
    pub(super) fn imply(&self, other: &Self) -> bool {
        self.0.iter().all(|flag| other.0.contains(flag))
    }

    /// Whether all options that these allow are among those that are known, in each of their forms.
    pub(super) fn are_all_of(&self, known: &Options) -> bool {
        self.0.iter().all(|flag| {
            let mut letters = flag.chars().skip(1);
            known.takes(flag).is_some()
                && match (letters.next(), letters.next()) {
                    (Some('-'), Some(_)) => flag.contains('=') || known.takes(&format!("{flag}=")).is_some(),
                    (Some(letter), None) => known.has_counted(letter),
                    _ => true,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Flags, Options, Takes, is_value};

    const OPTIONS: Options = Options { short: "abk:U::5", long: "all key: color::", single: "print name:" };

    #[test]
    fn what_an_option_takes_is_told_in_each_of_its_forms() {
        for (word, takes) in [
            ("-a", Takes::Nothing),
            ("-ab5", Takes::Nothing),
            ("-k", Takes::Word),
            ("-abk", Takes::Word),
            ("-k2", Takes::Nothing),
            ("-akb", Takes::Nothing),
            ("-U", Takes::Nothing),
            ("-U3", Takes::Nothing),
            ("--all", Takes::Nothing),
            ("--key", Takes::Word),
            ("--key=2", Takes::Nothing),
            ("--color", Takes::Nothing),
            ("--color=never", Takes::Nothing),
            ("-print", Takes::Nothing),
            ("-name", Takes::Word),
        ] {
            assert_eq!(OPTIONS.takes(word), Some(takes), "{word}");
        }
        for word in [
            "-c", "-ac", "-cU", "--al", "--ke=2", "--alls", "--all=x", "-:", "-", "--", "---", "-pri", "-é",
            "x",
        ] {
            assert_eq!(OPTIONS.takes(word), None, "{word}");
        }
        assert_eq!(
            (OPTIONS.bundled("akb"), OPTIONS.bundled("kk"), OPTIONS.bundled("ac")),
            (Some(1), Some(2), None)
        );
    }

    #[test]
    fn what_begins_like_an_option_is_no_value_but_for_numbers() {
        for word in ["x", "-", "-7", "-10k", ""] {
            assert!(is_value(word), "{word}");
        }
        for word in ["-x", "--", "-7ab", "--7", "-o5"] {
            assert!(!is_value(word), "{word}");
        }
    }

    #[test]
    fn flags_are_what_is_listed_and_what_is_made_of_it() {
        let flags = Flags::of(["-n", "-a", "--max", "-la"].map(Into::into).into());
        for word in ["x", "", "-", "--", "-n", "-n5", "-n12", "-a", "-an", "-nna", "-la", "--max", "--max=5"]
        {
            assert!(flags.allow(word), "{word}");
        }
        for word in
            ["-b", "-ab", "-n5a", "-nfile", "-5", "--maximum", "--ma", "--ma=5", "-l", "-n=5", "-é", "--max5"]
        {
            assert!(!flags.allow(word), "{word}");
        }
    }
}
