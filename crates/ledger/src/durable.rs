//! Files that are there as a whole or not at all, also after a power cut: written under another name, synced, put in their place,
//! and the folder synced that they stand in.

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Puts a text in the place of a file: whoever reads it meanwhile reads the old one or the new one.
///
/// # Errors
/// Where it cannot be written; then the old one stays.
pub fn replace_file(file: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let new = written_beside(file, text, mode)?;
    fs::rename(&new, file).inspect_err(|_| forget(&new))?;
    sync_folder(file)
}

/// Writes a file that must not be there yet.
///
/// # Errors
/// Where it is there, or cannot be written; then nothing is left of it.
pub fn create_file(file: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let new = written_beside(file, text, mode)?;
    let placed = match renameat_with(CWD, &new, CWD, file, RenameFlags::NOREPLACE) {
        // Not every file system knows how to.
        Err(Errno::INVAL | Errno::NOSYS) => fs::hard_link(&new, file).inspect(|()| forget(&new)),
        placed => placed.map_err(io::Error::from),
    };
    placed.inspect_err(|_| forget(&new))?;
    sync_folder(file)
}

fn forget(new: &Path) {
    let _ = fs::remove_file(new);
}

/// A name of its own for each writer, so that none takes the other's half for its own.
fn beside(file: &Path) -> io::Result<PathBuf> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let mut name = std::ffi::OsString::from(".");
    name.push(file.file_name().unwrap_or_default());
    name.push(format!(".{}.new", data_encoding::HEXLOWER.encode(&random)));
    Ok(file.with_file_name(name))
}

fn written_beside(file: &Path, text: &[u8], mode: u32) -> io::Result<PathBuf> {
    let new = beside(file)?;
    let mut open = File::options().write(true).create_new(true).mode(mode).open(&new)?;
    let written = open.write_all(text).and_then(|()| open.sync_all());
    written.map(|()| new.clone()).inspect_err(|_| forget(&new))
}

fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_made_once_and_replaced_as_a_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a");
        create_file(&file, b"one", 0o600).unwrap();
        assert_eq!(create_file(&file, b"two", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).unwrap(), b"one");
        replace_file(&file, b"three", 0o600).unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"three");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(replace_file(&folder.path().join("none/a"), b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
