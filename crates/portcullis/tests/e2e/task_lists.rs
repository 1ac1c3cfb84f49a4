//! `tasks/list`: a grant's own tasks, over all servers of the route.

use crate::house::{ALLOW_ALL, House, Plan, fixture_http};
use crate::in_flight::MORE;
use crate::stream::open_session;
use crate::tasks::{ask_new, ask_old, make_old};
use serde_json::{Value, json};

fn ids(list: &Value) -> Vec<Value> {
    let tasks = list["result"]["tasks"].as_array().unwrap_or_else(|| panic!("{list}"));
    tasks.iter().map(|task| task["taskId"].clone()).collect()
}

#[tokio::test]
async fn a_list_spans_the_servers_names_each_and_those_that_do_not_answer() {
    let (_one, one) = fixture_http(&["--extra"]);
    let (mut two, other) = fixture_http(&["--extra"]);
    let upstreams = format!("  one: {{ url: \"{one}\" }}\n  two: {{ url: \"{other}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = open_session(&house, "/mcp", "2025-11-25", json!({})).await;
    let mut made = Vec::new();
    for tool in ["one__slow_compute", "two__slow_compute", "one__slow_compute"] {
        let task = make_old(&house, "/mcp", &session, tool, json!({ "seconds": 600 })).await;
        made.push(task["taskId"].clone());
    }
    // Of the other design, which has no lists.
    let call = json!({ "name": "one__slow_compute", "arguments": { "seconds": 600 } });
    ask_new(&house, "/mcp", "tools/call", call).await;
    let list = ask_old(&house, "/mcp", &session, "tasks/list", json!({})).await;
    assert_eq!(ids(&list), made, "{list}");
    let homes: Vec<_> = list["result"]["tasks"].as_array().unwrap().iter().collect();
    let homes: Vec<_> = homes.iter().map(|task| task["_meta"]["portcullis/upstream"].clone()).collect();
    assert_eq!(homes, ["one", "two", "one"]);
    assert!(list["result"].get("_meta").is_none() && list["result"].get("nextCursor").is_none(), "{list}");
    let only = open_session(&house, "/mcp/two", "2025-11-25", json!({})).await;
    let list = ask_old(&house, "/mcp/two", &only, "tasks/list", json!({})).await;
    assert_eq!(ids(&list), made[1..2], "{list}");
    assert!(list["result"]["tasks"][0].get("_meta").is_none(), "{list}");
    let bad = ask_old(&house, "/mcp", &session, "tasks/list", json!({ "cursor": "2" })).await;
    assert_eq!(bad["error"]["code"], -32602, "{bad}");
    two.kill();
    let list = ask_old(&house, "/mcp", &session, "tasks/list", json!({})).await;
    assert_eq!(ids(&list), made, "what a server said last is listed: {list}");
    let silent = &list["result"]["_meta"]["portcullis/upstreams"];
    assert_eq!((silent.as_array().unwrap().len(), &silent[0]["name"]), (1, &json!("two")), "{list}");
}

#[tokio::test]
async fn long_lists_come_in_pages_whose_cursors_are_the_clients_own() {
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: MORE });
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let mut made = Vec::new();
    for _ in 0..103 {
        let task = make_old(&house, "/mcp/fix", &session, "slow_compute", json!({ "seconds": 0 })).await;
        made.push(task["taskId"].clone());
    }
    let first = ask_old(&house, "/mcp/fix", &session, "tasks/list", json!({})).await;
    let next = first["result"]["nextCursor"].clone();
    let rest = ask_old(&house, "/mcp/fix", &session, "tasks/list", json!({ "cursor": next })).await;
    let mut all = [ids(&first), ids(&rest)].concat();
    assert!(rest["result"].get("nextCursor").is_none() && ids(&first).len() == 100, "{rest}");
    // Those of one millisecond have no order of their own.
    all.sort_by_key(Value::to_string);
    made.sort_by_key(Value::to_string);
    assert_eq!(all, made);
    let elsewhere = open_session(&house, "/mcp", "2025-11-25", json!({})).await;
    let foreign = ask_old(&house, "/mcp", &elsewhere, "tasks/list", json!({ "cursor": next })).await;
    assert_eq!(foreign["error"]["code"], -32602, "{foreign}");
    drop(server);
}
