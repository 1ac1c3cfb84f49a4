//! Calls to a server that is still starting: on `/mcp`, because a session with one server waits for it to begin with.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture, fixture_http, text};
use crate::stream::{modern, outcome, post_modern, until};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A gate in front of a server `slow` that starts once there is a file `go` in the folder, and of these others.
fn gated(others: &str) -> (House, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    // It ends with the test, which takes the folder along.
    let script = format!(
        "while [ ! -e {at}/go ]; do [ -d {at} ] || exit; sleep 0.02; done; exec {} stdio --extra --era old",
        fixture().display()
    );
    let upstreams = format!("  slow: {{ command: sh, args: [-c, \"{script}\"] }}\n{others}");
    let more = "limits: { first_connect: 60s }\nledger: { durability: process }";
    (House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more }), folder)
}

fn call(id: u64, tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": {"message": "late"}}})
}

/// Waits until so many calls are in flight.
async fn in_flight(house: &House, runs: u64) {
    until("the calls", || async { (house.status()["runs"] == json!(runs)).then_some(()) }).await;
}

/// The row of a call that was cancelled before it was judged.
async fn cancelled(house: &House) -> Value {
    until("the row", || async { house.rows(&["--outcome", "cancelled"]).pop() }).await
}

#[tokio::test]
async fn a_call_of_the_old_era_goes_on_when_its_client_leaves_before_the_server_is_there() {
    let (house, folder) = gated("");
    let session = house.session("/mcp").await;
    tokio::select! {
        answer = session.post(call(1, "slow__echo").to_string()) => panic!("it was to wait: {answer:?}"),
        () = in_flight(&house, 1) => {}
    }
    assert_eq!(house.status()["runs"], json!(1));
    std::fs::write(folder.path().join("go"), "").unwrap();
    let ended = outcome(&house, "echo").await;
    assert_eq!((&ended["outcome"], &ended["request"]), (&json!("allowed"), &json!("1")), "{ended}");
    let seen = session.call(2, "slow__calls_seen", json!({})).await;
    let seen: Value = serde_json::from_str(text(&seen)).unwrap();
    assert_eq!(seen["calls"][0]["arguments"]["message"], "late", "{seen}");
}

#[tokio::test]
async fn a_cancellation_ends_the_wait_for_a_server_that_is_starting() {
    let (house, _folder) = gated("");
    let session = house.session("/mcp").await;
    let cancel = async {
        in_flight(&house, 1).await;
        let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": 1, "reason": "enough"}});
        assert_eq!(session.post(note.to_string()).await.0, 202);
    };
    let both = async { tokio::join!(session.post(call(1, "slow__echo").to_string()), cancel) };
    let ((status, body), ()) = tokio::time::timeout(PATIENCE, both).await.expect("it waited on");
    assert_eq!((status, body.len()), (202, 0), "a cancelled call is not answered");
    let row = cancelled(&house).await;
    assert_eq!(
        (&row["rule"], &row["message"], &row["tool"], &row["request"], &row["upstream"]),
        (&json!("(cancelled)"), &json!("enough"), &json!("echo"), &json!("1"), &json!("slow")),
        "{row}"
    );
    assert_eq!(house.status()["runs"], json!(0));
}

#[tokio::test]
async fn a_client_of_the_new_era_that_leaves_ends_the_wait_for_a_server_that_is_starting() {
    let (house, _folder) = gated("");
    let params = json!({"name": "echo", "arguments": {"message": "late"}});
    let asked = modern(1, "tools/call", params, json!({}));
    tokio::select! {
        _ = post_modern(&house, "/mcp/slow", asked) => panic!("it was to wait"),
        () = in_flight(&house, 1) => {}
    }
    let row = cancelled(&house).await;
    let why = "the client closed the stream";
    assert_eq!((&row["message"], &row["tool"]), (&json!(why), &json!("echo")), "{row}");
    in_flight(&house, 0).await;
}

#[tokio::test]
async fn a_server_that_is_starting_keeps_no_call_to_another_one_waiting() {
    let (_server, url) = fixture_http(&["--extra"]);
    let (house, folder) = gated(&format!("  fix: {{ url: \"{url}\" }}"));
    let session = house.session("/mcp").await;
    let late = session.post(call(1, "slow__echo").to_string());
    let others = async {
        in_flight(&house, 1).await;
        let answer = session.call(2, "fix__echo", json!({"message": "soon"}));
        let answer = tokio::time::timeout(PATIENCE, answer).await.expect("it waited for the other server");
        assert_eq!(text(&answer), "soon");
        std::fs::write(folder.path().join("go"), "").unwrap();
    };
    let ((_, answer), ()) = tokio::join!(late, others);
    assert_eq!(text(&crate::house::messages(&answer)[0]), "late");
}

#[tokio::test]
async fn who_comes_as_soon_as_the_gate_is_ready_finds_the_grant_that_its_first_start_makes() {
    for _ in 0..5 {
        let mut house = House::empty();
        let write = |name: &str, text: &str| std::fs::write(house.folder.path().join(name), text).unwrap();
        write("portcullis.yaml", "listen: 127.0.0.1:0\ndata: data\npolicies: { p: p.yaml }\n");
        write("p.yaml", "version: \"2\"\ndefault: deny\n");
        house.up();
        let (code, _, err) = house.run(&["stdio"]);
        assert_eq!(code, 0, "{err}");
    }
}
