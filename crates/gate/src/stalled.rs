//! A connection whose other end does not read.
//!
//! What it was to be sent stays in memory until it is read. Whoever reads nothing of it for a whole minute loses the
//! connection, and the memory goes to others.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long the other end may leave what it is sent unread.
const UNREAD: Duration = Duration::from_secs(60);

/// See the module's text.
pub(crate) struct Stalled<S> {
    stream: S,
    /// When it will have been left unread for too long; only while a write waits.
    over: Option<Pin<Box<Sleep>>>,
}

impl<S> Stalled<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, over: None }
    }

    /// Passes on what a write came to, and fails it where it waits for too long.
    fn within<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.over = None;
            return written;
        }
        let over =
            self.over.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + UNREAD)));
        ready!(over.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Stalled<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Stalled<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.within(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_for_a_minute_loses_the_connection_and_who_reads_slowly_does_not() {
        let (ours, mut theirs) = tokio::io::duplex(10);
        let mut ours = Stalled::new(ours);
        let writing = tokio::spawn(async move { ours.write_all(&[0; 60]).await.map(|()| ours) });
        let mut buffer = [0; 10];
        for _ in 0..5 {
            tokio::time::sleep(Duration::from_secs(50)).await;
            theirs.read_exact(&mut buffer).await.unwrap();
        }
        // The last ten are in the pipe.
        let mut ours = writing.await.unwrap().unwrap();
        let began = Instant::now();
        let failed = ours.write_all(&[0; 60]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), UNREAD.as_secs());
    }
}
