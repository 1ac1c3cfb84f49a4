//! Questions of servers, asked across the eras.

use crate::house::{ALLOW_ALL, Held, House, Plan, fixture, fixture_http, text};
use crate::in_flight::MORE;
use crate::stream::{Stream, modern, open_session, outcome, post_modern};
use serde_json::{Value, json};

/// The gate in front of a server of one era, on HTTP and on a process of its own for each session.
fn both_ways(era: &str) -> [(House, Option<Held>); 2] {
    let (server, url) = fixture_http(&["--extra", "--era", era]);
    let http = format!("  fix: {{ url: \"{url}\" }}");
    let stdio = format!(
        "  fix: {{ command: \"{}\", args: [stdio, --extra, --era, {era}], per: session }}",
        fixture().display()
    );
    let house = |upstreams: &str| House::build(&Plan { upstreams, policy: ALLOW_ALL, more: MORE });
    [(house(&http), Some(server)), (house(&stdio), None)]
}

fn call(id: u64, tool: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": {}}})
}

/// The questions of the fixture's tools, an answer to each, and what the tool then says.
fn questions() -> [(&'static str, &'static str, Value, &'static str); 2] {
    [
        (
            "ask",
            "elicitation/create",
            json!({"action": "accept", "content": {"word": "open"}}),
            r#"{"action":"accept","content":{"word":"open"}}"#,
        ),
        (
            "sample",
            "sampling/createMessage",
            json!({"role": "assistant", "content": {"type": "text", "text": "sesame"}, "model": "m"}),
            "sesame",
        ),
    ]
}

#[tokio::test]
async fn a_server_of_the_new_era_asks_a_client_of_the_old_one_and_goes_on_with_the_answer() {
    for (house, _server) in both_ways("new") {
        for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
            let can = json!({"elicitation": {}, "sampling": {}});
            let session = open_session(&house, path, "2025-11-25", can).await;
            for (tool, method, reply, said) in questions() {
                let mut answer =
                    Stream::post(&house, path, &session, &call(1, &format!("{prefix}{tool}"))).await;
                let question = answer.message().await.unwrap();
                assert_eq!(question["method"], method, "{question}");
                let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": reply});
                assert_eq!(Stream::post(&house, path, &session, &reply).await.status, 202);
                let answer = answer.rest().await;
                assert_eq!((answer.len(), &answer[0]["id"]), (1, &json!(1)), "{answer:?}");
                assert_eq!(text(&answer[0]), said);
                assert!(
                    answer[0]["result"].get("resultType").is_none_or(|it| it == "complete"),
                    "{answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_question_that_the_client_refuses_or_leaves_open_ends_its_own_call() {
    for (house, _server) in both_ways("new") {
        let can = json!({"elicitation": {}, "sampling": {}});
        let session = open_session(&house, "/mcp/fix", "2025-11-25", can).await;
        let mut answer = Stream::post(&house, "/mcp/fix", &session, &call(1, "sample")).await;
        let question = answer.message().await.unwrap();
        let refusal =
            json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "not now"}});
        assert_eq!(Stream::post(&house, "/mcp/fix", &session, &refusal).await.status, 202);
        let answer = answer.rest().await;
        let said = answer[0]["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer:?}"));
        assert!(said.contains("sampling/createMessage") && said.contains("not now"), "{said}");
        // A cancellation while the client is asked: no answer, and the row says it.
        let mut answer = Stream::post(&house, "/mcp/fix", &session, &call(2, "ask")).await;
        assert_eq!(answer.message().await.unwrap()["method"], "elicitation/create");
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": 2, "reason": "the user left"}});
        assert_eq!(Stream::post(&house, "/mcp/fix", &session, &cancel).await.status, 202);
        assert_eq!(answer.rest().await, Vec::<Value>::new());
        let ended = outcome(&house, "ask").await;
        assert_eq!((&ended["outcome"], &ended["message"]), (&json!("cancelled"), &json!("the user left")));
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_so_and_not_asked() {
    for era in ["new", "old"] {
        for (house, _server) in both_ways(era) {
            let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
            for tool in ["ask", "sample"] {
                let answer = Stream::post(&house, "/mcp/fix", &session, &call(1, tool)).await.whole().await;
                assert!(answer["id"] == json!(1) && answer.get("error").is_some(), "{era}: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_whose_questions_belong_to_no_known_call_is_offered_no_client_that_it_could_ask() {
    let upstreams = format!(
        "  fix: {{ command: \"{}\", args: [stdio, --extra, --era, old], per: grant }}",
        fixture().display()
    );
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let can = json!({"elicitation": {"form": {}}, "sampling": {}});
    // All calls of clients of the new era travel on one line, and so would the questions.
    for (tool, what) in [("ask", "elicitation"), ("sample", "sampling")] {
        let call = modern(1, "tools/call", json!({"name": tool, "arguments": {}}), can.clone());
        let answer = post_modern(&house, "/mcp/fix", call).await.whole().await;
        let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(said.contains(what) && !said.contains("no client is known"), "{said}");
    }
}
