//! Bytes that wait: for clients and servers that do not read, and large messages by the dozen.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, TOKEN, text};
use crate::scripted::Scripted;
use crate::stream::open_session;
use hyper::Method;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A server that sends 1 MiB notices without end once it is called: strays, and progress of the call where it has a token. One
/// that is told to freeze reads nothing for six seconds; what it is called with is written down.
const SERVER: &str = r#"
import json, sys, threading, time
lock, out = threading.Lock(), sys.stdout.buffer
def say(m):
    with lock: out.write(json.dumps(m).encode() + b"\n"); out.flush()
def flood(token):
    pad = "x" * (1 << 20)
    while True:
        if token is None: say({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": pad}})
        else: say({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1, "message": pad}})
        time.sleep(0.002)
for line in sys.stdin.buffer:
    m = json.loads(line); method, p = m.get("method"), m.get("params") or {}
    if "id" not in m or method is None: continue
    if method == "initialize":
        result = {"protocolVersion": p["protocolVersion"], "capabilities": {"tools": {}, "logging": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": n, "inputSchema": {"type": "object"}} for n in ["flood", "freeze", "note"]]}
    elif method == "tools/call":
        arguments = p.get("arguments") or {}
        if p["name"] == "note": open(sys.argv[1], "a").write(str(arguments.get("n")) + "\n")
        if p["name"] == "freeze": time.sleep(6)
        result = {"content": [{"type": "text", "text": "ok"}]}
        if p["name"] == "flood":
            token = p.get("_meta", {}).get("progressToken")
            threading.Thread(target=flood, args=(token,), daemon=True).start()
            if token is not None: continue
    else:
        say({"jsonrpc": "2.0", "id": m["id"], "error": {"code": -32601, "message": "no"}}); continue
    say({"jsonrpc": "2.0", "id": m["id"], "result": result})
"#;

/// A gate with that server, and one that echoes.
async fn place(entry: &str) -> (House, TempDir, Scripted) {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("server.py");
    std::fs::write(&script, SERVER).unwrap();
    let well = Scripted::start(&["echo"], |_, _| None).await;
    let args = json!([script, folder.path().join("noted")]);
    let upstreams =
        format!("  fix: {{ command: python3, args: {args}, {entry} }}\n  well: {{ url: \"{}\" }}", well.url);
    let more = "ledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    house.ready().await.unwrap();
    (house, folder, well)
}

/// The memory of the gate, MiB.
fn memory(house: &House) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", house.pid().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().split(' ').next().unwrap().parse::<usize>().unwrap() / 1024
}

/// Sends a request on a connection of its own whose answer nobody reads.
async fn ask_and_read_nothing(house: &House, head: &str, body: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let address = house.url.strip_prefix("http://").unwrap().parse().unwrap();
    let mut stream = socket.connect(address).await.unwrap();
    let request = format!(
        "{head}\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_cost_a_bounded_number_of_bytes_and_nobody_else_anything() {
    let (house, _folder, _well) = place("per: session").await;
    let well = house.session("/mcp/well").await;
    well.call(1, "echo", json!({})).await;
    let before = memory(&house);
    let mut open = Vec::new();
    for n in 0..8 {
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        let session = format!("mcp-session-id: {session}");
        let (head, meta) = match n % 2 {
            // Its own stream, which it does not read.
            0 => (format!("GET /mcp/fix HTTP/1.1\r\n{session}"), json!({})),
            // Its call's stream, which it does not read.
            _ => (String::new(), json!({ "progressToken": n })),
        };
        if !head.is_empty() {
            open.push(ask_and_read_nothing(&house, &head, "").await);
        }
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params":
            {"name": "flood", "arguments": {}, "_meta": meta}});
        let head = format!("POST /mcp/fix HTTP/1.1\r\n{session}");
        open.push(ask_and_read_nothing(&house, &head, &call.to_string()).await);
    }
    let until = Instant::now() + Duration::from_secs(6);
    let (mut most, mut n) = (0, 10);
    while Instant::now() < until {
        n += 1;
        let answer =
            tokio::time::timeout(Duration::from_secs(5), well.call(n, "echo", json!({"n": n}))).await;
        assert_eq!(text(&answer.expect("the well-behaved client waits")), format!("{{\"n\":{n}}}"));
        most = most.max(memory(&house));
    }
    assert!(most <= before + 64, "{before} MiB before, {most} MiB while 8 clients read nothing");
    // A call whose client reads nothing ends when it is to end.
    house.run(&["runs", "stop", "--kind", "call"]);
    let until = Instant::now() + PATIENCE;
    while house.status()["runs"] != json!(0) {
        assert!(Instant::now() < until, "{}", house.status());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_ended_before_its_server_read_it_is_never_carried_out() {
    let (house, folder, _well) = place("timeout: 1s").await;
    let session = house.session("/mcp/fix").await;
    let note = |n: u64| {
        let session = &session;
        async move { session.call(n, "note", json!({"n": n, "pad": "x".repeat(1 << 20)})).await }
    };
    assert_eq!(text(&note(1).await), "ok");
    let freeze = async { session.call(2, "freeze", json!({})).await };
    let others = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        futures_util::future::join_all((3..9).map(note)).await
    };
    let (_, late) = tokio::join!(freeze, others);
    assert!(late.iter().all(|answer| answer.get("error").is_some()), "they were to end after a second");
    tokio::time::sleep(Duration::from_secs(6)).await;
    let until = Instant::now() + PATIENCE;
    while note(20).await.get("result").is_none() {
        assert!(Instant::now() < until, "the server reads again and answers nothing");
    }
    let noted = std::fs::read_to_string(folder.path().join("noted")).unwrap();
    let noted: Vec<u64> = noted.lines().map(|line| line.parse().unwrap()).filter(|n| *n < 20).collect();
    // One was on its way into the pipe already.
    assert!(noted.len() <= 2, "{noted:?} were carried out, of which all but 1 had timed out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_share_a_budget_and_their_memory_is_given_back() {
    let (house, _folder, _well) = place("").await;
    let session = house.session("/mcp/well").await;
    session.call(1, "echo", json!({})).await;
    let before = memory(&house);
    let most = Arc::new(AtomicUsize::new(0));
    let pad = "m".repeat(7 << 20);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("mcp-session-id", &*session.id),
    ];
    let calls = (10..22).map(|id: u64| {
        let (pad, house, headers) = (&pad, &house, &headers);
        async move {
            let mut tries = 0;
            let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "echo", "arguments": {"m": pad}}});
            let body = bytes::Bytes::from(body.to_string());
            loop {
                tries += 1;
                let (status, head, answer) =
                    house.http(Method::POST, "/mcp/well", headers, body.clone()).await;
                match (status, head.get("retry-after")) {
                    (200, _) => break answer.len(),
                    (503, Some(after)) if tries < 20 => {
                        let after = after.to_str().unwrap().parse().unwrap();
                        tokio::time::sleep(Duration::from_secs(after)).await;
                    }
                    other => panic!("{other:?} {:?}", &answer[..answer.len().min(200)]),
                }
            }
        }
    });
    let watched = async {
        loop {
            most.fetch_max(memory(&house), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let lengths = tokio::select! {
        lengths = futures_util::future::join_all(calls) => lengths,
        () = watched => unreachable!(),
    };
    assert!(lengths.iter().all(|length| *length > 7 << 20), "{lengths:?}");
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 320, "{most} MiB for 12 messages of 7 MiB");
    let until = Instant::now() + Duration::from_secs(10);
    while memory(&house) > before + 60 {
        assert!(Instant::now() < until, "{before} MiB before, {most} at most, {} left", memory(&house));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A client that is refused while it still sends must be able to read why.
#[tokio::test]
async fn a_message_that_is_too_long_is_answered_after_it_was_sent() {
    let (house, _folder, _well) = place("").await;
    let address = house.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = 40 << 20;
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..40 {
        stream.write_all(&[b' '; 1 << 20]).await.unwrap();
    }
    let mut answer = vec![0; 100];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut answer)).await.unwrap().unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&answer[..read]));
}
