//! One task, and what is known of it.

mod kept;
mod state;
mod words;

pub use state::State;

use super::message::replace_word;
use super::ours::Ours;
use crate::gate::Gate;
use parking_lot::Mutex;
use portcullis_admit::{Authority, Places};
use portcullis_catalogue::ListKind;
use portcullis_upstreams::Link;
use portcullis_wire::{Era, member, text};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How often a server that says nothing of it is asked.
const POLL: Duration = Duration::from_secs(1);
/// The shortest and the longest time between two looks, whatever the server says.
const POLLS: (u64, u64) = (250, 30_000);
/// How long a task that ended is kept where its server names no time.
const KEPT_MS: i64 = 24 * 60 * 60 * 1000;
/// How long after its time a task is still asked for at a server that cannot be asked.
const FORSAKEN_MS: i64 = 60 * 60 * 1000;
/// How many questions of one task are remembered.
const QUESTIONS: usize = 1024;
/// How much of what a server says of a task is kept, in bytes.
const SAID: usize = 16 << 10;

/// That somebody wants it stopped.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    /// `client`, or `operator`.
    pub by: String,
    /// When it was asked, in milliseconds since 1970.
    pub at: i64,
    /// Whether its server has taken the request.
    pub told: bool,
}

/// What changes.
#[derive(Debug)]
struct Now {
    state: State,
    why: Option<String>,
    ttl_ms: Option<i64>,
    poll: Duration,
    looked: i64,
    /// When it ended, in milliseconds since 1970.
    ended: Option<i64>,
    stop: Option<Stop>,
    /// The core design's task object as the server said it last.
    said: Box<str>,
    /// What its call took of those places of which only so many may be taken at once, until it ends.
    places: Option<Arc<Places>>,
    /// Of the row that was last made of it.
    version: i64,
}

impl Now {
    fn end(&mut self, at: i64) {
        self.ended = Some(at);
        self.places = None;
    }
}

/// One task of one server.
#[derive(Debug)]
pub struct Task {
    /// The id that its client knows: `t_` and 26 random characters.
    pub id: Box<str>,
    /// Its id among the runs.
    pub run: Box<str>,
    /// Name of the grant whose call made it.
    pub owner: Arc<str>,
    /// Name of its upstream.
    pub upstream: Arc<str>,
    /// The tool that was called.
    pub tool: Box<str>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// The id that its server gave it; empty for one that the gate made itself.
    pub(crate) theirs: Box<str>,
    /// The design that it belongs to, by the era that has it.
    pub(crate) design: Era,
    digest: Box<str>,
    /// When its server says that it was made.
    stamp: Box<str>,
    now: Mutex<Now>,
    ours: Option<Ours>,
    /// The conversation in which it was made, where servers of its era keep one for each client.
    link: Mutex<Option<Arc<Link>>>,
    /// Somebody has a reason to look at it before its time.
    pub(crate) nudged: Notify,
    changed: watch::Sender<()>,
    /// Whether its end is on the disk.
    kept_end: AtomicBool,
    /// Whether its client knows another task in its place.
    behind: AtomicBool,
    /// Its questions that were judged, by their keys, and whether they may be put.
    judged: Mutex<HashMap<String, bool>>,
}

/// What came of hearing of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing new.
    Same,
    /// Another state.
    Changed,
    /// The server speaks of another task: it gives out ids again.
    Another,
}

/// A task that a server has just made.
pub(crate) struct NewTask {
    pub owner: Arc<str>,
    pub upstream: Arc<str>,
    pub tool: Box<str>,
    pub theirs: Box<str>,
    pub design: Era,
    pub digest: Box<str>,
    /// What its server says of it, JSON.
    pub said: String,
    pub link: Option<Arc<Link>>,
    pub places: Option<Arc<Places>>,
    /// Where the gate makes it itself.
    pub ours: Option<Ours>,
}

fn string(said: &str, name: &str) -> Option<String> {
    member(said, name).and_then(text).map(std::borrow::Cow::into_owned)
}

impl Task {
    /// A task as its server first describes it.
    pub(crate) fn new(id: Box<str>, run: Box<str>, created: i64, new: NewTask) -> Self {
        let NewTask { owner, upstream, tool, theirs, design, digest, said, link, places, ours } = new;
        let now = Now {
            state: State::Working,
            why: None,
            ttl_ms: None,
            poll: POLL,
            looked: created,
            ended: None,
            stop: None,
            said: "{}".into(),
            places,
            version: 0,
        };
        let stamp = string(&said, "createdAt").unwrap_or_default().into();
        let (now, link, changed) = (Mutex::new(now), Mutex::new(link), watch::Sender::new(()));
        let nudged = Notify::new();
        let task = Self {
            id,
            run,
            owner,
            upstream,
            tool,
            created,
            theirs,
            design,
            digest,
            stamp,
            now,
            ours,
            link,
            nudged,
            changed,
            kept_end: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            judged: Mutex::default(),
        };
        let _ = task.hear(&said, created);
        task
    }

    /// Whether the gate made it itself, of a call that waited for a person.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.theirs.is_empty()
    }

    /// Whether a question of it may be put; `None` where it was not judged.
    pub(crate) fn was_judged(&self, key: &str) -> Option<bool> {
        self.judged.lock().get(key).copied()
    }

    pub(crate) fn note_judged(&self, key: &str, may: bool) {
        let mut judged = self.judged.lock();
        if judged.len() < QUESTIONS {
            judged.insert(key.to_owned(), may);
        }
    }

    /// By what its owner sees what its server says of it; nothing where the grant is gone.
    pub(crate) fn authority(&self, gate: &Gate) -> Option<Authority> {
        let grant = gate.grants().by_name(&self.owner).cloned()?;
        let lists =
            gate.upstream(&self.upstream).map(|it| it.known_lists(ListKind::Tools)).unwrap_or_default();
        let tool = lists.iter().find_map(|list| list.get(&self.tool)?.tool());
        let category = tool.map_or("", |tool| tool.category.as_str());
        Some(gate.admit.task_authority(grant, &self.upstream, &self.tool, category))
    }

    /// Its client was given one of the gate's own in its place, as long as the gate waits for its result.
    pub(crate) fn stays_behind(&self) {
        self.behind.store(true, Ordering::Relaxed);
    }

    /// Whether its client knows another task in its place.
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// What only the gate knows of it, where it made it itself and was not started anew since.
    pub(crate) fn ours(&self) -> Option<&Ours> {
        self.ours.as_ref()
    }

    /// One that the gate made itself goes on, or ends, and says why. Gives whether that is news.
    pub(super) fn turn(&self, state: State, why: Option<String>, at: i64) -> bool {
        let mut now = self.now.lock();
        if now.state.is_final() || (now.state == state && now.why == why) {
            return false;
        }
        (now.state, now.why, now.looked) = (state, why, at);
        if state.is_final() {
            now.end(at);
        }
        drop(now);
        self.news();
        true
    }

    /// Takes what its server says of it: a task object of either design.
    pub(crate) fn hear(&self, said: &str, at: i64) -> Heard {
        let stamp = string(said, "createdAt").unwrap_or_default();
        if !stamp.is_empty() && !self.stamp.is_empty() && *stamp != *self.stamp {
            return Heard::Another;
        }
        let state = string(said, "status").map_or(State::Working, |name| State::of(&name));
        let (ttl, poll) = match self.design {
            Era::Old => ("ttl", "pollInterval"),
            Era::New => ("ttlMs", "pollIntervalMs"),
        };
        let mut now = self.now.lock();
        now.looked = at;
        // The first final state stands: the designs allow none after it.
        if now.state.is_final() {
            return Heard::Same;
        }
        if let Some(raw) = member(said, ttl) {
            now.ttl_ms = raw.parse().ok();
        }
        if let Some(ms) = member(said, poll).and_then(|raw| raw.parse().ok()) {
            now.poll = Duration::from_millis(u64::clamp(ms, POLLS.0, POLLS.1));
        }
        if self.design == Era::Old && said.len() <= SAID {
            now.said = match member(said, "statusMessage") {
                Some(told) => said.replacen(told, &replace_word(told, &self.theirs, &self.id), 1).into(),
                None => said.into(),
            };
        }
        if now.state == state {
            return Heard::Same;
        }
        now.state = state;
        if state.is_final() {
            now.end(at);
        }
        drop(now);
        self.news();
        Heard::Changed
    }

    /// Its server does not know it any more, or is gone for good. Gives whether that is news.
    pub(crate) fn lose(&self, why: &str, at: i64) -> bool {
        let mut now = self.now.lock();
        if now.state.is_final() {
            return false;
        }
        (now.state, now.why, now.looked) = (State::Lost, Some(why.to_owned()), at);
        now.end(at);
        drop(now);
        self.news();
        true
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> State {
        self.now.lock().state
    }

    /// Why it is in that state, where the gate knows more than its server said.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        self.now.lock().why.clone()
    }

    /// When it ended, in milliseconds since 1970.
    #[must_use]
    pub fn ended(&self) -> Option<i64> {
        self.now.lock().ended
    }

    /// Until when its server keeps it, in milliseconds since 1970, where that is bounded.
    #[must_use]
    pub fn deadline(&self) -> Option<i64> {
        self.now.lock().ttl_ms.map(|ttl| self.created.saturating_add(ttl))
    }

    /// Whether somebody asked to stop it.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        let now = self.now.lock();
        now.stop.is_some() && !now.state.is_final()
    }

    /// Whether it need not be known any more. One that lives is never over: its server may go on with it.
    pub(crate) fn is_over(&self, at: i64) -> bool {
        let now = self.now.lock();
        let Some(ended) = now.ended else { return false };
        match now.ttl_ms {
            Some(ttl) => at > self.created.saturating_add(ttl),
            None => at > ended.saturating_add(KEPT_MS),
        }
    }

    /// Whether its time was over so long ago that a server that cannot be asked need not be waited for.
    pub(crate) fn is_forsaken(&self, at: i64) -> bool {
        self.deadline().is_some_and(|deadline| at > deadline.saturating_add(FORSAKEN_MS))
    }

    /// Wakes those who follow it.
    pub(super) fn news(&self) {
        self.changed.send_replace(());
    }

    /// Follows its state.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How long to wait between two looks.
    pub(crate) fn poll(&self) -> Duration {
        self.now.lock().poll
    }

    /// Somebody wants it stopped. The first one stands.
    pub(crate) fn want_stopped(&self, by: &str, at: i64) {
        let mut now = self.now.lock();
        now.stop.get_or_insert_with(|| Stop { by: by.to_owned(), at, told: false });
    }

    /// Its server has taken the request to stop it.
    pub(crate) fn told_to_stop(&self) {
        if let Some(stop) = &mut self.now.lock().stop {
            stop.told = true;
        }
    }

    /// Who wants it stopped.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.now.lock().stop.clone()
    }

    /// The conversation in which it was made, where that is still open.
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        self.link.lock().clone().filter(|link| link.closed().is_none())
    }

    /// Whether it was made in that conversation.
    pub(crate) fn is_of(&self, link: &Arc<Link>) -> bool {
        self.link.lock().as_ref().is_some_and(|own| Arc::ptr_eq(own, link))
    }

    /// Forgets the conversation in which it was made.
    pub(crate) fn let_go(&self) -> Option<Arc<Link>> {
        self.link.lock().take()
    }
}
