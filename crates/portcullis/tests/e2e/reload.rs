//! What a reload takes, and what it leaves as it is.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture_http, text};
use serde_json::{Value, json};

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
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
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
        std::fs::write(&policy, "version: \"1\"\ndefault: deny\n").unwrap();
        wait_for("edited", true);
        std::fs::write(&policy, ALLOW_ALL).unwrap();
        wait_for("undone", false);
    }
}
