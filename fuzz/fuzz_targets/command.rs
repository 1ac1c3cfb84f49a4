//! Any text as a line for a shell: it is judged, and what is said of it agrees.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_policy::{Call, Facts, Judgement, Policy, Target};
use serde_json::json;

/// Two tools: `holds` is allowed where the line holds, `refused` where it does not, and neither where that cannot be told.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let programs = [
        "ls",
        "echo",
        "git",
        "sort",
        "sed",
        "env",
        "sh",
        "xargs",
        "ssh",
        "find",
        "tar",
        "export",
        "printf",
        "uniq",
        "ip",
        "openssl",
        "tee",
        "cd",
        "curl",
        "journalctl",
        "frobnicate",
    ];
    let value = json!({ "programs": programs, "flags": { "git": ["-n", "--stat"] }, "arguments": { "git": ["log"] },
        "sequences": true, "pipes": true, "redirections": true, "substitutions": true, "background": true, "assignments": true });
    let test = json!({ "path": "args.line", "op": "command", "value": value });
    let tools = json!({ "holds": { "require": [test] }, "refused": { "require": [{ "not": test }] } });
    let policy = json!({ "version": "2", "default": "deny", "tools": tools });
    Policy::parse("command.json", &policy.to_string()).expect("is a policy")
});

fuzz_target!(|line: &str| {
    let arguments = json!({ "line": line }).to_string();
    let allowed = |tool| {
        let facts = Facts::default();
        let call = Call::<&str> { tool: Target::named(tool), arguments: &arguments, properties: &[], facts };
        let told = POLICY.explain(&call).to_string();
        (matches!(POLICY.judge(&call), Judgement::Allow(_)), told)
    };
    let ((holds, told), (refused, _)) = (allowed("holds"), allowed("refused"));
    assert!(!(holds && refused), "{told}");
    // A refusal names its reason.
    assert!(!refused || told.contains("false, saw \"") && told.contains(" ("), "{told}");
});
