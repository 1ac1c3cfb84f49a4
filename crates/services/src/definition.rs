//! What a service is.

use portcullis_runs::{Ending, Limits, OnLoss};
use regex::Regex;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of its output that are kept, where nothing else is said.
pub(crate) const LOG: u64 = 64 << 20;
/// How long a service may take to be ready, and after it was asked to end, where nothing else is said.
pub(crate) const READY: Duration = Duration::from_secs(60);
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// One service of `services.yaml`, or of a file that it imports.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub id: Arc<str>,
    /// The program and its arguments; `${port}` stands for its port.
    pub command: Vec<String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// Variables beside the allow-list; `${port}` stands for its port.
    pub env: Vec<(String, String)>,
    /// The port that it listens on.
    pub port: Option<Port>,
    /// How is known that it is ready.
    pub ready: Option<Ready>,
    /// How is known that it still works.
    pub live: Option<Live>,
    /// What has to be there before.
    pub depends_on: Vec<(Arc<str>, Condition)>,
    /// What happens when it ends by itself.
    pub restart: Restart,
    /// How it is stopped.
    pub stop: Ending,
    /// What becomes of it once the gate is gone.
    pub on_loss: OnLoss,
    /// What it may use.
    pub limits: Limits,
    /// Bytes of its output that are kept.
    pub log: u64,
    /// Words to choose it by.
    pub tags: Vec<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether it is started only where its name is said, and not among all.
    pub only_by_name: bool,
}

/// The port of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// This one.
    Fixed(u16),
    /// Any that is free.
    Auto,
    /// This one is told to it as PORT. Whether it listens there is its own affair.
    Offered(u16),
}

/// How is known that a service is ready.
#[derive(Debug, Clone, PartialEq)]
pub struct Ready {
    /// What is looked at.
    pub probe: Probe,
    /// How long it may take.
    pub timeout: Duration,
}

/// How is known that a service still works.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// What is looked at.
    pub probe: Probe,
    /// How often.
    pub every: Duration,
    /// How many times in a row it may fail.
    pub failures: u32,
}

/// Something that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// One of its processes listens on the port; its own where absent.
    Port(Option<u16>),
    /// A request is answered with one of these codes.
    Http {
        /// The machine that is asked, whoever answers there; absent: this one, and only its own answer counts.
        host: Option<String>,
        /// The path, with its query.
        path: String,
        /// The port; its own where absent.
        port: Option<u16>,
        /// Status codes.
        status: RangeInclusive<u16>,
    },
    /// It writes a line in which this is found.
    Log(Pattern),
    /// This command, run as the service is, exits with 0.
    Exec(Vec<String>),
    /// All of them.
    All(Vec<Probe>),
    /// One of them.
    Any(Vec<Probe>),
}

/// A regular expression; two are equal when they are written so.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// What of another service is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It was started.
    Started,
    /// It is ready.
    Ready,
    /// It ended, however.
    Exited,
    /// It ended with exit code 0.
    ExitedOk,
}

/// What happens when a service ends by itself. After a stop that somebody asked for nothing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// Whether it is started again.
    pub when: When,
    /// How long is waited before the first time; twice as long each time after, 30 s at most.
    pub backoff: Duration,
    /// How many times in a row. It counts anew after the service was up for a minute.
    pub max: u32,
}

/// Whether a service is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Never.
    No,
    /// When it ended by a signal or with another exit code than 0, or does not work any more.
    OnFailure,
    /// However it ended.
    Always,
}

impl Default for Restart {
    fn default() -> Self {
        Self { when: When::No, backoff: Duration::from_secs(1), max: 5 }
    }
}

impl Definition {
    /// A service of which only the command is said.
    #[must_use]
    pub fn new(id: &str, command: Vec<String>, cwd: PathBuf) -> Self {
        Self {
            id: id.into(),
            command,
            cwd,
            env: Vec::new(),
            port: None,
            ready: None,
            live: None,
            depends_on: Vec::new(),
            restart: Restart::default(),
            stop: Ending { grace: GRACE, ..Ending::default() },
            on_loss: OnLoss::StopAfter(5000),
            limits: Limits::default(),
            log: LOG,
            tags: Vec::new(),
            description: None,
            only_by_name: false,
        }
    }

    /// Whether the name can be a service's.
    #[must_use]
    pub fn is_id(id: &str) -> bool {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
        (1..=64).contains(&id.len())
            && id.chars().all(good)
            && id.starts_with(|c: char| c.is_ascii_alphanumeric())
    }
}

/// A command for a shell.
pub(crate) fn in_shell(line: &str) -> Vec<String> {
    ["sh", "-c", line].map(str::to_owned).to_vec()
}
