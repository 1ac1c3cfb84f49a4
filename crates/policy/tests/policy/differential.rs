//! Where the language's ancestors go wrong, this one does not. One test for each way that was found.

use portcullis_policy::Policy;

use crate::{decide, decide_tool, policy, read};

fn refused(text: &str) -> String {
    match Policy::parse("policy.yaml", text) {
        Ok(_) => panic!("was read:\n{text}"),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn a_misspelt_default_or_rule_does_not_allow_everything() {
    assert!(refused("version: \"1\"\ndefualt: deny\n").contains("\"defualt\""));
    assert!(
        refused("version: \"1\"\ndefault: deny\ntools: { t: { denyif: [] } }")
            .contains("did you mean `deny_if`")
    );
    assert!(refused("version: \"1\"\ndefault: deny\ntools: { t: { rules: [] } }").contains("Intercept"));
}

#[test]
fn there_is_no_default_of_the_default() {
    assert!(refused("version: \"1\"").contains("\"default\""));
    assert!(refused("version: \"1\"\ndefault: Allow").contains("did you mean `allow`"));
    assert!(refused("version: \"1\"\ndefault:").contains("nothing"));
}

#[test]
fn a_tool_and_a_counter_with_a_dot_are_limited() {
    let policy = read(
        "version: \"1\"\ndefault: deny\ntools: { a.b: { limits: [{ counter: a.b_rate, window: minute, max: 1, scope: grant }] } }",
    );
    assert_eq!(decide_tool(&policy, "a.b", "{}", &[]), "allowed");
    assert_eq!(policy.counters(), ["a.b_rate"]);
}

#[test]
fn a_text_is_no_number_and_a_list_no_text() {
    let one = policy("    require: [{ path: args.a, op: eq, value: 1 }]");
    assert_eq!(decide(&one, r#"{"a":"1"}"#), "/tools/t/require/0");
    let truth = policy("    deny_if: [{ conditions: [{ path: args.a, op: neq, value: \"true\" }] }]");
    assert_eq!(decide(&truth, r#"{"a":true}"#), "/tools/t/deny_if/0");
    let list = policy("    require: [{ path: args.a, op: eq, value: \"[a]\" }]");
    assert_eq!(decide(&list, r#"{"a":["a"]}"#), "/tools/t/require/0");
}

#[test]
fn a_limit_is_a_field_and_not_guessed_from_a_condition() {
    let missing = "version: \"1\"\ndefault: deny\ntools: { t: { limits: [{ counter: c, window: minute, scope: grant }] } }";
    assert!(refused(missing).contains("expected the key \"max\""));
    assert!(refused(&missing.replace("scope", "max: 10.5, scope")).contains("a whole number of calls"));
    assert!(refused(&missing.replace("scope", "max: -1, scope")).contains("not negative"));
}

#[test]
fn an_amount_below_one_counts_and_a_negative_one_denies() {
    let policy = policy("    limits: [{ counter: c, window: day, max: 1, scope: grant, amount: args.n }]");
    assert_eq!(decide(&policy, r#"{"n":0.99}"#), "allowed");
    assert_eq!(decide(&policy, r#"{"n":-5}"#), "/tools/t/limits/0");
}

#[test]
fn keys_that_differ_by_case_are_not_judged_as_another_call() {
    let policy = policy("    require: [{ path: args.path, op: regex, value: ^/tmp/ }]");
    assert_eq!(decide(&policy, r#"{"path":"/tmp/x","PATH":"/etc/passwd"}"#), "/tools/t/require/0");
    assert_eq!(decide(&policy, r#"{"path":"/tmp/x","path":"/etc/passwd"}"#), "/tools/t/require/0");
}

#[test]
fn arguments_that_are_no_object_are_denied_where_they_are_judged() {
    let policy = policy("    deny_if: [{ conditions: [{ path: args.path, op: regex, value: ^/etc/ }] }]");
    for arguments in [r#"["/etc/passwd"]"#, r#""/etc/passwd""#, "null", "{}{}"] {
        assert_eq!(decide(&policy, arguments), "/tools/t/deny_if/0", "{arguments}");
    }
}

#[test]
fn the_order_of_rules_in_the_file_does_not_matter() {
    let one =
        read("version: \"1\"\ndefault: deny\ntools: { t: { require: [], deny_if: [{ conditions: [] }] } }");
    let other =
        read("tools: { t: { deny_if: [{ conditions: [] }], require: [] } }\ndefault: deny\nversion: \"1\"");
    assert_eq!(decide(&one, "{}"), decide(&other, "{}"));
}

#[test]
fn the_same_window_twice_on_one_tool_is_two_counters() {
    let text = "version: \"1\"\ndefault: deny\ntools:\n  t:\n    limits:\n      - { counter: a, window: minute, max: 1, scope: grant }\n      - { counter: b, window: minute, max: 2, scope: grant }";
    assert_eq!(read(text).counters(), ["a", "b"]);
    assert!(refused(&text.replace("counter: b", "counter: a")).contains("counted twice"));
}
