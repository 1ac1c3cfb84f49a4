//! The one place where the bench starts processes and ends them again, by their ids.

use std::{
    collections::VecDeque,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::oneshot,
    time::timeout,
};

use crate::error::{Error, Result};

/// How long a process may take until it says that it is ready.
const START: Duration = Duration::from_secs(20);
/// How long a process may take to end after SIGTERM, before SIGKILL.
const GRACE: Duration = Duration::from_secs(5);
/// How many of its last lines are quoted when it does not come up.
const LAST_WORDS: usize = 8;
/// Variables of the caller that would change what is measured.
const UNSET: [&str; 6] = [
    "PORTCULLIS_CONFIG",
    "PORTCULLIS_DATA",
    "PORTCULLIS_GATE",
    "PORTCULLIS_TOKEN",
    "PORTCULLIS_LOG",
    "XDG_RUNTIME_DIR",
];

/// What to start. It has to print a line `ready http://ADDRESS` on stderr.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it is called in errors.
    pub name: &'static str,
    /// The executable.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it runs.
    pub folder: PathBuf,
    /// What it finds in its environment beside ours.
    pub variables: Vec<(&'static str, String)>,
}

/// A process that is ready. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    /// Its process id.
    pub pid: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start to its ready line.
    pub ready_after: Duration,
    child: Child,
}

impl Program {
    /// One of our own servers; it ends by itself when its stdin closes, so it never outlives us.
    ///
    /// # Errors
    /// When the path of this executable cannot be had.
    pub fn ours(name: &'static str, folder: &Path, arguments: &[&str]) -> Result<Self> {
        let path = std::env::current_exe().map_err(Error::io("finding the path of this program"))?;
        let arguments = arguments.iter().copied().chain(["--end-with-stdin"]).map(OsString::from).collect();
        Ok(Self { name, path, arguments, folder: folder.to_owned(), variables: Vec::new() })
    }

    /// Starts it and waits for its ready line.
    ///
    /// # Errors
    /// When it cannot be started, ends, or says nothing for twenty seconds; with its last words.
    pub async fn start(&self) -> Result<Running> {
        let begun = Instant::now();
        let mut child = self.spawn().map_err(Error::io(format!("starting {}", self.name)))?;
        let (Some(pid), Some(stderr)) = (child.id(), child.stderr.take()) else {
            return Err(self.failure("it ended at once".to_owned()));
        };
        let (tell, told) = oneshot::channel();
        tokio::spawn(follow(stderr, tell));
        match timeout(START, told).await {
            Ok(Ok(Ok((address, at)))) => Ok(Running { pid, address, ready_after: at - begun, child }),
            Ok(Ok(Err(last_words))) => Err(self.failure(format!("its end; last words:\n{last_words}"))),
            Ok(Err(_)) | Err(_) => Err(self.failure(format!("no such line in {} s", START.as_secs()))),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the bench's own place for starting what it measures")]
    fn spawn(&self) -> std::io::Result<Child> {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).current_dir(&self.folder);
        for name in UNSET {
            command.env_remove(name);
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()
    }

    fn failure(&self, found: String) -> Error {
        Error::Start {
            what: self.name.to_owned(),
            expected: "a line `ready http://ADDRESS` on stderr",
            found,
        }
    }
}

impl Running {
    /// Asks it to end, and makes it end where it does not.
    ///
    /// # Errors
    /// When the system refuses.
    pub async fn stop(mut self) -> Result<()> {
        // The child is not reaped before `wait`, so its id is still its own.
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(GRACE, self.child.wait()).await {
            Ok(ended) => ended.map(drop).map_err(Error::io("waiting for a process to end")),
            Err(_) => self.child.kill().await.map_err(Error::io("killing a process")),
        }
    }
}

type Ready = std::result::Result<(SocketAddr, Instant), String>;

/// Reads stderr to its end (a full pipe would stop the process), and tells when the ready line comes.
async fn follow(stderr: ChildStderr, tell: oneshot::Sender<Ready>) {
    let mut tell = Some(tell);
    let mut last: VecDeque<String> = VecDeque::with_capacity(LAST_WORDS);
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if tell.is_none() {
            continue;
        }
        if let Some(address) = ready_address(&line) {
            // Nobody listens any more when the start has timed out.
            let _ = tell.take().map(|tell| tell.send(Ok((address, Instant::now()))));
            continue;
        }
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line);
    }
    let _ = tell.map(|tell| tell.send(Err(Vec::from(last).join("\n"))));
}

fn ready_address(line: &str) -> Option<SocketAddr> {
    line.trim().strip_prefix("ready http://")?.trim_end_matches('/').parse().ok()
}
