//! Stopping tasks: one stop, whoever asks, and a verdict that says no more than the server did.

use crate::house::{ALLOW_ALL, House, Plan, fixture, fixture_http};
use crate::in_flight::MORE;
use crate::stream::{open_session, until};
use crate::tasks::{ask_new, ask_old, make_old};
use serde_json::{Value, json};

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}"))).collect()
}

async fn make(house: &House, upstream: &str, tool: &str, arguments: Value) -> Value {
    let call = json!({ "name": tool, "arguments": arguments });
    let made = ask_new(house, &format!("/mcp/{upstream}"), "tools/call", call).await;
    made["result"]["taskId"].as_str().unwrap_or_else(|| panic!("{made}"));
    made["result"]["taskId"].clone()
}

fn task_run(house: &House, task: &Value) -> Value {
    let runs = lines(&house.run(&["runs", "list", "--all", "--json"]).1);
    let found = runs.iter().find(|run| run["kind"] == "task" && run["task"]["id"] == *task);
    found.unwrap_or_else(|| panic!("{runs:?}")).clone()
}

/// The row of the record on the end of a run.
async fn end_of(house: &House, run: &Value) -> Value {
    until("the row of its end", || async {
        let mut rows = house.rows(&["--run", run["id"].as_str().unwrap()]);
        rows.retain(|row| row["outcome"].is_string());
        rows.pop()
    })
    .await
}

#[tokio::test]
async fn a_task_is_listed_and_stopped_by_the_operator_and_the_word_is_its_servers() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let task = make(&house, "fix", "slow_compute", json!({ "seconds": 600, "ttl_ms": 900_000 })).await;
    let run = task_run(&house, &task);
    assert_eq!(
        (&run["owner"], &run["upstream"], &run["tool"]),
        (&json!("t"), &json!("fix"), &json!("slow_compute"))
    );
    assert!(run["state"] == "running" && run["deadline"].is_string() && run["ended"].is_null(), "{run}");
    let (code, out, err) = house.run(&["runs", "stop", run["id"].as_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let stopped = &lines(&out)[0];
    assert_eq!(
        (&stopped["verdict"], &stopped["task"]["state"]),
        (&json!("acknowledged"), &json!("cancelled")),
        "{out}"
    );
    let row = end_of(&house, &run).await;
    assert_eq!(
        (&row["outcome"], &row["verdict"]["asked_by"]),
        (&json!("cancelled"), &json!("operator")),
        "{row}"
    );
    assert_eq!(row["verdict"]["too_late"], false, "{row}");
    assert_eq!(task_run(&house, &task)["state"], "ended");
    let (code, out, _) = house.run(&["runs", "stop", run["id"].as_str().unwrap()]);
    assert!(code == 0 && out.contains("already_ended"), "{out}");
}

#[tokio::test]
async fn a_server_that_ends_its_work_in_spite_of_the_stop_is_said_to_have_and_one_that_does_not_is_unconfirmed()
 {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let late = make(&house, "fix", "stubborn_job", json!({ "ms": 400 })).await;
    let run = task_run(&house, &late);
    let (code, out, _) = house.run(&["runs", "stop", run["id"].as_str().unwrap(), "--json"]);
    let stopped = &lines(&out)[0];
    assert_eq!((code, &stopped["verdict"]), (0, &json!("acknowledged")), "{out}");
    assert_eq!(stopped["task"]["state"], "completed", "{out}");
    let row = end_of(&house, &run).await;
    assert!(
        row["verdict"]["too_late"] == true && row["message"].as_str().unwrap().contains("too late"),
        "{row}"
    );
    let never = make(&house, "fix", "stubborn_job", json!({ "ms": 600_000 })).await;
    let run = task_run(&house, &never);
    let (code, out, _) = house.run(&["runs", "stop", run["id"].as_str().unwrap(), "--grace", "1s", "--json"]);
    assert_eq!((code, &lines(&out)[0]["verdict"]), (1, &json!("unconfirmed")), "{out}");
    assert_eq!(task_run(&house, &never)["state"], "stopping");
    let rows = house.rows(&["--run", run["id"].as_str().unwrap()]);
    assert_eq!(rows.last().unwrap()["verdict"]["verdict"], "unconfirmed", "{rows:?}");
    // A client's cancellation is the same stop.
    let own = make(&house, "fix", "slow_compute", json!({ "seconds": 600 })).await;
    let run = task_run(&house, &own);
    ask_new(&house, "/mcp/fix", "tasks/cancel", json!({ "taskId": own })).await;
    let row = end_of(&house, &run).await;
    assert_eq!(
        (&row["outcome"], &row["verdict"]["asked_by"]),
        (&json!("cancelled"), &json!("client")),
        "{row}"
    );
}

#[tokio::test]
async fn a_drop_stops_the_tasks_in_its_scope_and_nothing_about_them_passes_any_more() {
    let (mut far, url) = fixture_http(&["--extra"]);
    let upstreams = format!(
        "  far: {{ url: \"{url}\" }}\n  own: {{ command: {:?}, args: [stdio, --extra, --era, old] }}",
        fixture()
    );
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = open_session(&house, "/mcp/own", "2025-11-25", json!({})).await;
    let own = make_old(&house, "/mcp/own", &session, "stubborn_job", json!({ "ms": 600_000 })).await;
    let far_task = make(&house, "far", "slow_compute", json!({ "seconds": 600 })).await;
    let (code, out, err) = house.run(&["drop", "--reason", "a fire", "--grace", "1s", "--json"]);
    let said = lines(&out);
    assert_eq!(code, 0, "{out}{err}");
    let of = |id: &Value| {
        said.iter().find(|result| result["task"]["id"] == *id).unwrap_or_else(|| panic!("{out}"))
    };
    assert_eq!(of(&far_task)["verdict"], "acknowledged", "{out}");
    // Its server was a process of this machine, of which nothing lives.
    assert_eq!(of(&own["taskId"])["verdict"], "stopped", "{out}");
    assert_eq!(task_run(&house, &own["taskId"])["task"]["state"], "lost");
    assert_eq!(said.last().unwrap()["runs"], 3, "{out}");
    let denied = ask_new(&house, "/mcp/far", "tasks/get", json!({ "taskId": far_task })).await;
    assert_eq!(denied["error"]["code"], -31503, "{denied}");
    let denied = ask_old(&house, "/mcp/own", &session, "tasks/list", json!({})).await;
    assert_eq!(denied["error"]["code"], -31503, "{denied}");
    assert_eq!(house.run(&["raise"]).0, 0);
    let got = ask_new(&house, "/mcp/far", "tasks/get", json!({ "taskId": far_task })).await;
    assert_eq!(got["result"]["status"], "cancelled", "{got}");
    // A server that cannot be reached is said to be, and is told as soon as it can.
    let task = make(&house, "far", "slow_compute", json!({ "seconds": 600 })).await;
    far.kill();
    let (code, out, _) = house.run(&["runs", "stop", "--kind", "task", "--grace", "1s", "--json"]);
    assert_eq!((code, &lines(&out)[0]["verdict"]), (1, &json!("unreachable")), "{out}");
    let address = url.trim_start_matches("http://").trim_end_matches("/mcp");
    let (_far, _) = fixture_http(&["--extra", "--listen", address]);
    let row = end_of(&house, &task_run(&house, &task)).await;
    assert!(row["message"].as_str().unwrap().contains("is lost"), "{row}");
}

#[tokio::test]
async fn tasks_of_a_revoked_grant_and_of_an_upstream_that_was_taken_out_are_stopped() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let (code, out, err) = house.run(&["grant", "add", "other", "--upstream", "*=p", "--json"]);
    assert_eq!(code, 0, "{err}");
    let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let other = house.session_of(&token, "/mcp/fix").await;
    let params = json!({ "name": "slow_compute", "arguments": { "seconds": 600 }, "task": {} });
    let made = other.ask(1, "tools/call", params).await.0;
    let theirs = task_run(&house, &made["result"]["task"]["taskId"]);
    let own = task_run(&house, &make(&house, "fix", "slow_compute", json!({ "seconds": 600 })).await);
    assert_eq!(house.run(&["grant", "revoke", "other"]).0, 0);
    assert_eq!(end_of(&house, &theirs).await["outcome"], "cancelled");
    assert_eq!(task_run(&house, &own["task"]["id"])["state"], "running");
    house.configure("  fix:", "  renamed:");
    assert_eq!(house.run(&["reload"]).0, 0);
    assert_eq!(end_of(&house, &own).await["outcome"], "cancelled");
}
