//! Runs that an earlier gate left: what goes on is taken over, what ended is listed, and what nobody holds is stopped.

use crate::held::{Line, spool_in};
use crate::keepers::{ENDED, Going};
use crate::{About, Held, Keepers, RunId, What};
use portcullis_keeper::spool::now_ms;
use portcullis_keeper::{Ended, Folder, Order, RunFile, Stopped, Verdict, boot_id};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use tokio::sync::{mpsc, watch};

/// Where a data folder has the folders of its runs.
pub(crate) fn runs_of(data: &Path) -> PathBuf {
    let data = std::fs::canonicalize(data).unwrap_or_else(|_| data.to_owned());
    data.join("runs")
}

/// What a run left in its folder.
struct Found {
    about: About,
    folder: Folder,
    run: RunFile,
    over: Option<Ended>,
}

impl Keepers {
    /// Looks through the folders of runs that were there when these keepers were made, once. Gives those that go on.
    pub async fn adopt(&self) -> Vec<Arc<Held>> {
        let left = std::mem::take(&mut *self.0.left.lock());
        if left.is_empty() {
            return Vec::new();
        }
        let found = tokio::task::spawn_blocking(move || found_in(left)).await.unwrap_or_default();
        let boot = boot_id();
        let mut going = Vec::new();
        for Found { about, folder, run, over } in found {
            let RunFile { keeper, started, began_ms, on_loss, .. } = run;
            if let Some(over) = over {
                self.list_ended(ended(about, folder, started, began_ms, on_loss, over));
                continue;
            }
            if run.boot != boot {
                let stopped = Stopped::without_proof(Verdict::AlreadyEnded, 0);
                let cause = Some("the machine was started anew".to_owned());
                let over = Ended { at_ms: now_ms(), stopped, exit: None, cause };
                let _ = folder.keep_over(&over);
                let run = ended(about, folder, started, began_ms, on_loss, over.clone());
                let message = "over: the machine was started anew, and nothing of it can live";
                self.record_end(&run, message, &over).await;
                self.list_ended(run);
                continue;
            }
            let mut line = match keeper.lives() {
                true => folder.connect().and_then(Line::of).ok(),
                false => None,
            };
            if let Some(line) = &mut line {
                let _ = line.orders.send(&Order::Adopt).await;
            }
            tracing::info!(run = %about.id, upstream = %about.upstream, "taken over from the gate before");
            let (keeper, child) = (Some(keeper), None);
            let (held, _) =
                self.follow(Going { about, began_ms, started, on_loss, folder, line, keeper, child });
            going.push(held);
        }
        going
    }
}

fn ended(
    about: About,
    folder: Folder,
    started: portcullis_keeper::Started,
    began_ms: u64,
    on_loss: portcullis_keeper::OnLoss,
    over: Ended,
) -> Arc<Held> {
    let exit = watch::channel(over.exit.clone()).1;
    let over = watch::Sender::new(Some(Arc::new(over)));
    let (orders, stopping, grace) = (mpsc::channel(1).0, AtomicBool::new(false), AtomicU64::new(u64::MAX));
    Arc::new(Held { about, began_ms, started, on_loss, folder, orders, exit, over, stopping, grace })
}

/// The folders of runs that are there.
pub(crate) fn folders_in(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What the folders have, the oldest end first. More than are listed are taken away.
fn found_in(folders: Vec<PathBuf>) -> Vec<Found> {
    let mut found: Vec<Found> = folders
        .into_iter()
        .filter_map(|path| {
            let id = RunId::parse(path.file_name()?.to_str()?)?;
            let folder = Folder::at(path);
            let read = || {
                let run = folder.run()?;
                let what: What = serde_json::from_value(run.about.clone()).ok()?;
                Some((run, what))
            };
            let Some((run, what)) = read() else {
                // It was never started, or only half of it is there.
                let _ = std::fs::remove_dir_all(folder.path());
                return None;
            };
            let over = folder.over();
            Some(Found { about: About { id, what }, folder, run, over })
        })
        .collect();
    found.sort_by_key(|found| found.over.as_ref().map_or(u64::MAX, |over| over.at_ms));
    let over = found.iter().filter(|found| found.over.is_some()).count();
    for old in found.drain(..over.saturating_sub(ENDED)) {
        let _ = std::fs::remove_dir_all(old.folder.path());
    }
    found
}

/// What the folder of a run says, for whoever looks where no gate may run.
#[derive(Debug)]
pub struct Left(Folder);

impl Left {
    /// A run of a data folder. `None` where none of that id is kept.
    #[must_use]
    pub fn of(data: &Path, id: &RunId) -> Option<Self> {
        let folder = Folder::at(runs_of(data).join(id.as_str()));
        folder.path().is_dir().then_some(Self(folder))
    }

    /// Those of a data folder that a keeper holds.
    #[must_use]
    pub fn held(data: &Path) -> Vec<(RunId, Self)> {
        let entries = std::fs::read_dir(runs_of(data)).into_iter().flatten().flatten();
        let runs = entries.filter_map(|entry| {
            let left = Self(Folder::at(entry.path()));
            let held = left.ended().is_none() && left.0.run().is_some_and(|run| run.keeper.lives());
            held.then_some((RunId::parse(entry.file_name().to_str()?)?, left))
        });
        runs.collect()
    }

    /// How it ended, once it did.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        self.0.over()
    }

    /// Where its output is.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        let what = self.0.run().and_then(|run| serde_json::from_value::<What>(run.about).ok());
        what.and_then(|what| what.spool).unwrap_or_else(|| spool_in(self.0.path()))
    }
}
