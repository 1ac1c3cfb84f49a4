//! The three formats, read to one tree.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use portcullis_document::{Colours, Document, Kind, MAX_DEPTH, Node, Problems, Reading};
use proptest::prelude::*;

fn read(name: &str, text: &str) -> Document {
    Document::read(name, text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn problems(name: &str, text: &str) -> Problems {
    match Document::read(name, text) {
        Ok(document) => panic!("was read: {:?}\n{text}", document.root()),
        Err(problems) => problems,
    }
}

/// The tree without its places.
fn shape(node: &Node) -> String {
    match &node.kind {
        Kind::Null => "null".into(),
        Kind::Bool(value) => value.to_string(),
        Kind::Number(digits) => format!("#{digits}"),
        Kind::Text(text) => format!("{text:?}"),
        Kind::List(nodes) => format!("[{}]", nodes.iter().map(shape).collect::<Vec<_>>().join(" ")),
        Kind::Map(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|entry| format!("{}={}", entry.key, shape(&entry.value))).collect();
            format!("{{{}}}", entries.join(" "))
        }
    }
}

/// Every place of a tree with its text.
fn places(document: &Document) -> Vec<String> {
    fn walk(document: &Document, node: &Node, out: &mut Vec<String>) {
        out.push(document.source().slice(node.span).to_owned());
        match &node.kind {
            Kind::List(nodes) => nodes.iter().for_each(|node| walk(document, node, out)),
            Kind::Map(entries) => {
                for entry in entries {
                    out.push(document.source().slice(entry.key_span).to_owned());
                    walk(document, &entry.value, out);
                }
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    walk(document, document.root(), &mut out);
    out
}

#[test]
fn one_document_in_three_formats_is_one_tree() {
    let json = read("a.json", r#"{"b": [1, 2.50, "x"], "a": {"é k": true, "m": "two\nlines"}}"#);
    let yaml =
        read("a.yaml", "b: [1, 2.50, x]   # a comment\na:\n  é k: true\n  m: |-\n    two\n    lines\n");
    let toml = read("a.toml", "b = [1, 2.50, 'x']\n[a]\n\"é k\" = true\nm = \"two\\nlines\"\n");
    let expected = r#"{b=[#1 #2.50 "x"] a={é k=true m="two\nlines"}}"#;
    assert_eq!([&json, &yaml, &toml].map(|document| shape(document.root())), [expected; 3]);
}

#[test]
fn every_key_and_value_knows_its_text() {
    let text = r#"{"ü": [1, {"k": "v"}]}"#;
    assert_eq!(
        places(&read("a.json", text)),
        [text, "\"ü\"", r#"[1, {"k": "v"}]"#, "1", r#"{"k": "v"}"#, "\"k\"", "\"v\""]
    );
    let text = "ü: 'it''s'   # why\nlist:\n  - a b  \n  - \"q\\\"\"\n  -\nflow: [x, {y: z}]\n";
    assert_eq!(
        places(&read("a.yaml", text))[1..],
        [
            "ü",
            "'it''s'",
            "list",
            "- a b  \n  - \"q\\\"\"\n  -",
            "a b",
            "\"q\\\"\"",
            "",
            "flow",
            "[x, {y: z}]",
            "x",
            "{y: z}",
            "y",
            "z"
        ]
    );
    let text = "\"ü\" = 5\n[t]\nk = 'v'\n";
    assert_eq!(places(&read("a.toml", text))[1..], ["\"ü\"", "5", "t", "[t]", "k", "'v'"]);
}

#[test]
fn yaml_scalars_are_those_of_the_core_schema() {
    let text = "[yes, no, on, ~, null, True, 1e3, -0.5, 'true', 1.2.3, 12:30, 2020-01-01, _1, e5, 0x, +, .]";
    insta::assert_snapshot!(shape(read("a.yaml", text).root()), @r#"["yes" "no" "on" null null true #1e3 #-0.5 "true" "1.2.3" "12:30" "2020-01-01" "_1" "e5" "0x" "+" "."]"#);
    for number in ["0x1F", "0o17", "0b1", "+5", ".5", "5.", "010", "1_000", ".inf", "-.INF", ".nan", "+1e3"] {
        let problems = problems("a.yaml", &format!("a: {number}")).to_string();
        assert!(problems.contains("expected a decimal number"), "{number}: {problems}");
    }
}

#[test]
fn all_that_yaml_has_and_we_do_not_is_told_at_once() {
    let text = "a: &x 1\nb: *x\nc: !!str 5\n<<: {d: 1}\n5: five\nnull: n\n? [k]\n: v\na: again\n";
    insta::assert_snapshot!(problems("a.yaml", text).render(90, Colours::Never));
}

#[test]
fn toml_tells_all_its_mistakes_at_once() {
    let text = "a = 1\na = 2\nb = yes\n";
    insta::assert_snapshot!(problems("a.toml", text).render(90, Colours::Never));
    let text = "a = 0x1F\nb = inf\nc = 2020-01-01\n";
    insta::assert_snapshot!(problems("a.toml", text).render(90, Colours::Never));
}

#[test]
fn a_reading_tells_all_that_its_consumer_did_not_expect() {
    let document = read(
        "gate.toml",
        "listen = 7420\nretry = 'x'\nupstreams = []\nmode = 'fast'\non = 'true'\n[limits]\ncall = true\n",
    );
    let reading = Reading::new(&document);
    let mut fields = reading.root().fields().unwrap();
    fields.required("listen").unwrap().text();
    fields.required("data");
    fields.optional("retries");
    fields.optional("upstreams").unwrap().fields();
    fields.optional("mode").unwrap().word(&[("first", 1), ("last", 2), ("best", 3)]);
    fields.optional("on").unwrap().boolean();
    fields.optional("limits").unwrap().fields().unwrap().finish();
    fields.finish();
    insta::assert_snapshot!(reading.finish().render(90, Colours::Never));
}

#[test]
fn a_key_that_stands_twice_is_found_in_maps_of_any_size() {
    for size in [1, 2, 15, 16, 17, 18, 40] {
        for twice in [0, size / 2, size - 1] {
            let keys: Vec<_> = (0..size).chain([twice]).map(|key| format!("k/{key}")).collect();
            let yaml: String = keys.iter().map(|key| format!("{key}: 1\n")).collect();
            let json: Vec<_> = keys.iter().map(|key| format!("\n{key:?}: 1")).collect();
            for (name, text) in [("a.yaml", yaml), ("a.json", format!("{{{}}}", json.join(",")))] {
                let problems = problems(name, &text);
                let found: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
                assert_eq!(found, [format!("/k~1{twice}")], "{text}");
            }
        }
    }
}

#[test]
fn a_reading_begins_with_what_was_wrong_with_the_text_and_says_no_place_twice() {
    for (name, text) in [
        ("a.json", r#"{"a": "\ud800", "b": 5, "b": 6}"#),
        ("a.yaml", "a: 0x1F\nb: 5\nb: 6"),
        ("a.toml", "a = 0x1F\nb = 2020-01-01"),
    ] {
        let document = Document::read_past_mistakes(name, text).unwrap();
        assert!(Document::read(name, text).is_err());
        let reading = Reading::new(&document);
        let mut fields = reading.root().fields().unwrap();
        fields.required("a").unwrap().number();
        fields.required("b").unwrap().text();
        fields.finish();
        let problems = reading.finish();
        let lines: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
        assert!(problems.has_errors());
        assert!(lines.starts_with(&["/a", "/b"]) && lines.len() <= 3, "{problems}");
    }
}

#[test]
fn problems_serialise_for_scripts() {
    let problems = problems("a.json", "{\"a\": 1,\n \"a\": 2}");
    insta::assert_snapshot!(serde_json::to_string(&problems).unwrap());
    insta::assert_snapshot!(problems, @r#"a.json:2:2: /a: expected each key once, found "a" again (it stands first on line 1; remove one of the two)"#);
}

#[test]
fn json_is_read_strictly() {
    for text in [
        "{'a':1}",
        "{a:1}",
        "[1,]",
        "[01]",
        "[+1]",
        "[.5]",
        "[1.]",
        "[0x1]",
        "[NaN]",
        "// x\n1",
        "[1] [2]",
        "\"\t\"",
        "",
        "\"\\ud800\"",
    ] {
        problems("a.json", text);
    }
}

#[test]
fn depth_size_marks_and_endings_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for (file, prefix) in [("a.json", ""), ("a.yaml", ""), ("a.toml", "a = ")] {
        let most = MAX_DEPTH - usize::from(file == "a.toml");
        read(file, &format!("{prefix}{}", nested(most)));
        problems(file, &format!("{prefix}{}", nested(most + 1)));
        problems(file, &format!("{prefix}{}", nested(100_000)));
        problems(file, &" ".repeat(portcullis_document::MAX_BYTES + 1));
        problems(file, "\u{feff}");
    }
    problems("a.toml", &format!("{}a = 1", "a.".repeat(200_000)));
    problems("a.yaml", &"- ".repeat(100_000));
    problems("a.yaml", &(0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>());
    problems("policy", "{}");
    problems("policy.jsonc", "{}");
}

proptest! {
    #[test]
    fn no_text_makes_reading_or_rendering_panic(text in "[\\PC\n\t]{0,120}", name in prop_oneof![Just("a.json"), Just("a.yaml"), Just("a.toml")]) {
        match Document::read(name, &text) {
            Ok(document) => { places(&document); }
            Err(problems) => { problems.render(80, Colours::Never); }
        }
    }

    #[test]
    fn no_yaml_like_text_makes_reading_panic(text in "([-?:,\\[\\]{}#&*!|>'\"%@` \n\t~<a0é.]|- |: |\n  |---|\\.\\.\\.){0,40}") {
        match Document::read("a.yaml", &text) {
            Ok(document) => { places(&document); }
            Err(problems) => { problems.render(80, Colours::Never); }
        }
    }
}

#[test]
fn a_flow_list_or_map_ends_with_its_bracket() {
    for flow in [
        "{}",
        "[]",
        "{ a: 1 }",
        "[1, 2]",
        "{ a: {}, b: [] }",
        "[{}]",
        "{ a: }",
        "{ a: 1, }",
        "[1, # ]\n ]",
        "[a: 1]",
        "{ a: 1, # }\n }",
        "{\n  # none\n  }",
        "{ \"}\": é }",
    ] {
        for after in ["", "\n", "   # a comment", " # one\n# two\n", "\n\n\n", "\n# } é\n"] {
            for (before, behind) in
                [("k: ", ""), ("é: 1\nk:\n  ", ""), ("k: ", "\nl: {}\n"), ("k: ", "\nl:\n  - {} # x\n")]
            {
                let text = format!("{before}{flow}{after}{behind}");
                let document = read("a.yaml", &text);
                let Kind::Map(entries) = &document.root().kind else { panic!("{text}") };
                let entry = entries.iter().find(|entry| entry.key == "k").unwrap();
                assert_eq!(document.source().slice(entry.value.span), flow, "{text:?}");
            }
        }
    }
}
