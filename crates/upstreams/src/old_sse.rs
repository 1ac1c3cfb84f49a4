//! A server of 2024-11-05: one event stream down, one POST address up.

use crate::client::{HttpClient, HttpFailed};
use crate::encoding::{Decoded, decoded};
use crate::given_up::AllGivenUp;
use crate::http_line::{request_to, shown};
use crate::link::{Link, SendFailed};
use crate::mux::Mux;
use crate::reply::{Broken, collect};
use crate::rest;
use crate::room::Room;
use crate::stdio::receive;
use crate::{Inbox, UrlSpec};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method, Uri};
use http_body_util::BodyExt;
use portcullis_wire::{Event, EventDecoder};
use std::sync::Arc;
use std::time::Duration;

/// How long the server may take to say where to post.
const ENDPOINT: Duration = Duration::from_secs(10);

/// The gate's end of such a conversation.
#[derive(Debug)]
pub(crate) struct OldSse {
    pub(crate) mux: Arc<Mux>,
    /// Where its messages have their place until they are passed on.
    room: Room,
    client: HttpClient,
    endpoint: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    reading: tokio::sync::OnceCell<tokio::task::AbortHandle>,
    /// Calls that were given up while they were sent.
    pub(crate) given_up: AllGivenUp,
}

impl Drop for OldSse {
    fn drop(&mut self) {
        // The reader holds the stream; without it the server sees that we left.
        if let Some(reading) = self.reading.get() {
            reading.abort();
        }
    }
}

/// The stream, still to be read on.
pub(crate) struct Stream {
    body: Decoded,
    decoder: EventDecoder,
}

impl OldSse {
    /// Opens the stream and learns where to post.
    pub(crate) async fn open(
        upstream: &Arc<str>,
        client: HttpClient,
        spec: &UrlSpec,
        limit: usize,
        room: &Room,
    ) -> Result<(Self, Stream), SendFailed> {
        let mut request = request_to(Method::GET, &spec.url, &spec.headers, Bytes::new());
        let accept = HeaderValue::from_static("text/event-stream");
        request.headers_mut().entry(ACCEPT).or_insert(accept);
        let response = client
            .send(request)
            .await
            .map_err(|error| SendFailed::NotReached(format!("{}: {error}", shown(&spec.url))))?;
        if !response.status().is_success() {
            return Err(SendFailed::Refused {
                status: response.status().as_u16(),
                why: "it offers no event stream".into(),
            });
        }
        let body = decoded(response).map_err(SendFailed::NotReached)?;
        let mut stream = Stream { body, decoder: EventDecoder::new(limit) };
        let first = tokio::time::timeout(ENDPOINT, stream.next())
            .await
            .map_err(|_| SendFailed::NotReached("it did not say where to post within 10 s".into()))?
            .map_err(|broken| SendFailed::NotReached(broken.0))?;
        let endpoint = first
            .filter(|event| event.name == "endpoint")
            .and_then(|event| String::from_utf8(event.data.to_vec()).ok())
            .ok_or_else(|| {
                SendFailed::NotReached("its stream does not begin with an `endpoint` event".into())
            })?;
        let endpoint = resolve(&spec.url, &endpoint).map_err(SendFailed::NotReached)?;
        let line = Self {
            mux: Mux::new(upstream.clone(), None),
            room: room.clone(),
            client,
            endpoint,
            headers: spec.headers.clone(),
            reading: tokio::sync::OnceCell::new(),
            given_up: AllGivenUp::default(),
        };
        Ok((line, stream))
    }

    /// Posts one message, a call under its id or anything else under 0; answers come on the stream.
    pub(crate) async fn post(&self, id: u64, body: Bytes) -> Result<(), SendFailed> {
        let mut request = request_to(Method::POST, &self.endpoint, &self.headers, body);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let failed = |error: HttpFailed| {
            let why = format!("{}: {error}", shown(&self.endpoint));
            if error.never_left() { SendFailed::NotReached(why) } else { SendFailed::Broken(why) }
        };
        let claim = request.body().claim();
        let response = self.client.send(request);
        let response = match id {
            0 => response.await.map_err(failed)?,
            id => self.given_up.head_of(id, response, claim).await.map_err(failed)?,
        };
        let status = response.status();
        if status.is_success() {
            rest::read(response.into_body());
            return Ok(());
        }
        let why = match decoded(response) {
            Ok(body) => collect(body, 4096, &self.room).await.unwrap_or_default(),
            Err(_) => Bytes::new(),
        };
        let why = String::from_utf8_lossy(&why).chars().take(200).collect();
        Err(SendFailed::Refused { status: status.as_u16(), why })
    }

    /// Reads the stream for the link until either is gone.
    pub(crate) fn run(&self, mut stream: Stream, link: &Arc<Link>, inbox: Arc<dyn Inbox>) {
        let (mux, room) = (self.mux.clone(), self.room.clone());
        let link = Arc::downgrade(link);
        let reading = tokio::spawn(async move {
            let why = loop {
                match stream.next().await {
                    Ok(Some(event)) if event.data.is_empty() => {}
                    Ok(Some(event)) => {
                        mux.note_life();
                        receive(&mux, &link, &*inbox, room.hold_anyway(event.data));
                    }
                    Ok(None) => break "the server closed its event stream".to_owned(),
                    Err(broken) => break broken.0,
                }
            };
            mux.close(&why);
        });
        let _ = self.reading.set(reading.abort_handle());
    }
}

impl Stream {
    async fn next(&mut self) -> Result<Option<Event>, Broken> {
        loop {
            if let Some(event) = self.decoder.next_event().map_err(|error| Broken(error.to_string()))? {
                return Ok(Some(event));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(&data);
                    }
                }
                Some(Err(error)) => return Err(Broken(format!("the server's event stream broke: {error}"))),
            }
        }
    }
}

/// The address to post to. It must be at the origin that was configured: credentials go there.
fn resolve(base: &Uri, endpoint: &str) -> Result<Uri, String> {
    let endpoint = endpoint.trim();
    let (Some(scheme), Some(authority)) = (base.scheme(), base.authority()) else {
        return Err("the url has no host".into());
    };
    let absolute = if endpoint.contains("://") {
        endpoint.to_owned()
    } else if endpoint.starts_with('/') {
        format!("{scheme}://{authority}{endpoint}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{endpoint}")
    };
    let uri: Uri = absolute.parse().map_err(|_| format!("its endpoint `{endpoint}` is no address"))?;
    if uri.scheme() != Some(scheme) || uri.authority() != Some(authority) {
        return Err(format!("its endpoint {} is at another origin than {}", shown(&uri), shown(base)));
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_stays_at_the_origin_that_was_configured() {
        let base: Uri = "http://h:1/a/sse?x=1".parse().unwrap();
        assert_eq!(resolve(&base, "/messages?id=2").unwrap(), "http://h:1/messages?id=2");
        assert_eq!(resolve(&base, "messages").unwrap(), "http://h:1/a/messages");
        assert_eq!(resolve(&base, "http://h:1/m").unwrap(), "http://h:1/m");
        assert!(resolve(&base, "http://evil/m").unwrap_err().contains("another origin"));
        assert!(resolve(&base, "https://h:1/m").is_err());
    }
}
