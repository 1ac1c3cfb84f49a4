//! `portcullis runs logs`.

use crate::cli::{LogsArgs, PlaceArgs, StreamArg};
use crate::config::duration;
use crate::failure::Failure;
use crate::out::{aside, hand_on, one_line, say};
use crate::place;
use portcullis_admit::covered_line;
use portcullis_ledger::time_text;
use portcullis_runs::spool::Stream;
use portcullis_runs::{Begin, Left, LogLine, Page, RunId, Wanted, millis, page};
use regex::Regex;
use serde_json::json;
use std::borrow::Cow;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

/// Bytes of one page. Pages are put together until nothing is left.
const PAGE: usize = 1 << 20;
/// How often is looked for more.
const LOOK: Duration = Duration::from_millis(200);

/// Shows what a run wrote, from its folder: that is there whether a gate runs or not.
pub(crate) fn run(place: &PlaceArgs, args: &LogsArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let data = place::data_folder(place)?;
    let left = RunId::parse(&args.id).and_then(|id| Left::of(&data, &id)).ok_or_else(|| {
        Failure::usage(format!(
            "nothing is kept of a run `{}`; `portcullis runs list --all` lists those that are",
            args.id
        ))
    })?;
    let mut wanted = wanted(args)?;
    let spool = left.spool();
    loop {
        // Asked before it is read: what ended has nothing to add after that.
        let over = left.ended().is_some();
        let found = page(&spool, &wanted, covered_line);
        let (more, cursor) = (found.more, found.cursor);
        show(&found, as_json);
        wanted.from = Begin::At(cursor);
        if more {
            continue;
        }
        if over || !args.follow {
            if as_json {
                say!("{}", json!({ "cursor": cursor }));
            }
            return Ok(ExitCode::SUCCESS);
        }
        #[allow(clippy::disallowed_methods, reason = "a file tells nobody when it grows")]
        std::thread::sleep(LOOK);
    }
}

fn wanted(args: &LogsArgs) -> Result<Wanted, Failure> {
    let since_ms = match &args.since {
        None => 0,
        Some(text) => {
            let ago = duration(text).ok_or_else(|| {
                Failure::usage(format!("--since: expected a time such as 10m, found `{text}`"))
            })?;
            let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
            now.saturating_sub(millis(ago))
        }
    };
    let grep = args.grep.as_deref().map(Regex::new).transpose();
    Ok(Wanted {
        from: args.cursor.map_or(Begin::Tail(args.tail), Begin::At),
        since_ms,
        grep: grep.map_err(|error| Failure::usage(format!("--grep: {error}")))?,
        stream: args.stream.map(|stream| match stream {
            StreamArg::Stdout => Stream::Out,
            StreamArg::Stderr => Stream::Err,
        }),
        max_bytes: PAGE,
    })
}

fn show(page: &Page, as_json: bool) {
    if page.dropped_bytes > 0 && !as_json {
        aside!("{} bytes that were written here are not kept any more", page.dropped_bytes);
    } else if page.dropped_bytes > 0 {
        say!("{}", json!({ "dropped_bytes": page.dropped_bytes }));
    }
    for LogLine { time_ms, stream, text } in &page.lines {
        let time = time_text(i64::try_from(*time_ms).unwrap_or(i64::MAX));
        match as_json {
            true => say!("{}", json!({ "time": time, "stream": stream.as_str(), "text": text })),
            // A program that reads it gets what was written.
            false => hand_on(&format!("{time} {} {}\n", stream.as_str(), line_of(text))),
        }
    }
}

/// A line that a program wrote, without its colours and tricks where a person looks at it.
fn line_of(text: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() { one_line(text) } else { Cow::Borrowed(text) }
}
