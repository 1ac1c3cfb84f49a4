//! Changed files: checked and announced at once, taken by `portcullis reload`, or by themselves where the
//! configuration says `watch: true`. A process that an agent started may write the files too, so taking them
//! unasked is for machines where no run shares the operator's uid; but a policy that only tightens is taken at once anywhere.

use crate::failure::Failure;
use crate::running::Running;
use notify::{RecursiveMode, Watcher};
use portcullis_document::Colours;
use portcullis_policy::Policy;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Editors write a file in several steps; after this long without one it is whole.
const SETTLED: Duration = Duration::from_millis(200);

/// What stands in each file; `None` where it cannot be read.
pub(crate) type Contents = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// What stands in these files now.
pub(crate) fn contents(files: impl IntoIterator<Item = PathBuf>) -> Contents {
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).ok())).collect()
}

/// Watches the folders of the configuration and of its policies, those that a reload names too, until `stop`.
pub(crate) fn start(running: &Arc<Running>, stop: CancellationToken) -> Result<(), Failure> {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = tell.try_send(());
        }
    });
    let watcher = watcher.map_err(|error| Failure::usage(format!("files cannot be watched: {error}")))?;
    let running = running.clone();
    let mut watched = Watched { watcher, folders: BTreeSet::new() };
    tokio::spawn(async move {
        // What was announced last, so that one change is announced once.
        let mut announced = None;
        loop {
            let files = running.files().await;
            watched.set(&files);
            let now = contents(files);
            if now == running.taken() {
                // A change that was taken or undone waits no more.
                announced = None;
                *running.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
            } else if announced.as_ref() != Some(&now) {
                announced = Some(now);
                changed(&running).await;
                // A reload in there may have named other folders.
                continue;
            }
            tokio::select! {
                event = told.recv() => if event.is_none() { return },
                () = running.reloaded.notified() => continue,
                () = stop.cancelled() => return,
            }
            tokio::time::sleep(SETTLED).await;
            while told.try_recv().is_ok() {}
        }
    });
    Ok(())
}

/// Folders under watch. Folders, because editors replace files: a watched file would be lost with its first edit.
struct Watched {
    watcher: notify::RecommendedWatcher,
    folders: BTreeSet<PathBuf>,
}

impl Watched {
    /// Watches the folders of these files and no others. Where one is not there, the nearest above tells when it is made.
    fn set(&mut self, files: &[PathBuf]) {
        let there = |file: &PathBuf| file.ancestors().skip(1).find(|it| it.is_dir()).map(Path::to_owned);
        let folders: BTreeSet<_> = files.iter().filter_map(there).collect();
        for gone in self.folders.difference(&folders) {
            // One that was removed has no watch any more.
            let _ = self.watcher.unwatch(gone);
        }
        let mut kept: BTreeSet<_> = self.folders.intersection(&folders).cloned().collect();
        for new in folders.difference(&self.folders) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Ok(()) => drop(kept.insert(new.clone())),
                Err(error) => tracing::warn!(folder = %new.display(), %error, "a folder cannot be watched"),
            }
        }
        self.folders = kept;
    }
}

/// Takes of changed files what may be taken unasked, and announces the rest.
pub(crate) async fn changed(running: &Arc<Running>) {
    if running.config.lock().await.watch {
        if let Err(failure) = running.reload().await {
            tracing::error!(lines = %failure.bare(), "a changed file was not taken");
        }
        return;
    }
    running.tighten().await;
    if contents(running.files().await) == running.taken() {
        return;
    }
    let text = match problems(running).await {
        None => {
            let text = "changed files are waiting: `portcullis reload` takes them";
            tracing::warn!("{text}");
            text.to_owned()
        }
        Some(why) => {
            let text = "changed files are waiting, and they have mistakes";
            tracing::warn!(lines = %why, "{text}");
            format!("{text}:\n{why}")
        }
    };
    *running.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(text);
}

/// What is wrong with the files as they are now.
async fn problems(running: &Running) -> Option<String> {
    let file = running.config.lock().await.file.clone();
    let config = match crate::place::read_config(&file) {
        Ok(config) => config,
        Err(failure) => return Some(failure.bare().trim_start_matches('\n').to_owned()),
    };
    let wrong: Vec<String> = config
        .policies
        .values()
        .filter_map(|path| match std::fs::read_to_string(path) {
            Err(error) => Some(format!("{}: {error}", path.display())),
            Ok(text) => {
                // Without colours: the log and `status` show it, wherever they are read.
                let problems = Policy::parse(&path.to_string_lossy(), &text).err()?;
                Some(problems.render(100, Colours::Never).trim_end().to_owned())
            }
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}
