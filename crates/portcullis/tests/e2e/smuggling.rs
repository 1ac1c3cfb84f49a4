//! Messages that two parsers could read in two ways: none reaches the upstream, each is answered and recorded.

use crate::house::{House, TOKEN, seen};
use hyper::Method;
use serde_json::{Value, json};

const POLICY: &str = "version: \"1\"\ndefault: deny\ntools:\n  echo: {}\n  create_charge:\n    deny_if:\n      - conditions: [{ path: args.amount, op: gt, value: 100 }]\n";

/// Bodies that must be refused or denied. `HUGE` and such are filled in by the test.
fn cases() -> Vec<String> {
    let call =
        |params: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{params}}}"#);
    let charge = |arguments: &str| call(&format!(r#"{{"name":"create_charge","arguments":{arguments}}}"#));
    let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
    let good = call(r#"{"name":"echo","arguments":{"message":"smuggled"}}"#);
    vec![
        // two messages where one is expected
        format!("[{good}]"),
        format!("[{good},{good}]"),
        format!("{good}{good}"),
        format!("{good}\n{good}"),
        format!("{good}]"),
        format!("\u{feff}{good}"),
        // the envelope
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","method":"ping","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":"ping","Method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"},"PARAMS":{"name":"crash"}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"},"paramſ":{"name":"crash"}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"},"params":{"name":"crash"}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"id":8,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"ID":8,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":[7],"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":{"a":7},"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"1.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":["tools/call"],"params":{"name":"echo","arguments":{}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","result":{},"params":{"name":"echo","arguments":{}}}"#.into(),
        // params
        call(r#"["echo",{"message":"x"}]"#),
        call(r#""echo""#),
        call(r#"{"name":"echo","name":"crash","arguments":{}}"#),
        call(r#"{"name":"echo","Name":"crash","arguments":{}}"#),
        call(r#"{"name":"echo","NAME":"crash","arguments":{}}"#),
        call(r#"{"name":"echo","arguments":{},"Arguments":{"message":"x"}}"#),
        call(r#"{"name":"echo","arguments":{},"arguments":{"message":"x"}}"#),
        call(r#"{"name":"echo","\u0061rguments":{},"arguments":{"message":"x"}}"#),
        call(r#"{"name":"echo","arguments":[{"message":"x"}]}"#),
        call(r#"{"name":"echo","arguments":"{\"message\":\"x\"}"}"#),
        call(r#"{"name":"echo","arguments":7}"#),
        call(r#"{"name":["echo"],"arguments":{}}"#),
        call(r#"{"name":7,"arguments":{}}"#),
        call(r#"{"arguments":{"message":"x"}}"#),
        call(r#"{"name":"echo\u0000crash","arguments":{}}"#),
        call(r#"{"name":"Echo","arguments":{"message":"x"}}"#),
        call(r#"{"name":"echo ","arguments":{"message":"x"}}"#),
        // arguments
        charge(r#"{"amount":1,"amount":1000,"currency":"EUR"}"#),
        charge(r#"{"amount":1,"Amount":1000,"currency":"EUR"}"#),
        charge(r#"{"amount":1,"\u0061mount":1000,"currency":"EUR"}"#),
        charge(r#"{"amount":"1000","currency":"EUR"}"#),
        charge(r#"{"amount":[1000],"currency":"EUR"}"#),
        charge(r#"{"amount":null,"currency":"EUR"}"#),
        charge(r#"{"amount":1e999,"currency":"EUR"}"#),
        charge(&format!(r#"{{"amount":{},"currency":"EUR"}}"#, "9".repeat(400))),
        charge(&format!(r#"{{"amount":1.{},"currency":"EUR"}}"#, "1".repeat(100))),
        charge(r#"{"amount":1,"currency":"EU\u0000R"}"#),
        charge(r#"{"amount":1,"currency":{"a":1,"a":2}}"#),
        charge(&format!(r#"{{"amount":1,"currency":{deep}}}"#)),
        charge(r#"{"amount":0101,"currency":"EUR"}"#),
        charge(r#"{"amount":+1,"currency":"EUR"}"#),
        charge(r#"{"amount":0x10,"currency":"EUR"}"#),
        charge(r#"{"amount":NaN,"currency":"EUR"}"#),
        charge(r#"{"amount":1,"currency":"\ud800"}"#),
        charge(r#"{"amount":1,"currency":'EUR'}"#),
        charge(r#"{"amount":1,/* c */"currency":"EUR"}"#),
        charge(r#"{"amount":1,"currency":"EUR",}"#),
    ]
}

#[tokio::test]
async fn nothing_that_was_not_judged_reaches_the_upstream() {
    let (house, server) = House::fixture(POLICY, &[]);
    let url = fixture_url(&house);
    let session = house.session("/mcp/fix").await;
    let cases = cases();
    assert!(cases.len() >= 40, "{}", cases.len());
    let before = house.rows(&[]).len();
    for case in &cases {
        let (status, body) = session.post(case.clone()).await;
        let shown: String = case.chars().take(160).collect();
        let answer: Value =
            serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{shown}: {status} {body:?}"));
        let denied = answer.pointer("/result/isError") == Some(&json!(true));
        let said = answer.pointer("/error/message").and_then(Value::as_str).unwrap_or_default();
        assert!(denied || said.len() > 10, "{shown}: {status} {answer}");
    }
    let rows = house.rows(&[]);
    assert!(rows.len() >= before + cases.len(), "{} rows for {} cases", rows.len() - before, cases.len());
    let let_through =
        rows.iter().filter(|row| row["kind"] == "decision" && row["outcome"] == "allowed").count();
    assert_eq!(let_through, 0, "{rows:?}");
    let seen = seen(&house, &url).await;
    assert_eq!(seen["calls"], json!([]), "the upstream saw a call");
    // The way is open for a plain call all the same.
    let answer = session.call(99, "create_charge", json!({"amount": 100, "currency": "EUR"})).await;
    assert!(crate::house::text(&answer).contains("create_charge"), "{answer}");
    drop(server);
}

fn fixture_url(house: &House) -> String {
    let config = std::fs::read_to_string(house.folder.path().join("portcullis.yaml")).unwrap();
    let from = config.find("http://").unwrap();
    config[from..].split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn bytes_that_are_framed_in_two_ways_are_refused() {
    let (house, _server) = House::fixture(POLICY, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let call = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"x"}}}"#;
    for (headers, status) in [
        (vec![("content-encoding", "gzip"), ("content-type", "application/json")], 415),
        (vec![("content-type", "text/plain")], 415),
        (vec![("content-type", "application/x-www-form-urlencoded")], 415),
        (vec![], 415),
    ] {
        let headers: Vec<_> = headers.into_iter().chain([("authorization", &*bearer)]).collect();
        let (found, _, body) = house.http(Method::POST, "/mcp/fix", &headers, call).await;
        assert_eq!(found, status, "{headers:?} {body:?}");
    }
    // Both lengths at once, and a length that is not one: the connection ends without a second request.
    for head in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ] {
        let raw = format!(
            "POST /mcp/fix HTTP/1.1\r\nhost: localhost\r\nauthorization: {bearer}\r\n{head}\r\n0\r\n\r\n\
             POST /mcp/fix HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"
        );
        let answer = raw_exchange(&house, raw.as_bytes());
        assert!(!answer.contains(" 200 "), "{head}: {answer}");
    }
}

/// Sends raw bytes and reads until the other side closes.
fn raw_exchange(house: &House, bytes: &[u8]) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(house.url.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn foreign_hosts_origins_and_tokens_do_not_come_in() {
    let (house, _server) = House::fixture(POLICY, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let json = ("content-type", "application/json");
    for (headers, path, status) in [
        (vec![("authorization", &*bearer), ("host", "evil.example"), json], "/mcp", 403),
        (vec![("authorization", &*bearer), ("origin", "http://evil.example"), json], "/mcp", 403),
        (vec![("authorization", &*bearer), ("origin", "null"), json], "/mcp", 403),
        (vec![("authorization", "Bearer wrong"), json], "/mcp", 401),
        (vec![("authorization", "Basic abc"), json], "/mcp", 401),
        (vec![json], "/mcp", 401),
        (vec![json], "/mcp?token=token-of-the-tests", 400),
        (vec![("authorization", &*bearer), json], "/mcp/nope", 404),
        (vec![("authorization", &*bearer), json], "/mcp", 400),
        (vec![("authorization", &*bearer), ("mcp-session-id", "nope"), json], "/mcp", 404),
        (vec![], "/elsewhere", 404),
        (vec![], "/healthz", 200),
        (vec![], "/readyz", 200),
    ] {
        let method = if path.ends_with('z') { Method::GET } else { Method::POST };
        let (found, _, body) = house.http(method, path, &headers, ping).await;
        assert_eq!(found, status, "{headers:?} {path}: {body:?}");
    }
}
