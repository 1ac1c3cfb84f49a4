//! One process and no other that gets its pid: signalled, and waited for.

use crate::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::time::{Duration, Instant};

/// Sends it a signal. What has ended needs none.
pub(crate) fn signal(process: &Process, signal: Signal) -> Result<()> {
    handle(process)?.map_or(Ok(()), |handle| pidfd_send_signal(&handle, signal))
}

/// Kills one process, whatever holds it up. Only what waits for a device lives on.
pub fn kill(process: &Process) {
    let _ = signal(process, Signal::KILL);
}

/// Has a process go on that somebody stopped.
pub fn wake(process: &Process) {
    let _ = signal(process, Signal::CONT);
}

/// Waits until it has ended, at most so long, and says whether it has.
pub(crate) fn has_ended(process: &Process, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    match handle(process) {
        Ok(Some(handle)) => {
            let mut ended = [PollFd::new(&handle, PollFlags::IN)];
            poll(&mut ended, Timespec::try_from(left).ok().as_ref()).is_ok_and(|ended| ended > 0)
        }
        Ok(None) => true,
        // There is no handle to be had now. It can be looked at again in a moment.
        Err(_) => {
            pause(left.min(Duration::from_millis(10)));
            !process.lives()
        }
    }
}

/// What stands for it, also when its pid is another's; `None` where it has ended.
fn handle(process: &Process) -> Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(process.pid).filter(|_| process.pid > 1) else { return Err(Errno::SRCH) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // It stands for whoever had the pid when it was made: looked at after that, it is the right one.
        Ok(handle) => Ok(process.lives().then_some(handle)),
        Err(Errno::SRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "/proc tells nobody when it changes: it can only be looked at again"
)]
pub(crate) fn pause(how_long: Duration) {
    std::thread::sleep(how_long);
}
