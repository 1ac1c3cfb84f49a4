//! What `explain` shows.

use portcullis_policy::{Call, Facts, Policy, Target};
use serde_json::{Value, json};

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

/// The page's own example: what it denies, and why.
#[test]
fn what_of_a_command_is_not_allowed_is_said() {
    let value = json!({ "programs": ["git", "ls", "grep", "df", "sed", "sudo", "sh", "python"],
        "arguments": { "git": ["status", "log", "diff"] }, "flags": { "git": ["--oneline", "--stat", "-n"] } });
    let policy = json!({ "version": "2", "default": "deny", "tools": { "t": {
        "require": [{ "path": "args.lines[*]", "op": "command", "value": value }] } } });
    let policy = Policy::parse("p.json", &policy.to_string()).unwrap();
    let said = |lines: Value| {
        let arguments = json!({ "lines": lines }).to_string();
        let (tool, facts) = (Target::named("t"), Facts::default());
        let said = policy.explain(&Call { tool, arguments: &arguments, properties: &[""; 0], facts });
        let mut rules = said.tree.into_iter().filter(|branch| branch.what == "require");
        let test = rules.next().unwrap().parts.remove(0);
        (test.gave, test.why)
    };
    for (line, why) in [
        ("git push", "`push` is not among its arguments of `git`"),
        ("git", "`git` has no argument, and `arguments` says which it must have"),
        ("git log -p", "`-p` is not among its flags of `git`"),
        ("git log $X", "what the words of `git` stand for cannot be told"),
        ("ls $(df)", "it has a command inside of a word (`substitutions`)"),
        ("ls & df", "it goes on in the background (`background`)"),
        ("ls > x", "it has a redirection (`redirections`)"),
        ("A=b ls", "it sets a variable (`assignments`)"),
        ("/tmp/ls", "`/tmp/ls` is not among its programs"),
        ("$X", "which program it starts cannot be told"),
        ("ls && rm x", "`rm` is not among its programs"),
        ("sudo sh -c 'ls; rm x'", "`rm` is not among its programs"),
        ("sudo -s", "what `sudo` starts cannot be told"),
        ("if ls; then df; fi", "it has a loop, a condition or a function, which never hold"),
        ("sed -i s/a/b/ x", "`sed` holds with one plain command and harmless options alone"),
        ("python x.py", "`python` runs what its first word names, and no `arguments` say what that may be"),
    ] {
        assert_eq!(said(json!(["ls", line])), ("false".into(), Some(why.into())), "{line}");
    }
    assert_eq!(said(json!(["ls"])), ("true".into(), None));
    assert_eq!(said(json!(["ls '"])).0, "unjudged");
}

#[test]
fn a_reason_that_no_author_wrote_names_its_rule_once() {
    let policy = read(
        "version: \"2\"\ndefault: deny\ntools:\n  pay:\n    deny_if: [{ conditions: [{ path: args.a, op: gt, value: 9 }] }]\n    hold_if: [{ conditions: [] }]\n",
    );
    for (arguments, first) in [
        ("{\"a\":10}", "denied by /tools/pay/deny_if/0"),
        (
            "{\"a\":\"x\"}",
            "denied by /tools/pay/deny_if/0: args.a cannot be judged: expected a number, found a string.",
        ),
        ("{\"a\":1}", "held for a person by /tools/pay/hold_if/0"),
    ] {
        let tool = Target::named("pay");
        let call = Call { tool, arguments, properties: &["a"], facts: Facts::default() };
        assert_eq!(policy.explain(&call).to_string().lines().next(), Some(first));
    }
    let held = policy.explain(&Call {
        tool: Target::named("pay"),
        arguments: "{\"a\":1}",
        properties: &["a"],
        facts: Facts::default(),
    });
    // The gate says behind it who is waited for.
    assert_eq!(held.message, "pay is held by /tools/pay/hold_if/0.");
}
