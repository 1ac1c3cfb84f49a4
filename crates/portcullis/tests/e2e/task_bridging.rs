//! Clients that know no tasks, or not those of the server's era: they wait, and get the result.

use crate::house::{ALLOW_ALL, House, text};
use crate::in_flight::{MORE, Set};
use crate::stream::{Stream, modern, open_session, post_modern, until};
use serde_json::{Value, json};

fn call(tool: &str, arguments: Value) -> Value {
    json!({ "name": tool, "arguments": arguments })
}

fn request(id: u64, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
}

#[tokio::test]
async fn a_client_without_tasks_gets_the_result_of_a_tool_that_is_called_as_a_task_alone() {
    for set in [Set::http("old", MORE), Set::stdio("old", MORE)] {
        let house = &set.house;
        for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
            let params = call(&format!("{prefix}stubborn_job"), json!({ "ms": 200 }));
            let session = open_session(house, path, "2025-11-25", json!({})).await;
            let old = Stream::post(house, path, &session, &request(1, &params)).await.whole().await;
            assert_eq!((text(&old), &old["id"]), ("done in spite of everything", &json!(1)), "{old}");
            let new =
                post_modern(house, path, modern(2, "tools/call", params, json!({}))).await.whole().await;
            assert_eq!(text(&new), "done in spite of everything");
            assert_eq!(new["result"]["resultType"], "complete", "{new}");
            let params = call(&format!("{prefix}protocol_error_job"), json!({}));
            let failed = Stream::post(house, path, &session, &request(3, &params)).await.whole().await;
            assert_eq!(failed["error"]["message"], "the job broke down", "{failed}");
        }
        until("the ends of all", || async {
            (house.status()["tasks"]
                == json!({ "live": 0, "kept": 6, "evicted": 0, "expired": 0, "lost": 0 }))
            .then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_client_of_the_old_era_waits_for_tasks_of_the_extension_with_progress_and_is_asked() {
    for set in [Set::http("new", MORE), Set::stdio("new", MORE)] {
        let house = &set.house;
        for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
            let session = open_session(house, path, "2025-11-25", json!({ "elicitation": {} })).await;
            let mut params = call(&format!("{prefix}stubborn_job"), json!({ "ms": 600 }));
            params["_meta"] = json!({ "progressToken": "mine" });
            let all = Stream::post(house, path, &session, &request(1, &params)).await.rest().await;
            assert_eq!(text(all.last().unwrap()), "done in spite of everything");
            let steps: Vec<_> = all.iter().filter(|it| it["method"] == "notifications/progress").collect();
            assert!(
                !steps.is_empty() && steps.iter().all(|it| it["params"]["progressToken"] == "mine"),
                "{all:?}"
            );
            let steps: Vec<f64> = steps.iter().map(|it| it["params"]["progress"].as_f64().unwrap()).collect();
            assert!(steps.is_sorted(), "{steps:?}");
            let params = call(&format!("{prefix}confirm_delete"), json!({ "filename": "a.txt" }));
            let mut answer = Stream::post(house, path, &session, &request(2, &params)).await;
            let question = answer.message().await.unwrap();
            assert_eq!(question["method"], "elicitation/create", "{question}");
            let accepted = json!({ "action": "accept", "content": { "confirm": true } });
            let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": accepted });
            assert_eq!(Stream::post(house, path, &session, &reply).await.status, 202);
            assert_eq!(text(answer.rest().await.last().unwrap()), "a.txt is deleted");
        }
    }
}

#[tokio::test]
async fn a_client_that_does_not_declare_the_extension_waits_on_the_common_route_and_is_told_on_the_transparent_one()
 {
    let (house, _server) = House::fixture(ALLOW_ALL, &["--era", "new"]);
    let ask = async |path: &str, tool: &str| {
        let params = call(tool, json!({ "ms": 100 }));
        post_modern(&house, path, modern(1, "tools/call", params, json!({}))).await.whole().await
    };
    let answer = ask("/mcp", "fix__stubborn_job").await;
    assert_eq!(text(&answer), "done in spite of everything");
    assert_eq!(answer["result"]["resultType"], "complete", "{answer}");
    assert_eq!(ask("/mcp/fix", "stubborn_job").await["error"]["code"], -32021);
}

#[tokio::test]
async fn a_call_that_is_cancelled_while_it_waits_for_its_task_stops_the_task() {
    for era in ["old", "new"] {
        let set = Set::http(era, MORE);
        let house = &set.house;
        let session = open_session(house, "/mcp/fix", "2025-11-25", json!({ "elicitation": {} })).await;
        // It asks, and nobody answers: it never ends by itself.
        let params = call("confirm_delete", json!({ "filename": "a.txt" }));
        let mut answer = Stream::post(house, "/mcp/fix", &session, &request(1, &params)).await;
        while answer.message().await.unwrap()["method"] != "elicitation/create" {}
        let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": { "requestId": 1, "reason": "the user left" } });
        assert_eq!(Stream::post(house, "/mcp/fix", &session, &cancel).await.status, 202);
        assert_eq!(answer.rest().await, Vec::<Value>::new());
        let row = until("the end of the task", || async {
            let rows = house.rows(&["--tool", "confirm_delete"]);
            rows.into_iter().find(|row| row["kind"] == "run" && row["outcome"] == "cancelled")
        })
        .await;
        assert_eq!(row["verdict"]["asked_by"], "client", "{era}: {row}");
    }
}
