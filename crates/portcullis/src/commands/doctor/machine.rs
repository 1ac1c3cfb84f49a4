//! The machine under the gate.

use super::check::Check;
use crate::place;
use portcullis_ledger::{FILE, Filter, query};
use rustix::process::{Resource, getrlimit};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Below this much the ledger may soon not be written, and then nothing passes; in bytes.
const LITTLE: u64 = 1 << 30;
const TOO_LITTLE: u64 = 64 << 20;

/// Each session and each upstream holds a few.
const DESCRIPTORS: u64 = 1024;

/// Space for the ledger.
pub(super) fn disk(data: &Path) -> Check {
    const NAME: &str = "disk space";
    let there = data.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let Ok(stat) = rustix::fs::statvfs(there) else {
        return Check::warn(NAME, format!("{} does not tell", there.display()), "look at it with `df`");
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    let found = || format!("{} MiB free", free >> 20);
    if free < TOO_LITTLE {
        Check::fail(NAME, found(), "make room: when the ledger cannot be written, nothing passes")
    } else if free < LITTLE {
        Check::warn(NAME, found(), "make room, or keep rows for a shorter time (`ledger: { retain: 30d }`)")
    } else {
        Check::ok(NAME, "more than 1 GiB free")
    }
}

/// Rows, limits and expiries go by the clock.
pub(super) fn clock(data: &Path) -> Check {
    const NAME: &str = "clock";
    const SLACK_MS: i64 = 60_000;
    let now = jiff::Timestamp::now();
    let advice = "set it, and keep it right with NTP: limits and the ends of grants go by it";
    // This program was not there before.
    const FIRST: i64 = 1_767_225_600;
    if now.as_second() < FIRST {
        return Check::fail(NAME, format!("says {now}, which is in the past"), advice);
    }
    let mut last = None;
    if data.join(FILE).is_file() {
        let filter = Filter { limit: Some(1), ..Filter::default() };
        let _ = query(data, &filter, |row| {
            last = row.get("time").and_then(|time| time.as_str()?.parse::<jiff::Timestamp>().ok());
            true
        });
    }
    match last {
        Some(last) if last.as_millisecond() > now.as_millisecond().saturating_add(SLACK_MS) => Check::fail(
            NAME,
            format!("says {now}, which is before the last row of the ledger, {last}"),
            advice,
        ),
        _ => Check::ok(NAME, "later than everything that was recorded"),
    }
}

/// Where the control socket goes.
pub(super) fn runtime_folder(data: Option<&Path>) -> Check {
    const NAME: &str = "runtime folder";
    if let Some(data) = data
        && let Err(failure) = place::socket(data)
    {
        return Check::fail(NAME, failure.to_string(), "a socket's path has at most 107 bytes");
    }
    let Some(folder) = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from) else {
        return Check::ok(NAME, "XDG_RUNTIME_DIR is not set; the control socket is in the data folder");
    };
    let shown = folder.display();
    let advice = "unset XDG_RUNTIME_DIR, or let it name a folder of yours with mode 700";
    match std::fs::metadata(&folder) {
        _ if !folder.is_absolute() => {
            Check::warn(NAME, format!("XDG_RUNTIME_DIR={shown} is not a whole path and is not used"), advice)
        }
        Ok(meta) if meta.is_dir() => {
            let mode = meta.permissions().mode() & 0o777;
            if meta.uid() != rustix::process::getuid().as_raw() {
                Check::fail(NAME, format!("{shown} belongs to uid {}", meta.uid()), advice)
            } else if mode & 0o022 != 0 {
                Check::fail(NAME, format!("{shown} has mode {mode:o}: others may write to it"), advice)
            } else {
                Check::ok(NAME, shown.to_string())
            }
        }
        _ => Check::warn(
            NAME,
            format!("{shown} is not a folder; the control socket is in the data folder"),
            advice,
        ),
    }
}

/// How many files may be open.
pub(super) fn descriptors() -> Check {
    const NAME: &str = "open files";
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < DESCRIPTORS => {
            let advice = "raise it before `portcullis up`: `ulimit -n 4096`";
            Check::warn(NAME, format!("at most {limit}"), advice)
        }
        Some(_) => Check::ok(NAME, format!("at least {DESCRIPTORS} may be open")),
        None => Check::ok(NAME, "no limit"),
    }
}

/// What no check can mend: servers and the gate share a user.
pub(super) fn separation() -> Check {
    const NAME: &str = "separation";
    if rustix::process::getuid().is_root() {
        let found = "this is root, and whatever the gate starts would be root too";
        return Check::warn(NAME, found, "run the gate as a user of its own");
    }
    let found = "servers that the gate starts run as the same user as the gate. That is a fence and not a wall: the \
                 control socket turns them away, but such a process can read and change every file of this user, \
                 the policies and the ledger among them";
    let advice = "run servers that you do not trust elsewhere (a container, another user) and reach them by `url`; \
                  keep `portcullis ledger head` on another machine";
    Check::warn(NAME, found, advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_looked_at_without_a_data_folder_too() {
        let folder = tempfile::tempdir().unwrap();
        let none = folder.path().join("a/b");
        assert!(!clock(&none).has_failed());
        assert!(disk(&none).to_string().contains("free"));
        assert!(separation().to_string().starts_with("warn"));
    }
}
