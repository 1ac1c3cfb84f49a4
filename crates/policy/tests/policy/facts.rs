//! What surrounds a call.

use portcullis_policy::{Call, Calls, Facts, Judgement, Kind, Target};
use std::collections::BTreeMap;

use crate::{decide, read};

struct Three;

impl Calls for Three {
    fn of(&self, tool: &str) -> u64 {
        if tool == "read_mail" { 3 } else { 0 }
    }
}

/// Whether a call of `mail/send` passes under one requirement: on a Monday at 14:05, for the grant `ci` of the team `web`.
fn passes(require: &str) -> bool {
    let policy =
        read(&format!("version: \"2\"\ndefault: deny\ntools:\n  send:\n    require: [{{ {require} }}]\n"));
    let labels = BTreeMap::from([("team".to_owned(), "web".to_owned())]);
    let facts = Facts {
        risk: "Medium",
        grant: "ci",
        labels: Some(&labels),
        client: "claude \"code\"",
        unix_ms: Some(1_795_996_800_000 + (14 * 60 + 5) * 60_000),
        calls: Some(&Three),
        grant_calls: Some(&Three),
        ..Facts::default()
    };
    let tool = Target { kind: Kind::Tool, upstream: "mail", name: "send", category: "Write" };
    let call = Call { tool, arguments: "{}", properties: &[""; 0], facts };
    let explained = policy.explain(&call);
    let allowed = matches!(policy.judge(&call), Judgement::Allow(_));
    assert_eq!(explained.rule.is_empty(), allowed);
    allowed
}

#[test]
fn every_fact_is_what_surrounds_the_call() {
    for (require, expected) in [
        ("path: call.upstream, op: eq, value: mail", true),
        ("path: call.upstream, op: glob, value: \"m*\"", true),
        ("path: call.tool, op: ends_with, value: end", true),
        ("path: call.tool, op: neq, value: send", false),
        ("path: call.category, op: in, value: [read, write]", true),
        ("path: call.category, op: eq, value: financial", false),
        ("path: call.risk, op: not_in, value: [high, critical]", true),
        ("path: call.risk, op: eq, value: medium", true),
        ("path: grant.name, op: regex, value: \"^ci$\"", true),
        ("path: grant.labels.team, op: eq, value: web", true),
        ("path: grant.labels.team, op: contains, value: eb", true),
        // A label that the grant has not is missing, and what is missing does not meet a requirement.
        ("path: grant.labels.role, op: neq, value: chief", false),
        ("path: grant.labels.role, op: exists, value: false", true),
        ("path: grant.labels.role, op: eq, value: chief, if_missing: match", true),
        ("path: client.name, op: eq, value: 'claude \"code\"'", true),
        ("path: time.hour, op: gte, value: 14", true),
        ("path: time.hour, op: lt, value: 14", false),
        ("path: time.hour, op: in, value: [13, 14]", true),
        ("path: time.weekday, op: not_in, value: [saturday, sunday]", true),
        ("path: time.weekday, op: eq, value: monday", true),
        ("path: session.calls.read_mail, op: eq, value: 3", true),
        ("path: session.calls.other, op: eq, value: 0", true),
        ("path: grant.calls.read_mail, op: gte, value: 3", true),
        ("path: 'grant.calls[\"mail/other\"]', op: eq, value: 0", true),
        ("not: { path: session.calls.read_mail, op: gt, value: 2 }", false),
        ("any: [{ path: time.hour, op: lt, value: 6 }, { path: grant.name, op: eq, value: ci }]", true),
    ] {
        assert_eq!(passes(require), expected, "{require}");
    }
}

#[test]
fn a_fact_that_is_not_known_is_missing() {
    let policy = read(
        "version: \"2\"
default: deny
tools:
  t:
    deny_if: [{ conditions: [{ path: grant.name, op: eq, value: me }] }]
    require: [{ path: time.hour, op: gte, value: 0 }]
    hold_if: [{ conditions: [{ path: session.calls.t, op: gt, value: 0 }] }]",
    );
    assert_eq!(decide(&policy, "{}"), "/tools/t/require/0");
}

#[test]
fn facts_are_judged_beside_arguments_that_cannot_be() {
    let policy = read(
        "version: \"2\"\ndefault: deny\ntools:\n  t:\n    deny_if: [{ conditions: [{ path: call.tool, op: eq, value: other }, { path: args.a, op: eq, value: 1 }] }]\n",
    );
    // The clause is false whatever the argument is.
    assert_eq!(decide(&policy, "{\"a\":\"1\"}"), "allowed");
    assert!(!policy.asks_for_session_calls() && !policy.asks_for_grant_calls());
}
