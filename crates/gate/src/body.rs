//! Bodies of our answers.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use portcullis_upstreams::Receiver;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// How often a quiet stream says that it is alive. Well under the minute after which clients and proxies give
/// up on a silent connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A whole text, or events as they come.
#[derive(Debug)]
pub enum Body {
    /// Everything at once.
    Whole(Option<Bytes>),
    /// Events. Dropping the body tells the sender that the reader has gone.
    Events(Events),
}

/// The receiving end of an event stream.
#[derive(Debug)]
pub struct Events {
    queue: Receiver,
    quiet: Interval,
}

impl Body {
    /// A body of one text.
    #[must_use]
    pub fn whole(text: impl Into<Bytes>) -> Self {
        Self::Whole(Some(text.into()))
    }

    /// A body of what comes through the queue, with comments while nothing comes.
    #[must_use]
    pub fn events(queue: Receiver) -> Self {
        let mut quiet = tokio::time::interval_at(Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
        quiet.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self::Events(Events { queue, quiet })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Events(events) => match events.queue.poll_recv(context) {
                Poll::Ready(event) => {
                    events.quiet.reset();
                    Poll::Ready(event.map(|event| Ok(Frame::data(event))))
                }
                Poll::Pending => match events.quiet.poll_tick(context) {
                    Poll::Ready(_) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b":\n\n"))))),
                    Poll::Pending => Poll::Pending,
                },
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64)),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
