//! Which programs were started for a look before: nobody is asked about the same one again.

use data_encoding::HEXLOWER;
use portcullis_upstreams::How;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// Those of this user, by a digest of program, arguments, variables and folder: whoever changes one of them is asked again.
pub(super) struct Started {
    /// `None` where the user has no place for what is remembered.
    file: Option<PathBuf>,
    digests: BTreeSet<String>,
}

impl Started {
    /// Reads which they are. What cannot be read was never started.
    pub(super) fn read() -> Self {
        let file = file();
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        Self { file, digests: text.lines().map(str::to_owned).collect() }
    }

    /// Whether it is one of them.
    pub(super) fn has(&self, how: &How) -> bool {
        self.digests.contains(&digest(how))
    }

    /// Remembers more. Where that fails, the user is asked once more than is needed.
    pub(super) fn add<'a>(&self, more: impl Iterator<Item = &'a How>) {
        let Some(file) = &self.file else { return };
        let new: BTreeSet<String> =
            more.map(digest).filter(|digest| !self.digests.contains(digest)).collect();
        if new.is_empty() {
            return;
        }
        let written = file
            .parent()
            .map_or(Ok(()), |folder| std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder));
        // One line each in one write: whoever scans at the same time adds theirs.
        let lines: String = new.iter().map(|digest| format!("{digest}\n")).collect();
        let open = || std::fs::File::options().append(true).create(true).mode(0o600).open(file);
        if let Err(error) = written.and_then(|()| open()?.write_all(lines.as_bytes())) {
            tracing::debug!(%error, file = %file.display(), "what was started cannot be remembered");
        }
    }
}

/// Where the user's programs keep what they may lose (XDG base directory specification).
fn file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| Some(folder("HOME")?.join(".local/state")));
    Some(state?.join("portcullis/started"))
}

fn digest(how: &How) -> String {
    HEXLOWER.encode(&Sha256::digest(format!("{how:?}")))
}
