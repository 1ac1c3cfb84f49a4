//! `portcullis stdio`, and servers on stdio behind the gate.

use crate::house::{ALLOW_ALL, House, Plan, fixture, text};
use serde_json::{Value, json};
use std::io::Write;
use std::process::Stdio;

#[expect(clippy::disallowed_methods, reason = "a client starts this command itself")]
pub fn speak(house: &House, arguments: &[&str], lines: &[Value]) -> Vec<Value> {
    let mut child = house
        .command(&[&["stdio"], arguments].concat())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn conversation() -> Vec<Value> {
    vec![
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "fix__echo", "arguments": {"message": "over stdio"}}}),
    ]
}

fn plan() -> (String, &'static str) {
    (
        format!("  fix: {{ command: \"{}\", args: [stdio, --extra] }}", fixture().display()),
        "ledger: { durability: process }",
    )
}

#[tokio::test]
async fn stdio_attaches_to_the_running_gate_and_runs_one_of_its_own_without() {
    let (upstreams, more) = plan();
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for attached in [true, false] {
        if !attached {
            house.gate.as_mut().unwrap().terminate();
        }
        let answers = speak(&house, &["--grant", "t"], &conversation());
        let find = |id: u64| {
            answers.iter().find(|answer| answer["id"] == json!(id)).unwrap_or_else(|| panic!("{answers:?}"))
        };
        assert_eq!(find(1)["result"]["protocolVersion"], "2025-06-18");
        assert_eq!(text(find(2)), "over stdio");
    }
    let rows = house.rows(&["--tool", "echo"]);
    assert_eq!(rows.iter().filter(|row| row["kind"] == "decision").count(), 2);
}

#[tokio::test]
async fn a_server_that_crashes_fails_its_calls_at_once_with_its_last_words_and_comes_back() {
    let (upstreams, more) = plan();
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({"message": "a"})).await), "a");
    let crashed = session.call(2, "crash", json!({})).await;
    let said = crashed["error"]["message"].as_str().unwrap_or_else(|| panic!("{crashed}"));
    assert!(said.contains("code 3") && said.contains("crashing on request"), "{said}");
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        let answer = session.call(3, "echo", json!({"message": "b"})).await;
        if answer.pointer("/result/content/0/text") == Some(&json!("b")) {
            break;
        }
        assert!(std::time::Instant::now() < until, "it did not come back: {answer}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_fails_its_own_call_alone() {
    let (upstreams, _) = plan();
    let house =
        House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "limits: { message: 64KiB }" });
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "flood", json!({"bytes": 500_000})).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("limit of 65536"), "{answer}");
    assert_eq!(text(&session.call(2, "echo", json!({"message": "still here"})).await), "still here");
}
