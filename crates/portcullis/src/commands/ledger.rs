//! `portcullis ledger …`: read from the file itself, whether a gate runs or not.

use super::table::cell;
use crate::cli::{LedgerCommand, PlaceArgs};
use crate::config::duration;
use crate::failure::Failure;
use crate::out::{self, aside, say};
use crate::place;
use portcullis_ledger::{Audit, Filter, GateKey, SignedHead, audit, query, verify};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// How often `tail` looks for new rows.
const LOOK: Duration = Duration::from_millis(300);

/// Runs one command on the record.
pub(crate) fn run(place: &PlaceArgs, command: LedgerCommand) -> Result<ExitCode, Failure> {
    let data = place::data_folder(place)?;
    if !data.join(portcullis_ledger::FILE).is_file() {
        return Err(Failure::usage(format!("there is no ledger in {}", data.display())));
    }
    match command {
        LedgerCommand::Tail { lines, json } => tail(&data, lines, json),
        LedgerCommand::Query { since, grant, tool, outcome, run, limit, json } => {
            let since = since.as_deref().map(time).transpose()?;
            let filter = Filter { since, grant, tool, outcome, run, limit, ..Filter::default() };
            if print_rows(&data, &filter, json)?.is_none() {
                say_unknown(&data, &filter)?;
            }
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::Verify { head, json } => check(&data, head.as_deref(), json),
        LedgerCommand::Audit { json } => look(&data, json),
        LedgerCommand::Head => {
            let report = verify(&data, None)?;
            if !report.ok {
                return Err(Failure::untrue(report.why.unwrap_or_default()));
            }
            let hash = data_encoding::HEXLOWER.decode(report.head.as_bytes()).ok();
            let hash = hash.and_then(|hash| hash.try_into().ok()).unwrap_or_default();
            let head = portcullis_ledger::Head { rows: report.rows, hash };
            let now = portcullis_ledger::time_text(jiff::Timestamp::now().as_millisecond());
            let signed = head.sign(&GateKey::open(&data)?, now);
            say!("{}", serde_json::to_string(&signed).map_err(|error| Failure::bug(error.to_string()))?);
            Ok(ExitCode::SUCCESS)
        }
        LedgerCommand::Export { output } => {
            let failed = |error: std::io::Error| Failure::untrue(format!("the export broke off: {error}"));
            let Some(path) = &output else {
                print_rows(&data, &Filter::default(), true)?;
                return Ok(ExitCode::SUCCESS);
            };
            let mut out = BufWriter::new(std::fs::File::create(path).map_err(failed)?);
            let mut broken = None;
            query(&data, &Filter::default(), |row| {
                let written = writeln!(out, "{}", Value::Object(row));
                broken = written.err();
                broken.is_none()
            })?;
            broken.map_or(Ok(()), Err).and_then(|()| out.flush()).map_err(failed)?;
            out.get_ref().sync_all().map_err(failed)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A time: RFC 3339, or a duration before now.
pub(crate) fn time(text: &str) -> Result<i64, Failure> {
    if let Some(ago) = duration(text) {
        let ago = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
        return Ok(jiff::Timestamp::now().as_millisecond().saturating_sub(ago));
    }
    text.parse::<jiff::Timestamp>().map(jiff::Timestamp::as_millisecond).map_err(|_| {
        Failure::usage(format!("--since: expected a time such as 2026-11-21T03:00:00Z or 7d, found `{text}`"))
    })
}

/// Prints matching rows; gives the number of the last.
fn print_rows(data: &Path, filter: &Filter, json: bool) -> Result<Option<u64>, Failure> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut last = None;
    query(data, filter, |row| {
        last = row.get("n").and_then(Value::as_u64);
        let line = if json { Value::Object(row).to_string() } else { line(row) };
        out::note(writeln!(out, "{}", out::one_line(&line)))
    })?;
    out::note(out.flush());
    Ok(last)
}

/// Says of a name in the filter that stands in no row at all: nothing is then no answer to what was asked.
fn say_unknown(data: &Path, filter: &Filter) -> Result<(), Failure> {
    let Filter { grant, tool, run, .. } = filter.clone();
    for (what, name, alone) in [
        ("grant", grant.clone(), Filter { grant, ..Filter::default() }),
        ("tool", tool.clone(), Filter { tool, ..Filter::default() }),
        ("run", run.clone(), Filter { run, ..Filter::default() }),
    ] {
        let Some(name) = name else { continue };
        let mut known = false;
        query(data, &alone, |_| {
            known = true;
            false
        })?;
        if !known {
            aside!("no row is of a {what} named `{name}`");
        }
    }
    Ok(())
}

/// The columns stand in each row, with `-` where it has nothing; time and message follow where there are any.
fn line(row: Map<String, Value>) -> String {
    let row = Value::Object(row);
    let called = match (row.get("method"), row.get("tool")) {
        (Some(_), Some(_)) => format!("{} {}", cell(&row, "method"), cell(&row, "tool")),
        (Some(_), None) => cell(&row, "method"),
        (None, _) => cell(&row, "tool"),
    };
    let [n, time, kind, grant, upstream, outcome, rule] =
        ["n", "time", "kind", "grant", "upstream", "outcome", "rule"].map(|name| cell(&row, name));
    let mut parts = vec![n, time, kind, grant, upstream, called, outcome, rule];
    if let Some(ms) = row.get("duration_ms").and_then(Value::as_f64) {
        parts.push(format!("{ms:.1} ms"));
    }
    if row.get("message").is_some() {
        parts.push(format!("- {}", cell(&row, "message")));
    }
    parts.join("  ")
}

fn tail(data: &Path, lines: usize, json: bool) -> Result<ExitCode, Failure> {
    let mut last = print_rows(data, &Filter { limit: Some(lines), ..Filter::default() }, json)?;
    while !out::has_ended() && !reader_left_within(LOOK) {
        let filter = Filter { after: last, ..Filter::default() };
        last = print_rows(data, &filter, json)?.or(last);
    }
    Ok(ExitCode::SUCCESS)
}

/// Waits; gives whether the reader of stdout went away meanwhile. A write would tell too, but the next row may be long
/// in coming.
fn reader_left_within(time: Duration) -> bool {
    let stdout = std::io::stdout();
    let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
    let timeout = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    matches!(poll(&mut watched, Some(&timeout)), Ok(ended) if ended > 0)
}

fn check(data: &Path, head: Option<&str>, json: bool) -> Result<ExitCode, Failure> {
    let kept = head.map(read_head).transpose()?;
    if let Some(kept) = &kept {
        // A head signed by another key proves nothing about this gate.
        let own = GateKey::open(data)?.public_hex();
        if kept.key != own {
            let text = format!("the head was signed by the key {}, this gate's key is {own}", kept.key);
            return Err(Failure::untrue(text));
        }
    }
    let report = verify(data, kept.as_ref())?;
    if json {
        say!("{}", serde_json::to_string(&report).map_err(|error| Failure::bug(error.to_string()))?);
    } else if report.ok {
        say!("{} rows, every link holds, head {}", report.rows, report.head);
        if let Some(gone) = &report.let_go {
            say!(
                "the rows 1 to {} were let go at {} by the rule `{}`: signed by the gate",
                gone.rows,
                gone.time,
                gone.rule
            );
        }
        report.unproved.iter().for_each(|what| say!("NOT PROVED: {what}"));
        if kept.is_none() {
            say!(
                "Without a head that was kept elsewhere (--head) this cannot tell a chain that was rewritten whole."
            );
        }
    } else {
        say!(
            "BROKEN at row {}: {}",
            report.first_bad.unwrap_or(0),
            report.why.as_deref().unwrap_or_default()
        );
    }
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Audits the record.
fn look(data: &Path, json: bool) -> Result<ExitCode, Failure> {
    let found = audit(data)?;
    if json {
        say!("{}", serde_json::to_string(&found).map_err(|error| Failure::bug(error.to_string()))?);
    } else {
        let Audit { rows, calls, approved, cut_off, .. } = &found;
        say!(
            "{rows} rows: {calls} calls passed, {approved} of them approved by a person, {cut_off} cut off with their gate"
        );
        found.findings.iter().for_each(|finding| say!("row {}: {}", finding.row, finding.text));
        match (found.ok, found.more) {
            (true, _) => say!("nothing in it cannot have happened"),
            (false, 0) => {}
            (false, more) => say!("and {more} more"),
        }
    }
    Ok(if found.ok { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn read_head(text: &str) -> Result<SignedHead, Failure> {
    let json = if text.trim_start().starts_with('{') {
        text.to_owned()
    } else {
        std::fs::read_to_string(text).map_err(|error| Failure::usage(format!("--head: {text}: {error}")))?
    };
    serde_json::from_str(&json)
        .map_err(|error| Failure::usage(format!("--head is not a signed head: {error}")))
}
