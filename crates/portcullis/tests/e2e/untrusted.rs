//! What agents and servers say is recorded within bounds and shown without its tricks.

use crate::documents::of;
use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture};
use serde_json::{Value, json};
use std::time::Instant;

/// A name that would clear the screen, forge a row and turn the line around.
const HOSTILE: &str = "x\n999  2026-11-30T23:00:00.000Z  decision  other  u  drop_database  allowed\u{1b}[2A\u{1b}[31m\u{9b}1m\u{202e}\u{200b}\u{e0041}\r\u{7f}";

fn assert_harmless(what: &str, text: &str) {
    let bad: Vec<char> = text
        .chars()
        .filter(|letter| {
            (letter.is_control() && *letter != '\n')
                || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{200b}' | '\u{e0041}')
        })
        .collect();
    assert!(bad.is_empty(), "{what} shows {bad:?} in {text}");
    assert!(!text.lines().any(|line| line.starts_with("999 ")), "{what} shows a forged row: {text}");
}

#[tokio::test]
async fn no_name_forges_a_row_or_moves_the_terminal() {
    let policy = "version: \"2\"\ndefault: allow\ntools: { echo: { hold_if: [{ conditions: [] }] } }\n";
    let (mut house, _server) = House::fixture(policy, &[]);
    house.configure(
        "ledger: { durability: process }",
        "ledger: { durability: process }\napprovals: { wait: 50ms }",
    );
    assert_eq!(house.run(&["reload"]).0, 0);
    let session = house.session("/mcp/fix").await;
    session.call(1, HOSTILE, json!({})).await;
    session.ask(2, "resources/read", json!({ "uri": HOSTILE })).await;
    session.call(3, "echo", json!({ "message": HOSTILE, HOSTILE: HOSTILE })).await;
    let id =
        serde_json::from_str::<Value>(house.run(&["approvals", "--json"]).1.lines().next().unwrap()).unwrap();
    let id = id["id"].as_str().unwrap().to_owned();
    house.run(&["approvals", "deny", &id, "--reason", HOSTILE]);
    for command in [
        &["ledger", "query"][..],
        &["ledger", "query", "--json"],
        &["approvals", "list", "--all"],
        &["approvals", "show", &id],
        &["approvals", "show", &id, "--json"],
        &["approvals", "show", HOSTILE.trim_end_matches('\u{7f}')],
        &["drop", "--reason", HOSTILE],
        &["status"],
        &["status", "--json"],
        &["doctor"],
        &["runs", "list", "--all"],
        &["runs", "show", "x\u{1b}[2A"],
        &["catalogue", "list"],
    ] {
        let (_, out, err) = house.run(command);
        assert_harmless(command[0], &out);
        assert_harmless(command[0], &err);
    }
    // JSON is what it was all the same.
    let rows = house.rows(&["--tool", HOSTILE]);
    assert!(!rows.is_empty());
    assert_harmless("the log", &house.gate.take().unwrap().last_words());
}

#[tokio::test]
async fn what_a_server_writes_is_handed_on_as_it_is_to_a_program_and_told_without_its_tricks_elsewhere() {
    let script = format!("printf '\\\\033[31mred\\\\n' >&2; exec {} stdio", fixture().display());
    let upstreams = format!("  fix: {{ command: sh, args: [\"-c\", \"{script}\"] }}");
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    house.session("/mcp/fix").await.call(1, "echo", json!({ "message": "hello" })).await;
    let (_, runs, _) = house.run(&["runs", "list", "--json"]);
    let run: Value = serde_json::from_str(runs.lines().next().unwrap()).unwrap();
    let id = run["id"].as_str().unwrap();
    let (_, raw, _) = house.run(&["runs", "logs", id]);
    assert!(raw.contains(" stderr \u{1b}[31mred\n"), "{raw}");
    let (_, out, _) = house.run(&["runs", "logs", id, "--json"]);
    assert_harmless("runs logs --json", &out);
    let line: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(line["text"], "\u{1b}[31mred");
    assert_harmless("the log", &house.gate.take().unwrap().last_words());
}

#[tokio::test]
async fn a_denied_message_adds_little_to_the_record_however_long_it_is() {
    let (house, _server) = House::fixture("version: \"1\"\ndefault: deny\n", &[]);
    let session = house.session("/mcp/fix").await;
    let size = || -> u64 {
        let files = std::fs::read_dir(house.folder.path().join("data")).unwrap();
        let files = files
            .map(|file| file.unwrap())
            .filter(|file| file.file_name().to_string_lossy().starts_with("ledger.db"));
        files.map(|file| file.metadata().unwrap().len()).sum()
    };
    let big = "x".repeat(8 << 20);
    for message in [
        json!({ "id": 1, "method": "tools/call", "params": { "name": big, "arguments": {} } }),
        json!({ "id": 2, "method": "resources/read", "params": { "uri": big } }),
        json!({ "id": 3, "method": big, "params": {} }),
        json!({ "id": big, "method": "tools/call", "params": { "name": "echo" } }),
        json!({ "id": 5, "method": "tools/call", "params": { "name": "echo", "arguments": { "a": big } } }),
    ] {
        let before = size();
        let mut message = message;
        message["jsonrpc"] = json!("2.0");
        session.post(message.to_string()).await;
        let grown = size() - before;
        assert!(
            grown < 256 << 10,
            "{grown} bytes by {}",
            message["method"].to_string().chars().take(20).collect::<String>()
        );
    }
    let rows = house.rows(&["--outcome", "denied"]);
    assert!(
        rows.iter()
            .any(|row| row["tool"].as_str().is_some_and(|tool| tool.contains("… (8388608 bytes, blake3 ")))
    );
}

#[tokio::test]
async fn secrets_in_addresses_and_reasons_are_not_recorded() {
    let secret = "ghp_abcdefghijklmnopqrstuvwx";
    for values in ["redact", "digest", "keep"] {
        let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
        house.configure("durability: process", &format!("durability: process, values: {values}"));
        assert_eq!(house.run(&["reload"]).0, 0);
        let session = house.session("/mcp/fix").await;
        let uri = format!("https://me:hunter2pw@h/?token={secret}");
        session.ask(1, "resources/read", json!({ "uri": uri })).await;
        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 2, "reason": format!("because {secret}") } });
        let (_, ()) = tokio::join!(session.call(2, "delay", json!({ "ms": 20_000 })), async {
            let until = Instant::now() + PATIENCE;
            while house.rows(&["--tool", "delay"]).is_empty() {
                assert!(Instant::now() < until);
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            }
            session.post(cancel.to_string()).await;
        });
        let rows = json!(house.rows(&[])).to_string();
        assert_eq!(rows.contains(secret), values == "keep", "{values}: {rows}");
        assert_eq!(rows.contains("hunter2pw"), values == "keep", "{values}: {rows}");
        drop(session);
        house.gate.take();
    }
}

#[tokio::test]
async fn a_record_cut_by_somebody_else_is_told_from_one_that_retention_cut() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    let session = house.session("/mcp/fix").await;
    for id in 0..3 {
        session.call(id, "echo", json!({ "message": "hello" })).await;
    }
    drop(session);
    let (_, head, _) = house.run(&["ledger", "head"]);
    std::fs::write(house.folder.path().join("head.json"), head).unwrap();
    house.gate.take().unwrap().terminate();
    // What retention lets go is signed, and told.
    house.configure("durability: process", "durability: process, retain: 1ms");
    house.up();
    let until = Instant::now() + PATIENCE;
    let verified = loop {
        let (code, out, err) = house.run(&["ledger", "verify", "--head", "head.json"]);
        assert_eq!(code, 0, "{out}{err}");
        if out.contains("were let go") {
            break out;
        }
        assert!(Instant::now() < until, "{out}");
    };
    assert!(verified.contains(" by the rule `retain: 1ms`: signed by the gate"), "{verified}");
    let steady = |text: &str| {
        let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
        let rule = regex::Regex::new("`retain: .*?`").unwrap();
        let number = regex::Regex::new(r"\b\d+\b").unwrap();
        let text = time.replace_all(text, "TIME");
        number.replace_all(&rule.replace_all(&text, "`RULE`"), "N").into_owned()
    };
    for line in of("operating.md", "text")[0].lines() {
        assert!(
            verified.lines().any(|said| steady(said) == steady(line)),
            "the page says {line}: {verified}"
        );
    }
    house.gate.take().unwrap().terminate();
    let file = rusqlite::Connection::open(house.folder.path().join("data/ledger.db")).unwrap();
    file.execute_batch("UPDATE let_go SET rule = 'retain: 9d'").unwrap();
    let (code, out, _) = house.run(&["ledger", "verify"]);
    assert!(code == 1 && out.contains("nothing proves that the gate let them go"), "{out}");
}
