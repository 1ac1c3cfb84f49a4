//! The user's page says nothing that does not run.

use std::path::Path;

use portcullis_policy::Policy;

#[test]
fn every_policy_in_the_documentation_loads() {
    let page = |name| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    let names = ["policy.md", "approvals.md", "policy-tools.md", "policy-cookbook.md", "first-policy.md"];
    let pages = names.map(|name| std::fs::read_to_string(page(name)).unwrap());
    let page = pages.join("\n");
    let mut loaded = 0;
    for block in page.split("\n```").skip(1).step_by(2) {
        let (info, text) = block.split_once('\n').unwrap();
        let Some((format, "policy")) = info.split_once(' ') else { continue };
        let policy = Policy::parse(&format!("docs.{format}"), text)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert!(policy.warnings().is_empty(), "{text}");
        loaded += 1;
    }
    assert!(loaded >= 8, "{loaded} policies found");
}

#[test]
fn every_word_of_the_language_is_in_the_documentation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let page = std::fs::read_to_string(page).unwrap();
    for word in [
        "version",
        "default",
        "hide",
        "all_tools",
        "tools",
        "description",
        "require",
        "deny_if",
        "limits",
        "conditions",
        "on_deny",
        "hold_if",
        "on_hold",
        "approvers",
        "timeout",
        "path",
        "op",
        "value",
        "if_missing",
        "all",
        "any",
        "not",
        "counter",
        "window",
        "max",
        "scope",
        "amount",
        "refund",
        "eq",
        "neq",
        "in",
        "not_in",
        "lt",
        "lte",
        "gt",
        "gte",
        "regex",
        "contains",
        "exists",
        "glob",
        "starts_with",
        "ends_with",
        "length",
        "type",
        "within",
        "host_in",
        "in_cidr",
        "resources",
        "prompts",
        "methods",
        "server_requests",
        "shadow",
        "redact",
        "stop_after",
        "stop",
        "call.upstream",
        "call.tool",
        "call.category",
        "call.risk",
        "grant.name",
        "grant.calls",
        "client.name",
        "time.hour",
        "time.weekday",
        "command",
        "programs",
        "arguments",
        "flags",
        "sequences",
        "pipes",
        "redirections",
        "substitutions",
        "background",
        "assignments",
    ] {
        assert!(page.contains(&format!("`{word}`")), "{word}");
    }
}
