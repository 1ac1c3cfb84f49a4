//! Who writes, and when: rows wait in one queue, and whoever holds the store commits all that wait there in one
//! transaction (group commit).
//!
//! While commits are quick, a caller commits: handing a row to another thread and being woken by it costs more
//! than the commit itself. Callers that come meanwhile leave their rows to it, and one that had company lately
//! first lets other calls put theirs into the queue, as long as they come. Where commits are slow, because the
//! disk is, the writer's thread does them, so that no other work waits. Rows that nobody waits for travel with
//! the next row that somebody does wait for, or are written after a short while.

use crate::files::Files;
use crate::row::Written;
use crate::schema::Failure;
use crate::store::{Open, PATIENCE, Store, Undone, put_approval};
use crate::{Beside, Head, Keep};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Rows at most in one transaction.
const BATCH: usize = 512;
/// How long a row that nobody waits for may wait for one that somebody does wait for.
const LATER: Duration = Duration::from_millis(5);
/// After so many looks at an empty queue, the thread sleeps until it is woken.
const QUIET_LOOKS: u32 = 50;
/// How often rows that could not be written are tried again when nothing new arrives.
const RETRY: Duration = Duration::from_millis(250);
/// Callers commit only while commits take no longer than this: they hold up other work.
const QUICK: Duration = Duration::from_micros(500);
/// Transactions in a row that a caller commits, for itself and for those that came meanwhile.
const TURNS: u32 = 2;

/// How long house-keeping waits for the store. The writer may be ending, and wait for the house-keeping.
const SOON: Duration = Duration::from_millis(10);

/// Turns that others get at most before a caller that expects company commits.
const ROUNDS: u32 = 3;
/// After a row came while a caller committed, company is expected for so many transactions.
const COMPANY_LASTS: u32 = 16;

/// What changes another table; it is committed together with its row.
pub(crate) type Edit = Box<dyn FnOnce(&rusqlite::Connection) -> Result<(), Failure> + Send>;

/// A row on its way, with whoever waits for it.
struct Row {
    row: Written,
    beside: Beside,
    keep: Keep,
    done: Option<oneshot::Sender<Result<u64, Failure>>>,
}

struct Change {
    edit: Edit,
    row: Option<Written>,
    keep: Keep,
    done: oneshot::Sender<Result<(), Failure>>,
}

#[derive(Default)]
struct Queue {
    rows: Vec<Row>,
    /// How many of them somebody waits for.
    awaited: usize,
    changes: Vec<Change>,
    /// Counts how often rows were taken, so that the thread sees that others keep the queue short.
    taken: u64,
    /// The thread sleeps until it is woken.
    asleep: bool,
    /// The thread is to write what is there now.
    called: bool,
    /// A caller is about to commit what is there.
    led: bool,
    closing: Option<oneshot::Sender<()>>,
    closed: bool,
}

impl Queue {
    fn take_rows(&mut self) -> Vec<Row> {
        self.taken += 1;
        self.awaited = 0;
        if self.rows.len() <= BATCH {
            return std::mem::take(&mut self.rows);
        }
        let rest = self.rows.split_off(BATCH);
        self.awaited = rest.iter().filter(|row| row.done.is_some()).count();
        std::mem::replace(&mut self.rows, rest)
    }
}

/// What others may see of the store.
#[derive(Debug, Clone)]
struct Shown {
    head: Head,
    trouble: Option<String>,
}

/// The queue and the store behind it.
pub(crate) struct Writer {
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Gone once the ledger is closed.
    store: Mutex<Option<Store>>,
    shown: Mutex<Shown>,
    files: Files,
    /// One of them is missing: nothing is written.
    missing: AtomicBool,
    /// Whether the last commit was quick.
    quick: AtomicBool,
    /// For how many more transactions a caller expects company.
    company: AtomicU32,
}

impl Writer {
    pub(crate) fn new(store: Store, files: Files) -> Self {
        let shown = Mutex::new(Shown { head: store.head(), trouble: None });
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            store: Mutex::new(Some(store)),
            shown,
            files,
            missing: AtomicBool::new(false),
            quick: AtomicBool::new(true),
            company: AtomicU32::new(0),
        }
    }

    pub(crate) fn head(&self) -> Head {
        self.shown.lock().head
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.shown.lock().trouble.clone()
    }

    /// Commits a row, and gives its number once it is kept.
    pub(crate) async fn append(&self, row: Written, beside: Beside, keep: Keep) -> Result<u64, Failure> {
        let (done, answer) = oneshot::channel();
        let quick = self.quick.load(Ordering::Relaxed);
        let mut leads = false;
        self.push(!quick, |queue| {
            queue.rows.push(Row { row, beside, keep, done: Some(done) });
            queue.awaited += 1;
            leads = quick && !queue.led;
            queue.led |= leads;
        })?;
        if quick && !leads {
            self.company.store(COMPANY_LASTS, Ordering::Relaxed);
        }
        if leads {
            let lead = Lead(self);
            if self.company.load(Ordering::Relaxed) > 0 {
                self.let_others_come().await;
            }
            self.commit_here();
            drop(lead);
        }
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Gives other calls a few turns to put their rows into the queue, as long as some do.
    async fn let_others_come(&self) {
        let mut there = 0;
        for _ in 0..ROUNDS {
            tokio::task::yield_now().await;
            let now = self.queue.lock().awaited;
            if now == std::mem::replace(&mut there, now) {
                return;
            }
        }
    }

    /// Queues a row that nobody waits for.
    pub(crate) fn append_later(&self, row: Written, beside: Beside) -> Result<(), Failure> {
        self.push(false, |queue| {
            queue.rows.push(Row { row, beside, keep: Keep::Process, done: None });
        })
    }

    /// Commits a change of another table together with its row.
    pub(crate) async fn change(&self, row: Option<Written>, edit: Edit, keep: Keep) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.push(true, |queue| queue.changes.push(Change { edit, row, keep, done }))?;
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Writes what waits and lets go of the file.
    pub(crate) async fn close(&self) {
        let (done, answer) = oneshot::channel();
        let told = self.push(true, |queue| {
            queue.closing = Some(done);
            queue.closed = true;
        });
        if told.is_ok() {
            let _ = answer.await;
        }
    }

    /// Writes what waits and ends the thread, without waiting for it.
    pub(crate) fn abandon(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_one();
    }

    /// Puts something into the queue and calls the thread for it, or only has it look after a while.
    fn push(&self, call: bool, put: impl FnOnce(&mut Queue)) -> Result<(), Failure> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Failure::Closed);
        }
        put(&mut queue);
        queue.called |= call;
        if call || std::mem::take(&mut queue.asleep) {
            drop(queue);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Commits what waits on the caller's own thread, unless the writer's thread is just at it.
    fn commit_here(&self) {
        for _ in 0..TURNS {
            let Some(mut store) = self.store.try_lock() else { return };
            let Some(store) = store.as_mut() else { return };
            let mut queue = self.queue.lock();
            if queue.awaited == 0 {
                return;
            }
            let rows = queue.take_rows();
            drop(queue);
            self.commit_rows(store, rows, Duration::ZERO);
        }
    }

    /// Does something while nothing is read or written here, where the store is free soon.
    pub(crate) fn pause<T>(&self, what: impl FnOnce() -> T) -> Option<T> {
        let store = self.store.try_lock_for(SOON)?;
        store.as_ref()?.let_go();
        Some(what())
    }

    /// Puts rows back in front of those that came meanwhile.
    fn put_back(&self, mut rows: Vec<Row>, call: bool) {
        if rows.is_empty() {
            return;
        }
        let mut queue = self.queue.lock();
        queue.awaited += rows.iter().filter(|row| row.done.is_some()).count();
        rows.append(&mut queue.rows);
        queue.rows = rows;
        queue.called |= call;
        drop(queue);
        if call {
            self.wake.notify_one();
        }
    }

    /// One transaction, and what others see of it.
    fn write(
        &self,
        store: &mut Store,
        keep: Keep,
        patience: Duration,
        body: impl FnOnce(&mut Open<'_>) -> Result<(), Undone>,
    ) -> Result<u64, Undone> {
        if self.missing.load(Ordering::Relaxed)
            && let Some(why) = self.files.missing()
        {
            return Err(Undone::Failed(why));
        }
        let result = store.write(keep, patience, body).map_err(|undone| match undone {
            Undone::Failed(said) => Undone::Failed(self.files.explain(&said)),
            other => other,
        });
        let mut shown = self.shown.lock();
        match &result {
            Ok(_) => {
                if shown.trouble.take().is_some() {
                    tracing::warn!("the ledger can be written again");
                }
                shown.head = store.head();
            }
            Err(Undone::Busy(_)) if patience.is_zero() => {}
            Err(Undone::Refused(_)) => {}
            Err(Undone::Busy(why) | Undone::Failed(why)) => {
                if shown.trouble.is_none() {
                    tracing::error!(error = %why, "the ledger cannot be written: no call passes until it can");
                }
                shown.trouble = Some(why.clone());
            }
        }
        result
    }

    /// Stops writing while a file is missing. While rows cannot be written for another reason, tries to write:
    /// whoever waits for the gate to be ready again may send no call before it is. Gives whether all files are there.
    pub(crate) fn look_after_files(&self) -> bool {
        let missing = self.files.missing();
        let all = missing.is_none();
        let was = self.missing.swap(!all, Ordering::Relaxed);
        match missing {
            Some(why) => {
                if !was {
                    tracing::error!(error = %why, "the ledger cannot be written: no call passes until it can");
                }
                self.shown.lock().trouble = Some(why);
            }
            None if self.trouble().is_some() => {
                let (done, _) = oneshot::channel();
                // The smallest change there is: the number of the layout is written as it stands.
                let edit: Edit = Box::new(|conn| {
                    let write = || {
                        let layout: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
                        conn.pragma_update(None, "user_version", layout)
                    };
                    write().map_err(|error| Failure::write(&error))
                });
                let _ = self.push(true, |queue| {
                    queue.changes.push(Change { edit, row: None, keep: Keep::Disk, done })
                });
            }
            None => {}
        }
        all
    }

    /// The thread: writes what waits until the ledger is closed. `leave` ends what else has the file open.
    pub(crate) fn run(&self, leave: impl FnOnce()) {
        loop {
            let mut queue = self.queue.lock();
            self.wait(&mut queue);
            let rows = queue.take_rows();
            // A change does not overtake rows that came before it.
            let changes = if queue.rows.is_empty() { std::mem::take(&mut queue.changes) } else { Vec::new() };
            queue.called = queue.awaited > 0 || !queue.changes.is_empty();
            let last = queue.closed && queue.rows.is_empty() && queue.changes.is_empty();
            let closing = if last { queue.closing.take() } else { None };
            drop(queue);
            let mut store = self.store.lock();
            let Some(open) = store.as_mut() else { return };
            self.commit_rows(open, rows, PATIENCE);
            for Change { edit, row, keep, done } in changes {
                // Changes by a person are rare and each is a transaction of its own: one that fails undoes no
                // row.
                let result = self.write(open, keep, PATIENCE, |open| {
                    edit(open.conn()).map_err(Undone::Refused)?;
                    row.as_ref().map_or(Ok(()), |row| open.append(row))
                });
                let _ = done.send(result.map(drop).map_err(Undone::failure));
            }
            if last {
                // Whoever waits for the end may look at the files next: the last connection folds its log away
                // first.
                leave();
                *store = None;
                let lost = self.queue.lock().rows.len();
                if lost > 0 {
                    tracing::error!(calls = lost, "the ends of some calls could not be recorded");
                }
                if let Some(done) = closing {
                    let _ = done.send(());
                }
                return;
            }
        }
    }

    /// Waits until there is something to write now.
    fn wait(&self, queue: &mut MutexGuard<'_, Queue>) {
        let mut looks = 0;
        let mut taken = queue.taken;
        while !queue.called && !queue.closed {
            if queue.rows.is_empty() && looks >= QUIET_LOOKS {
                queue.asleep = true;
                self.wake.wait(queue);
                looks = 0;
            } else {
                let pause = if self.shown.lock().trouble.is_some() { RETRY } else { LATER };
                let timed_out = self.wake.wait_for(queue, pause).timed_out();
                if timed_out && !queue.rows.is_empty() && queue.taken == taken {
                    return;
                }
                looks = if queue.rows.is_empty() { looks + 1 } else { 0 };
            }
            taken = queue.taken;
        }
    }

    /// Commits rows in one transaction and tells those that wait for them. Where it fails, rows that nobody
    /// waits for go back into the queue; where somebody else writes the file and there is no patience to wait,
    /// all do, and the thread is called.
    fn commit_rows(&self, store: &mut Store, rows: Vec<Row>, patience: Duration) {
        if rows.is_empty() {
            return;
        }
        let began = Instant::now();
        let keep = if rows.iter().any(|row| row.keep == Keep::Disk) { Keep::Disk } else { Keep::Process };
        let written = self.write(store, keep, patience, |open| {
            for Row { row, beside, .. } in &rows {
                open.append(row)?;
                for counter in &beside.counters {
                    open.put_counter(counter)?;
                }
                if let Some(approval) = &beside.approval {
                    put_approval(open.conn(), approval)?;
                }
            }
            Ok(())
        });
        self.quick.store(written.is_ok() && began.elapsed() <= QUICK, Ordering::Relaxed);
        if rows.iter().filter(|row| row.done.is_some()).count() == 1 {
            let less = |company: u32| Some(company.saturating_sub(1));
            let _ = self.company.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
        let first = match written {
            Ok(first) => Ok(first),
            Err(Undone::Busy(_)) if patience.is_zero() => return self.put_back(rows, true),
            Err(undone) => Err(undone.failure()),
        };
        let mut left = Vec::new();
        for (row, place) in rows.into_iter().zip(0..) {
            match (row.done, &first) {
                (Some(done), Ok(first)) => drop(done.send(Ok(first + place))),
                (Some(done), Err(failure)) => drop(done.send(Err(failure.clone()))),
                (None, Ok(_)) => {}
                (None, Err(_)) => left.push(Row { done: None, ..row }),
            }
        }
        self.put_back(left, false);
    }
}

/// The turn of a caller that commits for all. Ends when it is done, or when the caller is given up on the way.
struct Lead<'w>(&'w Writer);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.led = false;
        // What came too late for this turn is for the thread.
        if queue.awaited > 0 {
            queue.called = true;
            drop(queue);
            self.0.wake.notify_one();
        }
    }
}
