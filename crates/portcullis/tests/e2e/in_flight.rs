//! Calls under way: progress reaches its own caller, a cancellation its own call, and a client that leaves is
//! told to the server where leaving means that.

use crate::house::{ALLOW_ALL, Held, House, Plan, fixture, fixture_http, seen, text};
use crate::stream::{Stream, modern, outcome, post_modern, until};
use serde_json::{Value, json};

pub const MORE: &str = "ledger: { durability: process }";

/// A gate with one server behind it, on HTTP or on stdio, and how to ask that server what arrived.
pub struct Set {
    pub house: House,
    url: Option<String>,
    _server: Option<Held>,
}

impl Set {
    pub fn http(era: &str, more: &str) -> Self {
        let (server, url) = fixture_http(&["--extra", "--era", era]);
        let upstreams = format!("  fix: {{ url: \"{url}\" }}");
        let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
        Self { house, url: Some(url), _server: Some(server) }
    }

    pub fn stdio(era: &str, more: &str) -> Self {
        let upstreams = format!(
            "  fix: {{ command: \"{}\", args: [stdio, --extra, --era, {era}] }}",
            fixture().display()
        );
        let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
        Self { house, url: None, _server: None }
    }

    /// A house whose servers cannot be asked what arrived.
    pub fn of(house: House) -> Self {
        Self { house, url: None, _server: None }
    }

    pub fn is_http(&self) -> bool {
        self.url.is_some()
    }

    pub async fn seen(&self) -> Value {
        match &self.url {
            Some(url) => seen(&self.house, url).await,
            None => {
                let ask = modern(99, "tools/call", json!({"name": "calls_seen", "arguments": {}}), json!({}));
                let answer = post_modern(&self.house, "/mcp/fix", ask).await.whole().await;
                serde_json::from_str(text(&answer)).unwrap()
            }
        }
    }

    /// Waits until the server's tool has stopped; gives the server's own id of the call.
    async fn stopped(&self) -> Value {
        until("the end of the server's work", || async {
            let stopped = self.seen().await["stopped"].as_array().unwrap().clone();
            assert!(stopped.len() <= 1, "{stopped:?}");
            stopped.first().map(|stopped| stopped["requestId"].clone())
        })
        .await
    }

    async fn id_of(&self, tool: &str) -> Value {
        let seen = self.seen().await;
        let calls = seen["calls"].as_array().unwrap();
        calls.iter().find(|call| call["name"] == tool).unwrap_or_else(|| panic!("{seen}"))["id"].clone()
    }
}

fn slow(id: u64, tool: &str, steps: u64, ms: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params":
        {"name": tool, "arguments": {"steps": steps, "ms": ms}, "_meta": {"progressToken": "same"}}})
}

fn cancelled(id: u64) -> String {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id, "reason": "enough"}})
        .to_string()
}

#[tokio::test]
async fn equal_ids_of_two_clients_at_one_server_are_two_calls_and_a_cancellation_ends_its_own() {
    for set in [Set::http("old", MORE), Set::stdio("old", MORE)] {
        let house = &set.house;
        let (one, two) = (house.session("/mcp").await, house.session("/mcp").await);
        let mut first = Stream::post(house, "/mcp", &one.id, &slow(7, "fix__slow_progress", 600, 100)).await;
        let second = Stream::post(house, "/mcp", &two.id, &slow(7, "fix__slow_progress", 8, 100)).await;
        let progress = first.message().await.unwrap();
        assert_eq!(progress["params"]["progressToken"], "same", "{progress}");
        assert_eq!(one.post(cancelled(7)).await.0, 202);
        // The stream of the cancelled call ends, and without an answer.
        let rest = first.rest().await;
        assert!(rest.iter().all(|message| message["method"] == "notifications/progress"), "{rest:?}");
        let all = second.rest().await;
        let (answer, progress) = all.split_last().unwrap();
        assert_eq!((text(answer), &answer["id"]), ("8 steps are done", &json!(7)));
        assert_eq!(progress.len(), 8, "{progress:?}");
        // The server was told of one call, under the id that it has at the server, and stopped that one.
        let stopped = set.stopped().await;
        let seen = set.seen().await;
        let calls = seen["calls"].as_array().unwrap().iter();
        let ids: Vec<_> = calls.clone().map(|call| call["id"].clone()).collect();
        let told: Vec<_> =
            seen["cancelled"].as_array().unwrap().iter().map(|note| note["requestId"].clone()).collect();
        assert!(told == [stopped.clone()] && ids.contains(&stopped), "{seen}");
        let places: std::collections::HashSet<_> = calls
            .map(|call| (call["headers"]["mcp-session-id"].to_string(), call["id"].to_string()))
            .collect();
        assert_eq!(places.len(), ids.len(), "{seen}");
        let ended = outcome_of(house, "cancelled").await;
        assert_eq!((&ended["request"], &ended["message"]), (&json!("7"), &json!("enough")));
    }
}

async fn outcome_of(house: &House, outcome: &str) -> Value {
    until("the row", || async {
        house.rows(&["--outcome", outcome]).into_iter().find(|row| row["kind"] == "outcome")
    })
    .await
}

#[tokio::test]
async fn a_client_of_the_new_era_that_leaves_cancels_its_call_and_frees_its_place() {
    let sets = [
        ("new, HTTP", Set::http("new", "limits: { calls: 1 }\nledger: { durability: process }")),
        ("new, stdio", Set::stdio("new", MORE)),
        ("old, HTTP", Set::http("old", "limits: { calls: 1 }\nledger: { durability: process }")),
        ("old, stdio", Set::stdio("old", MORE)),
    ];
    for (what, set) in sets {
        let house = &set.house;
        let arguments = json!({"name": "slow_progress", "arguments": {"steps": 600, "ms": 100},
            "_meta": {"progressToken": "p"}});
        let mut call = post_modern(house, "/mcp/fix", modern(3, "tools/call", arguments, json!({}))).await;
        let progress = call.message().await.unwrap();
        assert_eq!(progress["params"]["progressToken"], "p", "{what}: {progress}");
        drop(call);
        let ended = outcome(house, "slow_progress").await;
        assert_eq!(
            (&ended["outcome"], &ended["message"], &ended["request"]),
            (&json!("cancelled"), &json!("the client closed the stream"), &json!("3")),
            "{what}"
        );
        // Its place is free: the bound is one call.
        let next =
            modern(4, "tools/call", json!({"name": "echo", "arguments": {"message": "free"}}), json!({}));
        assert_eq!(text(&post_modern(house, "/mcp/fix", next).await.whole().await), "free", "{what}");
        assert_eq!(set.stopped().await, set.id_of("slow_progress").await, "{what}");
        // How it was told depends on how that server is told.
        let seen = set.seen().await;
        let key = if what == "new, HTTP" { "closedEarly" } else { "cancelled" };
        let told = seen[key].as_array().unwrap().iter();
        // What the gate listens to on its own behalf is no call.
        let told = told.filter(|it| it["method"] != "subscriptions/listen");
        let told: Vec<_> = told.map(|it| it["requestId"].clone()).collect();
        assert_eq!(told, [set.id_of("slow_progress").await], "{what}: {seen}");
    }
}

#[tokio::test]
async fn a_client_of_the_old_era_that_leaves_cancels_nothing_and_the_deadline_still_holds() {
    for stdio in [false, true] {
        let how = |set: Set| {
            set.house.configure("fix: {", "fix: { timeout: 1s,");
            set
        };
        let mut set = how(if stdio { Set::stdio("old", MORE) } else { Set::http("old", MORE) });
        set.house.gate.as_mut().unwrap().terminate();
        set.house.up();
        let house = &set.house;
        let session = house.session("/mcp/fix").await;
        // One that ends by itself goes on to its end.
        let mut left = Stream::post(house, "/mcp/fix", &session.id, &slow(5, "slow_progress", 6, 100)).await;
        left.message().await.unwrap();
        drop(left);
        let ended = outcome(house, "slow_progress").await;
        assert_eq!((&ended["outcome"], &ended["request"]), (&json!("allowed"), &json!("5")), "{ended}");
        assert_eq!(set.seen().await["cancelled"], json!([]));
        // One that does not ends at its deadline, and the server is told.
        let call = json!({"jsonrpc": "2.0", "id": 6, "method": "tools/call",
            "params": {"name": "delay", "arguments": {"ms": 60_000, "label": "x"}}});
        let left =
            tokio::time::timeout(std::time::Duration::from_millis(200), session.post(call.to_string()));
        assert!(left.await.is_err());
        let ended = outcome(house, "delay").await;
        let why = "no answer within 1 s (upstreams.fix.timeout)";
        assert_eq!((&ended["outcome"], &ended["message"]), (&json!("error"), &json!(why)));
        assert_eq!(set.stopped().await, set.id_of("delay").await);
    }
}

#[tokio::test]
async fn a_server_that_hangs_keeps_no_caller_beyond_its_deadline_or_its_cancellation() {
    let (server, url) = fixture_http(&["--extra", "--era", "old"]);
    let upstreams = format!("  fix: {{ url: \"{url}\", timeout: 2s }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({"message": "up"})).await), "up");
    let pid = rustix::process::Pid::from_raw(server.child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    let waiting = session.call(2, "delay", json!({"ms": 1, "label": "x"}));
    let cancel = async {
        until("the call", || async {
            let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
            (status["runs"] == json!(2)).then_some(())
        })
        .await;
        assert_eq!(session.post(cancelled(3)).await.0, 202);
    };
    let stopped = async {
        let call = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call",
            "params": {"name": "delay", "arguments": {"ms": 1, "label": "y"}}});
        session.post(call.to_string()).await
    };
    let all = async { tokio::join!(waiting, stopped, cancel) };
    let (late, (status, body), ()) = tokio::time::timeout(crate::house::PATIENCE, all).await.unwrap();
    assert_eq!(late["error"]["message"], "no answer within 2 s (upstreams.fix.timeout)", "{late}");
    assert_eq!((status, body.len()), (202, 0), "a cancelled call is not answered");
    rustix::process::kill_process(pid, rustix::process::Signal::CONT).unwrap();
    assert_eq!(outcome_of(&house, "cancelled").await["request"], json!("3"));
}
