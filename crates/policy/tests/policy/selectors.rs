//! Which rules are for a tool, and what they say together.

use portcullis_policy::{Call, Facts, Judgement, Kind, Mode, Policy, Target, ToolShape};
use serde_json::json;

use crate::read;

/// The rule that denied, or what the call is charged.
fn said(policy: &Policy, tool: Target<'_>, arguments: &str) -> String {
    let call = Call::<&str> { tool, arguments, properties: &[], facts: Facts::default() };
    let explained = policy.explain(&call);
    match policy.judge(&call) {
        Judgement::Hold(held) => format!("held by {}", held.rule),
        Judgement::Deny(denial) => {
            assert_eq!(explained.rule, denial.rule);
            denial.rule.to_owned()
        }
        Judgement::Allow(due) => {
            assert_eq!(explained.rule, "");
            let due = due.iter().map(|(limit, amount)| format!(" {} {amount}/{}", limit.counter, limit.max));
            format!("allowed{}", due.collect::<String>())
        }
    }
}

fn tool<'a>(upstream: &'a str, name: &'a str, category: &'a str) -> Target<'a> {
    Target { kind: Kind::Tool, upstream, name, category }
}

#[test]
fn a_rule_is_for_what_its_selector_says() {
    for (selector, tools) in [
        ("create_*", &["create_issue", "create_"][..]),
        ("*", &["create_issue", "create_", "x/create_a", "get", "Create_issue", "delete"]),
        ("?et", &["get"]),
        ("*_issue", &["create_issue", "Create_issue"]),
        ("@read", &["get"]),
        ("@destructive", &["delete"]),
        ("hub/*", &["create_issue", "create_", "x/create_a", "get", "Create_issue"]),
        ("hub/create_issue", &["create_issue"]),
        ("hub/@read", &["get"]),
        ("h*/get", &["get"]),
        ("*/x/create_a", &["x/create_a"]),
        ("x/create_a", &[]),
        ("hub/x/create_*", &["x/create_a"]),
        ("other/*", &["delete"]),
        ("create", &[]),
        ("get", &["get"]),
        ("[g]et", &[]),
    ] {
        let policy = read(&format!("version: \"2\"\ndefault: deny\ntools:\n  \"{selector}\": {{}}\n"));
        for known in [
            tool("hub", "create_issue", "Write"),
            tool("hub", "create_", "Write"),
            tool("hub", "x/create_a", "Write"),
            tool("hub", "get", "Read"),
            tool("hub", "Create_issue", "Write"),
            tool("other", "delete", "Destructive"),
        ] {
            let expected = if tools.contains(&known.name) { "allowed" } else { "(default deny)" };
            // Twice: what was found once is known.
            for _ in 0..2 {
                assert_eq!(said(&policy, known, "{}"), expected, "{selector} {}", known.name);
                assert_eq!(policy.visible(&known, Mode::Enforced), expected == "allowed");
            }
        }
    }
}

#[test]
fn what_is_not_known_of_a_tool_chooses_no_rule() {
    let policy = read("version: \"2\"\ndefault: deny\ntools: { \"@read\": {}, hub/get: {} }\n");
    assert_eq!(said(&policy, Target::named("get"), "{}"), "(default deny)");
    assert_eq!(said(&policy, tool("hub", "get", ""), "{}"), "allowed");
    assert_eq!(said(&policy, tool("", "get", "READ"), "{}"), "allowed");
    // The same name with other facts is another tool.
    assert_eq!(said(&policy, tool("other", "get", "Write"), "{}"), "(default deny)");
}

#[test]
fn all_rules_of_a_tool_hold_together_and_the_strictest_wins() {
    let policy = read(
        "version: \"2\"
default: deny
all_tools:
  deny_if: [{ conditions: [{ path: args.dry, op: eq, value: false }] }]
  limits: [{ counter: all, window: minute, max: 60, scope: grant }]
tools:
  create_issue:
    require: [{ path: args.repo, op: eq, value: ours }]
    limits: [{ counter: writes, window: hour, max: 5, scope: grant }]
  \"create_*\":
    deny_if: [{ conditions: [{ path: args.title, op: contains, value: secret }] }]
    limits: [{ counter: writes, window: hour, max: 3, scope: grant }]
  \"@write\":
    require: [{ path: args.title, op: length, value: { lte: 10 } }]",
    );
    let create = tool("hub", "create_issue", "Write");
    for (arguments, expected) in [
        (r#"{"repo":"ours","title":"a"}"#, "allowed all 1/60 writes 1/3 writes 1/5"),
        // What is required comes first, by selector; then what is denied, for all tools first.
        (r#"{"repo":"theirs","title":"a secret that is long"}"#, "/tools/@write/require/0"),
        (r#"{"repo":"theirs","title":"secret"}"#, "/tools/create_issue/require/0"),
        (r#"{"repo":"ours","title":"secret"}"#, "/tools/create_*/deny_if/0"),
        (r#"{"repo":"ours","title":"secret","dry":false}"#, "/all_tools/deny_if/0"),
    ] {
        assert_eq!(said(&policy, create, arguments), expected, "{arguments}");
    }
    // Another name, so another set of rules.
    let other = tool("hub", "create_pull", "Execute");
    assert_eq!(said(&policy, other, r#"{"title":"a title that is long"}"#), "allowed all 1/60 writes 1/3");
    // What holds for all tools permits none.
    assert_eq!(said(&policy, tool("hub", "get", "Read"), "{}"), "(default deny)");
}

#[test]
fn tools_are_hidden_by_what_they_are() {
    let policy = read("version: \"2\"\ndefault: allow\nhide: [\"@destructive\", \"admin_*\", hub/get]\n");
    for (known, hidden) in [
        (tool("hub", "drop", "Destructive"), true),
        (tool("hub", "admin_get", "Read"), true),
        (tool("hub", "get", "Read"), true),
        (tool("other", "get", "Read"), false),
    ] {
        assert_eq!(policy.hides(&known), hidden, "{known:?}");
        assert_eq!(said(&policy, known, "{}"), if hidden { "(hidden)" } else { "allowed" });
    }
}

#[test]
fn a_guard_says_why_in_its_own_words() {
    let policy = read(
        "version: \"2\"
default: deny
tools:
  push:
    require:
      - conditions: [{ path: args.branch, op: neq, value: main }, { path: args.force, op: eq, value: false }]
        on_deny: Only branches of your own, and never by force.",
    );
    let message = |arguments| match policy.judge::<&str>(&Call {
        tool: Target::named("push"),
        arguments,
        properties: &[],
        facts: Facts::default(),
    }) {
        Judgement::Allow(_) | Judgement::Hold(_) => "allowed".to_owned(),
        Judgement::Deny(denial) => format!("{} {}", denial.rule, denial.message),
    };
    assert_eq!(message(r#"{"branch":"mine","force":false}"#), "allowed");
    let words = "/tools/push/require/0 Only branches of your own, and never by force.";
    assert_eq!(message(r#"{"branch":"mine","force":true}"#), words);
    assert_eq!(message(r#"{"branch":"mine"}"#), format!("{words} (args.force is missing)"));
}

#[test]
fn what_is_hardly_meant_is_told() {
    let policy = read("version: \"2\"\ndefault: deny\ntools: { \"*\": { limits: [] } }\n");
    assert!(policy.warnings().to_string().contains("all_tools"), "{}", policy.warnings());
    let schema = json!({ "type": "object", "properties": { "path": {} }, "additionalProperties": false });
    let tools = [
        ToolShape { tool: tool("fs", "read_file", "Read"), input_schema: &schema },
        ToolShape {
            tool: tool("fs", "write_file", "Write"),
            input_schema: &json!({ "type": "object", "properties": { "text": {} } }),
        },
    ];
    let policy = read(
        "version: \"2\"
default: deny
hide: [\"@financial\"]
tools:
  \"*_file\": { deny_if: [{ conditions: [{ path: args.path, op: eq, value: a }, { path: args.file, op: eq, value: a }] }] }
  \"@read\": { deny_if: [{ conditions: [{ path: args.text, op: eq, value: a }] }] }
  \"list_*\": {}",
    );
    insta::assert_snapshot!(policy.check_against(&tools));
}
