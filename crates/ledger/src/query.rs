//! Reading the record.

use crate::chain::{GENESIS, Hash};
use crate::schema::{Failure, open_reader};
use crate::slice::{bounds, first_since, slice};
use data_encoding::HEXLOWER;
use rusqlite::OptionalExtension;
use serde_json::{Map, Value};
use std::path::Path;

/// Which rows to read; an absent member matches all.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    /// Rows at or after this time, in milliseconds since 1970.
    pub since: Option<i64>,
    /// Rows after this number.
    pub after: Option<u64>,
    /// Rows of this kind, as they spell it.
    pub kind: Option<String>,
    /// Rows of this upstream.
    pub upstream: Option<String>,
    /// Rows of this grant.
    pub grant: Option<String>,
    /// Rows of this tool; `server__tool`, its name on the common endpoint, is the tool of that server.
    pub tool: Option<String>,
    /// Rows with this outcome.
    pub outcome: Option<String>,
    /// Rows of this run.
    pub run: Option<String>,
    /// The last so many of the matching rows.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether it is not about what stands in a row.
    fn is_all(&self) -> bool {
        let Self { kind, upstream, grant, tool, outcome, run, .. } = self;
        [kind, upstream, grant, tool, outcome, run].iter().all(|wanted| wanted.is_none())
    }

    fn matches(&self, row: &Map<String, Value>) -> bool {
        let is = |key: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| row.get(key).and_then(Value::as_str) == Some(wanted))
        };
        is("kind", &self.kind)
            && is("upstream", &self.upstream)
            && is("grant", &self.grant)
            && self.tool.as_deref().is_none_or(|tool| is_of_tool(row, tool))
            && is("outcome", &self.outcome)
            && is("run", &self.run)
    }
}

fn is_of_tool(row: &Map<String, Value>, wanted: &str) -> bool {
    let text = |key: &str| row.get(key).and_then(Value::as_str);
    let Some(tool) = text("tool") else { return false };
    let of_server = || wanted.strip_suffix(tool).and_then(|rest| rest.strip_suffix("__"));
    tool == wanted || text("upstream").is_some_and(|upstream| of_server() == Some(upstream))
}

/// Hands every matching row, oldest first, to `each`, with `prev` and `hash` added. `each` ends the reading by giving `false`, and may
/// take its time: nothing is held meanwhile. Rows that are written after it began are not read.
///
/// # Errors
/// Where the file cannot be read.
pub fn query(
    folder: &Path,
    filter: &Filter,
    mut each: impl FnMut(Map<String, Value>) -> bool,
) -> Result<(), Failure> {
    let conn = open_reader(folder)?;
    let failed = |error: rusqlite::Error| Failure::read(&error);
    let Some((first, last)) = bounds(&conn).map_err(failed)? else { return Ok(()) };
    let mut from = first.max(filter.after.unwrap_or(0).saturating_add(1));
    if let Some(since) = filter.since {
        from = from.max(first_since(&conn, since).map_err(failed)?);
    }
    if let Some(limit) = filter.limit {
        from = match last_matching(&conn, filter, (from, last), limit)? {
            Some(from) => from,
            None => return Ok(()),
        };
    }
    let mut previous = hash_of(&conn, from - 1).map_err(failed)?;
    while from <= last {
        let rows = slice(&conn, from, last, false).map_err(failed)?;
        let Some(end) = rows.last().map(|row| row.n) else { return Ok(()) };
        for row in rows {
            let (_, text, hash) = row.body.ok_or_else(|| unreadable(row.n))?;
            if row.n != from {
                // Those between were let go meanwhile.
                previous = hash_of(&conn, row.n - 1).map_err(failed)?;
            }
            from = row.n + 1;
            let mut object: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
            let before = std::mem::replace(&mut previous, hash);
            if !filter.matches(&object) {
                continue;
            }
            object.insert("prev".into(), HEXLOWER.encode(&before).into());
            object.insert("hash".into(), HEXLOWER.encode(&hash).into());
            if !each(object) {
                return Ok(());
            }
        }
        from = from.max(end + 1);
    }
    Ok(())
}

/// The number of the row from which on the last so many matching rows stand. Found from the end on, so that the last few of a long
/// record are there at once; none of them is kept, so that the last few million need no memory.
fn last_matching(
    conn: &rusqlite::Connection,
    filter: &Filter,
    (first, last): (u64, u64),
    limit: usize,
) -> Result<Option<u64>, Failure> {
    let (mut to, mut left, mut found) = (last, limit, None);
    while left > 0 && to >= first {
        let rows = slice(conn, first, to, true).map_err(|error| Failure::read(&error))?;
        let Some(end) = rows.last().map(|row| row.n) else { break };
        for row in rows {
            let (_, text, _) = row.body.ok_or_else(|| unreadable(row.n))?;
            let is_all = filter.is_all();
            if is_all || serde_json::from_str(&text).is_ok_and(|object| filter.matches(&object)) {
                found = Some(row.n);
                left -= 1;
                if left == 0 {
                    break;
                }
            }
        }
        to = end - 1;
    }
    Ok(found)
}

fn unreadable(n: u64) -> Failure {
    Failure::Read(format!("the text or the hash of row {n} is damaged; `portcullis ledger verify` says more"))
}

fn hash_of(conn: &rusqlite::Connection, n: u64) -> rusqlite::Result<Hash> {
    let of = |sql: &str| conn.query_row(sql, [n.cast_signed()], |row| row.get(0)).optional();
    let found = match of("SELECT hash FROM ledger WHERE n = ?1")? {
        Some(hash) => Some(hash),
        None => of("SELECT hash FROM anchor WHERE n = ?1 OR ?1 = 0 ORDER BY n DESC LIMIT 1")?,
    };
    Ok(found.unwrap_or(GENESIS))
}
