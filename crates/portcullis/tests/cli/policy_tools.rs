//! What tests, compares and translates policies.

use crate::User;
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../../docs/policy-tools.md");

/// The blocks of the page in the section under a heading, each with its language.
fn blocks(heading: &str) -> Vec<(&'static str, &'static str)> {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    section.split("\n```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap()).collect()
}

/// Runs what a block of the page shows, and compares what comes.
#[track_caller]
fn shows(user: &User, block: &str, code: i32) {
    let (command, expected) = block.split_once('\n').unwrap();
    let words: Vec<&str> = command.strip_prefix("$ portcullis ").unwrap().split(' ').collect();
    let said = user.run(&words).with_code(code);
    assert_eq!(format!("{}{}", said.out, said.err).trim_end(), expected.trim_end());
}

const FILES: &str = r#"version: "2"
default: deny
hide: [delete_file]
tools:
  read_file:
    require:
      - conditions: [{ path: args.path, op: within, value: /srv }]
        on_deny: Only /srv is read.
  "@write":
    hold_if: [{ conditions: [] }]
  pay:
    require: [{ path: args.id, op: eq, value: 9007199254740993 }]
"#;

#[test]
fn the_page_shows_how_cases_are_tried() {
    let user = User::new();
    let [(_, policy), (_, cases), (_, shown), ..] = &blocks("Trying cases: `test`")[..] else { panic!() };
    user.write("policies/files.yaml", &format!("{policy}\n"));
    user.write("policies/files.cases.yaml", cases);
    shows(&user, shown, 1);
}

#[test]
fn the_page_shows_how_policies_are_compared() {
    let user = User::new();
    let [(_, now), (_, next), (_, shown)] = &blocks("Comparing two policies: `diff`")[..] else { panic!() };
    user.write("now.yaml", now);
    user.write("next.yaml", next);
    shows(&user, shown, 0);
}

#[test]
fn the_page_shows_what_comes_of_a_file_of_intercept() {
    let user = User::new();
    let [(_, file), (_, shown)] = &blocks("Coming from Intercept: `convert`")[..] else { panic!() };
    user.write("intercept.yaml", file);
    shows(&user, shown, 1);
}

#[test]
fn cases_that_come_out_as_expected_pass_and_others_fail_with_their_reasons() {
    let user = User::new();
    user.write("policies/files.yaml", FILES);
    user.write("policies/everyone.yaml", "version: \"2\"\ndefault: allow\nhide: [\"secret_*\"]\n");
    user.write(
        "tools.json",
        r#"{"result":{"tools":[
        {"name":"read_file","inputSchema":{"type":"object","properties":{"path":{"type":"string"}}}},
        {"name":"create_note","annotations":{"readOnlyHint":false,"destructiveHint":false}},
        {"name":"delete_file"}, {"name":"secret_note"}]}}"#,
    );
    user.write("deep/er/good.cases.yaml", r#"
policy: [../../policies/everyone.yaml, ../../policies/files.yaml]
tools: ../../tools.json
upstream: files
cases:
  - { name: allowed, tool: read_file, arguments: { path: /srv/a }, expect: allowed }
  - { name: by message, tool: read_file, arguments: { path: /etc/a }, expect: denied, message: Only /srv }
  - { name: a key that looks like another, tool: read_file, arguments: { path: /srv/a, Path: /etc }, expect: denied }
  - { name: by category, tool: create_note, expect: held, rule: /tools/@write/hold_if/0 }
  - { name: said otherwise, tool: create_note, category: read, expect: denied, rule: (default deny) }
  - { name: hidden, tool: delete_file, expect: denied, rule: (hidden) }
  - { name: hidden for everyone, tool: secret_note, category: write, expect: denied, rule: (hidden) }
"#);
    user.write(
        "deep/z.cases.json",
        r#"{"policy":"../policies/files.yaml","cases":[
        {"name":"to the last digit","tool":"pay","arguments":{"id":9007199254740993},"expect":"allowed"},
        {"name":"and no other","tool":"pay","arguments":{"id":9007199254740992},"expect":"denied"}]}"#,
    );
    user.write(".hidden/not-read.cases.yaml", "cases: 5");
    user.write("cases.yaml", "not: looked at");
    let said = user.run(&["policy", "test", "."]).with_code(0);
    assert_eq!(
        said.out,
        "deep/er/good.cases.yaml: 7 passed\ndeep/z.cases.json: 2 passed\n9 passed, 0 failed\n"
    );
    let said = user.run(&["policy", "test", ".", "--json"]).with_code(0);
    assert_eq!(said.lines(), [json!({ "passed": 9, "failed": 0, "failures": [] })]);

    user.write("bad.cases.yaml", r#"
policy: policies/files.yaml
grant: { name: me, labels: { team: web } }
time: "2026-11-30T12:00:00Z"
cases:
  - { name: another outcome, tool: read_file, arguments: { path: /etc/passwd }, expect: allowed, client: { name: editor } }
  - { name: another rule, tool: read_file, expect: denied, rule: (hidden), grant: { name: ci } }
  - { name: another message, tool: read_file, expect: denied, message: Nothing is read }
"#);
    let said = user.run(&["policy", "test", "bad.cases.yaml"]).with_code(1);
    insta::assert_snapshot!("cases-that-fail", said.out);
    let said = user.run(&["policy", "test", "bad.cases.yaml", "--json"]).with_code(1);
    let [said] = &said.lines()[..] else { panic!() };
    let first = &said["failures"][0];
    assert_eq!((&said["passed"], &said["failed"]), (&json!(0), &json!(3)));
    assert_eq!((&first["file"], &first["case"]), (&json!("bad.cases.yaml"), &json!("another outcome")));
    assert_eq!((&first["expected"], &first["found"]), (&json!("allowed"), &json!("denied")));
    assert_eq!(first["rule"], "/tools/read_file/require/0");
    assert_eq!(first["message"], "Only /srv is read.");
    assert!(first["tree"].as_array().is_some_and(|tree| tree.len() >= 3), "{first}");
    assert_eq!(said["failures"][1]["expected_rule"], "(hidden)");
    assert_eq!(said["failures"][1]["grant"], json!({ "name": "ci", "labels": {} }));
}

#[test]
fn attacks_are_counted_with_their_twins() {
    let user = User::new();
    user.write("files.yaml", FILES);
    user.write("a.cases.yaml", r#"
policy: files.yaml
cases:
  - { name: the project, tool: read_file, arguments: { path: /srv/a }, expect: allowed }
  - { name: a relative path, tool: read_file, arguments: { path: a }, expect: allowed }
  - { name: out, tool: read_file, arguments: { path: /srv/../etc }, expect: denied, attack: path traversal, twin: the project }
  - { name: in, tool: read_file, arguments: { path: /srv/keys }, expect: denied, attack: secrets, twin: a relative path }
  - { name: known, tool: read_file, arguments: { path: /srv/keys }, expect: allowed, attack: secrets }
"#);
    let said = user.run(&["policy", "test", "a.cases.yaml"]).with_code(1);
    assert!(
        said.out.ends_with("3 attacks tried, 1 passed silently; 2 twins, 1 blocked\n3 passed, 2 failed\n"),
        "{}",
        said.out
    );
    let said = user.run(&["policy", "test", "a.cases.yaml", "--json"]).with_code(1);
    let of = |tried, passed, twins, blocked| json!({ "tried": tried, "passed_silently": passed, "twins": twins, "twins_blocked": blocked });
    let mut expected = of(3, 1, 2, 1);
    expected["classes"] = json!({ "path traversal": of(1, 0, 1, 0), "secrets": of(2, 1, 1, 1) });
    assert_eq!(said.lines()[0]["attacks"], expected);
}

#[test]
fn every_mistake_of_every_file_of_cases_is_told_at_once() {
    let user = User::new();
    user.write("broken.yaml", "version: \"1\"\ndefault: perhaps\n");
    user.write("tools.json", r#"[{"name":"read_file"}]"#);
    user.write("a.cases.yaml", r#"policy: [broken.yaml, nowhere.yaml]
tools: tools.json
cases:
  - { name: a, tool: read_fil, arguments: { a: 1e999 }, expect: allow }
  - { name: a, tool: 5, arguments: [], expect: allowed, message: hm, twin: b, time: yesterday }
  - { tool: read_file, attack: x, twin: a, expected: denied, category: Write, grant: { label: x }, client: me }
"#);
    user.write("b.cases.yaml", "policy: broken.yaml\ntools: broken.yaml\ncases: []\n");
    user.write("c.cases.json", "{");
    std::fs::write(user.here.join("d.cases.yaml"), b"\xff").unwrap();
    let said = user.run(&["policy", "test", "."]).with_code(2);
    assert_eq!(said.out, "");
    insta::assert_snapshot!("mistakes-in-cases", said.err);
}

#[test]
fn where_there_are_no_cases_one_is_told_how_to_write_them() {
    let user = User::new();
    let said = user.run(&["policy", "test", "."]).with_code(2);
    insta::assert_snapshot!("no-cases", said.err);
    user.run(&["policy", "test", "nowhere"]).with_code(2);
}

#[test]
fn what_becomes_of_calls_is_shown_with_one_of_each() {
    let user = User::new();
    user.write(
        "a.yaml",
        r#"version: "2"
default: allow
hide: [delete_file]
all_tools: { limits: [{ counter: all, window: minute, max: 60, scope: grant }] }
tools:
  pay:
    deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 100 }] }]
    limits: [{ counter: money, window: day, max: 500, scope: grant, amount: args.amount }]
  search: { require: [{ path: args.query, op: regex, value: "\\bcats\\b" }] }
"#,
    );
    user.write("b.yaml", r#"version: "2"
default: deny
all_tools: { limits: [{ counter: all, window: minute, max: 30, scope: grant }] }
tools:
  pay:
    deny_if: [{ conditions: [{ path: args.amount, op: gt, value: 200 }] }]
    hold_if: [{ conditions: [{ path: args.amount, op: gt, value: 50 }] }]
    limits: [{ counter: money, window: day, max: 2500.50, scope: grant, amount: args.amount, refund: on_error }]
  search: { require: [{ path: args.query, op: regex, value: "\\bdogs\\b" }] }
  "@read": {}
  delete_file: {}
"#);
    let said = user.run(&["policy", "diff", "a.yaml", "b.yaml"]).with_code(0);
    insta::assert_snapshot!("a-difference", said.out);
    user.run(&["policy", "diff", "a.yaml", "b.yaml", "--fail-on", "loosens"]).with_code(1);

    user.write(
        "list.json",
        r#"{"tools":[{"name":"list_files","annotations":{"readOnlyHint":true}},{"name":"pay"}]}"#,
    );
    let said =
        user.run(&["policy", "diff", "a.yaml", "b.yaml", "--against", "list.json", "--json"]).with_code(0);
    let [said] = &said.lines()[..] else { panic!() };
    assert_eq!(
        (&said["a"], &said["b"], &said["verdict"]),
        (&json!("a.yaml"), &json!("b.yaml"), &json!("both"))
    );
    assert_eq!(said["default"], json!({ "from": "allow", "to": "deny" }));
    let [pay] = &said["tools"].as_array().unwrap()[..] else { panic!("{said}") };
    assert_eq!(pay["tool"], "pay");
    let change = &pay["changes"][0];
    assert!(change.get("rule_from").is_some() && change.get("rule_to").is_some(), "{change}");
    // What is shown is what `explain` says of it.
    user.write("call.json", &change["call"].to_string());
    for (file, side) in [("a.yaml", "from"), ("b.yaml", "to")] {
        let explained = user.run(&["policy", "explain", file, "--call", "call.json", "--json"]).with_code(0);
        assert_eq!(explained.lines()[0]["outcome"], change[side], "{change}");
        assert_eq!(explained.lines()[0]["rule"], change[format!("rule_{side}")], "{change}");
    }
    let max = |at: usize, side: &str| said["limits"][at][side]["max"].to_string();
    assert_eq!((max(0, "from"), max(0, "to"), max(1, "to")), ("60".into(), "30".into(), "2500.5".into()));
}

#[test]
fn a_change_that_only_tightens_is_no_failure() {
    let user = User::new();
    user.write("a.yaml", FILES);
    user.write("b.yaml", &FILES.replace("hide: [delete_file]", "hide: [delete_file, pay]"));
    let said = user.run(&["policy", "diff", "a.yaml", "b.yaml", "--fail-on", "loosens"]).with_code(0);
    assert!(said.out.contains("\nverdict: tightens"), "{}", said.out);
    assert!(said.out.contains("  allowed → hidden: {\"id\":9007199254740993}\n"), "{}", said.out);
    let said = user.run(&["policy", "diff", "a.yaml", "a.yaml", "--json"]).with_code(0);
    let [same] = &said.lines()[..] else { panic!() };
    assert_eq!((&same["verdict"], &same["tools"], &same["limits"]), (&json!("same"), &json!([]), &json!([])));
    user.write("bad.yaml", "version: \"2\"\n");
    let said = user.run(&["policy", "diff", "a.yaml", "bad.yaml"]).with_code(2);
    assert!(said.err.contains("bad.yaml:1:1") && said.err.contains("default"), "{}", said.err);
}

const INTERCEPT: &str = r#"version: "1"
tools:
  "*": { rules: [{ name: not too often, rate_limit: 60/minute }] }
  pay:
    rules:
      - { name: budget, spend: { daily: 10 } }
      - { name: cap, condition: [] }
"#;

#[test]
fn what_is_translated_is_a_policy_and_what_is_not_kept_is_told_beside_it() {
    let user = User::new();
    user.write("i.yaml", INTERCEPT);
    let said = user.run(&["policy", "convert", "i.yaml"]).with_code(1);
    insta::assert_snapshot!("what-is-not-kept", said.err);
    user.run(&["policy", "convert", "i.yaml", "--out", "p.yaml"]).with_code(1);
    assert_eq!(user.read("p.yaml"), said.out);
    user.run(&["policy", "check", "p.yaml"]).with_code(0);
    let again = user.run(&["policy", "convert", "i.yaml", "--out", "p.yaml"]).with_code(2);
    assert_eq!(again.err, "error: p.yaml is there already: name another file, or remove it first\n");
    let json = user.run(&["policy", "convert", "i.yaml", "--json"]).with_code(1);
    let [json] = &json.lines()[..] else { panic!() };
    assert_eq!(json["policy"], said.out);
    assert_eq!(
        json["report"][0],
        json!({ "line": 1, "column": 1, "path": "", "what": "no `default`", "kept": true,
                "why": "what is not named is allowed there; here it is written" })
    );
}

#[test]
fn what_is_kept_exactly_is_no_failure_and_what_cannot_be_read_is_one() {
    let user = User::new();
    user.write(
        "i.yaml",
        "version: \"1\"\ndefault: deny\nhide: [b]\ntools: { a: { rules: [{ name: n, action: deny }] } }\n",
    );
    let said = user.run(&["policy", "convert", "i.yaml"]).with_code(0);
    assert_eq!(said.err, "everything is kept as it was\n");
    user.write("ours.yaml", FILES);
    let said = user.run(&["policy", "convert", "ours.yaml"]).with_code(2);
    assert!(said.out.is_empty() && said.err.contains("found one of this language"), "{}", said.err);
    user.run(&["policy", "convert", "nowhere.yaml"]).with_code(2);
}

#[test]
fn warnings_that_say_the_same_are_said_once() {
    let user = User::new();
    let tools: String = (0..9).map(|n| format!("  t{n}: {{}}\n")).collect();
    user.write("p.yaml", &format!("version: \"1\"\ndefault: deny\ntools:\n{tools}  there: {{}}\n"));
    user.write("list.json", r#"{"tools":[{"name":"there","inputSchema":{"type":"object"}}]}"#);
    let said = user.run(&["policy", "check", "p.yaml", "--against", "list.json"]).with_code(0);
    assert!(
        said.err.contains("9 times: expected a tool of the server") && said.err.contains("t8 (line 12)"),
        "{}",
        said.err
    );
    assert!(said.err.lines().count() <= 3, "{}", said.err);
    let said = user.run(&["policy", "check", "p.yaml", "--against", "list.json", "--json"]).with_code(0);
    let all: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(all["warnings"].as_array().unwrap().len(), 9);
}
