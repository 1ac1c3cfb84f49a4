//! The one place where a child is started and ended.

use crate::CommandSpec;
use parking_lot::Mutex;
use process_wrap::tokio::{ChildWrapper, CommandWrap, ProcessSession};
use rustix::process::{Pid, Signal};
use std::collections::HashSet;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a server may take to end by itself after its stdin was closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// Variables of the gate's own environment that a child sees; everything else only where its entry says so.
const ALLOWED: [&str; 14] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// The variable that marks everything a run started. The gate's control socket refuses whoever carries it.
pub(crate) const MARK: &str = "PORTCULLIS_RUN";

/// Knows every child that has not ended yet, so that the gate can wait for them when it stops.
#[derive(Debug, Clone, Default)]
pub struct Reaper {
    children: TaskTracker,
    pids: Arc<Mutex<HashSet<u32>>>,
    stop: CancellationToken,
}

impl Reaper {
    /// Pids of all children that have not ended.
    #[must_use]
    pub fn pids(&self) -> HashSet<u32> {
        self.pids.lock().clone()
    }

    /// Ends all children and waits until they are gone.
    pub async fn stop_all(&self) {
        self.stop.cancel();
        self.children.close();
        self.children.wait().await;
    }
}

/// A started child: its ends, its pid, and the word that ends it.
pub(crate) struct Started {
    pub stdin: ChildStdin,
    pub stdout: ChildStdout,
    pub stderr: ChildStderr,
    pub pid: u32,
    /// Cancel it to end the child; dropping the last clone does nothing by itself.
    pub stop: CancellationToken,
    /// Gives how it ended.
    pub ended: tokio::sync::oneshot::Receiver<String>,
}

/// Starts a program in its own session.
pub(crate) fn start(spec: &CommandSpec, mark: &str, reaper: &Reaper) -> Result<Started, String> {
    let mut command = CommandWrap::with_new(&spec.program, |command| {
        command
            .args(&spec.args)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in ALLOWED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(spec.env.iter().map(|(name, value)| (name, value))).env(MARK, mark);
        if let Some(cwd) = &spec.cwd {
            command.current_dir(cwd);
        }
    });
    command.wrap(ProcessSession);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => match &spec.cwd {
            Some(cwd) if !cwd.is_dir() => format!("the folder {} does not exist", cwd.display()),
            _ => format!("the program `{}` was not found (looked in PATH)", spec.program),
        },
        _ => format!("`{}` cannot be started: {error}", spec.program),
    })?;
    let (Some(stdin), Some(stdout), Some(stderr), Some(pid)) =
        (child.stdin().take(), child.stdout().take(), child.stderr().take(), child.id())
    else {
        return Err(format!("`{}` was started without its pipes", spec.program));
    };
    let stop = reaper.stop.child_token();
    let (tell, ended) = tokio::sync::oneshot::channel();
    let stopping = stop.clone();
    let pids = reaper.pids.clone();
    pids.lock().insert(pid);
    reaper.children.spawn(async move {
        let how = hold(child, pid, stopping).await;
        pids.lock().remove(&pid);
        let _ = tell.send(how);
    });
    Ok(Started { stdin, stdout, stderr, pid, stop, ended })
}

/// Waits for the child to end or for the word to end it, and leaves nothing of its group behind.
async fn hold(mut child: Box<dyn ChildWrapper>, pid: u32, stop: CancellationToken) -> String {
    let ended = tokio::select! {
        status = child.wait() => status,
        () = stop.cancelled() => {
            // Its stdin was closed with the link; that alone ends a well-behaved server.
            match tokio::time::timeout(GRACE, child.wait()).await {
                Ok(status) => status,
                Err(_) => {
                    signal_group(pid, Signal::TERM);
                    match tokio::time::timeout(GRACE, child.wait()).await {
                        Ok(status) => status,
                        Err(_) => {
                            signal_group(pid, Signal::KILL);
                            child.wait().await
                        }
                    }
                }
            }
        }
    };
    // A launcher such as npx may be gone while what it launched lives on in the same group.
    signal_group(pid, Signal::KILL);
    ended.map_or_else(|error| format!("ended, but how is not known: {error}"), described)
}

fn signal_group(pid: u32, signal: Signal) {
    // The child leads its own session, so its group has its pid. 0 and 1 would mean others.
    if let Some(group) = i32::try_from(pid).ok().filter(|pid| *pid > 1).and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn described(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
