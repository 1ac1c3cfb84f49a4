//! The server itself.

use crate::Answer;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use portcullis_wire::{
    Envelope, INVALID_PARAMS, Id, LATEST_OLD, Line, LineDecoder, METHOD_NOT_FOUND, error_response,
    known_old_version, member, notification, push_line, result_response, text,
};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Bytes of one message at most.
const MESSAGE: usize = 16 << 20;
/// Messages that may wait for the other side to read them.
const OUTGOING: usize = 64;

/// A built-in server as one principal sees it.
pub trait Server: Send + Sync + 'static {
    /// Its name.
    fn name(&self) -> &'static str;

    /// How it is to be used.
    fn instructions(&self) -> &'static str;

    /// Its tools, as the list of the specification.
    fn tools(&self) -> Vec<Value>;

    /// Calls a tool; `None` where there is none of that name.
    fn call(
        self: Arc<Self>,
        name: &str,
        arguments: Value,
        calling: Calling,
    ) -> Option<BoxFuture<'static, Answer>>;
}

/// What a tool may know of its call.
#[derive(Debug, Clone)]
pub struct Calling {
    /// Fires when nobody wants the answer any more.
    pub cancelled: CancellationToken,
    progress: Option<Arc<Progress>>,
}

#[derive(Debug)]
struct Progress {
    token: Value,
    out: mpsc::Sender<Bytes>,
    step: Mutex<u64>,
}

impl Calling {
    /// Tells whoever called how far it is, if that was asked for. What cannot be sent at once is left out.
    pub fn progress(&self, message: &str) {
        if let Some(asked) = &self.progress {
            let Progress { token, out, step } = &**asked;
            let mut step = step.lock().unwrap_or_else(PoisonError::into_inner);
            *step += 1;
            let params = json!({ "progressToken": token, "progress": *step, "message": message });
            let _ = out.try_send(notification("notifications/progress", &params.to_string()));
        }
    }
}

type InFlight = Arc<Mutex<HashMap<Id, CancellationToken>>>;

/// Serves one connection until the other side closes it. What is in flight is cancelled then.
pub async fn serve(
    server: Arc<dyn Server>,
    mut reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin + Send + 'static,
) {
    let (out, queue) = mpsc::channel(OUTGOING);
    let writing = tokio::spawn(write(writer, queue));
    let in_flight = InFlight::default();
    let all = CancellationToken::new();
    let mut decoder = LineDecoder::new(MESSAGE);
    'connection: loop {
        while let Some(line) = decoder.next_line() {
            let Line::Whole(line) = line else { continue };
            let answer = match Envelope::request(line) {
                Ok(message) => hear(&server, &message, &in_flight, &all, &out),
                Err(refused) => {
                    Some(error_response(refused.id.as_ref(), refused.code, &refused.message, &Value::Null))
                }
            };
            if let Some(answer) = answer
                && out.send(answer).await.is_err()
            {
                break 'connection;
            }
        }
        if !matches!(reader.read_buf(decoder.buffer()).await, Ok(read) if read > 0) {
            break;
        }
    }
    all.cancel();
    drop(out);
    let _ = writing.await;
}

async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Bytes>) {
    let mut batch = BytesMut::new();
    while let Some(message) = queue.recv().await {
        push_line(&mut batch, &message);
        while let Ok(more) = queue.try_recv() {
            push_line(&mut batch, &more);
        }
        if writer.write_all(&batch).await.is_err() || writer.flush().await.is_err() {
            return;
        }
        batch.clear();
    }
}

/// One message. Gives what can be answered at once.
fn hear(
    server: &Arc<dyn Server>,
    message: &Envelope,
    in_flight: &InFlight,
    all: &CancellationToken,
    out: &mpsc::Sender<Bytes>,
) -> Option<Bytes> {
    let (method, params) = (message.method()?, message.params().unwrap_or("{}"));
    let Some(id) = message.id().cloned() else {
        if method == "notifications/cancelled"
            && let Some(id) = member(params, "requestId").and_then(Id::from_json)
        {
            let found = in_flight.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
            found.iter().for_each(CancellationToken::cancel);
        }
        return None;
    };
    let result = match method {
        "initialize" => {
            let asked = member(params, "protocolVersion").and_then(text).unwrap_or_default();
            let version = if known_old_version(&asked) { asked.as_ref() } else { LATEST_OLD };
            json!({
                "protocolVersion": version, "capabilities": { "tools": {} },
                "serverInfo": { "name": server.name(), "version": env!("CARGO_PKG_VERSION") },
                "instructions": server.instructions(),
            })
        }
        "ping" => json!({}),
        "tools/list" => json!({ "tools": server.tools() }),
        "tools/call" => return call(server, params, id, in_flight, all, out),
        _ => {
            let text = format!("the method {method} is not offered");
            return Some(error_response(Some(&id), METHOD_NOT_FOUND, &text, &Value::Null));
        }
    };
    Some(result_response(&id, &result.to_string()))
}

fn call(
    server: &Arc<dyn Server>,
    params: &str,
    id: Id,
    in_flight: &InFlight,
    all: &CancellationToken,
    out: &mpsc::Sender<Bytes>,
) -> Option<Bytes> {
    let params: Value = serde_json::from_str(params).unwrap_or_default();
    let name = params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let arguments = params.get("arguments").cloned().unwrap_or_else(|| json!({}));
    let token = params.pointer("/_meta/progressToken").cloned();
    let cancelled = all.child_token();
    let progress = token.map(|token| Arc::new(Progress { token, out: out.clone(), step: Mutex::new(0) }));
    let calling = Calling { cancelled: cancelled.clone(), progress };
    let Some(answer) = server.clone().call(&name, arguments, calling) else {
        let text = format!("Unknown tool: {name}");
        return Some(error_response(Some(&id), INVALID_PARAMS, &text, &Value::Null));
    };
    in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), cancelled.clone());
    let (in_flight, out) = (in_flight.clone(), out.clone());
    tokio::spawn(async move {
        // A tool ends by itself soon after it is cancelled, and has put things in order by then.
        let answer = answer.await;
        in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        if !cancelled.is_cancelled() {
            let _ = out.send(result_response(&id, &answer.result().to_string())).await;
        }
    });
    None
}
