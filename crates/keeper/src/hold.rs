//! Holding the run from its start to its end.

use crate::control::{self, Control, From};
use crate::output::Output;
use crate::{signals, spawn};
use portcullis_keeper::spool::{Spool, Stream, now_ms};
use portcullis_keeper::{
    Ask, Ended, Exit, Folder, Limits, Members, OnLoss, Order, Process, Report, RunFile, Start, Stop, Watcher,
    boot_id, let_go_of_the_start, stop,
};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How often the run is looked after.
const LOOK: Duration = Duration::from_secs(1);
/// How long the last words of a command that ended are waited for, and those of all that it started, once they ended.
const LAST_WORDS: Duration = Duration::from_millis(20);
const ALL_WORDS: Duration = Duration::from_millis(500);

/// What a keeper waits for.
pub(crate) enum News {
    /// Somebody came to the run's folder.
    Joined(From, UnixStream),
    /// Somebody wants something.
    Order(From, Order),
    /// A connection was closed.
    Gone(From),
    /// Somebody ends the keeper.
    Signal,
    /// The command ended.
    Exited(Exit),
}

/// Why a run is not held any longer.
enum Why {
    /// Somebody asked for its end.
    Asked(Stop),
    /// Its command ended.
    Ended,
    /// Nobody asked: what happened.
    Cause(String),
}

/// Starts the run that the gate asks for and holds it until nothing of it lives.
pub(crate) fn hold() -> io::Result<()> {
    let mut control = Control::take()?;
    let start = control.start()?;
    // Out of the gate's session: a Ctrl-C there is meant for the gate, which then tells us. It fails for a leader only.
    let _ = rustix::process::setsid();
    let (tell, news) = mpsc::channel();
    signals::turn_into_news(tell.clone())?;
    let mut spawned = match spawn::spawn(&start) {
        Ok(spawned) => spawned,
        Err(why) => {
            control.tell(&Report::Failed(why));
            return Ok(());
        }
    };
    let output = Output::new(start.output.as_ref().map(|kept| Spool::open(&kept.folder, kept.bytes)));
    let (said_all, last_words) = mpsc::channel::<()>();
    output.follow(spawned.stderr.take(), Stream::Err, said_all.clone())?;
    output.follow(spawned.stdout.take(), Stream::Out, said_all)?;
    watch(spawned.pid, tell.clone())?;
    let folder = Folder::at(start.folder.clone());
    // Where that cannot be had, the run is held all the same. A gate that comes later does not find it, so it ends with this
    // one.
    let mut on_loss = OnLoss::StopAfter(0);
    if keep_run(&folder, &start, &spawned.started)
        && let Ok(listener) = folder.listen()
    {
        control::receive(listener, tell.clone())?;
        on_loss = start.on_loss;
    }
    control.listen(tell)?;
    control.tell(&Report::Started(spawned.started.clone()));

    // There may be many keepers, and most only wait.
    let_go_of_the_start();
    let members = Members::of(&spawned.started, &start.mark, Watcher::Keeper);
    let mut holding = Holding {
        start: &start,
        on_loss,
        control,
        members: &members,
        output: &output,
        exit: None,
        cause: None,
    };
    let how = match holding.wait(&news, &last_words) {
        Why::Asked(how) => how,
        Why::Ended => Stop { wait_ms: 0, ..start.stop },
        Why::Cause(cause) => {
            holding.cause = Some(cause);
            start.stop
        }
    };
    let mut command = || spawn::stop_command(&start);
    let ask = match &start.stop_command {
        Some(_) => Ask::Command(&mut command),
        None => Ask::Signal(start.signal.and_then(Signal::from_named_raw).unwrap_or(Signal::TERM)),
    };
    let stopped = stop(&members, how, ask, &mut || holding.hear_meanwhile(&news));
    let _ = last_words.recv_timeout(ALL_WORDS);
    let _ = holding.hear_meanwhile(&news);
    let Holding { mut control, exit, cause, .. } = holding;
    let ended = Ended { at_ms: now_ms(), stopped, exit, cause };
    let _ = folder.keep_over(&ended);
    control.tell(&Report::Over(ended));
    Ok(())
}

struct Holding<'a> {
    start: &'a Start,
    on_loss: OnLoss,
    control: Control,
    members: &'a Members<'a>,
    output: &'a Output,
    exit: Option<Exit>,
    /// Why it is stopped, where nobody asked for it.
    cause: Option<String>,
}

impl Holding<'_> {
    /// Waits for a reason to end the run.
    fn wait(&mut self, news: &Receiver<News>, last_words: &Receiver<()>) -> Why {
        let began = Instant::now();
        let mut lost: Option<Instant> = None;
        let mut looked = began;
        loop {
            let now = Instant::now();
            if let (Some(lost), OnLoss::StopAfter(ms)) = (lost, self.on_loss)
                && now >= lost + Duration::from_millis(ms)
            {
                return Why::Cause("its gate is gone".into());
            }
            if let Some(limit) = self.overtime(began, now) {
                return Why::Cause(limit);
            }
            if now >= looked + LOOK {
                looked = now;
                self.members.look_after();
                if let Some(limit) = self.overuse() {
                    return Why::Cause(limit);
                }
            }
            match news.recv_timeout(self.until_next(began, lost, looked + LOOK)) {
                Ok(News::Order(_, Order::Stop(how))) => return Why::Asked(how),
                Ok(News::Order(from, Order::Adopt)) => {
                    self.control.adopt(from);
                    self.control.tell(&Report::Started(self.members.started().clone()));
                    lost = None;
                }
                Ok(News::Joined(from, guest)) => self.control.join(from, guest),
                Ok(News::Gone(from)) => {
                    if self.control.gone(from) {
                        lost = Some(Instant::now());
                    }
                }
                Ok(News::Signal) | Err(RecvTimeoutError::Disconnected) => return Why::Asked(self.start.stop),
                Ok(News::Exited(exit)) => {
                    // What it started and did not wait for may hold its output, so this wait has an end.
                    let _ = last_words.recv_timeout(LAST_WORDS);
                    self.exited(exit);
                    return Why::Ended;
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// How long nothing is to be done.
    fn until_next(&self, began: Instant, lost: Option<Instant>, look: Instant) -> Duration {
        let Limits { wall_ms, idle_ms, .. } = self.start.limits;
        let after = |since: Instant, ms: u64| since + Duration::from_millis(ms);
        let loss = match self.on_loss {
            OnLoss::StopAfter(ms) => lost.map(|lost| after(lost, ms)),
            OnLoss::Keep => None,
        };
        let wall = wall_ms.map(|ms| after(began, ms));
        let idle = idle_ms.map(|ms| after(self.output.latest(), ms));
        let next = [loss, wall, idle].into_iter().flatten().fold(look, Instant::min);
        next.saturating_duration_since(Instant::now())
    }

    fn overtime(&self, began: Instant, now: Instant) -> Option<String> {
        let Limits { wall_ms, idle_ms, .. } = self.start.limits;
        let over = |since: Instant, ms: u64| now >= since + Duration::from_millis(ms);
        if let Some(ms) = wall_ms.filter(|ms| over(began, *ms)) {
            return Some(format!("it ran for {} s, which is its limit", seconds(ms)));
        }
        let ms = idle_ms.filter(|ms| over(self.output.latest(), *ms))?;
        Some(format!("it said nothing for {} s, which is its limit", seconds(ms)))
    }

    fn overuse(&self) -> Option<String> {
        let Limits { cpu_ms, memory, .. } = self.start.limits;
        if cpu_ms.is_none() && memory.is_none() {
            return None;
        }
        let used = self.members.usage();
        if let Some(ms) = cpu_ms.filter(|ms| used.cpu_ms >= *ms) {
            return Some(format!("it used {} s of processor time, which is its limit", seconds(ms)));
        }
        let most = memory.filter(|most| used.memory > *most)?;
        Some(format!("it used {} MiB of memory, and its limit is {} MiB", used.memory >> 20, most >> 20))
    }

    /// What came while the run is being stopped: its command may have ended in the course of it, somebody may wait for the
    /// outcome, or want it sooner.
    fn hear_meanwhile(&mut self, news: &Receiver<News>) -> Option<Stop> {
        let mut sooner: Option<Stop> = None;
        let end = |stop: &Stop| stop.wait_ms.saturating_add(stop.grace_ms);
        for late in news.try_iter() {
            match late {
                News::Exited(exit) => self.exited(exit),
                News::Joined(from, guest) => self.control.join(from, guest),
                // The gate may order a stop of its own, with time, right after somebody's who has none.
                News::Order(_, Order::Stop(how)) => sooner = sooner.into_iter().chain([how]).min_by_key(end),
                News::Order(..) | News::Gone(_) | News::Signal => {}
            }
        }
        sooner
    }

    fn exited(&mut self, exit: Exit) {
        let exit = Exit { last: self.output.last(), cause: self.cause.clone(), ..exit };
        self.control.tell(&Report::Exited(exit.clone()));
        self.exit = Some(exit);
    }
}

#[allow(clippy::cast_precision_loss, reason = "for a person; nobody gives a run so many years")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn keep_run(folder: &Folder, start: &Start, started: &portcullis_keeper::Started) -> bool {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let Some(keeper) = Process::of(own) else { return false };
    let run = RunFile {
        boot: boot_id(),
        keeper,
        started: started.clone(),
        began_ms: now_ms(),
        on_loss: start.on_loss,
        about: start.about.clone(),
    };
    folder.keep_run(&run).is_ok()
}

/// Tells when the command ended. Its exit status stays to be fetched, which keeps its pid from meaning another.
fn watch(command: Pid, tell: Sender<News>) -> io::Result<()> {
    std::thread::Builder::new().name("command".into()).spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        loop {
            match rustix::process::waitid(WaitId::Pid(command), options) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(Some(status)) => {
                    let exit = Exit {
                        code: status.exit_status(),
                        signal: status.terminating_signal(),
                        last: Vec::new(),
                        cause: None,
                    };
                    let _ = tell.send(News::Exited(exit));
                    return;
                }
                _ => return,
            }
        }
    })?;
    Ok(())
}
