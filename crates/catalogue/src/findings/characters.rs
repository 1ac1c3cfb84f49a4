//! Characters that are not seen, or that are not what they look like.

use super::rules::{BIDI, CONTROLS, ESCAPES, INVISIBLE, MIXED_NAME, TAGS};
use super::{Finding, Found};
use std::fmt::Write as _;

/// Joins letters, and is part of the spelling of some languages and of emoji.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];
const BLACK_FLAG: char = '\u{1f3f4}';
/// Tags of a flag, at most: a country, a part of it, and the end.
const FLAG: u32 = 7;

/// Whether it is not seen, and stands in no text that is only read.
pub(super) fn is_hidden(letter: char) -> bool {
    is_invisible(letter) || is_bidi(letter) || is_tag(letter) || JOINERS.contains(&letter)
}

fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'
        | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}')
}

fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_tag(letter: char) -> bool {
    matches!(letter, '\u{e0000}'..='\u{e007f}')
}

fn is_control(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\t' | '\n' | '\r')
}

/// The first of each kind of what is hidden in a text.
pub(super) fn hidden(text: &str) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control()) {
        return found;
    }
    let mut before = ' ';
    let mut flag = 0;
    for (at, letter) in text.char_indices() {
        let rule = match letter {
            // Flags of countries within countries are spelt with tags.
            _ if is_tag(letter) => (flag == 0 || flag > FLAG).then_some(&TAGS),
            _ if is_bidi(letter) => Some(&BIDI),
            _ if is_invisible(letter) => Some(&INVISIBLE),
            // Between letters of a language that joins them, or between emoji.
            _ if JOINERS.contains(&letter) => {
                (before.is_ascii() || JOINERS.contains(&before)).then_some(&INVISIBLE)
            }
            '\u{fe00}'..='\u{fe0f}' => {
                (before.is_ascii_alphabetic() || before == ' ' || matches!(before, '\u{fe00}'..='\u{fe0f}'))
                    .then_some(&INVISIBLE)
            }
            '\u{1b}' | '\u{9b}' => Some(&ESCAPES),
            _ if is_control(letter) => Some(&CONTROLS),
            _ => None,
        };
        flag = match letter {
            BLACK_FLAG => 1,
            _ if flag > 0 && is_tag(letter) => flag + 1,
            _ => 0,
        };
        before = letter;
        if let Some(rule) = rule
            && !found.iter().any(|known| known.rule == rule.id)
        {
            found.push(Found { rule: rule.id, severity: rule.severity, at });
        }
    }
    found
}

/// A name in letters of two scripts that look alike.
pub(super) fn mixed_name(name: &str) -> Option<Finding> {
    let has = |in_script: fn(char) -> bool| name.chars().any(in_script);
    let latin = has(|letter| letter.is_ascii_alphabetic());
    let alike = has(
        |letter| matches!(letter, '\u{370}'..='\u{3ff}' | '\u{400}'..='\u{52f}' | '\u{530}'..='\u{58f}' | '\u{13a0}'..='\u{13ff}' | '\u{ff21}'..='\u{ff5a}'),
    );
    let told = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => format!("{letter}[U+{:04X}]", u32::from(letter)),
    };
    (latin && alike).then(|| Finding::of(&MIXED_NAME, "name", name.chars().map(told).collect()))
}

/// Whether a character is seen as it is in one line of a terminal: no control character, no line end, nothing that is invisible or
/// turns the text around.
#[must_use]
pub fn is_seen(letter: char) -> bool {
    let hides = is_hidden(letter) || letter.is_control() || matches!(letter, '\u{fe00}'..='\u{fe0f}');
    // The blank of the braille patterns is drawn as nothing, and no blank to any program.
    !hides && !matches!(letter, '\u{2028}' | '\u{2029}' | '\u{2800}')
}

/// A text in which nothing is hidden, in one line: what is not seen, and what a terminal would obey, is written as
/// `[U+200B]`.
#[must_use]
pub fn written_out(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' ' | '\t' | '\n' | '\r' | '\u{3000}' => out.push(' '),
            // Other blanks look like the usual one.
            _ if !is_seen(letter) || letter.is_whitespace() => {
                let _ = write!(out, "[U+{:04X}]", u32::from(letter));
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(text: &str) -> Vec<&'static str> {
        hidden(text).into_iter().map(|found| found.rule).collect()
    }

    #[test]
    fn what_is_not_seen_is_found() {
        assert_eq!(rules_of("a\u{200b}b"), ["invisible-characters"]);
        assert_eq!(rules_of("soft\u{ad}hyphen"), ["invisible-characters"]);
        assert_eq!(rules_of("a\u{202e}b"), ["bidi-characters"]);
        assert_eq!(rules_of("a\u{e0041}\u{e0042}"), ["tag-characters"]);
        assert_eq!(rules_of("\u{1b}[31mred"), ["escape-sequences"]);
        assert_eq!(rules_of("a\u{0}b\u{7}"), ["control-characters"]);
        assert_eq!(rules_of("a\u{fe0f}\u{fe00}"), ["invisible-characters"]);
        assert_eq!(rules_of("a\u{200d}b"), ["invisible-characters"]);
        assert_eq!(rules_of("é\u{200d}\u{200c}\u{200d}"), ["invisible-characters"]);
        let long: String = "\u{1f3f4}".chars().chain(std::iter::repeat_n('\u{e0061}', 9)).collect();
        assert_eq!(rules_of(&long), ["tag-characters"]);
    }

    #[test]
    fn what_people_write_is_not() {
        for text in [
            "Plain words,\n\tand lines.\r\n",
            "naïve café – “quoted” …",
            "日本語のテキスト",
            "می‌خواهم",
            "👩‍💻 writes ✔️ and ❤️",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿 plays",
            "1️⃣ first",
            "Grüße, Привет, Γειά",
        ] {
            assert!(rules_of(text).is_empty(), "{text}: {:?}", rules_of(text));
        }
    }

    #[test]
    fn a_name_in_two_scripts_is_written_out() {
        let found = mixed_name("p\u{430}ypal_send").unwrap();
        assert_eq!(found.text, "p\u{430}[U+0430]ypal_send");
        assert!(mixed_name("paypal_send").is_none() && mixed_name("отправить").is_none());
    }
}
