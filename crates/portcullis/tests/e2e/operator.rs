//! The operator's commands and what they hold against.

use crate::house::{ALLOW_ALL, House, Plan, TOKEN, fixture_http, text};
use serde_json::{Value, json};

#[tokio::test]
async fn grants_are_added_used_rotated_and_revoked() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let (code, out, err) = house.run(&[
        "grant",
        "add",
        "ci",
        "--upstream",
        "fix=p",
        "--label",
        "team=a",
        "--expires",
        "30d",
        "--json",
    ]);
    assert_eq!(code, 0, "{err}");
    let added: Value = serde_json::from_str(&out).unwrap();
    let token = added["token"].as_str().unwrap().to_owned();
    assert_eq!((&added["name"], &added["upstreams"]), (&json!("ci"), &json!({"fix": "p"})));
    let ping = |token: String| {
        let house = &house;
        async move {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            house
                .http(
                    hyper::Method::POST,
                    "/mcp/fix",
                    &headers,
                    r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
                )
                .await
                .0
        }
    };
    assert_eq!(ping(token.clone()).await, 400, "a known token gets as far as the missing session");
    let (_, out, _) = house.run(&["grant", "rotate", "ci", "--json"]);
    let next: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(ping(token).await, 401);
    let next = next["token"].as_str().unwrap().to_owned();
    assert_eq!(ping(next.clone()).await, 400);
    assert_eq!(house.run(&["grant", "revoke", "ci"]).0, 0);
    assert_eq!(ping(next.clone()).await, 401);
    for (arguments, said) in [
        (vec!["grant", "add", "x", "--upstream", "nope=p"], "no upstream named `nope`"),
        (vec!["grant", "add", "x", "--upstream", "fix=nope"], "no policy named `nope`"),
        (vec!["grant", "add", "t", "--upstream", "fix=p"], "exists already"),
        (vec!["grant", "add", "x", "--upstream", "fix"], "expected NAME=VALUE"),
        (vec!["grant", "revoke", "nobody"], "no grant named `nobody`"),
        (vec!["grant", "revoke", "t"], "stands in the configuration: take it out in "),
        (vec!["grant", "rotate", "t"], "stands in the configuration: change what `grants.t.token` names in "),
        (vec!["grant", "rotate", "nobody"], "no grant named `nobody`"),
    ] {
        let (code, _, err) = house.run(&arguments);
        assert!(code == 2 && err.contains(said), "{arguments:?}: {code} {err}");
    }
    let everything = std::fs::read(house.folder.path().join("data/ledger.db")).unwrap();
    assert!(
        !everything.windows(next.len()).any(|part| part == next.as_bytes()),
        "the token is kept in the clear"
    );
}

#[tokio::test]
async fn an_edited_policy_waits_for_reload_and_a_bad_one_changes_nothing() {
    let (house, _server) = House::fixture("version: \"1\"\ndefault: deny\ntools: { echo: {} }\n", &[]);
    let session = house.session("/mcp/fix").await;
    let policy = house.folder.path().join("policy.yaml");
    let denied = |answer: &Value| text(answer).starts_with("[POLICY DENIED]");
    assert!(denied(&session.call(1, "count", json!({})).await));
    std::fs::write(&policy, ALLOW_ALL).unwrap();
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        if status["waiting"].as_str().is_some_and(|text| text.contains("portcullis reload")) {
            break;
        }
        assert!(std::time::Instant::now() < until, "the change was not announced: {status}");
    }
    assert!(denied(&session.call(2, "count", json!({})).await), "an edited policy waits");
    assert_eq!(house.run(&["reload"]).0, 0);
    assert!(!denied(&session.call(3, "count", json!({})).await), "the session goes on under the new policy");
    std::fs::write(&policy, "version: \"1\"\ndefault: alow\n").unwrap();
    let (code, _, err) = house.run(&["reload"]);
    assert!(code == 2 && err.contains("default"), "{code} {err}");
    assert!(!denied(&session.call(4, "count", json!({})).await), "a bad edit keeps the last good policy");
}

#[tokio::test]
async fn with_watch_a_changed_policy_is_taken_by_itself() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let policy = "version: \"1\"\ndefault: deny\n";
    let house = House::build(&Plan { upstreams: &upstreams, policy, more: "watch: true" });
    std::fs::write(house.folder.path().join("policy.yaml"), ALLOW_ALL).unwrap();
    let session = house.session("/mcp/fix").await;
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    let mut id = 0;
    while text(&session.call(id, "count", json!({})).await).starts_with("[POLICY DENIED]") {
        id += 1;
        assert!(std::time::Instant::now() < until, "the change was not taken");
    }
}

#[tokio::test]
async fn a_process_that_a_run_started_cannot_operate_the_gate() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    for arguments in [vec!["status"], vec!["reload"], vec!["grant", "list"]] {
        let output = house.command(&arguments).env("PORTCULLIS_RUN", "upstream:x").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}: {err}");
        assert!(err.contains("started through the gate"), "{err}");
    }
}

#[tokio::test]
async fn one_data_folder_has_one_gate_and_is_nobody_elses() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    let (code, _, err) = house.run(&["up"]);
    assert!(code == 2 && err.contains("already running"), "{code} {err}");
    let mode = |path: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(house.folder.path().join(path)).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("data"), mode("data/control.sock"), mode("data/gate.key")), (0o700, 0o600, 0o600));
    let status = house.gate.as_mut().unwrap().terminate();
    assert!(status.success(), "{status}");
    let (code, out, _) = house.run(&["ledger", "query", "--json", "--limit", "1"]);
    assert!(code == 0 && out.contains("the gate stopped"), "{out}");
    assert_eq!(house.run(&["status"]).0, 3);
}

#[tokio::test]
async fn a_kept_head_tells_a_chain_that_was_cut() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    let session = house.session("/mcp/fix").await;
    for id in 1..6 {
        session.call(id, "count", json!({})).await;
    }
    house.gate.as_mut().unwrap().terminate();
    let (code, head, _) = house.run(&["ledger", "head"]);
    assert_eq!(code, 0);
    let head = head.trim().to_owned();
    assert_eq!(house.run(&["ledger", "verify", "--head", &head]).0, 0);
    let file = house.folder.path().join("data/ledger.db");
    let conn = rusqlite::Connection::open(file).unwrap();
    conn.execute_batch("DROP TRIGGER ledger_is_never_cut; DELETE FROM ledger WHERE n > 4").unwrap();
    drop(conn);
    assert_eq!(house.run(&["ledger", "verify"]).0, 0, "a cut end alone shows nothing");
    let (code, out, _) = house.run(&["ledger", "verify", "--head", &head, "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 1 && report["ok"] == json!(false), "{report}");
    let _ = TOKEN;
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_a_command_quietly() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    for arguments in [
        "status",
        "status --json",
        "runs",
        "grant list",
        "grant list --json",
        "grant add late --upstream fix=p",
        "reload",
        "policy check policy.yaml",
        "ledger head",
        "ledger verify",
        "ledger query",
        "ledger export",
        "ledger tail",
        "doctor",
        "schema config",
        "completions bash",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let words: Vec<&str> = arguments.split(' ').collect();
        let output = house.command(&words).stdout(writer).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && err.is_empty(), "{arguments}: {} {err}", output.status);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = house.command(&["policy", "check", "none.yaml"]).stderr(writer).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "the same holds for what is said on stderr");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = house.command(&["status"]).stdout(full).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && err.contains("stdout cannot be written"), "{err}");
}

#[tokio::test]
async fn commands_find_the_gate_whatever_their_runtime_folder_is() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let elsewhere = tempfile::tempdir().unwrap();
    for arguments in [vec!["status"], vec!["grant", "list"], vec!["reload"], vec!["doctor"]] {
        let output = house.command(&arguments).env("XDG_RUNTIME_DIR", elsewhere.path()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn a_filter_that_no_row_can_match_is_an_error() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let (code, _, err) = house.run(&["ledger", "query", "--outcome", "bogus"]);
    assert!(
        code == 2 && err.contains("[possible values: allowed, denied, held, refused, error, cancelled]"),
        "{err}"
    );
    for outcome in ["allowed", "denied", "refused", "error", "cancelled"] {
        assert_eq!(house.run(&["ledger", "query", "--outcome", outcome]).0, 0);
    }
}

#[tokio::test]
async fn a_bad_policy_is_told_once_and_whole() {
    let policy = "version: \"1\"\ndefault: alow\ntools: { echo: { deny_iff: [] } }\n";
    let (mut house, _server) = House::fixture(policy, &[]);
    let (_, status, _) = house.run(&["status"]);
    assert!(status.contains("the policy p denies everything until it is mended:"), "{status}");
    assert!(status.contains("alow") && status.contains("deny_iff"), "{status}");
    let said = house.gate.as_mut().unwrap().last_words();
    assert_eq!(said.matches("deny_iff").count(), status.matches("deny_iff").count(), "{said}");
}

#[tokio::test]
async fn rows_are_found_by_the_name_that_agents_use_and_keep_their_columns() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let session = house.session("/mcp").await;
    session.call(1, "fix__echo", json!({ "message": "hello" })).await;
    session.call(2, "nobody__knows", json!({})).await;
    let found = house.rows(&["--tool", "fix__echo"]);
    assert!(!found.is_empty() && found.iter().all(|row| row["tool"] == "echo"), "{found:?}");
    assert_eq!(found, house.rows(&["--tool", "echo"]));
    // A row without a server has its tool in the tools' column.
    let (_, rows, _) = house.run(&["ledger", "query", "--tool", "nobody__knows"]);
    let columns: Vec<&str> = rows.lines().next().unwrap().split("  ").collect();
    assert_eq!(columns[3..6], ["t", "-", "nobody__knows"], "{rows}");
    for (name, value) in [("--grant", "nobody"), ("--tool", "no__such"), ("--run", "r_none")] {
        let (code, out, err) = house.run(&["ledger", "query", name, value]);
        let what = name.trim_start_matches('-');
        assert_eq!((code, out.as_str()), (0, ""));
        assert_eq!(err, format!("no row is of a {what} named `{value}`\n"));
    }
    // One that is there, with nothing that matches the rest, is no mistake.
    assert_eq!(
        house.run(&["ledger", "query", "--grant", "t", "--outcome", "held"]),
        (0, "".into(), "".into())
    );
}
