//! The emergency stop: what is dropped passes no more, until it is raised.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// How often something was dropped here, and how often when the file was last written.
    puts: AtomicU64,
    kept: AtomicU64,
}

impl Drops {
    /// What the file in a data folder says. One that cannot be read drops everything: that it is there is what counts.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        let file = folder.join(DROPPED);
        let list = read(&file);
        let (any, list) = (AtomicBool::new(!list.is_empty()), Mutex::new(list));
        let (puts, kept) = (AtomicU64::new(0), AtomicU64::new(0));
        Self(Arc::new(Inner { file, any, list, writing: Mutex::default(), puts, kept }))
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
            self.0.puts.fetch_add(1, Ordering::Release);
        }
        self.0.any.store(true, Ordering::Release);
    }

    /// Writes what is dropped into the file. Blocks as long as the disk does.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn keep(&self) -> io::Result<()> {
        let _one = self.0.writing.lock();
        self.write_all()
    }

    /// The same where the file does not say all that is dropped: it could not be written before, or somebody took it away. Gives
    /// whether it does now; `None` where there was nothing to do, or somebody is just writing it.
    pub fn keep_again(&self) -> Option<io::Result<()>> {
        let _one = self.0.writing.try_lock()?;
        (self.0.any.load(Ordering::Acquire) && !self.is_kept()).then(|| self.write_all())
    }

    /// Whether what is dropped holds over a restart.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.0.kept.load(Ordering::Acquire) == self.0.puts.load(Ordering::Acquire) && self.has_file()
    }

    fn write_all(&self) -> io::Result<()> {
        let puts = self.0.puts.load(Ordering::Acquire);
        write(&self.0.file, &self.list())?;
        self.0.kept.store(puts, Ordering::Release);
        Ok(())
    }

    /// Takes room on the disk for a drop, so that a full one takes it all the same. Blocks as long as the disk does.
    ///
    /// # Errors
    /// Where there is none.
    pub fn reserve(&self) -> io::Result<()> {
        let _one = self.0.writing.lock();
        written(&self.0.file, Vec::new()).map(drop)
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
        let mut text = serde_json::to_vec_pretty(list)?;
        text.push(b'\n');
        let new = written(file, text)?;
        fs::rename(&new, file)?;
    }
    File::open(folder)?.sync_all()?;
    // It was used up. Where there is no room for another one, there may be later.
    let _ = written(file, Vec::new());
    Ok(())
}

/// Room that is kept on the disk for a drop: what is in it is written over, which takes no more.
const RESERVED: usize = 4096;

/// Writes what is to become the file beside it, with blanks behind up to the room that is reserved.
fn written(file: &Path, mut text: Vec<u8>) -> io::Result<PathBuf> {
    let new = file.with_extension("new");
    text.resize(text.len().max(RESERVED), b' ');
    // Not truncated: that would give the room back.
    let mut open = File::options().write(true).create(true).truncate(false).mode(0o600).open(&new)?;
    open.write_all(&text)?;
    open.set_len(text.len() as u64)?;
    open.sync_all()?;
    Ok(new)
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
    fn what_could_not_be_written_is_written_when_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let drops = Drops::of(&data);
        assert!(drops.keep_again().is_none());
        drops.put(dropped(None, None));
        assert!(!drops.is_kept() && drops.keep_again().is_some_and(|kept| kept.is_err()));
        fs::create_dir(&data).unwrap();
        assert!(drops.keep_again().is_some_and(|kept| kept.is_ok()) && drops.is_kept());
        assert!(drops.keep_again().is_none());
        assert_eq!(Drops::of(&data).list(), drops.list());
        // Nobody raises a drop by taking its file away.
        fs::remove_file(data.join(DROPPED)).unwrap();
        assert!(drops.keep_again().is_some_and(|kept| kept.is_ok()));
        assert_eq!(Drops::of(&data).list(), drops.list());
        drops.raise(None).unwrap();
        assert!(drops.keep_again().is_none() && !data.join(DROPPED).exists());
    }

    #[test]
    fn there_is_room_for_a_drop_from_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let drops = Drops::of(folder.path());
        let room = || fs::metadata(folder.path().join("DROPPED.new")).unwrap();
        drops.reserve().unwrap();
        let inode = |of: fs::Metadata| std::os::unix::fs::MetadataExt::ino(&of);
        for _ in 0..2 {
            let reserved = room();
            assert_eq!(reserved.len(), 4096);
            drops.put(dropped(None, None));
            drops.keep().unwrap();
            assert_eq!(inode(fs::metadata(folder.path().join(DROPPED)).unwrap()), inode(reserved));
            assert_eq!(Drops::of(folder.path()).list(), drops.list());
            drops.raise(None).unwrap();
        }
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
