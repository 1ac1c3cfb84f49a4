//! Who is at the other end of the control socket.
//!
//! A process that an agent started runs with the operator's own uid and could open the socket. It is told
//! apart by what it comes from: the gate is one of its ancestors, or it carries the mark that is in the
//! environment of everything the gate starts. A process that drops the mark and leaves its parent gets its keeper for
//! one, or the gate. Whoever cannot be told is refused. A process can still have a service of the machine start another, so
//! within one uid this is a fence and not a wall; `portcullis doctor` says so.

use portcullis_runs::{MARK, parent_of, peer_handle};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use tokio::net::UnixStream;

/// Ancestors that are looked at: a tree that changes while it is walked must end somewhere.
const ANCESTORS: usize = 256;

/// Why whoever connected may not operate the gate; `None` where they may.
pub(crate) fn objection(stream: &UnixStream) -> Option<String> {
    let peer = match stream.peer_cred() {
        Ok(peer) => peer,
        Err(error) => return Some(format!("the peer cannot be told: {error}")),
    };
    let own = rustix::process::getuid().as_raw();
    if peer.uid() != own && peer.uid() != 0 {
        return Some(format!("the control socket belongs to uid {own}, not to uid {}", peer.uid()));
    }
    // Before its ancestors are looked at: what is read of a process id then is read of this process, if it still lives after it.
    let handle = peer_handle(stream.as_fd());
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    let said = from_a_run(peer.pid().unwrap_or(0), me, look);
    match handle {
        Ok(handle) if has_ended(&handle) => {
            Some("the process that connected has ended and cannot be told".into())
        }
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Some("the process that connected has ended and cannot be told".into())
        }
        // Kernels before 6.5 have no handle of a peer.
        Ok(_) | Err(_) => said,
    }
}

fn has_ended(handle: &OwnedFd) -> bool {
    let mut poll = [PollFd::new(handle, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut poll, Some(&at_once)).is_ok_and(|ended| ended > 0)
}

/// What can be seen of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Carries,
    Has(NoMark),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoMark {
    /// Its environment was read, and the mark is not in it.
    Read,
    /// Its environment cannot be read: it is another user's, or keeps others from looking.
    Unreadable,
}

struct Seen {
    parent: i32,
    mark: Mark,
}

/// Why a process may not operate the gate `me`, by what it comes from.
fn from_a_run(pid: i32, me: i32, look: impl Fn(i32) -> Option<Seen>) -> Option<String> {
    if pid == me {
        return None;
    }
    // A process of another namespace has no number here.
    if pid <= 0 {
        return Some("the peer's process is not known".into());
    }
    let mut at = pid;
    for _ in 0..ANCESTORS {
        if at == me {
            return Some("a process that was started through the gate may not operate it".into());
        }
        let Some(seen) = look(at) else {
            return Some(format!("what the process {pid} comes from cannot be told: {at} has ended"));
        };
        match seen.mark {
            Mark::Carries => {
                return Some("a process that was started through the gate may not operate it".into());
            }
            Mark::Has(NoMark::Unreadable) if at == pid && pid != 1 => {
                return Some(format!(
                    "the process {pid} keeps others from looking at it, and cannot be told"
                ));
            }
            // Ancestors may be other users' (`sshd`, `init`) or keep their secrets (`ssh-agent`, `screen`): what comes from a run
            // has the gate or a keeper of its own further up.
            Mark::Has(_) => {}
        }
        if seen.parent <= 0 {
            return None;
        }
        at = seen.parent;
    }
    Some("its ancestors cannot be told".into())
}

/// Whether this very process was started through a gate.
pub(crate) fn inside_a_run() -> bool {
    std::env::var_os(MARK).is_some()
}

fn look(pid: i32) -> Option<Seen> {
    let needle = format!("{MARK}=");
    let mark = match fs::read(format!("/proc/{pid}/environ")) {
        Ok(text) => match text.split(|b| *b == 0).any(|variable| variable.starts_with(needle.as_bytes())) {
            true => Mark::Carries,
            false => Mark::Has(NoMark::Read),
        },
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Mark::Has(NoMark::Unreadable),
        Err(_) => return None,
    };
    Some(Seen { parent: parent_of(pid)?, mark })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLEAN: Mark = Mark::Has(NoMark::Read);
    const CLOSED: Mark = Mark::Has(NoMark::Unreadable);

    /// Whether the process 50 may operate the gate 10, among these processes with their parents.
    fn may(processes: &[(i32, i32, Mark)]) -> bool {
        let look = |pid: i32| {
            let (_, parent, mark) = processes.iter().find(|(it, _, _)| *it == pid)?;
            Some(Seen { parent: *parent, mark: *mark })
        };
        from_a_run(50, 10, look).is_none()
    }

    #[test]
    fn who_comes_from_the_operators_own_shell_may_and_nobody_else() {
        let init = (1, 0, CLOSED);
        assert!(may(&[(50, 40, CLEAN), (40, 1, CLEAN), init]));
        assert!(may(&[(50, 40, CLEAN), (40, 30, CLOSED), (30, 1, CLEAN), init]), "below `screen`");
        for (what, processes) in [
            ("of the gate", vec![(50, 40, CLEAN), (40, 10, CLEAN), (10, 1, CLEAN), init]),
            ("with the mark", vec![(50, 1, Mark::Carries), init]),
            ("below a mark", vec![(50, 40, CLEAN), (40, 1, Mark::Carries), init]),
            ("that ended", vec![init]),
            ("whose parent ended meanwhile", vec![(50, 40, CLEAN), init]),
            ("that lets nobody look", vec![(50, 1, CLOSED), init]),
            ("in a circle", vec![(50, 40, CLEAN), (40, 50, CLEAN)]),
        ] {
            assert!(!may(&processes), "a process {what}");
        }
        for pid in [0, -1] {
            assert!(from_a_run(pid, 10, |_| None).is_some(), "a process of another namespace");
        }
        assert!(from_a_run(10, 10, |_| None).is_none(), "the gate itself");
    }
}
