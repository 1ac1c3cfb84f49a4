//! The messages between the gate and a keeper.

use crate::Process;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// All that a keeper needs to hold a run. The command gets the keeper's own stdin and stdout.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Start {
    /// The id of the run.
    pub run: String,
    /// A variable and its value that mark everything the run starts. It is put into the environment.
    pub mark: (String, String),
    /// The program, looked for in the `PATH` of `env`.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its whole environment, but for the mark.
    pub env: Vec<(String, String)>,
    /// Where it runs; the keeper's own folder where absent.
    pub cwd: Option<PathBuf>,
    /// What is kept of its output; nothing where absent.
    pub output: Option<Output>,
    /// The signal that asks it to end; SIGTERM where absent.
    pub signal: Option<i32>,
    /// A command that asks it to end, in place of the signal: it runs as the run does, and is part of it.
    pub stop_command: Option<Vec<String>>,
    /// How to contain it; the best means that this machine has where absent.
    pub containment: Option<Containment>,
    /// What it may use.
    pub limits: Limits,
    /// What becomes of it once the gate is gone.
    pub on_loss: OnLoss,
    /// How to stop it where nobody says how: the gate is gone, a limit is reached, its command ended and left something.
    pub stop: Stop,
    /// The folder of the run ([`crate::Folder`]), which exists.
    pub folder: PathBuf,
    /// What the gate wants to know of the run when it finds it in the folder. A keeper only keeps it.
    pub about: serde_json::Value,
}

/// What is kept of a run's output, and how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The folder of the spool ([`crate::spool`]).
    pub folder: PathBuf,
    /// Bytes on the disk at most; the oldest go first.
    pub bytes: u64,
    /// Whether its stdout is kept as its stderr is. Else the command gets the keeper's own.
    pub stdout: bool,
}

/// What a run may use. Each bound ends all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// How long it may run, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_ms: Option<u64>,
    /// How long it may say nothing, in ms. Only what is kept of its output counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u64>,
    /// Processor time of all its processes together, in ms; looked at every second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
    /// Memory of all its processes together that they share with nobody, in bytes; looked at every second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
}

/// What becomes of a run when its gate is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnLoss {
    /// It goes on, and the next gate takes it over.
    Keep,
    /// It is stopped after so many ms, unless a gate takes it over before.
    StopAfter(u64),
}

/// What holds a run together, the strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Containment {
    /// A control group (version 2): the kernel ends all of it at once.
    Cgroup,
    /// A namespace of pids, whose first process is ours: when it ends, the kernel ends all the others. The command sees
    /// other pids than the rest of the machine.
    Namespace,
    /// The keeper is the parent of whatever loses its own, so that all stay its descendants.
    Subreaper,
    /// The session and the process group alone: what leaves both is found by its mark, if it kept that.
    Group,
}

impl Containment {
    /// Its name in messages and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Namespace => "namespace",
            Self::Subreaper => "subreaper",
            Self::Group => "group",
        }
    }
}

/// What the gate asks of a keeper that holds a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Stop the run.
    Stop(Stop),
    /// Whoever says this is the gate from now on.
    Adopt,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// How long it may take to end by itself, in ms: its stdin is closed by then.
    pub wait_ms: u64,
    /// How long it may take after SIGTERM, in ms. What lives then is killed.
    pub grace_ms: u64,
}

/// What a keeper says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Report {
    /// The command runs.
    Started(Started),
    /// The command could not be started, and nothing runs.
    Failed(String),
    /// The command ended. What it started may still live, and is being stopped.
    Exited(Exit),
    /// All is over, or as far as it can be brought. It is the last word.
    Over(Ended),
}

/// A command that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its process.
    pub process: Process,
    /// What holds it.
    pub containment: Containment,
    /// The folder of its control group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
}

/// The end of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// What was found.
    pub stopped: Stopped,
    /// How its command ended, where that was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Why it was stopped, where nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Its exit code, where it exited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Its last lines.
    #[serde(default)]
    pub last: Vec<String>,
    /// Why it was stopped, where nobody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            _ if let Some(cause) = &self.cause => write!(f, "was stopped: {cause}"),
            (Some(code), _) => write!(f, "exited with code {code}"),
            (None, Some(signal)) => write!(f, "ended by signal {signal}"),
            (None, None) => f.write_str("ended"),
        }
    }
}

/// What stopping a run came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// In one word.
    pub verdict: Verdict,
    /// How long it took, in ms.
    pub took_ms: u64,
    /// What lived of it when the stop began.
    pub before: Vec<Process>,
    /// What lives of it still.
    pub survivors: Vec<Survivor>,
    /// Why it is to be believed.
    pub proof: Proof,
}

impl Stopped {
    /// A verdict on what is no process, or could not be looked for.
    #[must_use]
    pub fn without_proof(verdict: Verdict, took_ms: u64) -> Self {
        let (scope, killed_by) = ("none: it is no process of this machine".into(), "nothing".into());
        let proof = Proof { scope, killed_by, looked_by: Vec::new(), passes: 0 };
        Self { verdict, took_ms, before: Vec::new(), survivors: Vec::new(), proof }
    }

    /// What is to be said to whoever stops it once more: nothing of it lived any longer, which was proved then.
    #[must_use]
    pub fn once_more(&self) -> Self {
        let proof = Proof { killed_by: "nothing: it had ended before".into(), ..self.proof.clone() };
        let (before, survivors) = (Vec::new(), Vec::new());
        Self { verdict: Verdict::AlreadyEnded, took_ms: 0, before, survivors, proof }
    }

    /// In one line, for a person.
    #[must_use]
    pub fn summary(&self) -> String {
        let of = match self.before.len() {
            1 => "1 process".to_owned(),
            many => format!("{many} processes"),
        };
        match self.verdict {
            Verdict::Stopped => format!("stopped: {of}, nothing of it lives"),
            Verdict::AlreadyEnded => "already ended: nothing of it lived".to_owned(),
            Verdict::Acknowledged => "acknowledged: the server says that it ended".to_owned(),
            Verdict::Unconfirmed if self.proof.passes > 0 => {
                "unconfirmed: the kernel knows of a process of it, and none is seen".to_owned()
            }
            Verdict::Unconfirmed => {
                "unconfirmed: the server was asked to stop it, and need not answer".to_owned()
            }
            Verdict::Unreachable => "unreachable: the server cannot be asked now".to_owned(),
            Verdict::Partial => {
                let who = |survivor: &Survivor| {
                    let Survivor { process: Process { pid, command, .. }, why } = survivor;
                    format!("{pid} {command}: {why}")
                };
                let who: Vec<_> = self.survivors.iter().map(who).collect();
                format!("partial: of {of} these live: {}", who.join("; "))
            }
        }
    }
}

/// The answer to a stop, never "signalled". A keeper gives `stopped`, `already_ended` or `partial`, and `unconfirmed` where
/// the kernel knows of something that `/proc` does not show; the others are for what runs elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Proved: nothing of it lives.
    Stopped,
    /// It runs in someone else's server, which reported a final state: its word, not our proof.
    Acknowledged,
    /// Asked, and no final answer within the deadline.
    Unconfirmed,
    /// Some of it lives, and which is said.
    Partial,
    /// Its host or server cannot be reached now.
    Unreachable,
    /// Nothing of it lived when the stop began.
    AlreadyEnded,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Stopped,
        Self::Acknowledged,
        Self::Unconfirmed,
        Self::Partial,
        Self::Unreachable,
        Self::AlreadyEnded,
    ];

    /// As tables and scripts spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Acknowledged => "acknowledged",
            Self::Unconfirmed => "unconfirmed",
            Self::Partial => "partial",
            Self::Unreachable => "unreachable",
            Self::AlreadyEnded => "already_ended",
        }
    }

    /// Whether there is nothing left to do.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Acknowledged | Self::AlreadyEnded)
    }
}

/// A process that lives although it was to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Which.
    #[serde(flatten)]
    pub process: Process,
    /// Why it lives.
    pub why: String,
}

/// How it was made sure that nothing lives: not by what ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// What it holds for, and what is outside.
    pub scope: String,
    /// What ended the last of it.
    pub killed_by: String,
    /// How was looked for what lives.
    pub looked_by: Vec<String>,
    /// How many times in a row nothing was found.
    pub passes: u32,
}
