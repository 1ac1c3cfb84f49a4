//! The files of the store: whether they are still those that were opened, and why they cannot be written.
//!
//! SQLite goes on writing into a file that was removed or replaced under its hands, and what it writes there is
//! gone with the process. So they are looked at from time to time, and while one is missing nothing is written.

use crate::schema::FILE;
use rustix::process::{Resource, getrlimit};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What SQLite appends to the name of the file: itself, its log, and the index of its log. Without any of them
/// other processes see another store than we do.
const PARTS: [&str; 3] = ["", "-wal", "-shm"];

/// How close to the limit on file size a file must be to be what cannot grow: one page and its frame in the log.
const NEAR: u64 = 8192;

/// The files as they were when the store was opened.
#[derive(Debug)]
pub(crate) struct Files {
    folder: PathBuf,
    parts: Vec<(PathBuf, Option<Identity>)>,
}

/// Device and inode: the same file under the same name.
type Identity = (u64, u64);

impl Files {
    /// The files of a store that is open. Those that are not there yet are not missed.
    pub(crate) fn of(folder: &Path) -> Self {
        let parts = PARTS.map(|part| folder.join(format!("{FILE}{part}")));
        let parts = parts.into_iter().map(|path| (path.clone(), identity(&path))).collect();
        Self { folder: folder.to_owned(), parts }
    }

    /// What is missing, where something is.
    pub(crate) fn missing(&self) -> Option<String> {
        let (path, _) = self.parts.iter().find(|(path, then)| then.is_some() && identity(path) != *then)?;
        Some(format!(
            "{} was removed or replaced while the gate ran; put the same file back, or start the gate again",
            path.display()
        ))
    }

    /// What SQLite says of a failed write, and the cause where it can be told: for most of them it says no more
    /// than `disk I/O error`.
    pub(crate) fn explain(&self, said: &str) -> String {
        match self.cause() {
            Some(cause) => format!("{said}: {cause}"),
            None => said.to_owned(),
        }
    }

    fn cause(&self) -> Option<String> {
        // The log alone: to close any handle of the file itself would end SQLite's locks on it.
        if let Some((log, _)) = self.parts.get(1)
            && let Err(error) = File::options().write(true).open(log)
        {
            return Some(format!("{}: {error}", log.display()));
        }
        if rustix::fs::statvfs(&self.folder).is_ok_and(|system| system.f_bavail == 0) {
            return Some(format!("the file system of {} has no room left", self.folder.display()));
        }
        let limit = getrlimit(Resource::Fsize).current?;
        let largest = self.parts.iter().filter_map(|(path, _)| Some(path.metadata().ok()?.len())).max()?;
        (largest.saturating_add(NEAR) > limit)
            .then(|| format!("this process may write no file beyond {limit} bytes (`ulimit -f`)"))
    }
}

fn identity(path: &Path) -> Option<Identity> {
    path.metadata().ok().map(|meta| (meta.dev(), meta.ino()))
}
