//! Checking the chain from its beginning, and against a head that was kept elsewhere.

use crate::chain::{GENESIS, Hash, link};
use crate::let_go::{Beginning, LetGo, beginning};
use crate::row::time_of;
use crate::schema::{Failure, open_reader};
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
    /// Number of the first row that does not.
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
        let (end, broken) =
            walk(&conn, begin, i64::MAX, |at| match kept.filter(|kept| kept.rows == at.rows) {
                None => Ok(()),
                Some(kept) => {
                    passed_kept = true;
                    if at.hex() == kept.head { Ok(()) } else { Err(REWRITTEN.into()) }
                }
            })
            .map_err(failed)?;
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
    let (first_bad, why) = bad.map_or((None, None), |(row, why)| (Some(row), Some(why)));
    let ok = first_bad.is_none();
    Ok(Report { rows: head.rows, head: head.hex(), ok, first_bad, why, let_go, unproved })
}

/// Follows the chain from the row behind `begin` to its end, or to the row `last`. Gives how far it holds, and the first row that does
/// not, with the reason.
pub(crate) fn walk(
    conn: &Connection,
    begin: Head,
    last: i64,
    mut passes: impl FnMut(Head) -> Result<(), String>,
) -> rusqlite::Result<(Head, Option<(u64, String)>)> {
    let mut statement = conn.prepare("SELECT n, time, text, hash FROM ledger WHERE n <= ?1 ORDER BY n")?;
    let mut rows = statement.query([last])?;
    let mut head = begin;
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(0)?;
        let at = at.cast_unsigned();
        let (time, text, stored) =
            match (row.get::<_, i64>(1), row.get::<_, String>(2), row.get::<_, Hash>(3)) {
                (Ok(time), Ok(text), Ok(stored)) => (time, text, stored),
                _ => return Ok((head, Some((at, "its text or hash cannot be read".into())))),
            };
        // Saturating: whoever changes the file can also write an anchor that no row can follow.
        let next = head.rows.saturating_add(1);
        if at != next {
            return Ok((head, Some((next, format!("row {next} is missing: the next one is {at}")))));
        }
        if link(&head.hash, &text) != stored {
            return Ok((head, Some((at, "its hash does not match its text and the row before".into()))));
        }
        if time_of(at, &text) != Some(time) {
            let why = "its text is of another number or time than the columns beside it";
            return Ok((head, Some((at, why.into()))));
        }
        let here = Head { rows: at, hash: stored };
        if let Err(why) = passes(here) {
            return Ok((here, Some((at, why))));
        }
        head = here;
    }
    Ok((head, None))
}
