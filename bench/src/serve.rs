//! The accept loop of the bench's own servers.

use std::{convert::Infallible, future::Future, io, net::SocketAddr};

use http::{Request, Response};
use hyper::{body::Body, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::error::{Error, Result};

/// Listens on the loopback; port 0 takes a free one.
///
/// # Errors
/// When the port is taken, or cannot be read back.
pub async fn listen(port: u16) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", port))
        .await
        .map_err(Error::io(format!("listening on 127.0.0.1:{port}, expected a free port")))?;
    let address = listener.local_addr().map_err(Error::io("reading the port that was given"))?;
    Ok((listener, address))
}

/// Answers every request on every connection with `answer`, for as long as it is polled.
pub async fn serve<A, F, B>(listener: TcpListener, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    loop {
        // A failed accept belongs to that client alone.
        let Ok(stream) = accept(&listener).await else { continue };
        let answer = answer.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            // A client that hangs up is no failure of the server.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
