//! Clients and servers of different eras.

use crate::house::{ALLOW_ALL, House, Plan, TOKEN, fixture_http, messages};
use hyper::Method;
use serde_json::{Value, json};

async fn modern(
    house: &House,
    path: &str,
    id: u64,
    method: &str,
    mut params: Value,
    capabilities: Value,
) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": capabilities,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    });
    let bearer = format!("Bearer {TOKEN}");
    let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default().to_owned();
    let mut headers = vec![
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", method),
    ];
    if !name.is_empty() {
        headers.push(("mcp-name", &name));
    }
    let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string();
    let (_, _, answer) = house.http(Method::POST, path, &headers, body).await;
    messages(&answer).pop().unwrap_or_else(|| panic!("no answer to {method}"))
}

fn in_front_of(era: &str) -> (House, crate::house::Held) {
    let (server, url) = fixture_http(&["--extra", "--era", era]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }";
    (House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more }), server)
}

#[tokio::test]
async fn a_new_client_reaches_an_old_server_and_answers_its_questions() {
    let (house, _server) = in_front_of("old");
    let found = modern(&house, "/mcp/fix", 1, "server/discover", json!({}), json!({})).await;
    assert_eq!(found["result"]["resultType"], "complete", "{found}");
    let call = json!({"name": "echo", "arguments": {"message": "hi"}});
    let answer = modern(&house, "/mcp/fix", 2, "tools/call", call, json!({})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "hi", "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete");
    for (tool, method, reply) in [
        ("ask", "elicitation/create", json!({"action": "accept", "content": {"word": "open"}})),
        (
            "sample",
            "sampling/createMessage",
            json!({"role": "assistant", "content": {"type": "text", "text": "sesame"}, "model": "m"}),
        ),
    ] {
        let capabilities = json!({"elicitation": {"form": {}}, "sampling": {}});
        let call = json!({"name": tool, "arguments": {}});
        let wants = modern(&house, "/mcp/fix", 3, "tools/call", call, capabilities.clone()).await;
        assert_eq!(wants["result"]["resultType"], "input_required", "{wants}");
        let requests = wants["result"]["inputRequests"].as_object().unwrap();
        let (key, request) = requests.iter().next().unwrap();
        assert_eq!(request["method"], method);
        let state = wants["result"]["requestState"].clone();
        // A handle is good for its own call alone.
        let other = json!({"name": "echo", "arguments": {"message": "x"}, "requestState": state, "inputResponses": {key: reply}});
        let stolen = modern(&house, "/mcp/fix", 4, "tools/call", other, capabilities.clone()).await;
        assert_ne!(stolen["result"]["content"][0]["text"], "sesame", "{stolen}");
        let retry =
            json!({"name": tool, "arguments": {}, "requestState": state, "inputResponses": {key: reply}});
        let answer = modern(&house, "/mcp/fix", 5, "tools/call", retry, capabilities).await;
        assert_eq!(answer["id"], json!(5));
        let said = answer["result"]["content"][0]["text"].as_str().unwrap();
        assert!(said.contains("open") || said.contains("sesame"), "{answer}");
    }
}

#[tokio::test]
async fn an_old_client_reaches_a_new_server() {
    let (house, _server) = in_front_of("new");
    let session = house.session("/mcp/fix").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert!(list["result"]["tools"].as_array().unwrap().len() > 30);
    let answer = session.call(2, "echo", json!({"message": "hi"})).await;
    assert_eq!(answer["result"]["content"][0]["text"], "hi", "{answer}");
    let (read, _) = session.ask(3, "resources/read", json!({"uri": "test://static-text"})).await;
    assert_eq!(read["result"]["contents"][0]["uri"], "test://static-text", "{read}");
}

#[tokio::test]
async fn headers_that_do_not_match_the_body_are_refused() {
    let (house, _server) = in_front_of("both");
    let bearer = format!("Bearer {TOKEN}");
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "x"}, "_meta": meta}})
    .to_string();
    for (version, method, name) in [
        ("2025-11-25", "tools/call", "echo"),
        ("2026-07-28", "tools/list", "echo"),
        ("2026-07-28", "tools/call", "crash"),
        ("2026-07-28", "tools/call", "=?base64?Y3Jhc2g=?="),
        ("2026-07-28", "tools/call", ""),
    ] {
        let mut headers = vec![
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
            ("mcp-protocol-version", version),
            ("mcp-method", method),
        ];
        if !name.is_empty() {
            headers.push(("mcp-name", name));
        }
        let (status, _, answer) = house.http(Method::POST, "/mcp/fix", &headers, body.clone()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (status, &answer["error"]["code"]),
            (400, &json!(-32020)),
            "{version} {method} {name}: {answer}"
        );
    }
}
