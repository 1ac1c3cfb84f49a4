//! The writing connection: one transaction at a time, each appending to the chain.

use crate::chain::{GENESIS, link};
use crate::clock::{Clock, Jump, stamp};
use crate::row::{Draft, Kind, Written, time_of};
use crate::schema::Failure;
use crate::{ApprovalRow, CounterRow, Head, Keep};
use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, params};
use std::cell::Cell;
use std::time::Duration;

/// How long a transaction may wait for another process that writes the same file.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a transaction was not committed.
#[derive(Debug, Clone)]
pub(crate) enum Undone {
    /// The body itself wanted none.
    Refused(Failure),
    /// Another process held the file for longer than was to be waited.
    Busy(String),
    /// It could not be written.
    Failed(String),
}

impl Undone {
    /// What the caller is told.
    pub(crate) fn failure(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Busy(why) | Self::Failed(why) => Failure::Write(why),
        }
    }
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Self::Busy(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// The connection with the end of the chain.
pub(crate) struct Store {
    conn: Connection,
    head: Head,
    clock: Clock,
    disk: bool,
    patience: Duration,
    /// For how many transactions a read transaction is open beneath them; see `hold`.
    held: Cell<u32>,
}

/// Any statement that has begun to read holds the read transaction.
const HOLD: &str = "SELECT 1 FROM sqlite_schema";
/// For so many transactions at most.
const HELD_FOR: u32 = 256;

impl Store {
    pub(crate) fn new(conn: Connection) -> Result<Self, Failure> {
        let (head, last_time) = read_head(&conn).map_err(|error| Failure::read(&error))?;
        Ok(Self {
            conn,
            head,
            clock: Clock::after(last_time),
            disk: false,
            patience: PATIENCE,
            held: Cell::new(0),
        })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    /// Leaves a read transaction open beneath the one that was just begun, so that the next ones need not find their
    /// place in the log anew: that takes four locks and as many unlocks of every commit. While it is open the log
    /// can be folded only up to where it began.
    fn hold(&self) -> rusqlite::Result<()> {
        let mut statement = self.conn.prepare_cached(HOLD)?;
        let mut rows = statement.raw_query();
        rows.next()?;
        // Dropped, they would end the read. The statement waits in the cache as it is.
        std::mem::forget(rows);
        self.held.set(1);
        Ok(())
    }

    /// Ends the read transaction that is open between commits.
    pub(crate) fn let_go(&self) {
        if self.held.take() > 0
            && let Ok(mut statement) = self.conn.prepare_cached(HOLD)
        {
            drop(statement.raw_query());
        }
    }

    /// Begins a transaction that may write.
    fn begin(&self) -> rusqlite::Result<()> {
        // Prepared once: `Connection::transaction` would parse it anew for every commit.
        let begin = |conn: &Connection| conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        let held = self.held.get();
        if (1..HELD_FOR).contains(&held) && begin(&self.conn).is_ok() {
            self.held.set(held + 1);
            return Ok(());
        }
        // Another process wrote since, or is just writing: only who reads nothing yet may wait for it.
        self.let_go();
        begin(&self.conn)?;
        // Now and then one goes without: after it the writer itself can fold all of a log that became too long.
        // A hold that fails only makes the next transaction take longer.
        if held < HELD_FOR {
            let _ = self.hold();
        }
        Ok(())
    }

    /// Runs one transaction; the chain moves on only if it was committed. Gives the number of its first row.
    pub(crate) fn write(
        &mut self,
        keep: Keep,
        patience: Duration,
        body: impl FnOnce(&mut Open<'_>) -> Result<(), Undone>,
    ) -> Result<u64, Undone> {
        if patience != self.patience {
            self.conn.busy_timeout(patience)?;
            self.patience = patience;
        }
        let disk = keep == Keep::Disk;
        if disk != self.disk {
            self.conn.pragma_update(None, "synchronous", if disk { "FULL" } else { "NORMAL" })?;
            self.disk = disk;
        }
        self.begin()?;
        let before = self.clock;
        let (now, jump) = self.clock.read();
        let insert =
            self.conn.prepare_cached("INSERT INTO ledger (n, time, text, hash) VALUES (?1, ?2, ?3, ?4)")?;
        let mut open = Open { conn: &self.conn, insert, head: self.head, now, time: stamp(now) };
        let done = jump.map_or(Ok(()), |jump| open.note(&jump)).and_then(|()| {
            let first = open.head.rows + 1;
            body(&mut open)?;
            self.conn.prepare_cached("COMMIT")?.execute([])?;
            Ok((first, open.head))
        });
        match done {
            Ok((first, head)) => {
                self.head = head;
                Ok(first)
            }
            Err(undone) => {
                self.clock = before;
                self.let_go();
                // SQLite has rolled back by itself after some errors.
                if !self.conn.is_autocommit() {
                    self.conn.execute_batch("ROLLBACK")?;
                }
                Err(undone)
            }
        }
    }
}

/// A transaction that is open.
pub(crate) struct Open<'a> {
    conn: &'a Connection,
    insert: CachedStatement<'a>,
    head: Head,
    now: i64,
    time: String,
}

impl Open<'_> {
    pub(crate) fn conn(&self) -> &Connection {
        self.conn
    }

    /// The row of a clock that was set.
    fn note(&mut self, jump: &Jump) -> Result<(), Undone> {
        if jump.is_back() {
            let n = (self.head.rows + 1).cast_signed();
            self.conn.prepare_cached("INSERT INTO clock (n) VALUES (?1)")?.execute([n])?;
        }
        let message = jump.to_string();
        tracing::warn!("{message}");
        self.append(&Draft { message: Some(&message), ..Draft::of(Kind::Admin) }.write())
    }

    pub(crate) fn append(&mut self, row: &Written) -> Result<(), Undone> {
        let n = self.head.rows + 1;
        let text = row.numbered(n, &self.time);
        let hash = link(&self.head.hash, &text);
        self.insert.execute(params![n.cast_signed(), self.now, text, hash])?;
        self.head = Head { rows: n, hash };
        Ok(())
    }

    pub(crate) fn put_counter(&mut self, row: &CounterRow) -> Result<(), Undone> {
        self.conn
            .prepare_cached(
                "INSERT INTO counters (policy, counter, window, scope, window_start, used, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET window_start = excluded.window_start, used = excluded.used,
                     version = excluded.version
                 WHERE excluded.version > counters.version",
            )?
            .execute(params![
                row.key.policy,
                row.key.counter,
                row.key.window,
                row.key.scope,
                row.window_start,
                row.used,
                row.version
            ])?;
        Ok(())
    }
}

/// Keeps an approval, unless what is kept of it is newer. One that is over stays until the file is opened again: an older row may still
/// be on its way.
pub(crate) fn put_approval(conn: &Connection, row: &ApprovalRow) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO approvals (id, version, body) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET version = excluded.version, body = excluded.body
         WHERE excluded.version > approvals.version",
    )?
    .execute(params![row.id, row.version, row.body.as_deref().unwrap_or(ApprovalRow::OVER)])
    .map(drop)
}

/// The end of the chain and the time of its last row.
pub(crate) fn read_head(conn: &Connection) -> rusqlite::Result<(Head, i64)> {
    let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(Head, i64)> {
        let rows = row.get::<_, i64>(0)?.cast_unsigned();
        let time = time_of(rows, &row.get::<_, String>(2).unwrap_or_default()).unwrap_or(0);
        Ok((Head { rows, hash: row.get(1)? }, time))
    };
    let last =
        conn.query_row("SELECT n, hash, text FROM ledger ORDER BY n DESC LIMIT 1", [], read).optional()?;
    let anchor = "SELECT n, hash, '' FROM anchor ORDER BY n DESC LIMIT 1";
    let last = match last {
        None => conn.query_row(anchor, [], read).optional()?,
        last => last,
    };
    Ok(last.unwrap_or((Head { rows: 0, hash: GENESIS }, 0)))
}
