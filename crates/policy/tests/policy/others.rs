//! Rules for what is no tool.

use portcullis_policy::{Call, Facts, Judgement, Kind, Mode, Policy, Target};

use crate::read;

fn policy(default: &str) -> Policy {
    read(&format!(
        "version: \"2\"
default: {default}
tools: {{ t: {{}} }}
resources:
  \"file:///srv/*\": {{}}
  \"file:///srv/secret/*\": {{ deny_if: [{{ conditions: [], on_deny: It is secret. }}] }}
  \"db://rows\": {{ require: [{{ path: args.uri, op: ends_with, value: rows }}] }}
prompts:
  summarise: {{ deny_if: [{{ conditions: [{{ path: args.length, op: eq, value: long }}] }}] }}
methods:
  \"completion/*\": {{ limits: [{{ counter: completions, window: minute, max: 5, scope: grant }}] }}
server_requests:
  sampling: {{ require: [{{ path: args.maxTokens, op: lte, value: 1000 }}] }}
"
    ))
}

fn decide(policy: &Policy, kind: Kind, name: &str, arguments: &str) -> String {
    let tool = Target { kind, name, ..Target::default() };
    let call = Call { tool, arguments, properties: &[""; 0], facts: Facts::default() };
    assert_eq!(policy.explain(&call).rule.is_empty(), !matches!(policy.judge(&call), Judgement::Deny(_)));
    match policy.judge(&call) {
        Judgement::Allow(due) => format!("allowed {}", due.iter().count()),
        Judgement::Hold(held) => format!("held by {}", held.rule),
        Judgement::Deny(denial) => format!("{} {}", denial.rule, denial.message),
    }
}

#[test]
fn each_kind_has_rules_of_its_own_and_follows_the_default() {
    use Kind::{Method, Prompt, Resource, ServerRequest, Tool};
    let (denies, allows) = (policy("deny"), policy("allow"));
    for (kind, name, arguments, expected) in [
        (Resource, "file:///srv/a", r#"{"uri":"file:///srv/a"}"#, "allowed 0"),
        (
            Resource,
            "file:///srv/secret/a",
            "{}",
            "/resources/file:~1~1~1srv~1secret~1*/deny_if/0 It is secret.",
        ),
        (
            Resource,
            "file:///etc/passwd",
            "{}",
            "(default deny) The resource file:///etc/passwd is not permitted by policy.",
        ),
        (Resource, "db://rows", r#"{"uri":"db://rows"}"#, "allowed 0"),
        (Prompt, "summarise", r#"{"length":"short"}"#, "allowed 0"),
        (
            Prompt,
            "summarise",
            r#"{"length":"long"}"#,
            "/prompts/summarise/deny_if/0 summarise is denied by /prompts/summarise/deny_if/0.",
        ),
        (Prompt, "t", "{}", "(default deny) The prompt t is not permitted by policy."),
        (Method, "completion/complete", "{}", "allowed 1"),
        (
            Method,
            "logging/setLevel",
            "{}",
            "(default deny) The method logging/setLevel is not permitted by policy.",
        ),
        (ServerRequest, "sampling", r#"{"maxTokens":1000}"#, "allowed 0"),
        (
            ServerRequest,
            "sampling",
            r#"{"maxTokens":1001}"#,
            "/server_requests/sampling/require/0 sampling is denied by /server_requests/sampling/require/0: the call does not meet this requirement.",
        ),
        (
            ServerRequest,
            "elicitation",
            "{}",
            "(default deny) The request of a server elicitation is not permitted by policy.",
        ),
        (Tool, "summarise", "{}", "(default deny) The tool summarise is not permitted by policy."),
        (Tool, "t", "{}", "allowed 0"),
    ] {
        assert_eq!(decide(&denies, kind, name, arguments), expected, "{kind:?} {name} {arguments}");
        let under_allow = if expected.starts_with("(default deny)") { "allowed 0" } else { expected };
        assert_eq!(decide(&allows, kind, name, arguments), under_allow, "{kind:?} {name} {arguments}");
    }
}

#[test]
fn what_may_be_used_at_all_is_told_by_kind() {
    let policy = read("version: \"2\"\ndefault: deny\nprompts: { \"a*\": {} }\n");
    assert!(policy.may(Kind::Prompt) && !policy.may(Kind::Resource) && !policy.may(Kind::Tool));
    let prompt =
        |name| policy.visible(&Target { kind: Kind::Prompt, name, ..Target::default() }, Mode::Enforced);
    assert!(prompt("ab") && !prompt("b"));
}

#[test]
fn a_resource_that_may_be_read_in_two_ways_is_denied_by_the_rules_that_allow_and_by_those_that_deny() {
    let (denies, allows) = (policy("deny"), policy("allow"));
    for name in [
        "file:///srv/../etc/passwd",
        "file:///srv/%2e%2e/etc/passwd",
        "file:///srv/..%2f..%2fetc/passwd",
        "file:///srv/./secret/k",
        "file:///srv//secret/k",
        "file:///srv/x/../secret/k",
        "file:///srv/%73ecret/k",
        "file:///srv/secret./k",
        "file://localhost/srv/secret/k",
        "File:///srv/secret/k",
    ] {
        for policy in [&denies, &allows] {
            let said = decide(policy, Kind::Resource, name, "{}");
            assert!(said.starts_with("(unclear address) The resource "), "{name}: {said}");
            let target = Target { kind: Kind::Resource, name, ..Target::default() };
            assert!(!policy.visible(&target, Mode::Enforced), "{name}");
        }
    }
    for name in ["file:///srv/with%20blank", "file:///srv/v1..v2.diff", "file:///srv/\u{fc}"] {
        assert_eq!(decide(&denies, Kind::Resource, name, "{}"), "allowed 0", "{name}");
    }
    // Where no rule is about resources, the default alone decides.
    let default = read("version: \"2\"\ndefault: allow\ntools: {}\n");
    assert_eq!(decide(&default, Kind::Resource, "file:///srv/../x", "{}"), "allowed 0");
    // Where a rule names it whole, it is that one.
    let whole = read("version: \"2\"\ndefault: deny\nresources: { \"note://a//b\": {} }\n");
    assert_eq!(decide(&whole, Kind::Resource, "note://a//b", "{}"), "allowed 0");
    // Signs outside of ASCII are the same as their escapes, in rules too.
    let escapes = read(
        "version: \"2\"\ndefault: allow\nresources: { \"file:///\u{fc}-b/*\": { deny_if: [{ conditions: [] }] } }\n",
    );
    for name in ["file:///\u{fc}-b/x", "file:///%C3%BC-b/x", "file:///%c3%bc-b/x"] {
        assert!(decide(&escapes, Kind::Resource, name, "{}").contains("deny_if"), "{name}");
    }
}
