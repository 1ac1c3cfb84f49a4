//! Reading the record.

use crate::chain::{GENESIS, Hash};
use crate::schema::{Failure, open_reader};
use data_encoding::HEXLOWER;
use rusqlite::{OptionalExtension, params};
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

/// Hands every matching row, oldest first, to `each`, with `prev` and `hash` added. `each` ends the reading
/// by giving `false`.
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
    let mut from = filter.after.unwrap_or(0).cast_signed();
    if let Some(since) = filter.since {
        // Times never go back along the chain, so the first row is found without an index on time.
        from = from.max(first_at_or_after(&conn, since).map_err(failed)? - 1);
    }
    let mut previous = hash_of(&conn, from).map_err(failed)?;
    let mut statement =
        conn.prepare("SELECT text, hash FROM ledger WHERE n > ?1 ORDER BY n").map_err(failed)?;
    let mut rows = statement.query(params![from]).map_err(failed)?;
    let mut last = std::collections::VecDeque::new();
    while let Some(row) = rows.next().map_err(failed)? {
        let text: String = row.get(0).map_err(failed)?;
        let hash: Hash = row.get(1).map_err(failed)?;
        let mut object: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        let matches = filter.matches(&object);
        object.insert("prev".into(), HEXLOWER.encode(&previous).into());
        object.insert("hash".into(), HEXLOWER.encode(&hash).into());
        previous = hash;
        if !matches {
            continue;
        }
        match filter.limit {
            None => {
                if !each(object) {
                    return Ok(());
                }
            }
            Some(limit) => {
                last.push_back(object);
                if last.len() > limit {
                    last.pop_front();
                }
            }
        }
    }
    for object in last {
        if !each(object) {
            break;
        }
    }
    Ok(())
}

fn hash_of(conn: &rusqlite::Connection, n: i64) -> rusqlite::Result<Hash> {
    let of = |sql: &str| conn.query_row(sql, [n], |row| row.get(0)).optional();
    let found = match of("SELECT hash FROM ledger WHERE n = ?1")? {
        Some(hash) => Some(hash),
        None => of("SELECT hash FROM anchor WHERE n = ?1 OR ?1 = 0 ORDER BY n DESC LIMIT 1")?,
    };
    Ok(found.unwrap_or(GENESIS))
}

/// Number of the first row at or after a time; one past the end where there is none.
fn first_at_or_after(conn: &rusqlite::Connection, time: i64) -> rusqlite::Result<i64> {
    let bounds = "SELECT coalesce(min(n), 1), coalesce(max(n), 0) + 1 FROM ledger";
    let (mut low, mut high): (i64, i64) = conn.query_row(bounds, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    while low < high {
        let middle = low + (high - low) / 2;
        let at: Option<i64> =
            conn.query_row("SELECT time FROM ledger WHERE n = ?1", [middle], |row| row.get(0)).optional()?;
        if at.is_some_and(|at| at < time) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
