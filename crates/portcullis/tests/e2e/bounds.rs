//! What is refused because there is too much of it.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, TOKEN, fixture_http};
use hyper::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_call_beyond_the_bound_is_refused_and_recorded_and_never_entered() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "limits: { calls: 1 }\nledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = house.session("/mcp/fix").await;
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", &*session.id),
    ];
    let call = |id: u64, ms: u64| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params":
            {"name": "delay", "arguments": {"ms": ms, "label": "x"}}})
        .to_string()
    };
    let long = session.post(call(1, 60_000));
    let others = async {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
            if status["runs"] == json!(1) {
                break;
            }
            assert!(std::time::Instant::now() < until, "{status}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let (status, _, said) = house.http(Method::POST, "/mcp/fix", &headers, call(2, 0)).await;
        assert_eq!(status, 429, "{said:?}");
        let rows = house.rows(&["--outcome", "refused"]);
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["rule"], &rows[0]["request"]), (&json!("(too many calls)"), &json!("2")));
        assert_eq!((&rows[0]["upstream"], &rows[0]["grant"]), (&json!("fix"), &json!("t")));
    };
    tokio::select! {
        answer = long => panic!("it was to wait: {answer:?}"),
        () = others => {}
    }
}
