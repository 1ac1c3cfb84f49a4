//! What a reload takes, and what it leaves as it is.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture_http, text};
use crate::stream::{modern, post_modern, until};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[tokio::test]
async fn a_reload_keeps_what_the_command_line_said() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    house.gate.as_mut().unwrap().terminate();
    house.up_with(&["up", "--listen", "127.0.0.2:0"]);
    let session = house.session("/mcp/fix").await;
    let (code, out, err) = house.run(&["reload"]);
    assert_eq!((code, out.as_str()), (0, "reloaded: 1 upstream, 1 policy\n"), "{err}");
    let answer = session.call(1, "echo", json!({"message": "still called by its address"})).await;
    assert_eq!(text(&answer), "still called by its address");
}

#[tokio::test]
async fn a_new_listen_address_is_announced_for_the_next_start() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    house.configure("listen: 127.0.0.1:0", "listen: 127.0.0.3:0");
    let (code, out, err) = house.run(&["reload"]);
    assert!(code == 0 && out.contains("a new listen address is taken at the next start"), "{out}{err}");
}

#[tokio::test]
async fn a_policy_that_a_reload_names_first_is_watched_from_then_on() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let plan = Plan { upstreams: &upstreams, policy: "version: \"1\"\ndefault: deny\n", more: "watch: true" };
    let house = House::build(&plan);
    let other = house.folder.path().join("other/folder");
    std::fs::create_dir_all(&other).unwrap();
    std::fs::write(other.join("policy.yaml"), "version: \"1\"\ndefault: deny\n").unwrap();
    house.configure("p: policy.yaml", "p: other/folder/policy.yaml");
    // Only behind the reload, or its own event would bring the edit along.
    let until = std::time::Instant::now() + PATIENCE;
    while !house.rows(&[]).iter().any(|row| row["message"].as_str().is_some_and(|it| it.contains("reloaded")))
    {
        assert!(std::time::Instant::now() < until, "the new configuration was not taken");
    }
    std::fs::write(other.join("policy.yaml"), ALLOW_ALL).unwrap();
    let session = house.session("/mcp/fix").await;
    let until = std::time::Instant::now() + PATIENCE;
    let mut id = 0;
    while text(&session.call(id, "count", json!({})).await).starts_with("[POLICY DENIED]") {
        id += 1;
        assert!(std::time::Instant::now() < until, "the change was not taken");
    }
}

#[tokio::test]
async fn an_edit_that_was_reloaded_or_undone_waits_no_more() {
    let before = "version: \"1\"\ndefault: deny\n";
    let (house, _server) = House::fixture(before, &[]);
    let policy = house.folder.path().join("policy.yaml");
    let wait_for = |what: &str, waits: bool| {
        let until = std::time::Instant::now() + PATIENCE;
        loop {
            let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
            if status["waiting"].is_string() == waits {
                return;
            }
            assert!(std::time::Instant::now() < until, "{what}: {status}");
        }
    };
    for _ in 0..2 {
        std::fs::write(&policy, ALLOW_ALL).unwrap();
        wait_for("edited", true);
        std::fs::write(&policy, before).unwrap();
        wait_for("undone", false);
    }
}

#[tokio::test]
async fn a_change_that_only_tightens_a_policy_holds_at_once_and_any_other_waits() {
    let policy = "version: \"2\"\ndefault: deny\ntools:\n  echo: {}\n  count: {}\n";
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy, more: "" });
    let file = house.folder.path().join("policy.yaml");
    let session = house.session("/mcp/fix").await;
    let passes = async |tool: &str| {
        let answer = session.call(1, tool, json!({ "message": "pay" })).await;
        answer["error"].is_null() && !text(&answer).starts_with("[POLICY DENIED]")
    };
    let waits = || {
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        status["waiting"].as_str().map(str::to_owned)
    };
    assert!(passes("echo").await && passes("count").await && !passes("delay").await);
    let guarded = policy.replace(
        "echo: {}",
        "echo: { deny_if: [{ conditions: [{ path: args.message, op: eq, value: pay }] }] }",
    );
    std::fs::write(&file, &guarded).unwrap();
    until("the guard", || async { (!passes("echo").await).then_some(()) }).await;
    assert!(passes("count").await && waits().is_none());
    let said = |row: &Value| row["message"].as_str().unwrap_or_default().to_owned();
    let taken = |row: &Value| said(row) == "taken, because it only tightens: p";
    until("its row", || async { house.rows(&[]).iter().any(taken).then_some(()) }).await;
    // Another guard, and a tool more: what lets more pass is for the operator, and the guard with it.
    let both = guarded.replace("count: {}", "count: { deny_if: [{ conditions: [] }] }\n  delay: {}");
    std::fs::write(&file, &both).unwrap();
    until("the announcement", || async { waits() }).await;
    assert!(passes("count").await && !passes("delay").await);
    // Nor is it taken back by itself.
    std::fs::write(&file, policy).unwrap();
    until("the announcement", || async { waits() }).await;
    assert!(!passes("echo").await);
    assert_eq!(house.run(&["reload"]).0, 0);
    assert!(passes("echo").await && waits().is_none());
    // A mistake tightens nothing.
    std::fs::write(&file, "version: \"2\"\ndefault: deny\ntols: {}\n").unwrap();
    until("the mistake", || async { waits().filter(|why| why.contains("tols")) }).await;
    assert!(passes("echo").await);
}

/// Callers at once, and how often the policy changes under them.
const CALLERS: u64 = 32;
const FLIPS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_changes_under_load_fails_no_call_and_holds_at_once() {
    let deny = "version: \"1\"\ndefault: deny\ntools: { count: {} }\n";
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let plan = Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "ledger: { durability: process }" };
    let house = House::build(&plan);
    let session = house.session("/mcp/fix").await;
    let (next, over) = (AtomicU64::new(1), AtomicBool::new(false));
    let (passed, denied) = (Mutex::new(BTreeSet::new()), Mutex::new(BTreeSet::new()));
    let call = async || {
        let id = next.fetch_add(1, Ordering::Relaxed);
        let label = format!("n{id}");
        let answer = session.call(id, "delay", json!({"ms": 20, "label": label})).await;
        let said = text(&answer);
        let passes = said == label;
        assert!(passes || said == "[POLICY DENIED] The tool delay is not permitted by policy.", "{answer}");
        let all = if passes { &passed } else { &denied };
        all.lock().unwrap().insert(label);
        passes
    };
    let caller = async || {
        while !over.load(Ordering::Relaxed) {
            call().await;
        }
    };
    let operator = async {
        for flip in 0..FLIPS {
            let allows = flip % 2 == 1;
            std::fs::write(house.folder.path().join("policy.yaml"), if allows { ALLOW_ALL } else { deny })
                .unwrap();
            let mut reload = house.command(&["reload"]);
            let output = tokio::task::spawn_blocking(move || reload.output().unwrap()).await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(call().await, allows, "reload {flip} was taken and does not hold");
            let enough = next.load(Ordering::Relaxed) + CALLERS * 2;
            while next.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures_util::future::join_all((0..CALLERS).map(|_| caller())), operator);
    assert!(call().await, "the last policy allows");

    let labels = |rows: &[Value], member: &str| -> BTreeSet<String> {
        rows.iter().map(|row| row[member]["label"].as_str().unwrap().to_owned()).collect()
    };
    let rows = |outcome: &str| -> Vec<Value> {
        let rows = house.rows(&["--tool", "delay", "--outcome", outcome]);
        rows.into_iter().filter(|row| row["kind"] == "decision").collect()
    };
    let (passed, denied) = (passed.into_inner().unwrap(), denied.into_inner().unwrap());
    let seen = crate::house::seen(&house, &url).await;
    let seen = seen["calls"].as_array().unwrap();
    assert!(seen.len() < 10_000, "the server remembers no more than that");
    assert_eq!(labels(seen, "arguments"), passed);
    assert_eq!(labels(&rows("allowed"), "args"), passed);
    assert_eq!(labels(&rows("denied"), "args"), denied);
    assert!(
        passed.len() > 100 && denied.len() > 100,
        "{} passed, {} were denied",
        passed.len(),
        denied.len()
    );
    assert_eq!(house.run(&["ledger", "verify"]).0, 0);
}

#[tokio::test]
async fn mistakes_are_told_in_lines_of_their_own() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    let policy = house.folder.path().join("policy.yaml");
    let mistakes = "version: \"1\"\ndefault: allow\ntols: {}\n";
    std::fs::write(&policy, mistakes).unwrap();
    let (code, _, err) = house.run(&["reload"]);
    assert!(code == 2 && err.starts_with("error: nothing was changed: the policy p has mistakes\n"), "{err}");
    assert!(err.contains("\n 3 │ tols: {}\n") && !err.contains("\\n"), "{err}");
    assert_eq!(err.matches("error:").count(), 1, "{err}");
    // In the configuration too.
    std::fs::write(&policy, ALLOW_ALL).unwrap();
    house.configure("data: data", "data: data\nupstrems: {}");
    let (code, _, err) = house.run(&["reload"]);
    assert!(code == 2 && err.contains(" │ upstrems: {}\n") && !err.contains("error:"), "{err}");
    let shown = until("the announcement", || async {
        let said = house.run(&["status"]).1;
        (said.contains("and they have mistakes:") && said.contains("upstrems")).then_some(said)
    });
    let shown = shown.await;
    assert!(shown.contains(" │ upstrems: {}\n") && !shown.contains("error:"), "{shown}");
    let log = house.gate.as_mut().unwrap().last_words();
    let of_report: Vec<&str> = log.lines().filter(|line| line.contains("upstrems: {}")).collect();
    assert!(!of_report.is_empty() && of_report.iter().all(|line| line.starts_with("    ")), "{log}");
}

/// A request of the new era whose body stops after its beginning; what is left to be sent.
async fn begun(house: &House, token: &str) -> (tokio::net::TcpStream, String) {
    use tokio::io::AsyncWriteExt;
    let (headers, body) =
        modern(1, "tools/call", json!({"name": "echo", "arguments": {"message": "late"}}), json!({}));
    let address = house.url.trim_start_matches("http://").to_owned();
    let mut head = format!(
        "POST /mcp/fix HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let (first, rest) = body.split_at(20);
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n{first}").as_bytes()).await.unwrap();
    (stream, rest.to_owned())
}

async fn finished((mut stream, rest): (tokio::net::TcpStream, String)) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

fn added(house: &House, name: &str) -> String {
    let (code, out, err) = house.run(&["grant", "add", name, "--upstream", "fix=p", "--json"]);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned()
}

/// What is in force when a call is judged counts, and not what was when its first byte came.
#[tokio::test]
async fn a_body_that_comes_late_is_judged_by_what_is_in_force_then() {
    let deny = "version: \"1\"\ndefault: deny\n";
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let (gone, rotated, policy) = (added(&house, "gone"), added(&house, "rotated"), added(&house, "policy"));
    let late = [begun(&house, &gone).await, begun(&house, &rotated).await, begun(&house, &policy).await];
    let intime = begun(&house, &policy).await;
    assert!(finished(intime).await.contains("late"));
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(house.run(&["grant", "revoke", "gone"]).0, 0);
    assert_eq!(house.run(&["grant", "rotate", "rotated"]).0, 0);
    // Another one of the same name is another.
    let again = added(&house, "gone");
    std::fs::write(house.folder.path().join("policy.yaml"), deny).unwrap();
    assert_eq!(house.run(&["reload"]).0, 0);
    let [gone, rotated, policy] = late;
    for unknown in [gone, rotated] {
        let answer = finished(unknown).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    }
    let answer = finished(policy).await;
    assert!(answer.contains("[POLICY DENIED]"), "{answer}");
    assert!(finished(begun(&house, &again).await).await.contains("[POLICY DENIED]"));
    let rows = house.rows(&["--tool", "echo"]);
    let passed = rows.iter().filter(|row| row["kind"] == "decision" && row["outcome"] == "allowed");
    assert_eq!(passed.count(), 1, "{rows:?}");
}

/// A revocation under load: in the record no call of the grant stands behind it. What is in force has a number, which grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_of_a_grant_is_recorded_after_its_revocation() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for round in 0..6 {
        let name = format!("agent{round}");
        let token = added(&house, &name);
        let (over, answered) = (AtomicBool::new(false), AtomicU64::new(0));
        let caller = async || {
            let bearer = format!("Bearer {token}");
            while !over.load(Ordering::Relaxed) {
                let (headers, body) =
                    modern(1, "tools/call", json!({"name": "count", "arguments": {}}), json!({}));
                let mut all = vec![
                    ("authorization", &*bearer),
                    ("content-type", "application/json"),
                    ("accept", "application/json, text/event-stream"),
                ];
                all.extend(headers.iter().map(|(name, value)| (&**name, &**value)));
                let (_, _, body) = house.http(hyper::Method::POST, "/mcp/fix", &all, body).await;
                let passed = body.windows(9).any(|part| part == b"\"content\"");
                answered.fetch_add(u64::from(passed), Ordering::Relaxed);
            }
        };
        let operator = async {
            let enough = || async { (answered.load(Ordering::Relaxed) > 40).then_some(()) };
            until("calls that pass", enough).await;
            let mut revoke = house.command(&["grant", "revoke", &name]);
            let output = tokio::task::spawn_blocking(move || revoke.output().unwrap()).await.unwrap();
            assert!(output.status.success());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            over.store(true, Ordering::Relaxed);
        };
        tokio::join!(futures_util::future::join_all((0..12).map(|_| caller())), operator);
        let rows = house.rows(&["--limit", "100000"]);
        let revoked =
            rows.iter().find(|row| row["message"] == format!("the grant {name} was revoked")).unwrap();
        let calls: Vec<&Value> = rows
            .iter()
            .filter(|row| row["grant"] == *name && row["kind"] == "decision" && row["outcome"] == "allowed")
            .collect();
        assert!(calls.len() > 20, "{}", calls.len());
        for call in calls {
            assert!(call["n"].as_u64() < revoked["n"].as_u64(), "{call} stands behind {revoked}");
            assert!(
                call["generation"].as_u64() <= call["n"].as_u64() && call["generation"] != json!(0),
                "{call}"
            );
        }
    }
}

/// Two configurations deny every call at one server, each in its own way: between them the policies swap, and what the name of the
/// server stands for. No call is judged by a part of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_judged_by_one_configuration() {
    let (_one, shut) = fixture_http(&["--extra"]);
    let (_two, open) = fixture_http(&["--extra"]);
    let (deny, allow) = ("version: \"1\"\ndefault: deny\ntools: { echo: {} }\n", ALLOW_ALL);
    let upstreams = format!("  fix: {{ url: \"{shut}\" }}");
    let more = "ledger: { durability: process }";
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: deny, more });
    let over = AtomicBool::new(false);
    let passed = AtomicU64::new(0);
    let caller = async || {
        while !over.load(Ordering::Relaxed) {
            let call = modern(1, "tools/call", json!({"name": "count", "arguments": {}}), json!({}));
            let answer = post_modern(&house, "/mcp/fix", call).await.whole().await;
            let error = answer["result"]["isError"] == true || answer.get("error").is_some();
            passed.fetch_add(u64::from(!error), Ordering::Relaxed);
        }
    };
    let operator = async {
        for flip in 0..24 {
            let (from, to, policy) = if flip % 2 == 0 { (&shut, &open, allow) } else { (&open, &shut, deny) };
            std::fs::write(house.folder.path().join("policy.yaml"), policy).unwrap();
            house.configure(from, to);
            let mut reload = house.command(&["reload"]);
            let output = tokio::task::spawn_blocking(move || reload.output().unwrap()).await.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(futures_util::future::join_all((0..12).map(|_| caller())), operator);
    let calls = async |url: &str| crate::house::seen(&house, url).await["calls"].as_array().unwrap().len();
    assert_eq!(calls(&shut).await, 0, "the server at which every call is denied got some");
    assert!(calls(&open).await > 0 && passed.load(Ordering::Relaxed) > 0, "none passed at all");
    house.gate.as_mut().unwrap().terminate();
}
