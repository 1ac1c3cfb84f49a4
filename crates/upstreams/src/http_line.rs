//! A server behind Streamable HTTP.

use crate::client::{HttpClient, HttpFailed, Way};
use crate::encoding::{Decoded, decoded};
use crate::given_up::{AllGivenUp, Parcel};
use crate::link::SendFailed;
use crate::origin::Answer;
use crate::reply::{Events, Reply, Source, collect};
use crate::rest;
use crate::room::Room;
use crate::spec::UrlSpec;
use crate::stdio::each;
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use portcullis_wire::{Envelope, Era, EventDecoder, Kind, MODERN};
use std::collections::VecDeque;
use std::sync::OnceLock;

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Without the header any coding would be acceptable (RFC 9110, section 12.5.3).
const AS_IT_IS: HeaderValue = HeaderValue::from_static("identity");

/// One conversation over HTTP: a session of the old era or the stateless new one.
#[derive(Debug)]
pub(crate) struct HttpLine {
    way: Way,
    url: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    limit: usize,
    /// Where its answers have their place until they are passed on.
    room: Room,
    session: OnceLock<HeaderValue>,
    version: OnceLock<HeaderValue>,
    era: Era,
    /// Calls of the old era that were given up while they were sent. In the new era a closed stream says it.
    pub(crate) given_up: AllGivenUp,
}

impl HttpLine {
    pub(crate) fn new(client: &HttpClient, to: &UrlSpec, limit: usize, room: &Room, era: Era) -> Self {
        let version = OnceLock::new();
        if era == Era::New {
            let _ = version.set(HeaderValue::from_static(MODERN));
        }
        let (session, given_up) = (OnceLock::new(), AllGivenUp::default());
        Self {
            way: client.way_to(&to.url),
            url: to.url.clone(),
            headers: to.headers.clone(),
            limit,
            room: room.clone(),
            session,
            version,
            era,
            given_up,
        }
    }

    /// Sets the version that was agreed on, for all later requests.
    pub(crate) fn agree(&self, version: &str) {
        if let Ok(value) = HeaderValue::from_str(version) {
            let _ = self.version.set(value);
        }
    }

    /// The session id that the server gave.
    pub(crate) fn session(&self) -> Option<&HeaderValue> {
        self.session.get()
    }

    fn request(&self, method: Method, body: Bytes) -> Request<Parcel> {
        let mut request = request_to(method, &self.url, &self.headers, body);
        let headers = request.headers_mut();
        if let Some(session) = self.session.get() {
            headers.insert(SESSION, session.clone());
        }
        if let Some(version) = self.version.get() {
            headers.insert(VERSION, version.clone());
        }
        request
    }

    async fn send(&self, request: Request<Parcel>) -> Result<Response<Answer>, SendFailed> {
        self.way.send(request).await.map_err(|error| self.failed(&error))
    }

    /// Sends a call. One that is given up meanwhile is found in `given_up`.
    async fn send_call(&self, id: u64, request: Request<Parcel>) -> Result<Response<Answer>, SendFailed> {
        let claim = request.body().claim();
        let response = self.way.send(request);
        self.given_up.head_of(id, response, claim).await.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &HttpFailed) -> SendFailed {
        let why = format!("{}: {error}", shown(&self.url));
        if error.never_left() { SendFailed::NotReached(why) } else { SendFailed::Broken(why) }
    }

    fn events(&self, body: Decoded) -> Source {
        let decoder = EventDecoder::new(self.limit);
        Source::Events(Box::new(Events { body, decoder, room: self.room.clone(), read: VecDeque::new() }))
    }

    /// Posts one message and reads the head of the answer.
    pub(crate) async fn post(
        &self,
        id: u64,
        body: Bytes,
        extra: &[(String, String)],
    ) -> Result<Reply, SendFailed> {
        let mut request = self.request(Method::POST, body);
        let headers = request.headers_mut();
        headers.insert(ACCEPT, BOTH);
        headers.insert(CONTENT_TYPE, JSON);
        for (name, value) in extra {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::from_str(value))
            {
                headers.insert(name, value);
            }
        }
        let response = match self.era {
            Era::Old if id != 0 => self.send_call(id, request).await?,
            _ => self.send(request).await?,
        };
        let status = response.status();
        if let Some(session) = response.headers().get(SESSION) {
            let _ = self.session.set(session.clone());
        }
        let kind = response.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes).to_vec();
        let is =
            |wanted: &[u8]| kind.get(..wanted.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(wanted));
        if status.is_redirection() {
            let to =
                response.headers().get(http::header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("?");
            return Err(SendFailed::Refused {
                status: status.as_u16(),
                why: format!(
                    "it redirects to {to}; redirects are not followed, set the url to the new address"
                ),
            });
        }
        let body = decoded(response).map_err(SendFailed::Broken)?;
        if status.is_success() && is(b"text/event-stream") {
            let source = self.events(body);
            return Ok(Reply { id, status: status.as_u16(), source });
        }
        if id == 0 && status.is_success() {
            // What it answers to what wants no answer says nothing.
            rest::read(body);
            return Ok(Reply { id, status: status.as_u16(), source: Source::Whole(None) });
        }
        let body =
            collect(body, self.limit, &self.room).await.map_err(|broken| SendFailed::Broken(broken.0))?;
        if body.is_empty() && status.is_success() {
            return Ok(Reply { id, status: status.as_u16(), source: Source::Whole(None) });
        }
        if !status.is_success() {
            let texts = match is(b"text/event-stream") {
                true => texts_in_events(&body, self.limit),
                false => each(body.clone()),
            };
            let said = texts.into_iter().filter_map(|text| Envelope::reply(text).ok());
            let said: Vec<Envelope> = said.filter(|message| message.kind() == Kind::Response).collect();
            if let Some(about) = said.iter().find(|message| is_about(message, id)) {
                let source = Source::Whole(Some(about.clone()));
                return Ok(Reply { id, status: status.as_u16(), source });
            }
            // It may have acted on the call.
            if said.iter().any(|message| message.result().is_some()) {
                let why = format!(
                    "the upstream answered with HTTP {status} and a result that is no answer to this"
                );
                return Err(SendFailed::Broken(why));
            }
        }
        // Errors of the protocol travel in 4xx answers too; anything else that fails is the server's own.
        match Envelope::reply(answer_in(body.clone())) {
            Ok(message) if message.kind() == Kind::Response && status.is_success() => {
                Ok(Reply { id, status: status.as_u16(), source: Source::Whole(Some(message)) })
            }
            _ if status == StatusCode::NOT_FOUND && self.session.get().is_some() => {
                Err(SendFailed::SessionLost)
            }
            Ok(message) if !status.is_success() && message.error().is_some() => {
                Ok(Reply { id, status: status.as_u16(), source: Source::Whole(Some(message)) })
            }
            Ok(_) if status.is_success() => {
                Err(SendFailed::Broken("the upstream answered with a message that is no response".into()))
            }
            Err(refused) if status.is_success() => Err(SendFailed::Broken(format!(
                "the upstream answered with {} instead of a message: {refused}",
                if kind.is_empty() { "no content type".into() } else { String::from_utf8_lossy(&kind) }
            ))),
            _ => {
                let text: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                Err(SendFailed::Refused { status: status.as_u16(), why: text.trim().to_owned() })
            }
        }
    }

    /// Posts a message that gets no answer: a notification or a response.
    pub(crate) async fn tell(&self, body: Bytes) -> Result<(), SendFailed> {
        self.post(0, body, &[]).await.map(drop)
    }

    /// Opens the stream on which the server speaks outside of calls (old era).
    pub(crate) async fn listen(&self, last_event: Option<&str>) -> Result<Reply, SendFailed> {
        let mut request = self.request(Method::GET, Bytes::new());
        request.headers_mut().insert(ACCEPT, EVENTS);
        if let Some(value) = last_event.and_then(|id| HeaderValue::from_str(id).ok()) {
            request.headers_mut().insert("last-event-id", value);
        }
        let response = self.send(request).await?;
        let status = response.status();
        let events = response.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            kind.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
        });
        if status.is_success() && events {
            let source = self.events(decoded(response).map_err(SendFailed::Broken)?);
            return Ok(Reply { id: 0, status: status.as_u16(), source });
        }
        if status == StatusCode::NOT_FOUND && self.session.get().is_some() {
            return Err(SendFailed::SessionLost);
        }
        Err(SendFailed::Refused { status: status.as_u16(), why: "it offers no event stream".into() })
    }

    /// Ends the session at the server.
    pub(crate) async fn end(&self) {
        if self.session.get().is_some() {
            let _ = self.send(self.request(Method::DELETE, Bytes::new())).await;
        }
    }
}

/// A request with the headers that an entry of the configuration has.
pub(crate) fn request_to(
    method: Method,
    url: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
) -> Request<Parcel> {
    let mut request = Request::new(Parcel::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = url.clone();
    request.headers_mut().insert(ACCEPT_ENCODING, AS_IT_IS);
    for (name, value) in headers {
        request.headers_mut().insert(name.clone(), value.clone());
    }
    request
}

/// What events in a body carry.
fn texts_in_events(body: &Bytes, limit: usize) -> Vec<Bytes> {
    let mut decoder = EventDecoder::new(limit);
    // The last event may end without a blank line.
    decoder.push(body);
    decoder.push(b"\n\n");
    let events = std::iter::from_fn(|| decoder.next_event().ok().flatten());
    events.flat_map(|event| each(event.data)).collect()
}

/// The answer in a body. Where several messages come as one array, what is told beside it is passed over.
fn answer_in(body: Bytes) -> Bytes {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return body;
    }
    let is_answer =
        |text: &Bytes| Envelope::reply(text.clone()).is_ok_and(|message| message.kind() == Kind::Response);
    each(body.clone()).into_iter().rfind(is_answer).unwrap_or(body)
}

/// Whether an error response speaks of this very request.
fn is_about(message: &Envelope, id: u64) -> bool {
    message.id().and_then(portcullis_wire::Id::meant) == Some(id)
}

/// An address for people: without its query, which may hold secrets.
pub(crate) fn shown(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or("http");
    format!("{scheme}://{}{}", url.authority().map_or("", http::uri::Authority::as_str), url.path())
}
