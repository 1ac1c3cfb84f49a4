//! What the command writes on stderr: all of it in a file of bounded size, its last lines for messages.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex, PoisonError};

/// A file is begun afresh beyond this size, in bytes; one older file is kept.
const FILE: u64 = 1 << 20;
/// Lines kept for messages, and their length in characters.
const LINES: usize = 20;
const WIDTH: usize = 300;
/// A line without an end is cut here, in bytes, so that no command fills our memory.
const LINE: u64 = 64 * 1024;

/// The last lines.
#[derive(Clone, Default)]
pub(crate) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn add(&self, line: &[u8]) {
        let text: String = String::from_utf8_lossy(line).trim_end().chars().take(WIDTH).collect();
        if text.is_empty() {
            return;
        }
        let mut tail = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tail.len() == LINES {
            tail.pop_front();
        }
        tail.push_back(text);
    }
}

/// Reads until nobody has the other end any more. A file that cannot be written costs the file, not the command.
pub(crate) fn keep(stderr: ChildStderr, path: Option<PathBuf>, tail: &Tail) {
    let mut reader = BufReader::new(stderr);
    let mut file = path.as_deref().and_then(open);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader).take(LINE).read_until(b'\n', &mut line) {
            Ok(read) if read > 0 => {}
            _ => return,
        }
        if let (Some((open_file, size)), Some(path)) = (&mut file, &path) {
            let _ = open_file.write_all(&line);
            *size += line.len() as u64;
            if *size > FILE {
                let _ = std::fs::rename(path, path.with_extension("log.1"));
                file = open(path);
            }
        }
        tail.add(&line);
    }
}

fn open(path: &Path) -> Option<(File, u64)> {
    let _ = std::fs::create_dir_all(path.parent()?);
    let file = File::options().create(true).append(true).open(path).ok()?;
    let size = file.metadata().ok()?.len();
    Some((file, size))
}
