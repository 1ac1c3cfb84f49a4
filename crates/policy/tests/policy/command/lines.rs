//! The lines of `escapes.yaml` and `harmless.yaml`.

use super::{gives, groups, policy};
use serde_json::json;

/// How many lines a file has, and those of them that give something else than they should.
fn surprises(file: &str, is_expected: impl Fn(char) -> bool) -> (usize, Vec<String>) {
    let mut count = 0;
    let mut surprises = Vec::new();
    for group in groups(file) {
        let policy = policy(&group.allows);
        for line in group.lines {
            count += 1;
            let given = gives(&policy, &line);
            if !is_expected(given) {
                surprises.push(format!("{given}: {line} under {}", group.allows));
            }
        }
    }
    (count, surprises)
}

#[test]
fn no_escape_holds() {
    let (count, surprises) = surprises("escapes.yaml", |given| given != 'T');
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(count >= 1100, "{count}");
}

#[test]
fn every_harmless_line_holds() {
    let (count, surprises) = surprises("harmless.yaml", |given| given == 'T');
    assert!(surprises.is_empty(), "{surprises:#?}");
    assert!(count >= 230, "{count}");
}

#[test]
fn what_is_read_and_not_allowed_is_false_and_what_is_not_read_is_unjudged() {
    let policy = policy(&json!({ "programs": ["ls", "echo"] }));
    for (line, expected) in [
        ("id", 'F'),
        ("ls & id", 'F'),
        ("ls > x", 'F'),
        ("echo $(ls)", 'F'),
        ("A=b ls", 'F'),
        ("ls() { ls; }", 'F'),
        ("for i in a; do ls; done", 'F'),
        ("$x", 'F'),
        ("eval ls", 'F'),
        ("", 'U'),
        ("ls '", 'U'),
        ("ls &&", 'U'),
        ("ls\r", 'U'),
        ("ls <<< x", 'U'),
        ("ls &> x", 'U'),
        ("ls $'a'", 'U'),
        ("ls {a,b}", 'U'),
        ("((ls))", 'U'),
        ("[[ a ]]", 'U'),
    ] {
        assert_eq!(gives(&policy, &json!(line)), expected, "{line}");
    }
    for (words, expected) in [
        (json!(["ls", "-l"]), 'T'),
        (json!(["id"]), 'F'),
        (json!([]), 'U'),
        (json!(["ls", 1]), 'U'),
        (json!([["ls"]]), 'U'),
        (json!(1), 'U'),
        (json!({ "ls": "ls" }), 'U'),
        (json!(true), 'U'),
    ] {
        assert_eq!(gives(&policy, &words), expected, "{words}");
    }
}
