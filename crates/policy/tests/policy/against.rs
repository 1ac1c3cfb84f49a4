//! A policy against a server's tools.

use portcullis_document::Colours;
use portcullis_policy::{Target, ToolShape};
use serde_json::json;

use crate::read;

#[test]
fn paths_and_tools_that_the_server_does_not_have_are_told_with_the_nearest_name() {
    let policy = read(
        "version: \"1\"
default: deny
hide: [drop_tabel]
tools:
  create_refund:
    deny_if:
      - conditions: [{ path: args.amonut, op: gt, value: 100 }]
      - conditions: [{ path: 'args.items[*].price', op: gt, value: 100 }]
    limits:
      - { counter: c, window: day, max: 5, scope: grant, amount: args.sum.total }
  create_refnd: {}
  elsewhere: {}
",
    );
    let schema = json!({
        "type": "object",
        "properties": {
            "amount": { "type": "number" },
            "items": { "type": "array", "items": { "$ref": "#/$defs/item" } },
            "sum": { "type": "number" }
        },
        "$defs": { "item": { "type": "object", "properties": { "prize": { "type": "number" } } } }
    });
    let empty = json!({ "type": "object" });
    let tools = [
        ToolShape { tool: Target::named("create_refund"), input_schema: &schema },
        ToolShape { tool: Target::named("drop_table"), input_schema: &empty },
    ];
    insta::assert_snapshot!(policy.check_against(&tools).render(100, Colours::Never));
}

#[test]
fn paths_that_the_schema_has_or_leaves_open_are_no_problem() {
    let policy = read(
        "version: \"1\"
default: deny
tools:
  t:
    require:
      - { path: args.a.deep.deeper, op: exists, value: true }
      - { path: 'args.list[0].x', op: exists, value: true }
      - { path: 'args.either', op: exists, value: true }
      - { path: 'args.self.self.self.name', op: exists, value: true }
      - { path: args.free.anything, op: exists, value: true }",
    );
    let schema = json!({
        "type": "object",
        "properties": {
            "a": { "type": "object" },
            "list": { "type": ["array", "null"], "prefixItems": [{ "properties": { "x": {} } }] },
            "self": { "$ref": "#/$defs/node" },
            "free": { "type": "object", "properties": {}, "additionalProperties": { "type": "string" } }
        },
        "anyOf": [{ "properties": { "either": {} } }, { "$ref": "#" }],
        "$defs": { "node": { "properties": { "self": { "$ref": "#/$defs/node" }, "name": {} } } }
    });
    let problems = policy.check_against(&[ToolShape { tool: Target::named("t"), input_schema: &schema }]);
    assert!(problems.is_empty(), "{problems}");
}

#[test]
fn under_default_allow_a_rule_for_no_tool_is_an_error_since_it_guards_nothing() {
    let text = "version: \"1\"\ndefault: deny\ntools: { elsewhere: {} }";
    assert!(!read(text).check_against(&[]).has_errors());
    assert!(read(&text.replace("default: deny", "default: allow")).check_against(&[]).has_errors());
}
