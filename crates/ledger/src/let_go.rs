//! What retention let go of the record's beginning, and the proof that the gate did it and nobody else.
//!
//! The chain is verified from the last row that was let go, its anchor. Whoever can write the file can also write an anchor, so one
//! counts only with a signature of the gate's key over what was let go, by which rule, when, and where the chain ended then.

use crate::chain::{GENESIS, Hash};
use crate::row::time_of;
use crate::schema::{Failure, open_reader};
use crate::slice::{bounds, first_since, slice, time_at};
use crate::verify::walk;
use crate::{GateKey, Head};
use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use std::path::Path;

/// Rows that were let go, from the first on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LetGo {
    /// Number of the last row that was let go.
    pub rows: u64,
    /// Its hash, hexadecimal: the first row that is left links to it.
    pub head: String,
    /// When they were let go, RFC 3339.
    pub time: String,
    /// The rule of the configuration, such as `retain: 90d`.
    pub rule: String,
    /// Number of the last row of the chain then.
    pub chain_rows: u64,
    /// Its hash, hexadecimal.
    pub chain_head: String,
    /// Of the rows that were let go, the first so many were let go without a signature: by a version that did not sign, or by
    /// somebody else.
    pub unsigned: u64,
}

impl LetGo {
    fn signed_text(&self) -> String {
        let Self { rows, head, time, rule, chain_rows, chain_head, unsigned } = self;
        format!(
            "portcullis ledger let go v1\n{rows}\n{head}\n{time}\n{rule}\n{chain_rows}\n{chain_head}\n{unsigned}\n"
        )
    }
}

/// Where the chain begins.
pub(crate) enum Beginning {
    /// At its first row.
    First,
    /// Behind rows that the gate let go.
    Signed(LetGo, Hash),
    /// Behind rows that somebody let go: there is no proof, or one that does not hold.
    Unsigned { rows: u64, hash: Hash, why: &'static str },
}

/// Where the chain begins, as the holder of that key signed it.
pub(crate) fn beginning(conn: &Connection, public_key: Option<&str>) -> rusqlite::Result<Beginning> {
    let anchor = "SELECT n, hash FROM anchor ORDER BY n DESC LIMIT 1";
    let anchor: Option<(i64, Hash)> =
        conn.query_row(anchor, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((n, hash)) = anchor else { return Ok(Beginning::First) };
    let rows = n.cast_unsigned();
    let unsigned = |why| Ok(Beginning::Unsigned { rows, hash, why });
    // A file of an older layout that no gate has opened since has no such table.
    let there = "SELECT EXISTS(SELECT 1 FROM sqlite_schema WHERE name = 'let_go')";
    if !conn.query_row(there, [], |row| row.get::<_, bool>(0))? {
        return unsigned("nothing is signed");
    }
    let found = conn
        .query_row(
            "SELECT time, rule, chain_rows, chain_head, unsigned, signature FROM let_go WHERE n = ?1",
            [n],
            |row| {
                let of = LetGo {
                    rows,
                    head: HEXLOWER.encode(&hash),
                    time: row.get(0)?,
                    rule: row.get(1)?,
                    chain_rows: row.get::<_, i64>(2)?.cast_unsigned(),
                    chain_head: row.get(3)?,
                    unsigned: row.get::<_, i64>(4)?.cast_unsigned(),
                };
                Ok((of, row.get::<_, String>(5)?))
            },
        )
        .optional()?;
    let Some((of, signature)) = found else { return unsigned("nothing is signed") };
    match public_key {
        None => unsigned("the key of the gate is not there, so the signature cannot be checked"),
        Some(key) if GateKey::check(key, &of.signed_text(), &signature) => Ok(Beginning::Signed(of, hash)),
        Some(_) => unsigned("the signature does not hold"),
    }
}

/// The last row that was written before a time, in milliseconds since 1970, where the chain holds up to it. What the gate signs as let
/// go by a rule was what it wrote, and was as old as the rule says.
///
/// # Errors
/// Where the file cannot be read, or the chain does not hold.
pub(crate) fn last_before(folder: &Path, before: i64, public_key: &str) -> Result<Option<u64>, Failure> {
    let conn = open_reader(folder)?;
    let run = || -> rusqlite::Result<Result<Option<u64>, String>> {
        let Some((first, end)) = bounds(&conn)? else { return Ok(Ok(None)) };
        let last = first_since(&conn, before)?.min(end + 1) - 1;
        if last < first {
            return Ok(Ok(None));
        }
        let text = slice(&conn, last, last, false)?.pop().and_then(|row| row.body).map(|(_, text, _)| text);
        if text.and_then(|text| time_of(last, &text)).is_none_or(|time| time >= before) {
            return Ok(Err(format!("row {last} is not as old as the column beside it says")));
        }
        let begin = match beginning(&conn, Some(public_key))? {
            Beginning::First => Head { rows: 0, hash: GENESIS },
            Beginning::Signed(of, hash) => Head { rows: of.rows, hash },
            Beginning::Unsigned { rows, hash, .. } => Head { rows, hash },
        };
        let (_, broken) = walk(&conn, begin, last, Some(public_key), |_| Ok(()))?;
        Ok(match broken {
            None => Ok(Some(last)),
            Some((row, why)) => Err(format!("the chain does not hold at row {row}: {why}")),
        })
    };
    run().map_err(|error| Failure::read(&error))?.map_err(|why| {
        Failure::Read(format!("{why}. Nothing is let go; `portcullis ledger verify` says more"))
    })
}

/// A clock that jumped ahead is trusted after a day: a wrong one must not take the record away.
const A_DAY: i64 = 86_400_000;

/// What time it is, as far as the age of rows is concerned. Where the record has a gap in the last day, as it has when a gate
/// starts with a wrong clock or its clock is set ahead, time is counted without the gap.
///
/// # Errors
/// Where the file cannot be read.
pub(crate) fn trusted_now(folder: &Path, now: i64) -> Result<i64, Failure> {
    let conn = open_reader(folder)?;
    let run = || -> rusqlite::Result<i64> {
        let Some((first, last)) = bounds(&conn)? else { return Ok(now) };
        let recent = first_since(&conn, now.saturating_sub(A_DAY))?.min(last + 1);
        if recent == first {
            return Ok(now);
        }
        let before = time_at(&conn, recent - 1)?.unwrap_or(now);
        let behind = time_at(&conn, recent)?.unwrap_or(now);
        let gap = behind.saturating_sub(before);
        Ok(if gap > A_DAY { now.saturating_sub(gap) } else { now })
    };
    run().map_err(|error| Failure::read(&error))
}

/// Lets go of the rows up to that one, and signs that it was done. They count no more from then on; [`remove`] takes them out of the
/// file.
pub(crate) fn let_go(
    conn: &Connection,
    key: &GateKey,
    last: u64,
    (rule, time, chain): (&str, &str, Head),
) -> Result<(), Failure> {
    let run = || -> rusqlite::Result<()> {
        let unsigned = match beginning(conn, Some(&key.public_hex()))? {
            Beginning::First => 0,
            Beginning::Signed(before, _) => before.unsigned,
            Beginning::Unsigned { rows, .. } => rows,
        };
        let hash: Hash =
            conn.query_row("SELECT hash FROM ledger WHERE n = ?1", [last.cast_signed()], |row| row.get(0))?;
        let of = LetGo {
            rows: last,
            head: HEXLOWER.encode(&hash),
            time: time.to_owned(),
            rule: rule.to_owned(),
            chain_rows: chain.rows,
            chain_head: chain.hex(),
            unsigned,
        };
        let signature = key.sign(&of.signed_text());
        conn.execute("INSERT INTO anchor (n, hash) VALUES (?1, ?2)", params![last.cast_signed(), hash])?;
        conn.execute(
            "INSERT INTO let_go (n, time, rule, chain_rows, chain_head, unsigned, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                last.cast_signed(),
                of.time,
                of.rule,
                of.chain_rows.cast_signed(),
                of.chain_head,
                of.unsigned.cast_signed(),
                signature
            ],
        )?;
        conn.execute("DELETE FROM anchor WHERE n < ?1", [last.cast_signed()])?;
        conn.execute("DELETE FROM let_go WHERE n < ?1", [last.cast_signed()])?;
        Ok(())
    };
    run().map_err(|error| Failure::write(&error))
}

/// Takes at most so many of the rows out of the file that were let go. Gives whether there are more.
pub(crate) fn remove(conn: &Connection, at_most: u32) -> Result<bool, Failure> {
    let run = || -> rusqlite::Result<bool> {
        let find = "SELECT (SELECT min(n) FROM ledger), (SELECT max(n) FROM anchor)";
        let found: (Option<i64>, Option<i64>) =
            conn.query_row(find, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(first), Some(last)) = found else { return Ok(false) };
        let end = last.min(first.saturating_add(i64::from(at_most)) - 1);
        conn.execute("DELETE FROM ledger WHERE n <= ?1", [end])?;
        conn.execute("DELETE FROM clock WHERE n <= ?1", [end])?;
        Ok(end < last)
    };
    run().map_err(|error| Failure::write(&error))
}
