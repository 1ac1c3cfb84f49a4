//! Policies that judge what surrounds a call, and limits on more than one grant's calls.

use crate::house::{House, Session, TOKEN, text};
use serde_json::{Value, json};

fn policy(rules: &str) -> String {
    format!("version: \"2\"\ndefault: deny\ntools:\n{rules}")
}

fn rule_of(answer: &Value) -> &str {
    answer["result"]["_meta"]["portcullis/decision"]["rule"].as_str().unwrap_or("")
}

async fn says(session: &Session<'_>, id: u64, what: &str) -> Value {
    session.call(id, "echo", json!({ "message": what })).await
}

/// Another grant under the same policy; gives its token.
fn grant(house: &House, name: &str, more: &[&str]) -> String {
    let (code, out, err) =
        house.run(&[&["grant", "add", name, "--upstream", "*=p", "--json"], more].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn who_calls_with_what_and_when_is_judged_as_arguments_are() {
    let rules = "  echo:
    require:
      - conditions: [{ path: grant.labels.team, op: eq, value: web }]
        on_deny: Only the web team.
      - { path: client.name, op: eq, value: tests }
      - { path: call.upstream, op: eq, value: fix }
      - { path: time.hour, op: gte, value: 0 }
";
    let (house, _server) = House::fixture(&policy(rules), &[]);
    let ours = house.session("/mcp/fix").await;
    assert_eq!(
        text(&says(&ours, 1, "x").await),
        "[POLICY DENIED] Only the web team. (grant.labels.team is missing)"
    );
    let token = grant(&house, "web", &["--label", "team=web"]);
    let theirs = house.session_of(&token, "/mcp/fix").await;
    assert_eq!(text(&says(&theirs, 1, "x").await), "x");
}

#[tokio::test]
async fn what_a_session_called_before_decides_and_no_new_session_escapes_it() {
    let rules = "  count: {}
  echo:
    deny_if:
      - conditions: [{ path: session.calls.count, op: gt, value: 0 }]
        on_deny: Nothing is said after counting.
  delay:
    deny_if: [{ conditions: [{ path: \"session.calls[\\\"fix/count\\\"]\", op: gte, value: 2 }] }]
";
    let (house, _server) = House::fixture(&policy(rules), &[]);
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&says(&session, 1, "a").await), "a");
    session.call(2, "count", json!({})).await;
    let denied = says(&session, 3, "b").await;
    assert_eq!(text(&denied), "[POLICY DENIED] Nothing is said after counting.");
    assert_eq!(text(&session.call(4, "delay", json!({ "ms": 1, "label": "l" })).await), "l");
    session.call(5, "count", json!({})).await;
    assert_eq!(
        rule_of(&session.call(6, "delay", json!({ "ms": 1, "label": "l" })).await),
        "/tools/delay/deny_if/0"
    );
    for path in ["/mcp/fix", "/mcp"] {
        let other = house.session(path).await;
        let tool = if path == "/mcp" { "fix__echo" } else { "echo" };
        let denied = other.call(1, tool, json!({ "message": "c" })).await;
        assert!(text(&denied).contains("another session of the grant"), "{denied}");
    }
    // Another grant begins anew.
    let (_, out, _) = house.run(&["grant", "add", "fresh", "--upstream", "fix=p", "--json"]);
    let token = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    assert_eq!(text(&says(&house.session_of(&token, "/mcp/fix").await, 1, "d").await), "d");
}

#[tokio::test]
async fn what_a_grant_called_in_the_last_day_decides_in_every_session_and_after_a_restart() {
    let rules = "  count: {}
  echo:
    deny_if:
      - conditions: [{ path: 'grant.calls[\"fix/count\"]', op: gt, value: 0 }]
        on_deny: Nothing is said by a grant that has counted.
  delay:
    deny_if: [{ conditions: [{ path: grant.calls.count, op: gte, value: 2 }] }]
";
    let (mut house, _server) = House::fixture(&policy(rules), &[]);
    let other = grant(&house, "other", &[]);
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&says(&session, 1, "a").await), "a");
    session.call(2, "count", json!({})).await;
    for route in ["/mcp/fix", "/mcp/fix"] {
        let denied = says(&house.session(route).await, 3, "b").await;
        assert_eq!(text(&denied), "[POLICY DENIED] Nothing is said by a grant that has counted.");
    }
    assert_eq!(text(&session.call(4, "delay", json!({ "ms": 1, "label": "l" })).await), "l");
    house.gate = None;
    house.up();
    let session = house.session("/mcp/fix").await;
    assert_eq!(rule_of(&says(&session, 5, "c").await), "/tools/echo/deny_if/0");
    session.call(6, "count", json!({})).await;
    assert_eq!(
        rule_of(&session.call(7, "delay", json!({ "ms": 1, "label": "l" })).await),
        "/tools/delay/deny_if/0"
    );
    assert_eq!(text(&says(&house.session_of(&other, "/mcp/fix").await, 1, "d").await), "d");
}

#[tokio::test]
async fn so_many_run_at_once_and_one_more_when_one_has_ended() {
    let rules = "  delay: { limits: [{ concurrent: 2, scope: everyone }] }\n  echo: {}\n";
    let (house, _server) = House::fixture(&policy(rules), &[]);
    let token = grant(&house, "second", &[]);
    let (one, two) = (house.session("/mcp/fix").await, house.session_of(&token, "/mcp/fix").await);
    let label = |label: &str| json!({ "ms": 1500, "label": label });
    let third = async {
        // Until both have their places: one that is only listed among the runs may not have been judged yet.
        while house.rows(&["--tool", "delay"]).len() < 2 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        one.call(3, "delay", label("c")).await
    };
    let (a, b, c) = tokio::join!(one.call(1, "delay", label("a")), two.call(1, "delay", label("b")), third);
    assert_eq!((text(&a), text(&b)), ("a", "b"));
    assert_eq!(rule_of(&c), "/tools/delay/limits/0");
    assert!(text(&c).starts_with("[POLICY DENIED] 2 such calls may run at a time"), "{c}");
    assert_eq!(text(&one.call(4, "delay", json!({ "ms": 1, "label": "d" })).await), "d");
}

#[tokio::test]
async fn a_loop_of_one_call_is_ended_and_other_calls_go_on() {
    let rules = "  echo: { limits: [{ identical: 3, window: day }] }\n";
    let (mut house, _server) = House::fixture(&policy(rules), &[]);
    let session = house.session("/mcp/fix").await;
    for id in 1..=3 {
        assert_eq!(text(&says(&session, id, "again").await), "again");
    }
    let fourth = says(&session, 4, "again").await;
    assert!(
        text(&fourth).starts_with("[POLICY DENIED] The same call was made 3 times in this day"),
        "{fourth}"
    );
    assert!(fourth["result"]["_meta"]["portcullis/decision"]["retryAfterMs"].is_i64(), "{fourth}");
    assert_eq!(text(&says(&session, 5, "other").await), "other");
    // It holds across a restart.
    house.gate = None;
    house.up();
    let session = house.session("/mcp/fix").await;
    assert_eq!(rule_of(&says(&session, 6, "again").await), "/tools/echo/limits/0");
}

#[tokio::test]
async fn calls_are_counted_by_server_by_session_and_by_all() {
    let rules = "  echo: { limits: [{ counter: c, window: day, max: 2, scope: upstream }] }
  count: { limits: [{ counter: c, window: day, max: 1, scope: session }] }
";
    let (house, _server) = House::fixture(&policy(rules), &[]);
    let token = grant(&house, "second", &[]);
    let (one, two) = (house.session("/mcp/fix").await, house.session_of(&token, "/mcp/fix").await);
    assert_eq!(text(&says(&one, 1, "a").await), "a");
    assert_eq!(text(&says(&two, 1, "b").await), "b");
    assert_eq!(rule_of(&says(&one, 2, "c").await), "/tools/echo/limits/0");
    for session in [&one, &two, &house.session_of(TOKEN, "/mcp/fix").await] {
        assert_eq!(rule_of(&session.call(3, "count", json!({})).await), "");
        assert_eq!(rule_of(&session.call(4, "count", json!({})).await), "/tools/count/limits/0");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_clients_never_pass_a_limit_that_they_share_and_lose_nothing_of_it() {
    const MAX: usize = 300;
    let limit = format!("counter: c, window: day, max: {MAX}, scope: everyone, refund: on_error");
    let rules = format!(
        "  echo: {{ limits: [{{ {limit} }}] }}\n  test_error_handling: {{ limits: [{{ {limit} }}] }}\n"
    );
    let (mut house, _server) = House::fixture(&policy(&rules), &[]);
    let passed = {
        let house = &house;
        let client = async |number: u64| {
            let session = house.session("/mcp/fix").await;
            let mut passed = 0;
            for id in 0..9 {
                // What ends in an error is given back, in whatever order that comes.
                if id % 3 == number % 3 {
                    session.call(id, "test_error_handling", json!({})).await;
                } else {
                    passed += usize::from(text(&says(&session, id, "x").await) == "x");
                }
            }
            passed
        };
        let all = futures_util::future::join_all((0..64).map(client)).await;
        all.into_iter().sum::<usize>()
    };
    assert!(passed <= MAX, "{passed}");
    house.gate.take().unwrap().terminate();
    house.up();
    let session = house.session("/mcp/fix").await;
    let mut more = 0;
    while text(&says(&session, more as u64, "x").await) == "x" {
        more += 1;
    }
    assert_eq!(passed + more, MAX);
    assert_eq!(rule_of(&says(&session, 999, "x").await), "/tools/echo/limits/0");
}
