//! The life of one service.

use crate::definition::{Definition, Port, Restart, When};
use crate::probe::{Looked, Seen};
use crate::{ports, start};
use parking_lot::Mutex;
use portcullis_runs::{Begin, Exit, Held, Keepers, Kind, Stopped, Verdict, Wanted, page, spool};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Between two looks at a service that is starting: the first, and at most.
const FIRST_LOOK: Duration = Duration::from_millis(30);
const LOOK: Duration = Duration::from_millis(300);
/// The longest pause before a service is started again, and how long it has to be up until its failures are forgotten.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);
const STABLE: Duration = Duration::from_secs(60);
/// Restarts that are remembered, and last lines that a status shows.
const REMEMBERED: usize = 20;
const LINES: usize = 10;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing: it was never started, or somebody stopped it, or it ended with exit code 0.
    Stopped,
    /// It runs and is not ready yet.
    Starting,
    /// It runs, and is ready.
    Running,
    /// It runs and does not work as it should.
    Unhealthy,
    /// It is being stopped.
    Stopping,
    /// It ended by itself, or never became ready.
    Failed,
    /// It ended by itself and will be started again in a moment.
    Restarting,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Stopping => "stopping",
            Self::Failed => "failed",
            Self::Restarting => "restarting",
        }
    }

    pub(crate) fn is_up(self) -> bool {
        matches!(self, Self::Running | Self::Unhealthy)
    }

    /// Whether something of it may run now, or soon will.
    fn is_wanted(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Unhealthy | Self::Restarting)
    }
}

/// One service, and whoever looks after it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) id: Arc<str>,
    upstream: Arc<str>,
    keepers: Keepers,
    /// Where its output is kept, over all its runs.
    pub(crate) spool: PathBuf,
    now: Mutex<Now>,
    /// Counts changes of `now`.
    changed: watch::Sender<u64>,
    /// One start or stop at a time.
    one: tokio::sync::Mutex<()>,
}

/// How a service is at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Now {
    pub(crate) definition: Arc<Definition>,
    pub(crate) state: State,
    pub(crate) reason: Option<String>,
    pub(crate) run: Option<Arc<Held>>,
    pub(crate) port: Option<u16>,
    pub(crate) since: Instant,
    /// When it was started again, in ms since 1970, and why.
    pub(crate) restarts: Vec<(u64, String)>,
    /// Restarts in a row.
    row: u32,
    /// Where the output of this run begins.
    log_from: u64,
    /// Ends whoever looks after this run.
    watch: CancellationToken,
}

/// What a start came to.
pub(crate) enum Begun {
    /// It runs; whether it was started by this call.
    Run(bool),
    /// It was not started.
    Not(String),
}

impl Service {
    pub(crate) fn new(
        definition: Arc<Definition>,
        upstream: Arc<str>,
        keepers: Keepers,
        spool: PathBuf,
    ) -> Self {
        let now = Now {
            definition: definition.clone(),
            state: State::Stopped,
            reason: None,
            run: None,
            port: None,
            since: Instant::now(),
            restarts: Vec::new(),
            row: 0,
            log_from: 0,
            watch: CancellationToken::new(),
        };
        Self {
            id: definition.id.clone(),
            upstream,
            keepers,
            spool,
            now: Mutex::new(now),
            changed: watch::Sender::new(0),
            one: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        self.now.lock().clone()
    }

    /// Takes a changed definition, from the next start on.
    pub(crate) fn define(&self, definition: Arc<Definition>) {
        self.now.lock().definition = definition;
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        {
            let mut now = self.now.lock();
            let before = now.state;
            change(&mut now);
            if now.state != before {
                now.since = Instant::now();
            }
        }
        self.changed.send_modify(|count| *count += 1);
    }

    /// Changes it, where that run is still the one.
    fn change_of(&self, run: &Arc<Held>, change: impl FnOnce(&mut Now)) {
        self.change(|now| {
            if now.run.as_ref().is_some_and(|it| Arc::ptr_eq(it, run)) {
                change(now);
            }
        });
    }

    /// Starts it where it does not run. Two that start it at once start it once.
    pub(crate) async fn begin(self: &Arc<Self>, port: Option<u16>) -> Begun {
        let _one = self.one.lock().await;
        let begun = self.begin_alone(port).await;
        if matches!(begun, Begun::Run(true)) {
            self.change(|now| now.row = 0);
        }
        begun
    }

    async fn begin_alone(self: &Arc<Self>, port: Option<u16>) -> Begun {
        let now = self.now();
        if let Some(run) = now.run.filter(|run| run.over().is_none()) {
            if now.state.is_wanted() {
                return Begun::Run(false);
            }
            // It is on its way out; what is left of it must not be taken for the new one.
            let _ = run.ended().await;
        }
        if let Some(why) = self.is_in_the_way().await {
            return Begun::Not(why);
        }
        let asked = port.or(now.port.filter(|_| now.state == State::Restarting));
        self.start(asked).await
    }

    /// What survived the last stop must not meet what is started now. It is stopped once more; what lives then is named.
    async fn is_in_the_way(&self) -> Option<String> {
        let now = self.now();
        let run = now.run.filter(|run| run.may_live())?;
        let stopped = self.keepers.stop(&run, now.definition.stop.grace).await;
        run.may_live().then(|| format!("its last run was not stopped: {}", stopped.summary()))
    }

    async fn start(self: &Arc<Self>, asked: Option<u16>) -> Begun {
        let definition = self.now().definition;
        let (keepers, upstream, spool) = (self.keepers.clone(), self.upstream.clone(), self.spool.clone());
        let wanted = {
            let definition = definition.clone();
            let look = move || {
                let port = start::port(&definition, asked)?;
                let log_from = spool::end(&spool);
                Ok((start::service(&upstream, &definition, port, spool)?, port, log_from))
            };
            tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| Err(error.to_string()))
        };
        let held = match wanted {
            Ok((hold, port, log_from)) => keepers.hold(hold).await.map(|piped| (piped.held, port, log_from)),
            Err(why) => Err(why),
        };
        match held {
            Ok((held, port, log_from)) => {
                self.go_on(held, port, log_from, State::Starting);
                Begun::Run(true)
            }
            Err(why) => {
                self.change(|now| {
                    now.state = State::Failed;
                    now.reason = Some(why.clone());
                });
                Begun::Not(why)
            }
        }
    }

    /// Takes over a run that an earlier gate started.
    pub(crate) fn adopt(self: &Arc<Self>, held: Arc<Held>) {
        let port = held.about.port;
        // It was ready when it was started, for all that is known.
        self.go_on(held, port, 0, State::Running);
    }

    fn go_on(self: &Arc<Self>, held: Arc<Held>, port: Option<u16>, log_from: u64, state: State) {
        let watch = CancellationToken::new();
        let before = {
            let mut now = self.now.lock();
            std::mem::replace(&mut now.watch, watch.clone())
        };
        before.cancel();
        self.change(|now| {
            now.state = state;
            now.reason = None;
            now.run = Some(held.clone());
            now.port = port;
            now.log_from = log_from;
        });
        tokio::spawn(self.clone().look_after(held, watch));
    }

    /// Looks after a run until it is over, and starts the service again where that is to be.
    async fn look_after(self: Arc<Self>, held: Arc<Held>, watch: CancellationToken) {
        let now = self.now();
        let definition = now.definition.clone();
        let looked = Looked {
            definition: definition.clone(),
            held: held.clone(),
            port: now.port,
            log_from: now.log_from,
            keepers: self.keepers.clone(),
            upstream: self.upstream.clone(),
        };
        let exit = tokio::select! {
            exit = held.exited() => Some(exit),
            // It ends where the run was given up.
            () = self.look_at(&looked, &held) => None,
            () = watch.cancelled() => return,
        };
        if let Some(exit) = &exit {
            let asked = held.is_asked_to_stop();
            self.ended_by_itself(&held, exit, asked);
        }
        let _ = held.ended().await;
        if self.now().state == State::Restarting {
            self.start_again(&definition.restart, &watch).await;
        }
    }

    /// Looks whether it becomes ready, and after that whether it still works. Ends where it does not.
    async fn look_at(&self, looked: &Looked, held: &Arc<Held>) {
        let definition = &looked.definition;
        if let Some(ready) = definition.ready.as_ref().filter(|_| self.now().state == State::Starting) {
            let (began, mut pause) = (Instant::now(), FIRST_LOOK);
            loop {
                let seen = looked.look(&ready.probe).await;
                let missing = match seen {
                    Seen::Good => break,
                    Seen::Not(missing) if began.elapsed() < ready.timeout => {
                        self.change_of(held, |now| now.reason = Some(missing));
                        tokio::time::sleep(pause).await;
                        pause = (pause * 3 / 2).min(LOOK);
                        continue;
                    }
                    Seen::Not(missing) => {
                        format!("it was not ready within {} s: {missing}", ready.timeout.as_secs_f64())
                    }
                    Seen::Never(why) => why,
                };
                self.give_up(held, &missing).await;
                return;
            }
        }
        self.change_of(held, |now| {
            now.state = State::Running;
            now.reason = None;
        });
        let Some(live) = &definition.live else { return std::future::pending().await };
        let mut failures = 0;
        loop {
            tokio::time::sleep(live.every).await;
            match looked.look(&live.probe).await {
                Seen::Good => {
                    failures = 0;
                    self.change_of(held, |now| (now.state, now.reason) = (State::Running, None));
                }
                Seen::Not(what) | Seen::Never(what) => {
                    failures += 1;
                    self.change_of(held, |now| {
                        (now.state, now.reason) = (State::Unhealthy, Some(what.clone()));
                    });
                    if failures >= live.failures && definition.restart.when != When::No {
                        self.give_up(held, &format!("it did not work {failures} times in a row: {what}"))
                            .await;
                        return;
                    }
                }
            }
        }
    }

    /// Stops a run that does not do what it should.
    async fn give_up(&self, held: &Arc<Held>, why: &str) {
        let grace = self.now().definition.stop.grace;
        self.fail(held, why, false);
        let _ = held.stop(grace).await;
    }

    fn ended_by_itself(&self, held: &Arc<Held>, exit: &Exit, asked: bool) {
        if asked {
            self.change_of(held, |now| {
                // A reason that stands there says why it was stopped.
                if now.state.is_wanted() && now.state != State::Restarting {
                    now.state = State::Stopped;
                    now.reason = Some(exit.to_string());
                }
            });
            return;
        }
        let last = exit.last.last().map(|line| format!("; last: {line}")).unwrap_or_default();
        self.fail(held, &format!("it {exit}{last}"), exit.code == Some(0) && exit.cause.is_none());
    }

    /// It ended, or has to: it is started again, or is done.
    fn fail(&self, held: &Arc<Held>, why: &str, well: bool) {
        self.change_of(held, |now| {
            let Restart { when, max, .. } = now.definition.restart;
            if now.since.elapsed() >= STABLE && now.state == State::Running {
                now.row = 0;
            }
            let again = match when {
                When::No => false,
                When::OnFailure => !well,
                When::Always => true,
            };
            now.reason = Some(why.to_owned());
            if again && now.row < max {
                now.row += 1;
                now.state = State::Restarting;
                now.restarts.push((spool::now_ms(), why.to_owned()));
                if now.restarts.len() > REMEMBERED {
                    now.restarts.remove(0);
                }
                return;
            }
            now.state = if well { State::Stopped } else { State::Failed };
            if again {
                now.reason =
                    Some(format!("{why}; it was started again {max} times in a row, and is given up"));
            }
        });
    }

    async fn start_again(self: &Arc<Self>, restart: &Restart, watch: &CancellationToken) {
        let row = self.now().row;
        let pause = restart.backoff.saturating_mul(1 << row.saturating_sub(1).min(16)).min(LONGEST_BACKOFF);
        // Those that failed together do not come back together.
        let jitter =
            pause.mul_f64(f64::from(u32::from(self.id.bytes().fold(0_u8, u8::wrapping_add))) / 2550.0);
        tokio::select! {
            () = tokio::time::sleep(pause + jitter) => {}
            () = watch.cancelled() => return,
        }
        let again = self.clone();
        // A task of its own: this one ends with the run that it looked after.
        tokio::spawn(async move {
            let _one = again.one.lock().await;
            if again.now().state == State::Restarting {
                let _ = again.begin_alone(None).await;
            }
        });
    }

    /// Stops it: nothing of it lives then, and nothing starts it again. Gives its last run and what came of it.
    pub(crate) async fn stop(&self, grace: Option<Duration>) -> (Option<Arc<Held>>, Stopped) {
        // What is just being started is there after that.
        let one = self.one.lock().await;
        let now = self.now();
        let grace = grace.unwrap_or(now.definition.stop.grace);
        if now.state == State::Restarting {
            self.change(|now| {
                now.watch.cancel();
                (now.state, now.reason) = (State::Stopped, Some("it was stopped".into()));
            });
        }
        let Some(run) = now.run else {
            return (None, Stopped::without_proof(Verdict::AlreadyEnded, 0));
        };
        if !run.may_live() {
            let stopped = self.keepers.stop(&run, grace).await;
            return (Some(run), stopped);
        }
        self.change_of(&run, |now| {
            now.watch.cancel();
            (now.state, now.reason) = (State::Stopping, None);
        });
        drop(one);
        let stopped = self.keepers.stop(&run, grace).await;
        self.change_of(&run, |now| {
            (now.state, now.reason) = (State::Stopped, run.exit().as_ref().map(ToString::to_string));
        });
        (Some(run), stopped)
    }

    /// Waits until that is true, at most so long. Gives how it is then.
    pub(crate) async fn wait_for(&self, wanted: impl Fn(&Now) -> bool, at_most: Duration) -> Now {
        let mut changes = self.changed.subscribe();
        let until = tokio::time::Instant::now() + at_most;
        loop {
            let now = self.now();
            if wanted(&now) {
                return now;
            }
            match tokio::time::timeout_at(until, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return self.now(),
            }
        }
    }

    /// The last lines of its output.
    pub(crate) fn last_lines(&self, cover: fn(&str) -> String) -> Vec<String> {
        let from = Begin::Tail(LINES);
        let wanted = Wanted { from, since_ms: 0, grep: None, stream: None, max_bytes: 16 * 1024 };
        page(&self.spool, &wanted, cover).lines.into_iter().map(|line| line.text).collect()
    }
}

impl Now {
    /// Its run, where something of it may live.
    pub(crate) fn lives(&self) -> Option<&Arc<Held>> {
        self.run.as_ref().filter(|run| run.about.kind == Kind::Service && run.over().is_none())
    }

    /// Whether it runs, or will again without being asked.
    pub(crate) fn may_run(&self) -> bool {
        self.lives().is_some() || matches!(self.state, State::Restarting)
    }

    /// Ports that its processes listen on with their addresses, and what these use: ms of processor time, bytes.
    /// Blocks.
    pub(crate) fn looked_at(&self) -> (BTreeMap<u16, IpAddr>, u64, u64) {
        let members = self.lives().map(|run| run.processes()).unwrap_or_default();
        let (cpu, memory) = ports::usage(&members);
        (ports::of(&members), cpu, memory)
    }

    /// Where it answers, given the ports that it listens on. One that was only offered its port may have no use for it.
    pub(crate) fn url(&self, ports: &BTreeMap<u16, IpAddr>) -> Option<String> {
        self.lives()?;
        let port = self.port?;
        let offered = matches!(self.definition.port, Some(Port::Offered(_)));
        let usual = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let address = ports.get(&port).copied().or((!offered).then_some(usual))?;
        Some(format!("http://{}", SocketAddr::new(address, port)))
    }
}
