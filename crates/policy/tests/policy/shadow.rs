//! Rules that are only tried, what is covered, and when a call is ended.

use portcullis_policy::{Call, Facts, Judgement, Mode, Outcome, Policy, Target};

use crate::read;

fn call<'a>(tool: &'a str, arguments: &'a str, mode: Mode) -> Call<'a> {
    Call { tool: Target::named(tool), arguments, properties: &[], facts: Facts { mode, ..Facts::default() } }
}

/// The outcome, and what would have been decided.
fn decide(policy: &Policy, tool: &str, arguments: &str, mode: Mode) -> (String, String) {
    let explained = policy.explain(&call(tool, arguments, mode));
    let due = match policy.judge(&call(tool, arguments, mode)) {
        Judgement::Deny(denial) => {
            assert_eq!(explained.rule, denial.rule);
            return (denial.rule.to_owned(), String::new());
        }
        Judgement::Allow(due) => due,
        Judgement::Hold(held) => return (format!("held by {}", held.rule), String::new()),
    };
    let tried = due.tried().map(|tried| {
        let word = if tried.outcome == Outcome::Held { "held by " } else { "" };
        format!("{word}{}", tried.rule)
    });
    let limits: String =
        due.tried_limits().map(|(limit, amount)| format!(" {}:{amount}", limit.counter)).collect();
    ("allowed".into(), tried.unwrap_or_default() + &limits)
}

#[test]
fn a_rule_that_is_only_tried_is_absent_for_the_outcome_and_told() {
    let text = "version: \"2\"
default: DEFAULT
tools:
  a: { shadow: true, deny_if: [{ conditions: [{ path: args.n, op: gt, value: 5 }] }] }
  b*: { deny_if: [{ conditions: [{ path: args.n, op: gt, value: 9 }] }] }
  b1:
    shadow: true
    hold_if: [{ conditions: [{ path: args.n, op: gt, value: 5 }] }]
    limits: [{ counter: money, window: day, max: 10, scope: grant, amount: args.n }]
";
    let (denies, allows) = (read(&text.replace("DEFAULT", "deny")), read(&text.replace("DEFAULT", "allow")));
    let both = |tool, arguments| {
        (decide(&denies, tool, arguments, Mode::Enforced), decide(&allows, tool, arguments, Mode::Enforced))
    };
    let is = |(outcome, tried): (String, String), expected: (&str, &str)| {
        assert_eq!((outcome.as_str(), tried.as_str()), expected);
    };
    // Absent, so the default applies.
    let (under_deny, under_allow) = both("a", r#"{"n":6}"#);
    is(under_deny, ("(default deny)", ""));
    is(under_allow, ("allowed", "/tools/a/deny_if/0"));
    is(both("a", r#"{"n":5}"#).1, ("allowed", ""));
    for tried in [both("b1", r#"{"n":6}"#).0, both("b1", r#"{"n":6}"#).1] {
        is(tried, ("allowed", "held by /tools/b1/hold_if/0 money:6"));
    }
    is(both("b1", r#"{"n":1}"#).0, ("allowed", " money:1"));
    is(both("b1", r#"{"n":10}"#).0, ("/tools/b*/deny_if/0", ""));
    insta::assert_snapshot!(allows.explain(&call("b1", r#"{"n":6}"#, Mode::Enforced)));
}

#[test]
fn a_policy_and_a_grant_can_be_tried_as_a_whole() {
    let text =
        "version: \"2\"\ndefault: allow\nhide: [h]\nTRIED\ntools:\n  a: { deny_if: [{ conditions: [] }] }\n";
    let tried = read(&text.replace("TRIED", "shadow: true"));
    let enforced = read(&text.replace("TRIED\n", ""));
    for (policy, mode) in [(&tried, Mode::Enforced), (&enforced, Mode::Shadow), (&tried, Mode::Shadow)] {
        assert_eq!(decide(policy, "a", "{}", mode), ("allowed".into(), "/tools/a/deny_if/0".into()));
        assert_eq!(decide(policy, "h", "{}", mode), ("allowed".into(), "(hidden)".into()));
        assert!(policy.visible(&Target::named("h"), mode));
    }
    assert_eq!(decide(&enforced, "h", "{}", Mode::Enforced), ("(hidden)".into(), String::new()));
    // What the default denies is denied all the same: nothing is opened by trying.
    let denies = read("version: \"2\"\ndefault: deny\nshadow: true\ntools: { a: {} }\n");
    assert_eq!(decide(&denies, "a", "{}", Mode::Enforced).0, "(default deny)");
}

#[test]
fn what_is_covered_is_covered_in_its_place_and_all_else_stays_byte_for_byte() {
    let policy = read(
        "version: \"2\"
default: deny
all_tools: { redact: [args.token] }
tools:
  t:
    redact: ['args.db[*].password', 'args.note:/\\d{4,}/', 'result.content[*].text:/(?i)bearer \\S+/', result.structuredContent.key]
    redact_result: true
  u: { redact: [args.all, args.all.inner] }
",
    );
    let arguments = |tool: &str, text: &str| {
        policy.redactions(&Target::named(tool), Mode::Enforced).arguments(text).into_owned()
    };
    for (tool, text, expected) in [
        ("t", r#"{ "token" : "a\"b", "n": 1.0 }"#, r#"{ "token" : "[redacted]", "n": 1.0 }"#),
        // A key that looks like it is covered as well.
        ("t", r#"{"Token":["a",{"b":1}],"token2":1}"#, r#"{"Token":"[redacted]","token2":1}"#),
        (
            "t",
            r#"{"db":[{"password":"x","u":"y"},{"password":null},7]}"#,
            r#"{"db":[{"password":"[redacted]","u":"y"},{"password":"[redacted]"},7]}"#,
        ),
        ("t", r#"{"note":"pin 12345 and 12"}"#, r#"{"note":"pin [redacted] and 12"}"#),
        ("t", r#"{"note":{"deep":["99999",5]}}"#, r#"{"note":{"deep":["[redacted]",5]}}"#),
        ("u", r#"{"all":{"inner":1},"token":2}"#, r#"{"all":"[redacted]","token":"[redacted]"}"#),
        ("u", r#"{"other":1}"#, r#"{"other":1}"#),
        ("u", "{", r#""[redacted]""#),
    ] {
        assert_eq!(arguments(tool, text), expected, "{tool} {text}");
    }
    let redactions = policy.redactions(&Target::named("t"), Mode::Enforced);
    assert!(redactions.covers_results());
    assert_eq!(
        redactions
            .result(r#"{"content":[{"type":"text","text":"Authorization: Bearer abc.def\n"}],"structuredContent":{"key":"k"}}"#)
            .unwrap(),
        r#"{"content":[{"type":"text","text":"Authorization: [redacted]\n"}],"structuredContent":{"key":"[redacted]"}}"#
    );
    assert!(redactions.result("{").is_none(), "nobody can tell what to cover");
    assert!(!policy.redactions(&Target::named("u"), Mode::Enforced).covers_results());
}

#[test]
fn a_call_is_ended_after_the_shortest_time_that_a_rule_says() {
    let policy = read(
        "version: \"2\"
default: deny
all_tools: { stop_after: 2h, stop: process }
tools:
  b*: { stop_after: 90s, extend_on_progress: true }
  build: { stop: cancel }
",
    );
    let stopping = |tool| match policy.judge(&call(tool, "{}", Mode::Enforced)) {
        Judgement::Allow(due) => due.stopping(),
        _ => panic!("{tool} is not allowed"),
    };
    let build = stopping("build");
    assert_eq!((build.after_ms, build.extend_on_progress, build.process), (Some(90_000), true, true));
    assert_eq!(build.rule, "/tools/b*/stop_after");
}
