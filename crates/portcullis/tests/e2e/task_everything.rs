//! The reference server's core tasks, through the gate.

use super::{npm_house, program};
use crate::house::{ALLOW_ALL, House, Plan, text};
use crate::stream::{Stream, open_session, until};
use crate::tasks::{RELATED, ask_old, ended_old, make_old};
use serde_json::json;

const PATH: &str = "/mcp/everything";
const TOOL: &str = "simulate-research-query";

#[tokio::test]
async fn its_research_is_made_polled_fetched_listed_cancelled_and_lost_with_its_process() {
    let mut house = npm_house(ALLOW_ALL);
    let session = open_session(&house, PATH, "2025-11-25", json!({})).await;
    let topic = json!({ "topic": "gates" });
    let done = make_old(&house, PATH, &session, TOOL, topic.clone()).await["taskId"].clone();
    let stopped = make_old(&house, PATH, &session, TOOL, topic.clone()).await["taskId"].clone();
    assert!(
        [&done, &stopped].into_iter().all(|id| id.as_str().unwrap().starts_with("t_")),
        "{done} {stopped}"
    );
    let cancelled = ask_old(&house, PATH, &session, "tasks/cancel", json!({ "taskId": stopped })).await;
    assert_eq!(
        (&cancelled["result"]["status"], &cancelled["result"]["taskId"]),
        (&json!("cancelled"), &stopped)
    );
    let ended = ended_old(&house, PATH, &session, &done).await;
    assert_eq!(ended["status"], "completed", "{ended}");
    let result = ask_old(&house, PATH, &session, "tasks/result", json!({ "taskId": done })).await;
    assert!(text(&result).contains("gates"), "{result}");
    assert_eq!(result["result"]["_meta"][RELATED]["taskId"], done, "{result}");
    let list = ask_old(&house, PATH, &session, "tasks/list", json!({})).await;
    let states: Vec<_> =
        list["result"]["tasks"].as_array().unwrap().iter().map(|task| &task["status"]).collect();
    assert_eq!(states, ["completed", "cancelled"], "{list}");
    // Its server keeps its tasks in memory and ends with the gate.
    let cut = make_old(&house, PATH, &session, TOOL, topic).await["taskId"].clone();
    house.gate.as_mut().unwrap().kill();
    house.up();
    let session = open_session(&house, PATH, "2025-11-25", json!({})).await;
    let lost = ended_old(&house, PATH, &session, &cut).await;
    assert_eq!((&lost["status"], &lost["taskId"]), (&json!("failed"), &cut), "{lost}");
    assert!(lost["statusMessage"].as_str().unwrap().contains("does not know it"), "{lost}");
    // Without the members of a task the call waits for the result.
    let call = json!({ "name": TOOL, "arguments": { "topic": "waiting" } });
    let waited = ask_old(&house, PATH, &session, "tools/call", call).await;
    assert!(text(&waited).contains("waiting"), "{waited}");
}

#[tokio::test]
async fn its_research_asks_its_own_client_what_an_ambiguous_topic_means() {
    let upstreams = format!(
        "  everything: {{ command: \"{}\", args: [stdio], per: session }}",
        program("mcp-server-everything")
    );
    let more = "limits: { first_connect: 30s }\nledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = open_session(&house, PATH, "2025-11-25", json!({ "elicitation": { "form": {} } })).await;
    let mut own = Stream::get(&house, PATH, &session, &[]).await;
    let topic = json!({ "topic": "python", "ambiguous": true });
    let id = make_old(&house, PATH, &session, TOOL, topic).await["taskId"].clone();
    until("the question", || async {
        let got = ask_old(&house, PATH, &session, "tasks/get", json!({ "taskId": id })).await;
        (got["result"]["status"] == "input_required").then_some(())
    })
    .await;
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": "tasks/result", "params": { "taskId": id } });
    let answer = Stream::post(&house, PATH, &session, &body);
    let asked = async {
        loop {
            let message = own.message().await.unwrap();
            if message["method"] == "elicitation/create" {
                return message;
            }
        }
    };
    let reply = async {
        let question = asked.await;
        assert_eq!(question["params"]["_meta"][RELATED]["taskId"], id, "{question}");
        let schema = &question["params"]["requestedSchema"]["properties"];
        let (name, field) = schema.as_object().unwrap().iter().next().unwrap();
        let choice =
            field.pointer("/oneOf/0/const").or(field.pointer("/enum/0")).cloned().unwrap_or(json!("a snake"));
        let accepted = json!({ "action": "accept", "content": { name: choice } });
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": accepted });
        assert_eq!(Stream::post(&house, PATH, &session, &reply).await.status, 202);
    };
    let (answer, ()) = tokio::join!(answer, reply);
    let result = answer.rest_or_whole().await;
    assert!(text(result.last().unwrap()).contains("python"), "{result:?}");
}
