//! A control group of version 2, where one may be made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The group of one run, under that of the keeper.
#[derive(Debug, Clone)]
pub struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// Makes the group of a run. `None` where this user may not, or the kernel is too old to end one (before 5.14).
    #[must_use]
    pub fn make(run: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        // Fields: id, parent, device, root, mount point, …, `-`, type, … (man 5 proc).
        let mount = mounts.lines().find_map(|line| {
            let (left, right) = line.split_once(" - ")?;
            right.starts_with("cgroup2 ").then(|| left.split(' ').nth(4).map(str::to_owned))?
        })?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let folder = PathBuf::from(mount).join(own).join(format!("portcullis-{run}"));
        fs::create_dir(&folder).ok()?;
        let group = Self { folder };
        // A group that nothing can be moved into, or that cannot be ended, contains nothing.
        if group.entrance().is_some() && group.folder.join("cgroup.kill").exists() {
            return Some(group);
        }
        group.remove();
        None
    }

    /// A group that was made before.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where a process moves itself in, by writing `0`.
    #[must_use]
    pub fn entrance(&self) -> Option<File> {
        File::options().write(true).open(self.folder.join("cgroup.procs")).ok()
    }

    /// The pids in it, also in groups that were made below it.
    #[must_use]
    pub fn pids(&self) -> Vec<i32> {
        fn collect(folder: &Path, pids: &mut Vec<i32>) {
            let list = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(list.lines().filter_map(|pid| pid.parse::<i32>().ok()));
            below(folder).for_each(|folder| collect(&folder, pids));
        }
        let mut pids = Vec::new();
        collect(&self.folder, &mut pids);
        pids
    }

    /// Whether the kernel counts a process in it or below it that has not ended.
    #[must_use]
    pub fn is_populated(&self) -> bool {
        let events = fs::read_to_string(self.folder.join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    }

    /// Ends all that is in it and below it, also what is being started at this moment.
    pub fn kill(&self) -> bool {
        fs::write(self.folder.join("cgroup.kill"), "1").is_ok()
    }

    /// Takes the group away, where it is empty.
    pub fn remove(&self) {
        // Groups made below it go first; a group is removed like a folder.
        fn remove(folder: &Path) {
            below(folder).for_each(|folder| remove(&folder));
            let _ = fs::remove_dir(folder);
        }
        remove(&self.folder);
    }
}

/// The groups that were made in one.
fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}
