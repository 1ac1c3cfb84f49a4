//! Calls that a policy leaves to a person, for clients that speak tasks: a task each.

use crate::approvals::{POLICY, approver, house, id_of, one_that_waits, pays, reached, waiting};
use crate::house::{Held, House, text};
use crate::stream::{Stream, modern, open_session, post_modern, until};
use crate::tasks::{RELATED, ask_new, ask_old, ended_new, ended_old, knows_tasks, make_old};
use serde_json::{Value, json};
use std::time::Duration;

/// Every call of these tools waits for a person, and the other tools' pass.
fn holds(tools: &[&str], more: &str) -> String {
    let rule = format!("hold_if: [{{ conditions: [], on_hold: People decide.{more} }}]");
    let rules: Vec<String> = tools.iter().map(|tool| format!("  {tool}: {{ {rule} }}\n")).collect();
    format!("version: \"2\"\ndefault: allow\ntools:\n{}", rules.concat())
}

async fn call_new(house: &House, path: &str, tool: &str, arguments: Value) -> Value {
    ask_new(house, path, "tools/call", json!({ "name": tool, "arguments": arguments })).await
}

async fn get_new(house: &House, id: &Value) -> Value {
    ask_new(house, "/mcp/fix", "tasks/get", json!({ "taskId": id })).await["result"].clone()
}

/// The task that a held call of the new era is answered with; and its approval.
fn held_new(answer: &Value) -> (Value, String) {
    let result = &answer["result"];
    assert_eq!((&result["resultType"], &result["status"]), (&json!("task"), &json!("working")), "{answer}");
    let decision = &result["_meta"]["portcullis/decision"];
    let approval = decision["approval"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert_eq!(decision["outcome"], "held", "{answer}");
    assert!(result["statusMessage"].as_str().unwrap().contains(&approval), "{answer}");
    for time in ["createdAt", "lastUpdatedAt"] {
        assert!(result[time].as_str().unwrap().ends_with('Z'), "{answer}");
    }
    assert!(result["ttlMs"].is_u64() && result["pollIntervalMs"].is_u64(), "{answer}");
    (result["taskId"].clone(), approval)
}

fn decide(house: &House, word: &str, approval: &str) {
    let (code, _, err) = house.run(&["approvals", word, approval, "--reason", "a test"]);
    assert_eq!(code, 0, "{err}");
}

fn accepted() -> Value {
    json!({ "action": "accept", "content": { "approve": true } })
}

#[tokio::test]
async fn a_held_call_of_the_new_era_is_a_task_that_runs_once_when_a_person_approves_it() {
    // Whoever cannot be kept waiting need not be: the task outlives `approvals.wait`.
    let (house, _server, url) = house(POLICY, "50ms");
    let discovered = ask_new(&house, "/mcp/fix", "server/discover", json!({})).await;
    assert!(discovered["result"]["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object());
    for (path, tool, run) in [("/mcp/fix", "echo", 1), ("/mcp", "fix__echo", 2)] {
        let made = call_new(&house, path, tool, pays("rent")).await;
        let (id, approval) = held_new(&made);
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(get_new(&house, &id).await["status"], "working");
        // It is one run, that of the call, which waits.
        let (_, runs, _) = house.run(&["runs", "list", "--json"]);
        let runs: Vec<Value> = runs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let runs: Vec<_> = runs.iter().filter(|run| run["ended"].is_null() && run["owner"] == "t").collect();
        assert_eq!((runs.len(), &runs[0]["state"], &runs[0]["kind"]), (1, &json!("held"), &json!("call")));
        decide(&house, "approve", &approval);
        let done = ended_new(&house, path, &id).await;
        assert_eq!((&done["status"], text(&done)), (&json!("completed"), "pay rent"), "{done}");
        assert_eq!(
            (&done["resultType"], &done["result"]["resultType"]),
            (&json!("complete"), &json!("complete"))
        );
        assert_eq!(reached(&house, &url).await, run);
    }
    // What was approved was one call.
    let (id, approval) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    decide(&house, "deny", &approval);
    let done = ended_new(&house, "/mcp/fix", &id).await;
    assert_eq!((&done["status"], &done["result"]["isError"]), (&json!("completed"), &json!(true)), "{done}");
    assert!(text(&done).contains("refused this call: a test"), "{done}");
    assert_eq!(reached(&house, &url).await, 2);
    // Each is recorded when it is made and when it ends.
    let of_tasks = || house.rows(&["--tool", "echo"]).iter().filter(|row| row["kind"] == "run").count();
    until("the rows of the tasks", || async { (of_tasks() == 6).then_some(()) }).await;
    // A client that did not declare the extension gets no task.
    let params = json!({ "name": "echo", "arguments": pays("wages") });
    let held =
        post_modern(&house, "/mcp/fix", modern(1, "tools/call", params, json!({}))).await.whole().await;
    assert!(text(&held).starts_with("[APPROVAL NEEDED]"), "{held}");
}

#[tokio::test]
async fn a_held_call_of_the_old_era_is_a_task_where_its_client_asked_for_one() {
    let (house, _server, url) = house(POLICY, "50ms");
    for (path, tool) in [("/mcp/fix", "echo"), ("/mcp", "fix__echo")] {
        let session = open_session(&house, path, "2025-11-25", json!({})).await;
        let task = make_old(&house, path, &session, tool, pays("rent")).await;
        let id = &task["taskId"];
        assert_eq!(task["status"], "working", "{task}");
        let listed = ask_old(&house, path, &session, "tasks/list", json!({})).await;
        assert!(
            listed["result"]["tasks"].as_array().unwrap().iter().any(|one| one["taskId"] == *id),
            "{listed}"
        );
        let body = json!({ "jsonrpc": "2.0", "id": 8, "method": "tasks/result", "params": { "taskId": id } });
        let result = Stream::post(&house, path, &session, &body);
        let approval = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        assert!(task["statusMessage"].as_str().unwrap().contains(&approval), "{task}");
        let (result, ()) = tokio::join!(async { result.await.whole().await }, async {
            // The result is waited for before anybody decides.
            tokio::time::sleep(Duration::from_millis(200)).await;
            decide(&house, "approve", &approval);
        });
        assert_eq!((text(&result), &result["id"]), ("pay rent", &json!(8)), "{result}");
        assert_eq!(result["result"]["_meta"][RELATED]["taskId"], *id, "{result}");
        assert_eq!(ended_old(&house, path, &session, id).await["status"], "completed");
        // It can be had again, and not stopped any more.
        let again = ask_old(&house, path, &session, "tasks/result", json!({ "taskId": id })).await;
        assert_eq!(text(&again), "pay rent");
        let late = ask_old(&house, path, &session, "tasks/cancel", json!({ "taskId": id })).await;
        assert_eq!(late["error"]["code"], -32602, "{late}");
    }
    assert_eq!(reached(&house, &url).await, 2);
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let task = make_old(&house, "/mcp/fix", &session, "echo", pays("bribes")).await;
    let approval = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
    decide(&house, "deny", &approval);
    // An error of the tool is a failure there (2025-11-25, "Task Status").
    let failed = ended_old(&house, "/mcp/fix", &session, &task["taskId"]).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["statusMessage"].as_str().unwrap().contains("refused this call: a test"), "{failed}");
    let result =
        ask_old(&house, "/mcp/fix", &session, "tasks/result", json!({ "taskId": task["taskId"] })).await;
    assert!(text(&result).contains("refused this call: a test"), "{result}");
    assert_eq!(reached(&house, &url).await, 2);
}

#[tokio::test]
async fn a_task_that_waits_is_its_owners_alone_and_outlives_their_session() {
    let (house, _server, url) = house(POLICY, "50ms");
    let (_, out, _) = house.run(&["grant", "add", "other", "--upstream", "*=p", "--json"]);
    let stranger = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let id = make_old(&house, "/mcp/fix", &session, "echo", pays("rent")).await["taskId"].clone();
    let theirs = house.session_of(&stranger, "/mcp/fix").await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        let never = theirs.ask(1, method, json!({ "taskId": "t_aaaaaaaaaaaaaaaaaaaaaaaaaa" })).await.0;
        let foreign = theirs.ask(1, method, json!({ "taskId": id })).await.0;
        assert_eq!(foreign.to_string(), never.to_string());
    }
    // A cancellation of the request does not end a task (2025-11-25, "Cancellation"), nor does the end of the session.
    let cancel =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } });
    assert_eq!(Stream::post(&house, "/mcp/fix", &session, &cancel).await.status, 202);
    assert_eq!(
        Stream::open(&house, hyper::Method::DELETE, "/mcp/fix", &[("mcp-session-id", &session)], "")
            .await
            .status,
        200
    );
    let approval = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
    decide(&house, "approve", &approval);
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    assert_eq!(ended_old(&house, "/mcp/fix", &session, &id).await["status"], "completed");
    let result = ask_old(&house, "/mcp/fix", &session, "tasks/result", json!({ "taskId": id })).await;
    assert_eq!(text(&result), "pay rent");
    assert_eq!(reached(&house, &url).await, 1);
}

#[tokio::test]
async fn the_user_of_the_client_decides_about_a_task_in_both_eras() {
    let policy = holds(&["echo"], ", approvers: [client]");
    let (house, _server, url) = house(&policy, "50ms");
    let answer = call_new(&house, "/mcp/fix", "echo", pays("rent")).await;
    let id = answer["result"]["taskId"].clone();
    let asks = until("the question", || async {
        let got = get_new(&house, &id).await;
        (got["status"] == "input_required").then_some(got)
    })
    .await;
    let (key, question) = asks["inputRequests"].as_object().unwrap().iter().next().unwrap();
    assert_eq!(question["method"], "elicitation/create", "{asks}");
    assert!(question["params"]["message"].as_str().unwrap().contains("rent"), "{asks}");
    let update = |answers: Value| json!({ "taskId": id, "inputResponses": answers });
    // What was never asked is passed over.
    let told = ask_new(&house, "/mcp/fix", "tasks/update", update(json!({ "another": accepted() }))).await;
    assert_eq!(told["result"], json!({ "resultType": "complete" }), "{told}");
    assert_eq!(get_new(&house, &id).await["status"], "input_required");
    ask_new(&house, "/mcp/fix", "tasks/update", update(json!({ key: accepted() }))).await;
    assert_eq!(text(&ended_new(&house, "/mcp/fix", &id).await), "pay rent");

    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({ "elicitation": {} })).await;
    for (reply, expected) in [(accepted(), "pay wages"), (json!({ "action": "decline" }), "[POLICY DENIED]")]
    {
        let task = make_old(&house, "/mcp/fix", &session, "echo", pays("wages")).await;
        let params = json!({ "taskId": task["taskId"] });
        let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/result", "params": params });
        // Whoever leaves before they answer is asked again.
        for last in [false, true] {
            let mut stream = Stream::post(&house, "/mcp/fix", &session, &body).await;
            let question = stream.message().await.unwrap();
            assert_eq!(question["method"], "elicitation/create", "{question}");
            assert_eq!(question["params"]["_meta"][RELATED]["taskId"], task["taskId"], "{question}");
            let got = ask_old(&house, "/mcp/fix", &session, "tasks/get", params.clone()).await;
            assert_eq!(got["result"]["status"], "input_required", "{got}");
            if last {
                let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": reply });
                assert_eq!(Stream::post(&house, "/mcp/fix", &session, &reply).await.status, 202);
                let answers = stream.rest().await;
                assert!(text(&answers[0]).starts_with(expected), "{answers:?}");
            }
        }
    }
    assert_eq!(reached(&house, &url).await, 2);
    // A client that cannot ask its user gets a task that waits for whoever else may decide.
    let declared = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    let params = json!({ "name": "echo", "arguments": pays("fees") });
    let held = post_modern(&house, "/mcp/fix", modern(1, "tools/call", params, declared)).await.whole().await;
    assert_eq!(held["result"]["status"], "working", "{held}");
}

#[tokio::test]
async fn a_question_to_the_user_of_a_client_is_taken_back_when_somebody_else_decides() {
    let policy = POLICY.replace("on_hold:", "approvers: [client, role=finance]\n        on_hold:");
    let (house, _server, _) = house(&policy, "50ms");
    let anna = approver(&house);
    let decide = || async {
        let approval = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        let mut command = house.command(&["approvals", "approve", &approval]);
        assert!(command.env("PORTCULLIS_TOKEN", &anna).output().unwrap().status.success());
    };
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({ "elicitation": {} })).await;
    let task = make_old(&house, "/mcp/fix", &session, "echo", pays("rent")).await;
    let params = json!({ "taskId": task["taskId"] });
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/result", "params": params });
    let mut stream = Stream::post(&house, "/mcp/fix", &session, &body).await;
    let question = stream.message().await.unwrap();
    decide().await;
    let taken_back = stream.message().await.unwrap();
    assert_eq!(taken_back["method"], "notifications/cancelled", "{taken_back}");
    assert_eq!(taken_back["params"]["requestId"], question["id"], "{taken_back}");
    assert_eq!(text(&stream.rest().await[0]), "pay rent");
    let made = call_new(&house, "/mcp/fix", "echo", pays("wages")).await;
    let id = &made["result"]["taskId"];
    until("the question", || async {
        (get_new(&house, id).await["status"] == "input_required").then_some(())
    })
    .await;
    decide().await;
    assert_eq!(text(&ended_new(&house, "/mcp/fix", id).await), "pay wages");
}

#[tokio::test]
async fn a_task_that_waits_can_be_stopped_by_its_client_and_by_the_operator() {
    let (house, _server, url) = house(POLICY, "50ms");
    // The new era: the word is taken at once, the end follows.
    let (id, approval) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    let told = ask_new(&house, "/mcp/fix", "tasks/cancel", json!({ "taskId": id })).await;
    assert_eq!(told["result"], json!({ "resultType": "complete" }), "{told}");
    assert_eq!(ended_new(&house, "/mcp/fix", &id).await["status"], "cancelled");
    // The old one: it is cancelled when the answer comes.
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let task = make_old(&house, "/mcp/fix", &session, "echo", pays("wages")).await;
    let told =
        ask_old(&house, "/mcp/fix", &session, "tasks/cancel", json!({ "taskId": task["taskId"] })).await;
    assert_eq!(
        (&told["result"]["status"], &told["result"]["taskId"]),
        (&json!("cancelled"), &task["taskId"])
    );
    let result =
        ask_old(&house, "/mcp/fix", &session, "tasks/result", json!({ "taskId": task["taskId"] })).await;
    assert!(result["error"]["message"].as_str().unwrap().contains("cancelled"), "{result}");
    let rows = until("the rows of the ends", || async {
        let rows = house.rows(&["--tool", "echo", "--outcome", "cancelled"]);
        (rows.len() == 2).then_some(rows)
    })
    .await;
    assert!(rows.iter().all(|row| row["verdict"]["asked_by"] == "client"), "{rows:?}");
    // Yes to a call that nobody makes any more makes nothing.
    decide(&house, "approve", &approval);
    let (id, _) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("fees")).await);
    let (code, said, _) = house.run(&["drop", "--reason", "a drill"]);
    assert!(code == 0 && said.contains("1 run: 1 stopped"), "{said}");
    assert_eq!(house.run(&["raise"]).0, 0);
    let done = ended_new(&house, "/mcp/fix", &id).await;
    assert_eq!(done["status"], "cancelled", "{done}");
    assert!(done["statusMessage"].as_str().unwrap().contains("a drill"), "{done}");
    assert_eq!(reached(&house, &url).await, 0);
}

#[tokio::test]
async fn a_task_that_waits_ends_with_its_grant_and_with_the_time_for_its_approval() {
    let policy = POLICY.replace("on_hold:", "timeout: 700ms\n        on_hold:");
    let (house, _server, url) = house(&policy, "50ms");
    let (id, approval) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    let done = ended_new(&house, "/mcp/fix", &id).await;
    assert_eq!((&done["status"], &done["result"]["isError"]), (&json!("completed"), &json!(true)), "{done}");
    assert!(text(&done).starts_with("[POLICY DENIED]") && text(&done).contains(&approval), "{done}");
    assert!(waiting(&house).is_empty());
    let (_, out, _) = house.run(&["grant", "add", "other", "--upstream", "*=p", "--json"]);
    let other = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let session = house.session_of(&other, "/mcp/fix").await;
    let params = json!({ "name": "echo", "arguments": pays("wages"), "task": {} });
    let made = session.ask(1, "tools/call", params).await.0;
    assert_eq!(made["result"]["task"]["status"], "working", "{made}");
    assert_eq!(house.run(&["grant", "revoke", "other"]).0, 0);
    until("the end of the task", || async { (house.status()["tasks"]["live"] == 0).then_some(()) }).await;
    assert_eq!(reached(&house, &url).await, 0);
}

#[tokio::test]
async fn a_task_goes_on_waiting_when_the_policy_that_held_it_is_another() {
    let (house, _server, url) = house(POLICY, "50ms");
    let (id, first) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    let stricter = POLICY.replace("default: deny", "default: deny\nhide: [add]");
    std::fs::write(house.folder.path().join("policy.yaml"), stricter).unwrap();
    assert_eq!(house.run(&["reload"]).0, 0);
    let (code, _, err) = house.run(&["approvals", "approve", &first]);
    assert!(code == 1 && err.contains("a policy that is another now"), "{err}");
    let second = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
    let told = until("the other approval", || async {
        let said = get_new(&house, &id).await["statusMessage"].as_str().unwrap().to_owned();
        said.contains(&second).then_some(said)
    })
    .await;
    assert!(!told.contains(&first), "{told}");
    decide(&house, "approve", &second);
    assert_eq!(text(&ended_new(&house, "/mcp/fix", &id).await), "pay rent");
    assert_eq!(reached(&house, &url).await, 1);
}

#[tokio::test]
async fn a_task_that_waited_when_the_gate_was_killed_is_lost_and_its_approval_is_not() {
    let (mut house, _server, url) = house(POLICY, "50ms");
    let (waited, approval) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    let (done, other) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("wages")).await);
    decide(&house, "approve", &other);
    ended_new(&house, "/mcp/fix", &done).await;
    let (stopped, _) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("fees")).await);
    ask_new(&house, "/mcp/fix", "tasks/cancel", json!({ "taskId": stopped })).await;
    house.gate.take().unwrap().kill();
    house.up();
    let lost = get_new(&house, &waited).await;
    assert_eq!(lost["status"], "failed", "{lost}");
    assert!(lost["error"]["message"].as_str().unwrap().contains(&approval), "{lost}");
    let gone = get_new(&house, &done).await;
    assert_eq!(gone["status"], "failed", "{gone}");
    assert!(gone["error"]["message"].as_str().unwrap().contains("completed"), "{gone}");
    let stopped = get_new(&house, &stopped).await;
    assert_eq!((&stopped["status"], &stopped["resultType"]), (&json!("cancelled"), &json!("complete")));
    decide(&house, "approve", &approval);
    assert_eq!(text(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await), "pay rent");
    assert_eq!(reached(&house, &url).await, 2);
}

#[tokio::test]
async fn a_server_that_makes_a_task_itself_or_asks_something_does_so_behind_the_clients_one_task() {
    for era in ["old", "new"] {
        let policy = holds(&["slow_compute", "ask", "confirm_delete"], "");
        let (house, _server, _) = house_of(era, &policy);
        let (id, approval) = held_new(
            &call_new(&house, "/mcp/fix", "slow_compute", json!({ "seconds": 0.2, "label": "a sum" })).await,
        );
        decide(&house, "approve", &approval);
        assert_eq!(text(&ended_new(&house, "/mcp/fix", &id).await), "a sum is computed", "{era}");
        for (tool, reply, expected) in [
            ("ask", json!({ "action": "accept", "content": { "word": "open" } }), "open"),
            (
                "confirm_delete",
                json!({ "action": "accept", "content": { "confirm": true } }),
                "a.txt is deleted",
            ),
        ] {
            let (id, approval) =
                held_new(&call_new(&house, "/mcp/fix", tool, json!({ "filename": "a.txt" })).await);
            decide(&house, "approve", &approval);
            let asks = until("the question", || async {
                let got = get_new(&house, &id).await;
                assert!(
                    got["status"] == "working" || got["status"] == "input_required",
                    "{era} {tool}: {got}"
                );
                (got["status"] == "input_required").then_some(got)
            })
            .await;
            let key = asks["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
            let params = json!({ "taskId": id, "inputResponses": { key: reply } });
            ask_new(&house, "/mcp/fix", "tasks/update", params).await;
            let done = ended_new(&house, "/mcp/fix", &id).await;
            assert!(text(&done).contains(expected), "{era} {tool}: {done}");
        }
        // A list has the one that the client knows.
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
        let task = make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 0 })).await;
        decide(&house, "approve", one_that_waits(&house).await["id"].as_str().unwrap());
        let id = &task["taskId"];
        assert_eq!(ended_old(&house, "/mcp/fix", &session, id).await["status"], "completed");
        let listed = ask_old(&house, "/mcp/fix", &session, "tasks/list", json!({})).await;
        let listed = listed["result"]["tasks"].as_array().unwrap();
        assert!(listed.len() == 1 && listed[0]["taskId"] == *id, "{era}: {listed:?}");
        // The old era: the same through the stream of `tasks/result`.
        let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({ "elicitation": {} })).await;
        let task = make_old(&house, "/mcp/fix", &session, "ask", json!({})).await;
        let approval = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        decide(&house, "approve", &approval);
        let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/result", "params": { "taskId": task["taskId"] } });
        let mut stream = Stream::post(&house, "/mcp/fix", &session, &body).await;
        let question = stream.message().await.unwrap();
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": { "action": "accept", "content": { "word": "open" } } });
        assert_eq!(Stream::post(&house, "/mcp/fix", &session, &reply).await.status, 202);
        let answers = stream.rest().await;
        assert!(text(answers.last().unwrap()).contains("open"), "{era}: {answers:?}");
    }
}

#[tokio::test]
async fn whoever_listens_hears_how_a_task_that_waits_goes_on() {
    let (house, _server, _) = house(POLICY, "50ms");
    let (id, approval) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("rent")).await);
    let params = json!({ "notifications": { "taskIds": [id] } });
    let mut stream =
        post_modern(&house, "/mcp/fix", modern(5, "subscriptions/listen", params, knows_tasks())).await;
    assert_eq!(stream.message().await.unwrap()["params"]["notifications"]["taskIds"], json!([id]));
    decide(&house, "approve", &approval);
    let mut notice = stream.message().await.unwrap();
    // That it waits for nobody any more is news, too.
    while notice["params"]["status"] == "working" {
        assert_eq!(notice["params"].get("statusMessage"), None, "{notice}");
        notice = stream.message().await.unwrap();
    }
    assert_eq!(
        (&notice["method"], &notice["params"]["status"]),
        (&json!("notifications/tasks"), &json!("completed"))
    );
    assert_eq!((&notice["params"]["taskId"], text(&notice["params"])), (&id, "pay rent"), "{notice}");
}

#[tokio::test]
async fn a_tool_that_became_another_while_its_call_waited_is_not_called() {
    let policy = format!("{POLICY}  mutate: {{}}\n");
    let (house, _server, url) = house(&policy, "45s");
    let session = house.session("/mcp/fix").await;
    let (id, of_task) = held_new(&call_new(&house, "/mcp/fix", "echo", pays("wages")).await);
    let (answer, ()) = tokio::join!(session.call(1, "echo", pays("rent")), async {
        let of_request = until("the other approval", || async {
            let all = waiting(&house);
            all.iter()
                .find(|one| one["args"] == pays("rent"))
                .map(|one| one["id"].as_str().unwrap().to_owned())
        })
        .await;
        assert!(text(&session.call(2, "mutate", json!({})).await).contains("edition"));
        let changed = || async {
            let (_, said, _) = house.run(&["catalogue", "diff", "fix", "echo"]);
            said.contains("description").then_some(())
        };
        until("the other definition", changed).await;
        decide(&house, "approve", &of_request);
        decide(&house, "approve", &of_task);
    });
    assert!(text(&answer).contains("is not the one that was accepted"), "{answer}");
    let done = ended_new(&house, "/mcp/fix", &id).await;
    assert!(text(&done).contains("is not the one that was accepted"), "{done}");
    let calls = crate::house::seen(&house, &url).await["calls"].clone();
    assert!(calls.as_array().unwrap().iter().all(|call| call["name"] == "mutate"), "{calls}");
}

#[tokio::test]
async fn what_waits_takes_no_place_among_what_runs_until_it_passes_also_after_a_restart() {
    let policy = "version: \"2\"\ndefault: deny\ntools:\n  delay:\n    hold_if: [{ conditions: [], on_hold: People decide. }]\n    \
                  limits: [{ concurrent: 1, scope: everyone }]\n";
    let (mut house, _server, url) = house(policy, "50ms");
    let call = |label: &str| json!({ "ms": 1000, "label": label });
    for restarts in [false, true] {
        let session = house.session("/mcp/fix").await;
        for (id, label) in [(1, "one"), (2, "two")] {
            let held = id_of(&session.call(id, "delay", call(label)).await);
            decide(&house, "approve", &held);
        }
        drop(session);
        if restarts {
            house.gate.take().unwrap().kill();
            house.up();
        }
        let session = house.session("/mcp/fix").await;
        let runs = async {
            until("the first call", || async { (reached(&house, &url).await % 2 == 1).then_some(()) }).await;
            let full = session.call(4, "delay", call("two")).await;
            assert!(text(&full).contains("One such call may run at a time"), "{full}");
        };
        let (one, ()) = tokio::join!(session.call(3, "delay", call("one")), runs);
        assert_eq!(text(&one), "one");
        // Its approval was not used up by that.
        let two = || async {
            let answer = session.call(5, "delay", call("two")).await;
            (!text(&answer).contains("may run at a time")).then_some(answer)
        };
        assert_eq!(text(&until("a free place", two).await), "two", "after a restart: {restarts}");
    }
    assert_eq!(reached(&house, &url).await, 4);
}

#[tokio::test]
async fn what_waits_as_a_request_ends_with_the_time_for_its_approval_too() {
    let policy = POLICY.replace("on_hold:", "timeout: 300ms\n        on_hold:");
    let (house, _server, url) = house(&policy, "45s");
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "echo", pays("rent")).await;
    assert!(
        text(&answer).starts_with("[POLICY DENIED] Payments are made by people. Nobody decided"),
        "{answer}"
    );
    assert_eq!(answer["result"]["_meta"]["portcullis/decision"]["outcome"], "denied", "{answer}");
    let (_, all, _) = house.run(&["approvals", "list", "--all", "--json"]);
    assert_eq!(all.lines().count(), 1, "it is not asked for again: {all}");
    assert_eq!(reached(&house, &url).await, 0);
}

/// A gate that holds back what the policy says, before a fixture of one era.
fn house_of(era: &str, policy: &str) -> (House, Held, String) {
    let (server, url) = crate::house::fixture_http(&["--extra", "--era", era]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }\napprovals: { wait: 50ms, timeout: 10m }";
    let house = House::build(&crate::house::Plan { upstreams: &upstreams, policy, more });
    (house, server, url)
}
