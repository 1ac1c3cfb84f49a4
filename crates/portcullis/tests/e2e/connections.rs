//! Connections to servers: used again, and never cut under a call that was answered.

use crate::house::text;
use crate::in_flight::{MORE, Set};
use crate::stream::{Stream, modern, post_modern};
use serde_json::json;

/// Calls that a server answers in a stream of events, one after the other.
async fn calls(set: &Set, session: Option<&str>, ids: std::ops::Range<u64>) {
    for id in ids {
        let params = json!({"name": "slow_progress", "arguments": {"steps": 1, "ms": 0}, "_meta": {"progressToken": id}});
        let stream = match session {
            Some(session) => {
                let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
                Stream::post(&set.house, "/mcp/fix", session, &call).await
            }
            None => post_modern(&set.house, "/mcp/fix", modern(id, "tools/call", params, json!({}))).await,
        };
        let heard = stream.rest().await;
        assert_eq!((heard.len(), text(&heard[1])), (2, "1 steps are done"), "{heard:?}");
    }
}

async fn connections(set: &Set) -> u64 {
    set.seen().await["connections"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_are_answered_in_streams_share_a_few_connections() {
    for era in ["old", "new"] {
        let set = Set::http(era, MORE);
        let session = match era {
            "old" => Some(set.house.session("/mcp/fix").await.id),
            _ => None,
        };
        let session = session.as_deref();
        calls(&set, session, 1..2).await;
        let before = connections(&set).await;
        calls(&set, session, 1000..1200).await;
        let in_a_row = connections(&set).await - before;
        let all = (2..10).map(|n| calls(&set, session, n * 1000..n * 1000 + 50));
        futures_util::future::join_all(all).await;
        let at_once = connections(&set).await - before;
        // A call that comes before the end of the one before it takes another connection.
        assert!(in_a_row <= 8 && at_once <= 32, "{era}: {in_a_row} for 200 calls, {at_once} for 400 more");
        let seen = set.seen().await;
        let mut cut = seen["closedEarly"].as_array().unwrap().iter();
        // The gate's own listening may be cut: it listens anew after it looked whether the server is there.
        assert!(cut.all(|request| request["method"] == "subscriptions/listen"), "{era}: {seen}");
    }
}

#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let set = Set::http("old", MORE);
    let address = set.house.url.strip_prefix("http://").unwrap().to_owned();
    // One says nothing, one begins to say something that could be HTTP/2, one begins a head.
    let mut open = Vec::new();
    for said in ["", "PRI * HT", "POST /mcp HTTP/1.1\r\nhost: "] {
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        open.push((said, stream));
    }
    for (said, mut stream) in open {
        let ended = tokio::time::timeout(Duration::from_secs(30), async {
            let mut some = [0; 512];
            while stream.read(&mut some).await.is_ok_and(|read| read > 0) {}
        });
        ended.await.unwrap_or_else(|_| panic!("`{said}` holds its connection"));
    }
    // One that asked is kept, and used again.
    calls(&set, Some(&set.house.session("/mcp/fix").await.id), 1..3).await;
}
