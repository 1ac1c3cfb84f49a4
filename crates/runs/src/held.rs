//! Runs that are processes: each is held by a keeper of its own.

use crate::{Drops, Program, RunId};
use parking_lot::Mutex;
use portcullis_keeper::{
    Containment, Exit, Members, Order, Process, Report, Start, Started, Stop, Stopped, Verdict, Watcher,
};
use portcullis_ledger::{Draft, Keep, Kind, Ledger};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The variable that marks everything a run started. The gate's control socket refuses whoever carries it.
pub const MARK: &str = "PORTCULLIS_RUN";

/// How long a server may take to end by itself after its stdin was closed, and again after SIGTERM, in ms.
const GRACE: u64 = 2000;
/// How often a start is tried again because another thread was just starting something: the kernel refuses to start a
/// file that anybody, if only for that moment, has open for writing (`ETXTBSY`).
const BUSY: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Orders that may wait for a keeper.
const ORDERS: usize = 16;
/// Runs that are over and still listed, at most. The record has all of them.
const ENDED: usize = 200;

/// A command to hold. It has secrets in it, so it is not kept and cannot be printed.
pub struct Hold {
    /// Whose it is: a grant, or `gate` where it serves all.
    pub owner: Arc<str>,
    /// The upstream that it is.
    pub upstream: Arc<str>,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, but for the mark.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
    /// Where its stderr is kept.
    pub log: Option<PathBuf>,
}

/// Starts keepers, and knows every run that one of them holds. Clones share it.
#[derive(Debug, Clone)]
pub struct Keepers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: Program,
    ledger: Ledger,
    containment: Option<Containment>,
    drops: Drops,
    cover: fn(&str) -> String,
    held: Mutex<BTreeMap<RunId, Arc<Held>>>,
    ended: Mutex<VecDeque<Arc<Held>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// What everybody may know of a run.
#[derive(Debug)]
pub struct About {
    /// Its id, which is its mark too.
    pub id: RunId,
    /// Whose it is: a grant, or `gate` where it serves all.
    pub owner: Arc<str>,
    /// The upstream that it is.
    pub upstream: Arc<str>,
    /// The command line, without secrets.
    pub line: String,
}

/// A run that a keeper holds.
#[derive(Debug)]
pub struct Held {
    /// What it is.
    pub about: About,
    /// When it was started.
    pub began: SystemTime,
    /// The command and what contains it.
    pub started: Started,
    orders: mpsc::Sender<Order>,
    over: watch::Receiver<Option<Over>>,
}

/// A keeper whose command runs.
struct Keeper {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    reports: Reports,
    writing: OwnedWriteHalf,
    started: Started,
}

/// The end of a run.
#[derive(Debug, Clone)]
pub struct Over {
    /// When it was proved.
    pub at: SystemTime,
    /// What was found.
    pub stopped: Arc<Stopped>,
}

/// A command that was started: the gate's ends of its pipes.
#[derive(Debug)]
pub struct Piped {
    /// Its stdin.
    pub stdin: ChildStdin,
    /// Its stdout.
    pub stdout: ChildStdout,
    /// The run.
    pub held: Arc<Held>,
    /// Cancel it to stop the run once its stdin is closed; dropping the last clone does nothing by itself.
    pub stop: CancellationToken,
    /// Gives how the command ended, as soon as it did.
    pub exited: oneshot::Receiver<Exit>,
}

impl Keepers {
    /// Runs are recorded in `ledger`; `containment` asks for one means and no other; what `drops` holds is not started;
    /// `cover` takes the secrets out of a command line before anybody sees it.
    #[must_use]
    pub fn new(
        program: Program,
        ledger: Ledger,
        containment: Option<Containment>,
        drops: Drops,
        cover: fn(&str) -> String,
    ) -> Self {
        // What a killed keeper leaves then comes to this process, and not to the machine's first one. Where the system has
        // no such thing, the mark and the session are all there is.
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        Self(Arc::new(Inner {
            program,
            ledger,
            containment,
            drops,
            cover,
            held: Mutex::default(),
            ended: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }

    /// All runs that are held, in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Held>> {
        self.0.held.lock().values().cloned().collect()
    }

    /// The last runs that are over, the latest last.
    #[must_use]
    pub fn ended(&self) -> Vec<Arc<Held>> {
        self.0.ended.lock().iter().cloned().collect()
    }

    /// Stops all runs and waits until they are over.
    pub async fn stop_all(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Records that a command is to run, and starts it.
    ///
    /// # Errors
    /// What kept it from starting, for a person.
    pub async fn hold(&self, what: Hold) -> Result<Piped, String> {
        // Whoever waits for all runs to end waits for those that are just being started too.
        let _one_more = self.0.tasks.token();
        let about = About {
            id: RunId::fresh().map_err(|error| format!("the system gives no random bytes: {error}"))?,
            owner: what.owner.clone(),
            upstream: what.upstream.clone(),
            line: (self.0.cover)(&what.line()),
        };
        if let Some(why) = self.dropped(&about) {
            return Err(why);
        }
        self.record(&about, &format!("starting: {}", about.line), None)
            .await
            .map_err(|failure| format!("it is not started, because it cannot be recorded: {failure}"))?;
        match self.start(&about.id, what).await {
            Ok(keeper) => {
                let piped = self.follow(about, keeper);
                // Dropped after it was looked at above and before it was listed, where the drop would have found it.
                if self.dropped(&piped.held.about).is_some() {
                    piped.stop.cancel();
                }
                Ok(piped)
            }
            Err(why) => {
                let _ = self.record(&about, &format!("not started: {why}"), None).await;
                Err(why)
            }
        }
    }

    async fn start(&self, id: &RunId, what: Hold) -> Result<Keeper, String> {
        let program = self.0.program.path()?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .and_then(|(ours, theirs)| ours.set_nonblocking(true).map(|()| (ours, theirs)))
            .map_err(|error| format!("no socket for the keeper: {error}"))?;
        let mut command = Command::new(&program);
        command.env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(OwnedFd::from(theirs));
        let mut child = spawn(&mut command).await.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "; is the data folder on a file system mounted noexec?",
                _ => "",
            };
            format!("the keeper {} cannot be started: {error}{hint}", program.display())
        })?;
        // The command has the other end of the socket in it, and would keep it open.
        drop(command);
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the keeper was started without its pipes".into());
        };
        let talk = |error: io::Error| format!("the keeper cannot be spoken to: {error}");
        let (reading, mut writing) = UnixStream::from_std(ours).map_err(talk)?.into_split();
        let start = Start {
            run: id.as_str().into(),
            mark: (MARK.into(), id.as_str().into()),
            program: what.program,
            args: what.args,
            env: what.env,
            cwd: what.cwd,
            log: what.log,
            containment: self.0.containment,
            on_loss: Stop { wait_ms: 0, grace_ms: GRACE },
        };
        send(&mut writing, &start).await.map_err(talk)?;
        let mut reports = Reports(BufReader::new(reading).lines());
        match reports.next().await {
            Some(Report::Started(mut started)) => {
                self.cover(&mut started.process);
                Ok(Keeper { child, stdin, stdout, reports, writing, started })
            }
            Some(Report::Failed(why)) => Err(why),
            _ => Err("the keeper ended before it started anything".into()),
        }
    }

    /// Lists a run and hears its keeper until the run is over.
    fn follow(&self, about: About, keeper: Keeper) -> Piped {
        let Keeper { mut child, stdin, stdout, mut reports, mut writing, started } = keeper;
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (tell_over, over) = watch::channel(None);
        let held = Arc::new(Held { about, began: SystemTime::now(), started, orders, over });
        self.0.held.lock().insert(held.about.id.clone(), held.clone());
        let stop = self.0.stop.child_token();
        let (tell_exit, exited) = oneshot::channel();
        let (keepers, run, stopping) = (self.clone(), held.clone(), stop.clone());
        self.0.tasks.spawn(async move {
            let since = Instant::now();
            let heard = hear(&run, &mut reports, &mut writing, ordered, stopping, tell_exit).await;
            let mut stopped = match heard {
                Some(stopped) => stopped,
                None => without_keeper(run.clone(), keepers.0.program.file().to_owned()).await,
            };
            let survivors = stopped.survivors.iter_mut().map(|survivor| &mut survivor.process);
            stopped.before.iter_mut().chain(survivors).for_each(|process| keepers.cover(process));
            let _ = child.wait().await;
            keepers.record_end(&run.about, &stopped, since.elapsed()).await;
            let _ = tell_over.send_replace(Some(Over { at: SystemTime::now(), stopped: Arc::new(stopped) }));
            keepers.0.held.lock().remove(&run.about.id);
            let mut ended = keepers.0.ended.lock();
            if ended.len() == ENDED {
                ended.pop_front();
            }
            ended.push_back(run);
        });
        Piped { stdin, stdout, held, stop, exited }
    }

    fn dropped(&self, about: &About) -> Option<String> {
        self.0.drops.holds(&about.owner, &about.upstream)
    }

    fn cover(&self, process: &mut Process) {
        process.command = (self.0.cover)(&process.command);
    }

    async fn record_end(&self, about: &About, stopped: &Stopped, after: Duration) {
        let verdict = serde_json::to_string(stopped).unwrap_or_default();
        let message = format!("over: {}", stopped.summary());
        if !stopped.survivors.is_empty() {
            tracing::error!(run = %about.id, upstream = %about.upstream, "{}", stopped.summary());
        }
        if let Err(failure) = self.record(about, &message, Some((&verdict, after))).await {
            tracing::error!(run = %about.id, %failure, "the end of a run could not be recorded: {message}");
        }
    }

    async fn record(
        &self,
        about: &About,
        message: &str,
        end: Option<(&str, Duration)>,
    ) -> Result<u64, portcullis_ledger::Failure> {
        let draft = Draft {
            grant: Some(&about.owner),
            upstream: Some(&about.upstream),
            run: Some(about.id.as_str()),
            message: Some(message),
            verdict: end.map(|(verdict, _)| verdict),
            duration_ms: end.map(|(_, after)| (after.as_secs_f64() * 1e6).round() / 1e3),
            ..Draft::of(Kind::Run)
        };
        self.0.ledger.append(draft.write(), Vec::new(), Keep::Process).await
    }
}

impl Hold {
    /// The command line, for a person: the program and its arguments, cut to a readable length.
    fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(String::as_str);
        words.collect::<Vec<_>>().join(" ").chars().take(160).collect()
    }
}

impl Held {
    /// Stops it: SIGTERM, and after `grace` SIGKILL. Gives what came of it, also where it is being stopped already.
    pub async fn stop(&self, grace: Duration) -> Option<Arc<Stopped>> {
        let grace_ms = grace.as_millis().try_into().unwrap_or(u64::MAX);
        let _ = self.orders.send(Order::Stop(Stop { wait_ms: 0, grace_ms })).await;
        let mut over = self.over.clone();
        Some(over.wait_for(Option::is_some).await.ok()?.as_ref()?.stopped.clone())
    }

    /// How it ended, once it did.
    #[must_use]
    pub fn over(&self) -> Option<Over> {
        self.over.borrow().clone()
    }
}

/// Hears a keeper to its last word. `None` where it ended without one.
async fn hear(
    run: &Held,
    reports: &mut Reports,
    writing: &mut OwnedWriteHalf,
    mut orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
    tell_exit: oneshot::Sender<Exit>,
) -> Option<Stopped> {
    let (mut tell_exit, mut asked) = (Some(tell_exit), false);
    loop {
        let order = tokio::select! {
            report = reports.next() => match report? {
                Report::Exited(exit) => {
                    if let Some(tell) = tell_exit.take() {
                        let _ = tell.send(exit);
                    }
                    continue;
                }
                Report::Over(stopped) => return Some(stopped),
                Report::Started(_) | Report::Failed(_) => continue,
            },
            () = stop.cancelled(), if !asked => {
                asked = true;
                Order::Stop(Stop { wait_ms: GRACE, grace_ms: GRACE })
            }
            Some(order) = orders.recv() => order,
        };
        if let Err(error) = send(writing, &order).await {
            // It ended, and its last words are still to be read.
            tracing::debug!(run = %run.about.id, %error, "an order came too late for a keeper");
        }
    }
}

/// The keeper was killed: its work is done here. What it had adopted came to this process.
async fn without_keeper(run: Arc<Held>, keepers: PathBuf) -> Stopped {
    tracing::error!(run = %run.about.id, "a keeper was ended from outside; its run is stopped");
    let work = move || {
        let mark = (MARK.to_owned(), run.about.id.as_str().to_owned());
        let members = Members::of(&run.started, &mark, Watcher::Gate(&keepers));
        portcullis_keeper::stop(&members, Stop { wait_ms: 0, grace_ms: GRACE })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Stopped::without_proof(Verdict::Partial, 0))
}

async fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY {
        #[allow(clippy::disallowed_methods, reason = "this is the one place where keepers are started")]
        match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(BUSY_PAUSE).await;
            }
            done => return done,
        }
    }
    Err(io::ErrorKind::ExecutableFileBusy.into())
}

async fn send(writing: &mut OwnedWriteHalf, message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    writing.write_all(&line).await
}

struct Reports(Lines<BufReader<OwnedReadHalf>>);

impl Reports {
    /// The next report. `None` once the keeper is gone.
    async fn next(&mut self) -> Option<Report> {
        let line = self.0.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}
