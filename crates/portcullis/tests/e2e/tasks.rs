//! Tasks through the gate: its own ids in every direction, whose they are, and who looks after them.

use crate::house::{ALLOW_ALL, House, Plan, fixture, fixture_http, seen, text};
use crate::in_flight::{MORE, Set};
use crate::stream::{Stream, modern, open_session, post_modern, until};
use serde_json::{Value, json};
use std::time::Duration;

/// What a client of the new era declares that knows tasks.
pub fn knows_tasks() -> Value {
    json!({ "elicitation": {}, "extensions": { "io.modelcontextprotocol/tasks": {} } })
}

pub const RELATED: &str = "io.modelcontextprotocol/related-task";

/// Asks as a client of the new era that knows tasks.
pub async fn ask_new(house: &House, path: &str, method: &str, params: Value) -> Value {
    post_modern(house, path, modern(1, method, params, knows_tasks())).await.whole().await
}

/// Makes a task as a client of the old era; gives the task object.
pub async fn make_old(house: &House, path: &str, session: &str, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments, "task": { "ttl": 60_000 } });
    let made = ask_old(house, path, session, "tools/call", params).await;
    made["result"]["task"].as_object().unwrap_or_else(|| panic!("{made}"));
    made["result"]["task"].clone()
}

pub async fn ask_old(house: &House, path: &str, session: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Stream::post(house, path, session, &body).await.whole().await
}

/// Waits for the end of a task; gives what `tasks/get` then says.
pub async fn ended_old(house: &House, path: &str, session: &str, id: &Value) -> Value {
    until("the end of the task", || async {
        let got = ask_old(house, path, session, "tasks/get", json!({ "taskId": id })).await;
        let status = got["result"]["status"].as_str().unwrap_or_else(|| panic!("{got}")).to_owned();
        matches!(&*status, "completed" | "failed" | "cancelled").then(|| got["result"].clone())
    })
    .await
}

pub async fn ended_new(house: &House, path: &str, id: &Value) -> Value {
    until("the end of the task", || async {
        let got = ask_new(house, path, "tasks/get", json!({ "taskId": id })).await;
        let status = got["result"]["status"].as_str().unwrap_or_else(|| panic!("{got}")).to_owned();
        matches!(&*status, "completed" | "failed" | "cancelled").then(|| got["result"].clone())
    })
    .await
}

fn is_ours(id: &Value) -> bool {
    let text = id.as_str().unwrap_or_default();
    let random = text.strip_prefix("t_").unwrap_or_default();
    random.len() == 26 && random.bytes().all(|b| b.is_ascii_lowercase() || (b'2'..=b'7').contains(&b))
}

fn leaks(message: &Value) -> bool {
    message.to_string().contains("task-")
}

/// The ids under which the server was asked about tasks, with the `Mcp-Name` of each.
async fn asked(set: &Set) -> Vec<(String, String, Value)> {
    let seen = set.seen().await;
    let of = |note: &Value| {
        let word = |name: &str| note[name].as_str().unwrap_or_default().to_owned();
        (word("method"), word("taskId"), note["headers"]["mcp-name"].clone())
    };
    seen["tasks"].as_array().unwrap().iter().map(of).collect()
}

#[tokio::test]
async fn a_core_task_has_the_gates_own_id_in_every_direction() {
    for set in [Set::http("old", MORE), Set::stdio("old", MORE)] {
        for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
            let house = &set.house;
            let session = open_session(house, path, "2025-11-25", json!({})).await;
            let tool = format!("{prefix}slow_compute");
            let arguments = json!({ "seconds": 0.3, "label": "a sum" });
            let task = make_old(house, path, &session, &tool, arguments).await;
            let id = &task["taskId"];
            assert!(is_ours(id) && task["status"] == "working" && task["ttl"] == 60_000, "{task}");
            let got = ask_old(house, path, &session, "tasks/get", json!({ "taskId": id })).await;
            assert_eq!(got["result"]["taskId"], *id, "{got}");
            let body =
                json!({ "jsonrpc": "2.0", "id": 7, "method": "tasks/result", "params": { "taskId": id } });
            let all = Stream::post(house, path, &session, &body).await.rest_or_whole().await;
            let result = all.last().unwrap();
            assert_eq!(text(result), "a sum is computed");
            assert_eq!(result["result"]["_meta"][RELATED]["taskId"], *id, "{result}");
            let told = |message: &&Value| message["method"] == "notifications/tasks/status";
            for notice in all.iter().filter(told) {
                assert_eq!(notice["params"]["taskId"], *id, "{notice}");
            }
            let late = ask_old(house, path, &session, "tasks/cancel", json!({ "taskId": id })).await;
            assert_eq!(late["error"]["code"], -32602, "{late}");
            assert!(!all.iter().chain([&task, &got, &late]).any(leaks), "{all:?} {late}");
        }
        let asked = asked(&set).await;
        assert!(asked.iter().all(|(_, id, _)| id.starts_with("task-")), "{asked:?}");
        assert!(asked.iter().any(|(method, _, _)| method == "tasks/cancel"), "{asked:?}");
    }
}

#[tokio::test]
async fn a_task_of_the_extension_has_the_gates_own_id_in_bodies_and_headers() {
    let set = Set::http("both", MORE);
    let house = &set.house;
    for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
        let call = json!({ "name": format!("{prefix}slow_compute"), "arguments": { "seconds": 30 } });
        let made = ask_new(house, path, "tools/call", call).await;
        let id = &made["result"]["taskId"];
        assert!(is_ours(id) && made["result"]["resultType"] == "task", "{made}");
        let got = ask_new(house, path, "tasks/get", json!({ "taskId": id })).await;
        assert_eq!((&got["result"]["taskId"], &got["result"]["status"]), (id, &json!("working")), "{got}");
        let stopped = ask_new(house, path, "tasks/cancel", json!({ "taskId": id })).await;
        assert_eq!(stopped["result"]["resultType"], "complete", "{stopped}");
        let ended = ended_new(house, path, id).await;
        assert_eq!((&ended["taskId"], &ended["status"]), (id, &json!("cancelled")), "{ended}");
        assert!(![&made, &got, &stopped, &ended].into_iter().any(leaks), "{made} {got}");
        // The header is the client's own id, and must agree with the body.
        let (mut headers, body) = modern(1, "tasks/get", json!({ "taskId": id }), knows_tasks());
        headers.retain(|(name, _)| name != "mcp-name");
        let missing = post_modern(house, path, (headers.clone(), body.clone())).await.whole().await;
        headers.push(("mcp-name".into(), "t_another".into()));
        let other = post_modern(house, path, (headers, body)).await.whole().await;
        assert_eq!((&missing["error"]["code"], &other["error"]["code"]), (&json!(-32020), &json!(-32020)));
    }
    for (method, theirs, name) in asked(&set).await {
        assert!(theirs.starts_with("task-") && name == theirs, "{method} {theirs} {name}");
    }
}

#[tokio::test]
async fn whoever_does_not_own_a_task_learns_no_more_than_of_one_that_never_was() {
    let (_one, url) = fixture_http(&["--extra"]);
    let (_two, other) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}\n  more: {{ url: \"{other}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let (code, out, err) = house.run(&["grant", "add", "other", "--upstream", "*=p", "--json"]);
    assert_eq!(code, 0, "{err}");
    let stranger = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let elsewhere = open_session(&house, "/mcp/more", "2025-11-25", json!({})).await;
    let theirs = house.session_of(&stranger, "/mcp/fix").await;
    let live =
        make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 60 })).await["taskId"]
            .clone();
    let brief = json!({ "seconds": 0, "ttl_ms": 300 });
    let over = make_old(&house, "/mcp/fix", &session, "slow_compute", brief).await["taskId"].clone();
    ended_old(&house, "/mcp/fix", &session, &over).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    // One of the other design, which this era has no words for.
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 60 } });
    let extension = ask_new(&house, "/mcp/fix", "tools/call", call).await["result"]["taskId"].clone();
    assert!(is_ours(&extension));
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let never = ask_old(
            &house,
            "/mcp/fix",
            &session,
            method,
            json!({ "taskId": "t_aaaaaaaaaaaaaaaaaaaaaaaaaa" }),
        )
        .await;
        assert_eq!(never["error"]["code"], -32602, "{never}");
        let foreign = theirs.ask(1, method, json!({ "taskId": live })).await.0;
        let upstream = ask_old(&house, "/mcp/more", &elsewhere, method, json!({ "taskId": live })).await;
        for id in [&over, &extension, &json!("task-1"), &json!(""), &json!(7), &Value::Null] {
            let found = ask_old(&house, "/mcp/fix", &session, method, json!({ "taskId": id })).await;
            assert_eq!(found.to_string(), never.to_string(), "{method} {id}");
        }
        assert_eq!(foreign.to_string(), never.to_string());
        assert_eq!(upstream.to_string(), never.to_string());
    }
    // None of these reached a server, but for the gate's own looks at what lives.
    let asked = seen(&house, &url).await["tasks"].clone();
    assert!(asked.as_array().unwrap().iter().all(|note| note["method"] == "tasks/get"), "{asked}");
    assert_eq!(seen(&house, &other).await["tasks"], json!([]));
    assert_eq!(
        ask_old(&house, "/mcp/fix", &session, "tasks/get", json!({ "taskId": live })).await["result"]["status"],
        "working"
    );
    // A list has the asker's own, and of this route.
    let list = theirs.ask(2, "tasks/list", json!({})).await.0;
    assert_eq!(list["result"]["tasks"], json!([]));
}

#[tokio::test]
async fn equal_ids_of_two_servers_are_two_tasks() {
    let (_one, one) = fixture_http(&["--extra"]);
    let (_two, two) = fixture_http(&["--extra"]);
    let upstreams = format!("  one: {{ url: \"{one}\" }}\n  two: {{ url: \"{two}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let mut ids = Vec::new();
    for upstream in ["one", "two"] {
        let call = json!({ "name": format!("{upstream}__slow_compute"), "arguments": { "seconds": 0, "label": upstream } });
        ids.push(ask_new(&house, "/mcp", "tools/call", call).await["result"]["taskId"].clone());
    }
    for (id, upstream) in ids.iter().zip(["one", "two"]) {
        let ended = ended_new(&house, "/mcp", id).await;
        assert_eq!(ended["result"]["content"][0]["text"], format!("{upstream} is computed"));
    }
    for url in [&one, &two] {
        let asked = seen(&house, url).await["tasks"].clone();
        assert!(asked.as_array().unwrap().iter().all(|note| note["taskId"] == "task-1"), "{asked}");
    }
}

#[tokio::test]
async fn a_task_is_judged_as_the_call_that_makes_it_and_looking_after_it_is_part_of_that() {
    let policy = "version: \"1\"\ndefault: deny\ntools:\n  slow_compute: {}\n";
    let (house, _server) = House::fixture(policy, &["--era", "old"]);
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let params = json!({ "name": "failing_job", "arguments": {}, "task": {} });
    let denied = ask_old(&house, "/mcp/fix", &session, "tools/call", params).await;
    assert!(text(&denied).starts_with("[POLICY DENIED]"), "{denied}");
    let task = make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 0 })).await;
    let ended = ended_old(&house, "/mcp/fix", &session, &task["taskId"]).await;
    assert_eq!(ended["status"], "completed");
    let params = json!({ "taskId": task["taskId"] });
    let result = ask_old(&house, "/mcp/fix", &session, "tasks/result", params).await;
    assert_eq!(text(&result), "it is computed");
    let rows = house.rows(&["--tool", "slow_compute"]);
    let decided = |method: &str| {
        rows.iter()
            .any(|row| row["method"] == method && row["kind"] == "decision" && row["outcome"] == "allowed")
    };
    assert!(decided("tasks/get") && decided("tasks/result"), "{rows:?}");
}

#[tokio::test]
async fn what_a_task_asks_is_answered_through_the_gate_in_the_core_design() {
    for (set, path, tool) in [
        (Set::http("old", MORE), "/mcp/fix", "confirm_delete"),
        (Set::http("old", MORE), "/mcp", "fix__confirm_delete"),
        (session_of_its_own("old"), "/mcp/fix", "confirm_delete"),
    ] {
        let house = &set.house;
        let session = open_session(house, path, "2025-11-25", json!({ "elicitation": {} })).await;
        let mut own = Stream::get(house, path, &session, &[]).await;
        let task = make_old(house, path, &session, tool, json!({ "filename": "a.txt" })).await;
        let id = &task["taskId"];
        until("the question", || async {
            let got = ask_old(house, path, &session, "tasks/get", json!({ "taskId": id })).await;
            (got["result"]["status"] == "input_required").then_some(())
        })
        .await;
        let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tasks/result", "params": { "taskId": id } });
        let mut answer = Stream::post(house, path, &session, &body).await;
        // On a line of its own a server's questions come on the client's own stream.
        let stream = if set.is_http() { &mut answer } else { &mut own };
        let question = loop {
            let message = stream.message().await.unwrap();
            assert!(!leaks(&message) || message["id"].is_string(), "{message}");
            if message["method"] == "elicitation/create" {
                break message;
            }
        };
        assert_eq!(question["params"]["_meta"][RELATED]["taskId"], *id, "{question}");
        let accepted = json!({ "action": "accept", "content": { "confirm": true }, "_meta": { RELATED: { "taskId": id } } });
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": accepted });
        assert_eq!(Stream::post(house, path, &session, &reply).await.status, 202);
        let result = answer.rest_or_whole().await;
        assert_eq!(text(result.last().unwrap()), "a.txt is deleted");
        if set.is_http() {
            let answers = set.seen().await["answers"].clone();
            assert_eq!(answers[0]["result"]["_meta"][RELATED]["taskId"], "task-1", "{answers}");
        }
    }
}

#[tokio::test]
async fn what_a_task_asks_is_answered_through_the_gate_in_the_extension() {
    let set = Set::http("both", MORE);
    let house = &set.house;
    for (path, tool) in [("/mcp/fix", "multi_input"), ("/mcp", "fix__multi_input")] {
        let call = json!({ "name": tool, "arguments": {} });
        let id = ask_new(house, path, "tools/call", call).await["result"]["taskId"].clone();
        let asked = until("the questions", || async {
            let got = ask_new(house, path, "tasks/get", json!({ "taskId": id })).await;
            got["result"]["inputRequests"].as_object().filter(|asked| asked.len() == 2).cloned()
        })
        .await;
        for key in asked.keys() {
            let answer = json!({ key: { "action": "accept", "content": { "name": key } } });
            let taken =
                ask_new(house, path, "tasks/update", json!({ "taskId": id, "inputResponses": answer })).await;
            assert_eq!(taken["result"]["resultType"], "complete", "{taken}");
        }
        let ended = ended_new(house, path, &id).await;
        assert_eq!(ended["result"]["content"][0]["text"], "answered by first and second");
    }
}

/// A server that is a process for each session.
fn session_of_its_own(era: &str) -> Set {
    let upstreams =
        format!("  fix: {{ command: {:?}, args: [stdio, --extra, --era, {era}], per: session }}", fixture());
    Set::of(House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE }))
}

#[tokio::test]
async fn somebody_looks_after_a_task_whose_client_has_gone_and_records_its_end() {
    for set in [Set::http("old", MORE), session_of_its_own("old")] {
        let house = &set.house;
        let session = house.session("/mcp/fix").await;
        let arguments = json!({ "seconds": 0.5, "poll_ms": 10 });
        let task = make_old(house, "/mcp/fix", &session.id, "slow_compute", arguments).await;
        let headers = [("authorization", "Bearer token-of-the-tests"), ("mcp-session-id", &*session.id)];
        assert_eq!(house.http(hyper::Method::DELETE, "/mcp/fix", &headers, "").await.0, 200);
        let row = until("the row of its end", || async {
            let mut rows = house.rows(&["--tool", "slow_compute"]);
            rows.retain(|row| row["kind"] == "run" && row["outcome"] == "allowed");
            rows.pop()
        })
        .await;
        assert!(
            row["message"].as_str().unwrap().ends_with("is completed")
                && row["duration_ms"].as_f64() >= Some(500.0),
            "{row}"
        );
        // Whoever comes back has the result.
        let again = open_session(house, "/mcp/fix", "2025-11-25", json!({})).await;
        let params = json!({ "taskId": task["taskId"] });
        let result = ask_old(house, "/mcp/fix", &again, "tasks/result", params).await;
        assert_eq!(text(&result), "it is computed");
    }
}

#[tokio::test]
async fn a_client_that_listens_for_its_tasks_hears_how_they_stand() {
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "new"]);
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 0.5, "poll_ms": 10 } });
    let id = ask_new(&house, "/mcp/fix", "tools/call", call).await["result"]["taskId"].clone();
    let wanted = json!({ "notifications": { "taskIds": [id, "t_aaaaaaaaaaaaaaaaaaaaaaaaaa"] } });
    let request = modern(5, "subscriptions/listen", wanted.clone(), knows_tasks());
    let mut stream = post_modern(&house, "/mcp/fix", request).await;
    let first = stream.message().await.unwrap();
    assert_eq!(first["params"]["notifications"]["taskIds"], json!([id]), "{first}");
    let told = stream.message().await.unwrap();
    let params = &told["params"];
    assert_eq!((&told["method"], &params["taskId"]), (&json!("notifications/tasks"), &id), "{told}");
    assert_eq!(params["result"]["content"][0]["text"], "it is computed", "{told}");
    assert_eq!(params["_meta"]["io.modelcontextprotocol/subscriptionId"], 5, "{told}");
    let request = modern(6, "subscriptions/listen", wanted, json!({}));
    let refused = post_modern(&house, "/mcp/fix", request).await.whole().await;
    assert_eq!(refused["error"]["code"], -32021, "{refused}");
}

#[tokio::test]
async fn a_grant_has_no_more_tasks_than_it_may_and_those_that_ended_make_room() {
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }\nlimits: { tasks_per_grant: 2 }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let call = |seconds: u64| json!({ "name": "slow_compute", "arguments": { "seconds": seconds } });
    let mut ended = Vec::new();
    for _ in 0..3 {
        let id = ask_new(&house, "/mcp/fix", "tools/call", call(0)).await["result"]["taskId"].clone();
        ended_new(&house, "/mcp/fix", &id).await;
        ended.push(id);
    }
    let gone = ask_new(&house, "/mcp/fix", "tasks/get", json!({ "taskId": ended[0] })).await;
    assert_eq!(gone["error"]["message"], "Task not found", "{gone}");
    for _ in 0..2 {
        assert!(is_ours(&ask_new(&house, "/mcp/fix", "tools/call", call(60)).await["result"]["taskId"]));
    }
    let refused = ask_new(&house, "/mcp/fix", "tools/call", call(60)).await;
    assert_eq!(refused["error"]["code"], -31429, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("limits.tasks_per_grant"), "{refused}");
    until("the word to the server", || async {
        let asked = seen(&house, &url).await["tasks"].clone();
        asked.as_array().unwrap().iter().any(|note| note["method"] == "tasks/cancel").then_some(())
    })
    .await;
    let tasks = house.status()["tasks"].clone();
    assert_eq!(tasks, json!({ "live": 2, "kept": 0, "evicted": 3, "expired": 0, "lost": 0 }));
    assert!(house.run(&["status"]).1.contains("tasks: 2 under way"));
    drop(server);
}

#[tokio::test]
async fn capabilities_say_tasks_where_an_upstream_has_them() {
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "old"]);
    let session = house.session("/mcp").await;
    let list = session.ask(1, "tools/list", json!({})).await.0;
    let tool = |name: &str| {
        list["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == name).unwrap().clone()
    };
    assert_eq!(tool("fix__slow_compute")["execution"]["taskSupport"], "optional");
    for path in ["/mcp", "/mcp/fix"] {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params });
        let hello = Stream::post(&house, path, "", &body).await.whole().await;
        let tasks = &hello["result"]["capabilities"]["tasks"];
        assert_eq!(tasks["requests"]["tools"]["call"], json!({}), "{hello}");
    }
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "new"]);
    for path in ["/mcp", "/mcp/fix"] {
        let hello = ask_new(&house, path, "server/discover", json!({})).await;
        let extensions = &hello["result"]["capabilities"]["extensions"];
        assert_eq!(extensions["io.modelcontextprotocol/tasks"], json!({}), "{hello}");
    }
}
