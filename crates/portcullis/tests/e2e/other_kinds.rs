//! Policies on resources, prompts, methods, and what servers ask of clients.

use crate::house::{House, names, text};
use crate::stream::{Stream, open_session, until};
use serde_json::{Value, json};

const POLICY: &str = "version: \"2\"
default: deny
tools: { ask: {}, sample: {} }
resources:
  \"test://static-*\": { limits: [{ counter: reads, window: day, max: 2, scope: grant }] }
prompts:
  test_simple_prompt: {}
server_requests:
  sampling: { require: [{ path: args.maxTokens, op: lte, value: 5000 }] }
";

fn uris(answer: &Value) -> Vec<&str> {
    answer["result"]["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["uri"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn resources_and_prompts_are_listed_and_read_as_the_policy_says() {
    let (house, _server) = House::fixture(POLICY, &[]);
    let session = house.session("/mcp/fix").await;
    let (listed, _) = session.ask(1, "resources/list", json!({})).await;
    let listed = uris(&listed);
    assert!(
        listed.contains(&"test://static-text") && listed.iter().all(|uri| uri.starts_with("test://static-")),
        "{listed:?}"
    );
    let (prompts, _) = session.ask(2, "prompts/list", json!({})).await;
    assert_eq!(names(&prompts, "prompts"), ["test_simple_prompt"]);

    let read = |id, uri: &'static str| session.ask(id, "resources/read", json!({ "uri": uri }));
    for id in [3, 4] {
        let (answer, _) = read(id, "test://static-text").await;
        assert!(answer["result"]["contents"].is_array(), "{answer}");
    }
    let (over, _) = read(5, "test://static-text").await;
    assert_eq!(over["error"]["code"], -31429, "{over}");
    let (denied, _) = read(6, "test://watched-resource").await;
    assert_eq!(denied["error"]["code"], -31403, "{denied}");
    assert!(denied["error"]["message"].as_str().unwrap().contains("is not permitted by policy"), "{denied}");
    let (answer, _) = session.ask(7, "prompts/get", json!({ "name": "test_simple_prompt" })).await;
    assert!(answer["result"]["messages"].is_array(), "{answer}");
    let (denied, _) = session.ask(8, "completion/complete", json!({
        "ref": { "type": "ref/prompt", "name": "test_simple_prompt" }, "argument": { "name": "a", "value": "b" } })).await;
    assert_eq!(denied["error"]["code"], -31403, "{denied}");

    let rows = house.rows(&["--outcome", "denied"]);
    let rules: Vec<&str> = rows.iter().map(|row| row["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["/resources/test:~1~1static-*/limits/0", "(default deny)", "(default deny)"]);
}

#[tokio::test]
async fn a_server_asks_its_client_for_what_the_policy_names_and_for_nothing_else() {
    let call = |id, tool| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": {} } });
    let reply = json!({ "role": "assistant", "content": { "type": "text", "text": "sesame" }, "model": "m" });
    for era in ["old", "new"] {
        let (house, _server) = House::fixture(POLICY, &["--era", era]);
        let can = json!({ "elicitation": {}, "sampling": {} });
        let session = open_session(&house, "/mcp/fix", "2025-11-25", can).await;
        // What is not named is not even offered to the server.
        let refused = Stream::post(&house, "/mcp/fix", &session, &call(1, "ask")).await.whole().await;
        assert!(refused.get("error").is_some() || refused["result"]["isError"] == true, "{era}: {refused}");
        let mut answer = Stream::post(&house, "/mcp/fix", &session, &call(2, "sample")).await;
        let question = answer.message().await.unwrap();
        assert_eq!(question["method"], "sampling/createMessage", "{era}: {question}");
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": reply });
        assert_eq!(Stream::post(&house, "/mcp/fix", &session, &reply).await.status, 202);
        assert_eq!(text(&answer.rest().await[0]), "sesame");
        // The end of what was asked is recorded a moment later than it is asked.
        let asked = until("the decision on the question and its end are recorded", || async {
            let mut asked = house.rows(&[]);
            asked.retain(|row| row["method"] == "sampling/createMessage");
            (asked.len() >= 2).then_some(asked)
        })
        .await;
        assert_eq!((asked.len(), &asked[0]["outcome"]), (2, &json!("allowed")), "{era}: {asked:?}");

        // More than the policy permits is not asked, whatever the server was offered.
        let strict = POLICY.replace("5000", "50");
        std::fs::write(house.folder.path().join("policy.yaml"), strict).unwrap();
        assert_eq!(house.run(&["reload"]).0, 0);
        let refused = Stream::post(&house, "/mcp/fix", &session, &call(3, "sample")).await.whole().await;
        assert!(refused.to_string().contains("/server_requests/sampling/require/0"), "{era}: {refused}");
    }
}
