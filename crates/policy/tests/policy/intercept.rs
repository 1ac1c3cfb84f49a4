//! Files of Intercept, translated.

use std::path::Path;

use portcullis_policy::{Converted, Judgement, Policy, from_intercept};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{plain, properties};

fn convert(text: &str) -> Converted {
    from_intercept("intercept.yaml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// What is written, which must be a policy.
fn policy(converted: &Converted) -> Policy {
    Policy::parse("policy.yaml", &converted.policy)
        .unwrap_or_else(|problems| panic!("{problems}\n{}", converted.policy))
}

fn decide(policy: &Policy, tool: &str, arguments: &str) -> &'static str {
    match policy.judge(&plain(tool, arguments)) {
        Judgement::Allow(_) => "allowed",
        Judgement::Hold(_) => "held",
        Judgement::Deny(_) => "denied",
    }
}

#[test]
fn every_file_of_the_folder_becomes_a_policy_with_a_report() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/intercept");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 5);
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let converted = from_intercept(name, &text).unwrap_or_else(|problems| panic!("{problems}"));
        policy(&converted);
        let report: Vec<String> = converted
            .report
            .iter()
            .map(|it| {
                let kept = if it.kept { "kept" } else { "changed" };
                format!("{}:{} {kept} {}: {}: {}", it.line, it.column, it.path, it.what, it.why)
            })
            .collect();
        insta::assert_snapshot!(name, format!("{}\n{}", converted.policy, report.join("\n")));
    }
}

#[test]
fn the_shapes_of_the_language_decide_as_they_did() {
    for (rules, calls) in [
        // A cap, a missing argument and another type.
        (
            "[{ name: cap, conditions: [{ path: args.a, op: lte, value: 100 }] }]",
            &[(r#"{"a":100}"#, "allowed"), (r#"{"a":101}"#, "denied"), ("{}", "denied"), (r#"{"a":"5"}"#, "denied")][..],
        ),
        // Missing is not unequal.
        (
            "[{ name: n, conditions: [{ path: args.a, op: neq, value: x }] }]",
            &[(r#"{"a":"y"}"#, "allowed"), (r#"{"a":"x"}"#, "denied"), ("{}", "denied")],
        ),
        // Every rule and every condition must hold.
        (
            "[{ name: n, conditions: [{ path: args.a, op: exists, value: true }, { path: args.b, op: exists, value: false }] },
              { name: m, conditions: [{ path: args.a.c, op: regex, value: ^x }] }]",
            &[
                (r#"{"a":{"c":"xy"}}"#, "allowed"),
                (r#"{"a":{"c":"yx"}}"#, "denied"),
                (r#"{"a":{"c":"x"},"b":1}"#, "denied"),
                (r#"{"a":{"c":"x"},"b":null}"#, "allowed"),
            ],
        ),
        ("[{ name: n, action: deny }]", &[("{}", "denied")]),
        ("[]", &[("{}", "allowed")]),
        // Conditions of an approval say when one is needed.
        (
            "[{ name: n, action: require_approval, conditions: [{ path: args.a, op: gt, value: 10 }] }]",
            &[(r#"{"a":11}"#, "held"), (r#"{"a":10}"#, "allowed"), ("{}", "allowed"), (r#"{"a":null}"#, "allowed")],
        ),
        ("[{ name: n, action: require_approval }]", &[("{}", "held")]),
        // Null has a text, and is equal to it.
        (
            "[{ name: n, conditions: [{ path: args.a, op: not_in, value: [null, x] }] }]",
            &[(r#"{"a":"<nil>"}"#, "denied"), (r#"{"a":null}"#, "denied"), (r#"{"a":"y"}"#, "allowed")],
        ),
        // What cannot be said denies.
        ("[{ name: n, conditions: [{ path: state.other.c, op: lt, value: 5 }] }]", &[("{}", "denied")]),
    ] {
        let converted = convert(&format!("version: \"1\"\ndefault: deny\ntools: {{ t: {{ rules: {rules} }} }}\n"));
        let policy = policy(&converted);
        for (arguments, expected) in calls {
            assert_eq!(decide(&policy, "t", arguments), *expected, "{rules} {arguments}\n{}", converted.policy);
        }
        assert_eq!(decide(&policy, "other", "{}"), "denied");
    }
    // Where nothing is said of the default, it allows; rules for all tools permit none.
    assert_eq!(decide(&policy(&convert("version: \"1\"\n")), "other", "{}"), "allowed");
    let all = convert("version: \"1\"\ndefault: deny\ntools: { \"*\": { rules: [] }, t: {} }\n");
    assert_eq!(
        (decide(&policy(&all), "t", "{}"), decide(&policy(&all), "other", "{}")),
        ("allowed", "denied")
    );
    assert!(all.is_exact());
}

/// The limits that a call is charged to, each with what it counts and how much there may be.
fn due(policy: &Policy, tool: &str, arguments: &str) -> Vec<String> {
    match policy.judge(&plain(tool, arguments)) {
        Judgement::Allow(due) => due
            .iter()
            .map(|(limit, amount)| {
                format!("{amount} of {} a {} on {}", limit.max, limit.window, limit.counter)
            })
            .collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn counters_are_one_for_each_tool_and_one_for_all() {
    let text = |default: &str| {
        format!(
            r#"
version: "1"
default: {default}
tools:
  "*":
    rules:
      - {{ name: all, rate_limit: 60/minute }}
      - {{ name: n, conditions: [{{ path: state._global.n, op: lte, value: 9 }}], state: {{ counter: n, window: day, increment_from: args.n }} }}
  a: {{ rules: [{{ name: c, conditions: [{{ path: state.a.c, op: lt, value: 6 }}], state: {{ counter: c, window: day, increment: 2 }} }}] }}
  b: {{ rules: [{{ name: c, conditions: [{{ path: state.b.c, op: lte, value: 6 }}], state: {{ counter: c, window: day }} }}] }}
"#
        )
    };
    for default in ["allow", "deny"] {
        let policy = policy(&convert(&text(default)));
        let mut of_a = due(&policy, "a", r#"{"n":4}"#);
        of_a.sort();
        assert_eq!(
            of_a,
            ["1 of 2 a day on a.c", "1 of 60 a minute on _global._rate_minute", "4 of 9 a day on _global.n"]
        );
        assert!(due(&policy, "b", r#"{"n":4}"#).contains(&"1 of 6 a day on b.c".to_owned()));
        assert_eq!(decide(&policy, "a", "{}"), "denied", "what is counted is missing");
        assert_eq!(decide(&policy, "other", "{}"), "denied");
        assert_eq!(
            decide(&policy, "other", r#"{"n":1}"#),
            if default == "allow" { "allowed" } else { "denied" }
        );
    }
    let dots = convert(
        "version: \"1\"\ntools:\n  a.b: { rules: [{ name: n, conditions: [{ path: state.a.b.c, op: lt, value: 9 }], state: { counter: c, window: day } }] }\n  a: { rules: [{ name: n, conditions: [{ path: state.a.b.c, op: lt, value: 5 }], state: { counter: b.c, window: day } }] }\n",
    );
    assert_eq!(policy(&dots).counters(), ["a.b.c", "a.b.c'"]);
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    for (text, expected) in [
        ("version: \"2\"\ndefault: deny\n", "expected a policy of Intercept, found one of this language"),
        (
            "version: \"1\"\ndefault: deny\ntools: { t: { deny_if: [] } }\n",
            "expected a policy of Intercept, found one of this language",
        ),
        ("version: \"3\"\n", "expected the version \"1\", found the text \"3\""),
        ("default: deny\n", "expected the key \"version\", found none"),
        ("version: \"1\"\ntools: [a]\n", "expected a map, found a list"),
        ("version: \"1\"\ntools: { t: { rules: { name: x } } }\n", "expected a list, found a map"),
        ("version: \"1\"\ntools: { t: { rules: [x] } }\n", "expected a map, found the text \"x\""),
        ("version: \"1\"\nhide: x\n", "expected a list, found the text \"x\""),
        ("version: \"1\"\nversion: \"1\"\n", "expected each key once"),
        ("version: \"1\"\ndefault: &a deny\n", "found an anchor"),
    ] {
        let problems = from_intercept("i.yaml", text).expect_err(text).to_string();
        assert!(problems.contains(expected) && problems.starts_with("i.yaml:"), "{problems}");
    }
}

/// Intercept's evaluation, as its source has it.
mod there {
    use serde_json::Value;

    fn resolve<'a>(arguments: &'a Value, path: &str) -> Option<&'a Value> {
        path.strip_prefix("args.")
            .unwrap()
            .split('.')
            .try_fold(arguments, |value, key| value.as_object()?.get(key))
    }

    fn text(value: &Value) -> String {
        match value {
            Value::Null => "<nil>".into(),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.as_f64().unwrap().to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Array(values) => format!("[{}]", values.iter().map(text).collect::<Vec<_>>().join(" ")),
            Value::Object(members) => {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("{key}:{}", text(value))).collect();
                format!("map[{}]", members.join(" "))
            }
        }
    }

    fn equal(left: &Value, right: &Value) -> bool {
        match (left.as_f64(), right.as_f64()) {
            (Some(left), Some(right)) => left == right,
            _ => text(left) == text(right),
        }
    }

    fn holds(condition: &Value, arguments: &Value) -> bool {
        let (op, wanted) = (condition["op"].as_str().unwrap(), &condition["value"]);
        let found = resolve(arguments, condition["path"].as_str().unwrap());
        if op == "exists" {
            return found.is_some_and(|found| !found.is_null()) == wanted.as_bool().unwrap();
        }
        let Some(found) = found else { return false };
        let among = || wanted.as_array().unwrap().iter().any(|one| equal(found, one));
        let order = |holds: fn(f64, f64) -> bool| {
            found.as_f64().is_some_and(|found| holds(found, wanted.as_f64().unwrap()))
        };
        match op {
            "eq" => equal(found, wanted),
            "neq" => !equal(found, wanted),
            "in" => among(),
            "not_in" => !among(),
            "lt" => order(|found, at| found < at),
            "lte" => order(|found, at| found <= at),
            "gt" => order(|found, at| found > at),
            "gte" => order(|found, at| found >= at),
            "regex" => found
                .as_str()
                .is_some_and(|found| regex::Regex::new(wanted.as_str().unwrap()).unwrap().is_match(found)),
            "contains" => match (found, wanted) {
                (Value::String(found), Value::String(part)) => found.contains(part.as_str()),
                (Value::Array(found), _) => found.iter().any(|one| equal(one, wanted)),
                _ => false,
            },
            other => panic!("{other}"),
        }
    }

    pub(super) fn decide(rules: &[Value], arguments: &Value) -> &'static str {
        let mut sum = "allowed";
        for rule in rules {
            let mut conditions = rule["conditions"].as_array().into_iter().flatten();
            match rule["action"].as_str().unwrap() {
                "deny" => return "denied",
                "evaluate" if !conditions.all(|condition| holds(condition, arguments)) => return "denied",
                "require_approval" if conditions.all(|condition| holds(condition, arguments)) => sum = "held",
                _ => {}
            }
        }
        sum
    }
}

fn condition() -> impl Strategy<Value = Value> {
    let path = prop_oneof![Just("args.a"), Just("args.b"), Just("args.a.b"), Just("args.b.a")];
    let one = prop_oneof![
        (-5i64..5).prop_map(Value::from),
        Just(json!(0.5)),
        Just(json!("a")),
        Just(json!("b")),
        Just(json!("1")),
        Just(json!("true")),
        Just(json!("<nil>")),
        Just(json!("[a]")),
        Just(json!(true)),
        Just(json!(null)),
        Just(json!(["a"])),
        Just(json!([1])),
        Just(json!([])),
        Just(json!({ "a": "b" })),
    ];
    let one = one.boxed();
    let test = prop_oneof![
        (prop_oneof![Just("eq"), Just("neq"), Just("contains")], one.clone()),
        (prop_oneof![Just("in"), Just("not_in")], prop::collection::vec(one, 0..3).prop_map(Value::from)),
        (prop_oneof![Just("lt"), Just("lte"), Just("gt"), Just("gte")], (-5i64..5).prop_map(Value::from)),
        (Just("regex"), prop_oneof![Just(json!("^a|b$")), Just(json!("")), Just(json!("[^a]"))]),
        (Just("exists"), any::<bool>().prop_map(Value::from)),
        (Just("contains"), Just(json!(""))),
    ];
    (path, test).prop_map(|(path, (op, value))| json!({ "path": path, "op": op, "value": value }))
}

fn rule() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::collection::vec(condition(), 1..3).prop_map(|conditions| json!({ "name": "e", "action": "evaluate", "conditions": conditions })),
        8 => prop::collection::vec(condition(), 0..3).prop_map(|conditions| json!({ "name": "h", "action": "require_approval", "conditions": conditions })),
        1 => Just(json!({ "name": "d", "action": "deny" })),
    ]
}

/// Values on which a double and a decimal agree.
fn arguments() -> impl Strategy<Value = Value> {
    let odd = |key: &'static str| {
        prop_oneof![
            Just(json!({ key: "1" })),
            Just(json!({ key: "true" })),
            Just(json!({ key: ["a"] })),
            Just(json!({ key: [1] })),
            Just(json!({ key: { "a": "b" } })),
            Just(json!({ key: null })),
            Just(json!({ key: "<nil>" })),
            Just(json!({ key: [null, ""] })),
        ]
    };
    prop_oneof![3 => properties::arguments(), 1 => odd("a"), 1 => odd("b")]
        // Of keys that look alike, the gate takes none.
        .prop_map(|arguments| {
            serde_json::from_str(&arguments.to_string().replace('A', "c").replace('ſ', "d")).unwrap()
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_allowed_that_was_not_and_what_is_exact_is_the_same(
        rules in prop::collection::vec(rule(), 0..3),
        calls in prop::collection::vec(arguments(), 8),
    ) {
        let file = json!({ "version": "1", "default": "deny", "tools": { "t": { "rules": rules } } });
        let converted = from_intercept("i.json", &file.to_string()).unwrap();
        let policy = policy(&converted);
        let strictness = |answer| ["allowed", "held", "denied"].iter().position(|word| *word == answer);
        for arguments in calls {
            let there = there::decide(&rules, &arguments);
            let here = decide(&policy, "t", &arguments.to_string());
            prop_assert!(strictness(here) >= strictness(there), "{there} → {here} {arguments}\n{}", converted.policy);
            if converted.is_exact() {
                prop_assert_eq!(here, there, "{}\n{}", arguments, converted.policy);
            }
        }
    }
}
