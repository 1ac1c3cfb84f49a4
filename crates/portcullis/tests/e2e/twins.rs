//! A server that says everything twice: once for the gate, and once under a name that a reader without case takes for the same.

use crate::house::{House, Plan, TOKEN, messages};
use crate::scripted::{Reply, Scripted, event};
use crate::stream::{modern, post_modern};
use serde_json::{Map, Value, json};

const MORE: &str = "ledger: { durability: process }";
const POLICY: &str = "version: \"2\"\ndefault: deny\ntools: { work: { redact: [\"result.content[*].text\"], redact_result: true } }\nprompts: { \"*\": {} }\nresources: { \"*\": {} }\nserver_requests: { sampling: { require: [{ path: args.maxTokens, op: lte, value: 10 }] } }\n";

/// The same object, with each member once more under its name in capitals.
fn twice(object: &Value, twin: &Value) -> Value {
    let Value::Object(members) = object else { return object.clone() };
    let mut both: Map<String, Value> = members.clone();
    for name in members.keys() {
        let mut letters = name.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        both.entry(first.into_iter().chain(letters).collect::<String>()).or_insert_with(|| twin.clone());
    }
    Value::Object(both)
}

/// An answer whose result is `result`, twice, and `more`, once.
fn said(id: &Value, result: &Value, more: &[(&str, Value)]) -> String {
    let twin = json!([{"type": "text", "text": "TWIN", "inputSchema": {}}]);
    let mut result = twice(result, &twin);
    more.iter().for_each(|(name, value)| result[*name] = value.clone());
    let message = json!({"jsonrpc": "2.0", "id": id, "result": result});
    let mut message = twice(&message, &json!({"content": twin, "tools": twin}));
    message["Error"] = json!({"code": 1, "message": "TWIN"});
    message.to_string()
}

/// It speaks either era, and asks and tells in the middle of a call.
async fn server(new: bool) -> Scripted {
    Scripted::start(&["work"], move |message, _| {
        let hello = json!({"_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}}, "capabilities": {"tools": {}, "prompts": {}, "resources": {}}, "instructions": "plain"});
        let item = json!({"name": "work", "uri": "a:b", "uriTemplate": "a:{x}", "inputSchema": {"type": "object"}});
        let result = match message["method"].as_str()? {
            "initialize" => {
                let mut hello = hello;
                hello["protocolVersion"] = message["params"]["protocolVersion"].clone();
                hello["serverInfo"] = json!({"name": "s", "version": "1"});
                hello
            }
            "server/discover" if new => {
                let mut hello = hello;
                hello["supportedVersions"] = json!(["2026-07-28"]);
                hello
            }
            "tools/list" => json!({"tools": [item]}),
            "prompts/list" => json!({"prompts": [item]}),
            "resources/list" => json!({"resources": [item]}),
            "resources/templates/list" => json!({"resourceTemplates": [item]}),
            "tools/call" if new => json!({"content": [{"type": "text", "text": "plain"}]}),
            "tools/call" => {
                let notice = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "plain"}});
                let question = json!({"jsonrpc": "2.0", "id": 7, "method": "sampling/createMessage", "params": {"maxTokens": 5, "messages": []}});
                let answer = said(&message["id"], &json!({"content": [{"type": "text", "text": "plain"}]}), &[]);
                let mut events: Vec<String> =
                    [notice, question].iter().map(|one| event("", &twice(one, &json!({"data": "TWIN", "maxTokens": 99})))).collect();
                events.push(format!("data: {answer}\n\n"));
                return Some(Reply::Events(events));
            }
            _ => return None,
        };
        let of_era = [("resultType", json!("complete")), ("ttlMs", json!(0)), ("cacheScope", json!("private"))];
        let more = if new { &of_era[..] } else { &[] };
        Some(Reply::Text(said(&message["id"], &result, more)))
    })
    .await
}

const LISTS: [&str; 4] = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];

#[tokio::test]
async fn nothing_that_a_reader_without_case_takes_for_another_member_reaches_a_client() {
    for new in [false, true] {
        let server = server(new).await;
        let upstreams = format!("  fix: {{ url: \"{}\" }}", server.url);
        let house = House::build(&Plan { upstreams: &upstreams, policy: POLICY, more: MORE });
        for (path, tool) in [("/mcp/fix", "work"), ("/mcp", "fix__work")] {
            let mut got = Vec::new();
            let call = json!({"name": tool, "arguments": {}});
            let (_, _, hello) = house.hello(TOKEN, path).await;
            got.extend(messages(&hello));
            let session = house.session(path).await;
            for (n, method) in LISTS.into_iter().enumerate() {
                got.push(session.ask(n as u64, method, json!({})).await.0);
            }
            let (answer, beside) = session.ask(21, "tools/call", call.clone()).await;
            assert!(answer.to_string().contains("[redacted]"), "{answer}");
            got.extend(beside);
            got.push(answer);
            for method in LISTS.into_iter().chain(["server/discover"]) {
                got.push(
                    post_modern(&house, path, modern(30, method, json!({}), json!({}))).await.whole().await,
                );
            }
            got.push(
                post_modern(&house, path, modern(31, "tools/call", call, json!({}))).await.whole().await,
            );
            for message in got {
                assert!(message.get("result").is_some() || message.get("method").is_some(), "{message}");
                assert!(!message.to_string().contains("TWIN"), "{new} {path} {message}");
                let mut members = message.as_object().unwrap().keys();
                assert!(members.all(|name| name.starts_with(char::is_lowercase)), "{message}");
            }
        }
    }
}
