//! Missing values, lists, look-alikes, and what outweighs what.

use portcullis_policy::{Call, Direction, Facts, Judgement, Mode, Policy, Target};

use crate::{decide, decide_tool, message, policy, read};

const REQUIRE: &str = "/tools/t/require/0";
const DENY_IF: &str = "/tools/t/deny_if/0";

#[test]
fn a_deny_if_on_an_argument_that_validates_really_denies() {
    let policy = policy(
        "    deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 100 }], on_deny: Too much. }]",
    );
    assert_eq!(decide(&policy, r#"{"amount": 100.01}"#), DENY_IF);
    assert_eq!(message(&policy, r#"{"amount": 100.01}"#), "Too much.");
    assert_eq!(decide(&policy, r#"{"amount": 100}"#), "allowed");
    // What a server would take for the same amount does not slip by either.
    for evasion in [
        r#"{"amount": "5000"}"#,
        r#"{"amount": [5000]}"#,
        r#"{"amount": null}"#,
        r#"{"Amount": 5000}"#,
        r#"{"amount": 1, "AMOUNT": 5000}"#,
        r#"{"amoun\u0074": 5000}"#,
        r#"{"amount": 1, "amount": 5000}"#,
        r#"{"\uff41mount": 5000}"#,
        r#"{"amount": 1e1000}"#,
        "[5000]",
        "{",
        "",
    ] {
        assert_eq!(decide(&policy, evasion), DENY_IF, "{evasion}");
    }
}

#[test]
fn a_missing_value_denies_under_require_and_does_not_match_under_deny_if() {
    let requires = policy("    require: [{ path: args.env, op: neq, value: prod }]");
    assert_eq!(decide(&requires, "{}"), REQUIRE);
    assert_eq!(message(&requires, "{}"), "t is denied by /tools/t/require/0: args.env is missing.");
    let denies = policy("    deny_if: [{ conditions: [{ path: args.env, op: eq, value: prod }] }]");
    assert_eq!(decide(&denies, "{}"), "allowed");
    let negated = policy("    deny_if: [{ conditions: [{ not: { path: args.env, op: eq, value: dev } }] }]");
    assert_eq!(decide(&negated, "{}"), "allowed");
}

#[test]
fn if_missing_says_what_nothing_and_null_mean() {
    for (if_missing, required, denied) in [("match", "allowed", DENY_IF), ("fail", REQUIRE, "allowed")] {
        let predicate = format!("{{ path: args.n.m, op: lt, value: 5, if_missing: {if_missing} }}");
        for arguments in ["{}", r#"{"n":null}"#, r#"{"n":{}}"#, r#"{"n":{"m":null}}"#] {
            let requires = policy(&format!("    require: [{predicate}]"));
            assert_eq!(decide(&requires, arguments), required, "{arguments}");
            let denies = policy(&format!("    deny_if: [{{ conditions: [{predicate}] }}]"));
            assert_eq!(decide(&denies, arguments), denied, "{arguments}");
        }
        let requires = policy(&format!("    require: [{predicate}]"));
        assert_eq!(decide(&requires, r#"{"n":{"m":"4"}}"#), REQUIRE, "what is there and unjudged stays so");
    }
}

#[test]
fn every_element_must_hold_under_require_and_one_suffices_under_deny_if() {
    let requires = policy("    require: [{ path: 'args.items[*].id', op: gt, value: 0 }]");
    let denies = policy("    deny_if: [{ conditions: [{ path: 'args.items[*].id', op: lte, value: 0 }] }]");
    for (items, required, denied) in [
        (r#"[{"id":1},{"id":2}]"#, "allowed", "allowed"),
        (r#"[{"id":1},{"id":0}]"#, REQUIRE, DENY_IF),
        (r#"[{"id":1},{}]"#, REQUIRE, "allowed"),
        (r#"[{"id":1},{"id":"2"}]"#, REQUIRE, DENY_IF),
        (r#"[{"id":1},{"Id":0}]"#, REQUIRE, DENY_IF),
        ("[]", REQUIRE, "allowed"),
        (r#"{"id":1}"#, REQUIRE, DENY_IF),
        (r#""[{\"id\":0}]""#, REQUIRE, DENY_IF),
    ] {
        let arguments = format!(r#"{{"items":{items}}}"#);
        assert_eq!(decide(&requires, &arguments), required, "require {items}");
        assert_eq!(decide(&denies, &arguments), denied, "deny_if {items}");
    }
}

#[test]
fn the_meaning_of_a_star_turns_with_not() {
    let requires = policy("    require: [{ not: { path: 'args.tags[*]', op: eq, value: bad } }]");
    assert_eq!(decide(&requires, r#"{"tags":["good","bad"]}"#), REQUIRE);
    assert_eq!(decide(&requires, r#"{"tags":["good","fine"]}"#), "allowed");
    let denies =
        policy("    deny_if: [{ conditions: [{ not: { path: 'args.tags[*]', op: eq, value: good } }] }]");
    assert_eq!(decide(&denies, r#"{"tags":["good","bad"]}"#), DENY_IF);
    assert_eq!(decide(&denies, r#"{"tags":["good","good"]}"#), "allowed");
}

#[test]
fn indices_and_odd_keys_are_found() {
    let policy = policy("    require: [{ path: 'args[\"odd.key\"][1].x', op: eq, value: y }]");
    assert_eq!(decide(&policy, r#"{"odd.key":[0,{"x":"y"}]}"#), "allowed");
    assert_eq!(
        message(&policy, r#"{"odd.key":[0]}"#),
        "t is denied by /tools/t/require/0: args[\"odd.key\"][1].x is missing."
    );
    assert_eq!(decide(&policy, r#"{"odd":{"key":[0,{"x":"y"}]}}"#), REQUIRE);
}

#[test]
fn any_and_all_hold_as_they_say() {
    let policy = policy(
        "    require:
      - any:
          - { path: args.a, op: eq, value: 1 }
          - all: [{ path: args.b, op: eq, value: 2 }, { path: args.c, op: eq, value: 3 }]",
    );
    for (arguments, rule) in [
        (r#"{"a":1}"#, "allowed"),
        (r#"{"a":1,"b":"2"}"#, "allowed"),
        (r#"{"b":2,"c":3}"#, "allowed"),
        (r#"{"a":0,"b":2,"c":3}"#, "allowed"),
        (r#"{"a":0,"b":2,"c":4}"#, REQUIRE),
        (r#"{"a":0,"b":2}"#, REQUIRE),
        ("{}", REQUIRE),
    ] {
        assert_eq!(decide(&policy, arguments), rule, "{arguments}");
    }
}

#[test]
fn a_doubt_outweighs_what_is_missing_but_not_what_is_false() {
    let policy = policy(
        "    deny_if: [{ conditions: [{ path: args.env, op: eq, value: prod }, { path: args.n, op: gt, value: 1 }] }]",
    );
    assert_eq!(decide(&policy, r#"{"n":"2"}"#), DENY_IF);
    assert_eq!(decide(&policy, r#"{"env":"dev","n":"2"}"#), "allowed");
}

#[test]
fn an_argument_that_looks_like_a_property_of_the_tool_is_unjudged() {
    let policy = policy("    deny_if: [{ conditions: [{ path: args.path, op: eq, value: /etc }] }]");
    let decide = |arguments| decide_tool(&policy, "t", arguments, &["path", "params"]);
    assert_eq!(decide(r#"{"path":"/tmp","params":1}"#), "allowed");
    assert_eq!(decide(r#"{"path":"/tmp","param\u017f":1}"#), DENY_IF);
    assert_eq!(decide(r#"{"path":"/tmp","Params":1}"#), DENY_IF);
    assert_eq!(decide(r#"{"path":"/tmp","other":1}"#), "allowed");
}

#[test]
fn a_property_that_looks_like_a_judged_argument_is_unjudged_all_the_same() {
    let policy = policy("    deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 1 }] }]");
    assert_eq!(decide_tool(&policy, "t", r#"{"Amount":5}"#, &["Amount"]), DENY_IF);
}

#[test]
fn requirements_come_before_denials_and_denials_before_amounts() {
    let policy = policy(
        "    limits: [{ counter: c, window: day, max: 1, scope: grant, amount: args.n }]
    deny_if: [{ conditions: [{ path: args.b, op: eq, value: 2 }] }, { conditions: [{ path: args.c, op: eq, value: 2 }] }]
    require: [{ path: args.a, op: eq, value: 1 }]",
    );
    for (arguments, rule) in [
        (r#"{"b":2,"c":2}"#, REQUIRE),
        (r#"{"a":1,"b":2,"c":2}"#, DENY_IF),
        (r#"{"a":1,"c":2}"#, "/tools/t/deny_if/1"),
        (r#"{"a":1}"#, "/tools/t/limits/0"),
        (r#"{"a":1,"n":5}"#, "allowed"),
    ] {
        assert_eq!(decide(&policy, arguments), rule, "{arguments}");
    }
}

#[test]
fn hidden_tools_are_unknown_and_unnamed_tools_follow_the_default() {
    let deny = read("version: \"1\"\ndefault: deny\nhide: [secret]\ntools: { t: {}, secret: {} }");
    let allow = read("version: \"1\"\ndefault: allow\nhide: [secret]");
    let nothing = read("version: \"1\"\ndefault: allow\nhide: ['*']\ntools: { t: {} }");
    for (policy, tool, rule, visible) in [
        (&deny, "t", "allowed", true),
        (&deny, "secret", "(hidden)", false),
        (&deny, "other", "(default deny)", false),
        (&deny, "T", "(default deny)", false),
        (&allow, "other", "allowed", true),
        (&allow, "secret", "(hidden)", false),
        (&nothing, "t", "(hidden)", false),
    ] {
        assert_eq!(decide_tool(policy, tool, "{}", &[]), rule, "{tool}");
        assert_eq!(policy.visible(&Target::named(tool), Mode::Enforced), visible, "{tool}");
    }
    let Judgement::Deny(denial) = deny.judge::<&str>(&Call {
        tool: Target::named("secret"),
        arguments: "{}",
        properties: &[],
        facts: Facts::default(),
    }) else {
        panic!("a hidden tool was allowed")
    };
    assert!(denial.hidden);
}

#[test]
fn all_tools_are_hidden_by_one_word_and_no_other_word_is_a_list() {
    for version in ["1", "2"] {
        let of = |hide| format!("version: \"{version}\"\ndefault: allow\nhide: {hide}\n");
        let (word, list) = (read(&of("\"*\"")), read(&of("[\"*\"]")));
        assert_eq!(decide_tool(&word, "t", "{}", &[]), "(hidden)");
        assert!(!word.visible(&Target::named("t"), Mode::Enforced));
        assert_eq!(word.direction(&list), Direction::Same);
        for other in ["t", "\"admin_*\"", "true"] {
            let problems = Policy::parse("p.yaml", &of(other)).unwrap_err().to_string();
            assert!(problems.contains("expected a list"), "{problems}");
        }
    }
}

#[test]
fn a_clause_without_conditions_always_denies() {
    let policy = policy("    deny_if: [{ conditions: [], on_deny: Requires human approval. }]");
    assert_eq!(message(&policy, "{}"), "Requires human approval.");
}

#[test]
fn the_author_s_words_get_the_reason_beside_them_when_nothing_could_be_compared() {
    let policy =
        policy("    deny_if: [{ conditions: [{ path: args.n, op: gt, value: 5 }], on_deny: Too many. }]");
    insta::assert_snapshot!(message(&policy, r#"{"n":"6"}"#), @"Too many. (args.n cannot be judged: expected a number, found a string)");
}
