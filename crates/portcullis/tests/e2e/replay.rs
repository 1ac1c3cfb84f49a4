//! `portcullis policy replay`: what was recorded, judged by another policy.

use crate::house::{House, text};
use crate::stream::open_session;
use crate::tasks::{ask_old, make_old};
use serde_json::{Value, json};

const THEN: &str = "version: \"2\"
default: deny
tools:
  echo: {}
  count: { deny_if: [{ conditions: [] }] }
  create_charge: { redact: [args.currency] }
";

const NEW: &str = "version: \"2\"
default: deny
hide: [delay]
tools:
  echo:
    deny_if: [{ conditions: [{ path: args.message, op: starts_with, value: pay }] }]
    limits: [{ counter: echoes, window: day, max: 3, scope: grant }]
  count: {}
  create_charge: { hold_if: [{ conditions: [{ path: args.amount, op: gt, value: 10 }] }] }
";

#[tokio::test]
async fn recorded_calls_are_judged_by_a_policy_that_was_not_in_force() {
    let (mut house, _server) = House::fixture(THEN, &[]);
    let session = house.session("/mcp/fix").await;
    for (id, what) in [(1, "a"), (2, "pay rent"), (3, "b"), (4, "pay wages"), (5, "c"), (6, "d")] {
        assert_eq!(text(&session.call(id, "echo", json!({ "message": what })).await), what);
    }
    session.call(7, "count", json!({})).await;
    session.call(8, "delay", json!({ "ms": 1, "label": "l" })).await;
    session.call(9, "no_such_tool", json!({})).await;
    session.call(10, "create_charge", json!({ "amount": 50, "currency": "chf" })).await;
    drop(session);
    // No gate need run.
    house.gate.take().unwrap().terminate();
    std::fs::write(house.folder.path().join("new.yaml"), NEW).unwrap();
    let (code, out, err) = house.run(&["policy", "replay", "new.yaml", "--since", "1h", "--json"]);
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    let counts = ["calls", "same", "changed", "unknown", "others"].map(|name| said[name].as_u64().unwrap());
    assert_eq!(counts, [10, 3, 5, 1, 1], "{said}");
    let changes: Vec<String> = said["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let word = |name: &str| one[name].as_str().unwrap().to_owned();
            format!("{} {}→{} {} {}", word("tool"), word("from"), word("to"), word("rule_to"), one["count"])
        })
        .collect();
    assert_eq!(
        changes,
        [
            "count denied→allowed  1",
            "delay denied→hidden (hidden) 1",
            "echo allowed→denied /tools/echo/deny_if/0 2",
            "echo allowed→denied /tools/echo/limits/0 1",
        ]
    );
    assert_eq!(said["changes"][2]["example"]["args"], json!({ "message": "pay rent" }));
    let (_, out, _) = house.run(&["policy", "replay", "new.yaml"]);
    assert!(out.contains("fix echo: allowed → denied by /tools/echo/deny_if/0, 2 calls\n"), "{out}");
    assert!(out.contains("10 decisions: 3 the same, 5 otherwise\n1 cannot be told"), "{out}");
    // As it was, it comes out as it did.
    let (_, out, _) = house.run(&["policy", "replay", "policy.yaml", "--upstream", "fix", "--grant", "t"]);
    assert!(out.starts_with("10 decisions: 9 the same, 0 otherwise\n"), "{out}");
    let (code, _, err) = house.run(&["policy", "replay", "new.yaml", "--since", "lately"]);
    assert!(code == 2 && err.contains("--since: expected a time"), "{err}");
}

#[tokio::test]
async fn looking_after_a_task_was_decided_with_the_call_that_made_it() {
    let policy = "version: \"2\"\ndefault: deny\ntools:\n  slow_compute: {}\n";
    let (house, _server) = House::fixture(policy, &[]);
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let task = make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 0 })).await;
    let got = ask_old(&house, "/mcp/fix", &session, "tasks/get", json!({ "taskId": task["taskId"] })).await;
    assert_eq!(got["result"]["taskId"], task["taskId"], "{got}");
    let (_, out, _) = house.run(&["policy", "replay", "policy.yaml"]);
    assert_eq!(
        out,
        "2 decisions: 1 the same, 0 otherwise\n1 were no policy's: unknown tools, changed definitions, drops, looks at tasks and the like\n"
    );
}

/// What a person said is no judgement of the policy: the policy that left the call to one judges as it did.
#[tokio::test]
async fn what_a_person_decided_is_no_change_of_the_policy() {
    let policy = "version: \"2\"\ndefault: deny\ntools:\n  echo: { hold_if: [{ conditions: [] }] }\n";
    let (house, _server) = House::fixture(policy, &[]);
    let session = house.session("/mcp/fix").await;
    for (id, verb) in [(1, "deny"), (2, "approve")] {
        let call = session.call(id, "echo", json!({ "message": verb }));
        let decided = async {
            let one = crate::approvals::one_that_waits(&house).await;
            assert_eq!(house.run(&["approvals", verb, one["id"].as_str().unwrap()]).0, 0);
        };
        let (answer, ()) = tokio::join!(call, decided);
        assert_eq!(answer["result"]["isError"].as_bool().unwrap_or(false), verb == "deny", "{answer}");
    }
    let (code, out, err) = house.run(&["policy", "replay", "policy.yaml", "--since", "1h", "--json"]);
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["changed"], &said["same"]), (&json!(0), &said["calls"]), "{said}");
}
