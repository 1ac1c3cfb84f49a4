//! Lists, pages and changes.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, TOKEN, fixture_http, messages, names, text};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use serde_json::json;

#[tokio::test]
async fn the_aggregated_route_joins_upstreams_and_names_the_one_that_is_down() {
    let (_one, first) = fixture_http(&["--extra"]);
    let (_two, second) = fixture_http(&["--extra", "--tools", "120"]);
    let upstreams = format!(
        "  one: {{ url: \"{first}\" }}\n  two: {{ url: \"{second}\" }}\n  gone: {{ url: \"http://127.0.0.1:9/mcp\" }}"
    );
    let house = House::build(&Plan {
        upstreams: &upstreams,
        policy: ALLOW_ALL,
        more: "limits: { first_connect: 2s }",
    });
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    let tools = names(&list, "tools");
    assert!(tools.contains(&"one__echo".into()) && tools.contains(&"two__filler_119".into()), "{tools:?}");
    assert!(tools.contains(&"one__gateway_tasks_cancel".into()), "{tools:?}");
    assert_eq!(list["result"]["_meta"]["portcullis/upstreams"][0]["name"], "gone");
    let echo =
        list["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "one__echo").unwrap();
    assert_eq!(echo["_meta"]["portcullis/tool"], json!({"upstream": "one", "name": "echo"}));
    assert_eq!(text(&session.call(2, "two__echo", json!({"message": "hi"})).await), "hi");
    let cancel = session.call(3, "one__gateway_tasks_cancel", json!({"taskId": "7"})).await;
    assert_eq!(text(&cancel), r#"gateway.tasks_cancel {"taskId":"7"}"#);
    let (list, _) = session.ask(4, "resources/list", json!({})).await;
    let uris: Vec<_> =
        list["result"]["resources"].as_array().unwrap().iter().map(|r| r["uri"].clone()).collect();
    assert!(
        uris.contains(&json!("one+test://static-text")) && uris.contains(&json!("two+test://static-text")),
        "{uris:?}"
    );
    let (read, _) = session.ask(5, "resources/read", json!({"uri": "two+test://static-text"})).await;
    assert_eq!(read["result"]["contents"][0]["uri"], "two+test://static-text");
    let (prompts, _) = session.ask(6, "prompts/list", json!({})).await;
    assert!(names(&prompts, "prompts").contains(&"one__test_simple_prompt".into()), "{prompts}");
}

#[tokio::test]
async fn a_changed_list_is_told_on_the_clients_own_stream() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let session = house.session("/mcp/fix").await;
    session.ask(1, "tools/list", json!({})).await;
    let request = Request::builder()
        .method(Method::GET)
        .uri(format!("{}/mcp/fix", house.url))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &session.id)
        .body(Full::default())
        .unwrap();
    let mut stream = house.client.request(request).await.unwrap().into_body();
    session.call(2, "mutate", json!({})).await;
    let mut heard = Vec::new();
    tokio::time::timeout(PATIENCE, async {
        while !String::from_utf8_lossy(&heard).contains("tools/list_changed") {
            let frame = stream.frame().await.expect("the stream ended").unwrap();
            heard.extend_from_slice(frame.data_ref().unwrap());
        }
    })
    .await
    .unwrap_or_else(|_| panic!("no notice: {}", String::from_utf8_lossy(&heard)));
    // What changed is listed when somebody accepted it.
    let (code, out, err) = house.run(&["catalogue", "accept", "fix", "echo"]);
    assert_eq!(code, 0, "{out}{err}");
    let (list, _) = session.ask(3, "tools/list", json!({})).await;
    let echo = list["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "echo")
        .unwrap()
        .clone();
    assert!(echo["description"].as_str().unwrap().contains('1') || messages(&heard).len() == 1, "{echo}");
}

#[tokio::test]
async fn progress_carries_the_clients_own_token_on_the_calls_own_stream() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    for (path, tool) in [("/mcp/fix", "slow_progress"), ("/mcp", "fix__slow_progress")] {
        let session = house.session(path).await;
        let params =
            json!({"name": tool, "arguments": {"steps": 3, "ms": 20}, "_meta": {"progressToken": "mine"}});
        let (answer, before) = session.ask(1, "tools/call", params).await;
        assert_eq!(answer["id"], json!(1));
        let progress: Vec<_> =
            before.iter().filter(|message| message["method"] == "notifications/progress").collect();
        assert_eq!(progress.len(), 3, "{before:?}");
        assert!(progress.iter().all(|message| message["params"]["progressToken"] == "mine"), "{progress:?}");
    }
}
