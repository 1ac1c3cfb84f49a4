//! `portcullis stdio`: MCP on stdin and stdout, attached to the running gate or to a gate of its own.
//!
//! Each line becomes one request to the gate's own endpoint over the control socket, so both eras, policy and
//! record are exactly those of HTTP.

use super::first_grant::{self, ME};
use super::start::{self, Prepared};
use super::up::keep_others_out;
use crate::cli::{PlaceArgs, UpArgs};
use crate::control::{self, Client, GRANT};
use crate::failure::Failure;
use crate::out::aside;
use crate::place;
use crate::running::Running;
use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_wire::{
    Envelope, EventDecoder, INTERNAL_ERROR, Id, Kind, Line, LineDecoder, error_response, push_line, text,
};
use serde_json::Value;
use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Bytes of one message.
const MESSAGE: usize = 64 << 20;
/// How long calls in flight may still take after stdin has ended.
const LAST: Duration = Duration::from_secs(30);

/// Speaks MCP on stdin and stdout until stdin ends.
pub(crate) fn run(place: &PlaceArgs, grant: &str, upstream: Option<&str>) -> Result<ExitCode, Failure> {
    let runtime = start::runtime(tokio::runtime::Builder::new_multi_thread().worker_threads(2))?;
    let path = upstream.map_or_else(|| "/mcp".to_owned(), |name| format!("/mcp/{name}"));
    let known = place.data.is_some() || place::config_file(place)?.is_some();
    let client = known.then(|| Client::of(place)).transpose()?;
    let attached = client.as_ref().and_then(|client| Some((client, client.socket()?.to_owned())));
    let done = if let Some((client, socket)) = attached {
        let data = client.data().to_owned();
        let grants = client.ask(Method::GET, "grants", &Value::Null)?;
        let names: Vec<&str> =
            grants.as_array().into_iter().flatten().filter_map(|it| it.get("name")?.as_str()).collect();
        check_grant(grant, &names)?;
        runtime.block_on(speak(Way::Socket { socket, data }, path, grant.to_owned()))
    } else {
        keep_others_out();
        let Prepared { config, own, lock, fresh } = start::prepare(place, &UpArgs::default())?;
        let done = runtime.block_on(async {
            let running = Running::start(config, own).await?;
            let done = match be_ready(&running, grant, fresh).await {
                Ok(()) => speak(Way::Here(running.clone()), path, grant.to_owned()).await,
                Err(failure) => Err(failure),
            };
            running.stop().await;
            done
        });
        drop(lock);
        done
    };
    // A thread that still waits for stdin must not keep the process.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

/// Makes the gate of this process ready for its one client: the grant `me` is minted where `up` would mint it.
async fn be_ready(running: &Arc<Running>, grant: &str, fresh: bool) -> Result<(), Failure> {
    running.say_troubles();
    if grant == ME && first_grant::mint_where_none(running, fresh).await?.is_some() {
        aside!(
            "made the grant `{ME}`; `portcullis grant rotate {ME}` gives a token for clients that speak HTTP"
        );
    }
    let grants = running.gate.grants().all();
    check_grant(grant, &grants.iter().map(|grant| grant.name.as_str()).collect::<Vec<_>>())
}

/// Without its grant every message would fail: said once, before the first.
fn check_grant(grant: &str, known: &[&str]) -> Result<(), Failure> {
    if known.contains(&grant) {
        return Ok(());
    }
    let known =
        if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
    Err(Failure::usage(format!(
        "there is no grant named `{grant}`: {known}; `--grant NAME` chooses, `portcullis grant add` makes one"
    )))
}

/// How the gate is reached.
#[derive(Clone)]
enum Way {
    Socket { socket: PathBuf, data: PathBuf },
    Here(Arc<Running>),
}

impl Way {
    async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<hyper::body::Incoming>, String> {
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        match self {
            Self::Socket { socket, data } => {
                let stream = tokio::net::UnixStream::connect(socket).await;
                let stream = stream.map_err(|error| match error.kind() {
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused => control::not_running(data),
                    _ => cannot_be_reached(&error),
                })?;
                over(stream, request).await
            }
            Self::Here(running) => {
                let (near, far) = tokio::io::duplex(1 << 16);
                let running = running.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                        let running = running.clone();
                        async move { Ok::<_, Infallible>(control::answer(&running, request).await) }
                    });
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(far), service);
                    drop(served.await);
                });
                over(near, request).await
            }
        }
    }
}

async fn over<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Response<hyper::body::Incoming>, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| cannot_be_reached(&error))?;
    tokio::spawn(async move { drop(connection.await) });
    sender.send_request(request).await.map_err(|error| cannot_be_reached(&error))
}

fn cannot_be_reached(why: &dyn std::fmt::Display) -> String {
    format!("the gate cannot be reached: {why}")
}

/// One conversation.
struct Talk {
    way: Way,
    path: String,
    grant: String,
    out: mpsc::Sender<Bytes>,
    /// Session and version of the old era, once opened.
    session: Mutex<Option<(HeaderValue, HeaderValue)>>,
    /// The request that opened it: a gate that was started anew has forgotten the session, and it is opened again.
    opening: Mutex<Option<Bytes>>,
    /// One attempt to open it again at a time.
    reopening: tokio::sync::Mutex<()>,
    /// Requests in flight.
    open: Mutex<HashMap<Id, AbortHandle>>,
    /// Why the gate takes no message.
    trouble: Mutex<Option<Failure>>,
}

async fn speak(way: Way, path: String, grant: String) -> Result<(), Failure> {
    let (out, queue) = mpsc::channel(64);
    let writer = tokio::spawn(write_lines(queue));
    let talk = Arc::new(Talk {
        way,
        path,
        grant,
        out,
        session: Mutex::default(),
        opening: Mutex::default(),
        reopening: tokio::sync::Mutex::default(),
        open: Mutex::default(),
        trouble: Mutex::default(),
    });
    let mut stdin = tokio::io::stdin();
    let mut decoder = LineDecoder::new(MESSAGE);
    loop {
        while let Some(line) = decoder.next_line() {
            match line {
                Line::Whole(line) => talk.clone().take(line).await,
                Line::TooLong { length, .. } => {
                    let why = format!("a message of {length} bytes is longer than the limit of {MESSAGE}");
                    talk.say(error_response(None, portcullis_wire::INVALID_REQUEST, &why, &Value::Null))
                        .await;
                }
            }
        }
        match stdin.read_buf(decoder.buffer()).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    // Answers to what was asked before the end still go out.
    let until = tokio::time::Instant::now() + LAST;
    while !talk.is_idle() && tokio::time::Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    talk.end().await;
    let trouble = talk.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
    drop(talk);
    let _ = tokio::time::timeout(Duration::from_secs(1), writer).await;
    trouble.map_or(Ok(()), Err)
}

async fn write_lines(mut queue: mpsc::Receiver<Bytes>) {
    let mut stdout = tokio::io::stdout();
    let mut line = BytesMut::new();
    while let Some(message) = queue.recv().await {
        line.clear();
        push_line(&mut line, &message);
        if stdout.write_all(&line).await.is_err() || stdout.flush().await.is_err() {
            return;
        }
    }
}

/// How often a message is sent that the gate has no room for.
const TRIES: u32 = 5;

/// After how long the gate wants to have the message again.
fn comes_again<B>(response: &Response<B>) -> Option<Duration> {
    let after =
        response.headers().get(RETRY_AFTER).filter(|_| response.status() == StatusCode::SERVICE_UNAVAILABLE);
    after?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

impl Talk {
    fn is_idle(&self) -> bool {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_empty()
    }

    async fn say(&self, message: Bytes) {
        let _ = self.out.send(message).await;
    }

    /// Takes one line of the client.
    async fn take(self: Arc<Self>, line: Bytes) {
        let message = match Envelope::reply(line.clone()) {
            Ok(message) => message,
            // The gate's own reader says what is wrong, and records it.
            Err(_) => {
                self.post(None, line, self.headers()).await;
                return;
            }
        };
        // Without the mark that some consoles begin with.
        let line = message.bytes().clone();
        let modern = message.meta().version.is_some();
        let opens = message.method() == Some("initialize");
        // Requests of the new era stand alone.
        let headers = if opens || modern { self.grant_header() } else { self.headers() };
        match message.kind() {
            Kind::Request => {
                let Some(id) = message.id().cloned() else { return };
                let (talk, key) = (self.clone(), id.clone());
                if opens {
                    *self.opening.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                        Some(line.clone());
                }
                let task = tokio::spawn(async move {
                    talk.post(Some(&key), line, headers).await;
                    talk.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&key);
                });
                if opens {
                    // Nothing else can be sent before the session is there.
                    let _ = task.await;
                } else if !task.is_finished() {
                    let mut open = self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    open.insert(id.clone(), task.abort_handle());
                    if task.is_finished() {
                        open.remove(&id);
                    }
                }
            }
            Kind::Notification
                if message.method() == Some("notifications/cancelled") && !self.has_session() =>
            {
                // In the new era the closed stream is the cancellation.
                let id = message.peek().request_id.and_then(Id::from_json);
                let open = id.and_then(|id| {
                    self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&id)
                });
                if let Some(open) = open {
                    open.abort();
                }
            }
            Kind::Notification | Kind::Response => {
                self.post(None, line, headers).await;
                if message.method() == Some("notifications/initialized") {
                    tokio::spawn(self.clone().listen());
                }
            }
        }
    }

    fn has_session(&self) -> bool {
        self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).is_some()
    }

    /// For whom all messages are: all that one has which opens a session.
    fn grant_header(&self) -> Vec<(HeaderName, HeaderValue)> {
        let grant = HeaderValue::from_str(&self.grant).ok();
        grant.map(|grant| (HeaderName::from_static(GRANT), grant)).into_iter().collect()
    }

    /// The headers of a message of the session.
    fn headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = self.grant_header();
        if let Some((session, version)) =
            &*self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            headers.push((HeaderName::from_static("mcp-session-id"), session.clone()));
            headers.push((HeaderName::from_static("mcp-protocol-version"), version.clone()));
        }
        headers
    }

    /// Sends one message to the gate; again where it has no room for it at the moment.
    async fn send(
        &self,
        body: Bytes,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<Response<hyper::body::Incoming>, String> {
        let mut tries = 0;
        loop {
            let mut request = Request::new(Full::new(body.clone()));
            *request.method_mut() = Method::POST;
            self.address(&mut request, headers.clone())?;
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let response = self.way.send(request).await?;
            tries += 1;
            match comes_again(&response).filter(|_| tries < TRIES) {
                Some(after) => tokio::time::sleep(after).await,
                None => return Ok(response),
            }
        }
    }

    /// Keeps why the gate takes no message. The first reason stays: what follows comes of it.
    fn keep_trouble(&self, failure: Failure) {
        let mut trouble = self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        trouble.get_or_insert(failure);
    }

    /// A gate that answers was started anew, if it was away before.
    fn is_back(&self) {
        let mut trouble = self.trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        trouble.take_if(|failure| failure.is_unreachable());
    }

    /// Opens the session again that the gate does not know any more. Whether there is one now.
    async fn reopen(self: &Arc<Self>, lost: &HeaderValue) -> bool {
        let _one = self.reopening.lock().await;
        if self.session().is_some_and(|(session, _)| session != *lost) {
            return true;
        }
        let opening = self.opening.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        let Some(opening) = opening else { return false };
        // Until there is a new one, others send under the lost one, and wait here.
        let Ok(response) = self.send(opening, self.grant_header()).await else { return false };
        let session = response.headers().get("mcp-session-id").cloned();
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let (Some(session), Ok(answer)) = (session, Envelope::reply(body)) else { return false };
        self.keep_session(session, &answer);
        let initialized = portcullis_wire::notification("notifications/initialized", "{}");
        let told = self.send(initialized, self.headers()).await.is_ok();
        tokio::spawn(self.clone().listen());
        told && self.has_session()
    }

    fn session(&self) -> Option<(HeaderValue, HeaderValue)> {
        self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn keep_session(&self, session: HeaderValue, answer: &Envelope) {
        let version = answer.result().and_then(|result| portcullis_wire::member(result, "protocolVersion"));
        let version = version.and_then(text).and_then(|version| HeaderValue::from_str(&version).ok());
        if let Some(version) = version {
            *self.session.lock().unwrap_or_else(std::sync::PoisonError::into_inner) =
                Some((session, version));
        }
    }

    /// Posts one message and says what comes back. Where the gate has forgotten the session, it is opened again first.
    async fn post(self: &Arc<Self>, id: Option<&Id>, body: Bytes, headers: Vec<(HeaderName, HeaderValue)>) {
        let used =
            headers.iter().find(|(name, _)| name == "mcp-session-id").map(|(_, session)| session.clone());
        let mut sent = self.send(body.clone(), headers).await;
        if let (Some(lost), Ok(response)) = (&used, &sent)
            && response.status() == StatusCode::NOT_FOUND
            && Box::pin(self.reopen(lost)).await
        {
            sent = self.send(body, self.headers()).await;
        }
        let response = match sent {
            Ok(response) => {
                self.is_back();
                response
            }
            Err(why) => {
                self.keep_trouble(Failure::unreachable(&why));
                self.fail(id, &why).await;
                return;
            }
        };
        let status = response.status();
        let session = response.headers().get("mcp-session-id").cloned();
        if is_events(&response) {
            return self.pass_events(response).await;
        }
        let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if let Ok(answer) = Envelope::reply(body.clone()) {
            if let Some(session) = session {
                self.keep_session(session, &answer);
            }
            // An answer that no request can be told by is nobody's.
            let body = match (id, answer.id()) {
                (Some(id), None) if answer.error().is_some() => format!(
                    "{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{}}}",
                    id.to_json(),
                    answer.error().unwrap_or("{}")
                )
                .into(),
                _ => body,
            };
            return self.say(body).await;
        }
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            let said = portcullis_wire::member(&said, "error")
                .and_then(text)
                .map_or(said.clone(), |it| it.into_owned().into());
            let said = said.trim();
            self.fail(id, said).await;
            // What holds for every message is the command's own failure too; others are the client's alone.
            match status {
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.keep_trouble(Failure::denied(said)),
                StatusCode::NOT_FOUND => self.keep_trouble(Failure::usage(said)),
                _ => {}
            }
        }
    }

    fn address(
        &self,
        request: &mut Request<Full<Bytes>>,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Result<(), String> {
        *request.uri_mut() = self.path.parse().map_err(|_| format!("`{}` is no address", self.path))?;
        request.headers_mut().extend(headers);
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        request.headers_mut().insert(ACCEPT, accept);
        Ok(())
    }

    async fn fail(&self, id: Option<&Id>, why: &str) {
        if id.is_some() {
            self.say(error_response(id, INTERNAL_ERROR, why, &Value::Null)).await;
        } else {
            tracing::warn!("{why}");
        }
    }

    async fn pass_events(&self, response: Response<hyper::body::Incoming>) {
        let mut body = response.into_body();
        let mut decoder = EventDecoder::new(MESSAGE);
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                decoder.push(&data);
            }
            while let Ok(Some(event)) = decoder.next_event() {
                if !event.data.is_empty() {
                    self.say(event.data).await;
                }
            }
        }
    }

    /// Hears what the gate says outside of calls (old era), for as long as the session lasts.
    async fn listen(self: Arc<Self>) {
        let mut request = Request::new(Full::new(Bytes::new()));
        if self.address(&mut request, self.headers()).is_err() {
            return;
        }
        if let Ok(response) = self.way.send(request).await
            && response.status() == StatusCode::OK
            && is_events(&response)
        {
            self.pass_events(response).await;
        }
    }

    async fn end(&self) {
        if self.has_session() {
            let mut request = Request::new(Full::new(Bytes::new()));
            *request.method_mut() = Method::DELETE;
            if self.address(&mut request, self.headers()).is_ok() {
                let _ = self.way.send(request).await;
            }
        }
    }
}

fn is_events(response: &Response<hyper::body::Incoming>) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
