//! An MCP server over HTTP that answers as a test tells it to: for what no real server does on demand.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::broadcast;

/// An answer to one message.
pub enum Reply {
    /// The result of the request.
    Result(Value),
    /// This text, as JSON.
    Text(String),
    /// The result of the request, in a new session of this id.
    Session(String, Value),
    /// This HTTP status and nothing else.
    Status(u16),
    /// This status, with these headers and this body.
    Raw(u16, Vec<(&'static str, String)>, Bytes),
    /// Nothing, ever: the connection stays open.
    Never,
    /// Nothing: the connection breaks.
    Break,
    /// These events; the stream ends then.
    Events(Vec<String>),
    /// These events; the stream stays open.
    Open(Vec<String>),
}

type Script = dyn Fn(&Value, &HeaderMap) -> Option<Reply> + Send + Sync;
type Body = StreamBody<BoxStream<'static, Result<Frame<Bytes>, Infallible>>>;

/// The server. What the script leaves out is answered as a plain server would.
pub struct Scripted {
    pub url: String,
    /// Every message that arrived, in order.
    pub seen: Arc<Mutex<Vec<Value>>>,
    /// What goes out on every stream that clients open with GET.
    pub get: broadcast::Sender<String>,
}

/// An event with a message, under an id where one is given.
pub fn event(id: &str, message: &Value) -> String {
    let data = if message.is_null() { String::new() } else { message.to_string() };
    if id.is_empty() { format!("data: {data}\n\n") } else { format!("id: {id}\ndata: {data}\n\n") }
}

struct Shared {
    script: Box<Script>,
    tools: Value,
    sessions: AtomicU64,
    seen: Arc<Mutex<Vec<Value>>>,
    get: broadcast::Sender<String>,
}

impl Scripted {
    /// A server with these tools, in the old era unless the script answers `server/discover`.
    pub async fn start(
        tools: &[&str],
        script: impl Fn(&Value, &HeaderMap) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let tools = tools
            .iter()
            .map(|name| json!({"name": name, "description": name, "inputSchema": {"type": "object"}}));
        let (seen, get) = (Arc::default(), broadcast::Sender::new(64));
        let shared = Arc::new(Shared {
            script: Box::new(script),
            tools: tools.collect(),
            sessions: AtomicU64::new(1),
            seen: Arc::clone(&seen),
            get: get.clone(),
        });
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let shared = shared.clone();
                let service = service_fn(move |request| answer(shared.clone(), request));
                tokio::spawn(async move {
                    let served = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(connection), service);
                    drop(served.await);
                });
            }
        });
        Self { url, seen, get }
    }

    /// The messages of a method that arrived.
    pub fn of(&self, method: &str) -> Vec<Value> {
        self.seen.lock().unwrap().iter().filter(|message| message["method"] == method).cloned().collect()
    }

    /// All that arrived, as one text.
    pub fn all(&self) -> String {
        Value::from(self.seen.lock().unwrap().clone()).to_string()
    }
}

/// Has hyper close the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the test wants it so")]
struct Broken;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    if head.method == Method::GET {
        let events = stream::unfold(shared.get.subscribe(), async |mut queue| {
            let text = queue.recv().await.ok()?;
            Some((text, queue))
        });
        // So that the head goes out at once.
        let events = stream::iter([":\n\n".to_owned()]).chain(events);
        return Ok(streamed(events.boxed()));
    }
    if head.method != Method::POST {
        return Ok(whole(200, "text/plain", ""));
    }
    let message: Value = serde_json::from_slice(&body)
        .unwrap_or_else(|_| json!({"unreadable": String::from_utf8_lossy(&body)}));
    shared.seen.lock().unwrap().push(message.clone());
    let id = message["id"].clone();
    let reply = (shared.script)(&message, &head.headers).or_else(|| plain(&shared, &message));
    let asked = !id.is_null() && message.get("method").is_some();
    let result_text = |result| json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    Ok(match reply {
        Some(Reply::Session(session, result)) => {
            let mut response = json_text(&result_text(result));
            response.headers_mut().insert("mcp-session-id", session.parse().unwrap());
            response
        }
        Some(Reply::Raw(status, headers, body)) => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(StreamBody::new(stream::iter([Ok(Frame::data(body))]).boxed())).unwrap()
        }
        Some(Reply::Never) => std::future::pending().await,
        Some(Reply::Break) => return Err(Broken),
        Some(Reply::Status(status)) => whole(status, "text/plain", ""),
        Some(Reply::Result(result)) => json_text(&result_text(result)),
        Some(Reply::Text(text)) => json_text(&text),
        Some(Reply::Events(events)) => streamed(stream::iter(events).boxed()),
        Some(Reply::Open(events)) => streamed(stream::iter(events).chain(stream::pending()).boxed()),
        None if asked => json_text(
            &json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}})
                .to_string(),
        ),
        None => whole(202, "text/plain", ""),
    })
}

fn plain(shared: &Shared, message: &Value) -> Option<Reply> {
    let result = match message["method"].as_str()? {
        "initialize" => {
            let session = format!("s{}", shared.sessions.fetch_add(1, Ordering::Relaxed));
            let result = json!({
                "protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}, "resources": {"subscribe": true}, "prompts": {}},
                "serverInfo": {"name": "scripted", "version": "1"},
            });
            return Some(Reply::Session(session, result));
        }
        "tools/list" => json!({"tools": shared.tools}),
        "tools/call" => {
            json!({"content": [{"type": "text", "text": message["params"]["arguments"].to_string()}]})
        }
        "resources/subscribe" | "resources/unsubscribe" | "ping" => json!({}),
        _ => return None,
    };
    Some(Reply::Result(result))
}

fn json_text(text: &str) -> Response<Body> {
    whole(200, "application/json", text)
}

fn whole(status: u16, kind: &str, text: &str) -> Response<Body> {
    let text = Bytes::from(text.to_owned());
    let body = StreamBody::new(stream::iter([Ok(Frame::data(text))]).boxed());
    Response::builder().status(status).header("content-type", kind).body(body).unwrap()
}

fn streamed(events: BoxStream<'static, String>) -> Response<Body> {
    let body = StreamBody::new(events.map(|text| Ok(Frame::data(Bytes::from(text)))).boxed());
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}
