//! `op: command`: lines that try to escape, lines that only look like it, and what real shells make of those that hold.

mod hostile;
mod implication;
mod lines;
mod mutations;
mod shells;

use portcullis_document::{Document, Kind, Node};
use portcullis_policy::{Call, Facts, Judgement, Policy, Target};
use serde_json::{Value, json};
use std::path::Path;

/// Lines and lists of words, with what a policy allows.
struct Group {
    allows: Value,
    lines: Vec<Value>,
}

fn groups(file: &str) -> Vec<Group> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command").join(file);
    let document = Document::read(file, &std::fs::read_to_string(path).unwrap()).unwrap();
    let Value::Array(groups) = as_json(document.root()) else { panic!("{file} is no list") };
    let group = |group: Value| Group {
        allows: group["allows"].clone(),
        lines: group["lines"].as_array().unwrap().clone(),
    };
    groups.into_iter().map(group).collect()
}

fn as_json(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => json!(value),
        Kind::Number(digits) => json!(digits),
        Kind::Text(text) => json!(text),
        Kind::List(nodes) => nodes.iter().map(as_json).collect(),
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|entry| (entry.key.clone(), as_json(&entry.value))).collect())
        }
    }
}

/// Two tools: `t` is allowed where the predicate holds, `u` where it does not.
fn policy(allows: &Value) -> Policy {
    let predicate = json!({ "path": "args.a", "op": "command", "value": allows });
    let policy = json!({ "version": "2", "default": "deny", "tools": {
        "t": { "require": [predicate] }, "u": { "require": [{ "not": predicate }] } } });
    Policy::parse("p.json", &policy.to_string()).unwrap_or_else(|problems| panic!("{problems}"))
}

/// True, False, or Unjudged.
fn gives(policy: &Policy, line: &Value) -> char {
    let arguments = json!({ "a": line }).to_string();
    let allowed = |tool| {
        let call = Call::<&str> {
            tool: Target::named(tool),
            arguments: &arguments,
            properties: &[],
            facts: Facts::default(),
        };
        matches!(policy.judge(&call), Judgement::Allow(_))
    };
    match (allowed("t"), allowed("u")) {
        (true, false) => 'T',
        (false, true) => 'F',
        (false, false) => 'U',
        (true, true) => panic!("{line} holds and does not"),
    }
}
