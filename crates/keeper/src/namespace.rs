//! A namespace of pids: its first process is ours, and when that one ends, the kernel ends all the others.
//!
//! Two processes of this program stand between the keeper and the command. The outer one makes the namespace, waits, and
//! ends as the command did. The inner one is the first process of the namespace; it starts the command and fetches the
//! exit status of whatever loses its parent. Neither hears signals that can be kept out: the command gets its own.

use crate::signals;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use rustix::thread::UnshareFlags;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};

/// The first argument of the two.
const OUTER: &str = "namespace";
const INNER: &str = "first";
/// The exit code where there is no namespace, or no command (as a shell has it).
const NONE: u8 = 125;
const NOT_FOUND: u8 = 127;

/// What the keeper starts in place of a command.
pub(crate) fn around(program: &str, args: &[String]) -> (String, Vec<String>) {
    let words = [OUTER.to_owned(), program.to_owned()];
    ("/proc/self/exe".into(), words.into_iter().chain(args.iter().cloned()).collect())
}

/// Whether this user can have a namespace here.
///
/// # Errors
/// Why not.
#[allow(clippy::disallowed_methods, reason = "this program itself, which only tries")]
pub(crate) fn is_to_be_had() -> Result<(), String> {
    let tried = Command::new("/proc/self/exe").arg(OUTER).output().map_err(|error| error.to_string())?;
    match tried.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&tried.stderr).trim_end().to_owned()),
    }
}

/// What this program does when it is one of the two; `None` where it is the keeper.
pub(crate) fn part(words: &[String]) -> Option<ExitCode> {
    match words {
        [part] if part == OUTER => Some(said(enter())),
        [part, command @ ..] if part == OUTER => Some(said(outer(command))),
        [part, command @ ..] if part == INNER => Some(said(inner(command))),
        _ => None,
    }
}

fn said(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(NONE)
        }
    }
}

/// Makes the namespace that the next child is the first process of. Who is not root gets one of users too, in which it is
/// itself.
#[allow(unsafe_code, reason = "what is not shared any more could be in use by another thread")]
fn enter() -> io::Result<()> {
    // SAFETY: this process has one thread, and neither flag parts a table of file descriptors.
    let unshare = |flags| unsafe { rustix::thread::unshare_unsafe(flags) };
    if unshare(UnshareFlags::NEWPID).is_ok() {
        return Ok(());
    }
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    unshare(UnshareFlags::NEWUSER | UnshareFlags::NEWPID).map_err(|error| {
        io::Error::other(format!("this user can make no namespace of pids here: {error}"))
    })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}

#[allow(clippy::disallowed_methods, reason = "this program itself")]
fn outer(command: &[String]) -> io::Result<()> {
    signals::keep_out();
    enter()?;
    let status = Command::new("/proc/self/exe").arg(INNER).args(command).status()?;
    end_as(status)
}

#[allow(unsafe_code, reason = "signals can only be let through again by the child itself")]
#[allow(clippy::disallowed_methods, reason = "the command, one step further in")]
fn inner(command: &[String]) -> io::Result<()> {
    signals::keep_out();
    let (program, args) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(args);
    // SAFETY: between fork and exec only a system call is made.
    unsafe {
        command.pre_exec(|| {
            signals::unblock();
            Ok(())
        });
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            let shown = Path::new(program).display();
            eprintln!("`{shown}` cannot be started: {error}");
            std::process::exit(NOT_FOUND.into());
        }
    };
    let own = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if Some(pid) == own => return end_as(raw(status)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn raw(status: WaitStatus) -> ExitStatus {
    ExitStatus::from_raw(status.as_raw())
}

/// Ends this process as another one ended.
fn end_as(status: ExitStatus) -> io::Result<()> {
    if let Some(code) = status.code() {
        std::process::exit(code);
    }
    // The first process of a namespace cannot end by its own signal: 128 and the signal is what a shell says.
    let signal = status.signal().unwrap_or_default();
    if rustix::process::getpid() != Pid::INIT
        && let Some(named) = Signal::from_named_raw(signal)
    {
        signals::unblock();
        let _ = rustix::process::kill_process(rustix::process::getpid(), named);
    }
    std::process::exit(128 + signal);
}
