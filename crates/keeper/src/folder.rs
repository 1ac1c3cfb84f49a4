//! The folder of a run: what is to be known of it when its gate was not there.

use crate::{Ended, OnLoss, Process, Started};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

const RUN: &str = "run.json";
const OVER: &str = "over.json";
const CONTROL: &str = "control";

/// A folder that one run has for itself, with mode 0700: `run.json` from its start, `over.json` from its end, and
/// between them the socket `control`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder(PathBuf);

/// `run.json`: all that is needed to find a run again, and to stop it where its keeper is gone too.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFile {
    /// The boot of the machine that it belongs to ([`boot_id`]): pids and start times mean nothing in another.
    pub boot: String,
    /// The keeper.
    pub keeper: Process,
    /// The command, and what contains it.
    pub started: Started,
    /// When it was started, in ms since 1970.
    pub began_ms: u64,
    /// What becomes of it once its gate is gone.
    pub on_loss: OnLoss,
    /// What the gate wants to know of it.
    pub about: serde_json::Value,
}

impl Folder {
    /// A folder at that place, which need not exist.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Makes it, and those above it.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub fn make(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What was started. `None` where nothing was, or it cannot be read.
    #[must_use]
    pub fn run(&self) -> Option<RunFile> {
        self.read(RUN)
    }

    /// How it ended. `None` where it did not, or nobody was left to write it down.
    #[must_use]
    pub fn over(&self) -> Option<Ended> {
        self.read(OVER)
    }

    /// Writes down what was started.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep_run(&self, run: &RunFile) -> io::Result<()> {
        self.write(RUN, run)
    }

    /// Writes down how it ended, and takes the socket away.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep_over(&self, ended: &Ended) -> io::Result<()> {
        let _ = fs::remove_file(self.0.join(CONTROL));
        self.write(OVER, ended)
    }

    /// Makes the socket, with mode 0600.
    ///
    /// # Errors
    /// Where the system does not allow it.
    pub fn listen(&self) -> io::Result<UnixListener> {
        let listener = self.near(|path| UnixListener::bind(path))?;
        fs::set_permissions(self.0.join(CONTROL), fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    }

    /// Connects to the keeper.
    ///
    /// # Errors
    /// Where none listens.
    pub fn connect(&self) -> io::Result<UnixStream> {
        self.near(|path| UnixStream::connect(path))
    }

    /// The address of a socket has room for 108 bytes, and a folder's path may be longer: it is named by its descriptor.
    fn near<T>(&self, act: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
        let folder = File::open(&self.0)?;
        act(&PathBuf::from(format!("/proc/self/fd/{}/{CONTROL}", folder.as_raw_fd())))
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.0.join(name)).ok()?).ok()
    }

    fn write(&self, name: &str, what: &impl Serialize) -> io::Result<()> {
        // Under another name first, so that nobody ever reads half of it.
        let new = self.0.join(format!("{name}.new"));
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec(what)?)?;
        fs::rename(&new, self.0.join(name))
    }
}

/// What tells this run of the machine from those before and after it.
#[must_use]
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim_end().to_owned()
}
