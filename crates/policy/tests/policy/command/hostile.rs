//! Lines that are made to tire the reader, not to escape.

use super::{gives, policy};
use portcullis_policy::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::LazyLock;

static ALL: LazyLock<Policy> = LazyLock::new(|| policy(&all()));

/// Everything but the programs.
fn all() -> Value {
    json!({ "programs": ["ls", "echo", "a"], "redirections": true, "substitutions": true, "background": true, "assignments": true })
}

#[test]
fn much_of_anything_is_judged_at_once() {
    let begins = [
        "(",
        "( ",
        "$(",
        "\"$(",
        "`",
        "${",
        "\"${",
        "$((",
        "$[",
        "if ",
        "{ ",
        "case a in a) ",
        "while ",
        "for i in a; do ",
        "! ",
        "[[ ",
        "coproc ",
        "function f ",
        "f() ",
        "<<a ",
        "<<a\n",
        "<<-'a' <<b\n",
        "((",
        "a[",
        "a=(",
        "a[a",
        "x[${y[",
        "'",
        "\"",
        "\\",
        "\\\n",
        "#\n",
        "ls;",
        "ls&&",
        "ls|",
        "ls&",
        "ls\n",
        "a=b ",
        "ls >a ",
        "9",
        "$",
        "$a",
        "{a,",
        "~",
        "*",
        "@(",
        "é",
        "2>&1 ",
        "env ",
        "sh -c ",
        "; ",
        ")",
        "}",
        "$(ls) ",
        "\"$(ls \"",
        "`ls` ",
        "echo $(",
        "ls <(",
        "[[ ( ",
        "time ",
        "select ",
    ];
    for begin in begins {
        for count in [13, 900, 100_000] {
            for end in ["", ")"] {
                let line = begin.repeat(count) + end;
                gives(&ALL, &json!(line));
            }
        }
    }
}

/// One that took time that doubles with each level would not end.
#[test]
fn nesting_to_the_limit_is_judged_at_once() {
    for (begin, inside, end) in [
        ("( ", "ls", " )"),
        ("{ ", "ls", "; }"),
        ("if ls; then ", "ls", "; fi"),
        ("if ", "ls", "; then ls; else ls; fi"),
        ("case a in a) ", "ls", " esac"),
        ("case a in (a) ", "ls", ";; esac"),
        ("while ", "ls", "; do ls; done"),
        ("for i in a; do ", "ls", "; done"),
        ("f() { ", "ls", "; }"),
        ("echo $(", "ls", ")"),
        ("echo \"$(", "ls", ")\""),
    ] {
        for count in [4, 5, 7, 8, 9] {
            let line = begin.repeat(count) + inside + &end.repeat(count);
            gives(&ALL, &json!(line));
        }
    }
}

#[test]
fn the_bound_is_16_kib() {
    let line = |bytes: usize| json!(format!("ls {}", "a".repeat(bytes - 3)));
    assert_eq!((gives(&ALL, &line(16 * 1024)), gives(&ALL, &line(16 * 1024 + 1))), ('T', 'U'));
    let words = |bytes: usize| json!(["ls", "a".repeat(bytes - 2)]);
    assert_eq!((gives(&ALL, &words(16 * 1024)), gives(&ALL, &words(16 * 1024 + 1))), ('T', 'U'));
}

/// Pieces of which lines are made, odd ones too.
const PIECES: [&str; 66] = [
    "ls", "echo", "a", "id", " ", " ", " ", " ", "\n", "\t", ";", "&", "&&", "|", "||", "(", ")", "{ ",
    "; }", "<", ">", ">>", "<<", "<<-", ">&", "<&", "2", "$", "$(", "${", "}", "$x", "`", "'", "'", "\"",
    "\"", "\\", "\\\n", "#", "=", "A=", "a=b ", "!", "*", "?", "[", "]", "~", "if ", "then ", "fi", "for ",
    "do ", "done", "case ", "esac", "in ", "while ", "-", ",", ".", "$'", "[[", "]]", "é",
];

fn line() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES.as_slice()), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn judging_never_panics_on_pieces_of_lines(line in line()) {
        gives(&ALL, &json!(line));
    }

    #[test]
    fn judging_never_panics_on_any_text(line in "\\PC{0,80}", words in prop::collection::vec("\\PC{0,8}", 0..5)) {
            gives(&ALL, &json!(line));
        gives(&ALL, &json!(words));
    }

    #[test]
    fn allowing_less_never_makes_a_line_hold(line in line(), off in 0usize..6) {
        let mut less = all();
        less[["sequences", "pipes", "redirections", "substitutions", "background", "assignments"][off]] = false.into();
        let less = gives(&policy(&less), &json!(line));
        prop_assert!(less != 'T' || gives(&ALL, &json!(line)) == 'T');
    }
}
