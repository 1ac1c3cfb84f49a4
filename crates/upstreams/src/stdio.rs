//! A server on stdin and stdout of a child.

use crate::Inbox;
use crate::link::{Line, Link};
use crate::mux::{Mux, Stray, id_at_ends};
use crate::outbox::Outbox;
use crate::reply::Broken;
use crate::room::{Room, Rooms};
use bytes::Bytes;
use portcullis_runs::{Held, Piped};
use portcullis_wire::{Envelope, LineDecoder};
use serde_json::value::RawValue;
use std::sync::{Arc, Weak};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream};
use tokio_util::sync::CancellationToken;

/// How long is still read when a server has ended.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(20);
/// How long a server may go on after it has closed its stdout.
const ENDS: std::time::Duration = std::time::Duration::from_secs(2);

/// The gate's end of the pipes.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) mux: Arc<Mux>,
    out: Arc<Outbox>,
    pub(crate) held: Option<Arc<Held>>,
    stop: CancellationToken,
}

impl Pipe {
    /// Queues one message, a call under its id. Waits where the child does not read.
    pub(crate) async fn write(&self, call: Option<u64>, message: Bytes) -> Result<(), Broken> {
        let closed = || Broken(self.mux.closed().unwrap_or_else(|| "the server's stdin is closed".into()));
        self.out.put(call, message).await.ok_or_else(closed)
    }

    /// Queues one message without waiting here for a child that does not read.
    pub(crate) fn write_soon(&self, message: Bytes) {
        if let Err(message) = self.out.put_now(message) {
            let out = self.out.clone();
            tokio::spawn(async move { out.put(None, message).await });
        }
    }

    /// Queues one message, or drops it where the child does not read.
    pub(crate) fn write_now(&self, message: Bytes) {
        if self.out.put_now(message).is_err() {
            tracing::debug!("a notice to a server that does not read was dropped");
        }
    }
}

impl Pipe {
    /// Gives it up: all that wait on it fail with `why`, and its process is stopped.
    pub(crate) fn give_up(&self, why: &str) {
        self.mux.close(why);
        self.stop.cancel();
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Takes the pipes of a program that was started. Its reader runs until the program or the link is gone.
pub(crate) fn open(upstream: &Arc<str>, rooms: &Rooms, piped: Piped, limit: usize) -> (Pipe, Readers) {
    let Piped { stdin, stdout, held, stop } = piped;
    let out = Arc::new(Outbox::new(&rooms.requests));
    let mux = Mux::new(upstream.clone(), Some(out.clone()));
    if let Some(stdin) = stdin {
        write(&out, stdin, &stop);
    }
    let readers_stop = stop.clone();
    let pipe = Pipe { mux: mux.clone(), out, held: Some(held.clone()), stop };
    let stdout = stdout.map(|stdout| Box::new(stdout) as Stdout);
    (pipe, Readers { stdout, mux, room: rooms.answers.clone(), held: Some((held, readers_stop)), limit })
}

/// Takes a connection to a built-in server.
pub(crate) fn open_builtin(
    upstream: &Arc<str>,
    rooms: &Rooms,
    stream: DuplexStream,
    limit: usize,
) -> (Pipe, Readers) {
    let out = Arc::new(Outbox::new(&rooms.requests));
    let mux = Mux::new(upstream.clone(), Some(out.clone()));
    let (reading, writing) = tokio::io::split(stream);
    let stop = CancellationToken::new();
    write(&out, writing, &stop);
    let pipe = Pipe { mux: mux.clone(), out, held: None, stop };
    (pipe, Readers { stdout: Some(Box::new(reading)), mux, room: rooms.answers.clone(), held: None, limit })
}

fn write(out: &Arc<Outbox>, stdin: impl AsyncWrite + Unpin + Send + 'static, stop: &CancellationToken) {
    let (out, stop) = (out.clone(), stop.clone());
    tokio::spawn(async move { out.write_to(stdin, &stop).await });
}

type Stdout = Box<dyn AsyncRead + Send + Unpin>;

/// What still has to be set going once the link exists.
pub(crate) struct Readers {
    stdout: Option<Stdout>,
    mux: Arc<Mux>,
    /// Where its messages have their place until they are passed on.
    room: Room,
    /// Its process, and what stops it.
    held: Option<(Arc<Held>, CancellationToken)>,
    limit: usize,
}

impl Readers {
    pub(crate) fn run(self, link: &Arc<Link>, inbox: Arc<dyn Inbox>) {
        let link = Arc::downgrade(link);
        tokio::spawn(async move {
            let Self { stdout, mux, room, held, limit } = self;
            let Some(stdout) = stdout else { return };
            let mut reading = tokio::spawn(read_lines(stdout, mux.clone(), room, link, inbox, limit));
            let Some((held, stop)) = held else {
                let _ = reading.await;
                mux.close("the built-in server ended the connection");
                return;
            };
            // The end of the process is what counts: a child of its own may hold stdout open for ever.
            let how = tokio::select! {
                how = held.exited() => {
                    let _ = tokio::time::timeout(LAST_WORDS, &mut reading).await;
                    reading.abort();
                    how
                }
                _ = &mut reading => match tokio::time::timeout(ENDS, held.exited()).await {
                    Ok(how) => how,
                    Err(_) => {
                        mux.close("the server closed its stdout, and can answer nothing more");
                        return stop.cancel();
                    }
                },
            };
            let last = match how.last.is_empty() {
                true => String::new(),
                false => format!("; last on stderr: {}", how.last.join(" | ")),
            };
            mux.close(&format!("the server process {how}{last}"));
        });
    }
}

async fn read_lines(
    mut stdout: Stdout,
    mux: Arc<Mux>,
    room: Room,
    link: Weak<Link>,
    inbox: Arc<dyn Inbox>,
    limit: usize,
) {
    let mut decoder = LineDecoder::new(limit);
    loop {
        while let Some(line) = decoder.next_line() {
            match line {
                portcullis_wire::Line::Whole(line) => {
                    receive(&mux, &link, &*inbox, room.hold_anyway(line));
                }
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
            Ok(_) => mux.note_life(),
        }
    }
}

/// The id of an answer that cannot be read, where it can be told. What only tells of a message, such as a program's own log of
/// what it was asked, is none.
pub(crate) fn unreadable_answer(text: &Bytes, waiting: &[u64]) -> Option<u64> {
    let trimmed = text.trim_ascii();
    let is_object = trimmed.starts_with(b"{") && trimmed.ends_with(b"}");
    let is_answer = is_object && !trimmed.windows(METHOD.len()).any(|part| part == METHOD);
    let (head, tail) = (text.len().min(END), text.len().saturating_sub(END));
    is_answer.then(|| id_at_ends(&text.slice(..head), &text.slice(tail..), waiting))?
}

const METHOD: &[u8] = b"\"method\"";
/// Bytes at either end of an answer in which its id is looked for.
const END: usize = 4096;

/// The messages of a text: servers of 2025-03-26 may send several as one array.
pub(crate) fn each(text: Bytes) -> Vec<Bytes> {
    let all: Option<Vec<&RawValue>> = match text.trim_ascii_start().first() {
        Some(b'[') => serde_json::from_slice(&text).ok(),
        _ => None,
    };
    match all {
        Some(all) => all.into_iter().map(|one| text.slice_ref(one.get().as_bytes())).collect(),
        None => vec![text],
    }
}

/// Sorts what a line that carries many conversations brought.
pub(crate) fn receive(mux: &Mux, link: &Weak<Link>, inbox: &dyn Inbox, text: Bytes) {
    for text in each(text) {
        receive_one(mux, link, inbox, text);
    }
}

fn receive_one(mux: &Mux, link: &Weak<Link>, inbox: &dyn Inbox, text: Bytes) {
    let message = match Envelope::reply(text.clone()) {
        Ok(message) => message,
        Err(refused) => {
            match unreadable_answer(&text, &mux.waiting()) {
                // Nothing better will come, so its caller need not wait for it.
                Some(id) => mux.give(id, Err(Broken(format!("its answer cannot be read: {refused}")))),
                None => {
                    let upstream = mux.upstream();
                    tracing::warn!(upstream, %refused, "an upstream said something that is no message");
                }
            }
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

impl Line {
    pub(crate) fn pipe(&self) -> Option<&Pipe> {
        match self {
            Self::Pipe(pipe) => Some(pipe),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Quiet;

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_fails_the_call_that_it_answers_and_no_other() {
        let mux = Mux::new("s".into(), None);
        let mut call = mux.enter(5).unwrap();
        let _other = mux.enter(6).unwrap();
        let say =
            |text: &'static str| receive(&mux, &Weak::new(), &Quiet, Bytes::from_static(text.as_bytes()));
        // What is no answer fails nothing.
        for text in [
            "starting",
            r#"got {"jsonrpc":"2.0","id":5,"method":"tools/call","params":{}} "#,
            r#"{"level":"info","request":{"id":5,"method":"tools/call"}}"#,
            r#"{"level":"info","id":5"#,
            r#"{"jsonrpc":"2.0","id":57,"result":NaN}"#,
            r#"{"jsonrpc":"2.0","id":5,"result":{"id":6,"x":NaN}}"#,
        ] {
            say(text);
            assert_eq!(mux.waiting().len(), 2, "{text}");
        }
        for (text, why) in [
            (r#"{"jsonrpc": "2.0", "id": 5, "result": {"x": NaN}}"#, "expected value"),
            (r#"{"result":{"x":Infinity},"id":5,"jsonrpc":"2.0"}"#, "expected value"),
            (r#"{"jsonrpc":"2.0","id":5}"#, "a message has"),
            (r#"{"jsonrpc":"2.0","id":5,"result":{},"error":{"code":1,"message":"m"}}"#, "only one of"),
            (r#"{"id":5,"result":{}}"#, "`jsonrpc` must be"),
        ] {
            say(text);
            let broken = call.next().await.unwrap_err();
            assert!(broken.0.contains("cannot be read") && broken.0.contains(why), "{text}: {}", broken.0);
        }
    }
}
