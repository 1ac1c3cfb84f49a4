//! The record is checked by itself: its end when it is opened, all of it slowly behind, and again every day.
//!
//! A disk that loses a page says nothing. Whoever needs the record finds out when it is too late to do anything about it, unless
//! somebody looked before.

use crate::Head;
use crate::chain::GENESIS;
use crate::let_go::{Beginning, beginning};
use crate::slice::{bounds, slice};
use crate::verify::{Step, beside, step, walk};
use parking_lot::Mutex;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Rows at the end that are checked before anything is added to them.
const TAIL: u64 = 256;
/// How long one step may take.
const STEP: Duration = Duration::from_millis(4);
/// How long after its end a check is begun anew.
const AGAIN: Duration = Duration::from_hours(24);

/// What the check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// The last row of the last check that found nothing wrong, and when it ended, in milliseconds since 1970.
    pub whole: Option<(u64, i64)>,
    /// What is damaged, for a person.
    pub damage: Option<String>,
}

/// Where others see what was found.
pub(crate) type Shared = Arc<Mutex<Checked>>;

/// Checks the end of the chain.
pub(crate) fn tail(conn: &Connection, shared: &Shared) {
    let check = || -> rusqlite::Result<Option<String>> {
        let Some((first, last)) = bounds(conn)? else { return Ok(None) };
        let from = last.saturating_sub(TAIL);
        if from < first {
            return Ok(None);
        }
        let Some(begin) = slice(conn, from, from, false)?.pop().and_then(|row| row.body) else {
            return Ok(Some(format!("row {from} cannot be read")));
        };
        let (_, broken) = walk(conn, Head { rows: from, hash: begin.2 }, last, None, |_| Ok(()))?;
        Ok(broken.map(|(row, why)| format!("row {row}: {why}")))
    };
    found(shared, check().unwrap_or_else(|error| Some(error.to_string())));
}

/// Says and shows what is damaged.
fn found(shared: &Shared, damage: Option<String>) {
    let Some(damage) = damage else { return };
    let mut shown = shared.lock();
    if shown.damage.as_ref() != Some(&damage) {
        tracing::error!("the ledger is damaged: {damage}; `portcullis ledger verify` says more");
        shown.damage = Some(damage);
    }
}

/// A check of all rows that is under way.
pub(crate) struct Check {
    shared: Shared,
    public_key: String,
    at: Option<(Head, u64)>,
    begins: Instant,
}

impl Check {
    pub(crate) fn new(shared: Shared, public_key: String) -> Self {
        Self { shared, public_key, at: None, begins: Instant::now() }
    }

    /// Goes on with it for a few milliseconds.
    pub(crate) fn go_on(&mut self, conn: &Connection) {
        if Instant::now() < self.begins {
            return;
        }
        match self.some(conn) {
            Ok(None) => return,
            Ok(Some(Ok(rows))) => {
                // What was damaged was put back, where it was.
                *self.shared.lock() = Checked { whole: Some((rows, crate::now_ms())), damage: None };
            }
            Ok(Some(Err(damage))) => found(&self.shared, Some(damage)),
            Err(error) => {
                let at = self.at.map_or(0, |(head, _)| head.rows);
                found(&self.shared, Some(format!("what stands behind row {at} cannot be read: {error}")));
            }
        }
        (self.at, self.begins) = (None, Instant::now() + AGAIN);
    }

    /// Some more rows; gives how it ended, where it did: the last row, or what is damaged.
    fn some(&mut self, conn: &Connection) -> rusqlite::Result<Option<Result<u64, String>>> {
        let until = Instant::now() + STEP;
        let (mut head, last) = match self.at {
            Some(at) => at,
            None => {
                let begin = match beginning(conn, Some(&self.public_key))? {
                    Beginning::First => Head { rows: 0, hash: GENESIS },
                    Beginning::Signed(of, hash) => Head { rows: of.rows, hash },
                    Beginning::Unsigned { rows, why, .. } => {
                        return Ok(Some(Err(format!("the rows 1 to {rows} are gone: {why}"))));
                    }
                };
                (begin, bounds(conn)?.map_or(begin.rows, |(_, last)| last))
            }
        };
        while head.rows < last && Instant::now() < until {
            match step(conn, &mut head, last, |_| Ok(()))? {
                Step::On => {}
                // Rows that were let go while they were to be checked.
                Step::End | Step::Broken(..) if has_moved(conn, &self.public_key, head)? => {
                    self.at = None;
                    return Ok(None);
                }
                Step::End => return Ok(Some(Err(format!("the rows {} to {last} are gone", head.rows + 1)))),
                Step::Broken(row, why) => return Ok(Some(Err(format!("row {row}: {why}")))),
            }
        }
        self.at = Some((head, last));
        if head.rows < last {
            return Ok(None);
        }
        Ok(Some(beside(conn)?.map_or(Ok(last), Err)))
    }
}

/// Whether retention let go of what is behind that row since it was reached.
fn has_moved(conn: &Connection, public_key: &str, head: Head) -> rusqlite::Result<bool> {
    Ok(matches!(beginning(conn, Some(public_key))?, Beginning::Signed(of, _) if of.rows > head.rows))
}
