//! Many conversations on one line: which answer belongs to which request.

use crate::outbox::Outbox;
use crate::reply::{Broken, Heard};
use bytes::Bytes;
use parking_lot::Mutex;
use portcullis_wire::{Envelope, Id, Kind};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes that may wait for one caller to read them, beside its answer.
const UNREAD: usize = 1 << 20;

/// The requests in flight on one line.
#[derive(Debug)]
pub(crate) struct Mux {
    /// Whose line it is.
    upstream: Arc<str>,
    table: Mutex<Table>,
    /// What waits to be written, where the line is a program's stdin.
    outbox: Option<Arc<Outbox>>,
    gone: CancellationToken,
    /// Grows with everything that the line brings, whatever it is.
    life: AtomicU64,
}

#[derive(Debug, Default)]
struct Table {
    waiting: HashMap<u64, Waiting>,
    /// Why the line is closed, once it is.
    closed: Option<String>,
}

#[derive(Debug)]
struct Waiting {
    heard: mpsc::UnboundedSender<Result<Heard, Broken>>,
    bytes: Arc<AtomicUsize>,
    since: Instant,
}

/// What a line brought that belongs to no request.
pub(crate) enum Stray {
    Notice(Envelope),
    Request(Envelope),
}

impl Mux {
    pub(crate) fn new(upstream: Arc<str>, outbox: Option<Arc<Outbox>>) -> Arc<Self> {
        Arc::new(Self {
            upstream,
            table: Mutex::default(),
            outbox,
            gone: CancellationToken::new(),
            life: AtomicU64::new(0),
        })
    }

    /// Whose line it is.
    pub(crate) fn upstream(&self) -> &str {
        &self.upstream
    }

    /// Enters a request before it is sent.
    pub(crate) fn enter(self: &Arc<Self>, id: u64) -> Result<Pending, Broken> {
        let (heard, queue) = mpsc::unbounded_channel();
        let bytes = Arc::new(AtomicUsize::new(0));
        let mut table = self.table.lock();
        if let Some(why) = &table.closed {
            return Err(Broken(why.clone()));
        }
        table.waiting.insert(id, Waiting { heard, bytes: bytes.clone(), since: Instant::now() });
        Ok(Pending { mux: self.clone(), id, queue, bytes })
    }

    /// Sorts one message of the line.
    pub(crate) fn receive(&self, message: Envelope) -> Option<Stray> {
        match message.kind() {
            Kind::Request => Some(Stray::Request(message)),
            Kind::Response => {
                match message.id().and_then(Id::meant).or_else(|| self.only_one(&message)) {
                    Some(id) => self.give(id, Ok(Heard::message(message))),
                    None => tracing::debug!("an upstream answered without an id of ours"),
                }
                None
            }
            Kind::Notification => {
                let peek = message.peek();
                let mark = peek.progress_token.or(message.meta().subscription);
                match mark.and_then(Id::from_json).as_ref().and_then(Id::meant) {
                    Some(id) => {
                        self.give(id, Ok(Heard::message(message)));
                        None
                    }
                    None => Some(Stray::Notice(message)),
                }
            }
        }
    }

    /// The request that an error without an id can only be about: the one that waits.
    fn only_one(&self, message: &Envelope) -> Option<u64> {
        let table = self.table.lock();
        let mut waiting = table.waiting.keys();
        let (id, None) = (*waiting.next()?, waiting.next()) else { return None };
        (message.id().is_none() && message.error().is_some()).then_some(id)
    }

    /// Hands something to the caller that waits under that id. An answer that comes after its caller gave up
    /// is passed over.
    pub(crate) fn give(&self, id: u64, heard: Result<Heard, Broken>) {
        let mut table = self.table.lock();
        let Some(waiting) = table.waiting.get(&id) else {
            tracing::debug!(id, "a late or unknown answer was passed over");
            return;
        };
        let message = heard.as_ref().ok().and_then(|heard| heard.message.as_ref());
        let size = message.map_or(0, |message| message.bytes().len());
        let unread = waiting.bytes.load(Ordering::Relaxed);
        let is_notice = message.is_some_and(|message| message.kind() == Kind::Notification);
        if !is_notice || unread == 0 || unread + size <= UNREAD {
            waiting.bytes.fetch_add(size, Ordering::Relaxed);
            let _ = waiting.heard.send(heard);
        } else if message.is_some_and(|message| message.peek().progress_token.is_some()) {
            // The next one says more, and the answer says all.
            tracing::debug!(id, "progress that its caller does not read was dropped");
        } else {
            let slow = format!("the caller left {unread} bytes unread of what it listens to");
            let _ = waiting.heard.send(Err(Broken(slow)));
            table.waiting.remove(&id);
        }
    }

    /// The line brought something.
    pub(crate) fn note_life(&self) {
        self.life.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells whether the line brought something between two looks.
    pub(crate) fn life(&self) -> u64 {
        self.life.load(Ordering::Relaxed)
    }

    /// Whether a request waits that was sent before that.
    pub(crate) fn waits_since(&self, then: Instant) -> bool {
        self.table.lock().waiting.values().any(|waiting| waiting.since < then)
    }

    /// The ids that wait.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        self.table.lock().waiting.keys().copied().collect()
    }

    /// Takes a request back that was not written yet. Tells whether its server never sees it.
    pub(crate) fn take_back(&self, id: u64) -> bool {
        self.outbox.as_ref().is_some_and(|outbox| outbox.take_back(id))
    }

    /// Closes the line: all that wait fail with `why`, and so does what comes after.
    pub(crate) fn close(&self, why: &str) {
        let mut table = self.table.lock();
        if table.closed.is_some() {
            return;
        }
        table.closed = Some(why.to_owned());
        for (_, waiting) in table.waiting.drain() {
            let _ = waiting.heard.send(Err(Broken(why.to_owned())));
        }
        self.gone.cancel();
    }

    /// Waits until the line is closed.
    pub(crate) async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// Why the line is closed, where it is.
    pub(crate) fn closed(&self) -> Option<String> {
        self.table.lock().closed.clone()
    }
}

/// A request in flight; leaves the table when dropped.
#[derive(Debug)]
pub(crate) struct Pending {
    mux: Arc<Mux>,
    id: u64,
    queue: mpsc::UnboundedReceiver<Result<Heard, Broken>>,
    bytes: Arc<AtomicUsize>,
}

impl Pending {
    pub(crate) async fn next(&mut self) -> Result<Option<Heard>, Broken> {
        match self.queue.recv().await {
            None => Ok(None),
            Some(heard) => {
                let heard = heard?;
                let size = heard.message.as_ref().map_or(0, |message| message.bytes().len());
                self.bytes.fetch_sub(size, Ordering::Relaxed);
                Ok(Some(heard))
            }
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.mux.table.lock().waiting.remove(&self.id);
        self.mux.take_back(self.id);
    }
}

/// The id of a response of which only both ends are known, where it is one of `waiting`. Our ids are plain
/// numbers and each is used once on a line, so `"id":N` at either end names a call or nothing.
pub(crate) fn id_at_ends(head: &Bytes, tail: &Bytes, waiting: &[u64]) -> Option<u64> {
    let squeeze =
        |part: &Bytes| -> Vec<u8> { part.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect() };
    let (head, tail) = (squeeze(head), squeeze(tail));
    let find = |id: u64, part: &[u8], end: &[u8]| {
        end.iter().any(|end| {
            let mut needle = format!("\"id\":{id}").into_bytes();
            needle.push(*end);
            part.windows(needle.len()).any(|window| window == needle)
        })
    };
    let mut found = waiting.iter().copied().filter(|id| find(*id, &head, b",") || find(*id, &tail, b"},"));
    match (found.next(), found.next()) {
        (Some(id), None) => Some(id),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Envelope {
        Envelope::reply(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[tokio::test]
    async fn answers_and_progress_go_to_their_own_request_and_late_ones_to_nobody() {
        let mux = Mux::new("s".into(), None);
        let mut one = mux.enter(1).unwrap();
        let mut two = mux.enter(2).unwrap();
        let progress = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":2,"progress":1}}"#;
        assert!(mux.receive(message(progress)).is_none());
        assert!(mux.receive(message(r#"{"jsonrpc":"2.0","id":2,"result":{}}"#)).is_none());
        assert!(mux.receive(message(r#"{"jsonrpc":"2.0","id":9,"result":{}}"#)).is_none());
        assert!(!two.next().await.unwrap().unwrap().is_final());
        assert!(two.next().await.unwrap().unwrap().is_final());
        drop(two);
        assert_eq!(mux.waiting(), [1]);
        mux.close("exited with 3");
        assert_eq!(one.next().await.unwrap_err(), Broken("exited with 3".into()));
        assert!(mux.enter(3).is_err());
    }

    #[tokio::test]
    async fn a_caller_that_does_not_read_gets_its_answer_and_less_of_what_comes_before() {
        let mux = Mux::new("s".into(), None);
        let mut slow = mux.enter(1).unwrap();
        let mut listener = mux.enter(2).unwrap();
        let pad = "x".repeat(300 << 10);
        for _ in 0..10 {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":1,"message":"{pad}"}}}}"#
            );
            mux.receive(message(&text));
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/x","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":2}},"x":"{pad}"}}}}"#
            );
            mux.receive(message(&text));
        }
        let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"x":"{pad}"}}}}"#);
        mux.receive(message(&answer));
        assert_eq!(mux.waiting(), [1]);
        let mut notices = 0;
        while !slow.next().await.unwrap().unwrap().is_final() {
            notices += 1;
        }
        assert_eq!(notices, 3);
        // Who listens must know that something is missing.
        let mut last = listener.next().await;
        while let Ok(Some(_)) = last {
            last = listener.next().await;
        }
        assert!(last.unwrap_err().0.contains("unread"));
    }

    #[test]
    fn an_over_long_answer_is_known_by_either_end() {
        let waiting = [4, 17, 7];
        let head = Bytes::from_static(b"{\"jsonrpc\":\"2.0\", \"id\": 17, \"result\":{\"x\":\"");
        assert_eq!(id_at_ends(&head, &Bytes::from_static(b"xx\"}}"), &waiting), Some(17));
        let head = Bytes::from_static(b"{\"result\":{\"x\":\"");
        assert_eq!(
            id_at_ends(&head, &Bytes::from_static(b"xx\"},\"jsonrpc\":\"2.0\",\"id\":7}"), &waiting),
            Some(7)
        );
        assert_eq!(id_at_ends(&head, &Bytes::from_static(b"xx\"}}"), &waiting), None);
    }
}
