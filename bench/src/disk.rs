//! How long this disk takes until a small write is safe: what `durability: every` cannot be faster than.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

/// Writes measured.
const WRITES: usize = 200;

/// The median time of a 4 KiB write with fdatasync, in a new file in this folder.
///
/// # Errors
/// When the folder cannot be written.
pub fn sync_time(folder: &Path) -> Result<Duration> {
    let file = tempfile::tempfile_in(folder).map_err(Error::io("making a file to time the disk"))?;
    measure(file).map_err(Error::io("timing the disk"))
}

fn measure(mut file: File) -> io::Result<Duration> {
    let block = [0x5A_u8; 4096];
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let start = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times.get(WRITES / 2).copied().unwrap_or_default())
}
