//! What the command writes: all of it in the spool, its last lines for messages.

use portcullis_keeper::spool::{Spool, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Lines kept for messages, and their length in characters.
const LINES: usize = 20;
const WIDTH: usize = 300;
/// Bytes that are read at once. A line without an end is cut here, so that no command fills our memory.
const BUFFER: usize = 64 * 1024;
/// How long the end of a line is waited for, in ns: a prompt has none.
const LINE_ENDS: i64 = 100_000_000;

/// What the command wrote. Clones share it.
#[derive(Clone)]
pub(crate) struct Output(Arc<Mutex<Written>>);

struct Written {
    spool: Option<Spool>,
    tail: VecDeque<String>,
    latest: Instant,
}

impl Output {
    pub(crate) fn new(spool: Option<Spool>) -> Self {
        let (tail, latest) = (VecDeque::new(), Instant::now());
        Self(Arc::new(Mutex::new(Written { spool, tail, latest })))
    }

    /// The last lines.
    pub(crate) fn last(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).tail.iter().cloned().collect()
    }

    /// When something was written last.
    pub(crate) fn latest(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).latest
    }

    /// Reads a stream on a thread of its own, which lets go of `said_all` at its end.
    pub(crate) fn follow(
        &self,
        pipe: Option<impl Read + AsFd + Send + 'static>,
        stream: Stream,
        said_all: Sender<()>,
    ) -> io::Result<()> {
        let Some(pipe) = pipe else { return Ok(()) };
        let output = self.clone();
        std::thread::Builder::new().name(stream.as_str().into()).spawn(move || {
            output.keep(pipe, stream);
            drop(said_all);
        })?;
        Ok(())
    }

    /// Reads until nobody has the other end any more. Whole lines are kept together, where they come in time.
    fn keep(&self, mut pipe: impl Read + AsFd, stream: Stream) {
        let mut buffer = vec![0; BUFFER];
        let mut held = 0;
        loop {
            if held > 0 && !comes_soon(&pipe) {
                self.add(stream, buffer.get(..held).unwrap_or_default());
                held = 0;
            }
            let read = match pipe.read(buffer.get_mut(held..).unwrap_or_default()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(read) if read > 0 => read,
                _ => break,
            };
            let all = buffer.get(..held + read).unwrap_or_default();
            let whole = match all.iter().rposition(|byte| *byte == b'\n') {
                Some(end) => end + 1,
                None if all.len() == BUFFER => BUFFER,
                None => 0,
            };
            self.add(stream, all.get(..whole).unwrap_or_default());
            held = all.len() - whole;
            buffer.copy_within(whole..whole + held, 0);
        }
        self.add(stream, buffer.get(..held).unwrap_or_default());
    }

    fn add(&self, stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.latest = Instant::now();
        if let Some(spool) = &mut written.spool {
            spool.write(stream, bytes);
        }
        let lines = bytes.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty()).take(LINES);
        for line in lines.collect::<Vec<_>>().into_iter().rev() {
            let start = line.get(..4 * WIDTH).unwrap_or(line);
            let text: String = String::from_utf8_lossy(start).trim_end().chars().take(WIDTH).collect();
            if text.is_empty() {
                continue;
            }
            if written.tail.len() == LINES {
                written.tail.pop_front();
            }
            written.tail.push_back(text);
        }
    }
}

fn comes_soon(pipe: &impl AsFd) -> bool {
    let wait = Timespec { tv_sec: 0, tv_nsec: LINE_ENDS };
    poll(&mut [PollFd::new(pipe, PollFlags::IN)], Some(&wait)).is_ok_and(|ready| ready > 0)
}
