//! One value in the place of another: it tightens only where no line holds that did not hold before.

use std::sync::LazyLock;

use portcullis_policy::{Direction, Judgement, Policy};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::groups;
use crate::plain;

fn policy_of(allows: &Value) -> Policy {
    let require = json!([{ "path": "args.a", "op": "command", "value": allows }]);
    let policy = json!({ "version": "2", "default": "deny", "tools": { "t": { "require": require } } });
    Policy::parse("p.json", &policy.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
}

fn direction(from: &Value, to: &Value) -> Direction {
    policy_of(from).direction(&policy_of(to))
}

fn holds(policy: &Policy, line: &Value) -> bool {
    matches!(policy.judge(&plain("t", &json!({ "a": line }).to_string())), Judgement::Allow(_))
}

#[test]
fn less_of_any_key_tightens_and_more_of_it_loosens() {
    for (from, to) in [
        (json!({ "programs": ["ls", "cat"] }), json!({ "programs": ["ls"] })),
        (json!({ "programs": ["ls"], "redirections": true }), json!({ "programs": ["ls"] })),
        (json!({ "programs": ["ls"] }), json!({ "programs": ["ls"], "pipes": false })),
        (json!({ "programs": ["ls"] }), json!({ "programs": ["ls"], "sequences": false })),
        (json!({ "programs": ["ls"], "substitutions": true }), json!({ "programs": ["ls"] })),
        (json!({ "programs": ["ls"], "background": true }), json!({ "programs": ["ls"] })),
        (json!({ "programs": ["ls"], "assignments": true }), json!({ "programs": ["ls"] })),
        (
            json!({ "programs": ["ls"], "assignments": ["CI"] }),
            json!({ "programs": ["ls"], "assignments": true }),
        ),
        (
            json!({ "programs": ["git"], "arguments": { "git": ["log", "frob"] } }),
            json!({ "programs": ["git"], "arguments": { "git": ["frob"] } }),
        ),
        // A first word of these is trusted with no more where it is named.
        (json!({ "programs": ["git"] }), json!({ "programs": ["git"], "arguments": { "git": ["log"] } })),
        (json!({ "programs": ["frob"] }), json!({ "programs": ["frob"], "arguments": { "frob": ["x"] } })),
        (json!({ "programs": ["cat"] }), json!({ "programs": ["cat"], "arguments": { "cat": ["x"] } })),
        (json!({ "programs": ["sudo"] }), json!({ "programs": ["sudo"], "arguments": { "sudo": ["ls"] } })),
        (
            json!({ "programs": ["ls"], "flags": { "ls": ["-l", "-a"] } }),
            json!({ "programs": ["ls"], "flags": { "ls": ["-l"] } }),
        ),
        (json!({ "programs": ["ls"] }), json!({ "programs": ["ls"], "flags": { "ls": [] } })),
        // What is known of `head` has these in each form that a list of them has.
        (
            json!({ "programs": ["head"] }),
            json!({ "programs": ["head"], "flags": { "head": ["-n", "-q", "--lines"] } }),
        ),
        (json!({ "programs": ["frob"], "flags": { "frob": ["-x"] } }), json!({ "programs": ["frob"] })),
        (
            json!({ "programs": ["ls", "make"], "arguments": { "make": ["test"] } }),
            json!({ "programs": ["ls"] }),
        ),
    ] {
        assert_eq!(direction(&from, &to), Direction::Tightens, "{from} → {to}");
        assert_eq!(direction(&to, &from), Direction::Loosens, "{to} → {from}");
    }
}

#[test]
fn the_same_in_another_order_is_the_same() {
    for (from, to) in [
        (json!({ "programs": ["ls", "cat"] }), json!({ "pipes": true, "programs": ["cat", "ls"] })),
        // A program that runs what its first word names does not hold without one.
        (json!({ "programs": ["ls", "make"] }), json!({ "programs": ["ls"] })),
    ] {
        assert_eq!(direction(&from, &to), Direction::Same, "{from} → {to}");
    }
}

#[test]
fn what_is_trusted_with_more_goes_both_ways() {
    for (from, to) in [
        // A first word that is named is trusted with its options and with what stands behind it.
        (json!({ "programs": ["git"] }), json!({ "programs": ["git"], "arguments": { "git": ["frob"] } })),
        (json!({ "programs": ["git"] }), json!({ "programs": ["git"], "arguments": { "git": ["-C"] } })),
        (json!({ "programs": ["git"] }), json!({ "programs": ["git"], "arguments": { "git": ["remote"] } })),
        (json!({ "programs": ["rg"] }), json!({ "programs": ["rg"], "arguments": { "rg": ["--pre"] } })),
        (json!({ "programs": ["frob"] }), json!({ "programs": ["frob"], "arguments": { "frob": ["@x"] } })),
        (json!({ "programs": ["sh"] }), json!({ "programs": ["sh"], "arguments": { "sh": ["x.sh"] } })),
        (
            json!({ "programs": ["git", "cd"] }),
            json!({ "programs": ["git", "cd"], "arguments": { "cd": ["/srv"] } }),
        ),
        // Flags stand in the place of what is known.
        (json!({ "programs": ["rg"] }), json!({ "programs": ["rg"], "flags": { "rg": ["--pre"] } })),
        (json!({ "programs": ["ls"] }), json!({ "programs": ["ls"], "flags": { "ls": ["-l"] } })),
        (json!({ "programs": ["git"] }), json!({ "programs": ["git"], "flags": { "git": ["-n"] } })),
        (json!({ "programs": ["sed"] }), json!({ "programs": ["sed"], "flags": { "sed": ["-i"] } })),
        // Where flags are listed, what begins with `@` or `+` is no option, of a program of which nothing is known.
        (
            json!({ "programs": ["frob"], "arguments": { "frob": ["-x"] }, "flags": { "frob": ["-y"] } }),
            json!({ "programs": ["frob"], "arguments": { "frob": ["-x"] } }),
        ),
        (
            json!({ "programs": ["sh"], "arguments": { "sh": ["x.sh"] } }),
            json!({ "programs": ["sh"], "arguments": { "sh": ["x.sh"] }, "flags": { "sh": [] } }),
        ),
        // Less of one key, and more of another.
        (json!({ "programs": ["ls", "cat"] }), json!({ "programs": ["ls"], "redirections": true })),
    ] {
        assert_eq!(direction(&from, &to), Direction::Both, "{from} → {to}");
    }
}

/// One program of each kind, with all that some few arguments and flags can say of it, and all of some few words.
#[test]
fn the_verdict_on_one_program_is_right_for_all_that_may_be_said_of_it() {
    let firsts = [None, Some("x"), Some("log"), Some("remote"), Some("-x"), Some("@x")];
    let flags: [Option<&[&str]>; 7] = [
        None,
        Some(&[]),
        Some(&["-n"]),
        Some(&["-x"]),
        Some(&["-l", "-n"]),
        Some(&["--all"]),
        Some(&["--lines"]),
    ];
    let words = [
        "x",
        "-",
        "--",
        "@x",
        "+x",
        "p",
        "log",
        "remote",
        "-n",
        "-n5",
        "-nl",
        "-x",
        "--all",
        "--all=x",
        "--lines=5",
        "CI=1",
    ];
    for program in [
        "ls", "head", "git", "frob", "make", "cd", "sh", "env", "tee", "sed", "tar", "echo", "export",
        "uniq", "printf",
    ] {
        let lines: Vec<Value> = std::iter::once(json!([program]))
            .chain(words.iter().map(|word| json!([program, word])))
            .chain(
                words
                    .iter()
                    .flat_map(|first| words.iter().map(move |second| json!([program, first, second]))),
            )
            .chain(words.iter().map(|word| json!(format!("cd {word} && {program} {word} $x"))))
            .collect();
        let said = firsts.iter().flat_map(|first| flags.iter().map(move |flags| (first, flags)));
        let values: Vec<(Value, Policy, Vec<bool>)> = said
            .map(|(first, flags)| {
                let mut value =
                    json!({ "programs": [program, "cd"], "redirections": true, "assignments": true });
                if let Some(first) = first {
                    value["arguments"] = json!({ program: [first] });
                }
                if let Some(flags) = flags {
                    value["flags"] = json!({ program: flags });
                }
                let policy = policy_of(&value);
                let holds = lines.iter().map(|line| holds(&policy, line)).collect();
                (value, policy, holds)
            })
            .collect();
        for (narrow, by, own) in &values {
            for (wide, than, others) in &values {
                if !matches!(than.direction(by), Direction::Tightens | Direction::Same) {
                    continue;
                }
                let other = std::iter::zip(own, others).position(|(own, other)| *own && !other);
                assert_eq!(other.map(|at| &lines[at]), None, "holds under {narrow} and not under {wide}");
            }
        }
    }
}

const PROGRAMS: [&str; 22] = [
    "ls",
    "cat",
    "head",
    "git",
    "frob",
    "python3",
    "make",
    "cd",
    "sh",
    "env",
    "sudo",
    "tee",
    "sed",
    "tar",
    "echo",
    "[",
    "export",
    "systemctl",
    "uniq",
    "rg",
    "printf",
    "date",
];
const FIRSTS: [&str; 18] = [
    "x", "status", "log", "remote", "frob", "x.py", "-n", "-x", "-C", "--pre", "@x", "+x", "-", "--", "ls",
    "xf", "-c", "p",
];
const FLAGS: [&str; 15] = [
    "-n",
    "-l",
    "-a",
    "-x",
    "-q",
    "-la",
    "-5",
    "-i",
    "-c",
    "--all",
    "--lines",
    "--pre",
    "--oneline",
    "--all=x",
    "--pre=x",
];
/// Forms of flags, values of options, and words that only some have.
const WORDS: [&str; 30] = [
    "x",
    "y",
    "-",
    "--",
    "5",
    "-n5",
    "-l5",
    "-na",
    "-al",
    "-xn",
    "--all",
    "--all=x",
    "--lines=5",
    "--pre=x",
    "--oneline",
    "-n",
    "-l",
    "-a",
    "-x",
    "-q",
    "-la",
    "-5",
    "-i",
    "-c",
    "ls",
    "git",
    "log",
    "add",
    "CI=1",
    "LANG=C",
];
const PARTS: [&str; 5] = ["sequences", "pipes", "redirections", "substitutions", "background"];

/// A value of `op: command` for at most a few of the programs.
fn allows() -> impl Strategy<Value = Value> {
    let some = |words: &'static [&'static str], most: usize| prop::sample::subsequence(words, 0..=most);
    let said = (some(&FIRSTS, 3), some(&FLAGS, 3), 0u8..3, 0u8..3);
    let programs = prop::collection::btree_map(prop::sample::select(&PROGRAMS[..]), said, 1..3);
    let parts = prop::collection::vec(prop::option::of(any::<bool>()), PARTS.len());
    let assignments =
        prop_oneof![Just(json!(false)), Just(json!(true)), Just(json!(["CI"])), Just(json!(["CI", "DEBUG"]))];
    (programs, parts, assignments).prop_map(|(programs, parts, assignments)| {
        let names: Vec<_> = programs.keys().collect();
        let mut value =
            json!({ "programs": names, "arguments": {}, "flags": {}, "assignments": assignments });
        for (program, (firsts, flags, with_firsts, with_flags)) in programs {
            if with_firsts == 0 && !firsts.is_empty() {
                value["arguments"][program] = json!(firsts);
            }
            if with_flags == 0 {
                value["flags"][program] = json!(flags);
            }
        }
        for (part, said) in PARTS.iter().zip(parts) {
            if let Some(said) = said {
                value[*part] = said.into();
            }
        }
        value
    })
}

/// A value and another that differs in one key of one program, or in a part, so that it is often narrower.
fn pair() -> impl Strategy<Value = (Value, Value)> {
    let edit = (
        prop::sample::select(&["programs", "arguments", "flags", "parts", "all"][..]),
        allows(),
        any::<prop::sample::Index>(),
    );
    (allows(), edit).prop_map(|(from, (key, other, at))| {
        let mut to = from.clone();
        let programs = from["programs"].as_array().unwrap();
        let program = at.get(programs).as_str().unwrap();
        match key {
            "programs" => {
                to["programs"] = json!([program]);
                for key in ["arguments", "flags"] {
                    let said = from[key].get(program).map(|said| json!({ program: said }));
                    to[key] = said.unwrap_or(json!({}));
                }
            }
            // What is said of the first program of the other, if of any.
            "arguments" | "flags" => match other[key].as_object().and_then(|said| said.values().next()) {
                Some(said) => to[key][program] = said.clone(),
                None => drop(to[key].as_object_mut().unwrap().remove(program)),
            },
            "parts" => {
                for part in PARTS.iter().chain(&["assignments"]) {
                    if let Some(said) = other.get(*part) {
                        to[*part] = said.clone();
                    }
                }
            }
            _ => to = other,
        }
        (from, to)
    })
}

/// The lines of the other tests.
static LINES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    ["escapes.yaml", "harmless.yaml"].into_iter().flat_map(groups).flat_map(|group| group.lines).collect()
});

/// Programs with words that one of the values names, and with some that none does.
fn commands() -> impl Strategy<Value = Vec<(usize, Vec<&'static str>)>> {
    let word = prop_oneof![
        prop::sample::select(&FIRSTS[..]),
        prop::sample::select(&FLAGS[..]),
        prop::sample::select(&WORDS[..]),
    ];
    prop::collection::vec((0usize..8, prop::collection::vec(word, 0..4)), 160)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_tightens_lets_no_line_hold_that_did_not(
        (from, to) in pair(), commands in commands(), lines in prop::collection::vec(prop::sample::select(&LINES[..]), 12)
    ) {
        let verdict = direction(&from, &to);
        let (narrow, wide) = match verdict {
            Direction::Tightens | Direction::Same => (&to, &from),
            Direction::Loosens => (&from, &to),
            Direction::Both => return Ok(()),
        };
        let programs = narrow["programs"].as_array().unwrap();
        let made: Vec<Value> = commands
            .iter()
            .map(|(at, words)| {
                let words: Vec<&str> = std::iter::once(programs[at % programs.len()].as_str().unwrap()).chain(words.iter().copied()).collect();
                json!(words)
            })
            .collect();
        let joined = |joint: &str| -> Vec<Value> {
            let line = |words: &Value| words.as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ");
            made.chunks(2).take(12).map(|two| json!(two.iter().map(line).collect::<Vec<_>>().join(joint))).collect()
        };
        let around = ["x", "-n", "log", ""].map(|word| {
            let program = programs[0].as_str().unwrap();
            [format!("{program} {word} > x"), format!("{program} {word} $x"), format!("CI=1 {program} {word}"), format!("echo $({program} {word})"), format!("{program} {word} &"), format!("cd x; {program} {word}"), format!("cd /srv && {program} {word}")]
        });
        let around = around.into_iter().flatten().map(Value::from);
        let all = made.iter().cloned().chain(joined("; ")).chain(joined(" | ")).chain(around).chain(lines);
        let (narrow_policy, wide_policy) = (policy_of(narrow), policy_of(wide));
        for line in all {
            if holds(&narrow_policy, &line) {
                prop_assert!(holds(&wide_policy, &line), "{} holds under {} and not under {}", line, narrow, wide);
            }
        }
    }
}
