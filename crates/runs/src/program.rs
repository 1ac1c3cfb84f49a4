//! The keeper's program, which the gate has in itself.

use parking_lot::Mutex;
use rustix::process::{Pid, PidfdFlags, Signal};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn hash_of(file: &Path) -> io::Result<String> {
    let (mut file, mut hash, mut part) = (fs::File::open(file)?, Sha256::new(), vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut part)?;
        match part.get(..read) {
            Some(part) if read > 0 => hash.update(part),
            _ => return Ok(data_encoding::HEXLOWER.encode(&hash.finalize())),
        }
    }
}

/// Pids of the keepers that were started from a data folder.
#[must_use]
pub fn keepers_of(folder: &Path) -> Vec<i32> {
    let own = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join(PREFIX);
    let pids = portcullis_keeper::processes().into_iter().map(|process| process.pid);
    pids.filter(|pid| runs_from(*pid, &own)).collect()
}

/// Has the keepers that were started from a data folder stop what they hold, where their gate cannot.
pub fn end_keepers_of(folder: &Path) {
    let own = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join(PREFIX);
    for pid in keepers_of(folder).into_iter().filter_map(Pid::from_raw) {
        // The handle stands for whoever had the pid when it was opened: looked at after that, it is the right one.
        if let Ok(handle) = rustix::process::pidfd_open(pid, PidfdFlags::empty())
            && runs_from(pid.as_raw_nonzero().get(), &own)
        {
            let _ = rustix::process::pidfd_send_signal(&handle, Signal::TERM);
            // Whoever is stopped hears nothing before it goes on.
            let _ = rustix::process::pidfd_send_signal(&handle, Signal::CONT);
        }
    }
}

/// Whether the program of a process is a file whose path begins so.
fn runs_from(pid: i32, beginning: &Path) -> bool {
    let program = fs::read_link(format!("/proc/{pid}/exe"));
    program.is_ok_and(|it| {
        it.as_os_str().as_encoded_bytes().starts_with(beginning.as_os_str().as_encoded_bytes())
    })
}

/// How the names of the files begin.
const PREFIX: &str = "keeper-";

/// The keeper as a file: written to a folder under its hash at first need.
#[derive(Debug, Clone)]
pub struct Program {
    bytes: &'static [u8],
    hash: &'static str,
    file: PathBuf,
    /// The file as it was when its hash was the right one.
    right: Arc<Mutex<Option<Stamp>>>,
}

/// What changes with a file: its device and number, its size, and when it and its name were changed.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

fn stamp_of(file: &Path) -> io::Result<Stamp> {
    let it = fs::metadata(file)?;
    Ok((it.dev(), it.ino(), it.size(), (it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec())))
}

impl Program {
    /// These bytes with their SHA-256, hexadecimal, to be kept in that folder.
    #[must_use]
    pub fn new(bytes: &'static [u8], hash: &'static str, folder: &Path) -> Self {
        let file = folder.join(format!("{PREFIX}{}", hash.get(..16).unwrap_or(hash)));
        Self { bytes, hash, file, right: Arc::default() }
    }

    /// Where it is. Whether somebody changed it is looked at before every start; then it is written anew.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn path(&self) -> Result<PathBuf, String> {
        let stamp = stamp_of(&self.file).ok();
        if stamp.is_some() && *self.right.lock() == stamp {
            return Ok(self.file.clone());
        }
        if hash_of(&self.file).is_ok_and(|found| found == self.hash) {
            *self.right.lock() = stamp;
            return Ok(self.file.clone());
        }
        self.write()
            .map(|()| self.file.clone())
            .map_err(|error| format!("the keeper cannot be written to {}: {error}", self.file.display()))
    }

    /// Where it is, or will be.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The folder that it is kept in.
    pub(crate) fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    fn write(&self) -> io::Result<()> {
        let folder = self.folder();
        fs::create_dir_all(folder)?;
        // Under another name first, so that nobody ever starts half of it.
        let random = crate::RunId::fresh().map_err(|error| io::Error::other(error.to_string()))?;
        let new = folder.join(format!("{PREFIX}{random}.new"));
        let mut file = fs::File::options().write(true).create_new(true).mode(0o700).open(&new)?;
        let written = file
            .write_all(self.bytes)
            .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o700)))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &self.file));
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }
}
