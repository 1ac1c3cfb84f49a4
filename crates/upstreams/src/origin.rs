//! Connections to one server over plain HTTP/1.
//!
//! Whoever waits for an answer drives the connection that it comes on. With a task for each connection, every call to
//! a local server would go through two more changes of tasks, often to another core and back.

use crate::given_up::Parcel;
use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{Connection, SendRequest, handshake};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tower_service::Service;

/// How long an unused connection is kept.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// What is sent.
pub(crate) type Sent = Request<Parcel>;

/// One server, and the connections to it that nobody uses.
pub(crate) struct Origin {
    connector: HttpConnector,
    uri: Uri,
    host: HeaderValue,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    lines: Vec<(Box<Line>, Instant)>,
    /// A task lets go of what was unused for too long.
    swept: bool,
}

/// Why no answer came over plain HTTP.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlainFailed {
    #[error("{}", deepest(&**.0))]
    Connect(Box<dyn std::error::Error + Send + Sync>),
    #[error("{}", deepest(.error))]
    Send { error: hyper::Error, never_left: bool },
}

/// hyper's outer messages say little; the cause at the end says what happened.
pub(crate) fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(inner) = last.source() {
        last = inner;
    }
    last.to_string()
}

impl Origin {
    /// Nothing is connected before the first request.
    pub(crate) fn new(connector: HttpConnector, authority: &Authority) -> Result<Self, http::Error> {
        let uri = Uri::builder().scheme("http").authority(authority.clone()).path_and_query("/").build()?;
        // Without the user and password that an address may have.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        Ok(Self { connector, uri, host: HeaderValue::from_str(host)?, idle: Mutex::default() })
    }

    /// Sends one request and gives the head of its answer.
    pub(crate) async fn send(self: &Arc<Self>, mut request: Sent) -> Result<Response<Answer>, PlainFailed> {
        if let Some(path) = request.uri().path_and_query() {
            *request.uri_mut() = path.clone().into();
        }
        request.headers_mut().entry(HOST).or_insert_with(|| self.host.clone());
        loop {
            let (mut line, used) = match self.take() {
                Some(line) => (line, true),
                None => (Box::new(self.connect().await?), false),
            };
            match line.ask(request).await {
                Ok(response) => {
                    let line = Some((line, self.clone()));
                    return Ok(response.map(|body| Answer { body, line }));
                }
                // The server had closed it, and nothing of the request was written.
                Err(mut failed) => match failed.take_message() {
                    Some(back) if used => request = back,
                    back => {
                        let never_left = back.is_some();
                        return Err(PlainFailed::Send { error: failed.into_error(), never_left });
                    }
                },
            }
        }
    }

    async fn connect(&self) -> Result<Line, PlainFailed> {
        let mut connector = self.connector.clone();
        let ready = poll_fn(|context| connector.poll_ready(context)).await;
        ready.map_err(|error| PlainFailed::Connect(error.into()))?;
        let stream = connector.call(self.uri.clone());
        let stream = stream.await.map_err(|error| PlainFailed::Connect(error.into()))?;
        let (sender, connection) =
            handshake(stream).await.map_err(|error| PlainFailed::Send { error, never_left: true })?;
        Ok(Line { sender, connection: Some(connection) })
    }

    /// The connection that was used last, where there is one.
    fn take(&self) -> Option<Box<Line>> {
        let mut idle = self.idle.lock();
        let (line, since) = idle.lines.pop()?;
        if since.elapsed() < IDLE {
            return Some(line);
        }
        // All others have waited longer still.
        idle.lines.clear();
        None
    }

    fn put(self: Arc<Self>, line: Box<Line>) {
        let mut idle = self.idle.lock();
        idle.lines.push((line, Instant::now()));
        if std::mem::replace(&mut idle.swept, true) {
            return;
        }
        drop(idle);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let mut idle = self.idle.lock();
                idle.lines.retain(|(_, since)| since.elapsed() < IDLE);
                if idle.lines.is_empty() {
                    idle.swept = false;
                    return;
                }
            }
        });
    }
}

/// One connection.
struct Line {
    sender: SendRequest<Parcel>,
    /// `None` once it has ended.
    connection: Option<Connection<TokioIo<TcpStream>, Parcel>>,
}

impl Line {
    /// Writes and reads as far as it goes now.
    fn drive(&mut self, context: &mut Context<'_>) {
        // Why it ended is told to whoever waits for the answer.
        if self.connection.as_mut().is_some_and(|it| Pin::new(it).poll(context).is_ready()) {
            self.connection = None;
        }
    }

    async fn ask(&mut self, request: Sent) -> Result<Response<Incoming>, TrySendError<Sent>> {
        // A connection that was idle learns now that the server closed it, before the request is given away.
        poll_fn(|context| {
            self.drive(context);
            Poll::Ready(())
        })
        .await;
        let mut answer = pin!(self.sender.try_send_request(request));
        poll_fn(|context| {
            self.drive(context);
            answer.as_mut().poll(context)
        })
        .await
    }
}

/// The body of an answer, which brings its connection along.
pub(crate) struct Answer {
    body: Incoming,
    /// Gone once the body is whole, and for answers whose connection is driven elsewhere.
    line: Option<(Box<Line>, Arc<Origin>)>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answer")
    }
}

impl From<Incoming> for Answer {
    fn from(body: Incoming) -> Self {
        Self { body, line: None }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some((line, _)) = &mut self.line {
            line.drive(context);
        }
        let frame = Pin::new(&mut self.body).poll_frame(context);
        let over = match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(frame)) => frame.is_ok() && self.body.is_end_stream(),
            Poll::Pending => false,
        };
        if over && let Some((mut line, origin)) = self.line.take() {
            // It finds the end of the message and asks for the next one.
            line.drive(context);
            if line.sender.is_ready() {
                origin.put(line);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers so many requests on each connection with its number, then closes it.
    async fn server(each: usize) -> Arc<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        tokio::spawn(async move {
            for n in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut heard = Vec::new();
                    for _ in 0..each {
                        while !heard.ends_with(b"\r\n\r\nbody") {
                            if stream.read_buf(&mut heard).await.unwrap() == 0 {
                                return;
                            }
                        }
                        heard.clear();
                        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{n:02}");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        Arc::new(Origin::new(HttpConnector::new(), &authority).unwrap())
    }

    async fn ask(origin: &Arc<Origin>) -> Bytes {
        let request = Request::post("http://gate.invalid/path").body(Parcel::new("body".into())).unwrap();
        let answer = origin.send(request).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    }

    #[tokio::test]
    async fn a_connection_serves_one_request_after_the_other() {
        let origin = server(3).await;
        assert_eq!([ask(&origin).await, ask(&origin).await], ["00", "00"]);
    }

    #[tokio::test]
    async fn one_that_the_server_closed_is_not_used_again() {
        let origin = server(1).await;
        for n in 0..20 {
            assert_eq!(ask(&origin).await, format!("{n:02}"));
            // The close arrives while nobody drives the connection.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_was_never_reached() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
        drop(listener);
        let origin = Arc::new(Origin::new(HttpConnector::new(), &authority).unwrap());
        let failed = origin.send(Request::new(Parcel::new(Bytes::new()))).await.unwrap_err();
        assert!(matches!(failed, PlainFailed::Connect(_)), "{failed}");
    }
}
