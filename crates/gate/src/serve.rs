//! The listener.

use crate::answer::Answer;
use crate::endpoint::Via;
use crate::gate::Gate;
use crate::stalled::Stalled;
use crate::unstirred::Unstirred;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections at most, where the system allows that many files.
const CONNECTIONS: usize = 20_000;
/// How long a client that has shown no token may take to send the head of a request. One that has not sent any by then loses its
/// connection: whoever holds connections open and says nothing must not keep others out.
const HEAD: Duration = Duration::from_secs(10);
/// How long the connection of a client that has shown its token is kept while it asks nothing: longer than clients keep theirs, so
/// that they are the ones to close it, and never write into one that is just closed here.
const IDLE: Duration = Duration::from_secs(90);
/// Bytes of all headers of one request.
const HEADERS: usize = 64 << 10;

/// How many connections may be open: half of the files that the system allows, so that servers, the record and the control
/// socket have theirs in any case.
fn connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(CONNECTIONS);
    half.clamp(1, CONNECTIONS)
}

/// What is known of whoever is at the other end of a connection.
#[derive(Debug, Default)]
struct Known {
    /// A request came.
    asked: Notify,
    /// Requests that are being answered.
    busy: AtomicUsize,
    /// One of them brought a token that is known.
    trusted: AtomicBool,
}

impl Known {
    /// Comes when a connection has had its time and brought no request with a token.
    async fn silent(&self) {
        while !self.trusted.load(Ordering::Relaxed) {
            let came = tokio::time::timeout(HEAD, self.asked.notified()).await.is_ok();
            if !came && self.busy.load(Ordering::Relaxed) == 0 && !self.trusted.load(Ordering::Relaxed) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    async fn answer(&self, gate: &Arc<Gate>, request: Request<Incoming>, from: IpAddr) -> Answer {
        self.asked.notify_one();
        let _busy = Busy::new(&self.busy);
        let shows_a_token = request.headers().contains_key(AUTHORIZATION);
        let answer = gate.handle(request, Via::Listener(from)).await;
        if shows_a_token && answer.status() != StatusCode::UNAUTHORIZED {
            self.trusted.store(true, Ordering::Relaxed);
        }
        answer
    }
}

/// A request that is being answered. It may be given up on the way.
struct Busy<'k>(&'k AtomicUsize);

impl<'k> Busy<'k> {
    fn new(count: &'k AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves the gate on a listener until `stop`, then lets answers in flight finish for a short while.
pub async fn serve(gate: Arc<Gate>, listener: TcpListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(connections()));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEADERS);
    server.http2().timer(TokioTimer::new()).max_header_list_size(64 << 10).max_concurrent_streams(256);
    let server = Arc::new(server);
    loop {
        // The listener stops accepting when all places are taken, so the system refuses new connections early.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: others may close theirs.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (gate, server, stop) = (gate.clone(), server.clone(), stop.clone());
        tokio::spawn(async move {
            let known = Arc::new(Known::default());
            let asking = known.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (gate, known) = (gate.clone(), asking.clone());
                async move { Ok::<_, Infallible>(known.answer(&gate, request, peer.ip()).await) }
            });
            let mut connection =
                Unstirred::new(server.serve_connection(TokioIo::new(Stalled::new(stream)), service));
            tokio::select! {
                biased;
                _ = &mut connection => {}
                () = known.silent() => {}
                () = stop.cancelled() => {
                    connection.inner().graceful_shutdown();
                    let _ = tokio::time::timeout(Duration::from_secs(2), connection).await;
                }
            }
            drop(place);
        });
    }
}
