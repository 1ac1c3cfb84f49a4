//! What reaches a client is what it may see: on every way back, covered where the policy says so, judged where a server asks,
//! silent once it is dropped, and under the client's own ids.

use crate::house::{ALLOW_ALL, House, Plan, fixture, messages};
use crate::scripted::{Reply, Scripted, event};
use crate::stream::{Stream, modern, open_session, post_modern, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MORE: &str = "ledger: { durability: process }";
const SECRET: &str = "hunter2-SECRET";
const COVERED: &str = "version: \"2\"\ndefault: deny\ntools: { work: { redact: [\"result.content[*].text\"], redact_result: true } }\n";
const TASKS: &str = "io.modelcontextprotocol/tasks";

fn house(server: &Scripted, policy: &str) -> House {
    let upstreams = format!("  fix: {{ url: \"{}\" }}", server.url);
    House::build(&Plan { upstreams: &upstreams, policy, more: MORE })
}

/// Waits until both the gate's own conversation and the client's hear the server's stream.
async fn listened(server: &Scripted) {
    until("the streams", || async { (server.get.receiver_count() >= 2).then_some(()) }).await;
}

fn secret() -> Value {
    json!({"content": [{"type": "text", "text": SECRET}]})
}

#[tokio::test]
async fn a_resumed_answer_is_covered_as_any_other() {
    let server = Scripted::start(&["work"], |message, _| {
        (message["method"] == "tools/call").then(|| Reply::Events(vec![event("e1", &Value::Null)]))
    })
    .await;
    let house = house(&server, COVERED);
    let id = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "work", "arguments": {}}});
    let _first = Stream::post(&house, "/mcp/fix", &id, &call).await;
    let called = until("the call", || async { server.of("tools/call").first().cloned() }).await;
    let mut again = Stream::get(&house, "/mcp/fix", &id, &[("last-event-id", "e1")]).await;
    let answer = json!({"jsonrpc": "2.0", "id": called["id"], "result": secret()});
    listened(&server).await;
    server.get.send(event("e2", &answer)).unwrap();
    let answer = again.message().await.unwrap();
    assert_eq!(answer["id"], 7);
    assert_eq!(answer["result"]["content"][0]["text"], "[redacted]", "{answer}");
}

/// A server of the new era whose one tool becomes a task. `ends` are the members, JSON, with which it is told of then.
async fn task_server(done: Arc<AtomicBool>, ends: &'static str) -> Scripted {
    Scripted::start(&["work"], move |message, _| {
        let ended = done.load(Ordering::Relaxed);
        let mut task = json!({"taskId": "theirs-1", "status": "working", "createdAt": "2026-01-01T00:00:00Z",
            "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": 600_000, "pollIntervalMs": 100});
        if ended {
            task.as_object_mut().unwrap().remove("status");
        }
        let result = match message["method"].as_str()? {
            "server/discover" => json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 0, "cacheScope": "private",
                "capabilities": {"tools": {}, "extensions": {TASKS: {}}}}),
            "tools/call" => {
                task["resultType"] = "task".into();
                task
            }
            "tasks/get" => {
                task["resultType"] = "complete".into();
                task
            }
            _ => return None,
        };
        if !ended || message["method"] == "server/discover" {
            return Some(Reply::Result(result));
        }
        let result = result.to_string();
        let result = format!("{},{ends}}}", result.trim_end_matches('}'));
        Some(Reply::Text(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"])))
    })
    .await
}

const ASKS: &str = r#""status":"input_required","inputRequests":{"k1":{"method":"sampling/createMessage","params":{"messages":["INJECT"],"maxTokens":9}}}"#;

fn knows_tasks() -> Value {
    json!({"extensions": {TASKS: {}}, "sampling": {}})
}

async fn made(house: &House) -> String {
    let call = modern(1, "tools/call", json!({"name": "work", "arguments": {}}), knows_tasks());
    let answer = post_modern(house, "/mcp/fix", call).await.whole().await;
    answer["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn what_a_task_came_to_is_covered_wherever_it_is_told() {
    for ends in [
        r#""status":"completed","result":{"content":[{"type":"text","text":"hunter2-SECRET"}]}"#,
        r#""status":"completed","result":{"content":[]},"result":{"content":[{"type":"text","text":"hunter2-SECRET"}]}"#,
        r#""status":"completed","Result":{"content":[{"type":"text","text":"hunter2-SECRET"}]}"#,
        r#""status":"completed","re\u0073ult":{"content":[{"type":"text","text":"hunter2-SECRET"}]}"#,
        r#""status":"completed","result":{},"content":[{"type":"text","text":"hunter2-SECRET"}]"#,
        r#""status":"completed","result":{"content":[],"inputRequests":{"k":{"method":"elicitation/create","params":{"message":"hunter2-SECRET"}}}}"#,
    ] {
        let done = Arc::new(AtomicBool::new(false));
        let server = task_server(done.clone(), ends).await;
        let house = house(&server, COVERED);
        let task = made(&house).await;
        let listen =
            modern(2, "subscriptions/listen", json!({"notifications": {"taskIds": [task]}}), knows_tasks());
        let mut heard = post_modern(&house, "/mcp/fix", listen).await;
        assert_eq!(heard.message().await.unwrap()["method"], "notifications/subscriptions/acknowledged");
        done.store(true, Ordering::Relaxed);
        let asks = ends.contains("inputRequests");
        while let Some(told) = if asks { None } else { heard.message().await } {
            assert!(!told.to_string().contains(SECRET), "{ends}: {told}");
            if told["params"]["status"] == "completed" {
                break;
            }
        }
        let mut got = Value::Null;
        for _ in 0..5 {
            let get = modern(3, "tasks/get", json!({"taskId": task}), knows_tasks());
            got = post_modern(&house, "/mcp/fix", get).await.whole().await;
            assert!(!got.to_string().contains(SECRET), "{ends}: {got}");
        }
        assert!(got.to_string().contains("[redacted]") || asks, "{ends}: {got}");
    }
}

#[tokio::test]
async fn what_a_task_asks_is_judged_wherever_it_is_told() {
    for (policy, may) in [
        ("version: \"2\"\ndefault: deny\ntools: { work: {} }\n", false),
        ("version: \"2\"\ndefault: deny\ntools: { work: {} }\nserver_requests: { sampling: {} }\n", true),
    ] {
        let done = Arc::new(AtomicBool::new(false));
        let server = task_server(done.clone(), ASKS).await;
        let house = house(&server, policy);
        let task = made(&house).await;
        done.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            let get = modern(3, "tasks/get", json!({"taskId": task}), knows_tasks());
            let got = post_modern(&house, "/mcp/fix", get).await.whole().await;
            assert_eq!(got.to_string().contains("INJECT"), may, "{got}");
            assert_eq!(got["error"]["code"] == -31403, !may, "{got}");
        }
        let rows = house.rows(&[]);
        let asked: Vec<&Value> = rows
            .iter()
            .filter(|row| row["kind"] == "decision" && row["method"] == "sampling/createMessage")
            .collect();
        assert_eq!(asked.len(), 1, "each question is judged once: {asked:?}");
        assert_eq!(asked[0]["outcome"] == "allowed", may);
    }
}

#[tokio::test]
async fn what_a_server_asks_on_its_own_stream_is_judged_and_recorded() {
    let ask = |id: u64, method: &str| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"messages": [], "maxTokens": 5, "message": "INJECT", "requestedSchema": {}}});
    for path in ["/mcp/fix", "/mcp"] {
        for (rules, may) in [("", false), ("server_requests: { \"*\": {} }\n", true)] {
            let server = Scripted::start(&["work"], |_, _| None).await;
            let house =
                house(&server, &format!("version: \"2\"\ndefault: deny\ntools: {{ work: {{}} }}\n{rules}"));
            let capabilities = json!({"sampling": {}, "elicitation": {}});
            let id = open_session(&house, path, "2025-11-25", capabilities).await;
            let tool = if path == "/mcp" { "fix__work" } else { "work" };
            let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
            let mut own = Stream::get(&house, path, &id, &[]).await;
            Stream::post(&house, path, &id, &call).await.whole().await;
            let questions = [ask(900, "sampling/createMessage"), ask(901, "elicitation/create")];
            for question in &questions {
                listened(&server).await;
                server.get.send(event("", question)).unwrap();
            }
            let rows = until("rows", || async {
                let rows = house.rows(&[]);
                let asked: Vec<Value> = rows
                    .into_iter()
                    .filter(|row| row["kind"] == "decision" && row.to_string().contains("INJECT"))
                    .collect();
                (asked.len() == 2).then_some(asked)
            })
            .await;
            assert!(rows.iter().all(|row| (row["outcome"] == "allowed") == may), "{path} {rows:?}");
            if may {
                let put = own.message().await.unwrap();
                let answer = json!({"jsonrpc": "2.0", "id": put["id"], "result": {"role": "assistant", "content": {"type": "text", "text": "ANSWER"}, "model": "m"}});
                Stream::post(&house, path, &id, &answer).await;
                until("the answer", || async { server.all().contains("ANSWER").then_some(()) }).await;
            } else {
                until("the refusals", || async {
                    let seen = server.seen.lock().unwrap();
                    let refused = seen.iter().filter(|it| {
                        it.get("error").is_some() && [900, 901].contains(&it["id"].as_u64().unwrap_or(0))
                    });
                    (refused.count() >= 2).then_some(())
                })
                .await;
            }
        }
    }
}

#[tokio::test]
async fn streams_of_what_is_dropped_fall_silent() {
    let server = Scripted::start(&["work"], |_, _| None).await;
    let house = house(&server, ALLOW_ALL);
    let id = open_session(&house, "/mcp/fix", "2025-11-25", json!({"sampling": {}})).await;
    let mut own = Stream::get(&house, "/mcp/fix", &id, &[]).await;
    let notice = |data: &str| json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": data}});
    listened(&server).await;
    server.get.send(event("", &notice("BEFORE"))).unwrap();
    assert_eq!(own.message().await.unwrap()["params"]["data"], "BEFORE");
    house.run(&["drop", "--reason", "wild"]);
    let question = json!({"jsonrpc": "2.0", "id": 77, "method": "sampling/createMessage", "params": {"messages": [], "maxTokens": 5}});
    let _ = server.get.send(event("", &notice("AFTER")));
    let _ = server.get.send(event("", &question));
    // In both conversations.
    until("the refusals", || async {
        let seen = server.seen.lock().unwrap();
        let refused = seen.iter().filter(|it| it["id"] == 77 && it.get("error").is_some()).count();
        (refused >= 2).then_some(())
    })
    .await;
    house.run(&["raise"]);
    let _ = server.get.send(event("", &notice("RAISED")));
    if let Some(next) = own.message().await {
        assert_eq!(next["params"]["data"], "RAISED", "{next}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_shown_where_parts_of_it_are_covered() {
    let server = Scripted::start(&["work"], |message, _| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"content":[{{"type":"text","text":"{SECRET}\ud800"}}]}}}}"#, message["id"]);
        (message["method"] == "tools/call").then_some(Reply::Text(text))
    })
    .await;
    let pattern = COVERED.replace("result.content[*].text", "result.content[*].text:/hunter2/");
    let house = house(&server, &pattern);
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "work", json!({})).await;
    assert!(!answer.to_string().contains("hunter2"), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("withheld"), "{answer}");
    until("the row", || async {
        let rows = house.rows(&["--outcome", "error"]);
        rows.iter()
            .any(|row| row["message"].as_str().unwrap_or_default().contains("withheld from the caller"))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_slow_shows_nobody_what_another_grant_was_shown() {
    let slow = Arc::new(AtomicBool::new(false));
    let hangs = slow.clone();
    let server = Scripted::start(&["work"], move |message, headers| {
        if message["method"] != "resources/list" {
            return None;
        }
        if hangs.load(Ordering::Relaxed) {
            return Some(Reply::Open(Vec::new()));
        }
        let session = headers.get("mcp-session-id").map_or("none", |it| it.to_str().unwrap()).to_owned();
        Some(Reply::Result(json!({"resources": [{"uri": format!("private:{session}"), "name": "private"}]})))
    })
    .await;
    let house = house(&server, ALLOW_ALL);
    let (_, out, _) = house.run(&["grant", "add", "other", "--upstream", "fix=p", "--json"]);
    let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let (one, other) = (house.session("/mcp/fix").await, house.session_of(&token, "/mcp/fix").await);
    let first = one.ask(1, "resources/list", json!({})).await.0;
    assert!(first.to_string().contains("private:"), "{first}");
    slow.store(true, Ordering::Relaxed);
    let shown =
        tokio::time::timeout(std::time::Duration::from_secs(10), other.ask(2, "resources/list", json!({})))
            .await;
    if let Ok((shown, _)) = shown {
        assert!(!shown.to_string().contains("private:"), "{shown}");
    }
}

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    for (form, status) in [("\"id\":null,", 200), ("", 200), ("\"id\":\"server-error\",", 200)] {
        let server = Scripted::start(&["work"], move |message, _| {
            let text =
                format!(r#"{{"jsonrpc":"2.0",{form}"error":{{"code":-32603,"message":"inner fault"}}}}"#);
            (message["method"] == "tools/call").then_some(Reply::Text(text))
        })
        .await;
        let house = house(&server, ALLOW_ALL);
        for (path, tool) in [("/mcp/fix", "work"), ("/mcp", "fix__work")] {
            let session = house.session(path).await;
            let answer = session.call(41, tool, json!({})).await;
            assert_eq!((&answer["id"], status), (&json!(41), 200), "{form} {path} {answer}");
            assert_eq!(answer["error"]["message"], "inner fault");
            let call = modern(77, "tools/call", json!({"name": tool, "arguments": {}}), json!({}));
            assert_eq!(post_modern(&house, path, call).await.whole().await["id"], 77);
        }
        // The gate's own refusals do, too.
        let session = house.session("/mcp/fix").await;
        for body in [
            r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","x":1,"x":2}"#,
            r#"{"jsonrpc":"1.0","id":9,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":9,"method":7}"#,
        ] {
            let (_, answer) = session.post(body).await;
            assert_eq!(messages(&answer)[0]["id"], 9, "{body}");
        }
        let bearer = format!("Bearer {}", crate::house::TOKEN);
        for session in ["", "unknown"] {
            let headers = [
                ("authorization", &*bearer),
                ("content-type", "application/json"),
                ("accept", "application/json"),
                ("mcp-session-id", session),
            ];
            let headers = if session.is_empty() { &headers[..3] } else { &headers[..] };
            let body = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"}).to_string();
            let (_, _, answer) = house.http(hyper::Method::POST, "/mcp/fix", headers, body).await;
            assert_eq!(messages(&answer)[0]["id"], 9);
        }
    }
}

#[tokio::test]
async fn nobody_ends_a_subscription_that_another_has_at_a_shared_server() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("journal");
    let script =
        format!("tee -a {} | exec {} stdio --extra", journal.display(), crate::house::fixture().display());
    let upstreams = format!("  fix: {{ command: sh, args: [-c, {script:?}] }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let (_, out, _) = house.run(&["grant", "add", "other", "--upstream", "fix=p", "--json"]);
    let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let (one, other) = (house.session("/mcp").await, house.session_of(&token, "/mcp").await);
    let uri = json!({"uri": "fix+test://static-text"});
    let sent = |method: &str| {
        let all = std::fs::read_to_string(&journal).unwrap();
        all.lines().filter(|line| line.contains(&format!("\"{method}\""))).count()
    };
    one.ask(1, "resources/subscribe", uri.clone()).await;
    assert!(sent("resources/subscribe") >= 1);
    let answer = other.ask(2, "resources/unsubscribe", uri.clone()).await.0;
    assert_eq!(answer["result"], json!({}));
    assert_eq!(sent("resources/unsubscribe"), 0, "it never subscribed");
    // Nor does anybody set the log level of a server that all share.
    assert_eq!(other.ask(3, "logging/setLevel", json!({"level": "debug"})).await.0["result"], json!({}));
    let (own, _) = house
        .session_of(&token, "/mcp/fix")
        .await
        .ask(4, "logging/setLevel", json!({"level": "debug"}))
        .await;
    assert_eq!((&own["result"], sent("logging/setLevel")), (&json!({}), 0));
    one.ask(5, "resources/unsubscribe", uri).await;
    assert_eq!(sent("resources/unsubscribe"), 1);
}

#[tokio::test]
async fn a_call_that_the_gate_ends_is_answered() {
    for end in ["rotate", "revoke", "reload", "stop"] {
        let upstreams = format!("  fix: {{ command: \"{}\", args: [stdio, --extra] }}", fixture().display());
        let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
        let (_, out, _) = house.run(&["grant", "add", "other", "--upstream", "fix=p", "--json"]);
        let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
        let session = house.session_of(&token, "/mcp/fix").await;
        let params = json!({"name": "delay", "arguments": {"ms": 60_000, "label": "x"}});
        let (bearer, (head, body)) =
            (format!("Bearer {token}"), modern(42, "tools/call", params.clone(), json!({})));
        let mut headers = vec![
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        headers.extend(head.iter().map(|(name, value)| (&**name, &**value)));
        let ends = async {
            until("both calls", || async { (house.rows(&["--tool", "delay"]).len() >= 2).then_some(()) })
                .await;
            match end {
                "rotate" | "revoke" => house.run(&["grant", end, "other"]).0,
                "reload" => {
                    house.configure("args: [stdio, --extra]", "args: [stdio, --extra], disabled: true");
                    house.run(&["reload"]).0
                }
                _ => {
                    rustix::process::kill_process(house.pid(), rustix::process::Signal::TERM).unwrap();
                    0
                }
            }
        };
        let (old, new, ended) = tokio::join!(
            session.ask(41, "tools/call", params),
            house.http(hyper::Method::POST, "/mcp/fix", &headers, body),
            ends
        );
        assert_eq!(ended, 0, "{end}");
        for (answer, id) in [(old.0, 41), (messages(&new.2).pop().unwrap(), 42)] {
            assert_eq!(
                (&answer["id"], &answer["error"]["code"]),
                (&json!(id), &json!(-31410)),
                "{end} {answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_question_under_a_name_that_only_some_readers_take_for_its_own_is_withheld() {
    let server = Scripted::start(&["work"], |message, _| {
        let name = message["params"]["arguments"]["name"].as_str()?;
        let asks =
            r#"{"k":{"method":"sampling/createMessage","params":{"messages":["INJECT"],"maxTokens":9}}}"#;
        let result = format!(
            r#"{{"content":[],"resultType":"input_required","requestState":"s",{}}}"#,
            name.replace("ASKS", asks)
        );
        Some(Reply::Text(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"])))
    })
    .await;
    let house = house(&server, ALLOW_ALL);
    for name in [
        r#""InputRequests":ASKS"#,
        r#""inputRequests":{},"InputRequests":ASKS"#,
        r#""inputRequests":{},"inputRequests":ASKS"#,
        r#""\u0049nputRequests":ASKS"#,
        "\"inputRequest\u{17f}\":ASKS",
    ] {
        let call = modern(
            1,
            "tools/call",
            json!({"name": "work", "arguments": {"name": name}}),
            json!({"sampling": {}}),
        );
        let answer = post_modern(&house, "/mcp/fix", call).await.whole().await;
        assert!(answer.get("error").is_some() && !answer.to_string().contains("INJECT"), "{name}: {answer}");
    }
    // One escape hides nothing: it is judged as what it says.
    let call = json!({"name": "work", "arguments": {"name": r#""\u0069nputRequests":ASKS"#}});
    let call = modern(2, "tools/call", call, json!({"sampling": {}}));
    let answer = post_modern(&house, "/mcp/fix", call).await.whole().await;
    assert!(answer.to_string().contains("INJECT"), "{answer}");
    let asked = house.rows(&[]);
    assert!(asked.iter().any(|row| row["method"] == "sampling/createMessage"), "{asked:?}");
}

const DENIES: &str = "version: \"2\"\ndefault: deny\ntools: { work: {} }\nserver_requests: { roots: {} }\n";

/// Whatever is in the place of a server's questions is judged as what every reader takes it for, or does not pass.
#[tokio::test]
async fn what_only_looks_like_questions_is_withheld() {
    let server = Scripted::start(&["work"], |message, _| {
        let asks = message["params"]["arguments"]["asks"].as_str()?;
        let result = format!(
            r#"{{"content":[],"resultType":"input_required","requestState":"s","inputRequests":{asks}}}"#
        );
        Some(Reply::Text(format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, message["id"])))
    })
    .await;
    let house = house(&server, DENIES);
    let inject = r#""method":"elicitation/create","params":{"message":"INJECT"}"#;
    let can = || json!({"elicitation": {}, "roots": {}});
    for asks in [
        format!("[{{{inject}}}]"),
        "\"INJECT elicitation/create\"".to_owned(),
        format!("{{\"k\":[{{{inject}}}]}}"),
        format!(r#"{{"k":{{"method":"roots/list",{inject}}}}}"#),
        r#"{"k":{"method":"roots/list","m\u0065thod":"elicitation/create","params":{"message":"INJECT"}}}"#
            .to_owned(),
        r#"{"k":{"method":"roots/list","Method":"elicitation/create","params":{"message":"INJECT"}}}"#
            .to_owned(),
        r#"{"k":{"method":"roots/list","params":{},"params":{"message":"INJECT"}}}"#.to_owned(),
        r#"{"k":{"method":"roots/list","message":"INJECT"}}"#.to_owned(),
        r#"{"k":{"method":"roots/list"},"k":{"method":"elicitation/create","params":{"message":"INJECT"}}}"#
            .to_owned(),
    ] {
        let call = json!({"name": "work", "arguments": {"asks": asks}});
        let call = modern(1, "tools/call", call, can());
        let answer = post_modern(&house, "/mcp/fix", call).await.whole().await;
        assert!(answer.get("error").is_some() && !answer.to_string().contains("INJECT"), "{asks}: {answer}");
    }
    let withheld = async || {
        let rows = house.rows(&[]);
        let is_withheld = |row: &&Value| row["message"].as_str().is_some_and(|it| it.starts_with("withheld"));
        (rows.iter().filter(is_withheld).count() == 9).then_some(rows)
    };
    let rows = until("the rows", withheld).await;
    // Nothing was judged as what it may not be.
    assert!(!rows.iter().any(|row| row["method"] == "roots/list"), "{rows:?}");
}

/// A question has an id, and a method that is spelt as the protocol does. What has not is none that anybody judged.
#[tokio::test]
async fn a_question_without_an_id_or_in_another_spelling_reaches_nobody() {
    let mention = |method: &str, id: Option<u64>| {
        let mut message = json!({"jsonrpc": "2.0", "method": method, "params": {"message": "INJECT"}});
        if let Some(id) = id {
            message["id"] = id.into();
        }
        event("e", &message)
    };
    let methods = [
        "elicitation/create",
        "sampling/createMessage",
        "roots/list",
        "tools/call",
        "ping",
        "server/discover",
    ];
    let spelt =
        ["Elicitation/Create", "/elicitation/create", "elicitation_create", "elicitation/\u{441}reate"];
    let server = Scripted::start(&["work"], move |message, _| {
        if message["method"] != "tools/call" {
            return None;
        }
        let mut events: Vec<String> = methods.iter().map(|method| mention(method, None)).collect();
        events.extend(spelt.iter().flat_map(|method| [mention(method, None), mention(method, Some(77))]));
        events.push(mention("vendor/notice", None));
        let notice = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "plain"}});
        events.push(event("e", &notice));
        events.push(event("e", &json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}})));
        Some(Reply::Events(events))
    })
    .await;
    for (policy, vendor) in [(DENIES, false), (ALLOW_ALL, true)] {
        let house = house(&server, policy);
        let can = json!({"elicitation": {}, "sampling": {}, "roots": {}});
        let id = open_session(&house, "/mcp/fix", "2025-11-25", can).await;
        let mut own = Stream::get(&house, "/mcp/fix", &id, &[]).await;
        listened(&server).await;
        for method in methods {
            let _ = server.get.send(mention(method, None));
        }
        let _ = server.get.send(event("e", &json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "last"}})));
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "work", "arguments": {}}});
        let heard = Stream::post(&house, "/mcp/fix", &id, &call).await.rest().await;
        let passed = |message: &&Value| message.to_string().contains("INJECT");
        let expected: Vec<&str> = if vendor { vec!["vendor/notice"] } else { Vec::new() };
        let found: Vec<&str> = heard.iter().filter(passed).map(|it| it["method"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{heard:?}");
        assert!(
            heard.iter().any(|message| message["params"]["data"] == "plain")
                && heard.last().unwrap()["id"] == 7
        );
        let first = own.message().await.unwrap();
        assert_eq!(first["params"]["data"], "last", "{first}");
    }
}

/// In place of a result a server may say the same: with another status, to another request, or in what is told of a task under another
/// name. Where results are covered, nothing of that passes; and no such words are recorded.
#[tokio::test]
async fn nothing_is_said_of_a_covered_result_in_its_place() {
    let server = Scripted::start(&["work"], |message, _| {
        let status = u16::try_from(message["params"]["arguments"]["status"].as_u64()?).unwrap();
        let body = json!({"content": [{"type": "text", "text": SECRET}]}).to_string();
        Some(Reply::Raw(status, vec![("content-type", "application/json".into())], body.into()))
    })
    .await;
    for (policy, covers) in [(COVERED, true), (ALLOW_ALL, false)] {
        let house = house(&server, policy);
        let session = house.session("/mcp/fix").await;
        for status in [400, 401, 403, 405, 409, 418, 429, 500, 502, 504] {
            let arguments = json!({"status": status});
            let old = session.call(1, "work", arguments.clone()).await;
            let call = modern(2, "tools/call", json!({"name": "work", "arguments": arguments}), json!({}));
            let new = post_modern(&house, "/mcp/fix", call).await.whole().await;
            for answer in [old, new] {
                assert!(
                    answer["error"]["message"].as_str().unwrap().contains(&status.to_string()),
                    "{answer}"
                );
                assert_eq!(!answer.to_string().contains(SECRET), covers, "{answer}");
            }
        }
        let rows = house.rows(&[]);
        assert!(!rows.iter().any(|row| row.to_string().contains(SECRET)), "{rows:?}");
    }
}

/// Only who asked takes a question back, and its client hears of it under the id that it knows.
#[tokio::test]
async fn a_server_takes_back_its_own_questions_and_no_others() {
    let asks = |own: u64| json!({"jsonrpc": "2.0", "id": own, "method": "elicitation/create", "params": {"message": "pay?", "requestedSchema": {"type": "object", "properties": {}}}});
    let takes = |own: u64| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": own, "reason": "never mind"}});
    let one = Scripted::start(&["work"], |_, _| None).await;
    let two = Scripted::start(&["work"], |_, _| None).await;
    let upstreams = format!("  one: {{ url: \"{}\" }}\n  two: {{ url: \"{}\" }}", one.url, two.url);
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let id = open_session(&house, "/mcp", "2025-11-25", json!({"elicitation": {}})).await;
    let mut own = Stream::get(&house, "/mcp", &id, &[]).await;
    let session = house.session("/mcp").await;
    drop(session);
    for server in [&one, &two] {
        let tool = if std::ptr::eq(server, &one) { "one__work" } else { "two__work" };
        let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}});
        let _ = Stream::post(&house, "/mcp", &id, &call).await.whole().await;
        listened(server).await;
    }
    one.get.send(event("e", &asks(500))).unwrap();
    let question = own.message().await.unwrap();
    assert_eq!(question["method"], "elicitation/create");
    let known = question["id"].as_u64().unwrap();
    two.get.send(event("e", &takes(known))).unwrap();
    two.get.send(event("e", &takes(500))).unwrap();
    one.get.send(event("e", &takes(known))).unwrap();
    two.get.send(event("e", &asks(9))).unwrap();
    let next = own.message().await.unwrap();
    assert_eq!(next["method"], "elicitation/create", "{next}");
    one.get.send(event("e", &takes(500))).unwrap();
    let taken = own.message().await.unwrap();
    assert_eq!(
        (&taken["method"], &taken["params"]["requestId"]),
        (&json!("notifications/cancelled"), &json!(known))
    );
}
