//! `portcullis schema`: what the schemas say and what the readers take is the same.

use crate::User;
use portcullis_document::{Document, Kind, Node};
use serde_json::{Value, json};
use std::path::Path;

fn schema(of: &str) -> Value {
    serde_json::from_str(&User::new().run(&["schema", of]).with_code(0).out).unwrap()
}

fn fits(schema: &Value, document: &Value) -> bool {
    jsonschema::draft202012::options().build(schema).unwrap().is_valid(document)
}

/// Whether the program takes a configuration, and its words on it.
fn read_config(document: &Value) -> (bool, String) {
    let user = User::new();
    user.write("portcullis.json", &document.to_string());
    let said = user.run(&["doctor", "--json"]);
    let line = said.lines().into_iter().find(|line| line["check"] == "configuration").unwrap();
    (line["state"] != "fail", line["found"].as_str().unwrap().to_owned())
}

fn read_policy(document: &Value) -> (bool, String) {
    let user = User::new();
    user.write("policy.json", &document.to_string());
    let said = user.run(&["policy", "check", "policy.json"]);
    (said.code == Some(0), said.err)
}

#[test]
fn the_schemas_are_schemas() {
    for of in ["config", "policy"] {
        assert!(jsonschema::draft202012::meta::is_valid(&schema(of)), "{of}");
    }
}

#[test]
fn a_configuration_with_every_key_fits_and_is_read() {
    let all = json!({
        "listen": "127.0.0.1:0", "data": "d", "store": "sqlite", "hosts": ["gate.example"],
        "upstreams": {
            "a": { "type": "stdio", "command": "sh", "args": ["-c"], "env": { "A": "b" }, "cwd": ".", "disabled": true,
                   "per": "grant", "roots": "client", "timeout": "5m", "autoApprove": [], "alwaysAllow": [],
                   "pins": "ask", "new_tools": "ask", "sandbox": {}, "tools_prefix": "a" },
            "d": { "builtin": "services", "config": "services.yaml" },
            "b": { "url": "https://a.example/mcp", "headers": { "X": "y" }, "forward_headers": ["x-trace"], "forward_meta": ["com.example/tenant"],
                   "roots": ["."] },
            "c": { "httpUrl": "https://a.example/mcp", "type": "sse" },
        },
        "policies": { "p": "p.yaml" },
        "grants": { "ci": { "token": "${env:NOT_SET:-0123456789}", "upstreams": { "*": "p" }, "labels": { "a": "b" },
            "shadow": true } },
        "limits": { "call": "5m", "first_connect": "3s", "message": "16MiB", "sessions_per_grant": 4,
                    "session_idle": "1h", "calls": 9, "tasks_per_grant": 5 },
        "ledger": { "durability": "risky", "values": "redact", "retain": "90d" },
        "watch": false, "approvals": { "wait": "45s", "timeout": "30m", "webhook": { "url": "https://a.example/h",
            "secret": "${env:NOT_SET:-0123456789}" } }, "discovery": {}, "pins": "ask",
    });
    let schema = schema("config");
    assert!(fits(&schema, &all));
    let (taken, said) = read_config(&all);
    assert!(taken, "{said}");
    // Every property of the schema is in the document, so that the reader was asked about each.
    for (at, pointers) in [
        ("/properties", &[""][..]),
        ("/$defs/upstream/properties", &["/upstreams/a", "/upstreams/b", "/upstreams/c", "/upstreams/d"]),
        ("/$defs/grant/properties", &["/grants/ci"]),
        ("/$defs/limits/properties", &["/limits"]),
        ("/$defs/ledger/properties", &["/ledger"]),
        ("/$defs/approvals/properties", &["/approvals"]),
    ] {
        for key in schema.pointer(at).unwrap().as_object().unwrap().keys() {
            let used = pointers.iter().any(|pointer| all.pointer(pointer).unwrap().get(key).is_some());
            assert!(used, "{at}/{key} is in the schema and not in the document of this test");
        }
    }
}

/// The reader lists what it knows when it meets a word that is like none of them.
#[test]
fn every_key_that_the_reader_knows_is_in_the_schema() {
    let schema = schema("config");
    for (at, document) in [
        ("/properties", json!({ "qqqqqqqq": 1 })),
        ("/$defs/upstream/properties", json!({ "upstreams": { "a": { "command": "sh", "qqqqqqqq": 1 } } })),
        ("/$defs/grant/properties", json!({ "grants": { "a": { "qqqqqqqq": 1 } } })),
        ("/$defs/limits/properties", json!({ "limits": { "qqqqqqqq": 1 } })),
        ("/$defs/ledger/properties", json!({ "ledger": { "qqqqqqqq": 1 } })),
        ("/$defs/approvals/properties", json!({ "approvals": { "qqqqqqqq": 1 } })),
    ] {
        let (taken, said) = read_config(&document);
        assert!(!taken && !fits(&schema, &document), "{document}");
        let (_, known) = said.split_once("known here: ").unwrap_or_else(|| panic!("{said}"));
        let known: Vec<&str> = known.split(')').next().unwrap().split(", ").collect();
        let described = schema.pointer(at).unwrap().as_object().unwrap();
        // The reader knows built-in servers in order to refuse them.
        for key in known.into_iter().filter(|key| *key != "builtin") {
            assert!(described.contains_key(key), "{at}: the reader knows `{key}`, the schema does not");
        }
    }
}

#[test]
fn what_the_configuration_reader_refuses_does_not_fit() {
    let schema = schema("config");
    for document in [
        json!([]),
        json!({ "listen": 7420 }),
        json!({ "store": "postgres://x" }),
        json!({ "tls": {} }),
        json!({ "upstreams": { "A": { "command": "x" } } }),
        json!({ "upstreams": { "a": {} } }),
        json!({ "upstreams": { "a": { "command": "x", "url": "https://a.example" } } }),
        json!({ "upstreams": { "a": { "command": "x", "headers": {} } } }),
        json!({ "upstreams": { "a": { "url": "https://a.example", "args": [] } } }),
        json!({ "upstreams": { "a": { "command": "x", "per": "call" } } }),
        json!({ "upstreams": { "a": { "command": "x", "timeout": "5" } } }),
        json!({ "upstreams": { "a": { "command": "x", "headersHelper": "y" } } }),
        json!({ "upstreams": { "a": { "builtin": "ssh" } } }),
        json!({ "grants": { "a": { "token": "clear-text-token", "upstreams": {} } } }),
        json!({ "grants": { "a": { "token": "${env:NOT_SET:-0123456789}" } } }),
        json!({ "limits": { "calls": 0 } }),
        json!({ "limits": { "message": 100 } }),
        json!({ "limits": { "message": 2048.5 } }),
        json!({ "ledger": { "values": "none" } }),
        json!({ "approvals": { "wait": 45 } }),
        json!({ "approvals": { "webhook": "https://a.example" } }),
        json!({ "approvals": { "webhook": { "url": "https://a.example" } } }),
        json!({ "approvals": { "webhook": { "url": "ftp://a.example", "secret": "${env:NOT_SET:-0123456789}" } } }),
        json!({ "approvals": { "webhook": { "url": "https://a.example", "secret": "0123456789" } } }),
    ] {
        assert!(!read_config(&document).0, "the reader takes {document}");
        assert!(!fits(&schema, &document), "the schema takes {document}");
    }
}

#[test]
fn policies_fit_that_are_read_and_only_those() {
    let schema = schema("policy");
    let rule = |rule: Value| json!({ "version": "1", "default": "deny", "tools": { "t": rule } });
    let test =
        |op: &str, value: Value| rule(json!({ "require": [{ "path": "args.a", "op": op, "value": value }] }));
    let test_2 = |op: &str, value: Value| {
        let mut policy = test(op, value);
        policy["version"] = "2".into();
        policy
    };
    let rules_2 = |rules: Value| json!({ "version": "2", "default": "deny", "tools": rules });
    let limit = json!({ "counter": "c", "window": "day", "max": 3, "scope": "grant" });
    let with = |key: &str, value: Value| {
        let mut limit = limit.clone();
        limit[key] = value;
        limit
    };
    let clause = json!({ "conditions": [{ "any": [{ "not": { "path": "args.a", "op": "eq", "value": 1,
        "if_missing": "fail" } }] }], "on_deny": "no" });
    for good in [
        json!({ "version": "1", "default": "allow", "description": "d", "hide": ["*"], "all_tools": { "limits": [limit] } }),
        rule(
            json!({ "description": "d", "deny_if": [clause], "limits": [limit, with("window", json!("hour"))] }),
        ),
        rule(
            json!({ "limits": [{ "counter": "c", "window": "day", "max": 2.5, "scope": "grant", "amount": "args.a",
            "refund": "on_error" }] }),
        ),
        json!({ "version": "1", "default": "allow", "hide": "*" }),
        json!({ "version": "2", "default": "allow", "hide": "*" }),
        test("in", json!([1])),
        test("exists", json!(true)),
        test("lte", json!(1)),
        test("regex", json!("a+")),
        test("contains", json!("a")),
        test("eq", json!({ "op": "glob" })),
        test_2("eq", json!(1)),
        test_2("glob", json!("*.md")),
        test_2("starts_with", json!("a")),
        test_2("length", json!({ "lte": 5, "gt": 1 })),
        test_2("type", json!("string")),
        test_2("type", json!(["string", "integer"])),
        test_2("within", json!("/srv")),
        test_2("host_in", json!(["example.com", "*.example.org"])),
        test_2("in_cidr", json!(["10.0.0.0/8"])),
        test_2("command", json!({ "programs": ["git", "/bin/ls", "[", "g++", "."] })),
        test_2(
            "command",
            json!({ "programs": ["git"], "arguments": { "git": ["log"] }, "flags": { "git": ["-n", "--oneline", "---"] },
                "sequences": false, "pipes": false, "redirections": true, "substitutions": true, "background": true,
                "assignments": true }),
        ),
        test_2("command", json!({ "programs": ["git"], "assignments": ["RUST_LOG", "CI"] })),
        rules_2(json!({ "create_*": {}, "@read": {}, "hub/get": {}, "*/a/b?": {}, "hub/@write": {} })),
        json!({ "version": "2", "default": "allow", "hide": ["@destructive", "admin_*", "*"],
            "all_tools": { "description": "d", "deny_if": [clause], "limits": [limit] } }),
        rules_2(json!({ "t": { "require": [clause] } })),
        rules_2(
            json!({ "t": { "hold_if": [{ "conditions": [], "on_hold": "h", "approvers": ["role=finance"], "timeout": "10m" }] } }),
        ),
        rules_2(
            json!({ "t": { "limits": [{ "concurrent": 2, "scope": "everyone" }, { "identical": 3, "window": "hour" },
            with("scope", json!("session"))] } }),
        ),
        rules_2(
            json!({ "t": { "redact": ["args.a", "result.content[*].text:/a+/"], "redact_result": true, "shadow": true,
            "stop_after": "90s", "extend_on_progress": true, "stop": "process" } }),
        ),
        rules_2(json!({ "t": { "require": [{ "path": "grant.labels.team", "op": "eq", "value": "web" },
            { "path": "time.hour", "op": "lt", "value": 18 }] } })),
        json!({ "version": "2", "default": "deny", "shadow": true, "resources": { "file:///srv/*": {} },
            "prompts": { "p": { "deny_if": [clause] } }, "methods": { "completion/*": { "limits": [limit] } },
            "server_requests": { "sampling": {}, "*": {} } }),
    ] {
        let (taken, said) = read_policy(&good);
        assert!(taken, "{good}: {said}");
        assert!(fits(&schema, &good), "{good}");
    }
    for bad in [
        json!({ "version": "3", "default": "deny" }),
        json!({ "version": "2", "default": "deny", "resources": { "a b": {} } }),
        json!({ "version": "2", "default": "deny", "methods": { "tools/call": {} } }),
        json!({ "version": "2", "default": "deny", "server_requests": { "sampling/createMessage": {} } }),
        json!({ "version": "2", "default": "deny", "server_requests": { "roots": { "hold_if": [{ "conditions": [] }] } } }),
        json!({ "version": "1", "default": "deny", "shadow": true }),
        rules_2(json!({ "t": { "limits": [{ "concurrent": 0, "scope": "grant" }] } })),
        rules_2(json!({ "t": { "limits": [{ "identical": 3 }] } })),
        rules_2(json!({ "t": { "redact": ["token"] } })),
        rules_2(json!({ "t": { "extend_on_progress": true } })),
        rules_2(json!({ "t": { "stop": "kill" } })),
        rule(json!({ "limits": [{ "concurrent": 2, "scope": "grant" }] })),
        rule(json!({ "stop_after": "1m" })),
        rules_2(json!({ "t": { "hold_if": [{ "conditions": [], "approvers": [] }] } })),
        rules_2(json!({ "t": { "hold_if": [{ "conditions": [], "approvers": ["finance"] }] } })),
        rules_2(json!({ "t": { "hold_if": [{ "conditions": [], "timeout": "0s" }] } })),
        rules_2(json!({ "t": { "hold_if": [{ "on_hold": "h" }] } })),
        rule(json!({ "hold_if": [] })),
        rules_2(json!({ "@reads": {} })),
        rules_2(json!({ "hub/": {} })),
        rules_2(json!({ "/get": {} })),
        rules_2(json!({ "a b": {} })),
        rules_2(json!({ "a@read": {} })),
        rules_2(json!({ "t": { "require": [{ "conditions": [] }] } })),
        json!({ "version": "2", "default": "deny", "hide": [""] }),
        json!({ "version": "2", "default": "deny", "hide": "drop_*" }),
        json!({ "version": "2", "default": "deny", "all_tools": { "limits": [with("amount", json!("args.a"))] } }),
        json!({ "version": "1", "default": "deny", "all_tools": { "deny_if": [clause] } }),
        json!({ "version": "1", "default": "deny", "hide": ["@read"] }),
        rule(json!({ "require": [clause] })),
        test_2("within", json!([])),
        test_2("type", json!("text")),
        test_2("length", json!({})),
        test_2("length", json!({ "lte": "5" })),
        test_2("globs", json!("a")),
        test("command", json!({ "programs": ["ls"] })),
        test_2("command", json!(["ls"])),
        test_2("command", json!({})),
        test_2("command", json!({ "programs": [] })),
        test_2("command", json!({ "programs": "ls" })),
        test_2("command", json!({ "programs": ["ls -l"] })),
        test_2("command", json!({ "programs": ["./ls"] })),
        test_2("command", json!({ "programs": ["/bin/"] })),
        test_2("command", json!({ "programs": ["-ls"] })),
        test_2("command", json!({ "programs": ["ls"], "arguments": { "ls": [] } })),
        test_2("command", json!({ "programs": ["ls"], "arguments": { "ls": [""] } })),
        test_2("command", json!({ "programs": ["ls"], "flags": { "ls": ["l"] } })),
        test_2("command", json!({ "programs": ["ls"], "flags": { "ls": ["--"] } })),
        test_2("command", json!({ "programs": ["ls"], "flags": { "ls": ["-"] } })),
        test_2("command", json!({ "programs": ["ls"], "pipes": "yes" })),
        test_2("command", json!({ "programs": ["ls"], "pipe": true })),
        rule(
            json!({ "deny_if": [{ "conditions": [{ "not": { "path": "args.a", "op": "within", "value": "/srv" } }] }] }),
        ),
        json!({ "version": "1" }),
        json!({ "version": "1", "default": "deny", "resources": {} }),
        json!({ "version": "1", "default": "deny", "tools": { "*": {} } }),
        rule(Value::Null),
        rule(json!({ "rules": [] })),
        rule(json!({ "deny_if": [{ "path": "args.a", "op": "eq", "value": 1 }] })),
        rule(json!({ "limits": [with("max", json!(2.5))] })),
        rule(json!({ "limits": [with("scope", json!("session"))] })),
        test("glob", json!("a")),
        test("in", json!([])),
        test("lt", json!("1")),
        test("exists", json!("yes")),
        rule(json!({ "require": [{ "all": [] }] })),
    ] {
        assert!(!read_policy(&bad).0, "the reader takes {bad}");
        assert!(!fits(&schema, &bad), "the schema takes {bad}");
    }
}

/// A file of ours as JSON.
fn as_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Number(digits) => serde_json::from_str(digits).unwrap(),
        Kind::Text(text) => json!(text),
        Kind::List(nodes) => nodes.iter().map(as_json).collect(),
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), as_json(&entry.value))).collect())
        }
    }
}

#[test]
fn the_files_of_a_first_run_and_of_an_import_fit() {
    let first = User::new();
    // The files are made before the address is found to be none.
    first.run(&["up", "--listen", "nonsense"]).with_code(2);
    let imported = User::new();
    imported
        .write(".mcp.json", r#"{ "mcpServers": { "a": { "command": "a", "env": { "A_TOKEN": "t" } } } }"#);
    imported.run(&["import"]).with_code(0);
    for (user, file, of) in [
        (&first, "portcullis.yaml", "config"),
        (&first, "policies/careful.yaml", "policy"),
        (&imported, "portcullis.yaml", "config"),
        (&imported, "policies/a.yaml", "policy"),
    ] {
        let document = Document::read(file, &user.read(file)).unwrap();
        assert!(fits(&schema(of), &as_json(document.root())), "{file}: {}", user.read(file));
    }
}

#[test]
fn published_policies_fit() {
    let schema = schema("policy");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policy/tests/data");
    let mut read = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(fits(&schema, &serde_json::from_str(&text).unwrap()), "{text}");
        read += 1;
    }
    assert!(read >= 4);
}
