//! Messages that wait for a server to read its stdin.
//!
//! A server that does not read gets no more than a bounded number of bytes ahead. A call that ends before it was written
//! is taken out again: it is not carried out after its client was told that it failed, and its bytes do not stay.

use crate::room::Room;
use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use portcullis_wire::push_line;
use std::collections::VecDeque;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Bytes that are written at once where several messages wait.
const BATCH: usize = 64 << 10;

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: Mutex<VecDeque<(Option<u64>, Bytes)>>,
    more: Notify,
    room: Room,
    /// Nothing is written any more.
    closed: CancellationToken,
}

impl Outbox {
    /// An empty one, in the room that its server has for what it is sent.
    pub(crate) fn new(room: &Room) -> Self {
        Self {
            waiting: Mutex::default(),
            more: Notify::new(),
            room: room.queue(),
            closed: CancellationToken::new(),
        }
    }

    /// Enters a message, a call under its id. Waits while there is no room; `None` where nothing is written any more.
    pub(crate) async fn put(&self, call: Option<u64>, message: Bytes) -> Option<()> {
        let message = tokio::select! {
            biased;
            message = self.room.queued(message) => message,
            () = self.closed.cancelled() => return None,
        };
        self.enter(call, message)
    }

    /// Enters a message where there is room for it now, else gives it back.
    pub(crate) fn put_now(&self, message: Bytes) -> Result<(), Bytes> {
        match self.room.queued_now(&message) {
            Some(message) => {
                // Where nothing is written any more nobody misses it.
                let _ = self.enter(None, message);
                Ok(())
            }
            None => Err(message),
        }
    }

    fn enter(&self, call: Option<u64>, message: Bytes) -> Option<()> {
        let mut waiting = self.waiting.lock();
        if self.closed.is_cancelled() {
            return None;
        }
        waiting.push_back((call, message));
        drop(waiting);
        self.more.notify_one();
        Some(())
    }

    /// Takes a call out again. Tells whether it was still here, so that its server never sees it.
    pub(crate) fn take_back(&self, call: u64) -> bool {
        let mut waiting = self.waiting.lock();
        let at = waiting.iter().position(|(id, _)| *id == Some(call));
        at.and_then(|at| waiting.remove(at)).is_some()
    }

    fn next(&self) -> Option<Bytes> {
        self.waiting.lock().pop_front().map(|(_, message)| message)
    }

    /// Writes what is entered, a line each, until `stop` or until nobody can read it.
    pub(crate) async fn write_to(&self, mut stdin: impl AsyncWrite + Unpin, stop: &CancellationToken) {
        let mut batch = BytesMut::new();
        loop {
            while batch.len() < BATCH
                && let Some(message) = self.next()
            {
                push_line(&mut batch, &message);
            }
            if batch.is_empty() {
                tokio::select! {
                    () = self.more.notified() => continue,
                    () = stop.cancelled() => break,
                }
            }
            let written = tokio::select! {
                written = stdin.write_all(&batch) => written,
                () = stop.cancelled() => break,
            };
            if written.is_err() {
                break;
            }
            batch.clear();
            // The room of a large message is not kept for the small ones that follow.
            if batch.capacity() > 2 * BATCH {
                batch = BytesMut::new();
            }
        }
        let mut waiting = self.waiting.lock();
        self.closed.cancel();
        waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::io::AsyncReadExt;

    fn message(byte: u8, bytes: usize) -> Bytes {
        Bytes::from(vec![byte; bytes])
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_does_not_read_holds_a_bounded_number_of_bytes_and_no_call_that_ended() {
        let process = Room::of_requests();
        let outbox = Arc::new(Outbox::new(&process.share()));
        let (ours, mut theirs) = tokio::io::duplex(16);
        let (stop, writing) = (CancellationToken::new(), outbox.clone());
        let ends = stop.clone();
        tokio::spawn(async move { writing.write_to(ours, &ends).await });
        // The first is being written, the second waits, the third waits to be entered.
        outbox.put(Some(1), message(b'1', 3 << 20)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        outbox.put(Some(2), message(b'2', 3 << 20)).await.unwrap();
        let third = outbox.put(Some(3), message(b'3', 1000));
        assert!(tokio::time::timeout(Duration::from_secs(60), third).await.is_err());
        assert_eq!(outbox.put_now(message(b'n', 1)), Err(message(b'n', 1)));
        assert!(process.used() < 4 << 20, "{}", process.used());
        // The second is given up: its bytes go, and others have their place.
        assert!(!outbox.take_back(1) && outbox.take_back(2) && !outbox.take_back(2));
        assert_eq!(process.used(), 0);
        outbox.put(Some(4), message(b'4', 1000)).await.unwrap();
        let mut heard = vec![0; (3 << 20) + 1 + 1000 + 1];
        theirs.read_exact(&mut heard).await.unwrap();
        assert_eq!((heard[0], heard[3 << 20], heard[(3 << 20) + 1]), (b'1', b'\n', b'4'));
        stop.cancel();
        outbox.closed.cancelled().await;
        assert!(outbox.put(Some(5), message(b'5', 1)).await.is_none());
        assert_eq!(process.used(), 0);
    }
}
