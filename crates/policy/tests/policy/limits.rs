//! What a call is charged.

use portcullis_policy::{Call, Counts, Facts, Judgement, Refund, Scope, Target, Window};

use crate::{decide, message, plain, policy, read};

fn due(policy: &portcullis_policy::Policy, tool: &str, arguments: &str) -> Vec<String> {
    match policy.judge(&plain(tool, arguments)) {
        Judgement::Allow(due) => due
            .iter()
            .map(|(limit, amount)| format!("{} {amount}/{} {}", limit.counter, limit.max, limit.window))
            .collect(),
        Judgement::Hold(held) => vec![format!("held by {}", held.rule)],
        Judgement::Deny(denial) => vec![format!("denied by {}", denial.rule)],
    }
}

#[test]
fn limits_of_all_tools_and_of_the_tool_are_due_together() {
    let policy = read(
        "version: \"1\"
default: allow
all_tools: { limits: [{ counter: all, window: minute, max: 60, scope: grant }] }
tools:
  pay:
    limits:
      - { counter: money, window: day, max: 99.50, scope: grant, amount: args.price.total, refund: on_error }
      - { counter: pay.rate, window: hour, max: 5, scope: grant }",
    );
    assert_eq!(due(&policy, "other", "{}"), ["all 1/60 minute"]);
    assert_eq!(
        due(&policy, "pay", r#"{"price":{"total":12.34}}"#),
        ["all 1/60 minute", "money 12.34/99.5 day", "pay.rate 1/5 hour"]
    );
    assert_eq!(policy.counters(), ["all", "money", "pay.rate"]);
    let pointers: Vec<_> =
        policy.limits().map(|limit| (limit.pointer(), limit.refund, limit.window)).collect();
    assert_eq!(
        pointers,
        [
            ("/all_tools/limits/0", Refund::Never, Window::Minute),
            ("/tools/pay/limits/0", Refund::OnError, Window::Day),
            ("/tools/pay/limits/1", Refund::Never, Window::Hour),
        ]
    );
}

#[test]
fn an_amount_that_cannot_be_counted_denies() {
    let policy =
        policy("    limits: [{ counter: c, window: day, max: 100, scope: grant, amount: 'args.a.n' }]");
    for arguments in [
        "{}",
        r#"{"a":{}}"#,
        r#"{"a":5}"#,
        r#"{"a":"{\"n\":5}"}"#,
        r#"{"a":{"n":null}}"#,
        r#"{"a":{"n":"5"}}"#,
        r#"{"a":{"n":-0.01}}"#,
        r#"{"a":{"n":1e999}}"#,
        r#"{"a":{"N":5}}"#,
        r#"{"a":{"n":1,"n":5}}"#,
        "[]",
    ] {
        assert_eq!(decide(&policy, arguments), "/tools/t/limits/0", "{arguments}");
    }
    assert_eq!(
        message(&policy, r#"{"a":{"n":-1}}"#),
        "t is denied by /tools/t/limits/0: args.a.n is negative."
    );
    assert_eq!(decide(&policy, r#"{"a":{"n":0}}"#), "allowed");
    assert_eq!(
        decide(&policy, r#"{"a":{"n":1e3}}"#),
        "allowed",
        "whether the counter has room is the gate's to say"
    );
}

#[test]
fn what_runs_at_once_and_what_is_the_same_is_limited_beside_counters() {
    let policy = read(
        "version: \"2\"
default: deny
all_tools: { limits: [{ identical: 3, window: minute }, { concurrent: 8, scope: everyone }] }
tools:
  t:
    limits:
      - { concurrent: 2, scope: session }
      - { counter: identical, window: minute, max: 9, scope: upstream }",
    );
    let call =
        Call { tool: Target::named("t"), arguments: "{}", properties: &[""; 0], facts: Facts::default() };
    let Judgement::Allow(due) = policy.judge(&call) else { panic!("it is denied") };
    let counted: Vec<_> =
        due.iter().map(|(limit, _)| (limit.pointer(), &limit.counts, limit.scope)).collect();
    assert_eq!(
        counted,
        [
            ("/all_tools/limits/0", &Counts::Identical, Scope::Grant),
            ("/tools/t/limits/1", &Counts::Calls, Scope::Upstream)
        ]
    );
    let at_once: Vec<_> = due.concurrent().map(|limit| (limit.pointer(), limit.max, limit.scope)).collect();
    assert_eq!(
        at_once,
        [("/all_tools/limits/1", 8, Scope::Everyone), ("/tools/t/limits/0", 2, Scope::Session)]
    );
    assert_eq!(policy.counters(), ["identical"]);
    insta::assert_snapshot!(policy.explain(&call));
}
