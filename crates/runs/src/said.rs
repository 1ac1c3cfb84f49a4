//! Whether a run has written a line, as a person at a terminal would have seen it.

use portcullis_keeper::spool::{self, Found, Stream};
use regex::Regex;
use std::path::Path;

/// Bytes of a line that are looked at; of a longer one the first.
const LINE: usize = 64 * 1024;
const ESCAPE: char = '\u{1b}';

/// Whether `grep` finds something in a line that was written from that place of a spool on. Pieces that were written one after the
/// other are one line; colours and other orders to a terminal are no part of it; what was drawn over another is a line of its own. What
/// is not written to its end yet counts, too.
#[must_use]
pub fn has_said(folder: &Path, from: u64, grep: &Regex) -> bool {
    let mut open = [Vec::new(), Vec::new()];
    for found in spool::read(folder, from) {
        let Found::Record(record) = found else {
            open.iter_mut().for_each(Vec::clear);
            continue;
        };
        let [out, err] = &mut open;
        let line = if record.stream == Stream::Err { err } else { out };
        for piece in record.bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let room = LINE.saturating_sub(line.len());
            line.extend_from_slice(text.get(..room.min(text.len())).unwrap_or_default());
            if piece.ends_with(b"\n") {
                if is_in(line, grep) {
                    return true;
                }
                line.clear();
            }
        }
    }
    open.iter().any(|line| !line.is_empty() && is_in(line, grep))
}

fn is_in(line: &[u8], grep: &Regex) -> bool {
    let seen = without_orders(&String::from_utf8_lossy(line));
    seen.trim_end_matches('\r').split('\r').any(|drawn| grep.is_match(drawn))
}

/// A text without what a terminal would obey (ECMA-48): control sequences, strings of commands, and single escapes.
fn without_orders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != ESCAPE {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('[') => {
                let _ = letters.find(|letter| ('@'..='~').contains(letter));
            }
            Some(']' | 'P' | 'X' | '^' | '_') => {
                // Until BEL, or an escape and a backslash.
                let mut before = ' ';
                let _ = letters.find(|letter| {
                    let ends = *letter == '\u{7}' || (before == ESCAPE && *letter == '\\');
                    before = *letter;
                    ends
                });
            }
            Some(' '..='/') => {
                let _ = letters.find(|letter| ('0'..='~').contains(letter));
            }
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_keeper::spool::Spool;

    fn says(pieces: &[(Stream, &str)], grep: &str) -> bool {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), 1 << 20);
        pieces.iter().for_each(|(stream, piece)| spool.write(*stream, piece.as_bytes()));
        drop(spool);
        has_said(folder.path(), 0, &Regex::new(grep).unwrap())
    }

    #[test]
    fn a_line_is_what_a_person_sees() {
        let (out, err) = (Stream::Out, Stream::Err);
        for (pieces, grep) in [
            (vec![(out, "\u{1b}[2mready in \u{1b}[0m\u{1b}[1m129\u{1b}[22m ms\n")], r"^ready in \d+ ms$"),
            (vec![(out, "\u{1b}[32mis ready\u{1b}[0m\n")], "is ready$"),
            (vec![(out, "\u{1b}]0;title\u{7}is ready\u{1b}]8;;http://x\u{1b}\\\n")], "^is ready$"),
            (vec![(out, "\u{1b}(Bis ready\u{1b}7\n")], "^is ready$"),
            (vec![(out, "is ready\r\n")], "is ready$"),
            (vec![(out, "loading 9%\ris ready\n")], "^is ready$"),
            (vec![(out, "loading 9%\ris ready\n")], "^loading"),
            (vec![(out, "Server is "), (err, "a warning\n"), (out, "ready\n")], "^Server is ready$"),
            (vec![(out, "Server is "), (err, "a warning\n"), (out, "ready\n")], "^a warning$"),
            (vec![(out, "Press any key: ")], "^Press any key"),
        ] {
            assert!(says(&pieces, grep), "{pieces:?} {grep}");
        }
        for (pieces, grep) in [
            (vec![(out, "not\nready\n")], "not.ready"),
            (vec![(out, "rea"), (err, "dy")], "ready"),
            (vec![(out, "\u{1b}]0;is ready\u{7}starting\n")], "ready"),
        ] {
            assert!(!says(&pieces, grep), "{pieces:?} {grep}");
        }
        let long = format!("{}ready\n", "x".repeat(LINE));
        assert!(!says(&[(out, &long)], "ready") && says(&[(out, &long), (out, "ready\n")], "^ready$"));
    }
}
