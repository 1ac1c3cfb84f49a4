//! What reaches a server is what was judged: one message, one line, and nothing beside it.

use crate::house::{ALLOW_ALL, House, Plan, TOKEN, fixture, text};
use crate::scripted::{Reply, Scripted, event};
use crate::stream::{Stream, until};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const LINE_ENDS: [char; 10] =
    ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
const ECHO_ALONE: &str = "version: \"1\"\ndefault: deny\nhide: [danger]\ntools: { echo: {} }\n";
const MORE: &str = "ledger: { durability: process }\napprovals: { wait: 100ms }";

fn house(server: &Scripted, policy: &str) -> House {
    let upstreams = format!("  fix: {{ url: \"{}\", forward_meta: [com.example/tenant] }}", server.url);
    House::build(&Plan { upstreams: &upstreams, policy, more: MORE })
}

/// A call of `name` with another call inside of its arguments, between such line ends.
fn smuggling(id: u64, name: &str, end: &str, inner: &str) -> String {
    let inner = format!(
        r#"{{"jsonrpc":"2.0","id":"evil{id}","method":"tools/call","params":{{"name":"{inner}","arguments":{{"command":"true"}}}}}}"#
    );
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{{"message":"m","x":{end}{inner}{end}}}}}}}"#
    )
}

#[tokio::test]
async fn a_message_to_a_program_is_one_line_for_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let script = format!("tee -a {} | exec {} stdio --extra", journal.display(), fixture().display());
    let upstreams = format!("  fix: {{ command: sh, args: [-c, {script:?}] }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ECHO_ALONE, more: MORE });
    let mut id = 0;
    for (path, name) in [("/mcp/fix", "echo"), ("/mcp", "fix__echo")] {
        let session = house.session(path).await;
        for end in ["\n", "\r", "\r\n", " \n\t\r "] {
            id += 1;
            let (status, _) = session.post(smuggling(id, name, end, "danger")).await;
            assert_eq!(status, 200);
        }
        for inside in ["\u{85}", "\u{2028}", "\u{2029}"] {
            id += 1;
            let answer = session.call(id, name, json!({"message": format!("a{inside}b")})).await;
            assert_eq!(text(&answer), format!("a{inside}b"), "what stands in a string stays what it is");
        }
    }
    // `tee` writes the file behind the pipe.
    let all = until("the whole journal", || async {
        let all = std::fs::read_to_string(&journal).unwrap();
        (all.matches("\"tools/call\"").count() as u64 >= id + 8).then_some(all)
    })
    .await;
    let lines: Vec<&str> = all.split(LINE_ENDS).filter(|line| !line.trim().is_empty()).collect();
    let read: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let calls: Vec<&Value> = read.iter().filter(|message| message["method"] == "tools/call").collect();
    assert_eq!(calls.len() as u64, id, "{calls:?}");
    assert!(calls.iter().all(|call| call["params"]["name"] == "echo"), "{calls:?}");
}

#[tokio::test]
async fn a_message_to_a_built_in_server_is_one_line() {
    let house = House::plan(&Plan {
        upstreams: "  s: { builtin: services }",
        policy: "version: \"1\"\ndefault: deny\ntools: { list_servers: {} }\n",
        more: MORE,
    });
    std::fs::write(house.folder.path().join("services.yaml"), "services: {}\n").unwrap();
    let mut house = house;
    house.up();
    let session = house.session("/mcp/s").await;
    let mark = house.folder.path().join("ran");
    let inner = json!({"jsonrpc": "2.0", "id": 999, "method": "tools/call",
        "params": {"name": "run_command", "arguments": {"command": format!("touch {}", mark.display())}}});
    for end in ["\n", "\r\n"] {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":51,"method":"tools/call","params":{{"name":"list_servers","arguments":{{"x":{end}{inner}{end}}}}}}}"#
        );
        session.post(call).await;
    }
    // One more round trip: what was smuggled would have come before it.
    session.call(52, "list_servers", json!({})).await;
    assert!(!mark.exists() && house.rows(&["--tool", "run_command"]).is_empty());
}

#[tokio::test]
async fn nothing_follows_a_call_but_what_the_protocol_has_for_it() {
    let question = json!({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create",
        "params": {"message": "how many?", "requestedSchema": {"type": "object"}, "_meta": {"progressToken": "wanted"}}});
    let asked = question.clone();
    let server = Scripted::start(&["echo"], move |message, _| {
        (message["method"] == "tools/call").then(|| Reply::Open(vec![event("", &asked)]))
    })
    .await;
    let policy = "version: \"2\"\ndefault: deny\ntools: { echo: {} }\nserver_requests: { elicitation: {} }\n";
    let house = house(&server, policy);
    let params = json!({"protocolVersion": "2025-11-25", "clientInfo": {"name": "tests", "version": "1", "note": "EXFIL-1"},
        "capabilities": {"elicitation": {"form": {"x": "EXFIL-2"}}, "experimental": {"y": "EXFIL-3"}, "roots": {"z": "EXFIL-4"}}});
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let (_, head, _) = house.http(hyper::Method::POST, "/mcp/fix", &headers, hello.to_string()).await;
    let id = head["mcp-session-id"].to_str().unwrap().to_owned();
    let session = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("mcp-session-id", &*id),
    ];
    let post = async |message: Value| {
        house.http(hyper::Method::POST, "/mcp/fix", &session, message.to_string()).await.0
    };
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}});
    let mut stream = Stream::post(&house, "/mcp/fix", &id, &call).await;
    let put = stream.message().await.unwrap();
    assert_eq!(put["method"], "elicitation/create");
    let progress = |token: &str, words: &str| {
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "vendor": {"x": "EXFIL-5"}, "params": {
            "progressToken": token, "progress": 1, "message": words, "arguments": {"cmd": "EXFIL-6"}, "anything": ["EXFIL-7"]}})
    };
    assert_eq!(post(progress("someone-elses", "EXFIL-8")).await, 202);
    assert_eq!(post(progress("wanted", &format!("counting {}", "x".repeat(200_000)))).await, 202);
    assert_eq!(post(json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed", "params": {"free": "EXFIL-9"}})).await, 202);
    assert_eq!(post(json!({"jsonrpc": "2.0", "id": 77, "result": {"chosen": "EXFIL-10"}})).await, 202);
    let told = until("progress", || async { server.of("notifications/progress").first().cloned() }).await;
    assert_eq!(told["params"]["progressToken"], "wanted");
    assert!(told.to_string().len() < 1000, "{}", told.to_string().len());
    let answer = json!({"jsonrpc": "2.0", "id": put["id"], "result": {"action": "accept", "content": {"n": 7}, "more": "EXFIL-11", "_meta": {"a": "EXFIL-12"}}});
    assert_eq!(post(answer).await, 202);
    let brought = until("the answer", || async {
        server.seen.lock().unwrap().iter().find(|message| message["id"] == "q1").cloned()
    })
    .await;
    assert_eq!(brought["result"], json!({"action": "accept", "content": {"n": 7}}));
    assert!(!server.all().contains("EXFIL"), "{}", server.all());
    // The question, the words beside its progress and its answer are on record.
    // How a question ended is a row that nobody waits for: it is written a moment later.
    until("the rows", || async {
        let rows = house.rows(&[]);
        let has = |what: &str| rows.iter().any(|row| row.to_string().contains(what));
        (has("how many?") && has("counting xxx") && has("\"n\":7")).then_some(())
    })
    .await;
    // Nothing follows once it is dropped.
    house.run(&["drop", "--reason", "enough"]);
    let before = server.seen.lock().unwrap().len();
    post(progress("wanted", "AFTER")).await;
    post(json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})).await;
    assert!(!server.all().contains("AFTER"));
    let after: Vec<Value> = server.seen.lock().unwrap()[before..].to_vec();
    assert!(after.iter().all(|message| message["method"] != "notifications/roots/list_changed"), "{after:?}");
}

/// A call with something of the agent's choosing in every place beside its arguments.
fn with_sides(id: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "vendor": {"x": "SIDE-1"}, "params": {
        "name": "run", "arguments": {"path": "/srv/a"}, "path": "/etc/SIDE-2", "uri": "SIDE-3",
        "_meta": {"cwd": "/SIDE-4", "com.example/tenant": "SIDE-5", "traceparent": "SIDE-6", "baggage": "SIDE-7=1"},
        "inputResponses": {"k": "SIDE-8"}, "requestState": "SIDE-9"}})
}

const HELD: &str = "version: \"2\"\ndefault: DEFAULT\ntools: { run: { require: [{ path: args.path, op: within, value: /srv }], hold_if: [{ conditions: [] }] } }\n";

#[tokio::test]
async fn an_approval_covers_all_that_is_sent() {
    for (default, passing) in [
        ("deny", &["SIDE-5", "SIDE-7"][..]),
        ("allow", &["SIDE-1", "SIDE-2", "SIDE-3", "SIDE-5", "SIDE-7", "SIDE-8", "SIDE-9"]),
    ] {
        let server = Scripted::start(&["run"], |_, _| None).await;
        let house = house(&server, &HELD.replace("DEFAULT", default));
        let session = house.session("/mcp/fix").await;
        let id_of = |answer: &Value| {
            answer["result"]["_meta"]["portcullis/decision"]["approval"].as_str().map(str::to_owned)
        };
        let plain = session.call(1, "run", json!({"path": "/srv/a"})).await;
        let plain = id_of(&plain).unwrap_or_else(|| panic!("{plain}"));
        house.run(&["approvals", "approve", &plain, "--reason", "fine"]);
        let (_, body) = session.post(with_sides(2).to_string()).await;
        let other = id_of(&serde_json::from_slice(&body).unwrap());
        assert_eq!(
            server.of("tools/call"),
            [] as [Value; 0],
            "another call than the one that was approved: {default}"
        );
        let other = other.expect("it waits by itself");
        assert_ne!(other, plain);
        let shown = house.run(&["approvals", "show", &other]).1;
        for side in passing {
            assert!(shown.contains(side), "{default} {side}: {shown}");
        }
        house.run(&["approvals", "approve", &other, "--reason", "fine"]);
        session.post(with_sides(3).to_string()).await;
        let sent = server.of("tools/call").first().expect("it passes now").to_string();
        let rows = Value::from(house.rows(&[])).to_string();
        for side in (1..=9).map(|n| format!("SIDE-{n}")) {
            let sent = sent.contains(&format!("{side}\"")) || sent.contains(&format!("{side}="));
            assert_eq!(sent, passing.contains(&&*side), "{default} {side}");
            assert!(!sent || rows.contains(&side), "{default} {side} is on record");
        }
    }
}

/// A server of the new era with one tool, and the headers of each call that came to it.
async fn new_server_that_keeps_heads(tool: &str) -> (Scripted, Arc<Mutex<Vec<hyper::HeaderMap>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let kept = heads.clone();
    let server = Scripted::start(&[tool], move |message, headers| match message["method"].as_str() {
        Some("server/discover") => {
            Some(Reply::Result(json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
            "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"})))
        }
        Some("tools/call") => {
            kept.lock().unwrap().push(headers.clone());
            None
        }
        _ => None,
    })
    .await;
    (server, heads)
}

#[tokio::test]
async fn headers_that_mirror_no_argument_of_the_tool_stay_behind() {
    let (server, heads) = new_server_that_keeps_heads("echo").await;
    let house = house(&server, ECHO_ALONE);
    let bearer = format!("Bearer {TOKEN}");
    let (_, call) =
        crate::stream::modern(1, "tools/call", json!({"name": "echo", "arguments": {}}), json!({}));
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
        ("mcp-param-exfil", "SIDE"),
    ];
    let (status, _, body) = house.http(hyper::Method::POST, "/mcp/fix", &headers, call).await;
    assert_eq!(status, 200, "{body:?}");
    let heads = heads.lock().unwrap();
    assert!(heads.len() == 1 && !heads[0].contains_key("mcp-param-exfil"), "{heads:?}");
}

#[tokio::test]
async fn a_method_that_is_spelt_otherwise_is_refused() {
    let server = Scripted::start(&["echo", "wipe"], |message, _| {
        let method = message["method"].as_str().unwrap_or_default();
        let known = matches!(method, "tools/call" | "initialize" | "tools/list" | "ping" | "server/discover");
        (!known && message.get("id").is_some())
            .then(|| Reply::Result(json!({"content": [{"type": "text", "text": "wiped"}]})))
    })
    .await;
    let house = house(&server, "version: \"1\"\ndefault: allow\nhide: [wipe]\n");
    for path in ["/mcp/fix", "/mcp"] {
        let session = house.session(path).await;
        for method in [
            "Tools/Call",
            "tools/call ",
            "TOOLS/CALL",
            "tool\u{17f}/call",
            "tools//call",
            "tools.call",
            "tools\u{2044}call",
            "ｔools/call",
        ] {
            let (answer, _) = session.ask(7, method, json!({"name": "wipe", "arguments": {}})).await;
            assert_eq!(answer["error"]["code"], -32600, "{method}: {answer}");
            assert_eq!(answer["id"], 7);
        }
    }
    let seen = server.all();
    assert!(!seen.contains("wipe") || server.of("tools/call").is_empty(), "{seen}");
    let refused = house.rows(&["--outcome", "refused"]);
    assert_eq!(refused.len(), 16, "{refused:?}");
    // A method of a vendor's own is not taken for one of them.
    let session = house.session("/mcp/fix").await;
    let (answer, _) = session.ask(8, "vendor/wipe", json!({})).await;
    assert!(text(&answer) == "wiped", "{answer}");
}

#[tokio::test]
async fn under_default_allow_nothing_of_the_protocols_future_is_lost() {
    let server = Scripted::start(&["echo"], |_, _| None).await;
    let house = house(&server, ALLOW_ALL);
    let session = house.session("/mcp/fix").await;
    let (status, body) = session.post(with_sides(1).to_string().replace("\"run\"", "\"echo\"")).await;
    assert_eq!(status, 200, "{body:?}");
    let sent = server.of("tools/call");
    assert_eq!(sent[0]["vendor"], json!({"x": "SIDE-1"}));
}

#[tokio::test]
async fn an_approval_covers_the_headers_that_go_along_and_what_a_client_says_of_itself() {
    let (server, heads) = new_server_that_keeps_heads("run").await;
    let policy = "version: \"2\"\ndefault: deny\ntools: { run: { hold_if: [{ conditions: [] }] } }\n";
    let upstreams = format!("  fix: {{ url: \"{}\", forward_headers: [x-tenant, traceparent] }}", server.url);
    let house = House::build(&Plan { upstreams: &upstreams, policy, more: MORE });
    let bearer = format!("Bearer {TOKEN}");
    let call = async |tenant: &str, trace: &str, about: &str| {
        let (_, call) =
            crate::stream::modern(1, "tools/call", json!({"name": "run", "arguments": {}}), json!({}));
        let mut call: Value = serde_json::from_str(&call).unwrap();
        call["params"]["_meta"]["io.modelcontextprotocol/clientInfo"]["description"] = about.into();
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "run"),
            ("x-tenant", tenant),
            ("traceparent", trace),
        ];
        house.http(hyper::Method::POST, "/mcp/fix", &headers, call.to_string()).await.2
    };
    let held = |body: &[u8]| {
        let answer = crate::house::messages(body).pop().unwrap();
        answer["result"]["_meta"]["portcullis/decision"]["approval"].as_str().map(str::to_owned)
    };
    let first = held(&call("small", "00-aa-01", "plain").await).unwrap();
    let shown = house.run(&["approvals", "show", &first]).1;
    assert!(shown.contains("x-tenant") && shown.contains("small") && shown.contains("plain"), "{shown}");
    house.run(&["approvals", "approve", &first, "--reason", "fine"]);
    // Neither another header nor other words are the call that was approved.
    for (tenant, about) in [("EVERYTHING", "plain"), ("small", "EVERYTHING")] {
        let other = held(&call(tenant, "00-aa-01", about).await).expect("it waits by itself");
        assert_ne!(other, first);
    }
    assert!(heads.lock().unwrap().is_empty());
    // A trace is another one for each call.
    assert_eq!(held(&call("small", "00-bb-01", "plain").await), None);
    assert_eq!(heads.lock().unwrap()[0]["x-tenant"], "small");
    assert!(Value::from(house.rows(&["--tool", "run"])).to_string().contains("small"));
}

#[tokio::test]
async fn a_server_hears_of_its_clients_roots_only_where_its_entry_says_so() {
    for (roots, policy, expected) in [
        ("none", ALLOW_ALL, None),
        ("[\"file:///own\"]", ALLOW_ALL, Some("file:///own")),
        ("client", ALLOW_ALL, Some("file:///theirs")),
    ] {
        let server = Scripted::start(&["echo"], |message, _| {
            let question = json!({"jsonrpc": "2.0", "id": "q", "method": "roots/list"});
            (message["method"] == "tools/call").then(|| Reply::Open(vec![event("", &question)]))
        })
        .await;
        let upstreams = format!("  fix: {{ url: \"{}\", roots: {roots} }}", server.url);
        let house = House::build(&Plan { upstreams: &upstreams, policy, more: MORE });
        for path in ["/mcp/fix", "/mcp"] {
            server.seen.lock().unwrap().clear();
            let id = crate::stream::open_session(&house, path, "2025-11-25", json!({"roots": {}})).await;
            let name = if path == "/mcp" { "fix__echo" } else { "echo" };
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name, "arguments": {}}});
            let answered = until("the answer", || async {
                server.seen.lock().unwrap().iter().find(|message| message["id"] == "q").cloned()
            });
            let client = async {
                let mut stream = Stream::post(&house, path, &id, &call).await;
                let put = stream.message().await.unwrap();
                assert!(roots == "client" && put["method"] == "roots/list", "{roots} {put}");
                let answer = json!({"jsonrpc": "2.0", "id": put["id"], "result": {"roots": [{"uri": "file:///theirs"}]}});
                Stream::post(&house, path, &id, &answer).await;
                // The call itself stays open.
                std::future::pending().await
            };
            let brought = tokio::select! {
                brought = answered => brought,
                () = client => unreachable!("it waits for ever"),
            };
            match expected {
                Some(uri) => assert_eq!(brought["result"]["roots"][0]["uri"], uri, "{path} {roots}"),
                None => assert!(brought["error"]["message"].as_str().unwrap().contains("roots"), "{brought}"),
            }
        }
        let refused = house.rows(&[]).iter().filter(|row| row["rule"] == "(not offered)").count();
        assert_eq!(refused, if expected.is_none() { 2 } else { 0 });
    }
}

#[tokio::test]
async fn a_question_that_could_be_read_in_two_ways_is_not_put() {
    let policy = "version: \"2\"\ndefault: deny\ntools: { echo: {} }\nserver_requests: { sampling: { require: [{ path: args.maxTokens, op: lte, value: 10 }] } }\n";
    for params in [
        r#"{"messages":[],"maxTokens":5,"maxTokens":99}"#,
        r#"{"messages":[],"maxTokens":5,"MaxTokens":99}"#,
        r#"{"messages":[],"maxTokens":5,"max\u0054okens":99}"#,
        r#"{"messages":[],"maxTokens":5,"x":"\ud800"}"#,
    ] {
        let question =
            format!(r#"{{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{params}}}"#);
        let server = Scripted::start(&["echo"], move |message, _| {
            (message["method"] == "tools/call").then(|| Reply::Open(vec![format!("data: {question}\n\n")]))
        })
        .await;
        let house = house(&server, policy);
        let id = crate::stream::open_session(&house, "/mcp/fix", "2025-11-25", json!({"sampling": {}})).await;
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "echo", "arguments": {}}});
        let _stream = Stream::post(&house, "/mcp/fix", &id, &call).await;
        let brought = until("the refusal", || async {
            server.seen.lock().unwrap().iter().find(|message| message["id"] == "q").cloned()
        })
        .await;
        assert!(brought.get("error").is_some(), "{params} {brought}");
    }
}
