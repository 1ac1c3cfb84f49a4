//! What an import wrote, so that it can be taken back: at once where it fails half-way, by `import --undo` where it came
//! through.
//!
//! Each import has a file of its own below the data folder, which is there as soon as something else is. A file that somebody
//! changed since is never taken back: what they wrote would be lost.

use crate::failure::Failure;
use crate::place::make_data_folder;
use data_encoding::HEXLOWER;
use portcullis_ledger::{create_file, replace_file};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// One file that was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    file: PathBuf,
    /// SHA-256 of what the import wrote.
    now: String,
    before: Before,
}

/// What was there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Before {
    /// No such file.
    Nothing,
    /// This text.
    Text(String),
    /// What stands in this file, which is put back.
    Backup(PathBuf),
}

/// What one import wrote so far, in that order.
#[derive(Debug)]
pub(crate) struct Journal {
    place: PathBuf,
    written: Vec<Written>,
}

/// What became of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undone {
    /// The file.
    pub file: PathBuf,
    /// Why it is as the import left it.
    pub left: Option<String>,
}

impl Journal {
    /// That of an import which begins now, for the gate with this data folder.
    pub(crate) fn of(data: &Path) -> Self {
        // Names in the order of time.
        let name = format!("{:020}.json", jiff::Timestamp::now().as_microsecond());
        Self { place: folder(data).join(name), written: Vec::new() }
    }

    /// Writes a file that must not be there yet.
    pub(crate) fn write(&mut self, file: &Path, text: &str, mode: u32) -> io::Result<()> {
        create_file(file, text.as_bytes(), mode)?;
        self.note(file, text, Before::Nothing);
        Ok(())
    }

    /// Puts a text in the place of a file that may be there.
    pub(crate) fn replace(&mut self, file: &Path, text: &str, mode: u32) -> io::Result<()> {
        let before = match std::fs::read_to_string(file) {
            Ok(text) => Before::Text(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Before::Nothing,
            Err(error) => return Err(error),
        };
        replace_file(file, text.as_bytes(), mode)?;
        self.note(file, text, before);
        Ok(())
    }

    /// Puts a text in the place of a client's file, and keeps what it had beside this journal: it may hold secrets,
    /// which no one else is to read, and no repository to take.
    ///
    /// # Errors
    /// Where it cannot be written; the file is as before then.
    pub(crate) fn replace_with_backup(&mut self, file: &Path, text: &str) -> Result<PathBuf, String> {
        let said = |what: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", what.display());
        let before = std::fs::read_to_string(file).map_err(|error| said(file, &error))?;
        let mode = std::fs::metadata(file).map_err(|error| said(file, &error))?.permissions().mode() & 0o777;
        let backups = self.place.with_extension("before");
        self.make_folder(&backups).map_err(|failure| failure.to_string())?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let number = self.written.len();
        let backup = backups.join(format!("{number}-{}", name.trim_start_matches('.')));
        create_file(&backup, before.as_bytes(), 0o600).map_err(|error| said(&backup, &error))?;
        replace_file(file, text.as_bytes(), mode).map_err(|error| {
            let _ = std::fs::remove_file(&backup);
            said(file, &error)
        })?;
        self.note(file, text, Before::Backup(backup.clone()));
        Ok(backup)
    }

    /// Makes a folder below that of all imports.
    fn make_folder(&self, folder: &Path) -> Result<(), Failure> {
        let imports = self.place.parent().unwrap_or(Path::new("."));
        make_private_folder(imports.parent().unwrap_or(imports))?;
        make_data_folder(imports)?;
        make_data_folder(folder)
    }

    /// Notes that a file has this text now. Of one that was noted before, what was there first stays.
    pub(crate) fn note(&mut self, file: &Path, text: &str, before: Before) {
        let now = digest(text.as_bytes());
        match self.written.iter_mut().find(|written| written.file == file) {
            Some(written) => written.now = now,
            None => self.written.push(Written { file: file.to_owned(), now, before }),
        }
    }

    /// Keeps it for `import --undo`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        if self.written.is_empty() {
            return Ok(());
        }
        let cannot =
            |error: io::Error| Failure::usage(format!("{} cannot be written: {error}", self.place.display()));
        self.make_folder(self.place.parent().unwrap_or(Path::new(".")))?;
        let text = serde_json::to_string_pretty(&self.written).map_err(|error| cannot(error.into()))?;
        replace_file(&self.place, text.as_bytes(), 0o600).map_err(cannot)
    }

    /// Takes all of it back, as far as nobody changed it since, the last first.
    pub(crate) fn take_back(self) -> Vec<Undone> {
        let mut done = Vec::new();
        let mut rest = Vec::new();
        for written in self.written.into_iter().rev() {
            let left = written.take_back().err();
            done.push(Undone { file: written.file.clone(), left: left.clone() });
            if left.is_some() {
                rest.insert(0, written);
            }
        }
        let rest = Self { place: self.place, written: rest };
        // Where some are left, the next try is about them.
        if rest.written.is_empty() {
            let _ = std::fs::remove_file(&rest.place);
        } else if rest.place.exists() {
            let _ = rest.save();
        }
        done
    }

    /// That of the last import of the gate with this data folder.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub(crate) fn last(data: &Path) -> Result<Self, Failure> {
        let folder = folder(data);
        let files = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|file| file.path());
        let journals = files.filter(|file| file.extension().is_some_and(|ending| ending == "json"));
        let Some(place) = journals.max() else {
            return Err(Failure::usage(format!(
                "there is no import to take back: nothing is in {}",
                folder.display()
            )));
        };
        let wrong = |why: String| Failure::usage(format!("{} cannot be read: {why}", place.display()));
        let text = std::fs::read_to_string(&place).map_err(|error| wrong(error.to_string()))?;
        let written = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Self { place, written })
    }
}

impl Written {
    fn take_back(&self) -> Result<(), String> {
        let now = match std::fs::read(&self.file) {
            Ok(bytes) => digest(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.before == Before::Nothing => {
                return Ok(());
            }
            Err(error) => return Err(format!("it cannot be read: {error}")),
        };
        if now != self.now {
            let before = match &self.before {
                Before::Backup(backup) => format!("; what it had is in {}", backup.display()),
                Before::Nothing | Before::Text(_) => String::new(),
            };
            return Err(format!("it was changed since the import{before}"));
        }
        let done = match &self.before {
            Before::Nothing => std::fs::remove_file(&self.file),
            Before::Text(text) => self.put_back(text),
            // The data folder may be on another disk, and the backup's mode is its own.
            Before::Backup(backup) => std::fs::read_to_string(backup).and_then(|text| {
                self.put_back(&text)?;
                let _ = std::fs::remove_file(backup);
                let _ = backup.parent().map(std::fs::remove_dir);
                Ok(())
            }),
        };
        done.map_err(|error| error.to_string())
    }

    fn put_back(&self, text: &str) -> io::Result<()> {
        let mode = std::fs::metadata(&self.file).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
        replace_file(&self.file, text.as_bytes(), mode)
    }
}

/// Makes a data folder into which secrets go, and has git ignore it.
///
/// # Errors
/// Where it cannot be used.
pub(crate) fn make_private_folder(data: &Path) -> Result<(), Failure> {
    make_data_folder(data)?;
    let ignore = data.join(".gitignore");
    if !ignore.exists() {
        create_file(&ignore, b"*\n", 0o600)
            .map_err(|error| Failure::usage(format!("{} cannot be written: {error}", ignore.display())))?;
    }
    Ok(())
}

fn folder(data: &Path) -> PathBuf {
    data.join("imports")
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_taken_back_and_what_was_changed_since_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let read = |name: &str| std::fs::read_to_string(at(name)).ok();
        for (name, text) in [("config", "old"), ("client", "own entry"), ("touched", "theirs")] {
            std::fs::write(at(name), text).unwrap();
        }
        let data = at("data");
        let mut journal = Journal::of(&data);
        journal.write(&at("made"), "one", 0o644).unwrap();
        journal.replace(&at("made"), "two", 0o644).unwrap();
        journal.replace(&at("config"), "new", 0o600).unwrap();
        let backup = journal.replace_with_backup(&at("client"), "new entry").unwrap();
        assert_eq!(std::fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(data.join(".gitignore")).unwrap(), "*\n");
        journal.note(&at("touched"), "ours", Before::Text("before".into()));
        journal.save().unwrap();

        let done = Journal::last(&data).unwrap().take_back();
        let left: Vec<&Undone> = done.iter().filter(|it| it.left.is_some()).collect();
        assert!(left.len() == 1 && left[0].file == at("touched"), "{done:?}");
        assert_eq!(
            (read("made"), read("config"), read("client")),
            (None, Some("old".into()), Some("own entry".into()))
        );
        assert_eq!(read("touched").as_deref(), Some("theirs"));
        // Only what is left is there to be taken back again.
        std::fs::write(at("touched"), "ours").unwrap();
        assert_eq!(Journal::last(&data).unwrap().take_back(), [Undone { file: at("touched"), left: None }]);
        assert_eq!(read("touched").as_deref(), Some("before"));
        assert!(Journal::last(&data).is_err());
    }
}
