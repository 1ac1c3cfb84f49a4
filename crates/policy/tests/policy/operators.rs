//! Every operator with every type of value, and with none.

use crate::{decide, policy};

/// What a predicate on `args.a` gives under `require` and under `deny_if`, as one letter: True, False, Missing, Unjudged.
fn gives(op: &str, value: &str, arguments: &str) -> char {
    let predicate = format!("{{ path: args.a, op: {op}, value: {value} }}");
    let required = decide(&policy(&format!("    require: [{predicate}]")), arguments);
    let refused = decide(&policy(&format!("    require: [{{ not: {predicate} }}]")), arguments);
    let denied = decide(&policy(&format!("    deny_if: [{{ conditions: [{predicate}] }}]")), arguments);
    let spared =
        decide(&policy(&format!("    deny_if: [{{ conditions: [{{ not: {predicate} }}] }}]")), arguments);
    let allowed = |rule: &String| rule == "allowed";
    match [&required, &refused, &denied, &spared].map(allowed) {
        [true, false, false, true] => 'T',
        [false, true, true, false] => 'F',
        [false, false, true, true] => 'M',
        [false, false, false, false] => 'U',
        other => panic!("{op} {value} on {arguments}: {other:?}"),
    }
}

const COLUMNS: [&str; 13] = [
    "{}",
    r#"{"a":null}"#,
    r#"{"a":true}"#,
    r#"{"a":5}"#,
    r#"{"a":5.0}"#,
    r#"{"a":6}"#,
    r#"{"a":"5"}"#,
    r#"{"a":"prod"}"#,
    r#"{"a":"x"}"#,
    r#"{"a":["prod"]}"#,
    r#"{"a":[]}"#,
    r#"{"a":{"b":1}}"#,
    r#"{"a":1e999}"#,
];

#[test]
fn every_operator_gives_one_answer_for_every_type() {
    let table = [
        // op, value, missing null true 5 5.0 6 "5" "prod" "x" ["prod"] [] {"b":1} 1e999
        ("eq", "prod", "MUUUUUFTFUUUU"),
        ("eq", "5", "MUUTTFUUUUUUU"),
        ("eq", "\"5\"", "MUUUUUTFFUUUU"),
        ("eq", "true", "MUTUUUUUUUUUU"),
        ("eq", "[prod]", "MUUUUUUUUTFUU"),
        ("eq", "{ b: 1.0 }", "MUUUUUUUUUUTU"),
        ("neq", "prod", "MUUUUUTFTUUUU"),
        ("neq", "5", "MUUFFTUUUUUUU"),
        ("in", "[prod, x]", "MUUUUUFTTUUUU"),
        ("in", "[5, 7]", "MUUTTFUUUUUUU"),
        ("in", "[5, prod]", "MUUTTUUTUUUUU"),
        ("not_in", "[prod, x]", "MUUUUUTFFUUUU"),
        ("not_in", "[5, 7]", "MUUFFTUUUUUUU"),
        ("lt", "6", "MUUTTFUUUUUUU"),
        ("lte", "5", "MUUTTFUUUUUUU"),
        ("gt", "5", "MUUFFTUUUUUUU"),
        ("gte", "5.000", "MUUTTTUUUUUUU"),
        ("regex", "^p", "MUUUUUFTFUUUU"),
        ("regex", "o", "MUUUUUFTFUUUU"),
        ("contains", "ro", "MUUUUUFTFFFUU"),
        ("contains", "prod", "MUUUUUFTFTFUU"),
        ("contains", "5", "MUUUUUUUUUFUU"),
        ("exists", "true", "FFTTTTTTTTTTT"),
        ("exists", "false", "TTFFFFFFFFFFF"),
    ];
    for (op, value, expected) in table {
        let found: String = COLUMNS.iter().map(|arguments| gives(op, value, arguments)).collect();
        assert_eq!(found, expected, "{op} {value}");
    }
}

#[test]
fn numbers_are_compared_digit_for_digit() {
    for (op, value, argument, expected) in [
        ("gt", "9007199254740992", "9007199254740993", 'T'),
        ("eq", "0.3", "0.30000000000000004", 'F'),
        ("eq", "100", "1e2", 'T'),
        ("eq", "0", "-0.0", 'T'),
        ("lt", "-1", "-1.0000000000000000000000001", 'T'),
        ("gt", "1", "1e400", 'T'),
        ("gt", "1", "1e401", 'U'),
        ("gt", "1", "99999999999999999999999999999999999999999999999999999999999999999", 'U'),
    ] {
        assert_eq!(gives(op, value, &format!(r#"{{"a":{argument}}}"#)), expected, "{argument} {op} {value}");
    }
}

#[test]
fn text_is_compared_after_its_escapes_are_read() {
    assert_eq!(gives("eq", "prod", r#"{"a":"\u0070rod"}"#), 'T');
    assert_eq!(gives("eq", "prod", r#"{"\u0061":"prod"}"#), 'T');
    assert_eq!(gives("contains", "'\"'", r#"{"a":"say \"x\""}"#), 'T');
    assert_eq!(gives("regex", "^a/b$", r#"{"a":"a\/b"}"#), 'T');
    assert_eq!(gives("eq", "prod", r#"{"a":"Prod"}"#), 'F');
}

#[test]
fn half_a_surrogate_pair_is_unjudged() {
    assert_eq!(gives("eq", "prod", r#"{"a":"\ud800"}"#), 'U');
    assert_eq!(gives("regex", "p", r#"{"a":"\ud800"}"#), 'U');
}

#[test]
fn a_list_or_map_is_equal_as_a_whole() {
    for (value, argument, expected) in [
        ("[1, a]", r#"[1.0,"a"]"#, 'T'),
        ("[1, a]", r#"["a",1]"#, 'U'),
        ("[1, a]", r#"[2,"a"]"#, 'F'),
        ("[1, a]", "[1]", 'F'),
        ("{ k: [1] }", r#"{"k":[1]}"#, 'T'),
        ("{ k: [1] }", r#"{"k":[1],"more":0}"#, 'F'),
        ("{ k: [1] }", r#"{"other":[1]}"#, 'F'),
        ("{ k: [1] }", r#"{"K":[1]}"#, 'U'),
        ("{ k: [1] }", r#"{"k":[1],"k":[1]}"#, 'U'),
        ("{ k: [1] }", r#"{"k":["1"]}"#, 'U'),
    ] {
        assert_eq!(gives("eq", value, &format!(r#"{{"a":{argument}}}"#)), expected, "{argument} eq {value}");
    }
}
