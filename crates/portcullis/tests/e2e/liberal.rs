//! Servers that say what they mean in odd ways: nothing of that is judged, and none of it may break a call.

use crate::house::{ALLOW_ALL, House, Plan, names, text};
use crate::scripted::{Reply, Scripted};
use crate::stdio::converse;
use crate::stream::{Stream, modern, open_session, post_modern, until};
use bytes::Bytes;
use serde_json::{Value, json};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// A gate before these servers over HTTP, by name.
fn before(servers: &[(&'static str, Scripted)]) -> House {
    let entry = |(name, server): &(&str, Scripted)| format!("  {name}: {{ url: \"{}\" }}\n", server.url);
    let upstreams: String = servers.iter().map(entry).collect();
    House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "ledger: { durability: process }" })
}

/// Lists and calls, in both eras, whatever is odd about the server.
async fn works(house: &House, name: &str) {
    let path = format!("/mcp/{name}");
    let session = house.session(&path).await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&list, "tools"), ["echo"], "{name}: {list}");
    let answer = session.call(2, "echo", json!({"n": 1})).await;
    assert_eq!(text(&answer), r#"{"n":1}"#, "{name}");
    let call = modern(3, "tools/call", json!({"name": "echo", "arguments": {"n": 2}}), json!({}));
    let answer = post_modern(house, &path, call).await.whole().await;
    assert_eq!(text(&answer), r#"{"n":2}"#, "{name}");
}

/// A server whose answers become what `odd` makes of the plain text of each; `None` leaves an answer as it is.
async fn odd(odd: impl Fn(&Value, String) -> Option<Reply> + Send + Sync + 'static) -> Scripted {
    Scripted::start(&["echo"], move |message, _| {
        let result = match message["method"].as_str()? {
            "initialize" => {
                json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                "serverInfo": {"name": "odd", "version": "1"}})
            }
            "tools/list" => json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}),
            "tools/call" => {
                json!({"content": [{"type": "text", "text": message["params"]["arguments"].to_string()}]})
            }
            "ping" => json!({}),
            _ => return odd(message, String::new()),
        };
        odd(message, json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
    })
    .await
}

fn is_notice(message: &Value) -> bool {
    message["id"].is_null()
}

fn json_of(body: impl Into<Bytes>) -> Reply {
    Reply::Raw(200, vec![("content-type", "application/json".into())], body.into())
}

#[tokio::test]
async fn what_is_answered_to_a_notification_says_nothing() {
    let mut servers = Vec::new();
    for (name, status, kind, body) in [
        ("is-null", 200, "application/json", "null"),
        ("accepted", 202, "text/plain", "Accepted"),
        ("object", 200, "application/json", "{}"),
        ("without-id", 200, "application/json", r#"{"jsonrpc":"2.0","result":{}}"#),
        ("null-id", 200, "application/json", r#"{"jsonrpc":"2.0","id":null,"result":{}}"#),
        ("text", 200, "text/html", "<p>ok</p>"),
        ("list", 200, "application/json", "[]"),
        ("stream", 200, "text/event-stream", ": nothing\n\n"),
        ("packed", 200, "application/x-unknown", "\u{1}\u{2}"),
        ("empty", 204, "text/plain", ""),
    ] {
        let server = odd(move |message, _| {
            is_notice(message)
                .then(|| Reply::Raw(status, vec![("content-type", kind.into())], Bytes::from(body)))
        });
        servers.push((name, server.await));
    }
    let house = before(&servers);
    for (name, _) in &servers {
        works(&house, name).await;
    }
}

fn packed(coding: &str, text: &str) -> Bytes {
    let level = flate2::Compression::default();
    let bytes = match coding {
        "deflate" => {
            let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap()
        }
        "br" => {
            let mut packed = Vec::new();
            let mut writer = brotli::CompressorWriter::new(&mut packed, 4096, 5, 20);
            writer.write_all(text.as_bytes()).unwrap();
            drop(writer);
            packed
        }
        _ => {
            let mut writer = flate2::write::GzEncoder::new(Vec::new(), level);
            writer.write_all(text.as_bytes()).unwrap();
            writer.finish().unwrap()
        }
    };
    bytes.into()
}

#[tokio::test]
async fn an_answer_is_asked_for_as_it_is_and_read_where_it_comes_compressed() {
    let mut servers = Vec::new();
    for (name, coding, in_stream) in [
        ("gzip", "gzip", false),
        ("x-gzip", "X-GZip", false),
        ("deflate", "deflate", false),
        ("brotli", "br", false),
        ("gzip-stream", "gzip", true),
        ("brotli-stream", "br", true),
    ] {
        let server = odd(move |message, text| {
            if is_notice(message) || text.is_empty() {
                return None;
            }
            let (kind, text) = match in_stream {
                true => ("text/event-stream", format!("event: message\ndata: {text}\n\n")),
                false => ("application/json", text),
            };
            let headers = vec![("content-type", kind.into()), ("content-encoding", coding.into())];
            Some(Reply::Raw(200, headers, packed(&coding.to_lowercase(), &text)))
        });
        servers.push((name, server.await));
    }
    let asked = Scripted::start(&["echo"], |_, headers| {
        (headers.get("accept-encoding").is_none_or(|it| it != "identity")).then_some(Reply::Status(406))
    });
    servers.push(("asked", asked.await));
    let house = before(&servers);
    for (name, _) in &servers {
        works(&house, name).await;
    }
}

#[tokio::test]
async fn what_is_compressed_too_well_or_in_an_unknown_way_fails_its_call_alone() {
    let coded = |coding: &'static str, body: Bytes| {
        odd(move |message, _| {
            let headers =
                vec![("content-type", "application/json".into()), ("content-encoding", coding.into())];
            (message["method"] == "tools/call").then(|| Reply::Raw(200, headers, body.clone()))
        })
    };
    let bomb = packed("gzip", &" ".repeat(80 << 20));
    let servers = [
        ("bomb", coded("gzip", bomb).await),
        ("unknown", coded("zstd", Bytes::from_static(b"x")).await),
        ("broken", coded("gzip", Bytes::from_static(b"no gzip")).await),
        ("layers", coded("gzip, gzip, gzip, gzip", Bytes::from_static(b"x")).await),
    ];
    let house = before(&servers);
    for (name, why) in [
        ("bomb", "longer than"),
        ("unknown", "`zstd`"),
        ("broken", "broke off"),
        ("layers", "more than 3 times"),
    ] {
        let session = house.session(&format!("/mcp/{name}")).await;
        let answer = session.call(1, "echo", json!({})).await;
        assert!(answer["error"]["message"].as_str().unwrap().contains(why), "{name}: {answer}");
        let (list, _) = session.ask(2, "tools/list", json!({})).await;
        assert_eq!(names(&list, "tools"), ["echo"], "{name}: {list}");
    }
}

#[tokio::test]
async fn a_cursor_that_comes_again_or_is_empty_ends_the_list() {
    let paged = |next: fn(&Value) -> Value| async move {
        Scripted::start(&["echo"], move |message, _| {
            (message["method"] == "tools/list").then(|| {
                let tools = json!([{"name": "echo", "inputSchema": {"type": "object"}}]);
                Reply::Result(json!({"tools": tools, "nextCursor": next(&message["params"]["cursor"])}))
            })
        })
        .await
    };
    let servers = [
        ("same", paged(|_| json!("x")).await),
        ("empty", paged(|_| json!("")).await),
        ("is-null", paged(|_| json!(null)).await),
        ("circle", paged(|from| if from == "a" { json!("b") } else { json!("a") }).await),
    ];
    let house = before(&servers);
    for (name, _) in &servers {
        works(&house, name).await;
    }
}

#[tokio::test]
async fn an_event_that_is_no_message_is_passed_over() {
    let mut servers = Vec::new();
    for (name, noise) in [
        ("heartbeat", "data: {\"type\":\"heartbeat\",\"at\":1}\n\n"),
        ("ping", "data: ping\n\n"),
        ("done", "data: [DONE]\n\n"),
        ("other", "event: ping\ndata: 1\n\n"),
        ("marked", "data: \u{feff}\n\n"),
        ("array", "data: [{\"jsonrpc\":\"2.0\",\"method\":\"notifications/x\"},1]\n\n"),
    ] {
        let server = odd(move |message, text| {
            (message["method"] == "tools/call")
                .then(|| Reply::Events(vec![noise.to_owned(), format!("data: {text}\n\n")]))
        });
        servers.push((name, server.await));
    }
    let house = before(&servers);
    for (name, server) in &servers {
        works(&house, name).await;
        // Also on the stream outside of calls.
        let path = format!("/mcp/{name}");
        let id = open_session(&house, &path, "2025-11-25", json!({})).await;
        let mut heard = Stream::get(&house, &path, &id, &[]).await;
        until("both streams", || async { (server.get.receiver_count() >= 2).then_some(()) }).await;
        server.get.send("data: ping\n\n".to_owned()).unwrap();
        let notice = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": name}});
        server.get.send(format!("data: {notice}\n\n")).unwrap();
        assert_eq!(heard.message().await.unwrap()["params"]["data"], *name);
    }
}

/// What becomes of the plain text of an answer to that message.
type Form = fn(&Value, String) -> String;

#[tokio::test]
async fn an_answer_may_be_written_in_an_unusual_form() {
    let mut servers = Vec::new();
    let forms: [(&str, Form); 7] = [
        ("array", |_, text| format!("[{}, {text}]", json!({"jsonrpc": "2.0", "method": "notifications/x"}))),
        ("text-id", |message, text| {
            text.replacen(&format!("\"id\":{}", message["id"]), &format!("\"id\":\"{}\"", message["id"]), 1)
        }),
        ("decimal-id", |message, text| {
            text.replacen(&format!("\"id\":{}", message["id"]), &format!("\"id\":{}.0", message["id"]), 1)
        }),
        ("null-error", |_, text| text.replacen('{', "{\"error\":null,", 1)),
        ("mark", |_, text| format!("\u{feff}{text}")),
        ("lines", |_, text| format!("\r\n{}\r\n", text.replace(",\"", ",\r\n\t\""))),
        ("null-cursor", |_, text| text.replacen("\"tools\":", "\"nextCursor\":null,\"tools\":", 1)),
    ];
    for (name, form) in forms {
        let server = odd(move |message, text| (!text.is_empty()).then(|| json_of(form(message, text))));
        servers.push((name, server.await));
    }
    let house = before(&servers);
    for (name, _) in &servers {
        works(&house, name).await;
    }
    let session = house.session("/mcp/null-error").await;
    assert!(session.call(1, "echo", json!({})).await.get("error").is_none());
}

#[tokio::test]
async fn a_program_may_write_marks_blank_lines_and_ids_as_text() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("odd.py");
    std::fs::write(&script, r#"
import json, sys
how, first = sys.argv[1], True
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    p = m.get("params") or {}
    r = {"initialize": {"protocolVersion": p.get("protocolVersion"), "capabilities": {"tools": {}}, "serverInfo": {"name": "o", "version": "1"}},
         "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
         "tools/call": {"content": [{"type": "text", "text": json.dumps(p.get("arguments"), separators=(",", ":"))}]}}.get(m["method"])
    a = {"jsonrpc": "2.0", "id": m["id"]}
    a.update({"result": r} if r is not None else {"error": {"code": -32601, "message": "no"}})
    if how == "text-id": a["id"] = str(a["id"])
    if how == "decimal-id": a["id"] = float(a["id"])
    if how == "null-error": a.setdefault("error", None); a.setdefault("result", None)
    text = json.dumps(a)
    if how == "mark" and first: text = "\ufeff" + text
    if how == "marks": text = "\ufeff" + text
    if how == "array": text = "[" + text + "]"
    if how == "blank": text = "\n\r\n \n" + text + "\r"
    first = False
    sys.stdout.buffer.write((text + "\n").encode()); sys.stdout.flush()
"#).unwrap();
    let kinds = ["array", "text-id", "decimal-id", "null-error", "mark", "marks", "blank"];
    let entry = |kind: &&str| {
        format!("  {kind}: {{ command: python3, args: [\"{}\", {kind}], per: session }}\n", script.display())
    };
    let upstreams: String = kinds.iter().map(entry).collect();
    let more = "ledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for kind in kinds {
        works(&house, kind).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_on_stdio_may_begin_with_a_mark() {
    let server = Scripted::start(&["echo"], |_, _| None).await;
    let house = before(&[("fix", server)]);
    let hello = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "fix__echo", "arguments": {"n": 1}}});
    let (code, answers, err) =
        converse(&house, &["--grant", "t"], &[format!("\u{feff}{hello}"), format!("\u{feff}{call}")]);
    assert_eq!(code, 0, "{err}");
    assert!(answers.iter().any(|answer| answer["id"] == 1 && answer.get("result").is_some()), "{answers:?}");
    assert!(answers.iter().any(|answer| answer["id"] == 2 && answer.get("result").is_some()), "{answers:?}");
}

/// A server that keeps sessions and says in its own way that it does not know one.
async fn forgetful(status: u16, body: &'static str) -> (Scripted, Arc<Mutex<Vec<String>>>) {
    let known: Arc<Mutex<Vec<String>>> = Arc::default();
    let sessions = known.clone();
    let server = Scripted::start(&["echo"], move |message, headers| {
        let mut sessions = sessions.lock().unwrap();
        match message["method"].as_str()? {
            "initialize" => {
                let id = format!("s{}", sessions.len() + message["id"].as_u64().unwrap_or(0) as usize * 1000);
                sessions.push(id.clone());
                Some(Reply::Session(
                    id,
                    json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                        "serverInfo": {"name": "forgetful", "version": "1"}}),
                ))
            }
            "server/discover" => None,
            _ => {
                let is_known = headers
                    .get("mcp-session-id")
                    .is_some_and(|id| sessions.iter().any(|known| known.as_bytes() == id.as_bytes()));
                let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
                let body = body.replace("ID", &message["id"].to_string());
                (!is_known).then(|| Reply::Raw(status, vec![("content-type", kind.into())], body.into()))
            }
        }
    });
    (server.await, known)
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_opened_again_however_it_says_so() {
    let mut servers = Vec::new();
    let mut sessions = Vec::new();
    for (name, status, body) in [
        ("protocol", 404, ""),
        (
            "bad",
            400,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Bad Request: no valid session ID"}}"#,
        ),
        (
            "own-id",
            400,
            r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32600,"message":"Server not initialized"}}"#,
        ),
        ("text", 400, "Invalid or missing session ID"),
        ("unauthorized", 401, r#"{"error":"unauthorized"}"#),
        ("forbidden", 403, ""),
        ("gone", 410, "gone"),
        ("conflict", 409, "no such conversation"),
        ("ok", 200, r#"{"jsonrpc":"2.0","id":ID,"error":{"code":-32001,"message":"Session not found"}}"#),
    ] {
        let (server, known) = forgetful(status, body).await;
        servers.push((name, server));
        sessions.push(known);
    }
    let house = before(&servers);
    let aggregated = house.session("/mcp").await;
    for (place, (name, _)) in servers.iter().enumerate() {
        let path = format!("/mcp/{name}");
        let session = house.session(&path).await;
        let exposed = format!("{name}__echo");
        let new = |id| modern(id, "tools/call", json!({"name": "echo", "arguments": {"n": 3}}), json!({}));
        for round in ["before", "after"] {
            assert_eq!(text(&session.call(1, "echo", json!({"n": 1})).await), r#"{"n":1}"#, "{name} {round}");
            assert_eq!(
                text(&aggregated.call(2, &exposed, json!({"n": 2})).await),
                r#"{"n":2}"#,
                "{name} {round}"
            );
            let answer = post_modern(&house, &path, new(3)).await.whole().await;
            assert_eq!(text(&answer), r#"{"n":3}"#, "{name} {round}");
            let (list, _) = session.ask(4, "tools/list", json!({})).await;
            assert_eq!(names(&list, "tools"), ["echo"], "{name} {round} {list}");
            sessions[place].lock().unwrap().clear();
        }
    }
}

#[tokio::test]
async fn a_refusal_of_one_call_ends_no_session() {
    let server = Scripted::start(&["echo"], |message, _| {
        let id = &message["id"];
        let error = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32602,"message":"no session of this film is left"}}}}"#);
        match (message["method"].as_str()?, message["params"]["arguments"]["how"].as_str()) {
            ("ping", _) => Some(Reply::Status(400)),
            ("tools/call", Some("error")) => Some(Reply::Raw(400, vec![("content-type", "application/json".into())], error.into())),
            ("tools/call", Some("text")) => Some(Reply::Raw(422, vec![("content-type", "text/plain".into())], "no".into())),
            ("tools/call", Some("word")) => Some(Reply::Text(error)),
            _ => None,
        }
    })
    .await;
    let house = before(&[("fix", server)]);
    let session = house.session("/mcp/fix").await;
    for (id, how) in [(1, "error"), (2, "text"), (3, "word")] {
        let answer = session.call(id, "echo", json!({"how": how})).await;
        assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains("no")), "{how} {answer}");
    }
    assert_eq!(text(&session.call(4, "echo", json!({"n": 1})).await), r#"{"n":1}"#);
}

/// MCP Apps: what a tool says of its view is where the view can be read, on either route, and a `ui://` address, which is what hosts
/// look for.
#[tokio::test]
async fn the_view_of_a_tool_is_read_where_the_tool_says_that_it_is() {
    let view = "ui://map/view.html";
    let about = json!({"ui": {"resourceUri": view}, "ui/resourceUri": view, "openai/outputTemplate": view, "other": view, "portcullis/tool": "forged"});
    let server = Scripted::start(&["map"], move |message, _| {
        let result = match message["method"].as_str()? {
            "initialize" => json!({"protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}, "resources": {}}, "serverInfo": {"name": "maps", "version": "1"}}),
            "tools/list" => json!({"tools": [{"name": "map", "inputSchema": {"type": "object"}, "_meta": about}]}),
            "tools/call" => json!({"content": [{"type": "resource_link", "name": "view", "uri": view}], "_meta": about}),
            "resources/list" => json!({"resources": [{"uri": view, "name": "view"}]}),
            "resources/templates/list" => json!({"resourceTemplates": [{"uriTemplate": "ui://map/{id}", "name": "views"}]}),
            "resources/read" if message["params"]["uri"] == view => json!({"contents": [{"uri": view, "text": "<p>map</p>"}]}),
            _ => return None,
        };
        Some(Reply::Result(result))
    })
    .await;
    let house = before(&[("one", server)]);
    for path in ["/mcp/one", "/mcp"] {
        let session = house.session(path).await;
        let (tools, _) = session.ask(1, "tools/list", json!({})).await;
        let tool = &tools["result"]["tools"][0];
        let called = session.call(2, tool["name"].as_str().unwrap(), json!({})).await;
        let (resources, _) = session.ask(3, "resources/list", json!({})).await;
        let (templates, _) = session.ask(4, "resources/templates/list", json!({})).await;
        let home = json!({"upstream": "one", "name": "map"});
        assert_eq!(tool["_meta"]["portcullis/tool"], if path == "/mcp" { home } else { "forged".into() });
        let mut told =
            vec![&resources["result"]["resources"][0]["uri"], &called["result"]["content"][0]["uri"]];
        for meta in [&tool["_meta"], &called["result"]["_meta"]] {
            told.extend([
                &meta["ui"]["resourceUri"],
                &meta["ui/resourceUri"],
                &meta["openai/outputTemplate"],
            ]);
            assert_eq!(meta["other"], view, "{path}");
        }
        for uri in told {
            assert!(uri.as_str().unwrap().starts_with("ui://"), "{path}: {uri}");
            let (read, _) = session.ask(5, "resources/read", json!({"uri": uri})).await;
            assert_eq!(read["result"]["contents"][0]["text"], "<p>map</p>", "{path}: {uri}");
            assert_eq!(&read["result"]["contents"][0]["uri"], uri, "{path}");
        }
        let template = templates["result"]["resourceTemplates"][0]["uriTemplate"].as_str().unwrap();
        let filled = template.replace("{id}", "view.html");
        let (read, _) = session.ask(6, "resources/read", json!({"uri": filled})).await;
        assert_eq!(read["result"]["contents"][0]["text"], "<p>map</p>", "{path}: {filled}");
    }
}

/// A server that answers a call and says 404 with it did act on the call: it is not sent once more.
#[tokio::test]
async fn a_call_that_was_answered_is_not_sent_again_whatever_the_status() {
    for (kind, answers) in [("events", true), ("json", true), ("other", false), ("other events", false)] {
        let server = Scripted::start(&["echo"], move |message, _| {
            let result = json!({"content": [{"type": "text", "text": "done"}]});
            match message["method"].as_str()? {
                "initialize" => Some(Reply::Session(
                    "one".into(),
                    json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}},
                        "serverInfo": {"name": "s", "version": "1"}}),
                )),
                "tools/call" => {
                    let id = if kind.starts_with("other") { json!(4711) } else { message["id"].clone() };
                    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
                    let (content, body) = match kind.ends_with("events") {
                        true => ("text/event-stream", format!("event: message\ndata: {answer}\n\n")),
                        false => ("application/json", answer),
                    };
                    Some(Reply::Raw(404, vec![("content-type", content.into())], body.into()))
                }
                _ => None,
            }
        })
        .await;
        let servers = [("one", server)];
        let house = before(&servers);
        let session = house.session("/mcp/one").await;
        let answer = session.call(1, "echo", json!({})).await;
        assert_eq!(
            answer.pointer("/result/content/0/text") == Some(&json!("done")),
            answers,
            "{kind}: {answer}"
        );
        assert_eq!(servers[0].1.of("tools/call").len(), 1, "{kind}");
    }
}
