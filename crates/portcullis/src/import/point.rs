//! Making a client's file name the gate instead of the servers behind it. Only the entries that were imported go, and
//! the new text is read again and compared before it may take the old one's place.

use super::client::{ClientFile, is_toml, is_yaml, value};
use super::dialect;
use super::json_text::{at, members, span, without_comments};
use portcullis_document::Document;
use portcullis_wire::{Splice, insert_member};
use serde_json::{Value, json};
use std::path::PathBuf;

/// The gate's own name in a client's file.
pub(crate) const NAME: &str = "portcullis";

/// An entry to be taken out: the keys that lead to its map, and its name.
pub(crate) type Gone = (Vec<String>, String);

/// How a client starts its side of the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// The grant that they name.
    pub grant: String,
    /// Variables that a gate needs which it starts.
    pub variables: Vec<String>,
}

/// A file that is to name the gate.
#[derive(Debug)]
pub(crate) struct Pointed {
    /// It itself: where a client's file is a link, what that leads to.
    pub file: PathBuf,
    /// What it is to have.
    pub text: String,
}

/// What a client's file has to be to name the gate. Nothing is written.
///
/// # Errors
/// Why it has to stay as it is.
pub(crate) fn point(client: &ClientFile, gone: &[Gone], gate: &Gate) -> Result<Pointed, String> {
    let said = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    // The link stays a link, and the file that it names changes.
    let file = client.path.canonicalize().map_err(said("it cannot be found"))?;
    let text = std::fs::read_to_string(&file).map_err(said("it cannot be read"))?;
    let text = match () {
        () if is_toml(&file) => rewrite_toml(&text, gone, gate)?,
        () if is_yaml(&file).is_some() => {
            let entry = dialect::to_paste(client.client, NAME, gate);
            return Err(format!(
                "YAML is better edited by hand: take these servers out, and put this in\n{entry}"
            ));
        }
        () => rewrite_json(client.client, &text, gone, gate)?,
    };
    Ok(Pointed { file, text })
}

/// What is said of a file that is not changed.
fn by_hand(client: &str, gate: &Gate) -> String {
    let entry = dialect::to_paste(client, NAME, gate);
    format!("it has a shape that is better edited by hand: put {} in place of the servers", entry.trim_end())
}

/// The name for the gate's entry where that name is not there yet. One that is there may lead to another gate, or to
/// another grant.
fn free_name(is_taken: &dyn Fn(&str) -> bool, gate: &Gate) -> String {
    if is_taken(NAME) { format!("{NAME}-{}", gate.grant) } else { NAME.to_owned() }
}

/// Whether two entries start the same; the variables that they hand on may differ.
fn starts_the_same(one: &Value, other: &Value) -> bool {
    ["command", "args"].iter().all(|key| one.get(*key) == other.get(*key))
}

fn rewrite_json(client: &str, text: &str, gone: &[Gone], gate: &Gate) -> Result<String, String> {
    let by_hand = || by_hand(client, gate);
    let plain = without_comments(text);
    let mut before: Value =
        serde_json::from_str(&plain).map_err(|error| format!("expected JSON, found a mistake: {error}"))?;
    let mut containers: Vec<&Vec<String>> = gone.iter().map(|(under, _)| under).collect();
    containers.dedup();
    // One entry for all: projects of Claude Code see what belongs to the user.
    let home = containers.iter().find(|under| under.first().is_none_or(|key| key != "projects")).copied();
    let mut splice = Splice::new(text.as_bytes());
    for under in &containers {
        let keys: Vec<&str> = under.iter().map(String::as_str).collect();
        let object = at(&plain, &keys).ok_or_else(by_hand)?;
        let mut entries = Vec::new();
        for (name, raw) in members(object).ok_or_else(by_hand)? {
            if !gone.iter().any(|(of, which)| of == *under && *which == name) {
                entries.push((name, text.get(span(&plain, raw)).unwrap_or(raw).to_owned()));
            }
        }
        let entry = dialect::gate(client, &keys, gate);
        let is_it = |raw: &str| {
            serde_json::from_str(&without_comments(raw)).is_ok_and(|there| starts_the_same(&there, &entry))
        };
        if let Some((_, raw)) = entries.iter_mut().find(|(_, raw)| is_it(raw)) {
            *raw = entry.to_string();
        } else if home == Some(*under) {
            let name = free_name(&|name| entries.iter().any(|(there, _)| there == name), gate);
            entries.push((name, entry.to_string()));
        }
        let place = span(&plain, object);
        splice.replace(place.clone(), laid_out(text, place.start, &entries));
        change(&mut before, &keys, &entries, &plain)?;
    }
    if home.is_none() && at(&plain, &["mcpServers", NAME]).is_none() {
        let entry = dialect::gate(client, &["mcpServers"], gate);
        match at(&plain, &["mcpServers"]) {
            Some(object) => insert_member(&mut splice, &span(&plain, object), NAME, &entry.to_string()),
            None => {
                let root = plain.find('{').ok_or_else(by_hand)?..plain.len();
                insert_member(&mut splice, &root, "mcpServers", &json!({ NAME: entry }).to_string());
            }
        }
        if let Some(root) = before.as_object_mut() {
            let servers = root.entry("mcpServers").or_insert_with(|| json!({}));
            servers.as_object_mut().ok_or_else(by_hand)?.insert(NAME.into(), entry);
        }
    }
    let new = String::from_utf8(splice.finish().to_vec()).map_err(|_| by_hand())?;
    let after: Option<Value> = serde_json::from_str(&without_comments(&new)).ok();
    if after.as_ref() == Some(&before) { Ok(new) } else { Err(by_hand()) }
}

/// Makes the same change to the parsed file, to compare with.
fn change(
    before: &mut Value,
    keys: &[&str],
    entries: &[(String, String)],
    plain: &str,
) -> Result<(), String> {
    let wrong = || format!("{} cannot be found in {} bytes of JSON", keys.join("."), plain.len());
    let place = keys.iter().try_fold(before, |value, key| value.get_mut(*key)).ok_or_else(wrong)?;
    let mut map = serde_json::Map::new();
    for (name, raw) in entries {
        map.insert(name.clone(), serde_json::from_str(&without_comments(raw)).map_err(|_| wrong())?);
    }
    *place = Value::Object(map);
    Ok(())
}

/// A map, one entry a line, under the indentation of the line that it begins in.
fn laid_out(text: &str, start: usize, entries: &[(String, String)]) -> String {
    if entries.is_empty() {
        return "{}".into();
    }
    let line = text.get(..start).and_then(|before| before.rsplit('\n').next()).unwrap_or_default();
    let indent: String = line.chars().take_while(|c| matches!(c, ' ' | '\t')).collect();
    let step = if indent.starts_with('\t') { "\t" } else { "  " };
    let lines: Vec<String> = entries
        .iter()
        .map(|(name, raw)| format!("{indent}{step}{}: {raw}", Value::from(name.as_str())))
        .collect();
    format!("{{\n{}\n{indent}}}", lines.join(",\n"))
}

fn rewrite_toml(text: &str, gone: &[Gone], gate: &Gate) -> Result<String, String> {
    let by_hand = || by_hand("Codex", gate);
    let read = |text: &str| Document::read("client.toml", text).ok().map(|document| value(document.root()));
    let mut expected = read(text).ok_or("expected TOML, found mistakes in it")?;
    let servers = expected.get_mut("mcp_servers").and_then(Value::as_object_mut).ok_or_else(by_hand)?;
    gone.iter().for_each(|(_, name)| drop(servers.remove(name)));
    let entry = dialect::gate("Codex", &["mcp_servers"], gate);
    let there =
        servers.iter().find(|(_, there)| starts_the_same(there, &entry)).map(|(name, _)| name.clone());
    let is_new = there.as_ref().and_then(|name| servers.get(name)) != Some(&entry);
    let name = there.clone().unwrap_or_else(|| free_name(&|name| servers.contains_key(name), gate));
    // One that hands other variables on is written anew.
    let again = there.as_deref().filter(|_| is_new);
    let leaves: Vec<&str> = gone.iter().map(|(_, name)| name.as_str()).chain(again).collect();
    servers.insert(name.clone(), entry.clone());
    let mut out = String::new();
    // Lines of a section that goes; comments at its end may belong to what follows and stay.
    let mut pending = String::new();
    let mut going = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            out.push_str(&pending);
            pending.clear();
            going = leaves.iter().any(|name| is_header_of(bare, name));
        }
        if !going {
            out.push_str(line);
        } else if bare.is_empty() || bare.starts_with('#') {
            pending.push_str(line);
        } else {
            pending.clear();
        }
    }
    out.push_str(&pending);
    if is_new {
        let gap = if out.is_empty() || out.ends_with('\n') { "" } else { "\n" };
        let variables = entry.get("env_vars").map(|names| format!("env_vars = {names}\n"));
        out.push_str(&format!(
            "{gap}\n[mcp_servers.{name}]\ncommand = {}\nargs = {}\n{}",
            Value::from(gate.program.as_str()),
            json!(gate.args),
            variables.unwrap_or_default()
        ));
    }
    if read(&out).as_ref() == Some(&expected) { Ok(out) } else { Err(by_hand()) }
}

/// Whether a line begins the table of this server or one inside it. A line that only looks like one, such as in a
/// text of many lines, is found out by the comparison at the end.
fn is_header_of(line: &str, name: &str) -> bool {
    let Some(path) = line.trim_start_matches('[').trim_start().strip_prefix("mcp_servers") else {
        return false;
    };
    let Some(path) = path.trim_start().strip_prefix('.') else { return false };
    let path = path.trim_start();
    let spelled = [name.to_owned(), format!("\"{name}\""), format!("'{name}'")];
    let ends = |rest: &str| rest.trim_start().starts_with(['.', ']']);
    spelled.iter().any(|name| path.strip_prefix(name.as_str()).is_some_and(ends))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        Gate {
            program: "/bin/portcullis".into(),
            args: vec!["stdio".into()],
            grant: "cursor".into(),
            variables: Vec::new(),
        }
    }

    fn gone(under: &[&str], names: &[&str]) -> Vec<Gone> {
        let under: Vec<String> = under.iter().map(|key| (*key).to_owned()).collect();
        names.iter().map(|name| (under.clone(), (*name).to_owned())).collect()
    }

    #[test]
    fn only_the_imported_entries_of_a_json_file_change() {
        let text = "{\n  \"z\": 1.0, // mine\n  \"mcpServers\": {\n    \"a\": { \"command\": \"a\" },\n    \"kept\": { \"url\":  \"x\" }, },\n  \"b\": [ 1,2 ]\n}\n";
        let new = rewrite_json("Cursor", text, &gone(&["mcpServers"], &["a"]), &gate()).unwrap();
        assert_eq!(
            new,
            "{\n  \"z\": 1.0, // mine\n  \"mcpServers\": {\n    \"kept\": { \"url\":  \"x\" },\n    \"portcullis\": {\"args\":[\"stdio\"],\"command\":\"/bin/portcullis\"}\n  },\n  \"b\": [ 1,2 ]\n}\n"
        );
    }

    #[test]
    fn what_belongs_to_projects_moves_to_one_entry_for_all() {
        let text = r#"{"projects":{"/p":{"mcpServers":{"a":{"command":"a"}},"n":1}}}"#;
        let new =
            rewrite_json("Cursor", text, &gone(&["projects", "/p", "mcpServers"], &["a"]), &gate()).unwrap();
        let new: Value = serde_json::from_str(&new).unwrap();
        assert_eq!(new["projects"]["/p"], json!({ "mcpServers": {}, "n": 1 }));
        assert_eq!(new["mcpServers"]["portcullis"]["command"], "/bin/portcullis");
    }

    #[test]
    fn tables_of_a_toml_file_go_and_comments_stay() {
        let text = "model = \"x\" # mine\n\n[mcp_servers.a]\ncommand = \"a\"\n\n[mcp_servers.a.env]\nT = \"1\"\n\n# about b\n[mcp_servers.b]\ncommand = \"b\"\n[tui]\nx = 1";
        let new = rewrite_toml(text, &gone(&["mcp_servers"], &["a"]), &gate()).unwrap();
        assert_eq!(
            new,
            "model = \"x\" # mine\n\n\n\n# about b\n[mcp_servers.b]\ncommand = \"b\"\n[tui]\nx = 1\n\n[mcp_servers.portcullis]\ncommand = \"/bin/portcullis\"\nargs = [\"stdio\"]\n"
        );
    }

    #[test]
    fn an_entry_that_is_there_gets_the_variables_that_it_lacks() {
        let more = Gate { variables: vec!["A".into()], ..gate() };
        let toml = "[mcp_servers.a]\ncommand = \"a\"\n";
        let toml = rewrite_toml(toml, &gone(&["mcp_servers"], &["a"]), &gate()).unwrap();
        let toml = format!("{toml}[mcp_servers.b]\ncommand = \"b\"\n");
        let with = rewrite_toml(&toml, &gone(&["mcp_servers"], &["b"]), &more).unwrap();
        assert!(with.contains("env_vars = [\"A\"]\n"), "{with}");
        assert_eq!(with.matches("[mcp_servers.portcullis]").count(), 1, "{with}");
        let json = r#"{"mcpServers":{"a":{"command":"a"},"portcullis":{"command":"/bin/portcullis","args":["stdio"]}}}"#;
        let with = rewrite_json("Cursor", json, &gone(&["mcpServers"], &["a"]), &more).unwrap();
        let with: Value = serde_json::from_str(&with).unwrap();
        let entry = json!({ "command": "/bin/portcullis", "args": ["stdio"], "env": { "A": "${env:A}" } });
        assert_eq!(with["mcpServers"], json!({ "portcullis": entry }));
    }

    #[test]
    fn a_toml_file_that_would_lose_something_is_left_alone() {
        for text in [
            "mcp_servers = { a = { command = \"a\" } }\n",
            "[mcp_servers.a]\ncommand = \"\"\"\n[mcp_servers.b]\n\"\"\"\nx = 1\n[mcp_servers.b]\ncommand = \"\"\"\n[mcp_servers.a]\n\"\"\"",
        ] {
            let said = rewrite_toml(text, &gone(&["mcp_servers"], &["a"]), &gate()).unwrap_err();
            assert!(said.contains("by hand"), "{said}");
        }
    }

    #[test]
    fn each_client_names_the_gate_in_its_own_shape() {
        for (client, text, under, names, expected) in [
            (
                "opencode",
                "{ // own\n  \"mcp\": {\n    \"a\": { \"type\": \"local\", \"command\": [\"a\"] },\n  },\n}\n",
                "mcp",
                ["a"],
                "{ // own\n  \"mcp\": {\n    \"portcullis\": {\"command\":[\"/bin/portcullis\",\"stdio\"],\"enabled\":true,\"type\":\"local\"}\n  },\n}\n",
            ),
            (
                "Zed",
                "{\n  // mine\n  \"context_servers\": { \"a\": { \"command\": \"a\" }, \"portcullis\": { \"url\": \"x\" } }\n}\n",
                "context_servers",
                ["a"],
                "{\n  // mine\n  \"context_servers\": {\n    \"portcullis\": { \"url\": \"x\" },\n    \"portcullis-cursor\": {\"args\":[\"stdio\"],\"command\":\"/bin/portcullis\",\"source\":\"custom\"}\n  }\n}\n",
            ),
        ] {
            let new = rewrite_json(client, text, &gone(&[under], &names), &gate()).unwrap();
            assert_eq!(new, expected);
        }
    }

    #[test]
    fn a_file_in_yaml_gets_an_entry_to_paste() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "extensions: {}\n").unwrap();
        let said = point(&ClientFile { client: "Goose", path: file }, &[], &gate()).unwrap_err();
        assert!(said.contains("    cmd: \"/bin/portcullis\"\n"), "{said}");
        assert!(
            point(&ClientFile { client: "Goose", path: folder.path().join("none.yaml") }, &[], &gate())
                .is_err()
        );
    }
}
