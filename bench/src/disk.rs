//! The disk under the ledger: how long a small write takes until it is safe, and how often it flushes.
//!
//! The first says what `durability: every` cannot be faster than with one call in flight, the second
//! whether many calls share a flush.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    compare::median,
    error::{Error, Result},
};

/// Writes measured.
const WRITES: u64 = 200;

/// A disk that was timed.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The median time of a 4 KiB write with fdatasync.
    pub sync: Duration,
    /// The kernel's counters of the disk, where they were seen to count each of those writes.
    flushes: Option<PathBuf>,
}

impl Disk {
    /// Times the disk of this folder with a file that is gone afterwards.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn probe(folder: &Path) -> Result<Self> {
        let (file, counters) = tempfile::tempfile_in(folder)
            .and_then(|file| Ok((file, counters(folder)?)))
            .map_err(Error::io("making a file to time the disk"))?;
        let before = completed_flushes(&counters);
        let sync = time(file).map_err(Error::io("timing the disk"))?;
        let after = completed_flushes(&counters);
        let counted = before.zip(after).is_some_and(|(before, after)| after - before >= WRITES);
        Ok(Self { sync, flushes: counted.then_some(counters) })
    }

    /// Flushes that the disk has completed, for whomever; nothing where it does not count them.
    pub fn flushes(&self) -> Option<u64> {
        completed_flushes(self.flushes.as_deref()?)
    }
}

fn time(mut file: File) -> io::Result<Duration> {
    let block = [0x5A_u8; 4096];
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64());
    }
    Ok(Duration::from_secs_f64(median(times)))
}

fn counters(folder: &Path) -> io::Result<PathBuf> {
    let device = fs::metadata(folder)?.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    Ok(PathBuf::from(format!("/sys/dev/block/{major}:{minor}/stat")))
}

/// Field 16 of the kernel's block device statistics (Documentation/block/stat.rst).
fn completed_flushes(counters: &Path) -> Option<u64> {
    fs::read_to_string(counters).ok()?.split_whitespace().nth(15)?.parse().ok()
}
