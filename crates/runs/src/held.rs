//! A run that a keeper holds.

use crate::keepers::mark;
use crate::{GRACE, Kind, RunId, millis};
use portcullis_keeper::{
    Ended, Exit, Folder, Members, OnLoss, Order, Process, Report, Started, Stop, Verdict, Watcher, parent_of,
};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What everybody may know of a run.
#[derive(Debug, Clone)]
pub struct About {
    /// Its id, which is its mark too.
    pub id: RunId,
    /// The rest, which stands in its folder as well.
    pub what: What,
}

/// Whose a run is, and what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct What {
    /// What it is.
    pub kind: Kind,
    /// Whose it is: a grant, or `gate` where it serves all.
    pub owner: Arc<str>,
    /// The upstream that it is, or that started it.
    pub upstream: Arc<str>,
    /// The service or the tool that it belongs to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// The port that it listens on, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The command line, without secrets.
    pub line: String,
    /// Where its output is kept, unless in its own folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<PathBuf>,
}

impl std::ops::Deref for About {
    type Target = What;

    fn deref(&self) -> &What {
        &self.what
    }
}

/// A run that a keeper holds, or that is over and still listed.
#[derive(Debug)]
pub struct Held {
    /// What it is.
    pub about: About,
    /// When it was started, in ms since 1970.
    pub began_ms: u64,
    /// The command and what contains it.
    pub started: Started,
    /// What becomes of it once its gate is gone.
    pub on_loss: OnLoss,
    pub(crate) folder: Folder,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) exit: watch::Receiver<Option<Exit>>,
    pub(crate) over: watch::Sender<Option<Arc<Ended>>>,
    pub(crate) stopping: AtomicBool,
    /// The shortest grace that somebody gave it, in ms.
    pub(crate) grace: AtomicU64,
}

/// A command that was started: the gate's ends of its pipes.
#[derive(Debug)]
pub struct Piped {
    /// Its stdin, where it is a pipe.
    pub stdin: Option<ChildStdin>,
    /// Its stdout, where it is a pipe.
    pub stdout: Option<ChildStdout>,
    /// The run.
    pub held: Arc<Held>,
    /// Cancel it to stop the run once its stdin is closed; dropping the last clone does nothing by itself.
    pub stop: CancellationToken,
}

impl Held {
    /// Stops it: it is asked to end, and after `grace` killed. Gives what came of it, also where it is being stopped
    /// already; `None` where that cannot be known.
    pub async fn stop(&self, grace: Duration) -> Option<Arc<Ended>> {
        self.stopping.store(true, Ordering::Relaxed);
        let grace_ms = millis(grace);
        self.grace.fetch_min(grace_ms, Ordering::Relaxed);
        let _ = self.orders.send(Order::Stop(Stop { wait_ms: 0, grace_ms })).await;
        self.ended().await
    }

    /// Waits until nothing of it lives, or what does is known.
    pub async fn ended(&self) -> Option<Arc<Ended>> {
        self.over.subscribe().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Waits until its command ended, and says how, where that was seen.
    pub async fn exited(&self) -> Exit {
        let exit = self.exit.clone().wait_for(Option::is_some).await.ok().and_then(|exit| exit.clone());
        exit.unwrap_or_default()
    }

    /// What lives of it now. Blocks for as long as it takes to look at all processes of the machine.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let mark = mark(&self.about.id);
        // The command is the keeper's child, also when it has ended: the keeper fetches its exit status last.
        match parent_of(self.started.process.pid) {
            Some(keeper) if self.over().is_none() => {
                Members::of(&self.started, &mark, Watcher::Beside(keeper)).living()
            }
            _ => Vec::new(),
        }
    }

    /// How its command ended, once it did.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// How it ended, once it did.
    #[must_use]
    pub fn over(&self) -> Option<Arc<Ended>> {
        self.over.borrow().clone()
    }

    /// Whether something of it may live: it is not over, or nothing proved its end.
    #[must_use]
    pub fn may_live(&self) -> bool {
        let unproved = |verdict| matches!(verdict, Verdict::Partial | Verdict::Unconfirmed);
        self.over().is_none_or(|over| unproved(over.stopped.verdict))
    }

    /// Whether somebody asked for its end.
    #[must_use]
    pub fn is_asked_to_stop(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// `running`, `stopping` or `ended`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.over.borrow().is_some(), self.stopping.load(Ordering::Relaxed)) {
            (true, _) => "ended",
            (false, true) => "stopping",
            (false, false) => "running",
        }
    }

    /// The folder of what it wrote ([`portcullis_keeper::spool`]).
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.about.spool.clone().unwrap_or_else(|| spool_in(self.folder.path()))
    }
}

pub(crate) fn spool_in(folder: &Path) -> PathBuf {
    folder.join("log")
}

async fn late(due: Option<Due>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.at).await,
        None => std::future::pending().await,
    }
}

/// Whether it runs, or waits for something. Whoever was stopped does neither.
fn is_at_work(keeper: &Process) -> bool {
    Process::of(keeper.pid).is_some_and(|now| now.same_as(keeper) && !matches!(now.kin.state, 'T' | 't'))
}

/// The gate's end of a keeper's socket.
pub(crate) struct Line {
    pub(crate) reports: Reports,
    pub(crate) orders: Orders,
}

impl Line {
    pub(crate) fn of(socket: std::os::unix::net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (reading, writing) = UnixStream::from_std(socket)?.into_split();
        Ok(Self { reports: Reports(BufReader::new(reading).lines()), orders: Orders(writing) })
    }
}

pub(crate) struct Orders(OwnedWriteHalf);

impl Orders {
    pub(crate) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}

pub(crate) struct Reports(Lines<BufReader<OwnedReadHalf>>);

impl Reports {
    /// The next report. `None` once the keeper is gone.
    pub(crate) async fn next(&mut self) -> Option<Report> {
        let line = self.0.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }
}

/// What is heard of a keeper at last.
pub(crate) enum Last {
    /// The run is over.
    Over(Box<Ended>),
    /// The keeper is gone, and did not say what became of its run.
    Gone(Gone),
    /// The gate ends, and the run goes on.
    Left,
}

/// What a keeper is given beyond the times of a stop, to say that it did it.
const ANSWER: Duration = Duration::from_secs(2);
/// One that is at work is given more: against a storm of forks it kills for some rounds.
const WORK: Duration = Duration::from_secs(15);
/// How often one that is late is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// By when a keeper is to have stopped its run.
#[derive(Clone, Copy)]
struct Due {
    at: Instant,
    /// After which it is not waited for, whatever it does.
    last: Instant,
}

impl Due {
    fn of(stop: Stop) -> Self {
        let at = Instant::now() + Duration::from_millis(stop.wait_ms.saturating_add(stop.grace_ms)) + ANSWER;
        Self { at, last: at + WORK }
    }

    fn sooner(self, other: Option<Self>) -> Self {
        other.filter(|other| other.last < self.last).unwrap_or(self)
    }
}

/// Why a keeper is gone.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gone {
    /// Somebody else ended it.
    Ended,
    /// It did not stop its run when it was told to, and was killed.
    Deaf,
}

impl Gone {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ended => "its keeper was ended from outside",
            Self::Deaf => "its keeper did not answer, and was killed",
        }
    }
}

/// Hears a keeper to its last word. One that was told to stop its run and does not answer in time is killed: somebody may have stopped
/// it, and a stop does not wait for that.
pub(crate) async fn hear(
    run: &Held,
    keeper: Option<&Process>,
    mut line: Line,
    mut orders: mpsc::Receiver<Order>,
    stop: CancellationToken,
    all: &CancellationToken,
    tell_exit: watch::Sender<Option<Exit>>,
) -> Last {
    let keeps = run.on_loss == OnLoss::Keep;
    let wait_ms = millis(GRACE);
    let mut asked = false;
    let mut due: Option<Due> = None;
    loop {
        let order = tokio::select! {
            report = line.reports.next() => match report {
                None => return Last::Gone(Gone::Ended),
                Some(Report::Exited(exit)) => {
                    let _ = tell_exit.send_replace(Some(exit));
                    continue;
                }
                Some(Report::Over(ended)) => return Last::Over(Box::new(ended)),
                Some(Report::Started(_) | Report::Failed(_)) => continue,
            },
            () = all.cancelled(), if keeps => return Last::Left,
            () = stop.cancelled(), if !asked => {
                asked = true;
                run.stopping.store(true, Ordering::Relaxed);
                Order::Stop(Stop { wait_ms, grace_ms: wait_ms })
            }
            Some(order) = orders.recv() => order,
            () = late(due), if due.is_some() => {
                let Some(now) = due else { continue };
                if Instant::now() < now.last && keeper.is_some_and(is_at_work) {
                    due = Some(Due { at: now.last.min(Instant::now() + LOOK), ..now });
                    continue;
                }
                keeper.into_iter().for_each(portcullis_keeper::kill);
                return Last::Gone(Gone::Deaf);
            }
        };
        if let Order::Stop(stop) = &order {
            due = Some(Due::of(*stop).sooner(due));
            keeper.into_iter().for_each(portcullis_keeper::wake);
        }
        if let Err(error) = line.orders.send(&order).await {
            // It ended, and its last words are still to be read.
            tracing::debug!(run = %run.about.id, %error, "an order came too late for a keeper");
        }
    }
}
