//! Checking the chain from its beginning, and against a head that was kept elsewhere.

use crate::chain::{GENESIS, link};
use crate::let_go::{Beginning, LetGo, beginning};
use crate::row::time_of;
use crate::schema::{Failure, open_reader};
use crate::slice::{bounds, slice};
use crate::{GateKey, Head, SignedHead};
use rusqlite::Connection;
use serde::Serialize;
use std::path::Path;

const REWRITTEN: &str = "the chain does not pass through the head that was kept: it was rewritten";

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Number of the last row.
    pub rows: u64,
    /// Hash of the last row, hexadecimal.
    pub head: String,
    /// Whether everything holds.
    pub ok: bool,
    /// Number of the first row that does not; none where the damage is beside the rows.
    pub first_bad: Option<u64>,
    /// What is wrong, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What retention let go of the beginning, where that is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub let_go: Option<LetGo>,
    /// What the verification cannot prove, for a person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unproved: Vec<String>,
}

/// Recomputes every link. With a head kept elsewhere, also checks its signature and that the chain passes
/// through it.
///
/// # Errors
/// Where the file cannot be read.
pub fn verify(folder: &Path, kept: Option<&SignedHead>) -> Result<Report, Failure> {
    let conn = open_reader(folder)?;
    let failed = |error: rusqlite::Error| Failure::read(&error);
    let key = GateKey::public_of(folder)?.or_else(|| kept.map(|kept| kept.key.clone()));
    let mut bad: Option<(u64, String)> = None;
    let mut unproved = Vec::new();
    let (mut n, mut hash, mut let_go) = (0, GENESIS, None);
    match beginning(&conn, key.as_deref()).map_err(failed)? {
        Beginning::First => {}
        Beginning::Signed(of, at) => {
            if of.unsigned > 0 {
                unproved.push(format!(
                    "the rows 1 to {} were let go without a signature, by an earlier version or by somebody else",
                    of.unsigned
                ));
            }
            (n, hash, let_go) = (of.rows, at, Some(of));
        }
        Beginning::Unsigned { rows, hash: at, why } => {
            bad = Some((
                1,
                format!(
                    "the rows 1 to {rows} are gone, and nothing proves that the gate let them go: {why}. Earlier \
                     versions did not sign; if none was used here, the record was cut"
                ),
            ));
            (n, hash) = (rows, at);
        }
    }
    let mut passed_kept = kept.is_none_or(|kept| kept.rows <= n);
    if let Some(kept) = kept.filter(|kept| kept.rows <= n && kept.rows > 0) {
        if kept.rows < n {
            unproved.push(format!(
                "the row of the head that was kept, {}, was let go: of what was there then nothing can be proved",
                kept.rows
            ));
        } else if (Head { rows: n, hash }).hex() != kept.head && bad.is_none() {
            bad = Some((n, REWRITTEN.into()));
        }
    }
    if bad.is_none() {
        let begin = Head { rows: n, hash };
        let passes = |at: Head| match kept.filter(|kept| kept.rows == at.rows) {
            None => Ok(()),
            Some(kept) => {
                passed_kept = true;
                if at.hex() == kept.head { Ok(()) } else { Err(REWRITTEN.into()) }
            }
        };
        // What is written from now on is for the next time.
        let last = bounds(&conn).map_err(failed)?.map_or(n, |(_, last)| last);
        let (end, broken) = walk(&conn, begin, last, key.as_deref(), passes).map_err(failed)?;
        (n, hash, bad) = (end.rows, end.hash, broken);
    }
    if let Some(kept) = kept
        && bad.is_none()
    {
        if !kept.holds() {
            bad = Some((kept.rows, "the signature of the head that was kept does not hold".into()));
        } else if !passed_kept {
            bad = Some((
                n + 1,
                format!("the chain was cut: it ends at row {n}, the head kept is row {}", kept.rows),
            ));
        }
    }
    let head = Head { rows: n, hash };
    let (first_bad, mut why) = bad.map_or((None, None), |(row, why)| (Some(row), Some(why)));
    if why.is_none() {
        why = beside(&conn).map_err(failed)?;
    }
    let ok = why.is_none();
    Ok(Report { rows: head.rows, head: head.hex(), ok, first_bad, why, let_go, unproved })
}

/// Follows the chain from the row behind `begin` to the row `last`, a few rows at a time. Gives how far it holds, and the first row that
/// does not, with the reason.
pub(crate) fn walk(
    conn: &Connection,
    begin: Head,
    last: u64,
    key: Option<&str>,
    mut passes: impl FnMut(Head) -> Result<(), String>,
) -> rusqlite::Result<(Head, Option<(u64, String)>)> {
    let mut head = begin;
    while head.rows < last {
        let broken = match step(conn, &mut head, last, &mut passes)? {
            Step::On => continue,
            Step::End => None,
            Step::Broken(at, why) => Some((at, why)),
        };
        match beginning(conn, key)? {
            // What is missing was let go meanwhile.
            Beginning::Signed(of, hash) if of.rows > head.rows => head = Head { rows: of.rows, hash },
            _ => return Ok((head, broken)),
        }
    }
    Ok((head, None))
}

/// How far one slice of the chain led.
pub(crate) enum Step {
    /// Its rows hold; there may be more.
    On,
    /// There are no more rows.
    End,
    /// This row does not hold, for this reason.
    Broken(u64, String),
}

/// Follows the chain from the row behind `head`, at most to the row `last`, for one slice.
pub(crate) fn step(
    conn: &Connection,
    head: &mut Head,
    last: u64,
    mut passes: impl FnMut(Head) -> Result<(), String>,
) -> rusqlite::Result<Step> {
    // Saturating: whoever changes the file can also write an anchor that no row can follow.
    let rows = slice(conn, head.rows.saturating_add(1), last, false)?;
    if rows.is_empty() {
        return Ok(Step::End);
    }
    for row in rows {
        let next = head.rows.saturating_add(1);
        if row.n != next {
            return Ok(Step::Broken(next, format!("row {next} is missing: the next one is {}", row.n)));
        }
        let Some((time, text, stored)) = row.body else {
            return Ok(Step::Broken(next, "its text or hash cannot be read".into()));
        };
        if link(&head.hash, &text) != stored {
            return Ok(Step::Broken(next, "its hash does not match its text and the row before".into()));
        }
        if time_of(next, &text) != Some(time) {
            let why = "its text is of another number or time than the columns beside it";
            return Ok(Step::Broken(next, why.into()));
        }
        *head = Head { rows: next, hash: stored };
        if let Err(why) = passes(*head) {
            return Ok(Step::Broken(next, why));
        }
    }
    Ok(Step::On)
}

/// What is wrong with the tables beside the record, as SQLite finds it.
pub(crate) fn beside(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let mut statement =
        conn.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'ledger'")?;
    let tables: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for table in tables {
        let check = format!("PRAGMA integrity_check(\"{}\")", table.replace('"', "\"\""));
        let said: String = conn.query_row(&check, [], |row| row.get(0))?;
        if said != "ok" {
            return Ok(Some(format!("the table `{table}` beside the record is damaged: {said}")));
        }
    }
    Ok(None)
}
