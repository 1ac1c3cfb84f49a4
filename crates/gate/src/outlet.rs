//! Where a call's answer goes: one JSON text if nothing comes before it, else a stream of events.

use crate::answer::{Answer, empty, events, json};
use bytes::Bytes;
use http::StatusCode;
use portcullis_admit::Release;
use portcullis_upstreams::{Receiver, Room, Rooms, Sender, queue};
use portcullis_wire::{Envelope, Era, Event, INTERNAL_ERROR, encode_event, error_response};
use serde_json::Value;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// The sending end, held by the call.
#[derive(Debug)]
pub(crate) struct Outlet {
    head: Option<oneshot::Sender<Head>>,
    stream: Option<Sender>,
    takes_events: bool,
    /// Where the client's answers have their place until it has read them.
    rooms: Arc<Rooms>,
}

#[derive(Debug)]
enum Head {
    Whole(StatusCode, Bytes),
    Stream(Receiver),
}

/// The receiving end, held by the HTTP request.
#[derive(Debug)]
pub(crate) struct Inlet(oneshot::Receiver<Head>);

/// Makes both ends. `takes_events`: whether the client accepts a stream at all; `rooms`: those of its grant.
pub(crate) fn outlet(takes_events: bool, rooms: &Arc<Rooms>) -> (Outlet, Inlet) {
    let (head, inlet) = oneshot::channel();
    (Outlet { head: Some(head), stream: None, takes_events, rooms: rooms.clone() }, Inlet(inlet))
}

impl Inlet {
    /// The whole answer, where it has come.
    pub(crate) fn whole(mut self) -> Option<Bytes> {
        match self.0.try_recv() {
            Ok(Head::Whole(_, text)) => Some(text),
            Ok(Head::Stream(_)) | Err(_) => None,
        }
    }

    /// Waits for the beginning of the answer.
    pub(crate) async fn answer(self) -> Answer {
        answer(self.0.await.ok())
    }

    /// Takes the call forward until it has the beginning of an answer. What is left of it then, or when the
    /// client goes before, goes on in a task of its own: in the old era a call outlives the connection that
    /// brought it. Most calls end here and never need one.
    pub(crate) async fn answer_of(mut self, call: Work) -> Answer {
        let mut call = Outliving(Some(call));
        let head = poll_fn(|context| {
            let over = call.poll(context).is_ready();
            match self.0.try_recv() {
                Ok(head) => Poll::Ready(Some(head)),
                Err(TryRecvError::Empty) if !over => Poll::Pending,
                Err(_) => Poll::Ready(None),
            }
        });
        answer(head.await)
    }
}

fn answer(head: Option<Head>) -> Answer {
    match head {
        Some(Head::Whole(status, text)) => json(status, text),
        Some(Head::Stream(queue)) => events(queue),
        // A cancelled call is not answered (specification, "Cancellation"); HTTP wants a response.
        None => empty(StatusCode::ACCEPTED),
    }
}

/// A call that is under way.
pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Work that is finished in a task of its own when it is dropped before its end.
struct Outliving(Option<Work>);

impl Outliving {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.0 else { return Poll::Ready(()) };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl Drop for Outliving {
    fn drop(&mut self) {
        // Without a runtime the gate is at its end, and so is everything in it.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

impl Outlet {
    /// Whether the client can be sent anything before the answer.
    pub(crate) fn takes_events(&self) -> bool {
        self.takes_events
    }

    /// Whether the stream has begun.
    pub(crate) fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Begins the stream, so that it can be kept alive while nothing comes. Gives its sender.
    pub(crate) fn begin(&mut self) -> Option<&Sender> {
        if self.takes_events
            && let Some(head) = self.head.take()
        {
            let (sender, queue) = queue(&self.rooms.answers);
            let _ = head.send(Head::Stream(queue));
            self.stream = Some(sender);
        }
        self.stream.as_ref()
    }

    /// Sends one event; waits while the client does not read, and the upstream's stream is read no further until then. Dropped
    /// where the client takes none.
    pub(crate) async fn event(&mut self, event: Outgoing) {
        if let Some(stream) = self.begin() {
            let _ = stream.send(event.encoded()).await;
        }
    }

    /// Sends the answer and ends.
    pub(crate) fn finish(mut self, status: StatusCode, event: Outgoing) {
        let event = Self::held(&self.rooms.answers, event);
        match (self.head.take(), &self.stream) {
            (Some(head), _) => drop(head.send(Head::Whole(status, event.0.data))),
            (None, Some(stream)) => stream.send_last(event.encoded()),
            (None, None) => {}
        }
    }

    /// The answer in its place. Where there is none left for it, because others have not been read, the client gets that for an
    /// answer: the call itself is over.
    fn held(room: &Room, event: Outgoing) -> Outgoing {
        if !room.counts(&event.0.data) {
            return event;
        }
        let Event { data, .. } = event.0;
        match room.hold(data.clone()) {
            Ok(data) => Outgoing(Event { data, ..event.0 }),
            Err(full) => {
                let id = Envelope::reply(data).ok().and_then(|message| message.id().cloned());
                let why = format!("The call was carried out, but its result cannot be passed on: {full}");
                let data = error_response(id.as_ref(), INTERNAL_ERROR, &why, &Value::Null);
                Outgoing(Event { data, ..event.0 })
            }
        }
    }

    /// Waits until the client has gone.
    pub(crate) async fn gone(&mut self) {
        match (&mut self.head, &self.stream) {
            (Some(head), _) => head.closed().await,
            (None, Some(stream)) => stream.closed().await,
            (None, None) => std::future::pending().await,
        }
    }
}

/// Comes when the client has left, which cancels its call in the new era. In the old era a closed connection is not a
/// cancellation (specification, "Transports").
pub(crate) async fn left(outlet: Option<&mut Outlet>, era: Era) {
    match outlet {
        Some(outlet) if era == Era::New => outlet.gone().await,
        _ => std::future::pending().await,
    }
}

/// An event for a client. What it carries is a [`Release`], and nothing else reaches a client on any stream.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing(Event);

/// The place of an event in a stream that the client can come back to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    pub id: Option<String>,
    pub retry: Option<u64>,
}

impl Outgoing {
    /// An event that only says where the stream stands.
    pub(crate) fn primer(at: Place) -> Self {
        Self(Event { id: at.id, retry: at.retry, ..Event::default() })
    }

    /// The same event at a place of its stream.
    pub(crate) fn at(self, at: Place) -> Self {
        Self(Event { id: at.id, retry: at.retry, ..self.0 })
    }

    /// As it goes over the line.
    pub(crate) fn encoded(&self) -> Bytes {
        encode_event(&self.0)
    }
}

/// An event that carries a message.
pub(crate) fn carrying(message: Release) -> Outgoing {
    Outgoing(Event { data: message.into_bytes(), ..Event::default() })
}

/// An event that carries what the gate itself says.
pub(crate) fn saying(text: Bytes) -> Outgoing {
    carrying(Release::own(text))
}
