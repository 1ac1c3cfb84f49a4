//! The emergency stop: what is dropped passes no more, until it is raised.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The file in the data folder that says what is dropped. A start reads it before anything else.
pub const DROPPED: &str = "DROPPED";

/// How far a drop reaches: all of it where nothing is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Calls and processes of this grant alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<String>,
    /// Calls to this upstream and its processes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
}

impl Scope {
    /// Whether what belongs to a grant and an upstream is within.
    #[must_use]
    pub fn has(&self, grant: &str, upstream: &str) -> bool {
        let fits =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        fits(&self.grant, grant) && fits(&self.upstream, upstream)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.grant, &self.upstream) {
            (None, None) => f.write_str("all"),
            (Some(grant), None) => write!(f, "grant:{grant}"),
            (None, Some(upstream)) => write!(f, "upstream:{upstream}"),
            (Some(grant), Some(upstream)) => write!(f, "grant:{grant},upstream:{upstream}"),
        }
    }
}

/// One drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How far it reaches.
    #[serde(flatten)]
    pub scope: Scope,
    /// Why, for whoever meets it.
    pub reason: String,
    /// When, RFC 3339 in UTC.
    pub since: String,
    /// The user who did it.
    pub by: String,
}

/// What is dropped at present. Clones share it.
#[derive(Debug, Clone)]
pub struct Drops(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    /// Looked at by every call; the list only where it says so.
    any: AtomicBool,
    list: Mutex<Vec<Dropped>>,
    /// Held while the file is written, which may take as long as the disk does. The list is not.
    writing: Mutex<()>,
}

impl Drops {
    /// What the file in a data folder says. One that cannot be read drops everything: that it is there is what counts.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let file = folder.join(DROPPED);
        let list = read(&file);
        let (any, list) = (AtomicBool::new(!list.is_empty()), Mutex::new(list));
        Self(Arc::new(Inner { file, any, list, writing: Mutex::default() }))
    }

    /// What is said to a call or a start that is dropped; `None` where it is not.
    #[must_use]
    pub fn holds(&self, grant: &str, upstream: &str) -> Option<String> {
        if !self.0.any.load(Ordering::Acquire) {
            return None;
        }
        let list = self.0.list.lock();
        let dropped = list.iter().find(|dropped| dropped.scope.has(grant, upstream))?;
        Some(dropped.said())
    }

    /// All drops, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Dropped> {
        self.0.list.lock().clone()
    }

    /// Drops from this instant on. What is dropped already stays as it is. [`Drops::keep`] makes it hold over a restart.
    pub fn put(&self, dropped: Dropped) {
        let mut list = self.0.list.lock();
        if !list.iter().any(|there| there.scope == dropped.scope) {
            list.push(dropped);
        }
        self.0.any.store(true, Ordering::Release);
    }

    /// Writes what is dropped into the file. Blocks as long as the disk does.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self) -> io::Result<()> {
        let _one = self.0.writing.lock();
        let list = self.list();
        write(&self.0.file, &list)
    }

    /// Raises what is dropped with exactly that scope, or everything where none is given. Gives what was raised. Blocks as
    /// long as the disk does.
    ///
    /// # Errors
    /// Where the file cannot be written. Then nothing is raised.
    pub fn raise(&self, scope: Option<&Scope>) -> io::Result<Vec<Dropped>> {
        let _one = self.0.writing.lock();
        let (raised, stays): (Vec<_>, Vec<_>) =
            self.list().into_iter().partition(|dropped| scope.is_none_or(|scope| *scope == dropped.scope));
        if !raised.is_empty() {
            write(&self.0.file, &stays)?;
            let mut list = self.0.list.lock();
            // What was dropped while the file was written stays, and is about to be written itself.
            list.retain(|dropped| !raised.contains(dropped));
            self.0.any.store(!list.is_empty(), Ordering::Release);
        }
        Ok(raised)
    }

    /// Whether there is a file at all.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.0.file.exists()
    }

    /// Takes what the file says more than is known: somebody wrote it who could not reach this gate. What it says less
    /// is not raised by that. Gives what is new.
    #[must_use]
    pub fn look(&self) -> Vec<Dropped> {
        // Not between the two steps of a raise: what is being raised is no news.
        let Some(_one) = self.0.writing.try_lock() else { return Vec::new() };
        let found = read(&self.0.file).into_iter();
        let mut list = self.0.list.lock();
        let new: Vec<_> =
            found.filter(|found| !list.iter().any(|there| there.scope == found.scope)).collect();
        if !new.is_empty() {
            list.extend(new.iter().cloned());
            self.0.any.store(true, Ordering::Release);
        }
        new
    }
}

impl Dropped {
    /// As `status` and scripts have it.
    #[must_use]
    pub fn shown(&self) -> serde_json::Value {
        let Self { scope, reason, since, by } = self;
        serde_json::json!({ "scope": scope.to_string(), "reason": reason, "since": since, "by": by })
    }

    /// In one line, for whoever meets it.
    #[must_use]
    pub fn said(&self) -> String {
        let Self { scope, reason, since, .. } = self;
        format!("The operator stopped everything in the scope `{scope}` at {since}: {reason}.")
    }
}

fn read(file: &Path) -> Vec<Dropped> {
    let unreadable = |why: String| {
        let reason = format!("{} cannot be read ({why}), and what is dropped is not known", file.display());
        vec![Dropped {
            scope: Scope::default(),
            reason,
            since: "an unknown time".into(),
            by: "nobody known".into(),
        }]
    };
    match fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => unreadable(error.to_string()),
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| unreadable(error.to_string())),
    }
}

/// Writes the file so that it is there as a whole after a power cut, or is gone where nothing is dropped.
fn write(file: &Path, list: &[Dropped]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    if list.is_empty() {
        match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    } else {
        let new = file.with_extension("new");
        let mut text = serde_json::to_vec_pretty(list)?;
        text.push(b'\n');
        let mut open = File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        open.write_all(&text)?;
        open.sync_all()?;
        fs::rename(&new, file)?;
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dropped(grant: Option<&str>, upstream: Option<&str>) -> Dropped {
        let scope = Scope { grant: grant.map(str::to_owned), upstream: upstream.map(str::to_owned) };
        Dropped { scope, reason: "fire".into(), since: "2026-01-01T00:00:00.000Z".into(), by: "me".into() }
    }

    #[test]
    fn a_drop_reaches_as_far_as_it_says_and_holds_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let drops = Drops::of(folder.path());
        assert_eq!(drops.holds("ci", "files"), None);
        drops.put(dropped(Some("ci"), None));
        drops.put(dropped(None, Some("db")));
        drops.put(dropped(None, Some("db")));
        drops.keep().unwrap();
        for drops in [&drops, &Drops::of(folder.path())] {
            assert_eq!(drops.list().len(), 2);
            assert!(
                drops.holds("ci", "files").unwrap().contains("`grant:ci` at 2026-01-01T00:00:00.000Z: fire.")
            );
            assert!(drops.holds("me", "db").is_some());
            assert_eq!(drops.holds("me", "files"), None);
        }
        let scope = dropped(Some("ci"), None).scope;
        assert_eq!(drops.raise(Some(&scope)).unwrap(), [dropped(Some("ci"), None)]);
        assert_eq!(drops.raise(Some(&scope)).unwrap(), []);
        assert_eq!(drops.holds("ci", "files"), None);
        assert_eq!(drops.raise(None).unwrap().len(), 1);
        assert!(!folder.path().join(DROPPED).exists());
        assert_eq!(Drops::of(folder.path()).holds("me", "db"), None);
    }

    #[test]
    fn a_damaged_file_drops_everything_and_a_file_that_goes_raises_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let drops = Drops::of(folder.path());
        fs::write(folder.path().join(DROPPED), "[{").unwrap();
        assert!(Drops::of(folder.path()).holds("a", "b").unwrap().contains("cannot be read"));
        assert_eq!(drops.look().len(), 1);
        assert_eq!(drops.look(), []);
        assert!(drops.holds("a", "b").is_some());
        fs::remove_file(folder.path().join(DROPPED)).unwrap();
        assert_eq!(drops.look(), []);
        assert!(drops.holds("a", "b").is_some());
    }

    #[test]
    fn what_cannot_be_written_is_dropped_all_the_same_and_not_raised() {
        let folder = tempfile::tempdir().unwrap();
        let drops = Drops::of(&folder.path().join("none"));
        drops.put(dropped(None, None));
        assert!(drops.keep().is_err());
        assert!(drops.holds("a", "b").is_some());
        assert!(drops.raise(None).is_err());
        assert!(drops.holds("a", "b").is_some());
    }
}
