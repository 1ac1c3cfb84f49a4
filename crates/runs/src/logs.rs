//! What a run wrote, a page at a time.

use portcullis_keeper::spool::{self, Found, Stream};
use regex::Regex;
use std::collections::VecDeque;
use std::path::Path;

/// Bytes that one page looks through at most. A page that finds nothing in them says where the next one begins.
const LOOKS_AT: u64 = 32 << 20;

/// Which lines.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Where to begin.
    pub from: Begin,
    /// Only what came at that time or later, in ms since 1970.
    pub since_ms: u64,
    /// Only lines that this finds something in.
    pub grep: Option<Regex>,
    /// Only this stream.
    pub stream: Option<Stream>,
    /// Bytes of text at most, with the ends of lines; one line may be longer.
    pub max_bytes: usize,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// After so many bytes of both streams together: where another page ended.
    At(u64),
    /// With the last lines of those that are wanted, so many.
    Tail(usize),
}

/// A line, or a piece of one that was not written to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it came, in ms since 1970.
    pub time_ms: u64,
    /// Where it was written.
    pub stream: Stream,
    /// The line without its end; what is no UTF-8 is replaced.
    pub text: String,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Its lines.
    pub lines: Vec<LogLine>,
    /// Where the next page begins.
    pub cursor: u64,
    /// Bytes between the beginning and the cursor that were written and are not kept any more.
    pub dropped_bytes: u64,
    /// Whether there is more after it now.
    pub more: bool,
}

/// Reads a page of a spool. `cover` takes the secrets out of each line.
#[must_use]
pub fn page(folder: &Path, wanted: &Wanted, cover: fn(&str) -> String) -> Page {
    let (from, tail) = match wanted.from {
        Begin::At(at) => (at, None),
        Begin::Tail(lines) => (spool::files(folder).first().copied().unwrap_or(0), Some(lines)),
    };
    let mut page = Page { cursor: from, ..Page::default() };
    let mut lines = VecDeque::new();
    let (mut size, mut full) = (0, false);
    for found in spool::read(folder, from) {
        let record = match found {
            Found::Dropped(bytes) => {
                page.dropped_bytes += bytes;
                page.cursor += bytes;
                continue;
            }
            Found::Record(record) => record,
        };
        if full || (tail.is_none() && page.cursor - from > LOOKS_AT) {
            page.more = true;
            break;
        }
        let fits = record.time_ms >= wanted.since_ms && wanted.stream.is_none_or(|it| it == record.stream);
        let mut next = record.at;
        for piece in record.bytes.split_inclusive(|byte| *byte == b'\n') {
            next += piece.len() as u64;
            let text = String::from_utf8_lossy(piece.strip_suffix(b"\n").unwrap_or(piece));
            if !fits || wanted.grep.as_ref().is_some_and(|grep| !grep.is_match(&text)) {
                page.cursor = next;
                continue;
            }
            let text = cover(&text);
            if tail.is_none() && size + text.len() + 1 > wanted.max_bytes && !lines.is_empty() {
                (full, page.more) = (true, true);
                break;
            }
            size += text.len() + 1;
            page.cursor = next;
            lines.push_back(LogLine { time_ms: record.time_ms, stream: record.stream, text });
            if tail.is_some_and(|tail| lines.len() > tail) {
                size -= lines.pop_front().map_or(0, |line: LogLine| line.text.len() + 1);
            }
        }
    }
    // Of a tail the last lines are what is wanted, so the first ones give way.
    while size > wanted.max_bytes && lines.len() > 1 {
        size -= lines.pop_front().map_or(0, |line| line.text.len() + 1);
    }
    page.lines = lines.into();
    page
}
