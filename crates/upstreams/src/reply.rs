//! What comes back for one request.

use crate::encoding::Decoded;
use crate::mux::Pending;
use crate::rest;
use crate::room::{Full, Room, Uncollected};
use crate::stdio::{each, unreadable_answer};
use bytes::Bytes;
use http_body_util::BodyExt;
use portcullis_wire::{Envelope, EventDecoder, Kind};
use std::collections::VecDeque;

/// One thing heard from a server on the way to its answer.
#[derive(Debug, Clone)]
pub struct Heard {
    /// The message. Absent for an event that only primes the reader to come back.
    pub message: Option<Envelope>,
    /// The event's id, where the stream can be resumed.
    pub event_id: Option<String>,
    /// How long to wait before coming back, in milliseconds.
    pub retry: Option<u64>,
}

impl Heard {
    pub(crate) fn message(message: Envelope) -> Self {
        Self { message: Some(message), event_id: None, retry: None }
    }

    /// The message, where it is the answer to the request itself.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.message.as_ref().is_some_and(|message| message.kind() == Kind::Response)
    }
}

/// The answer broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// What comes back for one request: any number of messages, the last of them usually the response.
#[derive(Debug)]
pub struct Reply {
    /// The id under which the upstream knows the request; 0 for a stream that belongs to none.
    pub id: u64,
    /// The HTTP status of the answer; 200 where there is no HTTP.
    pub status: u16,
    pub(crate) source: Source,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// The whole answer is here.
    Whole(Option<Envelope>),
    /// An event stream.
    Events(Box<Events>),
    /// A shared line.
    Queue(Pending),
}

/// An event stream and what came of it so far.
#[derive(Debug)]
pub(crate) struct Events {
    pub body: Decoded,
    pub decoder: EventDecoder,
    pub room: Room,
    /// What the last event brought and nobody has heard yet, with the place that it stands at.
    pub read: VecDeque<(Bytes, Heard)>,
}

impl Reply {
    /// Whether it comes as a stream of events over HTTP.
    #[must_use]
    pub fn is_events(&self) -> bool {
        matches!(self.source, Source::Events(_))
    }

    /// The next thing heard; `None` when nothing more comes.
    ///
    /// # Errors
    /// Where the stream breaks off or holds something that is no message.
    pub async fn next(&mut self) -> Result<Option<Heard>, Broken> {
        match &mut self.source {
            Source::Whole(message) => Ok(message.take().map(Heard::message)),
            Source::Queue(pending) => pending.next().await,
            Source::Events(events) => {
                let heard = events.next(self.id).await?;
                // On a stream that belongs to no request others' answers may follow.
                if self.id != 0 && heard.as_ref().is_some_and(Heard::is_final) {
                    self.end();
                }
                Ok(heard)
            }
        }
    }

    /// Nothing that concerns the request follows its answer.
    fn end(&mut self) {
        if let Source::Events(events) = std::mem::replace(&mut self.source, Source::Whole(None)) {
            rest::read(events.body);
        }
    }
}

impl Events {
    /// The next thing heard on a stream that answers the request `id`. What is no message is passed over, as a line of a
    /// program is, unless it must be the answer.
    async fn next(&mut self, id: u64) -> Result<Option<Heard>, Broken> {
        let own = Some(id).filter(|id| *id != 0);
        loop {
            if let Some((text, place)) = self.read.pop_front() {
                let message = match Envelope::reply(text.clone()) {
                    Ok(message) => Some(message),
                    Err(refused) if unreadable_answer(&text, own.as_slice()).is_some() => {
                        return Err(Broken(format!("its answer cannot be read: {refused}")));
                    }
                    Err(refused) => {
                        tracing::debug!(%refused, "an event that is no message was passed over");
                        None
                    }
                };
                return Ok(Some(Heard { message, ..place }));
            }
            if let Some(event) = self.decoder.next_event().map_err(|error| Broken(error.to_string()))? {
                if !event.name.is_empty() && event.name != "message" {
                    continue;
                }
                let mut place = Heard { message: None, event_id: event.id, retry: event.retry };
                if event.data.is_empty() {
                    return Ok(Some(place));
                }
                for text in each(self.room.hold_anyway(event.data)) {
                    let none = Heard { message: None, event_id: None, retry: None };
                    self.read.push_back((text, std::mem::replace(&mut place, none)));
                }
                continue;
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(&data);
                    }
                }
                Some(Err(error)) => return Err(Broken(format!("the upstream's stream broke: {error}"))),
            }
        }
    }
}

/// Reads a body of at most `limit` bytes into a place of its own.
pub(crate) async fn collect(body: Decoded, limit: usize, room: &Room) -> Result<Bytes, Broken> {
    let broken = |why: &dyn std::fmt::Display| Broken(format!("the upstream's answer broke off: {why}"));
    let full = |full: Full| Broken(format!("the upstream's answer cannot be taken: {full}"));
    room.collect(body, limit).await.map_err(|failed| match failed {
        Uncollected::TooLong => Broken(format!("the upstream's answer is longer than {limit} bytes")),
        Uncollected::Full(no_room) => full(no_room),
        Uncollected::Broken(why) => broken(&why),
    })
}
