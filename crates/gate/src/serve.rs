//! The listener.

use crate::endpoint::Via;
use crate::gate::Gate;
use crate::stalled::Stalled;
use crate::unstirred::Unstirred;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use std::convert::Infallible;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// Connections at most, where the system allows that many files.
const CONNECTIONS: usize = 20_000;
/// How long a client may take to send the head of a request. One that has not sent any by then loses its connection: whoever
/// holds connections open and says nothing must not keep others out.
const HEAD: Duration = Duration::from_secs(10);
/// Bytes of all headers of one request.
const HEADERS: usize = 64 << 10;

/// How many connections may be open: half of the files that the system allows, so that servers, the record and the control
/// socket have theirs in any case.
fn connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files.and_then(|files| usize::try_from(files / 2).ok()).unwrap_or(CONNECTIONS);
    half.clamp(1, CONNECTIONS)
}

/// Comes when a connection has had its time and brought no request.
async fn silent(asked: &Notify) {
    if tokio::time::timeout(HEAD, asked.notified()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Serves the gate on a listener until `stop`, then lets answers in flight finish for a short while.
pub async fn serve(gate: Arc<Gate>, listener: TcpListener, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(connections()));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEADERS);
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
            let asked = Arc::new(Notify::new());
            let (has_asked, first) = (asked.clone(), Once::new());
            let service = service_fn(move |request: Request<Incoming>| {
                first.call_once(|| has_asked.notify_one());
                let gate = gate.clone();
                async move { Ok::<_, Infallible>(gate.handle(request, Via::Listener(peer.ip())).await) }
            });
            let mut connection =
                Unstirred::new(server.serve_connection(TokioIo::new(Stalled::new(stream)), service));
            tokio::select! {
                biased;
                _ = &mut connection => {}
                () = silent(&asked) => {}
                () = stop.cancelled() => {
                    connection.inner().graceful_shutdown();
                    let _ = tokio::time::timeout(Duration::from_secs(2), connection).await;
                }
            }
            drop(place);
        });
    }
}
