//! The tools that a policy is held against.

use super::text;
use crate::cli::PlaceArgs;
use crate::control::Client;
use crate::failure::Failure;
use http::Method;
use portcullis_catalogue::{Surroundings, Tool};
use portcullis_policy::{Kind, Target, ToolShape};
use serde_json::{Value, json};
use std::path::Path;

/// The tools of a saved list or of an upstream of the gate.
pub(super) fn of(place: &PlaceArgs, against: &str) -> Result<Vec<Value>, Failure> {
    let value = if Path::new(against).is_file() {
        serde_json::from_str(&text::read(Path::new(against))?)
            .map_err(|error| Failure::usage(format!("{against} is not JSON: {error}")))?
    } else {
        Client::of(place)?.ask(Method::GET, &format!("upstreams/{against}/tools"), &Value::Null)?
    };
    listed(&value).ok_or_else(|| Failure::usage(format!("{against} holds no list of tools (`tools`: […])")))
}

/// The tools in the result of a `tools/list`, in a whole response, or in the bare array.
pub(super) fn listed(value: &Value) -> Option<Vec<Value>> {
    ["/result/tools", "/tools", ""].iter().find_map(|at| value.pointer(at)?.as_array()).cloned()
}

/// What is known of a tool of a server. Where it is not among the server's, that is its name.
pub(super) fn known(server: &str, name: &str, tools: &[Value]) -> Tool {
    let listed = tools.iter().find(|tool| name_of(tool) == Some(name));
    let definition = listed.cloned().unwrap_or_else(|| json!({ "name": name }));
    Tool::read(&definition.to_string(), &Surroundings::of(server, tools.iter().filter_map(name_of)))
}

/// The name of a listed tool.
pub(super) fn name_of(tool: &Value) -> Option<&str> {
    tool.get("name")?.as_str()
}

/// What each of the tools of a server does.
pub(super) fn kinds(server: &str, tools: &[Value]) -> Vec<Tool> {
    let around = Surroundings::of(server, tools.iter().filter_map(name_of));
    tools.iter().map(|tool| Tool::read(&tool.to_string(), &around)).collect()
}

pub(super) fn shapes<'a>(upstream: &'a str, tools: &'a [Value], kinds: &'a [Tool]) -> Vec<ToolShape<'a>> {
    static NONE: Value = Value::Null;
    tools
        .iter()
        .zip(kinds)
        .filter_map(|(tool, kind)| {
            let target =
                Target { kind: Kind::Tool, upstream, name: name_of(tool)?, category: kind.category.as_str() };
            Some(ToolShape { tool: target, input_schema: tool.get("inputSchema").unwrap_or(&NONE) })
        })
        .collect()
}
