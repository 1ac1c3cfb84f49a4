//! Batches, which one revision has.

use crate::house::{House, seen, text};
use crate::stream::{Stream, open_session};
use hyper::Method;
use serde_json::{Value, json};

const POLICY: &str = "version: \"1\"\ndefault: allow\ntools: { create_charge: { deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 100 }] }] } }\n";

fn call(id: u64, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

async fn post(house: &House, session: &str, body: &str) -> (u16, Option<Value>) {
    let answer = Stream::open(house, Method::POST, "/mcp/fix", &[("mcp-session-id", session)], body).await;
    (answer.status, answer.text().await)
}

#[tokio::test]
async fn each_member_of_a_batch_is_judged_alone_and_recorded_alone() {
    let (house, _server) = House::fixture(POLICY, &["--era", "old"]);
    let config = std::fs::read_to_string(house.folder.path().join("portcullis.yaml")).unwrap();
    let url = config.split('"').find(|part| part.starts_with("http://")).unwrap().to_owned();
    let session = open_session(&house, "/mcp/fix", "2025-03-26", json!({})).await;
    let charge = |amount: u64| json!({"amount": amount, "currency": "EUR"});
    let batch = json!([
        call(1, "echo", json!({"message": "one"})),
        call(2, "create_charge", charge(500)),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 3, "method": "ping"},
        call(4, "create_charge", charge(5)),
        {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": 7}},
        {"jsonrpc": "2.0", "id": 6, "method": "initialize", "params": {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {}}},
        {"jsonrpc": "2.0", "id": 7, "method": "tools/list"},
    ]);
    let smuggled = batch.to_string().replacen("\"id\":3", "\"id\":3,\"Method\":\"tools/call\"", 1);
    let (status, answer) = post(&house, &session, &smuggled).await;
    assert_eq!(status, 200);
    let answers = answer.unwrap();
    let of = |id: u64| {
        answers
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["id"] == json!(id))
            .unwrap_or_else(|| panic!("{answers}"))
    };
    assert_eq!(answers.as_array().unwrap().len(), 7, "a notification has no answer: {answers}");
    assert_eq!(text(of(1)), "one");
    assert!(text(of(2)).starts_with("[POLICY DENIED]"), "{answers}");
    assert!(text(of(4)).starts_with("create_charge"), "{answers}");
    assert_eq!((&of(5)["error"]["code"], &of(6)["error"]["code"]), (&json!(-32602), &json!(-32600)));
    assert_eq!(of(3)["error"]["code"], json!(-32600), "two parsers could read it in two ways: {answers}");
    assert!(of(7)["result"]["tools"].as_array().unwrap().len() > 10);
    let seen = seen(&house, &url).await;
    let names: Vec<_> = seen["calls"].as_array().unwrap().iter().map(|call| call["name"].clone()).collect();
    assert_eq!(names, ["echo", "create_charge"], "{seen}");
    let rows = house.rows(&[]);
    let decided = |request: &str, outcome: &str| {
        rows.iter()
            .filter(|row| row["request"] == request && row["outcome"] == outcome && row["kind"] == "decision")
            .count()
    };
    assert_eq!(
        (decided("1", "allowed"), decided("2", "denied"), decided("4", "allowed")),
        (1, 1, 1),
        "{rows:?}"
    );
    let refused =
        |row: &&Value| row["outcome"] == "refused" && row["message"].as_str().unwrap().contains("`Method`");
    assert_eq!(rows.iter().filter(refused).count(), 1, "{rows:?}");
}

#[tokio::test]
async fn a_batch_is_refused_where_its_revision_has_none_and_where_it_is_too_large_or_empty() {
    let (house, _server) = House::fixture(POLICY, &["--era", "old"]);
    let echo = call(1, "echo", json!({"message": "x"}));
    for version in ["2024-11-05", "2025-06-18", "2025-11-25"] {
        let session = open_session(&house, "/mcp/fix", version, json!({})).await;
        let (status, answer) = post(&house, &session, &json!([echo]).to_string()).await;
        assert_eq!((status, &answer.unwrap()["error"]["code"]), (400, &json!(-32600)), "{version}");
    }
    let session = open_session(&house, "/mcp/fix", "2025-03-26", json!({})).await;
    let many: Vec<Value> = (0..101).map(|id| call(id, "echo", json!({"message": "x"}))).collect();
    for body in
        [json!([]).to_string(), json!(many).to_string(), format!("[{echo}"), format!("[{echo}] [{echo}]")]
    {
        let (status, answer) = post(&house, &session, &body).await;
        assert_eq!((status, &answer.unwrap()["error"]["code"]), (400, &json!(-32600)), "{body}");
    }
    // Nothing but notifications: nothing to answer.
    let notice = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]).to_string();
    assert_eq!(post(&house, &session, &notice).await, (202, None));
    assert!(house.rows(&["--tool", "echo"]).is_empty());
    assert_eq!(house.rows(&["--outcome", "refused"]).len(), 7);
}
