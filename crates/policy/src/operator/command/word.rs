//! One word of a line: what it says once its quotes are taken away, and what stands open in it.
//!
//! This is a second reading of what the library took for a word. Where the two do not agree, or where the shells do not,
//! nothing is judged.

use std::str::Chars;

use super::tokens::SECOND;
use super::{ARITHMETIC, DIFFERENTLY, MISREAD};

/// A word that a program gets.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Something in it becomes what only the shell knows, and maybe several words: `$NAME`, `*`, `~`, `$(…)`.
    pub(super) open: bool,
    /// The lines of its command substitutions.
    pub(super) inside: Vec<String>,
}

/// How reading can end early.
type Read<T> = Result<T, &'static str>;

impl Word {
    /// A word that is what it is.
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A word of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self { open: true, ..Self::default() }
    }

    /// Reads a word as a line has it, without its line continuations, and with [`SECOND`] in place of some `<`.
    pub(super) fn read(raw: &str) -> Read<Self> {
        let mut word = Self::default();
        let mut signs = raw.chars();
        let mut quoted = false;
        let mut braces = false;
        let mut before = None;
        while let Some(sign) = signs.next() {
            match sign {
                '"' => quoted = !quoted,
                '\\' => word.text.extend(escaped(&mut signs, quoted)?),
                '$' => word.dollar(&mut signs, quoted)?,
                '`' => word.backquoted(&mut signs, quoted)?,
                _ if quoted => word.text.push(sign),
                SECOND => return Err("it has a here-document in it"),
                '\'' => word.text.push_str(until(&mut signs, '\'')?),
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => return Err(MISREAD),
                _ => {
                    match sign {
                        '*' | '?' => word.open = true,
                        '[' if raw != "[" => word.open = true,
                        '~' => word.open |= tilde(before, signs.as_str())?,
                        '{' | '}' => braces = true,
                        _ => {}
                    }
                    word.text.push(sign);
                }
            }
            before = Some(sign);
        }
        if quoted {
            return Err(MISREAD);
        }
        // `{a,b}` and `{1..9}` are two and nine words in bash, and one in POSIX.
        if braces && (raw.contains(',') || raw.contains("..")) {
            return Err(DIFFERENTLY);
        }
        for text in word.inside.iter_mut().chain([&mut word.text]).filter(|text| text.contains(SECOND)) {
            *text = text.replace(SECOND, "<");
        }
        Ok(word)
    }

    fn dollar(&mut self, signs: &mut Chars<'_>, quoted: bool) -> Read<()> {
        let Some(sign) = signs.clone().next() else {
            self.text.push('$');
            return Ok(());
        };
        match sign {
            '(' => {
                signs.next();
                if signs.as_str().starts_with('(') {
                    return Err(ARITHMETIC);
                }
                self.inside.push(enclosed(signs)?);
            }
            '{' => {
                signs.next();
                let name = until(signs, '}')?;
                let is_special = name.len() == 1 && name.chars().all(is_special);
                if !is_special && (name.is_empty() || !name.chars().all(is_of_name)) {
                    return Err("it has an expansion in it that is more than $NAME or ${NAME}");
                }
            }
            // $[1+1], $'\x41' and $"text" are bash's own.
            '[' => return Err(DIFFERENTLY),
            '\'' | '"' if !quoted => return Err(DIFFERENTLY),
            sign if is_of_name(sign) || is_special(sign) => {
                signs.next();
            }
            sign if !sign.is_ascii() => return Err(DIFFERENTLY),
            _ => {
                self.text.push('$');
                return Ok(());
            }
        }
        self.open = true;
        Ok(())
    }

    fn backquoted(&mut self, signs: &mut Chars<'_>, quoted: bool) -> Read<()> {
        let line = until(signs, '`')?;
        // How backslashes and quotes nest in here is where shells differ most, and a `#` may hide the end.
        if line.contains(['\\', '#']) || (quoted && line.contains('"')) {
            return Err(DIFFERENTLY);
        }
        self.inside.push(line.to_owned());
        self.open = true;
        Ok(())
    }
}

fn is_of_name(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

fn is_special(sign: char) -> bool {
    matches!(sign, '@' | '*' | '#' | '?' | '-' | '$' | '!')
}

/// What a backslash and the sign behind it say.
fn escaped(signs: &mut Chars<'_>, quoted: bool) -> Read<impl Iterator<Item = char>> {
    let sign = signs.next().ok_or(MISREAD)?;
    let kept = quoted && !matches!(sign, '$' | '`' | '"' | '\\');
    Ok(kept.then_some('\\').into_iter().chain([sign]))
}

/// The text up to `end`, which is passed over.
fn until<'a>(signs: &mut Chars<'a>, end: char) -> Read<&'a str> {
    let (text, rest) = signs.as_str().split_once(end).ok_or(MISREAD)?;
    *signs = rest.chars();
    Ok(text)
}

/// Whether a `~` stands for a folder, by the sign before it.
fn tilde(before: Option<char>, behind: &str) -> Read<bool> {
    match before {
        None => match behind.chars().next() {
            // ~+, ~- and ~1 are bash's own.
            Some('+' | '-' | '0'..='9') => Err(DIFFERENTLY),
            _ => Ok(true),
        },
        Some(before) => Ok(matches!(before, '=' | ':')),
    }
}

/// The line in `$(…)`, whose beginning is behind us, up to its end, which is passed over.
///
/// It is read again as a line, and must be a whole one. As the shell reads it from the same place, it then ends at the same
/// parenthesis.
fn enclosed(signs: &mut Chars<'_>) -> Read<String> {
    let mut line = String::new();
    let mut deep = 0usize;
    while let Some(sign) = signs.next() {
        line.push(sign);
        match sign {
            '\\' => line.push(signs.next().ok_or(MISREAD)?),
            '\'' => {
                line.push_str(until(signs, '\'')?);
                line.push('\'');
            }
            '"' => enclosed_quote(signs, &mut line)?,
            '`' | '#' => return Err(DIFFERENTLY),
            '(' => deep += 1,
            ')' if deep > 0 => deep -= 1,
            ')' => {
                line.pop();
                return Ok(line);
            }
            _ => {}
        }
    }
    Err(MISREAD)
}

/// Passes over a text in double quotes, whose beginning is behind us.
fn enclosed_quote(signs: &mut Chars<'_>, line: &mut String) -> Read<()> {
    while let Some(sign) = signs.next() {
        line.push(sign);
        match sign {
            '"' => return Ok(()),
            '\\' => line.push(signs.next().ok_or(MISREAD)?),
            '`' => return Err(DIFFERENTLY),
            '$' if signs.as_str().starts_with('(') => {
                signs.next();
                line.push('(');
                line.push_str(&enclosed(signs)?);
                line.push(')');
            }
            _ => {}
        }
    }
    Err(MISREAD)
}

#[cfg(test)]
mod tests {
    use super::{ARITHMETIC, DIFFERENTLY, MISREAD, Word};

    #[test]
    fn quotes_are_taken_away_as_a_shell_does() {
        for (raw, text) in [
            ("ls", "ls"),
            ("l\"\"s", "ls"),
            ("l\\s", "ls"),
            ("'l'\"s\"", "ls"),
            ("''", ""),
            ("'a\\b'", "a\\b"),
            (r#""a\b\"\$\`\\""#, r#"a\b"$`\"#),
            ("a$", "a$"),
            ("a$.b", "a$.b"),
            ("HEAD~1", "HEAD~1"),
            ("stash@{0}", "stash@{0}"),
            ("\"*~{a,b}\"'$(id)'", "*~{a,b}$(id)"),
            ("[", "["),
        ] {
            assert_eq!(Word::read(raw), Ok(Word::plain(text)), "{raw}");
        }
    }

    #[test]
    fn what_only_the_shell_knows_is_open() {
        for raw in [
            "$A",
            "${A}",
            "\"$A\"",
            "$?",
            "$$",
            "*.c",
            "a?",
            "[a]",
            "~",
            "~/x",
            "~me",
            "--home=~/x",
            "$(ls)",
            "`ls`",
        ] {
            assert!(Word::read(raw).unwrap().open, "{raw}");
        }
    }

    #[test]
    fn lines_inside_are_found_up_to_their_end() {
        for (raw, inside) in [
            ("a$(ls)b", vec!["ls"]),
            ("\"$(ls \")\" '(' \\))\"", vec!["ls \")\" '(' \\)"]),
            ("$((ls) )", vec![]),
            ("$( (ls) )$(id)", vec![" (ls) ", "id"]),
            ("\"$(echo \"$(id)\")\"", vec!["echo \"$(id)\""]),
            ("`ls 'a'`", vec!["ls 'a'"]),
        ] {
            match Word::read(raw) {
                Ok(word) => assert_eq!(word.inside, inside, "{raw}"),
                Err(why) => assert_eq!((why, inside.len()), (ARITHMETIC, 0), "{raw}"),
            }
        }
    }

    #[test]
    fn what_shells_read_differently_is_not_read() {
        for raw in
            ["$'a'", "$\"a\"", "$[1]", "{a,b}", "a{1..3}", "~+", "`a\\`b`", "\"`a \"b\"`\"", "$(a # b)", "$é"]
        {
            assert_eq!(Word::read(raw), Err(DIFFERENTLY), "{raw}");
        }
        for raw in ["a b", "a;b", "'a", "\"a", "a\\", "$(a", "`a", "${a", "a)b"] {
            assert_eq!(Word::read(raw), Err(MISREAD), "{raw}");
        }
        for raw in ["${a:-b}", "${!a}", "${#a}", "${}"] {
            assert!(Word::read(raw).is_err(), "{raw}");
        }
    }
}
