//! Streams of events, read one by one, and clients that leave in the middle.

use crate::house::{House, PATIENCE, TOKEN};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Method, Request};
use portcullis_wire::{Event, EventDecoder};
use serde_json::{Value, json};
use std::time::Instant;

/// An answer of the gate that is read as it comes. Dropping it closes the connection.
pub struct Stream {
    pub status: u16,
    body: Incoming,
    decoder: EventDecoder,
}

impl Stream {
    /// Sends a request and waits for the head of its answer.
    pub async fn open(house: &House, method: Method, path: &str, more: &[(&str, &str)], body: &str) -> Self {
        Self::open_as(house, TOKEN, method, path, more, body).await
    }

    async fn open_as(
        house: &House,
        token: &str,
        method: Method,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Self {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", house.url))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let response = tokio::time::timeout(PATIENCE, house.client.request(request)).await;
        let response = response.expect("no answer began").unwrap();
        let status = response.status().as_u16();
        Self { status, body: response.into_body(), decoder: EventDecoder::new(1 << 24) }
    }

    /// Sends a message in a session of the old era.
    pub async fn post(house: &House, path: &str, session: &str, message: &Value) -> Self {
        Self::open(house, Method::POST, path, &[("mcp-session-id", session)], &message.to_string()).await
    }

    /// Opens the session's own stream.
    pub async fn get(house: &House, path: &str, session: &str, more: &[(&str, &str)]) -> Self {
        Self::open(house, Method::GET, path, &[&[("mcp-session-id", session)], more].concat(), "").await
    }

    /// Opens the own stream of a session of another grant.
    pub async fn get_as(house: &House, token: &str, path: &str, session: &str) -> Self {
        Self::open_as(house, token, Method::GET, path, &[("mcp-session-id", session)], "").await
    }

    /// The next event; `None` at the end of the stream.
    pub async fn event(&mut self) -> Option<Event> {
        // Comments that keep the stream alive are no event.
        tokio::time::timeout(PATIENCE, self.read()).await.expect("nothing more came")
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next_event().unwrap() {
                return Some(event);
            }
            self.decoder.push(self.body.frame().await?.ok()?.data_ref()?);
        }
    }

    /// The next message; `None` at the end of the stream.
    pub async fn message(&mut self) -> Option<Value> {
        loop {
            let event = self.event().await?;
            if !event.data.is_empty() {
                return Some(serde_json::from_slice(&event.data).unwrap());
            }
        }
    }

    /// The one JSON text of the answer; `None` where it is empty.
    pub async fn text(self) -> Option<Value> {
        let all = self.body.collect().await.unwrap().to_bytes();
        (!all.is_empty()).then(|| serde_json::from_slice(&all).unwrap())
    }

    /// The answer alone: the last message of a stream, or the one JSON text.
    pub async fn whole(self) -> Value {
        let all = self.body.collect().await.unwrap().to_bytes();
        crate::house::messages(&all).pop().expect("no answer")
    }

    /// The one JSON text of the answer, or all messages to the end of the stream.
    pub async fn rest_or_whole(self) -> Vec<Value> {
        crate::house::messages(&self.body.collect().await.unwrap().to_bytes())
    }

    /// All messages to the end of the stream.
    pub async fn rest(mut self) -> Vec<Value> {
        let mut all = Vec::new();
        while let Some(message) = self.message().await {
            all.push(message);
        }
        all
    }
}

/// Opens a session of the old era as a client of that version with those capabilities; gives its id.
pub async fn open_session(house: &House, path: &str, version: &str, capabilities: Value) -> String {
    let params = json!({ "protocolVersion": version, "capabilities": capabilities, "clientInfo": { "name": "tests", "version": "1" } });
    let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let (status, head, answer) = house.http(Method::POST, path, &headers, body).await;
    assert_eq!(status, 200, "{answer:?}");
    head.get("mcp-session-id").unwrap_or_else(|| panic!("{answer:?}")).to_str().unwrap().to_owned()
}

/// A request of the new era: its headers and body.
pub fn modern(
    id: u64,
    method: &str,
    mut params: Value,
    capabilities: Value,
) -> (Vec<(String, String)>, String) {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    params["_meta"]["io.modelcontextprotocol/clientInfo"] = json!({ "name": "tests", "version": "1" });
    let mut headers: Vec<(String, String)> =
        vec![("mcp-protocol-version".into(), "2026-07-28".into()), ("mcp-method".into(), method.into())];
    if let Some(name) = params["name"].as_str().or(params["uri"].as_str()).or(params["taskId"].as_str()) {
        headers.push(("mcp-name".into(), name.into()));
    }
    (headers, json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string())
}

/// Sends a request of the new era.
pub async fn post_modern(
    house: &House,
    path: &str,
    (headers, body): (Vec<(String, String)>, String),
) -> Stream {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    Stream::open(house, Method::POST, path, &headers, &body).await
}

/// Asks again and again until something is there.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

/// The row of how a call ended.
pub async fn outcome(house: &House, tool: &str) -> Value {
    let found = || async { house.rows(&["--tool", tool]).into_iter().find(|row| row["kind"] == "outcome") };
    until("the outcome's row", found).await
}
