//! The table of calls in flight.

use crate::RunId;
use parking_lot::Mutex;
use portcullis_wire::Id;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// A cancellation that overtook its request on another connection is kept this long for it.
const EARLY: Duration = Duration::from_secs(5);
/// Cancellations kept so at most, and the longest id and reason that one is kept with, in bytes and characters.
const EARLY_AT_MOST: usize = 1024;
const EARLY_ID: usize = 256;
const EARLY_REASON: usize = 256;
use tokio_util::sync::CancellationToken;

/// Where requests come from: a session of the old era, or one request of the new era, which has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Caller(pub u64);

/// The caller has a request of that id in flight.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a request with the id {0} is still in flight")]
pub struct InUse(pub Id);

/// A call about to start.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Who asks.
    pub caller: Caller,
    /// The client's request id.
    pub request: Id,
    /// Name of the grant.
    pub owner: Arc<str>,
    /// Name of the upstream.
    pub upstream: Arc<str>,
    /// The MCP method.
    pub method: Box<str>,
    /// The tool, prompt or resource.
    pub name: Box<str>,
}

/// A call in flight.
#[derive(Debug)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What was asked, by whom.
    pub call: NewRun,
    /// When it was opened.
    pub started: Instant,
    /// Under which caller it is in the table.
    caller: AtomicU64,
    stop: CancellationToken,
    reason: OnceLock<String>,
    by_operator: AtomicBool,
    waits: AtomicBool,
}

/// The table. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Runs(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    by_request: HashMap<(Caller, Id), Arc<Run>>,
    /// Cancellations of what is not in flight: it is over, or still on its way here.
    early: HashMap<(Caller, Id), (Instant, String)>,
}

impl Runs {
    /// Enters a call.
    ///
    /// # Errors
    /// Where the caller has a request of that id in flight: a second one would make a cancellation ambiguous.
    pub fn open(&self, call: NewRun) -> Result<OpenRun, InUse> {
        let key = (call.caller, call.request.clone());
        // Without random bytes nothing else works either; the id then is the same for all and only a label.
        let id = RunId::fresh().unwrap_or_else(|_| RunId::none());
        let (stop, reason) = (CancellationToken::new(), OnceLock::new());
        let (by_operator, waits) = (AtomicBool::new(false), AtomicBool::new(false));
        let (started, caller) = (Instant::now(), AtomicU64::new(call.caller.0));
        let run = Arc::new(Run { id, call, started, caller, stop, reason, by_operator, waits });
        let mut table = self.0.lock();
        if table.by_request.contains_key(&key) {
            return Err(InUse(key.1));
        }
        if let Some((since, reason)) = table.early.remove(&key)
            && since.elapsed() < EARLY
        {
            run.stop(&reason);
        }
        table.by_request.insert(key, run.clone());
        drop(table);
        Ok(OpenRun { run, table: self.clone() })
    }

    /// Stops the caller's request of that id. Gives whether there was one; where there was none, it is stopped
    /// if it comes soon: the two can overtake each other on the way here.
    #[must_use]
    pub fn cancel(&self, caller: Caller, request: &Id, reason: &str) -> bool {
        let key = (caller, request.clone());
        let mut table = self.0.lock();
        if let Some(run) = table.by_request.get(&key).cloned() {
            drop(table);
            run.stop(reason);
            return true;
        }
        if table.early.len() >= EARLY_AT_MOST {
            table.early.retain(|_, (since, _)| since.elapsed() < EARLY);
        }
        if table.early.len() < EARLY_AT_MOST && request.to_json().len() <= EARLY_ID {
            table.early.insert(key, (Instant::now(), reason.chars().take(EARLY_REASON).collect()));
        }
        false
    }

    /// Stops everything that a caller has in flight, because the caller itself is over. It did not ask for that, and is told.
    pub fn cancel_all_of(&self, caller: Caller, reason: &str) {
        for run in self.list().into_iter().filter(|run| run.key().0 == caller) {
            run.stop_by_operator(reason);
        }
    }

    /// Whether a call is in flight.
    #[must_use]
    pub fn has(&self, run: &Arc<Run>) -> bool {
        self.0.lock().by_request.get(&run.key()).is_some_and(|there| Arc::ptr_eq(there, run))
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.lock().by_request.len()
    }

    /// All calls in flight, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Run>> {
        let mut runs: Vec<_> = self.0.lock().by_request.values().cloned().collect();
        runs.sort_by_key(|run| run.started);
        runs
    }
}

impl Run {
    fn key(&self) -> (Caller, Id) {
        (Caller(self.caller.load(Ordering::Relaxed)), self.call.request.clone())
    }

    /// Asks it to stop on behalf of the operator or of the gate: its caller did not ask for it, and is told.
    pub fn stop_by_operator(&self, reason: &str) {
        self.by_operator.store(true, Ordering::Relaxed);
        self.stop(reason);
    }

    /// Whether it waits for a person: nothing of it has left the gate.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.waits.load(Ordering::Relaxed)
    }

    /// Says that it waits, or goes on.
    pub fn set_waits(&self, waits: bool) {
        self.waits.store(waits, Ordering::Relaxed);
    }

    /// Asks it to stop, as its caller wants it. The first reason stands.
    pub fn stop(&self, reason: &str) {
        let _ = self.reason.set(reason.to_owned());
        self.stop.cancel();
    }
}

/// A run that is in the table for as long as this lives.
#[derive(Debug)]
pub struct OpenRun {
    run: Arc<Run>,
    table: Runs,
}

impl OpenRun {
    /// The run.
    #[must_use]
    pub fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// Takes the run out of the table before this is dropped: once its caller has the answer, it may use the
    /// request's id again.
    pub fn over(&self) {
        let mut table = self.table.0.lock();
        let key = self.run.key();
        // By now the id may stand for the caller's next request.
        if table.by_request.get(&key).is_some_and(|run| Arc::ptr_eq(run, &self.run)) {
            table.by_request.remove(&key);
        }
    }

    /// Takes the run from its caller to another, who makes no requests: the id may be used again, and neither a cancellation of the
    /// request nor the end of whoever made it ends the run any more.
    pub fn give_to(&self, caller: Caller) {
        let mut table = self.table.0.lock();
        if table.by_request.get(&self.run.key()).is_some_and(|run| Arc::ptr_eq(run, &self.run)) {
            table.by_request.remove(&self.run.key());
            self.run.caller.store(caller.0, Ordering::Relaxed);
            table.by_request.insert(self.run.key(), self.run.clone());
        }
    }

    /// Fires when the run is asked to stop.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.run.stop
    }

    /// Whether it was not its caller that asked it to stop.
    #[must_use]
    pub fn by_operator(&self) -> bool {
        self.run.by_operator.load(Ordering::Relaxed)
    }

    /// Why it was asked to stop.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.run.reason.get().map_or("", String::as_str)
    }
}

impl Drop for OpenRun {
    fn drop(&mut self) {
        self.over();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(caller: u64, id: u64) -> NewRun {
        NewRun {
            caller: Caller(caller),
            request: Id::from(id),
            owner: "me".into(),
            upstream: "u".into(),
            method: "tools/call".into(),
            name: "t".into(),
        }
    }

    #[test]
    fn equal_ids_of_two_callers_are_two_runs_and_of_one_caller_an_error() {
        let runs = Runs::default();
        let one = runs.open(call(1, 5)).unwrap();
        let two = runs.open(call(2, 5)).unwrap();
        assert_eq!(runs.open(call(1, 5)).unwrap_err(), InUse(Id::from(5)));
        assert!(runs.cancel(Caller(2), &Id::from(5), "why"));
        assert!(two.cancelled().is_cancelled() && !one.cancelled().is_cancelled());
        assert_eq!(two.reason(), "why");
        assert!(!runs.cancel(Caller(2), &Id::from(6), ""));
        one.over();
        let next = runs.open(call(1, 5)).unwrap();
        drop((one, two));
        assert_eq!(runs.list().len(), 1);
        drop(next);
        assert!(runs.list().is_empty());
    }

    #[test]
    fn a_run_that_was_given_away_is_its_first_callers_no_more() {
        let runs = Runs::default();
        let run = runs.open(call(1, 5)).unwrap();
        run.give_to(Caller(9));
        let next = runs.open(call(1, 5)).unwrap();
        runs.cancel_all_of(Caller(1), "gone");
        assert!(next.cancelled().is_cancelled() && !run.cancelled().is_cancelled());
        drop(next);
        assert!(runs.has(run.run()));
        run.run().stop_by_operator("now");
        assert!(run.cancelled().is_cancelled());
        drop(run);
        assert_eq!(runs.count(), 0);
    }

    #[test]
    fn a_cancellation_that_overtook_its_request_stops_it_and_no_other() {
        let runs = Runs::default();
        assert!(!runs.cancel(Caller(1), &Id::from(5), "early"));
        let other = runs.open(call(2, 5)).unwrap();
        let meant = runs.open(call(1, 5)).unwrap();
        assert!(meant.cancelled().is_cancelled() && !other.cancelled().is_cancelled());
        assert_eq!(meant.reason(), "early");
        drop(meant);
        assert!(!runs.open(call(1, 5)).unwrap().cancelled().is_cancelled());
        for id in 0..2 * EARLY_AT_MOST as u64 {
            let _ = runs.cancel(Caller(3), &Id::from(id), "");
        }
        assert_eq!(runs.0.lock().early.len(), EARLY_AT_MOST);
    }
}
