//! Holding the run from its start to its end.

use crate::control::Control;
use crate::log::{self, Tail};
use crate::{signals, spawn};
use portcullis_keeper::{Exit, Members, Report, Stop, Watcher, stop};
use rustix::process::{Pid, WaitId, WaitIdOptions};
use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

/// How often the run is looked after.
const LOOK: Duration = Duration::from_secs(1);
/// How long the last words of a command that ended are waited for.
const LAST_WORDS: Duration = Duration::from_millis(20);

/// What a keeper waits for.
pub(crate) enum News {
    /// The gate wants the run to stop.
    Stop(Stop),
    /// The gate is gone, or somebody ends the keeper.
    GateLost,
    /// The command ended.
    Exited(Exit),
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
    let tail = Tail::default();
    let (said_all, last_words) = mpsc::channel();
    if let Some(stderr) = spawned.stderr.take() {
        let (path, tail) = (start.log.clone(), tail.clone());
        std::thread::Builder::new().name("stderr".into()).spawn(move || {
            log::keep(stderr, path, &tail);
            let _ = said_all.send(());
        })?;
    }
    watch(spawned.pid, tell.clone())?;
    control.listen(tell)?;
    control.tell(&Report::Started(spawned.started.clone()));

    let members = Members::of(&spawned.started, &start.mark, Watcher::Keeper);
    let how = loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Stop(how)) => break how,
            Ok(News::GateLost) | Err(RecvTimeoutError::Disconnected) => break start.on_loss,
            Ok(News::Exited(exit)) => {
                // What it started and did not wait for may hold its stderr, so this wait has an end.
                let _ = last_words.recv_timeout(LAST_WORDS);
                control.tell(&Report::Exited(Exit { last: tail.lines(), ..exit }));
                break Stop { wait_ms: 0, ..start.on_loss };
            }
            Err(RecvTimeoutError::Timeout) => members.look_after(),
        }
    };
    let stopped = stop(&members, how);
    // It ended in the course of the stop.
    for late in news.try_iter() {
        if let News::Exited(exit) = late {
            control.tell(&Report::Exited(Exit { last: tail.lines(), ..exit }));
        }
    }
    control.tell(&Report::Over(stopped));
    Ok(())
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
