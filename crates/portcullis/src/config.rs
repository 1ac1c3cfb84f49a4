//! `portcullis.yaml`: read, checked and turned into what the gate runs on, all mistakes at once.

mod entry;
mod read;

pub(crate) use entry::address;
pub(crate) use portcullis_document::{duration, fill};
pub(crate) use read::{Config, is_loopback, read, read_data};

use std::path::{Path, PathBuf};

/// Names under which the file is looked for, in this order.
pub(crate) const NAMES: [&str; 4] =
    ["portcullis.yaml", "portcullis.yml", "portcullis.json", "portcullis.toml"];

/// The configuration of this folder or the nearest above.
pub(crate) fn find(folder: &Path) -> Option<PathBuf> {
    folder
        .ancestors()
        .flat_map(|folder| NAMES.iter().map(move |name| folder.join(name)))
        .find(|path| path.is_file())
}
