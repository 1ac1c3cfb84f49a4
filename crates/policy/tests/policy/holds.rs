//! Calls that are left to a person.

use portcullis_policy::{Call, Facts, Judgement, Target};

use crate::{decide, message, read};

fn policy(rule: &str) -> portcullis_policy::Policy {
    read(&format!("version: \"2\"\ndefault: deny\ntools:\n  t:\n{rule}\n"))
}

#[test]
fn what_holds_and_what_cannot_be_told_not_to_is_left_to_a_person() {
    let policy = policy(
        "    deny_if: [{ conditions: [{ path: args.a, op: gt, value: 100 }] }]
    hold_if:
      - conditions: [{ path: args.a, op: gt, value: 10 }, { path: args.live, op: eq, value: true }]
        on_hold: A lot of money.",
    );
    for (arguments, expected) in [
        (r#"{"a":5,"live":true}"#, "allowed"),
        (r#"{"a":50,"live":false}"#, "allowed"),
        (r#"{"a":50,"live":true}"#, "held by /tools/t/hold_if/0"),
        // What denies is stricter.
        (r#"{"a":500,"live":true}"#, "/tools/t/deny_if/0"),
        // One is true or unknown, and none is false.
        (r#"{"a":50}"#, "held by /tools/t/hold_if/0"),
        (r#"{"a":50,"live":"true"}"#, "held by /tools/t/hold_if/0"),
        (r#"{"live":true}"#, "held by /tools/t/hold_if/0"),
        (r#"{"a":5,"live":"true"}"#, "allowed"),
        ("{}", "held by /tools/t/hold_if/0"),
    ] {
        assert_eq!(decide(&policy, arguments), expected, "{arguments}");
    }
    assert_eq!(message(&policy, r#"{"a":50,"live":true}"#), "A lot of money.");
    assert_eq!(message(&policy, r#"{"a":50}"#), "A lot of money. (args.live is missing)");
}

#[test]
fn any_one_that_holds_is_enough_and_all_of_them_say_who_decides() {
    let policy = read(
        "version: \"2\"
default: allow
all_tools:
  hold_if: [{ conditions: [{ path: args.live, op: eq, value: true, if_missing: fail }], timeout: 2h }]
tools:
  t:
    hold_if:
      - { conditions: [], approvers: [role=finance, role=chief], timeout: 10m }
      - { conditions: [{ path: args.a, op: gt, value: 10 }], approvers: [role=chief] }
    limits: [{ counter: c, window: day, max: 100, scope: grant, amount: args.a }]",
    );
    let held = |tool, arguments: &'static str| {
        let call = Call { tool: Target::named(tool), arguments, properties: &["a"], facts: Facts::default() };
        match policy.judge(&call) {
            Judgement::Hold(held) => {
                let approvers: Vec<_> = held.approvers().map(|labels| labels.join("|")).collect();
                let due = held.due.iter().map(|(_, amount)| amount.to_string()).collect::<String>();
                format!("{} {} {:?} {due}", held.rule, approvers.join("&"), held.timeout_ms())
            }
            Judgement::Allow(_) => "allowed".to_owned(),
            Judgement::Deny(denial) => denial.rule.to_owned(),
        }
    };
    assert_eq!(held("t", r#"{"a":5}"#), "/tools/t/hold_if/0 role=finance|role=chief Some(600000) 5");
    let all = "/all_tools/hold_if/0 role=finance|role=chief&role=chief Some(600000) 50";
    assert_eq!(held("t", r#"{"a":50,"live":true}"#), all);
    assert_eq!(held("other", "{}"), "allowed");
    assert_eq!(held("other", r#"{"live":true}"#), "/all_tools/hold_if/0  Some(7200000) ");
    // What cannot be counted is denied, and nobody is asked.
    assert_eq!(held("t", r#"{"a":-5}"#), "/tools/t/limits/0");
}

#[test]
fn a_hold_is_explained() {
    let policy = policy(
        "    require: [{ path: args.a, op: exists, value: true }]
    hold_if: [{ conditions: [{ path: args.a, op: gt, value: 10 }], on_hold: A lot. }]
    limits: [{ counter: c, window: day, max: 100, scope: grant, amount: args.a }]",
    );
    let call = Call {
        tool: Target::named("t"),
        arguments: r#"{"a":50}"#,
        properties: &["a"],
        facts: Facts::default(),
    };
    insta::assert_snapshot!(policy.explain(&call));
}
