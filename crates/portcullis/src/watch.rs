//! Changed files: checked and announced at once, taken by `portcullis reload`, or by themselves where the
//! configuration says `watch: true`. A process that an agent started may write the files too, so taking them
//! unasked is for machines where no run shares the operator's uid.

use crate::failure::Failure;
use crate::place::rendered;
use crate::running::Running;
use notify::{RecursiveMode, Watcher};
use portcullis_policy::Policy;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Editors write a file in several steps; after this long without one it is whole.
const SETTLED: Duration = Duration::from_millis(200);

/// Begins to watch the folders of the configuration and of its policies; ends when dropped.
pub(crate) fn start(running: &Arc<Running>) -> Result<notify::RecommendedWatcher, Failure> {
    let (tell, mut told) = mpsc::channel::<()>(1);
    let failed = |error: notify::Error| Failure::usage(format!("files cannot be watched: {error}"));
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| !event.kind.is_access()) {
            let _ = tell.try_send(());
        }
    })
    .map_err(failed)?;
    let files = files(running);
    // Folders, because editors replace files: a watched file would be lost with its first edit.
    let folders: BTreeSet<_> =
        files.iter().filter_map(|file| file.parent()).map(|it| it.to_owned()).collect();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
    }
    let running = running.clone();
    let mut before = contents(&files);
    tokio::spawn(async move {
        while told.recv().await.is_some() {
            tokio::time::sleep(SETTLED).await;
            while told.try_recv().is_ok() {}
            let files = self::files(&running);
            let now = contents(&files);
            if now == before {
                continue;
            }
            before = now;
            changed(&running).await;
        }
    });
    Ok(watcher)
}

fn files(running: &Running) -> Vec<PathBuf> {
    // Only ever contended for the moment of a reload, which ends in another look.
    let Ok(config) = running.config.try_lock() else { return Vec::new() };
    let mut files = vec![config.file.clone()];
    files.extend(config.policies.values().cloned());
    files.iter().filter_map(|file| std::path::absolute(file).ok()).collect()
}

fn contents(files: &[PathBuf]) -> Vec<Option<Vec<u8>>> {
    files.iter().map(|file| std::fs::read(file).ok()).collect()
}

async fn changed(running: &Arc<Running>) {
    if running.config.lock().await.watch {
        if let Err(failure) = running.reload().await {
            tracing::error!("a changed file was not taken: {failure}");
        }
        return;
    }
    let text = match problems(running).await {
        None => "changed files are waiting: `portcullis reload` takes them".to_owned(),
        Some(why) => format!("changed files are waiting, and they have mistakes:\n{why}"),
    };
    tracing::warn!("{text}");
    *running.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(text);
}

/// What is wrong with the files as they are now.
async fn problems(running: &Running) -> Option<String> {
    let file = running.config.lock().await.file.clone();
    let config = match crate::place::read_config(&file) {
        Ok(config) => config,
        Err(failure) => return Some(failure.to_string()),
    };
    let wrong: Vec<String> = config
        .policies
        .values()
        .filter_map(|path| match std::fs::read_to_string(path) {
            Err(error) => Some(format!("{}: {error}", path.display())),
            Ok(text) => {
                Policy::parse(&path.to_string_lossy(), &text).err().map(|problems| rendered(&problems))
            }
        })
        .collect();
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}
