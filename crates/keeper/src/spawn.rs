//! Starting the command.

use crate::{namespace, signals};
use portcullis_keeper::{Cgroup, Containment, Process, Start, Started};
use rustix::process::Pid;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{ChildStderr, ChildStdout, Command, Stdio};

/// A command that runs, and what holds it.
pub(crate) struct Spawned {
    pub(crate) started: Started,
    pub(crate) pid: Pid,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

/// Starts the command in a session of its own, contained.
///
/// # Errors
/// What kept it from starting, for a person.
#[allow(unsafe_code, reason = "a new session and a control group can only be entered by the child itself")]
#[allow(clippy::disallowed_methods, reason = "this is the one place where commands are started")]
pub(crate) fn spawn(start: &Start) -> Result<Spawned, String> {
    let (containment, cgroup) = contain(start)?;
    let (program, args) = match containment {
        Containment::Namespace => namespace::around(&start.program, &start.args),
        _ => (start.program.clone(), start.args.clone()),
    };
    let mut command = command(start, &program, &args);
    command.stderr(Stdio::piped());
    if start.output.as_ref().is_some_and(|output| output.stdout) {
        command.stdout(Stdio::piped());
    }
    let mut entrance = cgroup.as_ref().and_then(Cgroup::entrance);
    let before = move || {
        rustix::process::setsid()?;
        signals::unblock();
        if let Some(entrance) = &mut entrance {
            entrance.write_all(b"0")?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only system calls are made (setsid, write, sigprocmask) and nothing is allocated.
    unsafe {
        command.pre_exec(before);
    }
    let mut child = command.spawn().map_err(|error| {
        cgroup.iter().for_each(Cgroup::remove);
        refused(start, &error)
    })?;
    let pid =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("the system gave a pid that is none")?;
    let process = Process::of(child.id().try_into().unwrap_or_default())
        .ok_or_else(|| "`/proc` does not show the process that was just started".to_owned())?;
    leave_stdio()
        .map_err(|error| format!("the keeper cannot close its copy of the command's pipes: {error}"))?;
    let cgroup = cgroup.map(|cgroup| cgroup.folder().to_owned());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    Ok(Spawned { started: Started { process, containment, cgroup }, pid, stdout, stderr })
}

/// Starts the command that asks the run to end. Like all that carries the mark it is part of the run.
#[allow(clippy::disallowed_methods, reason = "as above")]
pub(crate) fn stop_command(start: &Start) {
    if let Some((program, args)) = start.stop_command.as_deref().and_then(<[String]>::split_first) {
        let mut command = command(start, program, args);
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    }
}

/// A command with the environment, the mark and the folder of the run.
fn command(start: &Start, program: &str, args: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(start.env.iter().map(|(name, value)| (name, value)));
    command.env(&start.mark.0, &start.mark.1);
    if let Some(cwd) = &start.cwd {
        command.current_dir(cwd);
    }
    command
}

fn contain(start: &Start) -> Result<(Containment, Option<Cgroup>), String> {
    let wanted = start.containment;
    if wanted == Some(Containment::Group) {
        return Ok((Containment::Group, None));
    }
    let parent = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    if wanted == Some(Containment::Namespace) {
        let made = parent.map_err(|error| error.to_string()).and_then(|()| namespace::is_to_be_had());
        return made
            .map(|()| (Containment::Namespace, None))
            .map_err(|why| format!("containment `namespace` was asked for: {why}"));
    }
    if matches!(wanted, None | Some(Containment::Cgroup)) && parent.is_ok() {
        if let Some(cgroup) = Cgroup::make(&start.run) {
            return Ok((Containment::Cgroup, Some(cgroup)));
        }
        if wanted.is_some() {
            return Err(
                "containment `cgroup` was asked for, and this user can make no control group here".into()
            );
        }
    }
    match (parent, wanted) {
        (Ok(()), _) => Ok((Containment::Subreaper, None)),
        (Err(error), Some(_)) => Err(format!("containment `subreaper` was asked for: {error}")),
        (Err(_), None) => Ok((Containment::Group, None)),
    }
}

/// The command has its pipes; a copy of them here would keep the other ends from noticing that it is gone.
fn leave_stdio() -> io::Result<()> {
    let nowhere = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nowhere)?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(())
}

fn refused(start: &Start, error: &io::Error) -> String {
    match (error.kind(), &start.cwd) {
        (io::ErrorKind::NotFound, Some(cwd)) if !Path::new(cwd).is_dir() => {
            format!("the folder {} does not exist", cwd.display())
        }
        (io::ErrorKind::NotFound, _) => {
            format!("the program `{}` was not found (looked in PATH)", start.program)
        }
        _ => format!("`{}` cannot be started: {error}", start.program),
    }
}
