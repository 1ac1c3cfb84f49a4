//! Limits hold whatever a server does with what it was sent, and whatever a client takes back.

use crate::house::{House, Plan};
use crate::scripted::{Reply, Scripted};
use crate::stream::until;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const MORE: &str = "ledger: { durability: process }";

fn house(server: &Scripted, policy: &str) -> House {
    let upstreams = format!("  fix: {{ url: \"{}\" }}", server.url);
    House::build(&Plan { upstreams: &upstreams, policy, more: MORE })
}

#[tokio::test]
async fn a_notification_that_a_server_took_and_then_failed_at_counts() {
    let policy = "version: \"2\"\ndefault: deny\ntools: { work: {} }\nmethods: { notifications/custom: { limits: [{ counter: n, window: day, max: 2, scope: grant }] } }\n";
    for (what, reply) in [("500", Some(500)), ("503", Some(503)), ("no answer at all", None)] {
        let server = Scripted::start(&["work"], move |message, _| {
            (message["method"] == "notifications/custom").then_some(match reply {
                Some(status) => Reply::Status(status),
                None => Reply::Break,
            })
        })
        .await;
        let house = house(&server, policy);
        let session = house.session("/mcp/fix").await;
        for n in 0..8 {
            let notice = json!({"jsonrpc": "2.0", "method": "notifications/custom", "params": {"n": n}});
            session.post(notice.to_string()).await;
            // Each has ended before the next one is judged.
            until("its row", || async {
                let rows = house.rows(&[]);
                let ended = rows.iter().filter(|row| {
                    row["method"] == "notifications/custom"
                        && (row["kind"] == "outcome" || row["outcome"] == "denied")
                });
                (ended.count() > n).then_some(())
            })
            .await;
        }
        let sent = server.of("notifications/custom");
        let told: std::collections::BTreeSet<String> =
            sent.iter().map(|it| it["params"].to_string()).collect();
        assert_eq!(told.len(), 2, "{what}: {told:?}");
    }
}

#[tokio::test]
async fn calls_that_were_taken_back_still_count_where_a_server_goes_on_with_them() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Scripted::start(&["work"], {
        let (now, most) = (now.clone(), most.clone());
        move |message, _| {
            if message["method"] == "tools/call" {
                // It never ends.
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                return Some(Reply::Open(Vec::new()));
            }
            None
        }
    })
    .await;
    let policy =
        "version: \"2\"\ndefault: deny\ntools: { work: { limits: [{ concurrent: 2, scope: everyone }] } }\n";
    let house = house(&server, policy);
    let session = house.session("/mcp/fix").await;
    let mut refused = 0;
    for id in 0..10_u64 {
        let before = now.load(Ordering::Relaxed);
        let call = async {
            let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "work", "arguments": {"id": id}}});
            session.post(call.to_string()).await.1
        };
        let cancel = async {
            for _ in 0..50 {
                if now.load(Ordering::Relaxed) > before {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let notice =
                json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
            session.post(notice.to_string()).await;
        };
        tokio::select! {
            // A call that was cancelled has no answer.
            answer = call => if !answer.is_empty() {
                let answer = String::from_utf8_lossy(&answer);
                assert!(answer.contains("given up a moment ago"), "{answer}");
                refused += 1;
            },
            () = cancel => {}
        }
    }
    assert_eq!(refused, 6);
    assert_eq!(most.load(Ordering::Relaxed), 4, "twice what the limit allows");
}

#[tokio::test]
async fn calls_of_tools_that_are_not_there_do_not_have_a_server_listed_again_and_again() {
    let server = Scripted::start(&["work"], |_, _| None).await;
    let house = house(&server, "version: \"1\"\ndefault: deny\ntools: { work: {} }\n");
    let session = house.session("/mcp/fix").await;
    session.ask(1, "tools/list", json!({})).await;
    let (listed, started) = (server.of("tools/list").len(), std::time::Instant::now());
    for n in 0..60_u64 {
        let answer: Value = session.call(n + 2, &format!("nope{n}"), json!({})).await;
        assert!(answer.get("error").is_some() || answer["result"]["isError"] == true, "{answer}");
    }
    // One for each two seconds that have passed, and each kind of asker has its own list.
    let allowed = 2 * (1 + started.elapsed().as_secs() as usize / 2);
    let listed = server.of("tools/list").len() - listed;
    assert!(listed <= allowed, "{listed} lists, at most {allowed}");
}
