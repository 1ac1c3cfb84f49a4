//! One comparison in the place of another, for each operator: the verdict holds for every value.

use portcullis_policy::{Direction, Judgement, Policy};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::plain;

/// Operators, each with values of which some are narrower than others.
fn test() -> impl Strategy<Value = (&'static str, Value)> {
    let some = |texts: &'static [&'static str]| {
        prop::sample::subsequence(texts, 1..=texts.len()).prop_map(|texts| json!(texts))
    };
    let one = |values: &[Value]| prop::sample::select(values.to_vec());
    let number = || one(&[json!(-1), json!(0), json!(1), json!(1.0), json!(1.5)]);
    let text = || one(&[json!("a"), json!("/a"), json!("/a/"), json!("/a/b"), json!("b")]);
    prop_oneof![
        (Just("within"), some(&["/", "/a", "/a/b", "/a/./b", "/b"])),
        (Just("host_in"), some(&["a.example", "*.a.example", "A.example", "10.0.0.1", "::1"])),
        (Just("in_cidr"), some(&["10.0.0.0/8", "10.0.0.1", "10.1.0.0/16", "::1", "0.0.0.0/0"])),
        (Just("type"), some(&["string", "number", "integer", "boolean", "array", "object"])),
        (prop_oneof![Just("lt"), Just("lte"), Just("gt"), Just("gte")], number()),
        (prop_oneof![Just("eq"), Just("neq")], prop_oneof![number(), text()]),
        (
            prop_oneof![Just("in"), Just("not_in")],
            prop::collection::vec(prop_oneof![number(), text()], 1..4).prop_map(Value::from)
        ),
        (prop_oneof![Just("starts_with"), Just("ends_with"), Just("contains")], text()),
        (Just("glob"), one(&[json!("*"), json!("/a/*"), json!("/a/**"), json!("a")])),
        (Just("regex"), one(&[json!("^a"), json!("a"), json!("^/a/")])),
        (Just("length"), one(&[json!({ "lt": 2 }), json!({ "lte": 1 }), json!({ "eq": 1 })])),
        (Just("exists"), any::<bool>().prop_map(Value::from)),
    ]
}

/// Two tests, most often of the same operator.
fn pair() -> impl Strategy<Value = ((&'static str, Value), (&'static str, Value))> {
    let alike = prop::collection::vec(test(), 24).prop_filter_map("no two are alike", |tests| {
        let (first, rest) = tests.split_first()?;
        let like = rest.iter().find(|(op, _)| *op == first.0)?;
        Some((first.clone(), like.clone()))
    });
    prop_oneof![4 => alike, 1 => (test(), test())]
}

/// What the tests are about, and what they cannot judge.
fn values() -> Vec<Value> {
    let texts = [
        "",
        "a",
        "b",
        "ab",
        "/",
        "/a",
        "/a/",
        "/a/b",
        "/a/b/c",
        "/ab",
        "/b",
        "/a/../b",
        "a/b",
        "-a",
        "/a/%2e",
        "http://a.example",
        "https://A.example/x",
        "http://x.a.example",
        "http://10.0.0.1",
        "http://[::1]/",
        "http://0x7f.1",
        "http://u@a.example",
        "10.0.0.1",
        "10.1.0.1",
        "::ffff:10.0.0.1",
        "::1",
        "1",
    ];
    let others = [
        json!(null),
        json!(-2),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.25),
        json!(1.5),
        json!(2),
        json!(true),
        json!([]),
        json!(["a"]),
        json!(["/a", 1]),
        json!([null]),
        json!({}),
        json!({ "a": 1 }),
    ];
    texts.into_iter().map(Value::from).chain(others).collect()
}

fn may_pass(policy: &Policy, arguments: &str) -> u8 {
    match policy.judge(&plain("t", arguments)) {
        Judgement::Allow(_) => 2,
        Judgement::Hold(_) => 1,
        Judgement::Deny(_) => 0,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_verdict_on_two_comparisons_holds_for_every_value(
        (from, to) in pair(),
        word in prop::sample::select(&["require", "deny_if", "hold_if"][..]),
        path in prop::sample::select(&["args.a", "args.a[*]"][..]),
        missing in prop::collection::vec(prop::option::of(prop::sample::select(&["match", "fail"][..])), 2),
    ) {
        let policy = |(op, value): &(&str, Value), if_missing: Option<&str>| {
            let mut test = json!({ "path": path, "op": op, "value": value });
            if let (Some(if_missing), true) = (if_missing, *op != "exists") {
                test["if_missing"] = if_missing.into();
            }
            let rule = json!({ word: [{ "conditions": [test] }] });
            let policy = json!({ "version": "2", "default": "deny", "tools": { "t": rule } });
            Policy::parse("p.json", &policy.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
        };
        let (before, after) = (policy(&from, missing[0]), policy(&to, missing[1]));
        let verdict = before.direction(&after);
        let wrapped = values().into_iter().flat_map(|value| [json!({ "a": value }), json!({ "a": [value] }), json!({ "a": [value, "/a"] })]);
        for arguments in wrapped.chain([json!({})]) {
            let arguments = arguments.to_string();
            let (before, after) = (may_pass(&before, &arguments), may_pass(&after, &arguments));
            let holds = match verdict {
                Direction::Same => before == after,
                Direction::Tightens => before >= after,
                Direction::Loosens => before <= after,
                Direction::Both => true,
            };
            prop_assert!(holds, "{verdict:?}: {from:?} → {to:?} as {word} of {path}: {arguments}");
        }
    }
}
