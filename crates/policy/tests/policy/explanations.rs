//! What `explain` shows.

use portcullis_policy::{Call, Facts, Target};

use crate::read;

fn policy() -> portcullis_policy::Policy {
    read(
        "version: \"1\"
default: deny
tools:
  pay:
    require:
      - any: [{ path: args.currency, op: in, value: [EUR, USD] }, { not: { path: args.live, op: exists, value: true } }]
    deny_if:
      - conditions: [{ path: args.amount, op: gt, value: 100.0 }]
        on_deny: Over 100.
      - conditions: [{ path: 'args.items[*].id', op: regex, value: ^x }]
    limits:
      - { counter: money, window: day, max: 500, scope: grant, amount: args.amount }",
    )
}

#[test]
fn a_denial_prints_as_a_tree() {
    let call = Call {
        tool: Target::named("pay"),
        arguments: r#"{"currency":"GBP","live":null,"amount":"7","items":[{"id":"y"}]}"#,
        properties: &["amount"],
        facts: Facts::default(),
    };
    insta::assert_snapshot!(policy().explain(&call));
}

#[test]
fn an_allowed_call_shows_what_it_is_charged() {
    let call = Call {
        tool: Target::named("pay"),
        arguments: r#"{"currency":"EUR","amount":7}"#,
        properties: &["amount"],
        facts: Facts::default(),
    };
    insta::assert_snapshot!(policy().explain(&call));
}

#[test]
fn an_explanation_serialises_with_the_names_that_scripts_rely_on() {
    let call = Call {
        tool: Target::named("pay"),
        arguments: r#"{"currency":"EUR","amount":700}"#,
        properties: &["amount"],
        facts: Facts::default(),
    };
    insta::assert_snapshot!(serde_json::to_string_pretty(&policy().explain(&call)).unwrap());
}

#[test]
fn an_unnamed_tool_is_explained_too() {
    insta::assert_snapshot!(policy().explain::<&str>(&Call {
        tool: Target::named("other"),
        arguments: "{}",
        properties: &[],
        facts: Facts::default()
    }));
}
