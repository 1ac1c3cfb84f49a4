//! Sessions of the old era: whose they are, and when they end.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, TOKEN, fixture_http, text};
use http_body_util::Full;
use hyper::{Method, Request};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn limited(limits: &str) -> (House, crate::house::Held) {
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!("limits: {limits}\nledger: {{ durability: process }}");
    (House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: &more }), server)
}

/// One request in a session, or without one; gives status and body.
async fn request(house: &House, token: &str, method: Method, path: &str, id: Option<&str>) -> (u16, String) {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    headers.extend(id.map(|id| ("mcp-session-id", id)));
    let body = if method == Method::POST { PING } else { "" };
    let (status, _, said) = house.http(method, path, &headers, body).await;
    (status, String::from_utf8_lossy(&said).into_owned())
}

/// Opens the client's own stream of a session; it ends with what is given.
async fn stream(house: &House, id: &str) -> hyper::Response<hyper::body::Incoming> {
    let get = Request::get(format!("{}/mcp/fix", house.url))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", id)
        .body(Full::default())
        .unwrap();
    let answer = house.client.request(get).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer
}

/// Adds a grant; gives its token.
fn other_grant(house: &House) -> String {
    let (code, out, err) = house.run(&["grant", "add", "other", "--upstream", "*=p", "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn one_session_more_than_the_cap_ends_the_one_that_was_idle_longest() {
    let (house, _server) = limited("{ sessions_per_grant: 3 }");
    let token = other_grant(&house);
    let others = house.session_of(&token, "/mcp/fix").await;
    let first = house.session("/mcp/fix").await;
    let second = house.session("/mcp/fix").await;
    let third = house.session("/mcp/fix").await;
    // Idle times are told in milliseconds; nothing else says that one has passed.
    tokio::time::sleep(Duration::from_millis(10)).await;
    for session in [&first, &third] {
        assert_eq!(session.post(PING).await.0, 200);
    }
    let fourth = house.session("/mcp/fix").await;
    assert_eq!(second.post(PING).await.0, 404, "it was idle longest");
    for session in [&first, &third, &fourth, &others] {
        assert_eq!(session.post(PING).await.0, 200);
    }
    assert_eq!(house.status()["sessions"], json!(4));
}

#[tokio::test]
async fn a_session_in_use_is_never_ended_for_a_newer_one() {
    let (house, _server) = limited("{ sessions_per_grant: 2 }");
    let sessions = [house.session("/mcp/fix").await, house.session("/mcp/fix").await];
    let streams = [stream(&house, &sessions[0].id).await, stream(&house, &sessions[1].id).await];
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
    ];
    let open = || house.http(Method::POST, "/mcp/fix", &headers, initialize.to_string());
    let (status, head, said) = open().await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(status == 429 && head.get("mcp-session-id").is_none(), "{status} {said}");
    assert!(said.contains("2 sessions with calls or streams open"), "{said}");
    for session in &sessions {
        assert_eq!(session.post(PING).await.0, 200);
    }
    drop(streams);
    let until = Instant::now() + PATIENCE;
    while open().await.0 != 200 {
        assert!(Instant::now() < until, "closed streams still count");
    }
}

#[tokio::test]
async fn an_idle_session_ends_and_one_with_an_open_stream_stays() {
    let (house, _server) = limited("{ session_idle: 1s }");
    let idle = house.session("/mcp/fix").await;
    let kept = house.session("/mcp/fix").await;
    let _stream = stream(&house, &kept.id).await;
    assert_eq!(house.status()["sessions"], json!(2));
    // Not asked in the session itself: that would be use.
    let until = Instant::now() + PATIENCE;
    while house.status()["sessions"] != json!(1) {
        assert!(Instant::now() < until, "it did not end");
    }
    let (status, said) = request(&house, TOKEN, Method::POST, "/mcp/fix", Some(&idle.id)).await;
    assert!(status == 404 && said.contains("open a new one with `initialize`"), "{status} {said}");
    assert_eq!(kept.post(PING).await.0, 200);
}

#[tokio::test]
async fn a_session_that_was_idle_for_too_long_is_not_brought_back_by_using_it() {
    let (house, _server) = limited("{ session_idle: 2s }");
    let (left, used) = (house.session("/mcp/fix").await, house.session("/mcp/fix").await);
    assert_eq!(left.post(PING).await.0, 200);
    // Time in use is not idle, and nothing but time makes the other one so.
    let answer = used.call(1, "delay", json!({"ms": 2200, "label": "used"})).await;
    assert_eq!(text(&answer), "used");
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let (status, said) = request(&house, TOKEN, method.clone(), "/mcp/fix", Some(&left.id)).await;
        assert!(
            status == 404 && said.contains("open a new one with `initialize`"),
            "{method}: {status} {said}"
        );
    }
    assert_eq!(used.post(PING).await.0, 200);
    assert_eq!(house.status()["sessions"], json!(1));
}

#[tokio::test]
async fn a_session_whose_client_left_is_in_use_until_its_call_is_over() {
    let (house, _server) = limited("{ session_idle: 1s }");
    let session = house.session("/mcp/fix").await;
    let long = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "delay", "arguments": {"ms": 60_000, "label": "x"}}});
    // Nothing but time makes a session idle.
    let left = tokio::time::timeout(Duration::from_millis(1500), session.post(long.to_string())).await;
    assert!(left.is_err(), "it was to wait: {left:?}");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(session.post(PING).await.0, 200);
    assert_eq!(house.status()["runs"], json!(1));
}

#[tokio::test]
async fn delete_ends_a_session_and_what_it_had_open() {
    let (house, _server) = limited("{ call: 60s }");
    let session = house.session("/mcp/fix").await;
    let own = stream(&house, &session.id).await;
    let long = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params":
        {"name": "delay", "arguments": {"ms": 60_000, "label": "x"}}});
    let call = session.post(long.to_string());
    let delete = async {
        let until = Instant::now() + PATIENCE;
        while house.status()["runs"] != json!(1) {
            assert!(Instant::now() < until, "the call did not begin");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        request(&house, TOKEN, Method::DELETE, "/mcp/fix", Some(&session.id)).await
    };
    let (_, (status, said)) = tokio::join!(call, delete);
    assert!((200..300).contains(&status), "{status} {said}");
    let ended = tokio::time::timeout(PATIENCE, http_body_util::BodyExt::collect(own.into_body())).await;
    assert!(ended.is_ok(), "the stream outlived its session");
    assert_eq!(house.status()["runs"], json!(0));
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let (status, said) = request(&house, TOKEN, method.clone(), "/mcp/fix", Some(&session.id)).await;
        assert_eq!(status, 404, "{method}: {said}");
    }
    let again = house.session("/mcp/fix").await;
    assert_eq!(text(&again.call(1, "echo", json!({"message": "anew"})).await), "anew");
}

#[tokio::test]
async fn a_session_of_another_grant_or_route_is_as_unknown_as_one_that_never_was() {
    let (house, _server) = limited("{}");
    let token = other_grant(&house);
    let session = house.session("/mcp/fix").await;
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let ask = |token, path, id| request(&house, token, method.clone(), path, Some(id));
        let unknown = ask(&*token, "/mcp/fix", "never-was").await;
        assert_eq!(unknown.0, 404, "{method}: {}", unknown.1);
        assert_eq!(ask(&token, "/mcp/fix", &session.id).await, unknown, "{method}: another grant's token");
        assert_eq!(ask(TOKEN, "/mcp", &session.id).await, unknown, "{method}: another route");
    }
    assert_eq!(session.post(PING).await.0, 200, "nobody else ended it");
}

#[tokio::test]
async fn without_a_session_id_the_client_is_told_to_open_one() {
    let (house, _server) = limited("{}");
    for method in [Method::POST, Method::GET, Method::DELETE] {
        let (status, said) = request(&house, TOKEN, method.clone(), "/mcp/fix", None).await;
        assert!(
            status == 400 && said.contains("expected an Mcp-Session-Id header"),
            "{method}: {status} {said}"
        );
    }
}

#[tokio::test]
async fn a_stale_session_id_does_not_keep_a_client_from_a_fresh_session() {
    let (house, _server) = limited("{}");
    let initialize = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", "of-yesterday"),
    ];
    let (status, head, said) = house.http(Method::POST, "/mcp/fix", &headers, initialize.to_string()).await;
    let id = head
        .get("mcp-session-id")
        .unwrap_or_else(|| panic!("{status} {said:?}"))
        .to_str()
        .unwrap()
        .to_owned();
    assert!(status == 200 && id != "of-yesterday");
    assert_eq!(request(&house, TOKEN, Method::POST, "/mcp/fix", Some(&id)).await.0, 200);
}
