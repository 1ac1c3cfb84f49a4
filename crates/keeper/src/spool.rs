//! What a run writes on stdout and stderr: kept on the disk in a ring, from the first byte on.
//!
//! A place in it is a number: how many bytes the run had written before it, on both streams together. Each file of the
//! ring has the place that it begins at as its name, so what the ring gave up, or the disk did not take, shows as a
//! gap between two files: nothing that is missing looks as if it had never been.
//!
//! A file is a row of records: the time in ms since 1970 (8 bytes), the stream (1 byte), the length (4 bytes), all
//! little-endian, and the bytes.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files of a ring: as many give up one at a time when it is full.
const FILES: u64 = 64;
/// A file has this many bytes at least.
const SMALLEST: u64 = 16 * 1024;
const HEAD: usize = 13;
/// Bytes of one record at most.
const RECORD: usize = 64 * 1024;

/// A stream of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// What it writes on stdout.
    Out,
    /// What it writes on stderr.
    Err,
}

impl Stream {
    /// Its name in messages and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Out => "stdout",
            Self::Err => "stderr",
        }
    }
}

/// Bytes that came together on one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub at: u64,
    /// When it came, in ms since 1970.
    pub time_ms: u64,
    /// Where it came from.
    pub stream: Stream,
    /// What was written.
    pub bytes: Vec<u8>,
}

/// The writing end. There is one for each folder.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// Bytes of one file.
    part: u64,
    /// The files but the current one: where each begins and how long it is.
    old: VecDeque<(u64, u64)>,
    /// The current file with its length.
    file: Option<(File, u64)>,
    began: u64,
    end: u64,
}

impl Spool {
    /// Goes on in a folder, which is made where it is not there. `bytes` is what all files together may have.
    #[must_use]
    pub fn open(folder: &Path, bytes: u64) -> Self {
        let _ = fs::create_dir_all(folder);
        let files = files(folder);
        let size = |start: u64| fs::metadata(file(folder, start)).map_or(0, |it| it.len());
        let old: Vec<_> = files.iter().map(|start| (*start, size(*start))).collect();
        // A record that was cut short is not counted, and nothing follows it in its file.
        let end = end(folder);
        let part = (bytes / FILES).max(SMALLEST);
        // One that holds nothing whole is written anew, under the same name.
        let old = old.into_iter().filter(|(start, _)| *start < end).collect();
        Self { folder: folder.to_owned(), part, old, file: None, began: end, end }
    }

    /// Appends. What the disk does not take is a gap: it costs the record, not the run.
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        for bytes in bytes.chunks(RECORD) {
            if self.file.as_ref().is_none_or(|(_, length)| *length >= self.part) {
                self.next();
            }
            let mut record = Vec::with_capacity(HEAD + bytes.len());
            record.extend_from_slice(&now_ms().to_le_bytes());
            record.push(u8::from(stream == Stream::Err));
            record.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            record.extend_from_slice(bytes);
            let written = self.file.as_mut().is_some_and(|(file, length)| {
                *length += record.len() as u64;
                file.write_all(&record).is_ok()
            });
            self.end += bytes.len() as u64;
            if !written {
                self.give_up(record.len() as u64);
            }
        }
    }

    /// The disk did not take a record. A file that has no other goes, or a full disk would be full of them.
    fn give_up(&mut self, record: u64) {
        match self.file {
            Some((_, length)) if length <= record => {
                self.file = None;
                let _ = fs::remove_file(file(&self.folder, self.began));
            }
            _ => self.close(),
        }
    }

    fn close(&mut self) {
        if let Some((_, length)) = self.file.take() {
            self.old.push_back((self.began, length));
        }
    }

    /// Begins the next file, and gives up the oldest that there is no more room for.
    fn next(&mut self) {
        self.close();
        let room = self.part * (FILES - 1);
        while self.old.iter().map(|(_, length)| length).sum::<u64>() > room {
            let Some((oldest, _)) = self.old.pop_front() else { break };
            let _ = fs::remove_file(file(&self.folder, oldest));
        }
        // A file of that name holds nothing, since nothing came after it began.
        let new = File::options().create(true).write(true).truncate(true).open(file(&self.folder, self.end));
        self.file = new.ok().map(|new| (new, 0));
        self.began = self.end;
    }
}

/// What is there of a folder from a place on: the records, and before each how many bytes are missing.
#[derive(Debug)]
pub struct Pages {
    folder: PathBuf,
    files: VecDeque<u64>,
    reader: Option<Reader>,
    /// Where the reading is.
    at: u64,
}

/// One step of reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// So many bytes were written here and are not kept any more.
    Dropped(u64),
    /// These are next.
    Record(Record),
}

/// Reads a spool from a place on. Where that lies within a record, what is left of the record comes first.
#[must_use]
pub fn read(folder: &Path, from: u64) -> Pages {
    let mut files: VecDeque<u64> = files(folder).into();
    while files.get(1).is_some_and(|next| *next <= from) {
        files.pop_front();
    }
    Pages { folder: folder.to_owned(), files, reader: None, at: from }
}

/// The places that the files begin at, the oldest first.
#[must_use]
pub fn files(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut starts: Vec<u64> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".spool")?.parse().ok())
        .collect();
    starts.sort_unstable();
    starts
}

/// Where a spool ends now: what is written next begins there.
#[must_use]
pub fn end(folder: &Path) -> u64 {
    let Some(last) = files(folder).pop() else { return 0 };
    Reader::open(folder, last).last().map_or(last, |record| record.at + length(&record))
}

impl Pages {
    /// Where the reading is: everything before it was given, or is known to be missing.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }
}

impl Iterator for Pages {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            let Some(reader) = &mut self.reader else {
                self.reader = Some(Reader::open(&self.folder, self.files.pop_front()?));
                continue;
            };
            let Some(record) = reader.next() else {
                self.reader = None;
                continue;
            };
            let end = record.at + length(&record);
            if end <= self.at {
                continue;
            }
            if record.at > self.at {
                let missing = record.at - self.at;
                self.at = record.at;
                // It is read again, since it is what comes next.
                self.reader = Some(Reader { pending: Some(record), ..self.reader.take()? });
                return Some(Found::Dropped(missing));
            }
            let skip = usize::try_from(self.at - record.at).unwrap_or(usize::MAX).min(record.bytes.len());
            self.at = end;
            let bytes = record.bytes.get(skip..).unwrap_or_default().to_vec();
            return Some(Found::Record(Record { at: record.at + skip as u64, bytes, ..record }));
        }
    }
}

/// The records of one file.
#[derive(Debug)]
struct Reader {
    file: Option<BufReader<File>>,
    at: u64,
    pending: Option<Record>,
}

impl Reader {
    fn open(folder: &Path, start: u64) -> Self {
        let file = File::open(file(folder, start)).ok().map(BufReader::new);
        Self { file, at: start, pending: None }
    }

    fn record(&mut self) -> io::Result<Record> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let mut head = [0; HEAD];
        file.read_exact(&mut head)?;
        let [t0, t1, t2, t3, t4, t5, t6, t7, stream, l0, l1, l2, l3] = head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if stream > 1 || length > RECORD {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        let record = Record {
            at: self.at,
            time_ms: u64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]),
            stream: if stream == 0 { Stream::Out } else { Stream::Err },
            bytes,
        };
        self.at += length as u64;
        Ok(record)
    }
}

impl Iterator for Reader {
    type Item = Record;

    /// The next whole record. One that is cut short, or is none, ends the file.
    fn next(&mut self) -> Option<Record> {
        self.pending.take().or_else(|| self.record().ok())
    }
}

fn length(record: &Record) -> u64 {
    record.bytes.len() as u64
}

fn file(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}.spool"))
}

/// The time, in ms since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("spool-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        folder
    }

    fn all(folder: &Path, from: u64) -> (u64, Vec<u8>, u64) {
        let mut pages = read(folder, from);
        let (mut dropped, mut bytes) = (0, Vec::new());
        for found in pages.by_ref() {
            match found {
                Found::Dropped(missing) => dropped += missing,
                Found::Record(record) => bytes.extend(record.bytes),
            }
        }
        (dropped, bytes, pages.at())
    }

    #[test]
    fn what_is_read_and_what_is_missing_is_all_that_was_written() {
        let folder = folder("ring");
        let limit = FILES * SMALLEST;
        let mut spool = Spool::open(&folder, limit);
        let mut written = Vec::new();
        for n in 0..60_000_u32 {
            let line = format!("{n} {}\n", "x".repeat((n % 90) as usize));
            spool.write(if n % 3 == 0 { Stream::Err } else { Stream::Out }, line.as_bytes());
            written.extend(line.into_bytes());
            if n == 30_000 {
                // Another keeper goes on with it.
                spool = Spool::open(&folder, limit);
            }
        }
        let on_disk: u64 =
            files(&folder).iter().map(|it| fs::metadata(file(&folder, *it)).unwrap().len()).sum();
        assert!(on_disk > limit / 2 && on_disk <= limit + SMALLEST, "{on_disk} of {limit}");
        let (dropped, bytes, end) = all(&folder, 0);
        assert!(dropped > 0 && end == written.len() as u64);
        assert_eq!(dropped as usize + bytes.len(), written.len());
        assert_eq!(bytes, written[dropped as usize..]);
        // From any place on, also within a record.
        for from in [dropped + 1, dropped + 12_345, end - 1, end, end + 7] {
            let (missing, bytes, _) = all(&folder, from);
            assert_eq!((missing, bytes), (0, written.get(from as usize..).unwrap_or_default().to_vec()));
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_record_that_was_cut_short_and_a_file_that_is_gone_are_gaps() {
        let folder = folder("torn");
        let mut spool = Spool::open(&folder, 0);
        spool.write(Stream::Out, b"first\n");
        spool.write(Stream::Err, b"second\n");
        let torn = file(&folder, 0);
        let whole = fs::read(&torn).unwrap();
        fs::write(&torn, &whole[..whole.len() - 3]).unwrap();
        let mut spool = Spool::open(&folder, 0);
        spool.write(Stream::Out, b"third\n");
        assert_eq!(all(&folder, 0), (0, b"first\nthird\n".to_vec(), 12));
        fs::remove_file(torn).unwrap();
        assert_eq!(all(&folder, 0), (6, b"third\n".to_vec(), 12));
        fs::remove_dir_all(folder).unwrap();
    }
}
