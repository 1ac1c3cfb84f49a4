//! The tools of the echo server, which are also the selectors of the gate's policy.

use std::fmt::Write;

/// How many tools the echo server lists, and how many rules the gate's policy has.
pub const COUNT: usize = 100;

/// The tool that the load generator calls.
pub const CALLED: &str = "echo";

/// The names: `echo`, then `tool_1` to `tool_99`.
pub fn names() -> impl Iterator<Item = String> {
    std::iter::once(CALLED.to_owned()).chain((1..COUNT).map(|n| format!("tool_{n}")))
}

/// Whether the echo server has this tool.
pub fn known(name: &str) -> bool {
    name == CALLED
        || name
            .strip_prefix("tool_")
            .and_then(|n| n.parse::<usize>().ok())
            .is_some_and(|n| (1..COUNT).contains(&n))
}

/// The `tools` array of `tools/list`, as JSON.
pub fn list() -> String {
    let mut json = String::from("[");
    for (n, name) in names().enumerate() {
        if n > 0 {
            json.push(',');
        }
        // Writing to a String cannot fail.
        let _ = write!(
            json,
            r#"{{"name":"{name}","description":"Answers with the message it was given.","inputSchema":{{"type":"object","properties":{{"message":{{"type":"string","description":"What to answer with."}}}},"required":["message"]}},"annotations":{{"readOnlyHint":true}}}}"#
        );
    }
    json.push(']');
    json
}
