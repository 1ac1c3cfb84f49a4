//! A line, taken apart by the library and looked over again.
//!
//! The library is a reimplementation of bash, and an escape is a line that it reads otherwise than the shell that will run
//! it. So nothing that it says is taken on trust: its tokens must be the line, sign for sign, its words must be words to
//! [`Word::read`] too, and its grammar, which is what it is here for, sees only the shape of the line: each word is replaced by its
//! number. That also keeps the text of calls out of its logs, and hostile words out of its parser for assignments. It never sees
//! a `<<`, as there are here-documents over which it does not come to an end.

use std::borrow::Cow;
use std::str::Chars;

use brush_parser::{Token, TokenizerOptions, uncached_tokenize_str};

use super::variables::is_name;
use super::word::Word;
use super::{DIFFERENTLY, MISREAD, TOO_DEEP};
use crate::truth::Why;

/// Words that open what another closes. Some are parsed twice at each level, so that time doubles with it.
const OPENING: [&str; 6] = ["{", "case", "for", "if", "until", "while"];
/// Reserved words of POSIX, which the grammar has to see.
const RESERVED: [&str; 10] = ["!", "}", "do", "done", "elif", "else", "esac", "fi", "in", "then"];
/// How often a line may open a group, a loop or a condition.
const MAX_OPENINGS: usize = 8;
/// How often something may begin inside of words, where the library's tokenizer calls itself.
const MAX_EXPANSIONS: usize = 32;

/// Stands for the second `<` of `<<`, and for nothing else: it is no character.
pub(super) const SECOND: char = '\u{10ffff}';

/// A line in pieces.
#[derive(Debug)]
pub(super) struct Tokens {
    /// For the grammar: `w3` stands for the fourth word, `v=3` for the fourth where it begins with `NAME=`.
    pub(super) shape: Vec<Token>,
    words: Vec<Word>,
    /// The words as the line has them.
    raw: Vec<String>,
}

impl Tokens {
    pub(super) fn of(line: &str) -> Result<Self, Why> {
        let expansions: usize = ["$(", "${", "$[", "`"].iter().map(|begin| line.matches(begin).count()).sum();
        if expansions > MAX_EXPANSIONS {
            return Err(TOO_DEEP);
        }
        let line = &line.replace("<<", &format!("<{SECOND}"));
        let options = TokenizerOptions { enable_extended_globbing: false, posix_mode: true, sh_mode: true };
        let tokens =
            uncached_tokenize_str(line, &options).map_err(|_| Why::Form("no shell can read it as a line"))?;
        let mut read = Self { shape: Vec::with_capacity(tokens.len()), words: Vec::new(), raw: Vec::new() };
        let mut source = Source(line.chars());
        let mut before: Option<Token> = None;
        let mut openings = 0;
        for token in tokens {
            let apart = source.skip_blanks(matches!(before, Some(Token::Word(..))));
            // One is a negation, and a second is a mistake to some.
            if token.to_str() == "!" && before.as_ref().is_some_and(|before| before.to_str() == "!") {
                return Err(Why::Form(DIFFERENTLY));
            }
            if let Some(before) = before.as_ref().filter(|_| !apart) {
                check_neighbours(before, &token)?;
            }
            source.take(token.to_str()).ok_or(Why::Form(MISREAD))?;
            openings += usize::from(opens(&token));
            read.push(&token, before.as_ref())?;
            before = Some(token);
        }
        source.skip_blanks(matches!(before, Some(Token::Word(..))));
        if source.0.next().is_some() {
            return Err(Why::Form(MISREAD));
        }
        if openings > MAX_OPENINGS {
            return Err(TOO_DEEP);
        }
        Ok(read)
    }

    fn push(&mut self, token: &Token, before: Option<&Token>) -> Result<(), Why> {
        let token = match token {
            Token::Operator(..) => token.clone(),
            Token::Word(raw, place) => {
                let number = self.words.len();
                self.words.push(Word::read(raw).map_err(Why::Form)?);
                self.raw.push(raw.clone());
                let is_reserved = OPENING.contains(&raw.as_str()) || RESERVED.contains(&raw.as_str());
                let shown = if (is_reserved && !is_behind_word(raw, before)) || is_digit(raw) {
                    raw.clone()
                } else if assigned(raw).is_some() {
                    format!("v={number}")
                } else {
                    format!("w{number}")
                };
                Token::Word(shown, place.clone())
            }
        };
        self.shape.push(token);
        Ok(())
    }

    /// The word that the grammar saw as `shown`, and as the line has it.
    pub(super) fn word(&self, shown: &str) -> Option<(Cow<'_, Word>, &str)> {
        let number = shown.strip_prefix("v=").or_else(|| shown.strip_prefix('w'));
        match number.map(|number| number.parse::<usize>()) {
            Some(Ok(number)) => Some((Cow::Borrowed(self.words.get(number)?), self.raw.get(number)?)),
            // `do` and `2` among the arguments are words like others, which say what they say.
            _ => self
                .raw
                .iter()
                .find(|raw| *raw == shown)
                .map(|raw| (Cow::Owned(Word::plain(raw)), raw.as_str())),
        }
    }
}

/// What is said of `raw` by `NAME=…`: the name and the value as the line has them.
pub(super) fn assigned(raw: &str) -> Option<(&str, &str)> {
    let (name, value) = raw.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_digit(raw: &str) -> bool {
    raw.len() == 1 && raw.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether `raw` is a `}` that closes nothing: behind a word it is one more. The library takes it for the end of a group where it
/// stands behind an assignment.
fn is_behind_word(raw: &str, before: Option<&Token>) -> bool {
    let ends = |word: &str| matches!(word, "}" | "done" | "esac" | "fi");
    raw == "}" && matches!(before, Some(Token::Word(word, _)) if !ends(word))
}

fn opens(token: &Token) -> bool {
    match token {
        Token::Operator(operator, _) => operator == "(",
        Token::Word(word, _) => OPENING.contains(&word.as_str()),
    }
}

/// Refuses what is one sign to bash and two to POSIX. `first` and `then` stand together without a blank.
fn check_neighbours(first: &Token, then: &Token) -> Result<(), Why> {
    let leads =
        |token: &Token| matches!(token, Token::Operator(operator, _) if operator.starts_with(['<', '>']));
    let differently = match (first, then) {
        // &> and ((, of which the library makes two operators in POSIX mode.
        (Token::Operator(first, _), Token::Operator(second, _)) => {
            (first == "&" && leads(then)) || (first == "(" && second == "(")
        }
        // !(…) is a pattern to some, {name}> and 12> a file of that number.
        (Token::Word(word, _), Token::Operator(second, _)) => {
            (second == "(" && word == "!")
                || (leads(then)
                    && (word.ends_with('}')
                        || (!is_digit(word) && word.bytes().all(|byte| byte.is_ascii_digit()))))
        }
        // Two words with nothing between them are one to a shell.
        (Token::Word(..), Token::Word(..)) => return Err(Why::Form(MISREAD)),
        (Token::Operator(..), Token::Word(..)) => false,
    };
    if differently { Err(Why::Form(DIFFERENTLY)) } else { Ok(()) }
}

/// What is left of the line.
struct Source<'a>(Chars<'a>);

impl Source<'_> {
    /// Passes over blanks, comments and line continuations; whether there was anything that parts words. A `#` right behind
    /// a word is part of it.
    fn skip_blanks(&mut self, behind_word: bool) -> bool {
        let mut apart = false;
        loop {
            let rest = self.0.as_str();
            if let Some(behind) = rest.strip_prefix([' ', '\t']) {
                apart = true;
                self.0 = behind.chars();
            } else if let Some(behind) = rest.strip_prefix("\\\n") {
                self.0 = behind.chars();
            } else if rest.starts_with('#') && (apart || !behind_word) {
                apart = true;
                self.0 = rest.find('\n').and_then(|end| rest.get(end..)).unwrap_or_default().chars();
            } else {
                return apart;
            }
        }
    }

    /// Passes over a token, which may have line continuations in it.
    fn take(&mut self, token: &str) -> Option<()> {
        for sign in token.chars() {
            while self.0.clone().next() != Some(sign) {
                self.0 = self.0.as_str().strip_prefix("\\\n")?.chars();
            }
            self.0.next();
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EXPANSIONS, MAX_OPENINGS, Tokens};

    fn words(line: &str) -> Vec<String> {
        Tokens::of(line).unwrap().words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn a_line_is_taken_apart_without_its_blanks_and_comments() {
        for (line, expected) in [
            ("ls -l", vec!["ls", "-l"]),
            ("  ls\t-l # all\n", vec!["ls", "-l"]),
            ("# nothing", vec![]),
            ("ls a#b", vec!["ls", "a#b"]),
            ("l\\\ns -\\\nl", vec!["ls", "-l"]),
            ("ls \\\n -l", vec!["ls", "-l"]),
            ("ls 'a\\\nb'", vec!["ls", "a\\\nb"]),
            ("ls \"a\\\nb\"", vec!["ls", "ab"]),
            ("ls '#' é", vec!["ls", "#", "é"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn the_grammar_sees_numbers_in_place_of_words() {
        let shown: Vec<_> = Tokens::of("A='b c' ls 2>x && { ls; }")
            .unwrap()
            .shape
            .iter()
            .map(|token| token.to_str().to_owned())
            .collect();
        assert_eq!(shown, ["v=0", "w1", "2", ">", "w3", "&&", "{", "w5", ";", "}"]);
    }

    #[test]
    fn what_begins_too_often_is_not_read() {
        for (begin, most) in
            [("(", MAX_OPENINGS), ("if ", MAX_OPENINGS), ("{ ", MAX_OPENINGS), ("`a` ", MAX_EXPANSIONS / 2)]
        {
            // A blank between, as (( is something else.
            let line = |count: usize| format!("{begin} ").repeat(count);
            assert!(Tokens::of(&line(most)).is_ok(), "{begin}");
            assert!(Tokens::of(&line(most + 1)).is_err(), "{begin}");
        }
    }
}
