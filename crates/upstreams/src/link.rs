//! One conversation with a server.

use crate::given_up::GivenUp;
use crate::http_line::HttpLine;
use crate::old_sse::OldSse;
use crate::open::Wish;
use crate::reply::{Broken, Reply, Source};
use crate::stdio::Pipe;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use portcullis_admit::{End, FollowUp, Housekeeping, Message, Permit};
use portcullis_runs::Held;
use portcullis_wire::{Envelope, Era, encode_value, member, text};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a server may take to show that it has a request, before it is told of its cancellation anyway.
const SHOWS: Duration = Duration::from_millis(100);
/// How long a server may take to hear of a cancellation.
const HEARS: Duration = Duration::from_secs(30);

/// Why a message got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailed {
    /// It never reached the server: nothing happened there.
    #[error("the upstream was not reached: {0}")]
    NotReached(String),
    /// The server does not know the session any more; the message was not processed.
    #[error("the upstream has ended the session")]
    SessionLost,
    /// The server answered with an error of its own: one of HTTP, or one of the protocol.
    #[error("{}", refused(*.status, why))]
    Refused {
        /// The HTTP status; 200 for an error of the protocol, also where there is no HTTP.
        status: u16,
        /// The error, or the beginning of the body.
        why: String,
    },
    /// It broke off after it was sent: what happened there is not known.
    #[error("{0}")]
    Broken(String),
}

impl SendFailed {
    /// The same without what the server said: that may be, or hold, the result of a call.
    #[must_use]
    pub fn without_words(&self) -> String {
        match self {
            Self::Refused { status: 200, .. } => "the upstream refused".into(),
            Self::Refused { status, .. } => format!("the upstream answered with HTTP {status}"),
            other => other.to_string(),
        }
    }
}

fn refused(status: u16, why: &str) -> String {
    match status {
        200 => format!("the upstream refused: {why}"),
        _ => format!("the upstream answered with HTTP {status}: {why}"),
    }
}

/// How long a server may take to show that it knows a session.
const KNOWS: Duration = Duration::from_secs(5);
/// How long a server may take to hear that a conversation is over.
const ENDS: Duration = Duration::from_secs(2);

/// Whether an answer may mean that the server has forgotten the session. The protocol has 404 for that; servers and what stands before
/// them have every other refusal, too, and errors that speak of sessions.
fn is_doubtful(reply: &Result<Reply, SendFailed>) -> bool {
    match reply {
        Err(SendFailed::Refused { status, .. }) => (400..500).contains(status),
        Ok(Reply { status, source: Source::Whole(Some(message)), .. }) => {
            message.error().is_some_and(|error| {
                (400..500).contains(status)
                    || error.as_bytes().windows(7).any(|part| part.eq_ignore_ascii_case(b"session"))
            })
        }
        _ => false,
    }
}

/// How a message ended that was not answered. What is given back of limits depends on this alone.
impl From<&SendFailed> for End {
    fn from(failed: &SendFailed) -> Self {
        if failed.not_acted_on() {
            Self::NotReached(failed.without_words())
        } else {
            Self::Broken(failed.without_words())
        }
    }
}

impl SendFailed {
    /// Whether the server surely did not act on the message.
    #[must_use]
    pub fn not_acted_on(&self) -> bool {
        matches!(self, Self::NotReached(_) | Self::SessionLost)
    }
}

/// How bytes travel.
#[derive(Debug)]
pub(crate) enum Line {
    Http(HttpLine),
    Pipe(Pipe),
    OldSse(OldSse),
}

/// What was agreed on at the beginning.
#[derive(Debug)]
pub(crate) struct Hello {
    /// The result of `initialize` or `server/discover`, JSON.
    pub result: Box<str>,
    /// The version spoken.
    pub version: Box<str>,
}

/// One conversation: a session of the old era or the stateless new one.
#[derive(Debug)]
pub struct Link {
    /// Set once it is known that a server probed for the new era speaks the old one.
    old: AtomicBool,
    /// The client capabilities offered to the server, JSON: part of what its lists depend on.
    offered: Box<str>,
    /// The grant whose conversation it is; empty where more than one principal speaks on it.
    owner: Box<str>,
    ids: AtomicU64,
    pub(crate) line: Line,
    pub(crate) hello: OnceLock<Hello>,
    ended: AtomicBool,
    /// The entry of the configuration whose server it leads to.
    entry: u64,
    /// Somebody looks whether the server is still there.
    pub(crate) doubted: AtomicBool,
    /// Whether the server answers with streams of events.
    streams: AtomicBool,
    /// Whether the server declared tasks, once that was asked.
    pub(crate) tasks: OnceLock<bool>,
}

impl Link {
    pub(crate) fn new(era: Era, wish: &Wish, line: Line, entry: u64) -> Arc<Self> {
        let hello = OnceLock::new();
        // Id 0 stands for "no request" in cancellations and streams.
        let ids = AtomicU64::new(1);
        let old = AtomicBool::new(era == Era::Old);
        Arc::new(Self {
            old,
            offered: wish.offered.clone(),
            owner: if wish.shared { "".into() } else { (*wish.owner).into() },
            ids,
            line,
            hello,
            ended: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            entry,
            streams: AtomicBool::new(false),
            tasks: OnceLock::new(),
        })
    }

    /// The entry of the configuration whose server it leads to: see [`crate::Upstream::entry`].
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// How the server speaks here.
    #[must_use]
    pub fn era(&self) -> Era {
        if self.old.load(Ordering::Relaxed) { Era::Old } else { Era::New }
    }

    /// The server answered the probe like one of the old era: the conversation goes on as such.
    pub(crate) fn turn_old(&self) {
        self.old.store(true, Ordering::Relaxed);
    }

    /// The client capabilities that were offered, JSON.
    #[must_use]
    pub fn offered(&self) -> &str {
        &self.offered
    }

    /// Whether other principals' calls travel here too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.owner.is_empty()
    }

    /// The grant whose conversation it is; empty where other principals' calls travel here too.
    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// The result of `initialize` or `server/discover`, JSON.
    #[must_use]
    pub fn hello(&self) -> &str {
        self.hello.get().map_or("{}", |hello| &hello.result)
    }

    /// The protocol version spoken.
    #[must_use]
    pub fn version(&self) -> &str {
        self.hello.get().map_or("", |hello| &hello.version)
    }

    /// Whether the server declared a capability (`tools`, `resources`, …).
    #[must_use]
    pub fn declares(&self, capability: &str) -> bool {
        member(self.hello(), "capabilities")
            .and_then(|all| member(all, capability))
            .is_some_and(|it| it != "null")
    }

    /// Whether every message of calls and answers travels on one line that this link owns alone.
    #[must_use]
    pub fn is_line(&self) -> bool {
        !matches!(self.line, Line::Http(_))
    }

    /// Whether the server answered its last request with a stream of events over HTTP.
    #[must_use]
    pub fn answers_in_events(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    /// The server's process, where we started it.
    #[must_use]
    pub fn run(&self) -> Option<&Arc<Held>> {
        self.line.pipe().and_then(|pipe| pipe.held.as_ref())
    }

    /// Why it is closed, where it is.
    #[must_use]
    pub fn closed(&self) -> Option<String> {
        match &self.line {
            Line::Http(_) => self.ended.load(Ordering::Relaxed).then(|| "the session was ended".into()),
            Line::Pipe(pipe) => pipe.mux.closed(),
            Line::OldSse(line) => line.mux.closed(),
        }
    }

    /// Waits until a line is closed; for ever where there is no line.
    pub(crate) async fn gone(&self) {
        match &self.line {
            Line::Http(_) => std::future::pending().await,
            Line::Pipe(pipe) => pipe.mux.gone().await,
            Line::OldSse(line) => line.mux.gone().await,
        }
    }

    /// Sends what a permit allows, under an id of our own. The only way out of the gate.
    ///
    /// # Errors
    /// Where no answer can be expected.
    pub async fn send(&self, permit: Permit) -> Result<Reply, SendFailed> {
        self.send_as(self.next_id(), permit).await
    }

    /// A fresh id for [`Link::send_as`].
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends under an id that was taken before, so that the caller can cancel while it still sends.
    ///
    /// # Errors
    /// Where no answer can be expected.
    pub async fn send_as(&self, id: u64, permit: Permit) -> Result<Reply, SendFailed> {
        let message = permit.message();
        let body = message.rendered(id);
        match &self.line {
            Line::Http(line) => {
                let mut headers = message.headers.clone();
                if self.era() == Era::New {
                    routing_headers(message, &mut headers);
                }
                let reply = line.post(id, body, &headers).await;
                if self.era() == Era::Old
                    && self.hello.get().is_some()
                    && is_doubtful(&reply)
                    && !Box::pin(self.knows_session(line)).await
                {
                    return Err(SendFailed::SessionLost);
                }
                let reply = reply?;
                self.streams.store(reply.is_events(), Ordering::Relaxed);
                Ok(reply)
            }
            Line::Pipe(pipe) => {
                let pending = pipe.mux.enter(id).map_err(|broken| SendFailed::NotReached(broken.0))?;
                pipe.write(Some(id), body).await.map_err(|broken| SendFailed::NotReached(broken.0))?;
                Ok(Reply { id, status: 200, source: Source::Queue(pending) })
            }
            Line::OldSse(line) => {
                let pending = line.mux.enter(id).map_err(|broken| SendFailed::NotReached(broken.0))?;
                line.post(id, body).await?;
                Ok(Reply { id, status: 200, source: Source::Queue(pending) })
            }
        }
    }

    /// Whether the server still knows the session: it answers something harmless in it. One that does not answer at all is not known to
    /// have lost it.
    async fn knows_session(&self, line: &HttpLine) -> bool {
        let list = self.declares("tools").then_some(Housekeeping::Tools);
        for what in [Some(Housekeeping::Ping), list].into_iter().flatten() {
            let id = self.next_id();
            let body = Permit::housekeeping(what, "{}").message().rendered(id);
            match tokio::time::timeout(KNOWS, line.post(id, body, &[])).await {
                Ok(Err(SendFailed::SessionLost)) => return false,
                Ok(reply) if is_doubtful(&reply) => {}
                _ => return true,
            }
        }
        false
    }

    /// Tells the server that the request it knows as `id` is no longer wanted, where it can know it. In the new
    /// era over HTTP the closed stream says it; everywhere else a notification does. Nobody waits for it: a
    /// server that does not answer is why calls are cancelled.
    pub fn cancel(self: &Arc<Self>, id: u64, reason: &str) {
        let notice = FollowUp::cancelled(id, reason);
        let given_up = match &self.line {
            Line::Http(_) if self.era() == Era::New => return,
            Line::Pipe(pipe) if pipe.mux.take_back(id) => return,
            Line::Pipe(pipe) => return pipe.write_soon(notice.bytes().clone()),
            Line::Http(line) => line.given_up.take(id),
            Line::OldSse(line) => line.given_up.take(id),
        };
        if matches!(given_up, Some(GivenUp::TakenBack)) {
            return;
        }
        let link = self.clone();
        tokio::spawn(async move {
            let told = link.tell_cancelled(notice, given_up);
            if tokio::time::timeout(HEARS, told).await.is_err() {
                tracing::debug!("an upstream did not take a cancellation in time");
            }
        });
    }

    /// Tells of a cancellation once the server has shown that it has the request, or has had time to. One that
    /// shows it later is told again: it may have passed over what it did not know yet.
    async fn tell_cancelled(&self, notice: FollowUp, given_up: Option<GivenUp>) {
        let mut late = None;
        if let Some(GivenUp::Sent(mut head)) = given_up
            && tokio::time::timeout(SHOWS, &mut head).await.is_err()
        {
            late = Some(head);
        }
        if let Err(error) = self.follow(notice.clone()).await {
            tracing::debug!(%error, "a cancellation did not reach its upstream");
        }
        let Some(Ok(head)) = (match late {
            Some(head) => Some(head.await),
            None => None,
        }) else {
            return;
        };
        // A whole answer needs no cancelling any more.
        if head
            .headers()
            .get(CONTENT_TYPE)
            .is_none_or(|kind| !kind.as_bytes().starts_with(b"application/json"))
        {
            let _ = self.follow(notice).await;
        }
    }

    /// Sends a notification of a client that was judged.
    ///
    /// # Errors
    /// Where it could not be sent.
    pub async fn notify(&self, permit: Permit) -> Result<(), SendFailed> {
        self.tell(permit.message().envelope.bytes().clone()).await
    }

    /// Sends what follows something that was judged before: the end of a call, progress on a question or its answer, the end
    /// of the handshake.
    ///
    /// # Errors
    /// Where it could not be sent.
    pub async fn follow(&self, message: FollowUp) -> Result<(), SendFailed> {
        self.tell(message.bytes().clone()).await
    }

    async fn tell(&self, notice: Bytes) -> Result<(), SendFailed> {
        match &self.line {
            Line::Http(line) => line.tell(notice).await,
            Line::Pipe(pipe) => {
                pipe.write(None, notice).await.map_err(|Broken(why)| SendFailed::NotReached(why))
            }
            Line::OldSse(line) => line.post(0, notice).await,
        }
    }

    /// Refuses a request that nobody here can answer.
    pub fn refuse(self: &Arc<Self>, request: &Envelope) {
        let (method, Some(id)) = (request.method().unwrap_or_default(), request.id()) else { return };
        self.follow_soon(match method {
            "ping" => FollowUp::gate_answer(id, "{}"),
            _ => {
                let why = format!("`{method}` cannot be answered here: no client is known to belong to it");
                FollowUp::refusal(id, &why)
            }
        });
    }

    /// The same as [`Link::follow`], without waiting for it. A program that does not read does not get it.
    pub fn follow_soon(self: &Arc<Self>, message: FollowUp) {
        if let Line::Pipe(pipe) = &self.line {
            return pipe.write_now(message.bytes().clone());
        }
        let link = self.clone();
        tokio::spawn(async move { drop(link.follow(message).await) });
    }

    /// Opens the stream on which an HTTP server of the old era speaks outside of calls.
    ///
    /// # Errors
    /// Where it offers none, or this link needs none because everything travels on one line.
    pub async fn listen(&self, last_event: Option<&str>) -> Result<Reply, SendFailed> {
        match &self.line {
            Line::Http(line) if self.era() == Era::Old => line.listen(last_event).await,
            _ => Err(SendFailed::Refused { status: 200, why: "this link has no stream of its own".into() }),
        }
    }

    /// Ends the conversation: an HTTP session is deleted, a process ends when its last link is dropped. Only a gate that stops
    /// need wait until the server was told.
    pub fn end(self: &Arc<Self>) -> JoinHandle<()> {
        let (link, was_ended) = (self.clone(), self.ended.swap(true, Ordering::Relaxed));
        tokio::spawn(async move {
            if let (Line::Http(line), false) = (&link.line, was_ended) {
                let _ = tokio::time::timeout(ENDS, line.end()).await;
            }
        })
    }

    /// The same, of a conversation that nobody else has a part in.
    pub fn end_own(self: &Arc<Self>) -> Option<JoinHandle<()>> {
        (!self.is_shared()).then(|| self.end())
    }

    /// The session id that an HTTP server of the old era gave.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        match &self.line {
            Line::Http(line) => line.session().and_then(|value| value.to_str().ok()),
            _ => None,
        }
    }
}

/// The headers that mirror the body in the new era.
fn routing_headers(message: &Message, headers: &mut Vec<(String, String)>) {
    let Some(method) = message.envelope.method() else { return };
    headers.push(("mcp-method".into(), method.into()));
    let peek = message.envelope.peek();
    let named = match method {
        "tools/call" | "prompts/get" => peek.name,
        "resources/read" => peek.uri,
        "tasks/get" | "tasks/update" | "tasks/cancel" => peek.task_id,
        _ => None,
    };
    if let Some(name) = named.and_then(text) {
        headers.push(("mcp-name".into(), encode_value(&name).into_owned()));
    }
}
