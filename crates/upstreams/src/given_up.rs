//! Requests that are given up before their answer begins.
//!
//! Whoever gives a request up must know whether the server can have it. As long as no connection has taken the
//! body, it is taken back and the server never acts on it. After that the server may have it, and must be told.
//! A cancellation travels on a connection of its own and can overtake the request; a server passes over the
//! cancellation of what it does not know yet, and then does the work. So the request is held on to until the
//! server shows that it has it.

use crate::client::{Head, HttpFailed};
use crate::origin::Answer;
use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

/// Given up and not asked for at most, on one line. Whoever gives up asks at once.
const KEPT: usize = 1024;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const TAKEN_BACK: u8 = 2;

/// A request's body that can be taken back until a connection has it.
#[derive(Debug)]
pub(crate) struct Parcel {
    bytes: Option<Bytes>,
    phase: Arc<AtomicU8>,
}

/// Takes a [`Parcel`] back.
#[derive(Debug)]
pub(crate) struct Claim(Arc<AtomicU8>);

/// The body was taken back before the connection asked for it: the connection breaks the request off.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up before it was sent")]
pub(crate) struct TakenBack;

impl Parcel {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes: Some(bytes), phase: Arc::default() }
    }

    pub(crate) fn claim(&self) -> Claim {
        Claim(self.phase.clone())
    }
}

impl Claim {
    /// Whether the body was still there: no connection has it or will ever have it.
    fn take_back(&self) -> bool {
        self.0.compare_exchange(WAITING, TAKEN_BACK, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = TakenBack;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, TakenBack>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        match self.phase.compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Err(_) => Poll::Ready(Some(Err(TakenBack))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

/// What became of a request that was given up before its answer began.
pub(crate) enum GivenUp {
    /// The server will never see it.
    TakenBack,
    /// The server may have it; this is where its answer would begin.
    Sent(Head),
}

/// The requests given up on one line, for whoever gave them up.
#[derive(Default)]
pub(crate) struct AllGivenUp(Mutex<VecDeque<(u64, GivenUp)>>);

impl std::fmt::Debug for AllGivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AllGivenUp")
    }
}

impl AllGivenUp {
    /// The beginning of the answer. Where it is not waited for, the request can be found by its id.
    pub(crate) fn head_of(&self, id: u64, response: Head, claim: Claim) -> OnItsWay<'_> {
        OnItsWay { all: self, id, claim, response: Some(response) }
    }

    /// What became of the request of that id, where it was given up.
    pub(crate) fn take(&self, id: u64) -> Option<GivenUp> {
        let mut all = self.0.lock();
        let place = all.iter().position(|(given_up, _)| *given_up == id)?;
        all.remove(place).map(|(_, given_up)| given_up)
    }
}

/// A request whose answer has not begun.
pub(crate) struct OnItsWay<'a> {
    all: &'a AllGivenUp,
    id: u64,
    claim: Claim,
    response: Option<Head>,
}

impl Future for OnItsWay<'_> {
    type Output = Result<Response<Answer>, HttpFailed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(response) = &mut self.response else { return Poll::Pending };
        let head = std::task::ready!(response.as_mut().poll(context));
        self.response = None;
        Poll::Ready(head)
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        let Some(response) = self.response.take() else { return };
        let given_up = if self.claim.take_back() { GivenUp::TakenBack } else { GivenUp::Sent(response) };
        let mut all = self.all.0.lock();
        if all.len() == KEPT {
            all.pop_front();
        }
        all.push_back((self.id, given_up));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn a_body_goes_out_or_is_taken_back_and_never_both() {
        let parcel = Parcel::new(Bytes::from_static(b"x"));
        let claim = parcel.claim();
        assert_eq!(parcel.size_hint().exact(), Some(1));
        assert_eq!(parcel.collect().await.unwrap().to_bytes(), "x");
        assert!(!claim.take_back());

        let parcel = Parcel::new(Bytes::from_static(b"x"));
        assert!(parcel.claim().take_back());
        assert!(parcel.collect().await.is_err());
    }
}
