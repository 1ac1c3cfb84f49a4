//! Cancelling exactly what was meant.

use crate::house::Plan;
use crate::house::{ALLOW_ALL, House, PATIENCE, fixture_http, seen};
use crate::in_flight::{MORE, Set};
use crate::stream::{modern, post_modern, until};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_five_hundred_calls_in_flight_exactly_the_hundred_cancelled_ones_end() {
    let (_one, first) = fixture_http(&["--extra"]);
    let (_two, second) = fixture_http(&["--extra"]);
    let upstreams = format!("  one: {{ url: \"{first}\" }}\n  two: {{ url: \"{second}\" }}");
    let more = "ledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = house.session("/mcp").await;
    let (session, house, first_url, second_url) = (&session, &house, &first, &second);
    // A fixed stride looks random to the servers and is the same in every run.
    let cancelled: HashSet<u64> = (0..100u64).map(|n| 1000 + (n * 137 + 11) % 500).collect();
    let chosen = &cancelled;
    let calls = (1000..1500u64).map(|id| async move {
        let tool = if id % 2 == 0 { "one__delay" } else { "two__delay" };
        let body = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": {"ms": 20_000, "label": format!("l{id}")}}});
        let (_, answer) = session.post(body.to_string()).await;
        (id, crate::house::messages(&answer).pop())
    });
    let cancels = async move {
        // At the servers, not only at the gate: one that is cancelled before it is sent is told to nobody.
        until("the arrival of all calls", || async {
            let (one, two) = (seen(house, first_url).await, seen(house, second_url).await);
            let arrived = one["calls"].as_array().unwrap().len() + two["calls"].as_array().unwrap().len();
            (arrived == 500).then_some(())
        })
        .await;
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        assert_eq!(status["runs"], json!(500));
        for id in chosen {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": "test"}});
            assert_eq!(session.post(note.to_string()).await.0, 202);
        }
    };
    let (answers, ()) = tokio::join!(join_all(calls), cancels);
    for (id, answer) in &answers {
        if cancelled.contains(id) {
            assert!(answer.is_none(), "{id} was cancelled and answered: {answer:?}");
        } else {
            let answer = answer.as_ref().unwrap_or_else(|| panic!("{id} got no answer"));
            assert_eq!(answer["id"], json!(id));
            assert_eq!(answer["result"]["content"][0]["text"], format!("l{id}"));
        }
    }
    // Each server was told of its own calls, under the ids that it knows.
    // The client's answer does not wait for the server to hear of it.
    let told = until("word of all cancellations", || async {
        let mut told = HashSet::new();
        for (url, parity) in [(first_url, 0), (second_url, 1)] {
            let seen = seen(house, url).await;
            let labels: std::collections::HashMap<String, u64> = seen["calls"]
                .as_array()
                .unwrap()
                .iter()
                .map(|call| {
                    (
                        call["id"].to_string(),
                        call["arguments"]["label"].as_str().unwrap()[1..].parse().unwrap(),
                    )
                })
                .collect();
            for note in seen["cancelled"].as_array().unwrap() {
                let id = labels[&note["requestId"].to_string()];
                assert_eq!(id % 2, parity);
                told.insert(id);
            }
        }
        (told.len() >= cancelled.len()).then_some(told)
    })
    .await;
    assert_eq!(told, cancelled);
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

async fn yields(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Of these calls, each one that reached the server was stopped there.
async fn assert_none_runs_on(set: &Set, cancelled: &HashSet<String>) {
    let running = || async {
        let seen = set.seen().await;
        let stopped: HashSet<String> =
            seen["stopped"].as_array().unwrap().iter().map(|it| it["requestId"].to_string()).collect();
        let mut arrived = seen["calls"].as_array().unwrap().iter().filter(|call| {
            call["arguments"]["label"].as_str().is_some_and(|label| cancelled.contains(label))
        });
        arrived.all(|call| stopped.contains(&call["id"].to_string())).then_some(())
    };
    until("the end of all that was cancelled", running).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_is_cancelled_while_it_is_sent_never_runs_on_behind_the_clients_back() {
    for set in [Set::http("old", MORE), Set::stdio("old", MORE)] {
        let session = &set.house.session("/mcp/fix").await;
        let mut dice = Dice(7);
        let mut cancelled = HashSet::new();
        for round in 0..3u64 {
            let first = 1000 * (round + 1);
            // Every fifth on average; how soon after its call each cancellation leaves is left to chance too.
            let calls: Vec<(u64, Option<u64>)> =
                (first..first + 500).map(|id| (id, (dice.roll(5) == 0).then(|| dice.roll(6)))).collect();
            let label = |id: u64| format!("l{id}");
            cancelled.extend(calls.iter().filter(|(_, soon)| soon.is_some()).map(|(id, _)| label(*id)));
            let answers = join_all(calls.into_iter().map(|(id, soon)| async move {
                let ms = if soon.is_some() { 60_000 } else { 500 };
                let call = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
                    "params": {"name": "delay", "arguments": {"ms": ms, "label": label(id)}}});
                let cancel = async {
                    let Some(soon) = soon else { return };
                    yields(soon).await;
                    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
                    assert_eq!(session.post(note.to_string()).await.0, 202);
                };
                let ((_, answer), ()) = tokio::join!(session.post(call.to_string()), cancel);
                (id, soon.is_some(), crate::house::messages(&answer).pop())
            }))
            .await;
            for (id, was_cancelled, answer) in answers {
                match answer {
                    None => assert!(was_cancelled, "{id} got no answer"),
                    Some(answer) => {
                        assert!(!was_cancelled, "{id} was cancelled and answered: {answer}");
                        assert_eq!((&answer["id"], crate::house::text(&answer)), (&json!(id), &*label(id)));
                    }
                }
            }
        }
        assert!(cancelled.len() > 200, "{}", cancelled.len());
        assert_none_runs_on(&set, &cancelled).await;
        let status: Value = serde_json::from_str(&set.house.run(&["status", "--json"]).1).unwrap();
        assert_eq!(status["runs"], json!(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_client_of_the_new_era_leaves_while_it_is_sent_never_runs_on_either() {
    for set in [Set::http("new", MORE), Set::stdio("new", MORE), Set::http("old", MORE)] {
        let house = &set.house;
        let mut dice = Dice(11);
        let calls: Vec<(u64, Option<u64>)> =
            (0..300).map(|id| (id, (dice.roll(3) == 0).then(|| dice.roll(6)))).collect();
        let label = |id: u64| format!("l{id}");
        let left = calls.iter().filter(|(_, soon)| soon.is_some()).map(|(id, _)| label(*id)).collect();
        join_all(calls.into_iter().map(|(id, soon)| async move {
            let ms = if soon.is_some() { 60_000 } else { 500 };
            let call = json!({"name": "delay", "arguments": {"ms": ms, "label": label(id)}});
            let asked = modern(id, "tools/call", call, json!({}));
            let answered = async { post_modern(house, "/mcp/fix", asked).await.whole().await };
            tokio::select! {
                answer = answered => {
                    assert!(soon.is_none(), "it was to wait: {answer}");
                    assert_eq!(crate::house::text(&answer), label(id));
                }
                () = yields(soon.unwrap_or_default()), if soon.is_some() => {}
            }
        }))
        .await;
        assert_none_runs_on(&set, &left).await;
    }
}

async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    use std::pin::Pin;
    use std::task::Poll;
    let mut waiting: Vec<(Option<T>, Pin<Box<_>>)> = futures.map(|future| (None, Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (done, future) in waiting.iter_mut().filter(|(done, _)| done.is_none()) {
            match future.as_mut().poll(context) {
                Poll::Ready(value) => *done = Some(value),
                Poll::Pending => open = true,
            }
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    waiting.into_iter().map(|(done, _)| done.unwrap()).collect()
}

#[tokio::test]
async fn a_hang_up_in_the_new_era_is_told_upstream_and_in_the_old_era_is_not() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let config = std::fs::read_to_string(house.folder.path().join("portcullis.yaml")).unwrap();
    let url = config.split('"').find(|part| part.starts_with("http://")).unwrap().to_owned();
    let session = house.session("/mcp/fix").await;
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "delay", "arguments": {"ms": 700, "label": "left"}}});
    let left =
        tokio::time::timeout(std::time::Duration::from_millis(200), session.post(call.to_string())).await;
    assert!(left.is_err());
    // The call goes on to its end and its outcome is recorded.
    let until = Instant::now() + PATIENCE;
    loop {
        let rows = house.rows(&["--tool", "delay"]);
        if let Some(row) = rows.iter().find(|row| row["kind"] == "outcome") {
            assert_eq!(row["outcome"], "allowed", "{row}");
            break;
        }
        assert!(Instant::now() < until, "{rows:?}");
    }
    assert_eq!(seen(&house, &url).await["cancelled"], json!([]));
}
