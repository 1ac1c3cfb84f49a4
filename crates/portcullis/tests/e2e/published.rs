//! The four published policies, byte for byte, in front of servers that have their tools.

use crate::house::{House, names, text};
use serde_json::json;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/data");

async fn ten_pass_and_the_eleventh_does_not(tool: &str, exposed: &str) {
    let policy = std::fs::read_to_string(format!("{POLICIES}/{tool}.json")).unwrap();
    let (house, _server) = House::fixture(&policy, &[]);
    for (path, name) in [("/mcp/fix", tool), ("/mcp", exposed)] {
        let session = house.session(path).await;
        let (list, _) = session.ask(1, "tools/list", json!({})).await;
        assert_eq!(names(&list, "tools"), [name], "only what can be called is listed");
        let other =
            session.call(2, if path == "/mcp" { "fix__echo" } else { "echo" }, json!({"message": "x"})).await;
        assert!(text(&other).starts_with("[POLICY DENIED]"), "{other}");
    }
    let session = house.session("/mcp/fix").await;
    // A minute may turn over in the middle: then more than ten pass in all, but never more than ten in one.
    let mut passed = 0;
    let denied = loop {
        let answer = session.call(10 + passed, tool, json!({})).await;
        if text(&answer).starts_with("[POLICY DENIED]") {
            break answer;
        }
        passed += 1;
        assert!(passed <= 20, "twenty calls passed in less than two minutes");
    };
    assert!(passed >= 10, "only {passed} calls passed");
    assert!(text(&denied).contains("resets at 2"), "{denied}");
    let retry = denied["result"]["_meta"]["portcullis/decision"]["retryAfterMs"].as_i64().unwrap();
    assert!((1..=60_000).contains(&retry), "{denied}");
    let row = denied["result"]["_meta"]["portcullis/decision"]["ledger"].as_u64().unwrap();
    let rows = house.rows(&["--outcome", "denied", "--tool", tool]);
    assert!(
        rows.iter().any(|found| found["n"] == row && found["rule"] == format!("/tools/{tool}/limits/0")),
        "{rows:?}"
    );
}

#[tokio::test]
async fn stop_background_is_limited_to_ten_a_minute() {
    ten_pass_and_the_eleventh_does_not("stopBackground", "fix__stopBackground").await;
}

#[tokio::test]
async fn stop_all_background_tasks_is_limited_to_ten_a_minute() {
    ten_pass_and_the_eleventh_does_not("stopAllBackgroundTasks", "fix__stopAllBackgroundTasks").await;
}

#[tokio::test]
async fn a_tool_with_a_dot_in_its_name_is_limited_like_any_other() {
    ten_pass_and_the_eleventh_does_not("gateway.tasks_cancel", "fix__gateway_tasks_cancel").await;
}
