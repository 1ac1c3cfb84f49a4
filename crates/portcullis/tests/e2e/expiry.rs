//! Grants whose time is over.

use crate::house::{ALLOW_ALL, House, PATIENCE, text};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Adds a grant that ends soon; gives its token.
fn brief(house: &House) -> String {
    let (code, out, err) =
        house.run(&["grant", "add", "brief", "--upstream", "fix=p", "--expires", "2s", "--json"]);
    assert_eq!(code, 0, "{err}");
    let added: Value = serde_json::from_str(&out).unwrap();
    added["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_expired_grant_is_refused_whatever_it_asks() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let token = brief(&house);
    let session = house.session_of(&token, "/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({"message": "in time"})).await), "in time");
    let until = Instant::now() + PATIENCE;
    while session.post(r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#).await.0 != 401 {
        assert!(Instant::now() < until, "it did not expire");
    }
    let bearer = format!("Bearer {token}");
    let initialize = json!({"jsonrpc": "2.0", "id": 3, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let call = json!({"jsonrpc": "2.0", "id": 4, "method": "tools/call", "params": {"name": "echo", "arguments": {"message": "late"}}});
    let list = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"});
    for (method, session, body) in [
        (Method::POST, None, initialize.to_string()),
        (Method::POST, Some(&session.id), call.to_string()),
        (Method::POST, Some(&session.id), list.to_string()),
        (Method::GET, Some(&session.id), String::new()),
        (Method::DELETE, Some(&session.id), String::new()),
    ] {
        let mut headers = vec![
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        headers.extend(session.map(|id| ("mcp-session-id", id.as_str())));
        let (status, head, said) = house.http(method, "/mcp/fix", &headers, body.clone()).await;
        let said = String::from_utf8_lossy(&said);
        assert_eq!(status, 401, "{body}: {said}");
        assert!(said.starts_with("the grant `brief` has expired; ") && !said.contains(&token), "{said}");
        assert!(head["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    }
    let rows = house.rows(&["--grant", "brief", "--outcome", "refused"]);
    assert_eq!(rows.len(), 1, "one row speaks for all: {rows:?}");
    assert_eq!((&rows[0]["rule"], &rows[0]["upstream"]), (&json!("(expired)"), &json!("fix")));
    let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
    assert!(status["expired_tokens"].as_u64().unwrap() >= 6, "{status}");
    assert_eq!(status["unknown_tokens"], json!(0));
}

#[tokio::test]
async fn the_control_socket_speaks_for_no_expired_grant() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    brief(&house);
    let until = Instant::now() + PATIENCE;
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    loop {
        let (code, answers, err) =
            crate::stdio::converse(&house, &["--grant", "brief"], std::slice::from_ref(&initialize));
        let refused = answers[0]["error"]["message"].as_str();
        if refused.is_some_and(|why| why.contains("has expired")) {
            assert!(code == 4 && err.contains("has expired"), "{code} {err}");
            return;
        }
        assert!(Instant::now() < until, "it did not expire: {answers:?}");
    }
}

#[tokio::test]
async fn the_streams_of_a_grant_end_with_it() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let token = brief(&house);
    let session = house.session_of(&token, "/mcp/fix").await;
    let bearer = format!("Bearer {token}");
    let old = Request::get(format!("{}/mcp/fix", house.url))
        .header("authorization", &bearer)
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &session.id)
        .body(Full::default())
        .unwrap();
    let listen = json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params": {
        "notifications": {"toolsListChanged": true},
        "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}});
    let new = Request::post(format!("{}/mcp/fix", house.url))
        .header("authorization", &bearer)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen")
        .body(Full::from(listen.to_string()))
        .unwrap();
    let streams = [house.client.request(old).await.unwrap(), house.client.request(new).await.unwrap()];
    for answer in streams {
        assert_eq!(answer.status(), 200);
        let ended = tokio::time::timeout(Duration::from_secs(20), answer.into_body().collect()).await;
        assert!(ended.is_ok(), "the stream outlived its grant");
    }
}
