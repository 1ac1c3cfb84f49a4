//! Tasks over the end of the gate and of servers.

use crate::house::{ALLOW_ALL, House, Plan, fixture, fixture_http, text};
use crate::in_flight::MORE;
use crate::stream::{open_session, until};
use crate::tasks::{ask_new, ask_old, ended_new, ended_old, make_old};
use serde_json::{Value, json};

#[tokio::test]
async fn a_client_goes_on_with_its_task_after_the_gate_was_killed_and_started_again() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let arguments = json!({ "seconds": 2, "label": "in spite of it" });
    let core = make_old(&house, "/mcp/fix", &session, "slow_compute", arguments.clone()).await;
    let call = json!({ "name": "slow_compute", "arguments": arguments });
    let extension = ask_new(&house, "/mcp/fix", "tools/call", call).await["result"]["taskId"].clone();
    house.gate.as_mut().unwrap().kill();
    house.up();
    let runs = house.run(&["runs", "--json"]).1;
    assert_eq!(runs.lines().filter(|line| line.contains("\"kind\":\"task\"")).count(), 2, "{runs}");
    let ended = ended_new(&house, "/mcp/fix", &extension).await;
    assert_eq!(ended["result"]["content"][0]["text"], "in spite of it is computed");
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let id = &core["taskId"];
    assert_eq!(ended_old(&house, "/mcp/fix", &session, id).await["status"], "completed");
    let result = ask_old(&house, "/mcp/fix", &session, "tasks/result", json!({ "taskId": id })).await;
    assert_eq!(text(&result), "in spite of it is computed");
    assert_eq!(house.run(&["ledger", "verify"]).0, 0);
}

#[tokio::test]
async fn a_task_has_its_place_among_what_may_run_at_once_until_it_ends_also_over_a_restart() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let policy = "version: \"2\"\ndefault: deny\ntools:\n  slow_compute: { limits: [{ concurrent: 1, scope: everyone }] }\n";
    let mut house = House::build(&Plan { upstreams: &upstreams, policy, more: MORE });
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 2 })).await;
    for restarts in [false, true] {
        if restarts {
            house.gate.as_mut().unwrap().kill();
            house.up();
        }
        let session = house.session("/mcp/fix").await;
        let full = session.call(1, "slow_compute", json!({ "seconds": 0 })).await;
        assert!(text(&full).contains("One such call may run at a time"), "{restarts} {full}");
    }
    let session = house.session("/mcp/fix").await;
    let free = || async {
        let answer = session.call(2, "slow_compute", json!({ "seconds": 0, "label": "the next" })).await;
        (!text(&answer).contains("may run at a time")).then_some(answer)
    };
    assert_eq!(text(&until("a free place", free).await), "the next is computed");
}

/// Waits until the gate has found that a task is lost; gives what `tasks/get` says.
async fn lost(house: &House, path: &str, session: &str, id: &Value) -> Value {
    let got = ended_old(house, path, session, id).await;
    assert_eq!((&got["status"], &got["taskId"]), (&json!("failed"), id), "{got}");
    got
}

#[tokio::test]
async fn a_task_of_a_server_that_ended_with_the_gate_is_lost_and_says_why() {
    for per in ["gate", "session"] {
        let upstreams =
            format!("  fix: {{ command: {:?}, args: [stdio, --extra, --era, old], per: {per} }}", fixture());
        let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        let task = make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 600 })).await;
        house.gate.as_mut().unwrap().kill();
        house.up();
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        // A server that was started anew gives out the same ids: this is another task.
        make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 600 })).await;
        let id = &task["taskId"];
        let got = lost(&house, "/mcp/fix", &session, id).await;
        assert!(!got["statusMessage"].as_str().unwrap().is_empty(), "{got}");
        let result = ask_old(&house, "/mcp/fix", &session, "tasks/result", json!({ "taskId": id })).await;
        assert_eq!(result["error"]["code"], -31502, "{result}");
        let late = ask_old(&house, "/mcp/fix", &session, "tasks/cancel", json!({ "taskId": id })).await;
        assert_eq!(late["error"]["code"], -32602, "{late}");
        let list = ask_old(&house, "/mcp/fix", &session, "tasks/list", json!({})).await;
        assert_eq!(list["result"]["tasks"][0]["status"], "failed", "{list}");
        assert_eq!(house.status()["tasks"]["lost"], 1);
        let rows = house.rows(&["--tool", "slow_compute"]);
        assert!(
            rows.iter()
                .any(|row| row["kind"] == "run" && row["message"].as_str().unwrap().contains("is lost")),
            "{rows:?}"
        );
    }
}

#[tokio::test]
async fn a_task_of_a_server_that_was_started_anew_is_lost_also_while_the_gate_lives() {
    let (mut server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let call = json!({ "name": "slow_compute", "arguments": { "seconds": 600 } });
    let id = ask_new(&house, "/mcp/fix", "tools/call", call).await["result"]["taskId"].clone();
    server.kill();
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let (_again, _) = fixture_http(&["--extra", "--listen", address]);
    until("that the gate finds it lost", || async { (house.status()["tasks"]["lost"] == 1).then_some(()) })
        .await;
    let got = ask_new(&house, "/mcp/fix", "tasks/get", json!({ "taskId": id })).await;
    assert_eq!((&got["result"]["status"], &got["result"]["taskId"]), (&json!("failed"), &id), "{got}");
    assert!(got["result"]["error"]["message"].as_str().unwrap().contains("does not know it"), "{got}");
    let late = ask_new(&house, "/mcp/fix", "tasks/cancel", json!({ "taskId": id })).await;
    assert_eq!(late["error"]["code"], -32602, "{late}");
}

#[tokio::test]
async fn an_id_that_a_new_process_gives_out_again_never_leads_to_another_task() {
    for (method, per) in [("tasks/result", "gate"), ("tasks/cancel", "gate"), ("tasks/result", "session")] {
        let upstreams =
            format!("  fix: {{ command: {:?}, args: [stdio, --extra, --era, old], per: {per} }}", fixture());
        let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        let first = json!({ "seconds": 0, "label": "the first" });
        let before = make_old(&house, "/mcp/fix", &session, "slow_compute", first).await["taskId"].clone();
        assert_eq!(ended_old(&house, "/mcp/fix", &session, &before).await["status"], "completed");
        house.gate.as_mut().unwrap().kill();
        house.up();
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        let other = json!({ "seconds": 600, "label": "another" });
        let after = make_old(&house, "/mcp/fix", &session, "slow_compute", other).await["taskId"].clone();
        let answer = ask_old(&house, "/mcp/fix", &session, method, json!({ "taskId": before })).await;
        assert_eq!(answer["error"]["message"], "Task not found", "{method}: {answer}");
        let still = ask_old(&house, "/mcp/fix", &session, "tasks/get", json!({ "taskId": after })).await;
        assert_eq!(still["result"]["status"], "working", "{still}");
    }
}
