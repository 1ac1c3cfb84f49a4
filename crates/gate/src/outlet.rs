//! Where a call's answer goes: one JSON text if nothing comes before it, else a stream of events.

use crate::answer::{Answer, empty, events, json};
use bytes::Bytes;
use http::StatusCode;
use portcullis_wire::{Event, encode_event};
use tokio::sync::{mpsc, oneshot};

/// Events that may wait for the client to read them; the upstream's stream is read no further until then.
const WAITING: usize = 32;

/// The sending end, held by the call.
#[derive(Debug)]
pub(crate) struct Outlet {
    head: Option<oneshot::Sender<Head>>,
    stream: Option<mpsc::Sender<Bytes>>,
    takes_events: bool,
}

#[derive(Debug)]
enum Head {
    Whole(StatusCode, Bytes),
    Stream(mpsc::Receiver<Bytes>),
}

/// The receiving end, held by the HTTP request.
#[derive(Debug)]
pub(crate) struct Inlet(oneshot::Receiver<Head>);

/// Makes both ends. `takes_events`: whether the client accepts a stream at all.
pub(crate) fn outlet(takes_events: bool) -> (Outlet, Inlet) {
    let (head, inlet) = oneshot::channel();
    (Outlet { head: Some(head), stream: None, takes_events }, Inlet(inlet))
}

impl Inlet {
    /// Waits for the beginning of the answer.
    pub(crate) async fn answer(self) -> Answer {
        match self.0.await {
            Ok(Head::Whole(status, text)) => json(status, text),
            Ok(Head::Stream(queue)) => events(queue),
            // A cancelled call is not answered (specification, "Cancellation"); HTTP wants a response.
            Err(_) => empty(StatusCode::ACCEPTED),
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
    pub(crate) fn begin(&mut self) -> Option<&mpsc::Sender<Bytes>> {
        if self.takes_events
            && let Some(head) = self.head.take()
        {
            let (sender, queue) = mpsc::channel(WAITING);
            let _ = head.send(Head::Stream(queue));
            self.stream = Some(sender);
        }
        self.stream.as_ref()
    }

    /// Sends one event; waits while the client does not read. Dropped where the client takes none.
    pub(crate) async fn event(&mut self, event: &Event) {
        if let Some(stream) = self.begin() {
            let _ = stream.send(encode_event(event)).await;
        }
    }

    /// Sends the answer and ends.
    pub(crate) async fn finish(mut self, status: StatusCode, event: Event) {
        match (self.head.take(), &self.stream) {
            (Some(head), _) => drop(head.send(Head::Whole(status, event.data))),
            (None, Some(stream)) => drop(stream.send(encode_event(&event)).await),
            (None, None) => {}
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

/// An event that carries a message.
pub(crate) fn carrying(message: Bytes) -> Event {
    Event { data: message, ..Event::default() }
}
