//! Memory for what waits: messages on their way, answers and events that nobody has read yet.
//!
//! A peer that does not read, or that sends more than can be worked off, must not cost the gate more than a bounded
//! number of bytes. Each place where messages wait has a [`Room`] of so many bytes, inside that of a grant or a server,
//! inside that of the whole process for that way. A message carries its bytes' place along ([`Room::hold`]) and gives it back when
//! nobody has a part of it any more, so no path through the program can forget to.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use std::fmt::Display;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};

/// Bytes that may wait in the whole process, each way.
const ALL: usize = 128 << 20;
/// Bytes that may wait in one queue, such as a client's stream of events or a server's stdin.
const QUEUE: usize = 1 << 20;
/// Messages up to so many bytes are not counted: the buffers of the connection that brings them are larger.
const SMALL: usize = 16 << 10;
/// A room gives so many bytes out of its own even where the room around it is full: what others wait for costs nobody the
/// little that he needs.
const OWN: usize = 64 << 10;
/// How long a large message may wait for room.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bounded number of bytes in memory.
#[derive(Debug, Clone)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max: usize,
    used: AtomicUsize,
    around: Option<Room>,
    /// For all who wait for room.
    freed: Notify,
    /// For the one who looks after memory: it stays told until he hears it.
    given_back: Notify,
}

/// The shares of a grant or a server, each way.
#[derive(Debug, Clone)]
pub struct Rooms {
    /// For what goes to servers.
    pub requests: Room,
    /// For what goes to clients.
    pub answers: Room,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { requests: REQUESTS.share(), answers: ANSWERS.share() }
    }
}

/// Bytes that were taken in a room; dropping it gives them back.
#[derive(Debug)]
struct Taken {
    room: Room,
    bytes: usize,
}

/// There is no room for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no room for {bytes} more bytes: the gate holds as many as it may of what others have not read yet"
)]
pub struct Full {
    /// The size of the message.
    pub bytes: usize,
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Uncollected {
    /// It is longer than allowed.
    #[error("it is too long")]
    TooLong,
    /// There is no room for it.
    #[error(transparent)]
    Full(#[from] Full),
    /// It broke off, and why.
    #[error("it broke off: {0}")]
    Broken(String),
}

// Requests wait for answers, so they must not be able to take what answers need.
static REQUESTS: LazyLock<Room> = LazyLock::new(|| Room::new(ALL, None));
static ANSWERS: LazyLock<Room> = LazyLock::new(|| Room::new(ALL, None));

impl Room {
    fn new(max: usize, around: Option<Self>) -> Self {
        Self(Arc::new(Inner {
            max,
            used: AtomicUsize::new(0),
            around,
            freed: Notify::new(),
            given_back: Notify::new(),
        }))
    }

    /// The room that the whole process has for what goes to servers, 128 MiB. Memory is what a process has, so all share it.
    #[must_use]
    pub fn of_requests() -> Self {
        REQUESTS.clone()
    }

    /// The room that the whole process has for what goes to clients, 128 MiB.
    #[must_use]
    pub fn of_answers() -> Self {
        ANSWERS.clone()
    }

    /// A part of this room that holds at most half of it: of one grant, or of one server.
    #[must_use]
    pub fn share(&self) -> Self {
        Self::new(self.0.max / 2, Some(self.clone()))
    }

    /// A part of this room for one queue, 1 MiB.
    #[must_use]
    pub fn queue(&self) -> Self {
        Self::new(QUEUE.min(self.0.max), Some(self.clone()))
    }

    /// Bytes that are taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// Waits until bytes were given back since it was asked last; for one who asks.
    pub async fn given_back(&self) {
        self.0.given_back.notified().await;
    }

    /// Takes bytes. A message that is larger than the room has it alone.
    ///
    /// # Errors
    /// The room that is full: this one or one around it.
    fn take(&self, bytes: usize) -> Result<Taken, Self> {
        self.count(bytes).map(|()| Taken { room: self.clone(), bytes })
    }

    fn count(&self, bytes: usize) -> Result<(), Self> {
        let fits = |used: usize| (used == 0 || used + bytes <= self.0.max).then_some(used + bytes);
        let before = self.0.used.fetch_update(Ordering::AcqRel, Ordering::Relaxed, fits);
        let Ok(before) = before else { return Err(self.clone()) };
        let Some(around) = &self.0.around else { return Ok(()) };
        if before + bytes <= OWN {
            around.add(bytes);
            return Ok(());
        }
        around.count(bytes).inspect_err(|_| self.subtract(bytes))
    }

    /// Takes bytes whether there is room or not.
    fn take_anyway(&self, bytes: usize) -> Taken {
        self.add(bytes);
        Taken { room: self.clone(), bytes }
    }

    fn add(&self, bytes: usize) {
        let mut room = Some(self);
        while let Some(Self(inner)) = room {
            inner.used.fetch_add(bytes, Ordering::AcqRel);
            room = inner.around.as_ref();
        }
    }

    /// Gives bytes back in this room alone.
    fn subtract(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::AcqRel);
        self.0.freed.notify_waiters();
        self.0.given_back.notify_one();
    }

    /// Counts bytes as soon as there is room.
    async fn count_soon(&self, bytes: usize) {
        while let Err(full) = self.count(bytes) {
            let mut freed = pin!(full.0.freed.notified());
            freed.as_mut().enable();
            // It may have been freed in between.
            match self.count(bytes) {
                Ok(()) => return,
                Err(_) => freed.await,
            }
        }
    }

    /// Takes bytes as soon as there is room.
    async fn wait(&self, bytes: usize) -> Taken {
        self.count_soon(bytes).await;
        Taken { room: self.clone(), bytes }
    }

    /// Whether more than half of it is taken.
    #[must_use]
    pub fn is_crowded(&self) -> bool {
        self.used() > self.0.max / 2
    }

    /// Reads a body of at most `limit` bytes into a place of its own. Waits up to ten seconds for that place.
    ///
    /// # Errors
    /// It is longer, it broke off, or there is no room for it.
    pub async fn collect<B>(&self, body: B, limit: usize) -> Result<Bytes, Uncollected>
    where
        B: Body<Data = Bytes>,
        B::Error: Display,
    {
        let mut body = pin!(body);
        let told = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if told > limit {
            return Err(Uncollected::TooLong);
        }
        let mut place = Reserved(None);
        place.grow(self, told).await?;
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Uncollected::Broken(error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            let length = all.len() + data.len();
            if length > limit {
                return Err(Uncollected::TooLong);
            }
            // Most come in one piece.
            if all.is_empty() && body.is_end_stream() && length <= SMALL {
                return Ok(data);
            }
            place.grow(self, length).await?;
            all.reserve(told.saturating_sub(all.len()).max(data.len()));
            all.extend_from_slice(&data);
            if body.is_end_stream() {
                break;
            }
        }
        Ok(place.fill(all.freeze()))
    }

    /// Whether a message is large enough to be counted.
    #[must_use]
    pub fn counts(&self, message: &Bytes) -> bool {
        message.len() > SMALL
    }

    /// The same bytes, which have their place here until nobody has a part of them any more.
    ///
    /// # Errors
    /// There is no room for them.
    pub fn hold(&self, message: Bytes) -> Result<Bytes, Full> {
        if message.len() <= SMALL {
            return Ok(message);
        }
        match self.take(message.len()) {
            Ok(taken) => Ok(Reserved(Some(taken)).fill(message)),
            Err(_) => Err(Full { bytes: message.len() }),
        }
    }

    /// The same whether there is room or not: what comes after it finds less.
    #[must_use]
    pub fn hold_anyway(&self, message: Bytes) -> Bytes {
        if message.len() <= SMALL {
            return message;
        }
        Reserved(Some(self.take_anyway(message.len()))).fill(message)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut room = Some(&self.room);
        while let Some(one) = room {
            one.subtract(self.bytes);
            room = one.0.around.as_ref();
        }
    }
}

/// What every message costs beside its bytes, and what a small one is counted as: places in queues, the message's own head.
const EACH: usize = 256;

impl Room {
    /// A message with its place in a queue, as soon as there is one. Small messages count, too.
    pub(crate) async fn queued(&self, message: Bytes) -> Bytes {
        Reserved(Some(self.wait(message.len() + EACH).await)).fill(message)
    }

    /// The same, where there is a place now.
    pub(crate) fn queued_now(&self, message: &Bytes) -> Option<Bytes> {
        let place = self.take(message.len() + EACH).ok()?;
        Some(Reserved(Some(place)).fill(message.clone()))
    }
}

/// Makes both ends of a queue of messages for a peer that may not read them. All of them count, also small ones.
#[must_use]
pub fn queue(room: &Room) -> (Sender, Receiver) {
    let (queue, receiver) = mpsc::unbounded_channel();
    (Sender { queue, room: room.queue() }, Receiver(receiver))
}

/// The sending end of a queue.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: mpsc::UnboundedSender<Bytes>,
    room: Room,
}

/// The receiving end of a queue. What was received has its place until it is dropped.
#[derive(Debug)]
pub struct Receiver(mpsc::UnboundedReceiver<Bytes>);

/// A message did not enter a queue: nobody reads it, or not fast enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the messages that wait already")]
pub struct Unread;

impl Sender {
    /// Enters a message; waits while there is no room for it.
    ///
    /// # Errors
    /// The receiving end has gone.
    pub async fn send(&self, message: Bytes) -> Result<(), Unread> {
        let message = tokio::select! {
            biased;
            message = self.room.queued(message) => message,
            () = self.queue.closed() => return Err(Unread),
        };
        self.queue.send(message).map_err(|_| Unread)
    }

    /// Enters a message where there is room for it now.
    ///
    /// # Errors
    /// There is none, or the receiving end has gone.
    pub fn try_send(&self, message: Bytes) -> Result<(), Unread> {
        self.queue.send(self.room.queued_now(&message).ok_or(Unread)?).map_err(|_| Unread)
    }

    /// Enters the last message, for which nobody waits: it must not be lost where there is no room.
    pub fn send_last(&self, message: Bytes) {
        let place = self.room.take_anyway(message.len() + EACH);
        // Where nobody reads any more it is wanted no more.
        let _ = self.queue.send(Reserved(Some(place)).fill(message));
    }

    /// Whether the receiving end has gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits until the receiving end has gone.
    pub async fn closed(&self) {
        self.queue.closed().await;
    }
}

impl Receiver {
    /// The next message; `None` where no more comes.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(context)
    }

    /// The next message; `None` where no more comes.
    pub async fn recv(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

/// A place that was taken for one message.
#[derive(Debug)]
pub(crate) struct Reserved(Option<Taken>);

/// A message and its place.
struct Held {
    message: Bytes,
    _place: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.message
    }
}

impl Reserved {
    /// Makes it a place for that many bytes. One whose length nobody told grows by more than what is needed now.
    async fn grow(&mut self, room: &Room, bytes: usize) -> Result<(), Full> {
        let has = self.0.as_ref().map_or(0, |taken| taken.bytes);
        if bytes <= SMALL.max(has) {
            return Ok(());
        }
        let more = if has == 0 { bytes } else { (bytes - has).max(has / 2) };
        let waited = tokio::time::timeout(PATIENCE, room.count_soon(more)).await;
        waited.map_err(|_| Full { bytes })?;
        self.0.get_or_insert(Taken { room: room.clone(), bytes: 0 }).bytes += more;
        Ok(())
    }

    /// Puts the message into its place.
    #[must_use]
    pub(crate) fn fill(self, message: Bytes) -> Bytes {
        match self.0 {
            Some(place) => Bytes::from_owner(Held { message, _place: place }),
            None => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn a_message_has_its_place_until_the_last_part_of_it_is_gone() {
        let room = Room::new(1 << 20, None);
        let held = room.hold(message(1 << 19)).unwrap();
        let part = held.slice(10..20);
        drop(held);
        assert_eq!(room.used(), 1 << 19);
        assert!(room.hold(message(1 << 20)).is_err());
        drop(part);
        assert_eq!(room.used(), 0);
        assert!(room.hold(message(2 << 20)).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_room_gets_it_when_others_give_it_back_and_is_told_where_nobody_does() {
        let room = Room::new(1 << 20, None);
        let held = room.hold(message(1 << 20)).unwrap();
        let share = room.share();
        let body = || http_body_util::Full::new(message(1 << 19));
        assert!(matches!(share.collect(body(), 1 << 20).await, Err(Uncollected::Full(_))));
        let (collected, ()) = tokio::join!(share.collect(body(), 1 << 20), async {
            tokio::task::yield_now().await;
            drop(held);
        });
        let collected = collected.unwrap();
        assert_eq!(collected.len(), 1 << 19);
        assert_eq!((room.used(), share.used()), (1 << 19, 1 << 19));
    }

    #[tokio::test]
    async fn a_queue_takes_what_there_is_room_for_and_its_last_message_in_any_case() {
        let room = Room::new(64 << 20, None);
        let (sender, mut receiver) = queue(&room);
        let mut entered = 0;
        while sender.try_send(message(1000)).is_ok() {
            entered += 1;
        }
        assert_eq!(entered, QUEUE / (1000 + EACH));
        sender.send_last(message(3 << 20));
        let first = receiver.recv().await.unwrap();
        // It is still held by whoever received it.
        assert!(sender.try_send(message(1000)).is_err());
        drop(first);
        for _ in 1..entered {
            receiver.recv().await.unwrap();
        }
        assert_eq!(receiver.recv().await.unwrap().len(), 3 << 20);
        assert_eq!(room.used(), 0);
        assert!(sender.try_send(message(2 << 20)).is_ok());
        drop(receiver);
        assert_eq!(room.used(), 0);
        assert!(sender.is_closed());
    }

    #[test]
    fn a_full_process_leaves_everybody_the_little_that_he_needs() {
        let process = Room::new(1 << 20, None);
        let _others = process.hold(message(1 << 20)).unwrap();
        let queue = process.share().queue();
        assert!(queue.hold(message(OWN / 2)).is_ok());
        assert!(queue.hold(message(OWN + 1)).is_err());
    }

    proptest! {
        /// Whatever is taken and given back in whatever order, each room knows what its messages have, and no room holds
        /// more than it may, but for one message alone and the little that each room has of its own.
        #[test]
        fn rooms_count_right(steps in proptest::collection::vec((0..3usize, 1..600_000usize, any::<bool>()), 1..60)) {
            let process = Room::new(1 << 20, None);
            let rooms = [process.clone(), process.share(), process.share()];
            let mut held: Vec<(usize, usize, Taken)> = Vec::new();
            for (at, bytes, gives_back) in steps {
                if gives_back && !held.is_empty() {
                    held.swap_remove(bytes % held.len());
                } else if let Ok(taken) = rooms[at].take(bytes) {
                    held.push((at, bytes, taken));
                }
                let sum = |of: Option<usize>| -> usize {
                    held.iter().filter(|(at, ..)| of.is_none_or(|of| of == *at)).map(|(_, bytes, _)| bytes).sum()
                };
                prop_assert_eq!(process.used(), sum(None));
                let most = |room: &Room| room.0.max.max(held.iter().map(|(_, bytes, _)| *bytes).max().unwrap_or(0));
                for at in [1, 2] {
                    prop_assert_eq!(rooms[at].used(), sum(Some(at)));
                    prop_assert!(rooms[at].used() <= most(&rooms[at]));
                }
                prop_assert!(process.used() <= most(&process) + 2 * OWN);
            }
        }
    }
}
