//! The lock of a data folder: who holds it, and where that gate is spoken to.
//!
//! The file has the pid on its first line and, once the gate takes commands, the path of its socket behind it. So a
//! command finds the gate also where its own environment would have put the socket elsewhere. What stands in a file that
//! nobody holds is left over and counts for nothing.

use crate::failure::Failure;
use rustix::fs::FlockOperation;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A data folder held, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

/// Who holds a data folder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its process.
    pub pid: Option<u32>,
    /// Its socket; `None` where it takes no commands: it is starting, or it is the gate of one `portcullis stdio`.
    pub socket: Option<PathBuf>,
}

impl Lock {
    /// Takes a data folder for this process alone.
    ///
    /// # Errors
    /// Where another gate holds it: its pid.
    pub(crate) fn take(folder: &Path) -> Result<Self, Failure> {
        let path = path_in(folder);
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed(&path, &error))?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let holder = holder(folder);
            let pid = holder.as_ref().and_then(|holder| holder.pid);
            let pid = pid.map_or_else(|| "another process".into(), |pid| format!("pid {pid}"));
            let more = match holder.and_then(|holder| holder.socket) {
                Some(_) => "`portcullis status` shows it",
                None => {
                    "it is still starting, or it is the one of `portcullis stdio`, which ends with its client"
                }
            };
            return Err(Failure::usage(format!(
                "a gate is already running on {} ({pid}); {more}",
                folder.display()
            )));
        }
        let written = file.set_len(0).and_then(|()| writeln!(&file, "{}", std::process::id()));
        written.map_err(|error| failed(&path, &error))?;
        Ok(Self { file, path })
    }

    /// Lets commands know the socket.
    pub(crate) fn announce(&self, socket: &Path) -> Result<(), Failure> {
        // In one write, so that nobody reads half of a path.
        let line = [socket.as_os_str().as_bytes(), b"\n"].concat();
        (&self.file).write_all(&line).map_err(|error| failed(&self.path, &error))
    }
}

/// Who holds a data folder; `None` where nobody does.
pub(crate) fn holder(folder: &Path) -> Option<Holder> {
    let path = path_in(folder);
    let file = File::open(&path).ok()?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let text = std::fs::read(&path).unwrap_or_default();
    let (pid, rest) = text.split_at(text.iter().position(|b| *b == b'\n').unwrap_or(text.len()));
    let pid = std::str::from_utf8(pid).ok().and_then(|pid| pid.parse().ok());
    let socket = rest.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\n"));
    Some(Holder { pid, socket: socket.map(|path| OsString::from_vec(path.to_vec()).into()) })
}

fn path_in(folder: &Path) -> PathBuf {
    folder.join("lock")
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_is_known_from_its_announcement_until_the_lock_ends() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(holder(folder.path()), None);
        let lock = Lock::take(folder.path()).unwrap();
        let pid = Some(std::process::id());
        assert_eq!(holder(folder.path()), Some(Holder { pid, socket: None }));
        let socket = Path::new("/run/a b\n/c.sock");
        lock.announce(socket).unwrap();
        assert_eq!(holder(folder.path()), Some(Holder { pid, socket: Some(socket.to_owned()) }));
        let why = Lock::take(folder.path()).unwrap_err().to_string();
        assert!(why.contains(&format!("pid {}", std::process::id())), "{why}");
        drop(lock);
        assert_eq!(holder(folder.path()), None);
        Lock::take(folder.path()).unwrap();
    }
}
