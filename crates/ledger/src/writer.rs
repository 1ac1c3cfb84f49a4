//! The one thread that writes: everything that waits goes into one transaction.

use crate::chain::{GENESIS, Hash, link};
use crate::row::Written;
use crate::schema::Failure;
use crate::{CounterRow, Head, Keep};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, params};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Rows at most in one transaction.
const BATCH: usize = 512;
/// How often rows that could not be written are tried again when nothing new arrives.
const RETRY: Duration = Duration::from_millis(250);

type Edit = Box<dyn FnOnce(&Transaction<'_>) -> Result<(), Failure> + Send>;

/// Something for the writer to do.
pub(crate) enum Job {
    /// A row that a caller waits for.
    Append {
        row: Written,
        counters: Vec<CounterRow>,
        keep: Keep,
        done: oneshot::Sender<Result<u64, Failure>>,
    },
    /// A row that must not be lost but that nobody waits for.
    Later { row: Written, counters: Vec<CounterRow> },
    /// A change of another table together with its row.
    Change { row: Option<Written>, edit: Edit, done: oneshot::Sender<Result<(), Failure>> },
    /// Write what is there, then end.
    Close(oneshot::Sender<()>),
}

/// What others may see of the writer.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub head: Head,
    pub trouble: Option<String>,
}

pub(crate) struct Writer {
    conn: Connection,
    jobs: mpsc::Receiver<Job>,
    shown: Arc<Mutex<Shown>>,
    head: Head,
    last_time: i64,
    disk: bool,
    /// Rows that nobody waits for and that could not be written yet.
    backlog: Vec<Row>,
}

/// A row on its way, with whoever waits for it.
struct Row {
    row: Written,
    counters: Vec<CounterRow>,
    done: Option<oneshot::Sender<Result<u64, Failure>>>,
}

impl Writer {
    pub(crate) fn new(
        conn: Connection,
        jobs: mpsc::Receiver<Job>,
    ) -> Result<(Self, Arc<Mutex<Shown>>), Failure> {
        let (head, last_time) = read_head(&conn).map_err(|error| Failure::read(&error))?;
        let shown = Arc::new(Mutex::new(Shown { head, trouble: None }));
        let writer =
            Self { conn, jobs, shown: shown.clone(), head, last_time, disk: false, backlog: Vec::new() };
        Ok((writer, shown))
    }

    /// Runs until the last sender has gone or `Close` arrives.
    pub(crate) fn run(mut self) {
        let mut closing = None;
        let mut gone = false;
        while closing.is_none() && !gone {
            let mut batch = Vec::new();
            let mut next = if self.backlog.is_empty() {
                self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                self.jobs.recv_timeout(RETRY)
            };
            loop {
                match next {
                    Ok(Job::Close(done)) => closing = Some(done),
                    Ok(job) => batch.push(job),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => gone = true,
                }
                if closing.is_some() || batch.len() >= BATCH {
                    break;
                }
                match self.jobs.try_recv() {
                    Ok(job) => next = Ok(job),
                    Err(_) => break,
                }
            }
            self.commit(batch);
        }
        // Whoever waits for the end may look at the files next: the connection folds its log away first.
        drop(self);
        if let Some(done) = closing {
            let _ = done.send(());
        }
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let mut rows: Vec<Row> = std::mem::take(&mut self.backlog);
        let mut changes = Vec::new();
        let mut disk = false;
        for job in batch {
            match job {
                Job::Append { row, counters, keep, done } => {
                    disk |= keep == Keep::Disk;
                    rows.push(Row { row, counters, done: Some(done) });
                }
                Job::Later { row, counters } => rows.push(Row { row, counters, done: None }),
                Job::Change { row, edit, done } => changes.push((edit, row, done)),
                Job::Close(_) => {}
            }
        }
        if !rows.is_empty() {
            self.commit_rows(rows, disk);
        }
        // Changes by a person are rare and each is a transaction of its own: one that fails undoes no row.
        for (edit, row, done) in changes {
            let result = self.commit_change(edit, row);
            let _ = done.send(result);
        }
    }

    fn commit_rows(&mut self, rows: Vec<Row>, disk: bool) {
        let written = self.write(disk, |tx, chain| {
            for Row { row, counters, .. } in &rows {
                chain.append(tx, row)?;
                for counter in counters {
                    put_counter(tx, counter)?;
                }
            }
            Ok(())
        });
        for (mut row, place) in rows.into_iter().zip(0..) {
            match (row.done.take(), &written) {
                (Some(done), Ok(first)) => drop(done.send(Ok(first + place))),
                (Some(done), Err(failure)) => drop(done.send(Err(failure.clone()))),
                (None, Ok(_)) => {}
                (None, Err(_)) => self.backlog.push(row),
            }
        }
    }

    fn commit_change(&mut self, edit: Edit, row: Option<Written>) -> Result<(), Failure> {
        let mut refused = None;
        let result = self.write(true, |tx, chain| {
            if let Err(failure) = edit(tx) {
                refused = Some(failure);
                return Err(rusqlite::Error::ExecuteReturnedResults);
            }
            row.as_ref().map_or(Ok(()), |row| chain.append(tx, row))
        });
        match refused {
            Some(failure) => Err(failure),
            None => result.map(drop),
        }
    }

    /// Runs one transaction; the chain moves on only if it was committed. Gives the number of its first row.
    fn write(
        &mut self,
        disk: bool,
        body: impl FnOnce(&Transaction<'_>, &mut Chain<'_>) -> rusqlite::Result<()>,
    ) -> Result<u64, Failure> {
        let now = jiff::Timestamp::now().as_millisecond().max(self.last_time);
        let time = stamp(now);
        let mut head = self.head;
        let attempt = || -> rusqlite::Result<()> {
            if disk != self.disk {
                self.conn.pragma_update(None, "synchronous", if disk { "FULL" } else { "NORMAL" })?;
                self.disk = disk;
            }
            let tx = self.conn.transaction()?;
            body(&tx, &mut Chain { head: &mut head, now, time: &time })?;
            tx.commit()
        };
        let result = attempt();
        let mut shown = self.shown.lock();
        match result {
            Ok(()) => {
                let first = self.head.rows + 1;
                self.head = head;
                self.last_time = now;
                if shown.trouble.take().is_some() {
                    tracing::warn!("the ledger can be written again");
                }
                shown.head = head;
                Ok(first)
            }
            Err(rusqlite::Error::ExecuteReturnedResults) => Err(Failure::Closed),
            Err(error) => {
                if shown.trouble.is_none() {
                    tracing::error!(%error, "the ledger cannot be written: no call passes until it can");
                }
                shown.trouble = Some(error.to_string());
                Err(Failure::write(&error))
            }
        }
    }
}

struct Chain<'a> {
    head: &'a mut Head,
    now: i64,
    time: &'a str,
}

impl Chain<'_> {
    fn append(&mut self, tx: &Transaction<'_>, row: &Written) -> rusqlite::Result<()> {
        let n = self.head.rows + 1;
        let text = row.numbered(n, self.time);
        let hash = link(&self.head.hash, &text);
        tx.prepare_cached("INSERT INTO ledger (n, time, text, hash) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![n.cast_signed(), self.now, text, hash])?;
        *self.head = Head { rows: n, hash };
        Ok(())
    }
}

fn put_counter(tx: &Transaction<'_>, row: &CounterRow) -> rusqlite::Result<()> {
    tx.prepare_cached(
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

/// The end of the chain and the time of its last row.
pub(crate) fn read_head(conn: &Connection) -> rusqlite::Result<(Head, i64)> {
    let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<(Head, i64)> {
        let rows: i64 = row.get(0)?;
        let hash: Hash = row.get(1)?;
        Ok((Head { rows: rows.cast_unsigned(), hash }, row.get(2)?))
    };
    let none = (Head { rows: 0, hash: GENESIS }, 0);
    match conn.query_row("SELECT n, hash, time FROM ledger ORDER BY n DESC LIMIT 1", [], read) {
        Err(rusqlite::Error::QueryReturnedNoRows) => {
            match conn.query_row("SELECT n, hash, 0 FROM anchor ORDER BY n DESC LIMIT 1", [], read) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(none),
                other => other,
            }
        }
        other => other,
    }
}

/// A time in milliseconds since 1970 as RFC 3339 with milliseconds.
#[must_use]
pub fn stamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}
