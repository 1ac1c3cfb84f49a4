//! What servers say outside of calls: who hears it.

use crate::house::{ALLOW_ALL, House, Plan, Session, TOKEN, fixture, fixture_http, text};
use crate::in_flight::MORE;
use crate::stream::{Stream, until};
use serde_json::{Value, json};
use std::time::Duration;

const WATCHED: &str = "test://watched-resource";

/// A gate in front of one process that all share.
fn shared(policy: &str) -> House {
    let upstreams =
        format!("  fix: {{ command: \"{}\", args: [stdio, --extra, --era, old] }}", fixture().display());
    House::build(&Plan { upstreams: &upstreams, policy, more: MORE })
}

/// What a session's own stream brings until it is quiet: that nothing more comes can only be waited for.
async fn heard(stream: &mut Stream) -> Vec<Value> {
    let mut all = Vec::new();
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(400), stream.message()).await {
        all.push(message);
    }
    all
}

async fn subscribe(session: &Session<'_>, method: &str) -> Value {
    let prefix = if session.path == "/mcp" { "fix+" } else { "" };
    session.ask(50, &format!("resources/{method}"), json!({"uri": format!("{prefix}{WATCHED}")})).await.0
}

#[tokio::test]
async fn an_updated_resource_of_a_shared_process_is_told_to_those_who_subscribed_it() {
    let house = shared(ALLOW_ALL);
    let (one, two) = (house.session("/mcp/fix").await, house.session("/mcp/fix").await);
    let (all, none) = (house.session("/mcp").await, house.session("/mcp/fix").await);
    let mut streams = Vec::new();
    for session in [&one, &two, &all, &none] {
        streams.push(Stream::get(&house, &session.path, &session.id, &[]).await);
    }
    for session in [&one, &two, &all] {
        assert_eq!(subscribe(session, "subscribe").await["result"], json!({}));
    }
    let updated = |uri: &str| json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": {"uri": uri}});
    let (own, exposed) = (updated(WATCHED), updated(&format!("fix+{WATCHED}")));
    none.call(1, "touch", json!({})).await;
    for (stream, told) in streams.iter_mut().zip([Some(&own), Some(&own), Some(&exposed), None]) {
        // The server tells once for each subscription that it has; to hear it twice does no harm.
        let mut heard = heard(stream).await;
        heard.dedup();
        assert_eq!(heard.iter().collect::<Vec<_>>(), Vec::from_iter(told));
    }
    // One who unsubscribes takes it from nobody else.
    assert_eq!(subscribe(&one, "unsubscribe").await["result"], json!({}));
    none.call(2, "touch", json!({})).await;
    for (stream, told) in streams.iter_mut().zip([None, Some(&own), Some(&exposed), None]) {
        let mut heard = heard(stream).await;
        heard.dedup();
        assert_eq!(heard.iter().collect::<Vec<_>>(), Vec::from_iter(told));
    }
}

/// Ends the one server and waits until the gate has started it again.
async fn restart(house: &House) {
    let server = || house.status()["upstreams"][0].clone();
    let before = server()["pid"].clone();
    let pid = rustix::process::Pid::from_raw(before.as_i64().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    until("the next start", || async {
        let now = server();
        (now["state"] == "ready" && now["pid"].is_u64() && now["pid"] != before).then_some(())
    })
    .await;
}

/// Waits for so many subscriptions on record that ended so; gives whose they were.
async fn subscriptions(house: &House, kind: &str, outcome: &str, count: usize) -> Vec<Value> {
    until("the subscriptions' rows", || async {
        let rows = house.rows(&["--outcome", outcome, "--limit", "1000"]);
        let all = rows.iter().filter(|row| row["kind"] == kind && row["method"] == "resources/subscribe");
        let grants: Vec<_> = all.map(|row| row["grant"].clone()).collect();
        assert!(grants.len() <= count, "{rows:?}");
        (grants.len() == count).then_some(grants)
    })
    .await
}

#[tokio::test]
async fn what_a_session_watches_at_a_shared_process_is_watched_again_when_that_was_restarted() {
    let house = shared(ALLOW_ALL);
    let (one, all) = (house.session("/mcp/fix").await, house.session("/mcp").await);
    let mut streams = Vec::new();
    for session in [&one, &all] {
        streams.push(Stream::get(&house, &session.path, &session.id, &[]).await);
        assert_eq!(subscribe(session, "subscribe").await["result"], json!({}));
    }
    subscriptions(&house, "outcome", "allowed", 2).await;
    restart(&house).await;
    // Once for the grant, as part of the record.
    subscriptions(&house, "outcome", "allowed", 3).await;
    let other = house.session("/mcp/fix").await;
    other.call(1, "touch", json!({})).await;
    for (stream, uri) in streams.iter_mut().zip([WATCHED.to_owned(), format!("fix+{WATCHED}")]) {
        let mut message = stream.message().await.unwrap();
        // The restart itself may change lists.
        while message["method"] != "notifications/resources/updated" {
            message = stream.message().await.unwrap();
        }
        assert_eq!(message["params"], json!({ "uri": uri }));
    }
}

#[tokio::test]
async fn what_the_policy_does_not_permit_any_more_is_not_watched_again() {
    let command = format!("{{ command: \"{}\", args: [stdio, --extra, --era, old] }}", fixture().display());
    let house = two_grants(&command, ALLOW_ALL, ALLOW_ALL);
    let may = house.session("/mcp/fix").await;
    let may_not = house.session_of(&format!("{TOKEN}-u"), "/mcp/fix").await;
    let mut told = Stream::get(&house, "/mcp/fix", &may.id, &[]).await;
    let mut untold = Stream::get_as(&house, &format!("{TOKEN}-u"), "/mcp/fix", &may_not.id).await;
    for session in [&may, &may_not] {
        assert_eq!(subscribe(session, "subscribe").await["result"], json!({}));
    }
    std::fs::write(
        house.folder.path().join("q.yaml"),
        "version: \"1\"\ndefault: deny\ntools: { echo: {} }\n",
    )
    .unwrap();
    assert_eq!(house.run(&["reload"]).0, 0);
    restart(&house).await;
    assert_eq!(subscriptions(&house, "decision", "denied", 1).await, [json!("u")]);
    subscriptions(&house, "outcome", "allowed", 3).await;
    may.call(1, "touch", json!({})).await;
    let of_resources = |all: Vec<Value>| {
        all.iter().filter(|message| message["method"] == "notifications/resources/updated").count()
    };
    assert_eq!(of_resources(heard(&mut told).await), 1);
    assert_eq!(of_resources(heard(&mut untold).await), 0);
}

/// A gate with two grants: `t`, and `u` under a policy of its own.
fn two_grants(upstream: &str, first: &str, second: &str) -> House {
    let mut house = House::empty();
    let config = format!(
        "listen: 127.0.0.1:0\nupstreams:\n  fix: {upstream}\npolicies: {{ p: p.yaml, q: q.yaml }}\n{MORE}\ngrants:\n  \
         t: {{ token: \"${{env:TEST_TOKEN}}\", upstreams: {{ \"*\": p }} }}\n  \
         u: {{ token: \"${{file:u.token}}\", upstreams: {{ \"*\": q }} }}\n"
    );
    std::fs::write(house.folder.path().join("portcullis.yaml"), config).unwrap();
    std::fs::write(house.folder.path().join("p.yaml"), first).unwrap();
    std::fs::write(house.folder.path().join("q.yaml"), second).unwrap();
    std::fs::write(house.folder.path().join("u.token"), format!("{TOKEN}-u")).unwrap();
    house.up();
    house
}

#[tokio::test]
async fn a_subscription_that_was_denied_hears_nothing_of_the_others() {
    let command = format!("{{ command: \"{}\", args: [stdio, --extra, --era, old] }}", fixture().display());
    let denies = "version: \"1\"\ndefault: deny\ntools: { echo: {} }\n";
    let house = two_grants(&command, ALLOW_ALL, denies);
    let may = house.session("/mcp/fix").await;
    let may_not = house.session_of(&format!("{TOKEN}-u"), "/mcp/fix").await;
    let mut told = Stream::get(&house, "/mcp/fix", &may.id, &[]).await;
    let mut untold = Stream::get_as(&house, &format!("{TOKEN}-u"), "/mcp/fix", &may_not.id).await;
    assert_eq!(subscribe(&may_not, "subscribe").await["error"]["code"], json!(-31403));
    assert_eq!(subscribe(&may, "subscribe").await["result"], json!({}));
    may.call(1, "touch", json!({})).await;
    assert_eq!(told.message().await.unwrap()["method"], "notifications/resources/updated");
    assert_eq!(heard(&mut untold).await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_changed_list_is_told_to_those_whose_own_view_of_it_changed() {
    let command = format!("{{ command: \"{}\", args: [stdio, --extra, --era, old] }}", fixture().display());
    let (_server, url) = fixture_http(&["--extra", "--era", "old"]);
    // The second grant does not see the tool that changes.
    let hides = "version: \"1\"\ndefault: allow\nhide: [echo]\n";
    for upstream in [command, format!("{{ url: \"{url}\" }}")] {
        let house = two_grants(&upstream, ALLOW_ALL, hides);
        let sees = house.session("/mcp/fix").await;
        let sees_not = house.session_of(&format!("{TOKEN}-u"), "/mcp/fix").await;
        sees.ask(1, "tools/list", json!({})).await;
        sees_not.ask(1, "tools/list", json!({})).await;
        let mut told = Stream::get(&house, "/mcp/fix", &sees.id, &[]).await;
        let mut untold = Stream::get_as(&house, &format!("{TOKEN}-u"), "/mcp/fix", &sees_not.id).await;
        heard(&mut told).await;
        heard(&mut untold).await;
        sees.call(2, "mutate", json!({})).await;
        assert_eq!(told.message().await.unwrap()["method"], "notifications/tools/list_changed");
        assert_eq!(heard(&mut untold).await, Vec::<Value>::new());
        // A rule that takes a tool away is a change for those whom it concerns.
        std::fs::write(house.folder.path().join("q.yaml"), hides.replace("[echo]", "[echo, delay]")).unwrap();
        assert_eq!(house.run(&["reload"]).0, 0);
        assert_eq!(untold.message().await.unwrap()["method"], "notifications/tools/list_changed");
        assert_eq!(heard(&mut told).await, Vec::<Value>::new());
    }
}

/// Calls the tool that says three lines at level info; gives how many of them reached the client.
async fn lines(session: &Session<'_>, stream: &mut Stream, tool: &str) -> usize {
    let (answer, before) = session.ask(9, "tools/call", json!({"name": tool, "arguments": {}})).await;
    assert!(text(&answer).contains("is done"), "{answer}");
    let outside = heard(stream).await;
    before.iter().chain(&outside).filter(|message| message["method"] == "notifications/message").count()
}

#[tokio::test]
async fn a_log_level_holds_at_every_server_of_the_session_also_at_one_that_is_opened_later() {
    let (_one, first) = fixture_http(&["--era", "old"]);
    let (_two, second) = fixture_http(&["--era", "old"]);
    let own = format!("{{ command: \"{}\", args: [stdio, --era, old], per: session }}", fixture().display());
    let upstreams = format!("  one: {{ url: \"{first}\" }}\n  two: {{ url: \"{second}\" }}\n  own: {own}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = house.session("/mcp").await;
    let mut stream = Stream::get(&house, "/mcp", &session.id, &[]).await;
    // `one` is open before the level is set, the others are opened after it.
    assert_eq!(lines(&session, &mut stream, "one__test_tool_with_logging").await, 3);
    let set = |level: &str| session.ask(8, "logging/setLevel", json!({"level": level}));
    for (level, count) in [("error", 0), ("debug", 3), ("warning", 0), ("info", 3)] {
        assert_eq!(set(level).await.0["result"], json!({}));
        for upstream in ["one", "two", "own"] {
            let tool = format!("{upstream}__test_tool_with_logging");
            assert_eq!(lines(&session, &mut stream, &tool).await, count, "{upstream} at {level}");
        }
    }
    assert_eq!(set("loud").await.0["error"]["code"], json!(-32602));
    // Each server was told as part of the record.
    until("the rows", || async {
        let rows = house.rows(&["--limit", "1000"]);
        let told = |upstream: &str| {
            rows.iter()
                .filter(|row| {
                    row["method"] == "logging/setLevel"
                        && row["upstream"] == upstream
                        && row["kind"] == "decision"
                })
                .count()
        };
        (told("one") >= 4 && told("two") >= 4 && told("own") >= 4).then_some(())
    })
    .await;
}
