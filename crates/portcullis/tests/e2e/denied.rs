//! The deny that others only pretend, and what a denied agent sees.

use crate::house::{House, fixture_http, messages, names, seen, text};
use serde_json::json;

#[tokio::test]
async fn a_deny_on_an_argument_denies_that_argument_and_nothing_else() {
    let policy = r#"{"version":"1","default":"allow","tools":{"echo":{"deny_if":[
        {"conditions":[{"path":"args.message","op":"eq","value":"bad"}],"on_deny":"Not that word."}]}}}"#;
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let plan = crate::house::Plan { upstreams: &upstreams, policy, more: "ledger: { durability: process }" };
    let house = House::build(&plan);
    let session = house.session("/mcp/fix").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert!(names(&list, "tools").contains(&"echo".to_owned()), "a tool with conditions is listed");
    assert_eq!(text(&session.call(2, "echo", json!({"message": "ok"})).await), "ok");
    let denied = session.call(3, "echo", json!({"message": "bad"})).await;
    assert_eq!(text(&denied), "[POLICY DENIED] Not that word.");
    assert_eq!(denied["result"]["isError"], json!(true));
    assert_eq!(denied["result"]["_meta"]["portcullis/decision"]["rule"], "/tools/echo/deny_if/0");
    let calls = seen(&house, &url).await["calls"].as_array().unwrap().len();
    assert_eq!(calls, 1, "only the call that was let through reached the server");
    drop(server);
}

#[tokio::test]
async fn a_rule_decides_what_it_says_in_lists_and_in_calls_on_every_route() {
    let of_echo = |rule: &str| format!(r#""tools":{{"echo":{rule}}}"#);
    let is = |op: &str, word: &str| format!(r#"[{{"path":"args.message","op":"{op}","value":"{word}"}}]"#);
    let all = ["echo", "filler_0", "filler_1", "filler_2"];
    let others = ["echo", "filler_1", "filler_2"];
    let never = r#""tools":{"filler_0":{"deny_if":[{"conditions":[]}]}}"#;
    let wrong = r#""tools":{"echo":{"require":[{"path":"args.mesage.","op":"eq","value":"ok"}]}}"#;
    // The policy, what is listed, and whether echo of "ok", echo of "bad" and filler_0 pass.
    let cases: [(&str, String, &[&str], [bool; 3]); 6] = [
        ("deny", of_echo(&format!(r#"{{"require":{}}}"#, is("eq", "ok"))), &["echo"], [true, false, false]),
        ("allow", r#""hide":["filler_0"]"#.into(), &others, [true, true, false]),
        ("allow", never.into(), &all, [true, true, false]),
        (
            "allow",
            of_echo(&format!(r#"{{"deny_if":[{{"conditions":{}}}]}}"#, is("eq", "bad"))),
            &all,
            [true, false, true],
        ),
        ("allow", of_echo(&format!(r#"{{"require":{}}}"#, is("neq", "bad"))), &all, [true, false, true]),
        ("allow", wrong.into(), &[], [false, false, false]),
    ];
    for (default, rules, listed, passes) in cases {
        let policy = format!(r#"{{"version":"1","default":"{default}",{rules}}}"#);
        let (house, _server) = House::fixture(&policy, &["--tools", "3"]);
        for (path, prefix) in [("/mcp/fix", ""), ("/mcp", "fix__")] {
            let session = house.session(path).await;
            let (list, _) = session.ask(1, "tools/list", json!({})).await;
            let names: Vec<_> = names(&list, "tools")
                .into_iter()
                .filter_map(|name| Some(name.strip_prefix(prefix)?.to_owned()))
                .filter(|name| all.contains(&&**name))
                .collect();
            assert_eq!(names, listed, "{policy}");
            let calls = [
                ("echo", json!({"message": "ok"})),
                ("echo", json!({"message": "bad"})),
                ("filler_0", json!({})),
            ];
            for ((id, (tool, arguments)), passes) in (2..).zip(calls).zip(passes) {
                let answer = session.call(id, &format!("{prefix}{tool}"), arguments).await;
                let denied = answer["error"]["code"] == json!(-32602)
                    || text(&answer).starts_with("[POLICY DENIED]")
                        && answer["result"]["isError"] == json!(true);
                assert_eq!(denied, !passes, "{policy}: {tool} {answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_policy_with_a_typing_mistake_allows_nothing_and_says_so() {
    for policy in [
        r#"{"version":"1","default":"allow","tools":{"echo":{"deny_iff":[]}}}"#,
        r#"{"version":"1","defualt":"allow"}"#,
        r#"{"version":"1","default":"allow","tools":{"echo":{"require":[{"path":"args.mesage","op":"eqq","value":1}]}}}"#,
    ] {
        let (house, _server) = House::fixture(policy, &[]);
        let session = house.session("/mcp/fix").await;
        let answer = session.call(1, "echo", json!({"message": "x"})).await;
        assert!(text(&answer).starts_with("[POLICY DENIED]"), "{answer}");
        let (code, out, _) = house.run(&["policy", "check", "policy.yaml", "--json"]);
        assert_eq!(code, 2);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(report["ok"], json!(false));
        assert!(report["errors"][0]["line"].as_u64().is_some(), "{report}");
        let status: serde_json::Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        assert_eq!(status["policies"][0]["loaded"], json!(false));
    }
}

#[tokio::test]
async fn a_hidden_tool_looks_exactly_like_one_that_does_not_exist() {
    let policy = "version: \"1\"\ndefault: allow\nhide: [echo]\n";
    let (house, _server) = House::fixture(policy, &[]);
    for path in ["/mcp/fix", "/mcp"] {
        let session = house.session(path).await;
        let prefix = if path == "/mcp" { "fix__" } else { "" };
        let (list, _) = session.ask(1, "tools/list", json!({})).await;
        assert!(!names(&list, "tools").contains(&format!("{prefix}echo")));
        let hidden = session.call(2, &format!("{prefix}echo"), json!({"message": "x"})).await;
        let unknown = session.call(2, &format!("{prefix}ehco"), json!({"message": "x"})).await;
        let same = unknown.to_string().replace("ehco", "echo");
        assert_eq!(hidden.to_string(), same);
        assert_eq!(hidden["error"]["code"], json!(-32602));
    }
    let hidden = house.rows(&["--tool", "echo", "--outcome", "denied"]);
    assert!(hidden.iter().all(|row| row["rule"] == "(hidden)") && hidden.len() == 2, "{hidden:?}");
}

#[tokio::test]
async fn what_version_one_has_no_words_for_follows_its_default() {
    let (house, _server) = House::fixture("version: \"1\"\ndefault: deny\ntools: { echo: {} }\n", &[]);
    let session = house.session("/mcp/fix").await;
    for (method, params) in [
        ("resources/read", json!({"uri": "test://static-text"})),
        ("prompts/get", json!({"name": "test_simple_prompt"})),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "a", "value": ""}}),
        ),
        ("resources/subscribe", json!({"uri": "test://watched-resource"})),
        ("vendor/method", json!({})),
    ] {
        let (answer, _) = session.ask(5, method, params).await;
        assert_eq!(answer["error"]["code"], json!(-31403), "{method}: {answer}");
    }
    for (method, member) in [("resources/list", "resources"), ("prompts/list", "prompts")] {
        let (answer, _) = session.ask(6, method, json!({})).await;
        assert_eq!(answer["result"][member], json!([]), "{answer}");
    }
    let (_, body) = session.post(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
    assert_eq!(messages(&body)[0]["result"], json!({}));
}
