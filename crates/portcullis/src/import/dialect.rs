//! Clients that write a server in their own way: their entries in the shape that most share, and the gate's in theirs.

use super::point::Gate;
use super::registry::WHY_NOT;
use serde_json::{Map, Value, json};

/// The keys that lead to the servers of a client's file.
pub(crate) fn places(client: &str) -> &'static [&'static [&'static str]] {
    match client {
        "opencode" => &[&["mcp"]],
        "Zed" => &[&["context_servers"]],
        "Goose" => &[&["extensions"]],
        "Codex" => &[&["mcp_servers"]],
        // A file that is named may be anybody's.
        _ => &[&["mcpServers"], &["servers"], &["mcp_servers"], &["mcp", "servers"], &["context_servers"]],
    }
}

/// An entry in the shape that most clients share. `root` is the whole file.
pub(crate) fn common(client: &str, root: &Value, name: &str, entry: Value) -> Value {
    let Value::Object(mut entry) = entry else { return entry };
    match client {
        "opencode" => opencode(root, name, &mut entry),
        "Goose" => goose(&mut entry),
        _ => {}
    }
    if let Some(Value::Object(command)) = entry.get("command").cloned() {
        zed_of_old(command, &mut entry);
    }
    if client == "Zed" {
        zed(root, name, &mut entry);
    }
    rename(&mut entry, "serverUrl", "url");
    Value::Object(entry)
}

fn rename(entry: &mut Map<String, Value>, from: &str, to: &str) {
    if !entry.contains_key(to)
        && let Some(value) = entry.remove(from)
    {
        entry.insert(to.into(), value);
    }
}

fn opencode(root: &Value, name: &str, entry: &mut Map<String, Value>) {
    if let Some(Value::Array(words)) = entry.get("command").cloned() {
        let mut words = words.into_iter();
        entry.insert("command".into(), words.next().unwrap_or_default());
        entry.insert("args".into(), words.collect());
    }
    rename(entry, "environment", "env");
    // `local` and `remote` say what `command` and `url` say.
    entry.remove("type");
    if entry.get("oauth") == Some(&Value::Bool(false)) {
        entry.remove("oauth");
    }
    // Tools are switched off for all servers in one map, as `SERVER_TOOL`.
    let clean: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    let tools = root.get("tools").and_then(Value::as_object).into_iter().flatten();
    let off = tools.filter(|(_, on)| **on == Value::Bool(false));
    let mut names = Vec::new();
    for (pattern, _) in off {
        if let Some(tool) = pattern.strip_prefix(&format!("{clean}_")) {
            names.push(json!(tool));
        } else if let Some((before, _)) = pattern.split_once('*')
            && format!("{clean}_").starts_with(before)
        {
            names.push(json!("*"));
        }
    }
    if !names.is_empty() {
        entry.insert("disabledTools".into(), names.into());
    }
}

fn goose(entry: &mut Map<String, Value>) {
    let kind = entry.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    rename(entry, "cmd", "command");
    rename(entry, "envs", "env");
    // Secrets that Goose keeps elsewhere and hands over as variables.
    rename(entry, "env_keys", "env_vars");
    rename(entry, "uri", "url");
    match kind.as_str() {
        "stdio" | "" => {}
        "sse" => drop(entry.insert("type".into(), json!("sse"))),
        "streamable_http" => drop(entry.insert("type".into(), json!("http"))),
        other => drop(entry.insert(WHY_NOT.into(), json!(format!("`{other}` is a part of Goose itself")))),
    }
}

/// `command` was a map with `path`, `args` and `env` once.
fn zed_of_old(command: Map<String, Value>, entry: &mut Map<String, Value>) {
    entry.remove("command");
    for (key, value) in command {
        let key = if key == "path" { "command".to_owned() } else { key };
        entry.insert(key, value);
    }
}

fn zed(root: &Value, name: &str, entry: &mut Map<String, Value>) {
    if !entry.contains_key("command") && !entry.contains_key("url") {
        entry.insert(WHY_NOT.into(), json!("an extension of Zed starts it"));
    }
    // Each profile has its own tools; the one that is chosen counts.
    let agent = root.get("agent");
    let profile =
        agent.and_then(|agent| agent.get("default_profile")).and_then(Value::as_str).unwrap_or("write");
    let tools = agent
        .and_then(|agent| {
            agent.get("profiles")?.get(profile)?.get("context_servers")?.get(name)?.get("tools")
        })
        .and_then(Value::as_object);
    let off: Vec<&String> = tools
        .into_iter()
        .flatten()
        .filter(|(_, on)| **on == Value::Bool(false))
        .map(|(tool, _)| tool)
        .collect();
    if !off.is_empty() {
        entry.insert("disabledTools".into(), json!(off));
    }
}

/// The gate's entry in a client's own shape. A gate that the client starts gets the variables that it needs as the
/// client's own servers do: most clients hand on only what an entry names.
pub(crate) fn gate(client: &str, keys: &[&str], gate: &Gate) -> Value {
    let Gate { program, args, variables, .. } = gate;
    let mut entry = match client {
        "opencode" => {
            let words: Vec<&String> = std::iter::once(program).chain(args).collect();
            json!({ "type": "local", "command": words, "enabled": true })
        }
        _ if keys.last() == Some(&"context_servers") => {
            json!({ "source": "custom", "command": program, "args": args })
        }
        _ if keys.last() == Some(&"servers") => json!({ "type": "stdio", "command": program, "args": args }),
        _ => json!({ "command": program, "args": args }),
    };
    let (key, reference): (_, fn(&str) -> String) = match client {
        "Codex" => ("env_vars", str::to_owned),
        "opencode" => ("environment", |name| format!("{{env:{name}}}")),
        "Cursor" | "VS Code" | "Windsurf" | "Roo" => ("env", |name| format!("${{env:{name}}}")),
        "Claude Code" | "Gemini" | "file" => ("env", |name| format!("${{{name}}}")),
        // The others fill nothing in.
        _ => return entry,
    };
    if let Some(members) = entry.as_object_mut().filter(|_| !variables.is_empty()) {
        let references = variables.iter().map(|name| (name.clone(), json!(reference(name))));
        let handed_on =
            if key == "env_vars" { json!(variables) } else { Value::Object(references.collect()) };
        members.insert(key.into(), handed_on);
    }
    entry
}

/// What to paste into a client's file that is not rewritten.
pub(crate) fn to_paste(client: &str, name: &str, of: &Gate) -> String {
    match client {
        "Goose" => {
            let Gate { program, args, variables, .. } = of;
            let keys = match variables.as_slice() {
                [] => String::new(),
                variables => format!("    env_keys: {}\n", json!(variables)),
            };
            format!(
                "extensions:\n  {name}:\n    enabled: true\n    type: stdio\n    name: {name}\n    cmd: {}\n    args: {}\n{keys}    timeout: 300\n",
                json!(program),
                json!(args)
            )
        }
        _ => {
            let keys = places(client).first().copied().unwrap_or_default();
            format!("{}\n", json!({ name: gate(client, keys, of) }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_s_entry_becomes_a_common_one() {
        let opencode = json!({ "tools": { "my_srv_off": false, "my_srv_on": true, "my_srv_x*": false, "other_y": false } });
        let zed = json!({ "agent": { "default_profile": "ask", "profiles": {
            "ask": { "context_servers": { "s": { "tools": { "off": false, "on": true } } } },
            "write": { "context_servers": { "s": { "tools": { "on": false } } } } } } });
        let none = json!({});
        for (client, root, name, entry, expected) in [
            (
                "opencode",
                &opencode,
                "my_srv",
                json!({ "type": "local", "command": ["npx", "-y", "x"], "environment": { "A": "b" }, "enabled": true }),
                json!({ "command": "npx", "args": ["-y", "x"], "env": { "A": "b" }, "enabled": true, "disabledTools": ["off", "x*"] }),
            ),
            (
                "opencode",
                &none,
                "r",
                json!({ "type": "remote", "url": "https://a/b", "oauth": false }),
                json!({ "url": "https://a/b" }),
            ),
            (
                "Goose",
                &none,
                "g",
                json!({ "type": "stdio", "cmd": "x", "args": ["a"], "envs": { "A": "b" }, "env_keys": ["K"], "available_tools": [] }),
                json!({ "command": "x", "args": ["a"], "env": { "A": "b" }, "env_vars": ["K"], "available_tools": [] }),
            ),
            (
                "Goose",
                &none,
                "g",
                json!({ "type": "streamable_http", "uri": "https://a/b", "headers": {} }),
                json!({ "type": "http", "url": "https://a/b", "headers": {} }),
            ),
            (
                "Zed",
                &zed,
                "s",
                json!({ "source": "custom", "command": { "path": "x", "args": ["a"], "env": { "A": "b" } } }),
                json!({ "source": "custom", "command": "x", "args": ["a"], "env": { "A": "b" }, "disabledTools": ["off"] }),
            ),
            ("Windsurf", &none, "w", json!({ "serverUrl": "https://a/b" }), json!({ "url": "https://a/b" })),
        ] {
            assert_eq!(common(client, root, name, entry), expected, "{client}");
        }
        for (client, entry) in [
            ("Goose", json!({ "type": "builtin", "name": "developer" })),
            ("Zed", json!({ "source": "extension", "settings": {} })),
        ] {
            assert!(common(client, &none, "x", entry)[WHY_NOT].is_string(), "{client}");
        }
    }

    #[test]
    fn the_gate_has_an_entry_in_each_client_s_shape() {
        let of = Gate {
            program: "p".into(),
            args: vec!["stdio".into()],
            grant: "g".into(),
            variables: Vec::new(),
        };
        let with = Gate { variables: vec!["A".into()], ..of.clone() };
        for (client, key, value) in [
            ("Claude Code", "env", json!({ "A": "${A}" })),
            ("Cursor", "env", json!({ "A": "${env:A}" })),
            ("opencode", "environment", json!({ "A": "{env:A}" })),
            ("Codex", "env_vars", json!(["A"])),
            ("Zed", "env", Value::Null),
        ] {
            assert_eq!(gate(client, &["mcpServers"], &with)[key], value, "{client}");
        }
        assert!(to_paste("Goose", "portcullis", &with).contains("    env_keys: [\"A\"]\n"));
        assert_eq!(
            gate("opencode", &["mcp"], &of),
            json!({ "type": "local", "command": ["p", "stdio"], "enabled": true })
        );
        assert_eq!(
            gate("Zed", &["context_servers"], &of),
            json!({ "source": "custom", "command": "p", "args": ["stdio"] })
        );
        assert!(to_paste("Goose", "portcullis", &of).contains("    cmd: \"p\"\n    args: [\"stdio\"]\n"));
    }
}
