//! A server of the old era that closes a call's stream at once and goes on when it is asked again.

use crate::house::{ALLOW_ALL, House, Plan};
use crate::stream::{modern, post_modern, until};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What the server was told, and where it is.
struct Server {
    url: String,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let told = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, told.clone()));
            }
        });
        Self { url, heard }
    }

    async fn hears(&self, method: &str) -> Value {
        until(method, || async {
            self.heard.lock().unwrap().iter().find(|message| message["method"] == method).cloned()
        })
        .await
    }
}

/// Answers the requests of one connection until it closes the stream of a call.
async fn answer(stream: TcpStream, heard: Arc<Mutex<Vec<Value>>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut head) = (String::new(), 0, String::new());
        while stream.read_line(&mut line).await.ok()? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            head.push_str(&lower);
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        if head.starts_with("get") {
            if head.contains("last-event-id") {
                // The rest never comes.
                std::future::pending::<()>().await;
            }
            stream.write_all(b"HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n").await.ok()?;
            continue;
        }
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        heard.lock().unwrap().push(message.clone());
        let result = match message["method"].as_str() {
            Some("initialize") => json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "polling", "version": "1"}}),
            Some("tools/list") => json!({"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]}),
            Some("ping") => json!({}),
            Some("tools/call") => {
                let retry = &message["params"]["arguments"]["retry"];
                let event = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                     id: 1\nretry: {retry}\ndata: \n\n"
                );
                stream.write_all(event.as_bytes()).await.ok()?;
                stream.shutdown().await.ok()?;
                return Some(());
            }
            Some("server/discover") => {
                stream.write_all(b"HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                continue;
            }
            _ => {
                stream.write_all(b"HTTP/1.1 202 Yes\r\ncontent-length: 0\r\n\r\n").await.ok()?;
                continue;
            }
        };
        let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: one\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        stream.write_all(text.as_bytes()).await.ok()?;
    }
}

fn house(server: &Server, timeout: &str) -> House {
    let upstreams = format!("  fix: {{ url: \"{}\", timeout: {timeout} }}", server.url);
    House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "ledger: { durability: process }" })
}

#[tokio::test]
async fn a_cancellation_is_not_kept_waiting_by_a_pause_that_the_server_asked_for() {
    let server = Server::start().await;
    let house = house(&server, "60s");
    let session = house.session("/mcp").await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "fix__wait", "arguments": {"retry": 10_000}}});
    let call = session.post(call.to_string());
    let cancel = async {
        let called = server.hears("tools/call").await;
        // When the gate has seen the end of the stream cannot be seen from outside.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
        let since = Instant::now();
        assert_eq!(session.post(note.to_string()).await.0, 202);
        let told = server.hears("notifications/cancelled").await;
        assert_eq!(told["params"]["requestId"], called["id"]);
        since
    };
    let ((status, body), since) = tokio::join!(call, cancel);
    assert_eq!((status, body.len()), (202, 0));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
}

#[tokio::test]
async fn the_deadline_holds_and_a_client_that_leaves_is_noticed_while_the_rest_does_not_come() {
    let server = Server::start().await;
    let house = house(&server, "1s");
    let session = house.session("/mcp").await;
    let answer = session.call(1, "fix__wait", json!({"retry": 0})).await;
    assert_eq!(answer["error"]["message"], "no answer within 1 s (upstreams.fix.timeout)", "{answer}");
    server.heard.lock().unwrap().clear();
    let house = self::house(&server, "60s");
    let call = modern(2, "tools/call", json!({"name": "wait", "arguments": {"retry": 0}}), json!({}));
    let stream = post_modern(&house, "/mcp/fix", call).await;
    let called = server.hears("tools/call").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    drop(stream);
    assert_eq!(server.hears("notifications/cancelled").await["params"]["requestId"], called["id"]);
}
