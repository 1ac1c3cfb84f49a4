//! A server of 2024-11-05, HTTP+SSE: the reference server in that mode, as `ci/parts` installs it.

use crate::house::{ALLOW_ALL, Held, House, Plan, names, start, text};
use crate::real::part;
use crate::stream::{Stream, outcome, until};
use serde_json::{Value, json};
use std::process::Command;

/// The reference server on a port of its own; waits until it listens.
fn everything(port: u16) -> Held {
    let mut command = Command::new(part("npm/node_modules/.bin/node"));
    command.arg(part("npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js")).arg("sse");
    let server = start(command.env("PORT", port.to_string()));
    server.line("Server is running on port");
    server
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn long(id: u64, tool: &str, duration: u64, steps: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool,
        "arguments": {"duration": duration, "steps": steps}, "_meta": {"progressToken": "mine"}}})
}

const LONG: &str = "trigger-long-running-operation";

#[tokio::test]
async fn lists_calls_progress_and_cancellations_pass_and_a_restart_is_survived() {
    let port = free_port();
    let mut server = everything(port);
    // Once as the entry says it, once as the gate finds it out.
    for kind in [", type: sse", ""] {
        let upstreams = format!("  old: {{ url: \"http://127.0.0.1:{port}/sse\"{kind} }}");
        let more = "limits: { first_connect: 30s }\nledger: { durability: process }";
        let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
        for (path, prefix) in [("/mcp/old", ""), ("/mcp", "old__")] {
            let session = house.session(path).await;
            let (list, _) = session.ask(1, "tools/list", json!({})).await;
            assert!(names(&list, "tools").contains(&format!("{prefix}{LONG}")), "{list}");
            let echo = format!("{prefix}echo");
            assert_eq!(text(&session.call(2, &echo, json!({"message": "hi"})).await), "Echo: hi");
            let call = long(3, &format!("{prefix}{LONG}"), 1, 4);
            let all = Stream::post(&house, path, &session.id, &call).await.rest().await;
            let (answer, progress) = all.split_last().unwrap();
            assert!(
                answer["id"] == json!(3) && text(answer).starts_with("Long running operation"),
                "{answer}"
            );
            assert_eq!(progress.len(), 4, "{progress:?}");
            assert!(progress.iter().all(|it| it["params"]["progressToken"] == "mine"), "{progress:?}");
        }
        let session = house.session("/mcp/old").await;
        let mut call = Stream::post(&house, "/mcp/old", &session.id, &long(4, LONG, 60, 600)).await;
        assert_eq!(call.message().await.unwrap()["method"], "notifications/progress");
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": 4, "reason": "enough"}});
        assert_eq!(Stream::post(&house, "/mcp/old", &session.id, &cancel).await.status, 202);
        assert!(call.rest().await.iter().all(|it| it["method"] == "notifications/progress"));
        until("the row", || async {
            let rows = house.rows(&["--outcome", "cancelled"]);
            rows.iter().any(|row| row["message"] == "enough").then_some(())
        })
        .await;
        assert_eq!(text(&session.call(5, "echo", json!({"message": "on"})).await), "Echo: on");
        // What is in flight fails at once, with the reason; then the gate finds the new process by itself.
        let mut call = Stream::post(&house, "/mcp/old", &session.id, &long(6, LONG, 60, 600)).await;
        assert_eq!(call.message().await.unwrap()["method"], "notifications/progress");
        server.kill();
        let broken = call.rest().await.pop().unwrap();
        assert_eq!((&broken["id"], &broken["error"]["code"]), (&json!(6), &json!(-31502)), "{broken}");
        let down = session.call(7, "echo", json!({"message": "x"})).await;
        assert_eq!(down["error"]["code"], json!(-31502), "{down}");
        server = everything(port);
        until("the server's return", || async {
            let answer = session.call(8, "echo", json!({"message": "back"})).await;
            answer.get("result").is_some().then(|| assert_eq!(text(&answer), "Echo: back"))
        })
        .await;
        let (list, _) = session.ask(9, "tools/list", json!({})).await;
        assert!(names(&list, "tools").contains(&LONG.to_owned()), "{list}");
        assert_eq!(outcome(&house, "echo").await["upstream"], "old");
    }
}
