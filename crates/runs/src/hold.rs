//! What is to be held: a command, whose it is, and what it may do.

use portcullis_keeper::{Limits, OnLoss};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to end by itself after its stdin was closed, and again after SIGTERM.
pub const GRACE: Duration = Duration::from_secs(2);

/// What a run that is a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An upstream that speaks on stdin and stdout.
    Upstream,
    /// A local service.
    Service,
    /// A command that an agent runs.
    Command,
}

impl Kind {
    /// As tables and scripts spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Service => "service",
            Self::Command => "command",
        }
    }
}

/// A command to hold. It has secrets in it, so it is not kept and cannot be printed.
pub struct Hold {
    /// What it is.
    pub kind: Kind,
    /// Whose it is: a grant, or `gate` where it serves all.
    pub owner: Arc<str>,
    /// The upstream that it is, or that started it.
    pub upstream: Arc<str>,
    /// The service or the tool that it belongs to, where there is one.
    pub name: Option<Arc<str>>,
    /// The port that it listens on, where that is known.
    pub port: Option<u16>,
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, but for the mark.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
    /// Which of its streams are pipes of the gate.
    pub pipes: Pipes,
    /// Where its output is kept; in the run's own folder where absent.
    pub spool: Option<PathBuf>,
    /// Bytes of its output that are kept.
    pub keep: u64,
    /// What it may use.
    pub limits: Limits,
    /// How it is asked to end.
    pub ending: Ending,
    /// What becomes of it once its gate is gone.
    pub on_loss: OnLoss,
}

/// Which streams of a command are pipes of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipes {
    /// stdin and stdout, which is not kept then.
    Both,
    /// stdin alone.
    Stdin,
    /// None: it reads nothing.
    None,
}

/// How a run is asked to end, and how long it may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// The signal; SIGTERM where absent.
    pub signal: Option<i32>,
    /// A command in place of the signal.
    pub command: Option<Vec<String>>,
    /// How long it may take then. What lives after that is killed.
    pub grace: Duration,
}

impl Default for Ending {
    fn default() -> Self {
        Self { signal: None, command: None, grace: GRACE }
    }
}

impl Hold {
    /// The command line, for a person: the program and its arguments, cut to a readable length.
    pub(crate) fn line(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.args).map(String::as_str);
        words.collect::<Vec<_>>().join(" ").chars().take(160).collect()
    }
}

/// Variables of the gate's own environment that a command sees; everything else only where its entry says so.
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

/// What a command sees of the gate's own environment.
pub fn allowed_environment() -> impl Iterator<Item = (String, String)> {
    ALLOWED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
}

/// A time as messages and files have it, in ms.
#[must_use]
pub fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
