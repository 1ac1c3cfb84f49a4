//! Runs that are processes: each is held by a keeper of its own, and all of them are known here.

use crate::held::{Gone, Last, Line, hear, spool_in};
use crate::{About, Drops, GRACE, Held, Hold, MARK, Piped, Pipes, Program, RunId, What, millis};
use parking_lot::Mutex;
use portcullis_keeper::spool::now_ms;
use portcullis_keeper::{
    Ask, Containment, Ended, Folder, Members, OnLoss, Output, Process, Report, Start, Started, Stop, Stopped,
    Verdict, Watcher,
};
use portcullis_ledger::{Draft, Keep, Kind, Ledger};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a start is tried again because another thread was just starting something: the kernel refuses to start a
/// file that anybody, if only for that moment, has open for writing (`ETXTBSY`).
const BUSY: u32 = 50;
const BUSY_PAUSE: Duration = Duration::from_millis(10);
/// Orders that may wait for a keeper.
const ORDERS: usize = 16;
/// Runs that are over and still listed, with their output, at most. The record has all of them.
pub(crate) const ENDED: usize = 200;
/// How long a run may take to end by itself whose keeper did not stop it in its time.
const SHORT: Duration = Duration::from_secs(1);
/// When is looked once more for what comes back by itself.
const AGAIN: Duration = Duration::from_secs(2);

/// Starts keepers, and knows every run that one of them holds. Clones share it.
#[derive(Debug, Clone)]
pub struct Keepers(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    program: Program,
    ledger: Ledger,
    containment: Option<Containment>,
    drops: Drops,
    cover: fn(&str) -> String,
    /// Where the folders of the runs are.
    pub(crate) folder: PathBuf,
    /// Those that others left there, until they are adopted.
    pub(crate) left: Mutex<Vec<PathBuf>>,
    held: Mutex<BTreeMap<RunId, Arc<Held>>>,
    pub(crate) ended: Mutex<VecDeque<Arc<Held>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A run that goes on: what is known of it, and the way to its keeper.
pub(crate) struct Going {
    pub(crate) about: About,
    pub(crate) began_ms: u64,
    pub(crate) started: Started,
    pub(crate) on_loss: OnLoss,
    pub(crate) folder: Folder,
    /// `None` where the keeper is gone.
    pub(crate) line: Option<Line>,
    /// Who it is.
    pub(crate) keeper: Option<Process>,
    /// The keeper, where it is a child of this gate.
    pub(crate) child: Option<Child>,
}

impl Keepers {
    /// Runs have their folders in `runs` of the data folder and are recorded in `ledger`; `containment` asks for one means
    /// and no other; what `drops` holds is not started; `cover` takes the secrets out of a command line before anybody
    /// sees it.
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
        let folder = crate::adopt::runs_of(program.folder());
        // Read before anything is started, whose folder is made while others are adopted.
        let left = Mutex::new(crate::adopt::folders_in(&folder));
        Self(Arc::new(Inner {
            folder,
            left,
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

    /// Fetches the exit status of orphans that came to this process and ended, which nobody else waits for.
    pub fn fetch_ended_orphans(&self) {
        portcullis_keeper::fetch_ended_children();
    }

    /// Runs that are held, and the last that are over: each run is in one of them.
    #[must_use]
    pub fn all(&self) -> (Vec<Arc<Held>>, Vec<Arc<Held>>) {
        let held = self.0.held.lock();
        (held.values().cloned().collect(), self.ended())
    }

    /// Stops all runs but those that are to outlive their gate, and waits until they are over.
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
            what: What {
                kind: what.kind,
                owner: what.owner.clone(),
                upstream: what.upstream.clone(),
                name: what.name.clone(),
                port: what.port,
                line: (self.0.cover)(&what.line()),
                spool: what.spool.clone(),
            },
        };
        if let Some(why) = self.dropped(&about) {
            return Err(why);
        }
        self.record(&about, &format!("starting: {}", about.line), None)
            .await
            .map_err(|failure| format!("it is not started, because it cannot be recorded: {failure}"))?;
        match self.start(about.clone(), what).await {
            Ok(mut going) => {
                let child = going.child.as_mut();
                let (stdin, stdout) =
                    child.map_or((None, None), |child| (child.stdin.take(), child.stdout.take()));
                let (held, stop) = self.follow(going);
                // Dropped after it was looked at above and before it was listed, where the drop would have found it.
                if self.dropped(&about).is_some() {
                    stop.cancel();
                }
                Ok(Piped { stdin, stdout, held, stop })
            }
            Err(why) => {
                let _ = self.record(&about, &format!("not started: {why}"), None).await;
                Err(why)
            }
        }
    }

    async fn start(&self, about: About, what: Hold) -> Result<Going, String> {
        let program = self.0.program.path()?;
        let folder = Folder::at(self.0.folder.join(about.id.as_str()));
        folder
            .make()
            .map_err(|error| format!("the folder {} cannot be made: {error}", folder.path().display()))?;
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .map_err(|error| format!("no socket for the keeper: {error}"))?;
        let mut command = Command::new(&program);
        command.env_clear().stderr(OwnedFd::from(theirs));
        command.stdin(if what.pipes == Pipes::None { Stdio::null() } else { Stdio::piped() });
        command.stdout(if what.pipes == Pipes::Both { Stdio::piped() } else { Stdio::null() });
        let child = spawn(&mut command).await.map_err(|error| {
            let hint = match error.kind() {
                io::ErrorKind::PermissionDenied => "; is the data folder on a file system mounted noexec?",
                _ => "",
            };
            format!("the keeper {} cannot be started: {error}{hint}", program.display())
        })?;
        // The command has the other end of the socket in it, and would keep it open.
        drop(command);
        let talk = |error: io::Error| format!("the keeper cannot be spoken to: {error}");
        let mut line = Line::of(ours).map_err(talk)?;
        let (spool, on_loss) = (what.spool.unwrap_or_else(|| spool_in(folder.path())), what.on_loss);
        let start = Start {
            run: about.id.as_str().into(),
            mark: mark(&about.id),
            program: what.program,
            args: what.args,
            env: what.env,
            cwd: what.cwd,
            output: Some(Output { folder: spool, bytes: what.keep, stdout: what.pipes != Pipes::Both }),
            signal: what.ending.signal,
            stop_command: what.ending.command,
            containment: self.0.containment,
            limits: what.limits,
            on_loss,
            stop: Stop { wait_ms: 0, grace_ms: millis(what.ending.grace) },
            folder: folder.path().to_owned(),
            about: serde_json::to_value(&about.what).unwrap_or_default(),
        };
        line.orders.send(&start).await.map_err(talk)?;
        let why = match line.reports.next().await {
            Some(Report::Started(mut started)) => {
                self.cover(&mut started.process);
                let keeper = child.id().and_then(|pid| Process::of(pid.cast_signed()));
                let (line, child) = (Some(line), Some(child));
                return Ok(Going {
                    about,
                    began_ms: now_ms(),
                    started,
                    on_loss,
                    folder,
                    line,
                    keeper,
                    child,
                });
            }
            Some(Report::Failed(why)) => why,
            _ => "the keeper ended before it started anything".into(),
        };
        let _ = std::fs::remove_dir_all(folder.path());
        Err(why)
    }

    /// Lists a run and hears its keeper until the run is over. The token stops it.
    pub(crate) fn follow(&self, going: Going) -> (Arc<Held>, CancellationToken) {
        let Going { about, began_ms, started, on_loss, folder, line, keeper, child } = going;
        let (orders, ordered) = mpsc::channel(ORDERS);
        let (tell_exit, exit) = watch::channel(None);
        let over = watch::Sender::new(None);
        let (stopping, grace) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
        let held =
            Arc::new(Held { about, began_ms, started, on_loss, folder, orders, exit, over, stopping, grace });
        self.0.held.lock().insert(held.about.id.clone(), held.clone());
        let stop = match on_loss {
            OnLoss::Keep => CancellationToken::new(),
            OnLoss::StopAfter(_) => self.0.stop.child_token(),
        };
        let (keepers, run, stopping) = (self.clone(), held.clone(), stop.clone());
        self.0.tasks.spawn(async move {
            let heard = match line {
                Some(line) => {
                    hear(&run, keeper.as_ref(), line, ordered, stopping, &keepers.0.stop, tell_exit).await
                }
                None => Last::Gone(Gone::Ended),
            };
            let ended = match heard {
                Last::Over(ended) => *ended,
                Last::Gone(why) => {
                    without_keeper(run.clone(), why, keepers.0.program.file().to_owned()).await
                }
                Last::Left => return,
            };
            if let Some(mut child) = child {
                let _ = child.wait().await;
            }
            keepers.over(&run, ended).await;
            tokio::spawn(keepers.clone().look_again(run));
        });
        (held, stop)
    }

    /// A run is over: that is recorded, and it is listed among the others that are.
    async fn over(&self, run: &Arc<Held>, mut ended: Ended) {
        self.cover_all(&mut ended.stopped);
        let cause = ended.cause.as_ref().map(|cause| format!("{cause}; ")).unwrap_or_default();
        self.record_end(run, &format!("over: {cause}{}", ended.stopped.summary()), &ended).await;
        let _ = run.over.send_replace(Some(Arc::new(ended)));
        // Whoever looks at both lists finds it in one of them.
        let mut held = self.0.held.lock();
        self.list_ended(run.clone());
        held.remove(&run.about.id);
    }

    pub(crate) fn list_ended(&self, run: Arc<Held>) {
        let gone = {
            let mut ended = self.0.ended.lock();
            ended.push_back(run);
            if ended.len() > ENDED { ended.pop_front() } else { None }
        };
        if let Some(gone) = gone {
            tokio::task::spawn_blocking(move || std::fs::remove_dir_all(gone.folder.path()));
        }
    }

    /// Looks once more, after a moment, for what brings itself back to life, and amends the verdict where there is any.
    async fn look_again(self, run: Arc<Held>) {
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = self.0.stop.cancelled() => return,
        }
        if !run.may_live() {
            let why = format!("looked again after {} s", AGAIN.as_secs());
            self.stop_what_is_left(&run, GRACE, &why).await;
        }
    }

    /// Stops a run, also one of which something survived an earlier stop.
    pub async fn stop(&self, run: &Arc<Held>, grace: Duration) -> Stopped {
        let ended = match run.over() {
            None => run.stop(grace).await,
            Some(_) if run.may_live() => {
                self.stop_what_is_left(run, grace, "stopped again").await;
                run.over()
            }
            Some(over) => return over.stopped.once_more(),
        };
        ended.map_or(Stopped::without_proof(Verdict::Unconfirmed, 0), |ended| ended.stopped.clone())
    }

    /// Looks for what lives of a run that is over, and stops it. What is found is recorded, and amends the verdict.
    async fn stop_what_is_left(&self, run: &Arc<Held>, grace: Duration, why: &str) {
        let Some(first) = run.over() else { return };
        let held = run.clone();
        let known = first.stopped.before.clone();
        let found = tokio::task::spawn_blocking(move || {
            let mark = mark(&held.about.id);
            let members = Members::of(&held.started, &mark, Watcher::Later).with(&known);
            let found = !members.living().is_empty();
            found.then(|| portcullis_keeper::stop(&members, stop_within(grace), Ask::TERM, &mut || None))
        });
        let mut stopped = match found.await {
            Ok(Some(stopped)) => stopped,
            // What had survived ended meanwhile.
            Ok(None) if run.may_live() => {
                let mut stopped = first.stopped.clone();
                (stopped.verdict, stopped.survivors) = (Verdict::Stopped, Vec::new());
                "nothing: it ended by itself".clone_into(&mut stopped.proof.killed_by);
                stopped
            }
            _ => return,
        };
        self.cover_all(&mut stopped);
        let ended = Ended { stopped, at_ms: now_ms(), ..Ended::clone(&first) };
        self.record_end(run, &format!("{why}: {}", ended.stopped.summary()), &ended).await;
        let _ = run.folder.keep_over(&ended);
        let _ = run.over.send_replace(Some(Arc::new(ended)));
    }

    fn dropped(&self, about: &About) -> Option<String> {
        self.0.drops.holds(&about.owner, &about.upstream)
    }

    fn cover(&self, process: &mut Process) {
        process.command = (self.0.cover)(&process.command);
    }

    fn cover_all(&self, stopped: &mut Stopped) {
        let survivors = stopped.survivors.iter_mut().map(|survivor| &mut survivor.process);
        stopped.before.iter_mut().chain(survivors).for_each(|process| self.cover(process));
    }

    pub(crate) async fn record_end(&self, run: &Held, message: &str, ended: &Ended) {
        let verdict = serde_json::to_string(&ended.stopped).unwrap_or_default();
        if !ended.stopped.survivors.is_empty() {
            tracing::error!(run = %run.about.id, upstream = %run.about.upstream, "{message}");
        }
        let after = Duration::from_millis(ended.at_ms.saturating_sub(run.began_ms));
        if let Err(failure) = self.record(&run.about, message, Some((&verdict, after))).await {
            tracing::error!(run = %run.about.id, %failure, "the end of a run could not be recorded: {message}");
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
            tool: about.name.as_deref(),
            run: Some(about.id.as_str()),
            message: Some(message),
            verdict: end.map(|(verdict, _)| verdict),
            duration_ms: end.map(|(_, after)| (after.as_secs_f64() * 1e6).round() / 1e3),
            ..Draft::of(Kind::Run)
        };
        self.0.ledger.append(draft.write(), Vec::new(), Keep::Process).await
    }
}

/// The keeper was killed: its work is done here. What it had adopted came to this process, if it ran then.
async fn without_keeper(run: Arc<Held>, why: Gone, keepers: PathBuf) -> Ended {
    tracing::error!(run = %run.about.id, "{}; its run is stopped", why.as_str());
    let held = run.clone();
    let work = move || {
        let mark = mark(&held.about.id);
        let members = Members::of(&held.started, &mark, Watcher::Gate(&keepers));
        // What its keeper was given for it is over.
        let longest = if why == Gone::Deaf { millis(SHORT) } else { u64::MAX };
        let mut sooner = || {
            let grace_ms = held.grace.load(Ordering::Relaxed).min(longest);
            (grace_ms < u64::MAX).then_some(Stop { wait_ms: 0, grace_ms })
        };
        let how = sooner().unwrap_or(stop_within(GRACE));
        portcullis_keeper::stop(&members, how, Ask::TERM, &mut sooner)
    };
    let stopped = tokio::task::spawn_blocking(work).await;
    let stopped = stopped.unwrap_or_else(|_| Stopped::without_proof(Verdict::Partial, 0));
    let cause = Some(why.as_str().to_owned());
    let ended = Ended { at_ms: now_ms(), stopped, exit: None, cause };
    let _ = run.folder.keep_over(&ended);
    ended
}

pub(crate) fn mark(id: &RunId) -> (String, String) {
    (MARK.to_owned(), id.as_str().to_owned())
}

fn stop_within(grace: Duration) -> Stop {
    Stop { wait_ms: 0, grace_ms: millis(grace) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_being_started_is_not_taken_for_what_was_left() {
        let data = tempfile::tempdir().unwrap();
        let make = || {
            let folder =
                Folder::at(crate::adopt::runs_of(data.path()).join(RunId::fresh().unwrap().as_str()));
            folder.make().unwrap();
            folder
        };
        let left = make();
        let program = Program::new(b"", "", data.path());
        let ledger = Ledger::open(data.path()).unwrap();
        let keepers = Keepers::new(program, ledger, None, Drops::of(data.path()), str::to_owned);
        let started = make();
        assert!(keepers.adopt().await.is_empty());
        assert!(!left.path().exists(), "half of a run that nobody holds stays");
        assert!(started.path().exists(), "the folder of a run that is being started is gone");
    }
}
