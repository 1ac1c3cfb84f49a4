//! Who is at the other end of the control socket.
//!
//! A process that an agent started runs with the operator's own uid and could open the socket. It is told
//! apart by what it comes from: the gate is one of its ancestors, or it carries the mark that is in the
//! environment of everything the gate starts. A process that drops the mark and leaves its parent gets its keeper for
//! one, or the gate. It can still have a service of the machine start another, so within one uid this is a fence
//! and not a wall; `portcullis doctor` says so.

use portcullis_runs::{MARK, parent_of};
use std::fs;

/// Why a peer may not operate the gate; `None` where it may.
pub(crate) fn objection(pid: Option<i32>, uid: u32) -> Option<String> {
    let own = rustix::process::getuid().as_raw();
    if uid != own && uid != 0 {
        return Some(format!("the control socket belongs to uid {own}, not to uid {uid}"));
    }
    let Some(mut pid) = pid else { return Some("the peer's process is not known".into()) };
    let me = i32::try_from(std::process::id()).unwrap_or(0);
    if pid == me {
        return None;
    }
    // Ancestors end at init; the bound guards against a tree that changes while it is walked.
    for _ in 0..256 {
        if pid <= 0 {
            return None;
        }
        if pid == me || is_marked(pid) {
            return Some("a process that was started through the gate may not operate it".into());
        }
        match parent_of(pid) {
            Some(parent) => pid = parent,
            None => return None,
        }
    }
    Some("its ancestors cannot be told".into())
}

/// Whether this very process was started through a gate.
pub(crate) fn inside_a_run() -> bool {
    std::env::var_os(MARK).is_some()
}

fn is_marked(pid: i32) -> bool {
    let needle = format!("{MARK}=");
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|text| text.split(|b| *b == 0).any(|variable| variable.starts_with(needle.as_bytes())))
}
