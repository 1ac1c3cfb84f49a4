//! A server on stdin and stdout of a child.

use crate::link::{Line, Link};
use crate::mux::{Mux, Stray, id_at_ends};
use crate::process::{Reaper, Started, start};
use crate::reply::Broken;
use crate::{CommandSpec, Inbox};
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use portcullis_wire::{Envelope, LineDecoder};
use std::collections::VecDeque;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Messages that may wait for the child to read them.
const OUTGOING: usize = 1024;
/// Lines of stderr kept for messages, and their length in characters.
const TAIL_LINES: usize = 20;
const TAIL_WIDTH: usize = 300;
/// A stderr file is started afresh beyond this size, in bytes; one older file is kept.
const STDERR_FILE: u64 = 1 << 20;

/// The gate's end of the pipes.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) mux: Arc<Mux>,
    out: mpsc::Sender<Bytes>,
    pub(crate) pid: u32,
    stop: CancellationToken,
}

impl Pipe {
    /// Queues one message. Waits where the child does not read.
    pub(crate) async fn write(&self, message: Bytes) -> Result<(), Broken> {
        let closed = || Broken(self.mux.closed().unwrap_or_else(|| "the server's stdin is closed".into()));
        self.out.send(message).await.map_err(|_| closed())
    }

    /// Queues one message without waiting here for a child that does not read.
    pub(crate) fn write_soon(&self, message: Bytes) {
        if let Err(mpsc::error::TrySendError::Full(message)) = self.out.try_send(message) {
            let out = self.out.clone();
            tokio::spawn(async move { drop(out.send(message).await) });
        }
    }

    /// Queues one message, or drops it where the child does not read.
    pub(crate) fn write_now(&self, message: Bytes) {
        if self.out.try_send(message).is_err() {
            tracing::debug!(pid = self.pid, "a notice to a server that does not read was dropped");
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Starts the child of a link. Its reader runs until the child or the link is gone.
pub(crate) fn open(
    spec: &CommandSpec,
    mark: &str,
    limit: usize,
    reaper: &Reaper,
) -> Result<(Pipe, Readers), String> {
    let Started { stdin, stdout, stderr, pid, stop, ended } = start(spec, mark, reaper)?;
    let mux = Mux::new(limit.saturating_mul(2));
    let (out, queue) = mpsc::channel(OUTGOING);
    tokio::spawn(write_lines(stdin, queue, stop.clone()));
    let tail = Arc::new(Mutex::new(VecDeque::new()));
    tokio::spawn(keep_stderr(stderr, tail.clone(), spec.stderr.clone()));
    let pipe = Pipe { mux: mux.clone(), out, pid, stop };
    Ok((pipe, Readers { stdout, mux, ended, tail, limit }))
}

/// What still has to be set going once the link exists.
pub(crate) struct Readers {
    stdout: ChildStdout,
    mux: Arc<Mux>,
    ended: tokio::sync::oneshot::Receiver<String>,
    tail: Arc<Mutex<VecDeque<String>>>,
    limit: usize,
}

impl Readers {
    pub(crate) fn run(self, link: &Arc<Link>, inbox: Arc<dyn Inbox>) {
        let link = Arc::downgrade(link);
        tokio::spawn(async move {
            let Self { stdout, mux, ended, tail, limit } = self;
            let mut reading = tokio::spawn(read_lines(stdout, mux.clone(), link, inbox, limit));
            // The end of the process is what counts: a child of its own may hold stdout open for ever.
            let how = ended.await.unwrap_or_else(|_| "ended".into());
            let _ = tokio::time::timeout(std::time::Duration::from_millis(20), &mut reading).await;
            reading.abort();
            let tail: Vec<String> = tail.lock().iter().cloned().collect();
            let last = if tail.is_empty() {
                String::new()
            } else {
                format!("; last on stderr: {}", tail.join(" | "))
            };
            mux.close(&format!("the server process {how}{last}"));
        });
    }
}

async fn write_lines(mut stdin: ChildStdin, mut queue: mpsc::Receiver<Bytes>, stop: CancellationToken) {
    let mut batch = BytesMut::new();
    loop {
        let message = tokio::select! {
            message = queue.recv() => message,
            () = stop.cancelled() => None,
        };
        let Some(message) = message else { return };
        batch.extend_from_slice(&message);
        batch.extend_from_slice(b"\n");
        while let Ok(more) = queue.try_recv() {
            batch.extend_from_slice(&more);
            batch.extend_from_slice(b"\n");
        }
        let written = tokio::select! {
            written = stdin.write_all(&batch) => written,
            () = stop.cancelled() => return,
        };
        if written.is_err() {
            return;
        }
        batch.clear();
    }
}

async fn read_lines(
    mut stdout: ChildStdout,
    mux: Arc<Mux>,
    link: Weak<Link>,
    inbox: Arc<dyn Inbox>,
    limit: usize,
) {
    let mut decoder = LineDecoder::new(limit);
    loop {
        while let Some(line) = decoder.next_line() {
            match line {
                portcullis_wire::Line::Whole(line) => receive(&mux, &link, &*inbox, line),
                portcullis_wire::Line::TooLong { head, tail, length } => {
                    let why =
                        format!("the upstream's answer has {length} bytes, more than the limit of {limit}");
                    match id_at_ends(&head, &tail, &mux.waiting()) {
                        Some(id) => mux.give(id, Err(Broken(why))),
                        None => tracing::warn!("{why}, and which call it answers cannot be seen"),
                    }
                }
            }
        }
        match stdout.read_buf(decoder.buffer()).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// Sorts one message of a line that carries many conversations.
pub(crate) fn receive(mux: &Mux, link: &Weak<Link>, inbox: &dyn Inbox, text: Bytes) {
    let message = match Envelope::reply(text) {
        Ok(message) => message,
        Err(refused) => {
            tracing::warn!(%refused, "an upstream said something that is no message");
            return;
        }
    };
    let stray = mux.receive(message);
    if let (Some(stray), Some(link)) = (stray, link.upgrade()) {
        match stray {
            Stray::Notice(notice) => inbox.notice(&link, notice),
            Stray::Request(request) => inbox.request(&link, request),
        }
    }
}

/// Keeps what the child writes on stderr: its last lines for messages, all of it in a file of bounded size.
async fn keep_stderr(stderr: ChildStderr, tail: Arc<Mutex<VecDeque<String>>>, path: Option<PathBuf>) {
    let mut reader = BufReader::new(stderr);
    let mut file = path.as_ref().and_then(open_log);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line without an end is cut at the buffer's size, so no child can fill our memory.
        let read = (&mut reader).take(64 * 1024).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(n) if n > 0) {
            return;
        }
        if let (Some((open, size)), Some(path)) = (&mut file, &path) {
            let _ = open.write_all(&line);
            *size += line.len() as u64;
            if *size > STDERR_FILE {
                let _ = std::fs::rename(path, path.with_extension("log.1"));
                file = open_log(path);
            }
        }
        let text: String = String::from_utf8_lossy(&line).trim_end().chars().take(TAIL_WIDTH).collect();
        if !text.is_empty() {
            let mut tail = tail.lock();
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(text);
        }
    }
}

fn open_log(path: &PathBuf) -> Option<(std::fs::File, u64)> {
    let _ = std::fs::create_dir_all(path.parent()?);
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path).ok()?;
    let size = file.metadata().ok()?.len();
    Some((file, size))
}

impl Line {
    pub(crate) fn pipe(&self) -> Option<&Pipe> {
        match self {
            Self::Pipe(pipe) => Some(pipe),
            _ => None,
        }
    }
}
