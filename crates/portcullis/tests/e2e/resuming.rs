//! Streams of the old era that a client comes back to.

use crate::house::{ALLOW_ALL, House, text};
use crate::stream::{Stream, until};
use serde_json::{Value, json};

fn slow(id: u64, tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params":
        {"name": tool, "arguments": {"steps": 8, "ms": 100}, "_meta": {"progressToken": "mine"}}})
}

/// Reads a call's stream up to its first progress; gives that event's id.
async fn up_to_progress(stream: &mut Stream) -> String {
    loop {
        let event = stream.event().await.unwrap();
        if !event.data.is_empty() {
            assert!(event.data.windows(8).any(|part| part == b"progress"), "{event:?}");
            return event.id.expect("an event that can be come back to has an id");
        }
    }
}

/// Reads up to the answer of that id; gives it and what came before.
async fn up_to_answer(stream: &mut Stream, id: u64) -> (Value, Vec<Value>) {
    let mut before = Vec::new();
    loop {
        let message = stream.message().await.unwrap_or_else(|| panic!("no answer after {before:?}"));
        if message.get("method").is_none() {
            assert_eq!(message["id"], json!(id), "{message}");
            return (message, before);
        }
        before.push(message);
    }
}

#[tokio::test]
async fn a_client_that_lost_its_stream_comes_back_to_the_rest_of_it() {
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "old"]);
    let path = "/mcp/fix";
    let session = house.session(path).await;
    for id in [5, 6] {
        let mut lost = Stream::post(&house, path, &session.id, &slow(id, "slow_progress")).await;
        let last = up_to_progress(&mut lost).await;
        drop(lost);
        let mut back = Stream::get(&house, path, &session.id, &[("last-event-id", &last)]).await;
        assert_eq!(back.status, 200);
        let (answer, before) = up_to_answer(&mut back, id).await;
        assert_eq!(text(&answer), "8 steps are done");
        assert!(before.iter().all(|message| message["params"]["progressToken"] == "mine"), "{before:?}");
        let steps: Vec<_> =
            before.iter().map(|message| message["params"]["progress"].as_f64().unwrap()).collect();
        assert!(steps.len() >= 7 && steps.last() == Some(&8.0) && steps.is_sorted(), "{steps:?}");
        // The call is over with its answer, which went out on another stream than its own.
        until("the end of the call", || async {
            let rows = house.rows(&["--tool", "slow_progress"]);
            let row = rows
                .iter()
                .find(|row| row["kind"] == "outcome" && row["request"] == json!(id.to_string()))?;
            assert_eq!(row["outcome"], "allowed", "{row}");
            Some(())
        })
        .await;
    }
    let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
    assert_eq!(status["runs"], json!(0));
}

#[tokio::test]
async fn another_session_cannot_come_back_to_a_stream_and_the_aggregated_route_has_none() {
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "old"]);
    let (one, two) = (house.session("/mcp/fix").await, house.session("/mcp/fix").await);
    two.call(1, "echo", json!({"message": "x"})).await;
    let mut stream = Stream::post(&house, "/mcp/fix", &one.id, &slow(5, "slow_progress")).await;
    let last = up_to_progress(&mut stream).await;
    let mut other = Stream::get(&house, "/mcp/fix", &two.id, &[("last-event-id", &last)]).await;
    // The stream is their own, and what comes on it is not the first one's.
    let heard = tokio::time::timeout(std::time::Duration::from_millis(1200), async {
        let mut heard = Vec::new();
        while let Some(message) = other.message().await {
            heard.push(message);
            if heard.len() > 20 {
                break;
            }
        }
        heard
    });
    if let Ok(heard) = heard.await {
        assert_eq!(heard, Vec::<Value>::new());
    }
    let (answer, before) = up_to_answer(&mut stream, 5).await;
    assert_eq!((text(&answer), before.len()), ("8 steps are done", 7));
    // Events of several servers on one route have no order that a client could come back to.
    let all = house.session("/mcp").await;
    let mut stream = Stream::post(&house, "/mcp", &all.id, &slow(7, "fix__slow_progress")).await;
    while let Some(event) = stream.event().await {
        assert!(event.id.is_none(), "{event:?}");
    }
}
