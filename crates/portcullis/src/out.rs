//! What commands say on stdout, and beside it on stderr.
//!
//! A reader that closed the pipe (`… | head -1`) has seen enough: nothing more is said, and the command ends as it would
//! have. Any other failure to write is the command's own: what it was asked to show did not arrive.
//!
//! Much of what is said was written by agents and servers. So nothing reaches a terminal but characters that are seen, the line ends
//! that this program makes, and the few colours of its own reports: everything else is escaped as JSON escapes it, which leaves JSON
//! what it was. [`say!`] says one line, whatever is in it; [`say_lines!`] is for texts of several lines.

use crate::failure::Failure;
use portcullis_catalogue::{is_seen, written_out};
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

/// Why nothing more can be said.
static ENDED: OnceLock<io::Error> = OnceLock::new();

/// Says one line on stdout, as `println!` does, which panics where nobody reads.
macro_rules! say {
    ($($what:tt)*) => { $crate::out::line(format_args!($($what)*)) };
}
pub(crate) use say;

/// Says several lines on stdout.
macro_rules! say_lines {
    ($($what:tt)*) => { $crate::out::lines(format_args!($($what)*)) };
}
pub(crate) use say_lines;

/// Says one line on stderr, to the person at the terminal. Where nobody reads it, it is lost, and the exit code tells.
macro_rules! aside {
    ($($what:tt)*) => { $crate::out::line_aside(format_args!($($what)*)) };
}
pub(crate) use aside;

/// Says several lines on stderr.
macro_rules! aside_lines {
    ($($what:tt)*) => { $crate::out::lines_aside(format_args!($($what)*)) };
}
pub(crate) use aside_lines;

/// Characters of a cell of a table, or of another text in a line, at most.
const CELL: usize = 400;
/// Characters of a cell that others stand behind, at most: it does not push them off the screen.
pub(crate) const NARROW: usize = 80;

/// A text in one line: what is not seen is escaped as JSON escapes it.
pub(crate) fn one_line(text: &str) -> Cow<'_, str> {
    escaped(text, false)
}

/// A text of several lines, of which no other character is unseen.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    escaped(text, true)
}

/// A text that somebody else chose, for a cell or within a line: nothing in it is hidden, and a long one is cut.
pub(crate) fn shown(text: &str) -> String {
    shown_within(text, CELL)
}

/// The same with so many characters at most. Of a longer one the beginning is shown, and how much is missing: whoever reads it
/// must not take it for the whole. The one place where texts are cut for tables.
pub(crate) fn shown_within(text: &str, most: usize) -> String {
    let text = written_out(text);
    let count = text.chars().count();
    if count <= most {
        return text;
    }
    // The longest mark that can come of it.
    let mark = format!("… ({count} more characters)").chars().count();
    let kept = most.saturating_sub(mark);
    let head: String = text.chars().take(kept).collect();
    format!("{head}… ({} more characters)", count - kept)
}

fn escaped(text: &str, with_lines: bool) -> Cow<'_, str> {
    let stays = |letter: char| is_seen(letter) || (with_lines && letter == '\n');
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let colour = if with_lines { colour(rest) } else { None };
        if let Some(colour) = colour {
            out.push_str(colour);
            rest = rest.get(colour.len()..).unwrap_or_default();
            continue;
        }
        match letter {
            _ if stays(letter) => out.push(letter),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| {
                let _ = write!(out, "\\u{unit:04x}");
            }),
        }
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
    }
    Cow::Owned(out)
}

/// A report without its colours, for whoever does not write to a terminal.
pub(crate) fn uncoloured(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let length = colour(rest).map_or_else(
            || {
                out.push(letter);
                letter.len_utf8()
            },
            str::len,
        );
        rest = rest.get(length..).unwrap_or_default();
    }
    out
}

/// A colour of our own reports at the beginning of a text. None of them hides what follows.
fn colour(text: &str) -> Option<&str> {
    let codes = text.strip_prefix("\u{1b}[")?;
    let end = codes.find('m').filter(|end| *end <= 12)?;
    let known = |code: &str| {
        matches!(
            code,
            "0" | "1" | "2" | "3" | "4" | "22" | "24" | "31" | "32" | "33" | "34" | "35" | "36" | "39"
        )
    };
    codes.get(..end)?.split(';').all(known).then(|| text.get(..end + 3))?
}

/// Says one line on stderr.
pub(crate) fn line_aside(what: fmt::Arguments<'_>) {
    write_aside(&format!("{}\n", one_line(&what.to_string())));
}

/// Says several lines on stderr.
pub(crate) fn lines_aside(what: fmt::Arguments<'_>) {
    write_aside(&format!("{}\n", plain(&what.to_string())));
}

fn write_aside(text: &str) {
    // At once: whoever follows a file of it never sees half a line.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Says one line.
pub(crate) fn line(what: fmt::Arguments<'_>) {
    let what = what.to_string();
    text(format_args!("{}\n", one_line(&what)));
}

/// Says several lines.
pub(crate) fn lines(what: fmt::Arguments<'_>) {
    let what = what.to_string();
    text(format_args!("{}\n", plain(&what)));
}

/// Hands on a text that is to be used as it is, such as a file or what a program wrote: every byte of it where it goes to a program or a
/// file, and escaped where it goes to a terminal.
pub(crate) fn hand_on(what: &str) {
    if io::stdout().is_terminal() {
        text(format_args!("{}", plain(what)));
    } else {
        text(format_args!("{what}"));
    }
}

/// Writes a text that is escaped already.
fn text(what: fmt::Arguments<'_>) {
    if !has_ended() {
        note(io::stdout().lock().write_fmt(what));
    }
}

/// Keeps the first failure of a write; gives whether there was none.
pub(crate) fn note(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) => {
            let _ = ENDED.set(error);
            false
        }
    }
}

/// Whether what is said arrives nowhere.
pub(crate) fn has_ended() -> bool {
    ENDED.get().is_some()
}

/// Sends what was said on its way.
///
/// # Errors
/// Where it did not arrive, unless the reader had seen enough.
pub(crate) fn finish() -> Result<(), Failure> {
    note(io::stdout().flush());
    match ENDED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::untrue(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// How many there are of something, in words that fit the number.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn is_control(letter: char) -> bool {
        letter.is_control()
            || ('\u{202a}'..='\u{202e}').contains(&letter)
            || ('\u{2066}'..='\u{2069}').contains(&letter)
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_one_line_without_a_control_character(text in any::<String>(), odd in "[\\x00-\\x1f\\x7f-\\x9f\u{202a}-\u{202e}\u{2066}-\u{2069}\u{2028}\u{200b}\u{e0041}a\\n]*") {
            for text in [text, odd] {
                prop_assert!(!one_line(&text).chars().any(is_control));
                prop_assert!(!shown(&text).chars().any(is_control));
                prop_assert!(shown(&text).chars().count() <= CELL);
                let narrow = shown_within(&text, NARROW);
                prop_assert!(narrow.chars().count() <= NARROW);
                prop_assert_eq!(shown(&narrow), narrow);
                let lines = plain(&text);
                prop_assert_eq!(lines.matches('\n').count(), text.matches('\n').count());
            }
        }

        #[test]
        fn json_stays_what_it_is(text in any::<String>(), odd in "[\\x7f-\\x9f\u{202e}\u{200b}\u{e0041}\u{fe0f}a\"]*") {
            let value = serde_json::json!({ text: odd });
            let said = value.to_string();
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&one_line(&said)).unwrap(), value);
        }
    }

    #[test]
    fn a_text_that_is_cut_says_how_much_is_missing() {
        let long = format!("ls {} && rm -rf /srv", "/a".repeat(60));
        let cut = shown_within(&long, NARROW);
        let (head, mark) = cut.split_once('…').unwrap();
        assert!(long.starts_with(head) && cut.chars().count() <= NARROW, "{cut}");
        let missing = long.chars().count() - head.chars().count();
        assert_eq!(mark, format!(" ({missing} more characters)"));
        assert_eq!(shown_within("ls", NARROW), "ls");
    }

    #[test]
    fn of_escape_sequences_only_plain_colours_pass_and_only_in_reports() {
        assert_eq!(
            plain("\u{1b}[31mred\u{1b}[0m\u{1b}[2A\u{1b}[8m"),
            "\u{1b}[31mred\u{1b}[0m\\u001b[2A\\u001b[8m"
        );
        assert_eq!(one_line("\u{1b}[31mred"), "\\u001b[31mred");
        assert_eq!(one_line("a\nb\u{1f600}\u{e0041}"), "a\\nb\u{1f600}\\udb40\\udc41");
    }
}
