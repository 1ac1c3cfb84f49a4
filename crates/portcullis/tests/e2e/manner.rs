//! Rules that are only tried, what is covered, and when a call is ended.

use crate::house::{House, PATIENCE, Plan, fixture, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn rules(rules: &str) -> String {
    format!("version: \"2\"\ndefault: deny\ntools:\n{rules}")
}

fn decision(house: &House, tool: &str) -> Value {
    house.rows(&["--tool", tool]).into_iter().rfind(|row| row["kind"] == "decision").unwrap()
}

#[tokio::test]
async fn a_rule_that_is_only_tried_lets_pass_and_the_record_says_what_it_would_have_done() {
    let policy = rules(
        "  echo: {}
  ec*:
    shadow: true
    deny_if: [{ conditions: [{ path: args.message, op: starts_with, value: pay }], on_deny: Nobody pays. }]
    limits: [{ counter: c, window: day, max: 1, scope: grant }]
  count: { deny_if: [{ conditions: [] }] }
",
    );
    let (house, _server) = House::fixture(&policy, &[]);
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "hello" })).await), "hello");
    assert_eq!(decision(&house, "echo")["rule"], Value::Null);
    assert_eq!(text(&session.call(2, "echo", json!({ "message": "pay me" })).await), "pay me");
    let row = decision(&house, "echo");
    assert_eq!((&row["outcome"], &row["rule"]), (&json!("allowed"), &json!("(shadow) /tools/ec*/deny_if/0")));
    assert_eq!(row["message"], "would be denied: Nobody pays.");
    session.call(3, "echo", json!({ "message": "hello" })).await;
    let row = decision(&house, "echo");
    assert_eq!((&row["outcome"], &row["rule"]), (&json!("allowed"), &json!("(shadow) /tools/ec*/limits/0")));
    assert!(row["message"].as_str().unwrap().starts_with("would be denied: The limit of 1 per day"), "{row}");

    // All rules of a grant are tried; what the default denies is denied all the same.
    let (_, out, _) = house.run(&["grant", "add", "new", "--upstream", "*=p", "--shadow", "--json"]);
    let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let tried = house.session_of(&token, "/mcp/fix").await;
    assert!(
        text(&tried.call(1, "echo", json!({ "message": "x" })).await).contains("not permitted by policy")
    );
    std::fs::write(
        house.folder.path().join("policy.yaml"),
        policy.replace("default: deny", "default: allow"),
    )
    .unwrap();
    assert_eq!(house.run(&["reload"]).0, 0);
    assert_eq!(text(&tried.call(2, "count", json!({})).await), "1");
    assert_eq!(decision(&house, "count")["rule"], "(shadow) /tools/count/deny_if/0");
    assert!(text(&session.call(4, "count", json!({})).await).starts_with("[POLICY DENIED]"));
}

#[tokio::test]
async fn what_is_covered_is_neither_in_the_record_nor_in_the_answer() {
    let policy = rules(
        "  echo:
    redact: ['args.message:/card \\d+/', 'result.content[*].text:/card \\d+/']
    redact_result: true
  delay: { redact: [args.label] }
  create_charge:
    redact: [args.currency]
    hold_if: [{ conditions: [] }]
",
    );
    let (house, _server) = House::fixture(&policy, &[]);
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "echo", json!({ "message": "my card 4111 is \"mine\"" })).await;
    assert_eq!(text(&answer), "my [redacted] is \"mine\"");
    assert_eq!(decision(&house, "echo")["args"], json!({ "message": "my [redacted] is \"mine\"" }));
    // What is covered for the record alone comes back whole.
    let answer = session.call(2, "delay", json!({ "ms": 1, "label": "a b c" })).await;
    assert_eq!(text(&answer), "a b c");
    assert_eq!(decision(&house, "delay")["args"], json!({ "ms": 1, "label": "[redacted]" }));
    // Who decides does not see it either, and says so or asks for it.
    let charge = session.call(3, "create_charge", json!({ "amount": 5, "currency": "chf" }));
    let person = async {
        for _ in 0..400 {
            let (_, out, _) = house.run(&["approvals", "--json"]);
            if let Some(line) = out.lines().next() {
                let one: Value = serde_json::from_str(line).unwrap();
                assert_eq!(one["args"], json!({ "amount": 5, "currency": "[redacted]" }));
                let id = one["id"].as_str().unwrap();
                let (code, _, err) = house.run(&["approvals", "approve", id]);
                assert!(code == 1 && err.contains("1 part of the arguments is not shown"), "{err}");
                let (code, shown, err) = house.run(&["approvals", "show", id, "--reveal"]);
                assert!(code == 0 && shown.contains("\"currency\": \"chf\""), "{shown}{err}");
                assert_eq!(house.run(&["approvals", "approve", id]).0, 0);
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing waits");
    };
    let (answer, ()) = tokio::join!(charge, person);
    assert!(text(&answer).contains("chf"), "{answer}");
}

#[tokio::test]
async fn a_call_is_ended_when_the_policy_says_and_goes_on_while_it_makes_progress() {
    let policy = rules(
        "  delay: { stop_after: 300ms }
  slow_progress: { stop_after: 1s, extend_on_progress: true }
",
    );
    let (house, _server) = House::fixture(&policy, &[]);
    let session = house.session("/mcp/fix").await;
    let began = Instant::now();
    let late = session.call(1, "delay", json!({ "ms": 20_000, "label": "l" })).await;
    assert_eq!(late["error"]["code"], -31504, "{late}");
    let said = late["error"]["message"].as_str().unwrap();
    assert!(said.contains("no answer within 0.3 s (/tools/delay/stop_after)"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(15));
    // It takes longer than its time, and never as long without a word.
    let params = json!({ "name": "slow_progress", "arguments": { "steps": 6, "ms": 300 }, "_meta": { "progressToken": "p" } });
    let (answer, notices) = session.ask(2, "tools/call", params).await;
    assert_eq!((text(&answer), notices.len()), ("6 steps are done", 6));
    let silent = session.call(3, "slow_progress", json!({ "steps": 1, "ms": 20_000 })).await;
    assert!(silent["error"]["message"].as_str().unwrap().contains("no word within 1 s"), "{silent}");
}

#[tokio::test]
async fn a_server_that_nobody_else_uses_is_ended_with_the_call_where_the_policy_says_so() {
    let upstreams = format!("  fix: {{ command: \"{}\", args: [stdio, --extra] }}", fixture().display());
    let policy = rules("  delay: { stop_after: 300ms, stop: process }\n  echo: {}\n");
    let more = "ledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: &policy, more });
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "a" })).await), "a");
    session.call(2, "delay", json!({ "ms": 60_000, "label": "l" })).await;
    let ended = || {
        let (_, out, _) = house.run(&["runs", "list", "--all", "--kind", "upstream", "--json"]);
        out.lines().any(|line| serde_json::from_str::<Value>(line).unwrap()["verdict"] == "stopped")
    };
    let until = Instant::now() + PATIENCE;
    while !ended() {
        assert!(Instant::now() < until, "the server lives on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // It is started again for who needs it.
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(3, "echo", json!({ "message": "b" })).await), "b");
}
