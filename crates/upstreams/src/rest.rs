//! What a server still sends after its answer: usually nothing but the end of the stream.
//!
//! A body that is dropped before its end takes its connection along. The next call then has to connect anew, and a
//! server can take it for a client that hung up on a call that was answered. So the rest is read, and the
//! connection goes back to those that nobody uses.

use bytes::Bytes;
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::runtime::Handle;

/// How long a server may take to end a stream on which it has answered.
const ENDS: Duration = Duration::from_secs(1);
/// How much it may still send there, in bytes.
const MORE: usize = 16 << 10;

/// Reads a body to its end, within bounds. What is there already is read at once and needs no task.
pub(crate) fn read(mut body: impl Body<Data = Bytes> + Send + Unpin + 'static) {
    let mut left = MORE;
    let mut rest = move |context: &mut Context<'_>| {
        loop {
            let Some(Ok(frame)) = ready!(Pin::new(&mut body).poll_frame(context)) else {
                return Poll::Ready(());
            };
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(fewer) => left = fewer,
                None => return Poll::Ready(()),
            }
        }
    };
    if rest(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    // Without a runtime the gate is at its end, and so are its connections.
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(async move { tokio::time::timeout(ENDS, poll_fn(rest)).await });
    }
}
