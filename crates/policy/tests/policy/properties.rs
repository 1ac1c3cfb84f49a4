//! What holds for every policy and every call.

use portcullis_policy::{Call, Facts, Judgement, Policy, Target};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-20i64..20).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(1e300), Just(-2.25)].prop_map(Value::from),
        "[abAſ\"\\\\]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abAſs]", inside, 0..4)
                .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

pub(crate) fn arguments() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abcAſs]", value(), 0..5)
        .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>()))
}

pub(crate) fn predicate() -> impl Strategy<Value = Value> {
    let path = prop_oneof![
        Just("args.a"),
        Just("args.b"),
        Just("args.s"),
        Just("args.a.b"),
        Just("args.a[*]"),
        Just("args.a[0].b"),
        Just("args.b[*].a"),
    ];
    let test = prop_oneof![
        (
            prop_oneof![Just("eq"), Just("neq")],
            prop_oneof![
                (-5i64..5).prop_map(Value::from),
                Just(json!("a")),
                Just(json!([1])),
                Just(json!(true))
            ]
        ),
        (prop_oneof![Just("in"), Just("not_in")], Just(json!(["a", "b"]))),
        (prop_oneof![Just("lt"), Just("lte"), Just("gt"), Just("gte")], (-5i64..5).prop_map(Value::from)),
        (Just("regex"), Just(json!("^a|b$"))),
        (Just("contains"), Just(json!("a"))),
        (Just("exists"), any::<bool>().prop_map(Value::from)),
    ];
    let leaf = (path, test, prop::option::of(prop_oneof![Just("match"), Just("fail")])).prop_map(
        |(path, (op, value), if_missing)| {
            let mut predicate = json!({ "path": path, "op": op, "value": value });
            if let (Some(if_missing), true) = (if_missing, op != "exists") {
                predicate["if_missing"] = if_missing.into();
            }
            predicate
        },
    );
    leaf.prop_recursive(3, 8, 3, |inside| {
        prop_oneof![
            prop::collection::vec(inside.clone(), 1..3).prop_map(|parts| json!({ "all": parts })),
            prop::collection::vec(inside.clone(), 1..3).prop_map(|parts| json!({ "any": parts })),
            inside.prop_map(|part| json!({ "not": part })),
        ]
    })
}

pub(crate) fn policy() -> impl Strategy<Value = Value> {
    let clause =
        prop::collection::vec(predicate(), 0..3).prop_map(|conditions| json!({ "conditions": conditions }));
    (prop::collection::vec(predicate(), 0..3), prop::collection::vec(clause, 0..3), any::<bool>()).prop_map(
        |(require, deny_if, allow)| {
            let default = if allow { "allow" } else { "deny" };
            json!({ "version": "1", "default": default, "tools": { "t": { "require": require, "deny_if": deny_if } } })
        },
    )
}

fn decide(policy: &Policy, arguments: &str) -> Option<String> {
    let call = Call { tool: Target::named("t"), arguments, properties: &["a", "s"], facts: Facts::default() };
    let explained = policy.explain(&call).rule;
    match policy.judge(&call) {
        Judgement::Allow(_) => {
            assert_eq!(explained, "");
            None
        }
        Judgement::Hold(held) => {
            assert_eq!(explained, held.rule);
            Some(held.rule.into())
        }
        Judgement::Deny(denial) => {
            assert_eq!(explained, denial.rule);
            Some(denial.rule.into())
        }
    }
}

fn read(policy: &Value) -> Policy {
    Policy::parse("p.json", &policy.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The same JSON with the members of every object in the opposite order.
fn turned(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members: Vec<_> =
                map.iter().rev().map(|(key, value)| format!("{}:{}", json!(key), turned(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(turned).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_order_of_keys_does_not_matter(policy in policy(), arguments in arguments()) {
        let other = Policy::parse("p.json", &turned(&policy)).unwrap();
        prop_assert_eq!(decide(&read(&policy), &arguments.to_string()), decide(&other, &turned(&arguments)));
    }

    #[test]
    fn yaml_and_json_of_one_policy_decide_the_same(policy in policy(), arguments in arguments()) {
        // JSON is YAML in its flow style; so the same bytes go through the other reader.
        let other = Policy::parse("p.yaml", &serde_json::to_string_pretty(&policy).unwrap()).unwrap();
        prop_assert_eq!(decide(&read(&policy), &arguments.to_string()), decide(&other, &arguments.to_string()));
    }

    #[test]
    fn adding_a_denial_or_a_requirement_never_allows_more(policy in policy(), more in predicate(), arguments in arguments()) {
        let before = decide(&read(&policy), &arguments.to_string());
        let mut denies = policy.clone();
        denies["tools"]["t"]["deny_if"].as_array_mut().unwrap().push(json!({ "conditions": [more.clone()] }));
        let mut requires = policy;
        requires["tools"]["t"]["require"].as_array_mut().unwrap().push(more);
        for stricter in [denies, requires] {
            let after = decide(&read(&stricter), &arguments.to_string());
            prop_assert!(before.is_none() || after.is_some());
        }
    }

    #[test]
    fn taking_a_permission_away_never_allows_more(policy in policy(), of_all in any::<bool>(), arguments in arguments()) {
        // One rule that only permits, beside the other.
        let (permits, other) = if of_all { ("*", "t") } else { ("t", "*") };
        let rule = policy["tools"]["t"].clone();
        let with = json!({ "version": "2", "default": "deny", "tools": { other: rule, permits: {} } });
        let mut without = with.clone();
        without["tools"].as_object_mut().unwrap().remove(permits);
        let (before, after) = (decide(&read(&with), &arguments.to_string()), decide(&read(&without), &arguments.to_string()));
        prop_assert!(before.is_none() || after.is_some());
    }

    #[test]
    fn a_policy_of_version_1_means_the_same_as_one_of_version_2(policy in policy(), arguments in arguments()) {
        let mut later = policy.clone();
        later["version"] = "2".into();
        prop_assert_eq!(decide(&read(&policy), &arguments.to_string()), decide(&read(&later), &arguments.to_string()));
    }

    #[test]
    fn a_predicate_and_its_negation_never_both_pass(predicate in predicate(), arguments in arguments()) {
        let require = |predicate: &Value| {
            let policy = json!({ "version": "1", "default": "deny", "tools": { "t": { "require": [predicate] } } });
            decide(&read(&policy), &arguments.to_string())
        };
        let negated = json!({ "not": predicate });
        prop_assert!(require(&predicate).is_some() || require(&negated).is_some());
    }

    #[test]
    fn whitespace_and_escapes_do_not_matter(policy in policy(), arguments in arguments()) {
        let policy = read(&policy);
        let escaped: String = arguments.to_string().chars().map(|c| if c == 'a' { "\\u0061".into() } else { c.to_string() }).collect();
        // `true`, `false` and numbers hold an `a` too; those texts are no JSON any more and not compared.
        if let Ok(same) = serde_json::from_str::<Value>(&escaped) {
            prop_assert_eq!(same, arguments.clone());
            prop_assert_eq!(decide(&policy, &escaped), decide(&policy, &arguments.to_string()));
        }
        let pretty = serde_json::to_string_pretty(&arguments).unwrap();
        prop_assert_eq!(decide(&policy, &pretty), decide(&policy, &arguments.to_string()));
    }

    #[test]
    fn reading_never_panics_on_any_text(text in "\\PC{0,200}", file in prop_oneof![Just("p.json"), Just("p.yaml"), Just("p.toml")]) {
        if let Err(problems) = Policy::parse(file, &text) {
            problems.render(80, portcullis_document::Colours::Never);
        }
    }

    #[test]
    fn reading_never_panics_on_a_damaged_policy(policy in policy(), at in 0usize..400, with in "\\PC{0,3}", pretty in any::<bool>()) {
        let mut text = if pretty { serde_json::to_string_pretty(&policy).unwrap() } else { policy.to_string() };
        let at = at.min(text.len());
        text.replace_range(at..(at + 1).min(text.len()), &with);
        for file in ["p.json", "p.yaml"] {
            if let Err(problems) = Policy::parse(file, &text) {
                problems.render(80, portcullis_document::Colours::Never);
            }
        }
    }

    #[test]
    fn judging_never_panics_on_any_text(policy in policy(), arguments in "\\PC{0,60}") {
        decide(&read(&policy), &arguments);
    }
}
