//! Who writes, and when: rows wait in one queue, and whoever holds the store commits all that wait there.
//!
//! A caller that finds the store free and nobody waiting commits its own row at once: handing it to another
//! thread and being woken by it would cost more than the commit. As soon as several wait, or commits have
//! become slow, the writer's thread takes over, which gathers what arrives meanwhile into one transaction
//! (group commit). Rows that nobody waits for travel with the next row that somebody does wait for, or are
//! written after a short while.

use crate::row::Written;
use crate::schema::Failure;
use crate::store::{Open, PATIENCE, Store, Undone};
use crate::{CounterRow, Head, Keep};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Rows at most in one transaction.
const BATCH: usize = 512;
/// How long a row that nobody waits for may wait for company.
const COMPANY: Duration = Duration::from_millis(2);
/// After so many looks at an empty queue, the thread sleeps until it is woken.
const QUIET_LOOKS: u32 = 50;
/// How often rows that could not be written are tried again when nothing new arrives.
const RETRY: Duration = Duration::from_millis(250);
/// A caller commits by itself only while commits take no longer than this: it holds up other work.
const QUICK: Duration = Duration::from_micros(500);

/// What changes another table; it is committed together with its row.
pub(crate) type Edit = Box<dyn FnOnce(&rusqlite::Connection) -> Result<(), Failure> + Send>;

/// A row on its way, with whoever waits for it.
struct Row {
    row: Written,
    counters: Vec<CounterRow>,
    keep: Keep,
    done: Option<oneshot::Sender<Result<u64, Failure>>>,
}

struct Change {
    edit: Edit,
    row: Option<Written>,
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
    /// Whether the last commits were quick and for one waiting row only.
    alone: AtomicBool,
}

impl Writer {
    pub(crate) fn new(store: Store) -> Self {
        let shown = Mutex::new(Shown { head: store.head(), trouble: None });
        Self {
            queue: Mutex::default(),
            wake: Condvar::new(),
            store: Mutex::new(Some(store)),
            shown,
            alone: AtomicBool::new(true),
        }
    }

    pub(crate) fn head(&self) -> Head {
        self.shown.lock().head
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.shown.lock().trouble.clone()
    }

    /// Commits a row, and gives its number once it is kept.
    pub(crate) async fn append(
        &self,
        row: Written,
        counters: Vec<CounterRow>,
        keep: Keep,
    ) -> Result<u64, Failure> {
        let mut row = Row { row, counters, keep, done: None };
        if self.alone.load(Ordering::Relaxed) {
            match self.append_here(row) {
                Ok(number) => return Ok(number),
                Err(back) => row = back,
            }
        }
        let (done, answer) = oneshot::channel();
        row.done = Some(done);
        self.push(|queue| {
            queue.rows.push(row);
            queue.awaited += 1;
            true
        })?;
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Queues a row that nobody waits for.
    pub(crate) fn append_later(&self, row: Written, counters: Vec<CounterRow>) -> Result<(), Failure> {
        self.push(|queue| {
            queue.rows.push(Row { row, counters, keep: Keep::Process, done: None });
            queue.asleep
        })
    }

    /// Commits a change of another table together with its row.
    pub(crate) async fn change(&self, row: Option<Written>, edit: Edit) -> Result<(), Failure> {
        let (done, answer) = oneshot::channel();
        self.push(|queue| {
            queue.changes.push(Change { edit, row, done });
            true
        })?;
        answer.await.map_err(|_| Failure::Closed)?
    }

    /// Writes what waits and lets go of the file.
    pub(crate) async fn close(&self) {
        let (done, answer) = oneshot::channel();
        let told = self.push(|queue| {
            queue.closing = Some(done);
            queue.closed = true;
            true
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

    /// Puts something into the queue; `put` says whether the thread has to wake up for it.
    fn push(&self, put: impl FnOnce(&mut Queue) -> bool) -> Result<(), Failure> {
        let mut queue = self.queue.lock();
        if queue.closed {
            return Err(Failure::Closed);
        }
        if put(&mut queue) {
            queue.asleep = false;
            drop(queue);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Commits a row on the caller's own thread, with those that nobody waits for. Gives the row back where
    /// the store is not free at once, or cannot be written: that is for the thread to find out and to tell.
    fn append_here(&self, own: Row) -> Result<u64, Row> {
        let Some(mut store) = self.store.try_lock() else { return Err(own) };
        let (Some(store), Some(mut queue)) = (store.as_mut(), self.queue.try_lock()) else { return Err(own) };
        if queue.closed || queue.awaited > 0 || !queue.changes.is_empty() || queue.rows.len() >= BATCH {
            return Err(own);
        }
        let before = queue.take_rows();
        drop(queue);
        match self.commit(store, Duration::ZERO, &before, Some(&own)) {
            Ok(first) => Ok(first + before.len() as u64),
            Err(_) => {
                self.put_back(before);
                Err(own)
            }
        }
    }

    fn put_back(&self, mut rows: Vec<Row>) {
        let mut queue = self.queue.lock();
        rows.append(&mut queue.rows);
        queue.rows = rows;
    }

    /// Commits rows in one transaction, the caller's own at the end; gives the number of the first.
    fn commit(
        &self,
        store: &mut Store,
        patience: Duration,
        rows: &[Row],
        own: Option<&Row>,
    ) -> Result<u64, Undone> {
        let began = Instant::now();
        let all = || rows.iter().chain(own);
        let keep = if all().any(|row| row.keep == Keep::Disk) { Keep::Disk } else { Keep::Process };
        let result = self.write(store, keep, patience, |open| {
            for Row { row, counters, .. } in all() {
                open.append(row)?;
                for counter in counters {
                    open.put_counter(counter)?;
                }
            }
            Ok(())
        });
        let awaited = rows.iter().filter(|row| row.done.is_some()).count();
        self.alone.store(result.is_ok() && awaited <= 1 && began.elapsed() <= QUICK, Ordering::Relaxed);
        result
    }

    /// One transaction, and what others see of it.
    fn write(
        &self,
        store: &mut Store,
        keep: Keep,
        patience: Duration,
        body: impl FnOnce(&mut Open<'_>) -> Result<(), Undone>,
    ) -> Result<u64, Undone> {
        let result = store.write(keep, patience, body);
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

    /// The thread: writes what waits until the ledger is closed.
    pub(crate) fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            self.wait(&mut queue);
            let rows = queue.take_rows();
            let changes = std::mem::take(&mut queue.changes);
            let last = queue.closed && queue.rows.is_empty();
            let closing = if last { queue.closing.take() } else { None };
            drop(queue);
            let mut store = self.store.lock();
            let Some(open) = store.as_mut() else { return };
            self.commit_rows(open, rows, last);
            for Change { edit, row, done } in changes {
                // Changes by a person are rare and each is a transaction of its own: one that fails undoes no
                // row.
                let result = self.write(open, Keep::Disk, PATIENCE, |open| {
                    edit(open.conn()).map_err(Undone::Refused)?;
                    row.as_ref().map_or(Ok(()), |row| open.append(row))
                });
                let _ = done.send(result.map(drop).map_err(Undone::failure));
            }
            if last {
                // Whoever waits for the end may look at the files next: the connection folds its log away
                // first.
                *store = None;
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
        while queue.awaited == 0 && queue.changes.is_empty() && !queue.closed {
            if queue.rows.is_empty() && looks >= QUIET_LOOKS {
                queue.asleep = true;
                self.wake.wait(queue);
                looks = 0;
            } else {
                let pause = if self.shown.lock().trouble.is_some() { RETRY } else { COMPANY };
                let timed_out = self.wake.wait_for(queue, pause).timed_out();
                if timed_out && !queue.rows.is_empty() && queue.taken == taken {
                    return;
                }
                looks = if queue.rows.is_empty() { looks + 1 } else { 0 };
            }
            taken = queue.taken;
        }
    }

    /// Commits rows and tells those that wait for them. Where it fails, rows that nobody waits for stay in the
    /// queue, except at the end, when there is no later.
    fn commit_rows(&self, store: &mut Store, rows: Vec<Row>, last: bool) {
        if rows.is_empty() {
            return;
        }
        let written = self.commit(store, PATIENCE, &rows, None);
        let mut left = Vec::new();
        for (row, place) in rows.into_iter().zip(0..) {
            match (row.done, &written) {
                (Some(done), Ok(first)) => drop(done.send(Ok(first + place))),
                (Some(done), Err(undone)) => drop(done.send(Err(undone.clone().failure()))),
                (None, Ok(_)) => {}
                (None, Err(_)) => left.push(Row { done: None, ..row }),
            }
        }
        if last && !left.is_empty() {
            tracing::error!(calls = left.len(), "the ends of some calls could not be recorded");
        } else if !left.is_empty() {
            self.put_back(left);
        }
    }
}
