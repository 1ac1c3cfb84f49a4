//! The gate: what every request needs at hand.

use crate::approvals::Guesses;
use crate::asker::Asker;
use crate::call::About;
use crate::expiry::{self, Refusals};
use crate::names::Names;
use crate::session::{Session, SessionLimits, Sessions};
use crate::tasks::{Task, Tasks, look};
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_admit::{Admit, Entries, Grants, Rules};
use portcullis_catalogue::ListKind;
use portcullis_ledger::{Failure, Grant, Ledger};
use portcullis_runs::{Caller, Runs};
use portcullis_upstreams::{Cells, Link, Opened, Rooms, Upstream};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Upstreams by name.
pub type Upstreams = BTreeMap<Arc<str>, Arc<Upstream>>;

/// Bounds and names that the edge checks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Host names and addresses under which the gate may be called, in lower case, without port.
    pub hosts: Vec<String>,
    /// Bytes of one message from a client.
    pub message: usize,
    /// How long reading one request may take.
    pub read: Duration,
    /// Bounds on sessions.
    pub sessions: SessionLimits,
    /// Calls in flight at most, all grants together.
    pub calls: usize,
    /// Tasks under way that one grant may have; as many again may be known that have ended.
    pub tasks: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: ["localhost", "127.0.0.1", "[::1]"].map(str::to_owned).to_vec(),
            message: 16 << 20,
            read: Duration::from_secs(30),
            sessions: SessionLimits::default(),
            calls: 10_000,
            tasks: 256,
        }
    }
}

/// All that a configuration says.
pub struct InForce {
    /// Bounds and names that the edge checks.
    pub options: Options,
    /// What configuration and policies say.
    pub rules: Rules,
    /// Who may come in.
    pub grants: Grants,
    /// Servers by name.
    pub upstreams: Upstreams,
}

fn entries_of(upstreams: &Upstreams) -> Entries {
    upstreams.iter().map(|(name, upstream)| (name.clone(), upstream.entry())).collect()
}

/// The gate.
pub struct Gate {
    pub(crate) admit: Admit,
    pub(crate) runs: Runs,
    pub(crate) sessions: Sessions,
    pub(crate) pool: Pool,
    pub(crate) tasks: Tasks,
    rooms: Mutex<HashMap<String, Arc<Rooms>>>,
    pub(crate) parked: Mutex<HashMap<String, crate::mrtr::Parked>>,
    pub(crate) listeners: crate::streams::Listeners,
    options: ArcSwap<Options>,
    upstreams: ArcSwap<Upstreams>,
    callers: AtomicU64,
    unknown_tokens: AtomicU64,
    pub(crate) guesses: Guesses,
    pub(crate) expired: Refusals,
    began: Instant,
}

impl Gate {
    /// A gate with no upstreams yet.
    #[must_use]
    pub fn new(admit: Admit, options: Options, grants: Grants) -> Arc<Self> {
        admit.put_in_force(|now| now.grants = grants.into());
        Arc::new(Self {
            admit,
            runs: Runs::default(),
            sessions: Sessions::default(),
            pool: Pool::default(),
            tasks: Tasks::default(),
            rooms: Mutex::default(),
            parked: Mutex::default(),
            listeners: crate::streams::Listeners::default(),
            options: ArcSwap::from_pointee(options),
            upstreams: ArcSwap::default(),
            callers: AtomicU64::new(1),
            unknown_tokens: AtomicU64::new(0),
            guesses: Guesses::default(),
            expired: Refusals::default(),
            began: Instant::now(),
        })
    }

    /// Where what belongs to a grant's clients waits: what they sent, and what they have not read yet.
    pub(crate) fn rooms_of(&self, grant: &str) -> Arc<Rooms> {
        let mut all = self.rooms.lock();
        match all.get(grant) {
            Some(rooms) => rooms.clone(),
            None => all.entry(grant.to_owned()).or_default().clone(),
        }
    }

    /// The judge.
    #[must_use]
    pub fn admit(&self) -> &Admit {
        &self.admit
    }

    /// The record.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        self.admit.ledger()
    }

    /// Everything in flight.
    #[must_use]
    pub fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Everything that goes on at servers after the call that began it was answered.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Looks after the tasks that were kept before this gate was started.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn restore_tasks(self: &Arc<Self>) -> Result<(), Failure> {
        for task in self.tasks.restore(&self.admit)? {
            if !task.state().is_final() {
                look::follow(self, &task);
            } else if task.is_end_to_be_kept() {
                let gate = self.clone();
                tokio::spawn(async move { look::keep(&gate, &task, Some(task.record(&task.told()))).await });
            }
        }
        let gate = self.clone();
        tokio::spawn(async move {
            let unknown = |task: &Task| gate.upstream(&task.upstream).is_none();
            gate.give_up_tasks(unknown, "its upstream is not in the configuration any more").await;
        });
        Ok(())
    }

    /// Sessions of the old era that are open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.sessions.count()
    }

    /// Requests that showed no token or an unknown one, since the start. They are counted, never recorded
    /// one by one: anyone can send them.
    #[must_use]
    pub fn unknown_tokens(&self) -> u64 {
        self.unknown_tokens.load(Ordering::Relaxed)
    }

    /// Requests that were refused because their grant has expired, since the start.
    #[must_use]
    pub fn expired_tokens(&self) -> u64 {
        self.expired.count()
    }

    /// How long the gate has been up.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// Bounds in force.
    #[must_use]
    pub fn options(&self) -> Arc<Options> {
        self.options.load_full()
    }

    /// Grants in force.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        self.admit.grants()
    }

    /// Replaces the grants. What grants that are gone or changed have open ends; nothing passes any more by what they were.
    pub async fn set_grants(self: &Arc<Self>, grants: Grants) {
        let before = self.admit.put_in_force(|now| now.grants = grants.into());
        self.end_what_changed(&before.grants);
        Admit::is_over(before).await;
    }

    /// Ends what grants have open that are others now, or gone.
    fn end_what_changed(self: &Arc<Self>, before: &Grants) {
        let now = self.grants();
        let changed = |name: &str| before.by_name(name) != now.by_name(name);
        self.end_what_is_of(changed, "its grant was changed or revoked");
        let gate = self.clone();
        tokio::spawn(async move {
            let revoked = |task: &Task| now.by_name(&task.owner).is_none();
            gate.give_up_tasks(revoked, "its grant was revoked").await;
        });
    }

    /// Upstreams in force.
    #[must_use]
    pub fn upstreams(&self) -> Arc<Upstreams> {
        self.upstreams.load_full()
    }

    /// One upstream.
    #[must_use]
    pub fn upstream(&self, name: &str) -> Option<Arc<Upstream>> {
        self.upstreams.load().get(name).cloned()
    }

    /// Puts other rules in force; clients hear where that changes what they see.
    pub fn set_rules(&self, rules: Rules) {
        self.admit.put_in_force(|now| now.rules = rules.into());
        self.look_again();
    }

    fn look_again(&self) {
        for upstream in self.upstreams.load().values() {
            upstream.look_again();
        }
    }

    /// Puts all that a configuration says in force, at once: no call is judged by a part of it.
    pub fn put_in_force(self: &Arc<Self>, new: InForce) {
        self.options.store(Arc::new(new.options));
        let upstreams = Arc::new(new.upstreams);
        let old = self.upstreams.swap(upstreams.clone());
        let before = self.admit.put_in_force(|now| {
            now.rules = new.rules.into();
            now.grants = new.grants.into();
            now.entries = entries_of(&upstreams).into();
        });
        drop(self.follow_upstreams(&old, &upstreams));
        self.end_what_changed(&before.grants);
        self.look_again();
    }

    /// Replaces the upstreams; those that are gone end after their calls in flight were told to stop. Gives
    /// the new ones' watchers a start. See [`Link::end`] for what is given back.
    pub fn set_upstreams(self: &Arc<Self>, upstreams: Upstreams) -> Vec<JoinHandle<()>> {
        let upstreams = Arc::new(upstreams);
        let old = self.upstreams.swap(upstreams.clone());
        self.admit.put_in_force(|now| now.entries = entries_of(&upstreams).into());
        self.follow_upstreams(&old, &upstreams)
    }

    fn follow_upstreams(self: &Arc<Self>, before: &Upstreams, upstreams: &Upstreams) -> Vec<JoinHandle<()>> {
        for (name, upstream) in upstreams {
            if !before.get(name).is_some_and(|old| Arc::ptr_eq(old, upstream)) {
                crate::changes::watch(self, upstream);
                crate::renewal::watch(self, upstream);
            }
        }
        let mut ends = Vec::new();
        for (name, old) in before.iter() {
            if upstreams.get(name).is_some_and(|new| Arc::ptr_eq(old, new)) {
                continue;
            }
            for run in self.runs.list().into_iter().filter(|run| run.call.upstream == *name) {
                run.stop_by_operator("its upstream was taken out of the configuration");
            }
            let links = self.sessions.all().into_iter().filter_map(|session| session.links.take(name));
            ends.extend(links.map(|link| link.end()));
            ends.extend(self.pool.end(|_, upstream| upstream == &**name));
            ends.extend(old.end());
        }
        ends
    }

    pub(crate) fn next_caller(&self) -> Caller {
        Caller(self.callers.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn count_unknown_token(&self) {
        self.unknown_tokens.fetch_add(1, Ordering::Relaxed);
    }

    /// The grant of a token that is in force now.
    pub(crate) fn grant_of(&self, token: &str) -> Option<Arc<Grant>> {
        let hash = self.ledger().token_hash(token);
        self.grants().by_token(&hash).cloned()
    }

    /// Ends what some grants have open: sessions, calls in flight, streams, pooled links.
    pub fn end_what_is_of(&self, grant: impl Fn(&str) -> bool, reason: &str) {
        let ended = self.sessions.sweep(&self.options.load().sessions, |session| grant(&session.grant));
        drop(self.end_sessions(ended, reason));
        // Calls of the new era have no session to end with.
        for run in self.runs.list().into_iter().filter(|run| grant(&run.call.owner)) {
            run.stop_by_operator(reason);
        }
        crate::streams::end_listeners(self, &grant);
        drop(self.pool.end(|owner, _| grant(owner)));
    }

    /// Ends sessions: what they have in flight is stopped, their upstream sessions are deleted. See [`Link::end`].
    pub(crate) fn end_sessions(&self, sessions: Vec<Arc<Session>>, reason: &str) -> Vec<JoinHandle<()>> {
        let mut ends = Vec::new();
        for session in sessions {
            self.runs.cancel_all_of(session.caller, reason);
            session.ended.cancel();
            let links = session.links.retain(|_, _| false);
            // What was begun there goes on.
            let over = links.into_iter().filter(|link| !self.tasks.spares(link));
            ends.extend(over.filter_map(|link| link.end_own()));
        }
        ends
    }

    /// Ends sessions and pooled links that were left. Runs until the gate is dropped.
    pub async fn sweep_for_ever(self: Arc<Self>) {
        let gate = Arc::downgrade(&self);
        drop(self);
        let mut tick = tokio::time::interval(Duration::from_secs(10));
        loop {
            tick.tick().await;
            let Some(gate) = gate.upgrade() else { return };
            let options = gate.options.load_full();
            let ended = gate.sessions.sweep(&options.sessions, |_| false);
            drop(gate.end_sessions(ended, "its session ended"));
            Box::pin(expiry::sweep(&gate)).await;
            gate.pool.sweep(options.sessions.idle);
            gate.tasks.sweep(gate.ledger()).await;
            gate.parked.lock().retain(|_, parked| !parked.is_over());
        }
    }

    /// The name under which a client asked for a tool.
    pub(crate) fn shown_name(&self, asker: &Asker, upstream: &Upstream, about: &About) -> String {
        let name = about.name();
        if !asker.aggregated() {
            return name.to_owned();
        }
        let lists = upstream.known_lists(ListKind::Tools);
        let exposed = lists.iter().find_map(|list| {
            let place = list.items().iter().position(|item| item.key() == name)?;
            Some(Names::of(upstream.name(), list).at(place).to_owned())
        });
        exposed.unwrap_or_else(|| format!("{}__{name}", upstream.name()))
    }

    /// Ends everything: sessions, links, upstreams.
    pub async fn shut_down(self: &Arc<Self>) {
        crate::streams::end_listeners(self, &|_| true);
        for run in self.runs.list() {
            run.stop_by_operator("the gate is stopping");
        }
        let sessions = self.sessions.sweep(&self.options.load().sessions, |_| true);
        let mut ends = self.end_sessions(sessions, "the gate is stopping");
        ends.extend(self.set_upstreams(Upstreams::new()));
        futures_util::future::join_all(ends).await;
    }
}

/// Links of the old era for clients of the new one, which have no session: one for each grant, upstream and
/// set of client capabilities.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    links: Cells<PoolKey, Arc<Pooled>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub grant: String,
    pub upstream: Arc<str>,
    pub offered: String,
}

#[derive(Debug)]
struct Pooled {
    link: Arc<Link>,
    used: Mutex<Instant>,
}

impl Pool {
    /// The pooled link, opened by `open` where there is none that lives.
    pub(crate) async fn get<E>(
        &self,
        key: &PoolKey,
        open: impl AsyncFnOnce() -> Result<Arc<Link>, E>,
    ) -> Result<Arc<Link>, E> {
        let lives = |pooled: &Arc<Pooled>| pooled.link.closed().is_none();
        let opened = self.links.open(key, lives, async || {
            let link = open().await?;
            Ok(Arc::new(Pooled { link, used: Mutex::new(Instant::now()) }))
        });
        let pooled = match Box::pin(opened).await? {
            Opened::There(pooled) | Opened::Now(pooled) => pooled,
            Opened::TakenOut(pooled) => {
                drop(pooled.link.end_own());
                pooled
            }
        };
        *pooled.used.lock() = Instant::now();
        Ok(pooled.link.clone())
    }

    /// Forgets a link that the upstream ended.
    pub(crate) fn forget(&self, key: &PoolKey) {
        drop(self.links.take(key));
    }

    fn sweep(&self, idle: Duration) {
        drop(self.retain(|_, pooled| pooled.is_none_or(|pooled| pooled.used.lock().elapsed() <= idle)));
    }

    fn end(&self, gone: impl Fn(&str, &str) -> bool) -> Vec<JoinHandle<()>> {
        self.retain(|key, _| !gone(&key.grant, &key.upstream))
    }

    fn retain(&self, keep: impl Fn(&PoolKey, Option<&Arc<Pooled>>) -> bool) -> Vec<JoinHandle<()>> {
        self.links.retain(keep).iter().filter_map(|pooled| pooled.link.end_own()).collect()
    }
}
