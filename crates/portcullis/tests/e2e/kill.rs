//! The plug is pulled.

use crate::house::{House, PATIENCE, Plan, fixture_http, seen};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Rounds here; the long check runs more by setting the variable.
fn rounds() -> u32 {
    std::env::var("KILL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_under_load_every_call_that_was_seen_has_its_decision_and_no_counter_goes_back() {
    let policy = "version: \"1\"\ndefault: deny\ntools:\n  echo:\n    limits: [{ counter: echoes, window: day, max: 100000, scope: grant }]\n";
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }";
    let mut house = House::build(&Plan { upstreams: &upstreams, policy, more });
    let mut counted = 0;
    let mut reached = HashSet::new();
    for round in 0..rounds() {
        if round > 0 {
            house.up();
        }
        {
            let house = &house;
            let answered = AtomicU32::new(0);
            let answered = &answered;
            let worker = |number: u32| async move {
                let Some(session) = try_session(house).await else { return };
                for call in 0..1000u32 {
                    let body = json!({"jsonrpc": "2.0", "id": call, "method": "tools/call", "params":
                        {"name": "echo", "arguments": {"message": format!("{round}-{number}-{call}")}}});
                    let answer =
                        tokio::time::timeout(Duration::from_secs(5), post(house, &session, body.to_string()))
                            .await;
                    if !matches!(answer, Ok(Some(_))) {
                        return;
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            };
            let killer = async {
                let until = Instant::now() + PATIENCE;
                while answered.load(Ordering::Relaxed) < 20 {
                    assert!(Instant::now() < until, "round {round}: no load");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                // At another moment in each round.
                tokio::time::sleep(Duration::from_millis(u64::from(round) * 37 % 400)).await;
                let pid = house.gate.as_ref().unwrap().child.id();
                rustix::process::kill_process(
                    rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
                    rustix::process::Signal::KILL,
                )
                .unwrap();
            };
            tokio::join!(worker(0), worker(1), worker(2), worker(3), killer);
        }
        house.gate.as_mut().unwrap().kill();
        let (code, out, err) = house.run(&["ledger", "verify"]);
        assert_eq!(code, 0, "round {round}: {out}{err}");
        let used = counter(&house);
        assert!(used >= counted, "round {round}: the counter went back from {counted} to {used}");
        counted = used;
        // In each round: the server remembers only so many.
        let seen = seen(&house, &url).await;
        let messages = seen["calls"].as_array().unwrap().iter().map(|call| &call["arguments"]["message"]);
        reached.extend(messages.map(|message| message.as_str().unwrap().to_owned()));
    }
    let decided: HashSet<String> = house
        .rows(&["--tool", "echo", "--outcome", "allowed"])
        .iter()
        .filter(|row| row["kind"] == "decision")
        .map(|row| row["args"]["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(reached.len() > 50, "only {} calls: no load", reached.len());
    for message in &reached {
        assert!(decided.contains(message), "{message} reached the upstream without a decision");
    }
    assert!(counted >= i64::try_from(reached.len()).unwrap(), "{counted} counted, {} seen", reached.len());
}

fn counter(house: &House) -> i64 {
    let conn = rusqlite::Connection::open(house.folder.path().join("data/ledger.db")).unwrap();
    let used: String =
        conn.query_row("SELECT used FROM counters WHERE counter = 'echoes'", [], |row| row.get(0)).unwrap();
    used.parse().unwrap()
}

async fn try_session(house: &House) -> Option<String> {
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params":
        {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let (head, _) = send(house, None, body.to_string()).await?;
    head.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned())
}

async fn post(house: &House, session: &str, body: String) -> Option<Value> {
    let (_, body) = send(house, Some(session), body).await?;
    crate::house::messages(&body).pop()
}

async fn send(
    house: &House,
    session: Option<&str>,
    body: String,
) -> Option<(hyper::HeaderMap, bytes::Bytes)> {
    use http_body_util::BodyExt;
    let mut request = hyper::Request::builder()
        .method("POST")
        .uri(format!("{}/mcp/fix", house.url))
        .header("authorization", format!("Bearer {}", crate::house::TOKEN))
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if let Some(session) = session {
        request = request.header("mcp-session-id", session);
    }
    let response = house.client.request(request.body(body.into()).unwrap()).await.ok()?;
    let (head, body) = response.into_parts();
    Some((head.headers, body.collect().await.ok()?.to_bytes()))
}
