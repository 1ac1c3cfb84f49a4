//! Two policies compared.

use std::fmt::Write as _;

use portcullis_policy::{Answer, Difference, Direction, Judgement, Kind, Policy, Target};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::properties;
use crate::{plain, read};

fn diff(from: &str, to: &str) -> Difference {
    read(from).diff(&read(to), &[])
}

/// A policy of version 2 for the tool `t` from its rule, and the rest of the file.
fn rule(rule: &str) -> String {
    format!("version: \"2\"\ndefault: deny\ntools: {{ t: {rule} }}\n")
}

#[test]
fn what_only_refuses_more_tightens_and_its_opposite_loosens() {
    let amount = |op: &str, value: &str| format!("{{ path: args.a, op: {op}, value: {value} }}");
    let deny = |conditions: &str| format!("{{ deny_if: [{{ conditions: [{conditions}] }}] }}");
    let require = |op: &str, value: &str| format!("{{ require: [{}] }}", amount(op, value));
    let hold =
        |rest: &str, conditions: &str| format!("{{ hold_if: [{{ {rest} conditions: [{conditions}] }}] }}");
    let limit = |rest: &str| format!("{{ limits: [{{ counter: c, window: day, scope: grant, {rest} }}] }}");
    let (gt5, gt9, b) = (amount("gt", "5"), amount("gt", "9"), "{ path: args.b, op: eq, value: true }");
    for (from, to) in [
        // A clause more.
        ("{}".to_owned(), require("eq", "1")),
        ("{}".to_owned(), deny(&gt5)),
        ("{}".to_owned(), hold("", &gt5)),
        ("{}".to_owned(), limit("max: 5")),
        // Ranges and lists that are narrower.
        (require("lte", "9"), require("lte", "5")),
        (require("lte", "9"), require("lt", "9.0")),
        (require("gt", "5"), require("gte", "5.5")),
        (require("in", "[x, y]"), require("in", "[y]")),
        (require("in", "[x, y]"), require("eq", "x")),
        (require("not_in", "[x]"), require("not_in", "[x, y]")),
        (require("neq", "x"), require("not_in", "[x, y]")),
        (require("within", "[/a, /b]"), require("within", "/b")),
        (require("host_in", "[a.example, b.example]"), require("host_in", "[b.example]")),
        // The same conditions in other guards, and one more.
        (
            format!("{{ require: [{gt5}, {b}] }}"),
            format!("{{ require: [{{ conditions: [{b}, {gt9}], on_deny: No. }}] }}"),
        ),
        (deny(&gt9), deny(&gt5)),
        (deny(&gt9), deny("")),
        (deny(&format!("{gt9}, {b}")), deny(&format!("{b}, {gt5}"))),
        (deny("{ path: args.a, op: in, value: [1] }"), deny("{ path: args.a, op: in, value: [1, 2] }")),
        // A condition less of what is held; a person who must decide sooner.
        (hold("", &format!("{gt9}, {b}")), hold("", &gt5)),
        (hold("timeout: 2h,", ""), hold("timeout: 1h,", "")),
        (limit("max: 9"), limit("max: 5")),
        (limit("max: 9, refund: on_error"), limit("max: 9")),
        ("{}".to_owned(), "{ limits: [{ concurrent: 3, scope: grant }] }".to_owned()),
        (
            "{ limits: [{ concurrent: 3, scope: grant }] }".to_owned(),
            "{ limits: [{ concurrent: 2, scope: grant }] }".to_owned(),
        ),
        (
            "{ limits: [{ identical: 3, window: day }] }".to_owned(),
            "{ limits: [{ identical: 2, window: day }] }".to_owned(),
        ),
        ("{}".to_owned(), "{ redact: [args.a] }".to_owned()),
        ("{}".to_owned(), "{ stop_after: 5m }".to_owned()),
        ("{ stop_after: 5m, extend_on_progress: true }".to_owned(), "{ stop_after: 1m }".to_owned()),
    ] {
        assert_eq!(diff(&rule(&from), &rule(&to)).verdict, Direction::Tightens, "{from} → {to}");
        assert_eq!(diff(&rule(&to), &rule(&from)).verdict, Direction::Loosens, "{to} → {from}");
    }
}

#[test]
fn rules_that_are_only_tried_are_not_there_and_other_kinds_are_compared_as_tools_are() {
    let rest = |default: &str, rest: &str| format!("version: \"2\"\ndefault: {default}\n{rest}\n");
    let denied = "deny_if: [{ conditions: [] }]";
    for (from, to) in [
        (
            rest("allow", &format!("tools: {{ t: {{ shadow: true, {denied} }} }}")),
            rest("allow", &format!("tools: {{ t: {{ {denied} }} }}")),
        ),
        (
            rest("allow", &format!("shadow: true\ntools: {{ t: {{ {denied} }} }}\nhide: [h]")),
            rest("allow", &format!("tools: {{ t: {{ {denied} }} }}\nhide: [h]")),
        ),
        // A rule permits what it is for, and one that is only tried does not.
        (rest("deny", "tools: { t: {} }"), rest("deny", "tools: { t: { shadow: true } }")),
        (rest("deny", "resources: { \"a*\": {}, b: {} }"), rest("deny", "resources: { \"a*\": {} }")),
        (rest("allow", ""), rest("allow", &format!("prompts: {{ p: {{ {denied} }} }}"))),
        (
            rest("allow", "server_requests: { sampling: {} }"),
            rest(
                "allow",
                "server_requests: { sampling: { limits: [{ counter: c, window: day, max: 1, scope: grant }] } }",
            ),
        ),
    ] {
        assert_eq!(diff(&from, &to).verdict, Direction::Tightens, "{from} → {to}");
        assert_eq!(diff(&to, &from).verdict, Direction::Loosens, "{to} → {from}");
    }
}

#[test]
fn what_does_not_follow_from_the_rules_is_said_to_go_both_ways() {
    let test =
        |op: &str, value: &str| format!("{{ require: [{{ path: args.a, op: {op}, value: {value} }}] }}");
    let deny = |conditions: &str| format!("{{ deny_if: [{{ conditions: [{conditions}] }}] }}");
    let (a, b) = ("{ path: args.a, op: gt, value: 5 }", "{ path: args.b, op: eq, value: true }");
    let each = |value: u8| deny(&format!("{{ path: \"args.l[*]\", op: gt, value: {value} }}, {b}"));
    let limit = |rest: &str| format!("{{ limits: [{{ counter: c, scope: grant, {rest} }}] }}");
    for (from, to) in [
        (test("regex", "\"^a\""), test("regex", "\"^ab\"")),
        (test("lte", "5"), test("gte", "5")),
        (test("lte", "5"), "{ require: [{ path: args.b, op: lte, value: 5 }] }".to_owned()),
        // Where b is unjudged and a missing, the first denies and the second does not.
        (deny(&format!("{a}, {b}")), deny(a)),
        // The second is true, and not unjudged, where one element is above 5 and another is no number.
        (each(9), each(5)),
        // A wider bound and a clause more.
        (deny(a), deny("{ path: args.a, op: gt, value: 9 }, { path: args.c, op: eq, value: 1 }")),
        (limit("max: 5, window: day"), limit("max: 5, window: hour")),
        (limit("max: 5, window: day, amount: args.a"), limit("max: 5, window: day, amount: args.b")),
    ] {
        let difference = diff(&rule(&from), &rule(&to));
        assert_eq!(difference.verdict, Direction::Both, "{from} → {to}");
        assert!(!difference.looser.is_empty() && !difference.stricter.is_empty());
    }
}

#[test]
fn permissions_are_told_from_restrictions() {
    let policy = |default: &str, rest: &str| format!("version: \"2\"\ndefault: {default}\n{rest}\n");
    let deny = "{ deny_if: [{ conditions: [] }] }";
    let counts =
        |path| format!("{{ limits: [{{ counter: c, window: day, max: 5, scope: grant, amount: {path} }}] }}");
    let budget = policy("deny", &format!("tools: {{ a: {}, b: {} }}", counts("args.x"), counts("args.y")));
    for (from, to, expected) in [
        (policy("allow", ""), policy("deny", ""), Direction::Tightens),
        (policy("deny", "tools: { a: {}, b: {} }"), policy("deny", "tools: { a: {} }"), Direction::Tightens),
        (policy("allow", ""), policy("allow", "hide: [a]"), Direction::Tightens),
        (policy("allow", ""), policy("allow", &format!("tools: {{ a: {deny} }}")), Direction::Tightens),
        // What a pattern permits is only restricted by a rule of its own.
        (
            policy("deny", "tools: { \"a*\": {} }"),
            policy(
                "deny",
                "tools: { \"a*\": {}, ab: { limits: [{ counter: c, window: day, max: 1, scope: grant }] } }",
            ),
            Direction::Tightens,
        ),
        // A rule that is gone with the tool that it restricted.
        (
            policy("deny", &format!("tools: {{ a: {deny}, b: {{}} }}")),
            policy("deny", "tools: { b: {} }"),
            Direction::Same,
        ),
        (
            policy("deny", "tools: { a: { hold_if: [{ conditions: [] }] }, b: {} }"),
            policy("deny", "tools: { b: {} }"),
            Direction::Tightens,
        ),
        // But not where another rule still permits it.
        (
            policy("deny", "tools: { ab: { hold_if: [{ conditions: [] }] }, \"a*\": {} }"),
            policy("deny", "tools: { \"a*\": {} }"),
            Direction::Loosens,
        ),
        (policy("deny", "tools: { ab: {} }"), policy("deny", "tools: { \"x/ab\": {} }"), Direction::Both),
        (policy("allow", "tools: { a: {} }"), policy("allow", "description: Other words."), Direction::Same),
        (
            policy("deny", "tools: { a: {}, b: {} }"),
            policy("deny", "tools: { b: {}, a: {} }"),
            Direction::Same,
        ),
        (policy("deny", "tools: { a: {} }"), policy("deny", "tools: { \"@read\": {} }"), Direction::Both),
        // One budget for two tools that name its argument differently.
        (budget.clone(), budget, Direction::Same),
    ] {
        assert_eq!(diff(&from, &to).verdict, expected, "{from} → {to}");
    }
}

/// Every change that was seen, a line each.
fn seen(difference: &Difference) -> String {
    let mut out = String::new();
    for tool in &difference.tools {
        for change in &tool.changes {
            let rules = format!("{}|{}", change.rule_from, change.rule_to);
            let (from, to) = (change.from.as_str(), change.to.as_str());
            writeln!(out, "{}: {from} → {to} {rules} {}", tool.tool, change.call.arguments).unwrap();
        }
        if tool.changes.is_empty() {
            writeln!(out, "{}: {} predicates differ", tool.tool, tool.predicates_differ).unwrap();
        }
    }
    out
}

#[test]
fn calls_are_made_of_what_both_policies_compare_with() {
    let from = r#"version: "2"
default: deny
hide: [h]
tools:
  a: { deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 100 }] }] }
  b: { require: [{ path: args.path, op: regex, value: "^/srv/[a-z]+\\.md$" }, { path: args.mode, op: in, value: [r, w] }] }
  c: {}
  d: { require: [{ path: "args.to[*].mail", op: ends_with, value: "@example.com" }] }
  e: { require: [{ path: args.x, op: regex, value: "\\bno\\b" }] }
  f: { require: [{ path: args.x, op: command, value: { programs: [git], arguments: { git: [status, log] } } }] }
  g: { require: [{ path: args.x, op: command, value: { programs: [ls], redirections: true } }] }
"#;
    let to = from
        .replace("value: 100", "value: 100.5")
        .replace("[r, w]", "[r]")
        .replace("[status, log]", "[status]")
        .replace("redirections: true", "pipes: false")
        .replace("hide: [h]", "hide: [c]")
        .replace("\"@example.com\" }] }", "\"@example.com\" }], hold_if: [{ conditions: [] }] }")
        .replace("\\\\bno\\\\b", "(?:^|x)no")
        + "  h: {}\n";
    let expected = r#"a: denied → allowed /tools/a/deny_if/0| {"amount":101}
b: allowed → denied |/tools/b/require/1 {"path":"/srv/a.md","mode":"w"}
c: allowed → hidden |(hidden) {}
d: allowed → held |/tools/d/hold_if/0 {"to":[{"mail":"x@example.com"}]}
e: 2 predicates differ
f: allowed → denied |/tools/f/require/0 {"x":"git log"}
g: allowed → denied |/tools/g/require/0 {"x":"ls | ls"}
h: hidden → allowed (hidden)| {}
"#;
    // 101 > 100.5 denies in both; what is between is tried because 100.5 stands in one of them.
    let expected = expected.replace("{\"amount\":101}", "{\"amount\":100.5}");
    assert_eq!(seen(&diff(from, &to)), expected);
}

#[test]
fn the_tools_of_a_server_are_tried_by_what_they_are() {
    let (from, to) = (
        read("version: \"2\"\ndefault: deny\ntools: { \"@read\": {} }"),
        read("version: \"2\"\ndefault: deny\ntools: { \"x/a*\": {} }"),
    );
    let schema = json!({ "properties": { "amount": {} } });
    let tool = |name, category| portcullis_policy::ToolShape {
        tool: Target { kind: Kind::Tool, upstream: "x", name, category },
        input_schema: &schema,
    };
    let difference =
        from.diff(&to, &[tool("ab", "write"), tool("b", "read"), tool("abc", "read"), tool("c", "write")]);
    assert_eq!(
        seen(&difference),
        "ab: denied → allowed (default deny)| {}\nb: allowed → denied |(default deny) {}\n"
    );
    assert_eq!(difference.tried, 4);
}

#[test]
fn limits_are_paired_by_counter_and_then_by_place() {
    let limit = |counter: &str, window: &str, max: u32| {
        format!("{{ counter: {counter}, window: {window}, max: {max}, scope: grant }}")
    };
    let from = rule(&format!("{{ limits: [{}, {}] }}", limit("a", "day", 5), limit("b", "day", 5)));
    let to = rule(&format!(
        "{{ limits: [{}, {}, {}] }}",
        limit("c", "hour", 5),
        limit("a", "day", 4),
        limit("d", "day", 1)
    ));
    let limits = serde_json::to_value(diff(&from, &to).limits).unwrap();
    let shown =
        |counter, window, max| json!({ "counter": counter, "window": window, "max": max, "refund": "never" });
    assert_eq!(
        limits,
        json!([
            { "rule": "/tools/t/limits/1", "from": shown("a", "day", 5), "to": shown("a", "day", 4) },
            { "rule": "/tools/t/limits/0", "from": shown("b", "day", 5), "to": shown("c", "hour", 5) },
            { "rule": "/tools/t/limits/2", "from": null, "to": shown("d", "day", 1) },
        ])
    );
}

#[test]
fn many_arguments_are_tried_within_the_bound() {
    let tests: Vec<String> =
        (0..40).map(|at| format!("{{ path: args.a{at}, op: in, value: [p, q, r, s, t] }}")).collect();
    let from = rule(&format!("{{ require: [{}] }}", tests.join(", ")));
    let to =
        from.replace("args.a39, op: in, value: [p, q, r, s, t]", "args.a39, op: in, value: [p, q, r, s]");
    let seen = seen(&diff(&from, &to));
    assert!(seen.contains("\"a39\":\"t\"") && seen.lines().count() == 1, "{seen}");
}

fn answer(policy: &Policy, arguments: &str) -> Answer {
    match policy.judge(&plain("t", arguments)) {
        Judgement::Allow(_) => Answer::Allowed,
        Judgement::Hold(_) => Answer::Held,
        Judgement::Deny(denial) if denial.hidden => Answer::Hidden,
        Judgement::Deny(_) => Answer::Denied,
    }
}

/// Policies that have much in common, so that one often tightens the other.
fn similar() -> impl Strategy<Value = (Value, Value)> {
    let with = |mut policy: Value, word: &str, added: Value| {
        policy["version"] = json!("2");
        if let Some(list) =
            policy["tools"]["t"].as_object_mut().map(|rule| rule.entry(word).or_insert(json!([])))
        {
            list.as_array_mut().unwrap().push(added);
        }
        policy
    };
    let words = prop_oneof![Just("require"), Just("deny_if"), Just("hold_if")];
    let numbers = (properties::policy(), 0i64..4, 0i64..4).prop_map(move |(policy, left, right)| {
        let clause = |at| json!({ "conditions": [{ "path": "args.a", "op": "gt", "value": at }, { "path": "args.b", "op": "in", "value": ["a", "b"] }] });
        (with(policy.clone(), "deny_if", clause(left)), with(policy, "deny_if", clause(right)))
    });
    let added =
        (properties::policy(), words, properties::predicate()).prop_map(move |(policy, word, predicate)| {
            let added = json!({ "conditions": [predicate] });
            let mut before = policy.clone();
            before["version"] = json!("2");
            (before, with(policy, word, added))
        });
    // One clause in both, whose first condition looks at the same place.
    let path = prop_oneof![Just("args.a"), Just("args.a[*]"), Just("args.a.b")];
    let test = || {
        let values =
            || prop::collection::vec(prop_oneof![(-3i64..3).prop_map(Value::from), Just(json!("a"))], 1..3);
        let test = prop_oneof![
            (prop_oneof![Just("lt"), Just("lte"), Just("gt"), Just("gte")], (-3i64..3).prop_map(Value::from)),
            (prop_oneof![Just("in"), Just("not_in")], values().prop_map(Value::from)),
            (prop_oneof![Just("eq"), Just("neq")], values().prop_map(|values| values[0].clone())),
            (Just("type"), prop_oneof![Just(json!("number")), Just(json!(["number", "string"]))]),
        ];
        (test, prop::option::of(prop_oneof![Just("match"), Just("fail")]))
    };
    let words = prop_oneof![Just("require"), Just("deny_if"), Just("hold_if")];
    let beside = (prop::option::of(properties::predicate()), prop::option::of(properties::predicate()));
    let likes = (words, path, test(), test(), beside, any::<bool>()).prop_map(
        |(word, path, left, right, (beside, other), same)| {
            let policy = |((op, value), if_missing): ((&str, Value), Option<&str>), beside: Option<Value>| {
                let mut test = json!({ "path": path, "op": op, "value": value });
                if let Some(if_missing) = if_missing {
                    test["if_missing"] = if_missing.into();
                }
                let conditions: Vec<Value> = beside.into_iter().chain([test]).collect();
                let rule = json!({ word: [{ "conditions": conditions }] });
                json!({ "version": "2", "default": "deny", "tools": { "t": rule } })
            };
            (policy(left, beside.clone()), policy(right, if same { beside } else { other }))
        },
    );
    prop_oneof![1 => added, 1 => numbers, 4 => likes, 1 => (properties::policy(), properties::policy())]
}

proptest! {
    #[test]
    fn the_verdict_holds_for_every_call((from, to) in similar(), arguments in prop::collection::vec(properties::arguments(), 8)) {
        let (from, to) = (read(&from.to_string()), read(&to.to_string()));
        let difference = from.diff(&to, &[]);
        let arguments: Vec<String> = arguments.iter().map(Value::to_string).collect();
        let made = difference.tools.iter().flat_map(|tool| &tool.changes).map(|change| change.call.arguments.get());
        for arguments in made.chain(arguments.iter().map(String::as_str)) {
            let (before, after) = (answer(&from, arguments), answer(&to, arguments));
            match difference.verdict {
                Direction::Same => prop_assert_eq!(before, after),
                Direction::Tightens => prop_assert!(before <= after, "{arguments}"),
                Direction::Loosens => prop_assert!(before >= after, "{arguments}"),
                Direction::Both => {}
            }
        }
        for change in difference.tools.iter().flat_map(|tool| &tool.changes) {
            prop_assert_eq!(change.from, answer(&from, change.call.arguments.get()));
            prop_assert_eq!(change.to, answer(&to, change.call.arguments.get()));
        }
    }

    #[test]
    fn a_policy_is_the_same_as_itself(policy in properties::policy()) {
        let (left, right) = (read(&policy.to_string()), read(&policy.to_string()));
        let difference = left.diff(&right, &[]);
        prop_assert_eq!(difference.verdict, Direction::Same);
        prop_assert!(difference.tools.is_empty() && difference.limits.is_empty());
    }

    #[test]
    fn a_clause_that_denies_tightens(policy in properties::policy(), predicate in properties::predicate()) {
        let mut more = policy.clone();
        more["tools"]["t"]["deny_if"].as_array_mut().unwrap().push(json!({ "conditions": [predicate] }));
        let difference = read(&policy.to_string()).diff(&read(&more.to_string()), &[]);
        prop_assert!(matches!(difference.verdict, Direction::Tightens | Direction::Same));
    }
}
