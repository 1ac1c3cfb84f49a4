//! The user's page says nothing that does not run.

use std::path::Path;

use portcullis_policy::{Judgement, Policy};
use serde_json::json;

use crate::plain;

fn page(name: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(page).unwrap()
}

/// The first policy behind a heading of a page.
fn policy_under(heading: &str, name: &str) -> Policy {
    let page = page(name);
    let (_, behind) = page.split_once(&format!("# {heading}\n")).unwrap();
    let (_, behind) = behind.split_once("```yaml policy\n").unwrap();
    let (text, _) = behind.split_once("\n```").unwrap();
    Policy::parse("docs.yaml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn every_policy_in_the_documentation_loads() {
    let names = ["policy.md", "approvals.md", "policy-tools.md", "policy-cookbook.md", "first-policy.md"];
    let pages = names.map(page);
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
    let page = page("policy.md");
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

#[test]
fn commands_are_kept_in_a_folder_no_further_than_the_pages_say() {
    let passes = |policy: &Policy, tool, line: serde_json::Value| {
        let arguments = json!({ "command": line }).to_string();
        matches!(policy.judge(&plain(tool, &arguments)), Judgement::Allow(_))
    };
    let recipe = policy_under("Let it run a few commands", "policy-cookbook.md");
    for line in ["cat /etc/shadow", "grep -r key /root/.ssh"] {
        assert!(passes(&recipe, "execute_command", json!(line)), "{line}");
    }
    let names = policy_under("Which files a command may touch", "policy.md");
    for line in ["ls -la", "cat hello.txt", "grep -n key notes-1.txt | wc -l"] {
        assert!(passes(&names, "run", json!(line)), "{line}");
    }
    for line in [
        "cat /etc/shadow",
        "cat /et''c/shadow",
        "cat src/main.rs",
        "grep -r key ..",
        "grep -r key .*",
        "cat .''.",
        "cat ~root",
        "cat $HOME",
        "cat `ls`",
        "cat a; ls\nls",
    ] {
        assert!(!passes(&names, "run", json!(line)), "{line}");
    }
    assert!(!passes(&names, "run", json!(["cat", "/etc/shadow"])));
}

#[test]
fn a_path_that_is_not_absolute_is_denied_with_what_to_do() {
    let policy = policy_under("Keep it in one folder", "policy-cookbook.md");
    for path in ["hello.txt", "./hello.txt"] {
        let arguments = json!({ "path": path }).to_string();
        let Judgement::Deny(denial) = policy.judge(&plain("read_text_file", &arguments)) else {
            panic!("{path}")
        };
        assert!(
            denial.message.contains("it is not an absolute path: begin it with `/`"),
            "{}",
            denial.message
        );
    }
}
