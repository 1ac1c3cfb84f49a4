//! All tasks that the gate knows.

use super::task::{NewTask, Task};
use data_encoding::BASE32_NOPAD;
use parking_lot::Mutex;
use portcullis_admit::Admit;
use portcullis_ledger::{Failure, Ledger, TaskRow, now_ms};
use portcullis_runs::RunId;
use portcullis_upstreams::Link;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, Semaphore};

/// How many servers are asked about tasks at the same time.
const ASKING: usize = 16;
/// How long the conversation in which a task was made is held after its end, for whoever fetches the result, in
/// milliseconds.
const HELD_MS: i64 = 10 * 60 * 1000;

/// All tasks.
#[derive(Debug)]
pub struct Tasks {
    table: Mutex<Table>,
    evicted: AtomicU64,
    expired: AtomicU64,
    lost: AtomicU64,
    pub(super) asking: Semaphore,
    /// Told when a task is entered: a server may speak of it before.
    entered: Notify,
}

/// An upstream and the id that it gave.
type Theirs = (Arc<str>, Box<str>);

#[derive(Debug, Default)]
struct Table {
    by_id: HashMap<Box<str>, Arc<Task>>,
    /// By upstream and its own id; several where conversations or grants have equal ones.
    by_theirs: HashMap<Theirs, Vec<Arc<Task>>>,
    /// Conversations that nobody holds any more but for a task that was made there.
    orphans: Vec<Arc<Link>>,
}

/// How many tasks there are, and what became of those that are not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Under way.
    pub live: usize,
    /// Ended and still known.
    pub kept: usize,
    /// Let go since the start because their grant had too many that had ended.
    pub evicted: u64,
    /// Let go since the start because their time was over.
    pub expired: u64,
    /// Lost since the start: their server does not know them any more.
    pub lost: u64,
}

/// Why a task cannot be looked after.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum NotKept {
    #[error("this grant has {0} tasks under way, the most it may have (limits.tasks_per_grant)")]
    Full(usize),
    #[error("no random bytes for the id of a task")]
    NoRandom,
    #[error("a task passes only if it can be kept: {0}")]
    Failed(#[from] Failure),
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            table: Mutex::default(),
            evicted: AtomicU64::new(0),
            expired: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            asking: Semaphore::new(ASKING),
            entered: Notify::new(),
        }
    }
}

impl Table {
    fn enter(&mut self, task: &Arc<Task>) {
        self.by_id.insert(task.id.clone(), task.clone());
        if task.is_ours() {
            return;
        }
        let theirs = (task.upstream.clone(), task.theirs.clone());
        self.by_theirs.entry(theirs).or_default().push(task.clone());
    }

    fn remove(&mut self, task: &Arc<Task>) {
        self.by_id.remove(&task.id);
        let theirs = (task.upstream.clone(), task.theirs.clone());
        if let Some(there) = self.by_theirs.get_mut(&theirs) {
            there.retain(|other| !Arc::ptr_eq(other, task));
            if there.is_empty() {
                self.by_theirs.remove(&theirs);
            }
        }
    }

    fn of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Arc<Task>> {
        self.by_id.values().filter(move |task| &*task.owner == owner)
    }
}

fn fresh_id() -> Result<Box<str>, NotKept> {
    let mut random = [0; 17];
    getrandom::fill(&mut random).map_err(|_| NotKept::NoRandom)?;
    let text = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
    Ok(format!("t_{}", text.get(..26).unwrap_or(&text)).into())
}

impl Tasks {
    /// Enters what was kept before the gate was started.
    pub(crate) fn restore(&self, admit: &Admit) -> Result<Vec<Arc<Task>>, Failure> {
        let kept = |row: TaskRow| {
            let places = row.places.as_deref().and_then(|written| admit.places(written));
            Arc::new(Task::kept(row, places))
        };
        let all: Vec<Arc<Task>> = admit.ledger().tasks()?.into_iter().map(kept).collect();
        let mut table = self.table.lock();
        all.iter().for_each(|task| table.enter(task));
        Ok(all)
    }

    /// Whether a grant may have no more tasks. Calls that arrive at the same moment may pass the bound by as many as they
    /// are.
    pub(crate) fn room(&self, owner: &str, cap: usize) -> Result<(), NotKept> {
        let live = self.table.lock().of(owner).filter(|task| !task.state().is_final()).count();
        if live >= cap { Err(NotKept::Full(cap)) } else { Ok(()) }
    }

    /// Enters a task, once it is kept on the disk. The oldest that ended make room.
    pub(crate) async fn adopt(
        &self,
        ledger: &Ledger,
        cap: usize,
        new: NewTask,
    ) -> Result<Arc<Task>, NotKept> {
        self.room(&new.owner, cap)?;
        let (run, message) = match &new.ours {
            Some(ours) => (ours.run.id.as_str().into(), "the gate made a task of the call"),
            None => {
                let run = RunId::fresh().map_err(|_| NotKept::NoRandom)?;
                (run.as_str().into(), "the server made a task of the call")
            }
        };
        let task = Arc::new(Task::new(fresh_id()?, run, now_ms(), new));
        ledger.keep_task(task.row(), Some(task.record(message))).await?;
        let evicted = {
            let mut table = self.table.lock();
            table.enter(&task);
            let mut own: Vec<Arc<Task>> = table.of(&task.owner).cloned().collect();
            own.sort_by_key(|task| (!task.state().is_final(), task.created));
            let many = own.len().saturating_sub(cap);
            own.retain(|task| task.state().is_final());
            own.truncate(many);
            own.iter().for_each(|task| table.remove(task));
            own
        };
        self.entered.notify_waiters();
        if !evicted.is_empty() {
            self.evicted.fetch_add(evicted.len() as u64, Ordering::Relaxed);
            forget(ledger, &evicted).await;
        }
        Ok(task)
    }

    /// The task that a grant knows by an id; one whose time is over is none.
    pub(crate) fn find(&self, owner: &str, id: &str) -> Option<Arc<Task>> {
        let table = self.table.lock();
        let task = table.by_id.get(id).filter(|task| &*task.owner == owner)?;
        (!task.is_over(now_ms())).then(|| task.clone())
    }

    /// The grant's task that an upstream knows by an id, where there are several the one of that conversation.
    pub(crate) fn theirs(
        &self,
        upstream: &Arc<str>,
        owner: &str,
        link: Option<&Arc<Link>>,
        theirs: &str,
    ) -> Option<Arc<Task>> {
        let table = self.table.lock();
        let all = table.by_theirs.get(&(upstream.clone(), theirs.into()))?;
        let own = || all.iter().rev().filter(|task| &*task.owner == owner);
        let made_there = own().find(|task| link.is_some_and(|link| task.is_of(link)));
        made_there.or_else(|| own().next()).cloned()
    }

    /// The tasks of any grant that an upstream knows by an id.
    pub(crate) fn all_of(&self, upstream: &Arc<str>, theirs: &str) -> Vec<Arc<Task>> {
        let table = self.table.lock();
        table.by_theirs.get(&(upstream.clone(), theirs.into())).cloned().unwrap_or_default()
    }

    /// Comes when a task is entered.
    pub(crate) fn one_more(&self) -> Notified<'_> {
        self.entered.notified()
    }

    /// All tasks, oldest first; those that ended too, as long as they are known.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Task>> {
        let mut all: Vec<Arc<Task>> = self.table.lock().by_id.values().cloned().collect();
        all.sort_by(|one, other| (one.created, &one.id).cmp(&(other.created, &other.id)));
        all
    }

    /// Those under way, oldest first.
    #[must_use]
    pub fn live(&self) -> Vec<Arc<Task>> {
        let mut all = self.all();
        all.retain(|task| !task.state().is_final());
        all
    }

    /// How many there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let table = self.table.lock();
        let live = table.by_id.values().filter(|task| !task.state().is_final()).count();
        Counts {
            live,
            kept: table.by_id.len() - live,
            evicted: self.evicted.load(Ordering::Relaxed),
            expired: self.expired.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }

    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a task out that its server has let go after its end.
    pub(crate) async fn let_go(&self, ledger: &Ledger, task: &Arc<Task>) {
        self.table.lock().remove(task);
        self.expired.fetch_add(1, Ordering::Relaxed);
        forget(ledger, std::slice::from_ref(task)).await;
    }

    /// Keeps a conversation that would end now for the tasks that were made there. Gives whether there are any.
    pub(crate) fn spares(&self, link: &Arc<Link>) -> bool {
        let mut table = self.table.lock();
        let used = table.by_id.values().any(|task| task.is_of(link));
        if used {
            table.orphans.push(link.clone());
        }
        used
    }

    /// Takes out what is over and ends the conversations that nothing needs any more.
    pub(crate) async fn sweep(&self, ledger: &Ledger) {
        let now = now_ms();
        let (over, unused) = {
            let mut table = self.table.lock();
            if table.by_id.is_empty() && table.orphans.is_empty() {
                return;
            }
            let over: Vec<Arc<Task>> =
                table.by_id.values().filter(|task| task.is_over(now)).cloned().collect();
            over.iter().for_each(|task| table.remove(task));
            for task in table.by_id.values() {
                if task.ended().is_some_and(|ended| now > ended.saturating_add(HELD_MS)) {
                    drop(task.let_go());
                }
            }
            let orphans = std::mem::take(&mut table.orphans);
            let (used, unused): (Vec<_>, Vec<_>) =
                orphans.into_iter().partition(|link| table.by_id.values().any(|task| task.is_of(link)));
            table.orphans = used;
            (over, unused)
        };
        for link in unused {
            drop(link.end());
        }
        if !over.is_empty() {
            self.expired.fetch_add(over.len() as u64, Ordering::Relaxed);
            forget(ledger, &over).await;
        }
    }
}

async fn forget(ledger: &Ledger, tasks: &[Arc<Task>]) {
    let ids = tasks.iter().map(|task| task.id.to_string()).collect();
    if let Err(failure) = ledger.forget_tasks(ids).await {
        tracing::warn!(%failure, "tasks that are over could not be let go");
    }
}
