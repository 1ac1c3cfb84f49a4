//! An MCP server that answers a tool call with its `message`: the upstream of the measurement.
//!
//! It speaks both eras over Streamable HTTP and does as little as it can: the envelope is parsed
//! once, the message is copied as raw JSON, lists are built at start.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::{
    counts::Counts,
    serve::serve,
    target::{Era, PROTOCOL_VERSION, SESSION_ID},
    tools,
};

/// The answer of the echo server.
type Answer = Response<Full<Bytes>>;

/// Serves `/mcp` (and paths below it) and `/counts` until it is dropped. Without an era it speaks both.
pub async fn echo(listener: TcpListener, era: Option<Era>) {
    let server =
        Arc::new(Echo { era, counts: Counts::default(), sessions: AtomicU64::new(0), tools: tools::list() });
    serve(listener, move |request| {
        let server = Arc::clone(&server);
        async move { server.answer(request).await }
    })
    .await;
}

struct Echo {
    era: Option<Era>,
    counts: Counts,
    sessions: AtomicU64,
    tools: String,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    arguments: Arguments<'a>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

impl Echo {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        match (&head.method, head.uri.path()) {
            (&Method::GET, "/counts") => {
                json(StatusCode::OK, serde_json::to_string(&self.counts.snapshot()).unwrap_or_default())
            }
            (&Method::POST, path) if path.starts_with("/mcp") => match body.collect().await {
                Ok(body) => self.message(&head.headers, &body.to_bytes()),
                Err(_) => empty(StatusCode::BAD_REQUEST),
            },
            (&Method::DELETE, _) => {
                self.counts.add("DELETE");
                empty(StatusCode::OK)
            }
            _ => {
                self.counts.add("GET");
                empty(StatusCode::METHOD_NOT_ALLOWED)
            }
        }
    }

    fn message(&self, headers: &HeaderMap, body: &[u8]) -> Answer {
        let Ok(message) = serde_json::from_slice::<Message<'_>>(body) else {
            self.counts.add("other");
            return refuse("null", -32700, "expected one JSON-RPC request or notification");
        };
        self.counts.add(&message.method);
        let Some(id) = message.id.map(RawValue::get) else { return empty(StatusCode::ACCEPTED) };
        let new = message.method == "server/discover"
            || headers.get(PROTOCOL_VERSION).is_some_and(|version| version == Era::New.version());
        match (new, self.era) {
            (true, Some(Era::Old)) => {
                refuse(id, -32601, "expected an initialize: only the old era is spoken here")
            }
            (false, Some(Era::New)) => {
                refuse(id, -32601, "expected server/discover: only the new era is spoken here")
            }
            (true, _) => self.new_era(id, &message),
            (false, _) => self.old_era(id, headers, &message),
        }
    }

    fn old_era(&self, id: &str, headers: &HeaderMap, message: &Message<'_>) -> Answer {
        if message.method == "initialize" {
            let session = self.sessions.fetch_add(1, Ordering::Relaxed);
            let mut answer = result(
                id,
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}"#,
            );
            if let Ok(value) = format!("{session:032x}").parse() {
                answer.headers_mut().insert(SESSION_ID, value);
            }
            return answer;
        }
        if !headers.contains_key(SESSION_ID) {
            return refuse(id, -32600, "expected an Mcp-Session-Id header");
        }
        match &*message.method {
            "ping" => result(id, "{}"),
            "tools/list" => result(id, &format!(r#"{{"tools":{}}}"#, self.tools)),
            "tools/call" => call(id, "", message),
            _ => error(id, -32601, "expected ping, tools/list or tools/call"),
        }
    }

    fn new_era(&self, id: &str, message: &Message<'_>) -> Answer {
        const CACHED: &str = r#""resultType":"complete","ttlMs":3600000,"cacheScope":"public""#;
        match &*message.method {
            "server/discover" => result(
                id,
                &format!(
                    r#"{{{CACHED},"supportedVersions":["2026-07-28"],"capabilities":{{"tools":{{}}}},"_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"echo","version":"1"}}}}}}"#
                ),
            ),
            "tools/list" => result(id, &format!(r#"{{{CACHED},"tools":{}}}"#, self.tools)),
            "tools/call" => call(id, r#""resultType":"complete","#, message),
            _ => error(id, -32601, "expected server/discover, tools/list or tools/call"),
        }
    }
}

/// Answers a tool call; `first` are the result's leading members.
fn call(id: &str, first: &str, message: &Message<'_>) -> Answer {
    let params = message.params.map_or("null", RawValue::get);
    match serde_json::from_str::<Call<'_>>(params) {
        Ok(call) if !tools::known(&call.name) => error(id, -32602, "Unknown tool"),
        Ok(call) if call.arguments.message.get().starts_with('"') => result(
            id,
            &format!(
                r#"{{{first}"content":[{{"type":"text","text":{}}}],"isError":false}}"#,
                call.arguments.message.get()
            ),
        ),
        _ => error(id, -32602, "expected name, and arguments with a message that is a string"),
    }
}

fn result(id: &str, result: &str) -> Answer {
    json(StatusCode::OK, format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

fn error(id: &str, code: i32, text: &str) -> Answer {
    json(
        StatusCode::OK,
        format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"{text}"}}}}"#),
    )
}

fn refuse(id: &str, code: i32, text: &str) -> Answer {
    let mut answer = error(id, code, text);
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

fn json(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
