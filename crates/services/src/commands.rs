//! Commands that an agent runs: each is a run of the grant that asked for it.

use crate::services::Services;
use parking_lot::Mutex;
use portcullis_runs::{Ending, Held, Hold, Kind, Limits, OnLoss, Pipes, allowed_environment, millis};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;

/// Bytes of the output of one command that are kept.
const KEPT: u64 = 64 << 20;
/// How long a command goes on without its gate.
const ALONE: u64 = 5000;
/// How long a command may take to read what is written to it.
const READS: Duration = Duration::from_secs(5);

/// A command to run.
pub(crate) struct Wanted {
    pub(crate) words: Vec<String>,
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) timeout: Option<Duration>,
    /// What is written to its stdin at once.
    pub(crate) stdin: Option<String>,
    /// Whether its stdin stays open after that.
    pub(crate) open_stdin: bool,
}

/// The commands of one grant.
#[derive(Debug)]
pub(crate) struct Commands {
    pub(crate) services: Services,
    pub(crate) owner: Arc<str>,
    /// The gate's ends of their stdin.
    stdin: Mutex<BTreeMap<Box<str>, ChildStdin>>,
}

impl Commands {
    pub(crate) fn of(services: Services, owner: Arc<str>) -> Self {
        Self { services, owner, stdin: Mutex::default() }
    }

    /// Starts one.
    pub(crate) async fn run(&self, wanted: Wanted) -> Result<Arc<Held>, String> {
        let mut words = wanted.words.into_iter();
        let program = words.next().filter(|it| !it.is_empty()).ok_or("the command is empty")?;
        let limits = Limits { wall_ms: wanted.timeout.map(millis), ..Limits::default() };
        let folder = self.services.folder_of_file();
        let hold = Hold {
            kind: Kind::Command,
            owner: self.owner.clone(),
            upstream: self.services.0.upstream.clone(),
            name: Some("run_command".into()),
            port: None,
            program,
            args: words.collect(),
            env: allowed_environment().chain(wanted.env).collect(),
            cwd: Some(wanted.cwd.map_or_else(|| folder.clone(), |cwd| folder.join(cwd))),
            pipes: if wanted.open_stdin || wanted.stdin.is_some() { Pipes::Stdin } else { Pipes::None },
            spool: None,
            keep: KEPT,
            limits,
            ending: Ending { grace: Duration::from_secs(5), ..Ending::default() },
            on_loss: OnLoss::StopAfter(ALONE),
        };
        let piped = self.services.0.keepers.hold(hold).await?;
        let id: Box<str> = piped.held.about.id.as_str().into();
        {
            let lives =
                |id: &str| self.list().iter().any(|it| it.over().is_none() && it.about.id.as_str() == id);
            let mut open = self.stdin.lock();
            open.retain(|id, _| lives(id));
            open.extend(piped.stdin.map(|stdin| (id, stdin)));
        }
        if let Some(text) = wanted.stdin {
            // One that does not read it has its reasons, which its output tells.
            let _ = self.write(&piped.held, &text, !wanted.open_stdin).await;
        }
        Ok(piped.held)
    }

    /// The grant's own commands, also those that are over and still kept.
    pub(crate) fn list(&self) -> Vec<Arc<Held>> {
        let keepers = &self.services.0.keepers;
        let own = |held: &Arc<Held>| {
            held.about.kind == Kind::Command
                && held.about.owner == self.owner
                && held.about.upstream == self.services.0.upstream
        };
        keepers.ended().into_iter().chain(keepers.list()).filter(own).collect()
    }

    /// One of them. Somebody else's is as unknown as one that never was.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Held>, String> {
        self.list().into_iter().find(|held| held.about.id.as_str() == id).ok_or_else(|| {
            let shown: String = id.chars().take(40).collect();
            format!("No run has the id `{shown}`; `list_runs` shows yours.")
        })
    }

    /// Writes to the stdin of one, and closes it where that is wanted.
    pub(crate) async fn write(&self, held: &Held, text: &str, close: bool) -> Result<(), String> {
        let id = held.about.id.as_str();
        // Taken out while it is written to: whoever does not read keeps nobody else waiting.
        let taken = self.stdin.lock().remove_entry(id);
        let Some((key, mut stdin)) = taken else {
            return Err(format!("the stdin of {id} is closed, or is being written to"));
        };
        let written = tokio::time::timeout(READS, async {
            stdin.write_all(text.as_bytes()).await?;
            stdin.flush().await
        });
        let written = written.await;
        if !close && !matches!(written, Ok(Err(_))) {
            self.stdin.lock().insert(key, stdin);
        }
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("{id} does not read its stdin: {error}")),
            Err(_) => {
                let seconds = READS.as_secs();
                Err(format!("{id} did not read all of it within {seconds} s; a part may have been read"))
            }
        }
    }
}
