//! Making a client's file name the gate instead of the servers behind it. Only the entries that were imported go;
//! a backup is kept, and the new text is read again and compared before it takes the old one's place.

use super::client::{is_toml, value};
use super::json_text::{at, members, span, without_comments};
use portcullis_document::Document;
use portcullis_wire::{Splice, insert_member};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The gate's own name in a client's file.
pub(crate) const NAME: &str = "portcullis";

const BACKUP: &str = ".before-portcullis";

/// An entry to be taken out: the keys that lead to its map, and its name.
pub(crate) type Gone = (Vec<String>, String);

/// How a client starts its side of the gate.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A file that names the gate now.
#[derive(Debug)]
pub(crate) struct Pointed {
    /// It itself: where a client's file is a link, what that leads to.
    pub file: PathBuf,
    /// What it has now.
    pub text: String,
    /// What it had.
    pub backup: PathBuf,
}

/// Where the backup of a file goes.
pub(crate) fn backup_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(BACKUP);
    name.into()
}

/// Points one file at the gate.
///
/// # Errors
/// Why it was left as it is.
pub(crate) fn point(file: &Path, gone: &[Gone], gate: &Gate) -> Result<Pointed, String> {
    let said = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    // The link stays a link, and the file that it names changes.
    let file = file.canonicalize().map_err(said("it cannot be found"))?;
    let text = std::fs::read_to_string(&file).map_err(said("it cannot be read"))?;
    let new = if is_toml(&file) { rewrite_toml(&text, gone, gate) } else { rewrite_json(&text, gone, gate) }?;
    let mode = std::fs::metadata(&file).map_err(said("it cannot be read"))?.permissions().mode() & 0o777;
    let backup = backup_of(&file);
    write_new(&backup, &text, mode).map_err(|error| format!("its backup {}: {error}", backup.display()))?;
    replace(&file, &new, mode).map_err(|error| {
        let _ = std::fs::remove_file(&backup);
        format!("it cannot be written: {error}")
    })?;
    Ok(Pointed { file, text: new, backup })
}

/// Writes a file that must not be there yet.
pub(crate) fn write_new(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Puts a text in the place of a file: whoever reads it meanwhile reads the old one or the new one.
pub(crate) fn replace(file: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut beside = file.as_os_str().to_owned();
    beside.push(".portcullis-new");
    let beside = PathBuf::from(beside);
    // One that was left by a program that was killed.
    let _ = std::fs::remove_file(&beside);
    write_new(&beside, text, mode)?;
    std::fs::rename(&beside, file).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}

/// What is said of a file that is not changed.
fn by_hand(gate: &Gate) -> String {
    let entry = json!({ NAME: { "command": gate.program, "args": gate.args } });
    format!("it has a shape that is better edited by hand: put {entry} in place of the servers")
}

fn rewrite_json(text: &str, gone: &[Gone], gate: &Gate) -> Result<String, String> {
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
        let object = at(&plain, &keys).ok_or_else(|| by_hand(gate))?;
        let mut entries = Vec::new();
        for (name, raw) in members(object).ok_or_else(|| by_hand(gate))? {
            if !gone.iter().any(|(of, which)| of == *under && *which == name) {
                entries.push((name, text.get(span(&plain, raw)).unwrap_or(raw).to_owned()));
            }
        }
        if home == Some(*under) && !entries.iter().any(|(name, _)| name == NAME) {
            let mut entry = json!({ "command": gate.program, "args": gate.args });
            if keys == ["servers"]
                && let Some(entry) = entry.as_object_mut()
            {
                entry.insert("type".into(), "stdio".into());
            }
            entries.push((NAME.to_owned(), entry.to_string()));
        }
        let place = span(&plain, object);
        splice.replace(place.clone(), laid_out(text, place.start, &entries));
        change(&mut before, &keys, &entries, &plain)?;
    }
    if home.is_none() && at(&plain, &["mcpServers", NAME]).is_none() {
        let entry = json!({ "command": gate.program, "args": gate.args });
        match at(&plain, &["mcpServers"]) {
            Some(object) => insert_member(&mut splice, &span(&plain, object), NAME, &entry.to_string()),
            None => {
                let root = plain.find('{').ok_or_else(|| by_hand(gate))?..plain.len();
                insert_member(&mut splice, &root, "mcpServers", &json!({ NAME: entry }).to_string());
            }
        }
        if let Some(root) = before.as_object_mut() {
            let servers = root.entry("mcpServers").or_insert_with(|| json!({}));
            servers.as_object_mut().ok_or_else(|| by_hand(gate))?.insert(NAME.into(), entry);
        }
    }
    let new = String::from_utf8(splice.finish().to_vec()).map_err(|_| by_hand(gate))?;
    let after: Option<Value> = serde_json::from_str(&without_comments(&new)).ok();
    if after.as_ref() == Some(&before) { Ok(new) } else { Err(by_hand(gate)) }
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
    let read = |text: &str| Document::read("client.toml", text).ok().map(|document| value(document.root()));
    let mut expected = read(text).ok_or("expected TOML, found mistakes in it")?;
    let mut out = String::new();
    // Lines of a section that goes; comments at its end may belong to what follows and stay.
    let mut pending = String::new();
    let mut going = false;
    for line in text.split_inclusive('\n') {
        let bare = line.trim();
        if bare.starts_with('[') {
            out.push_str(&pending);
            pending.clear();
            going = gone.iter().any(|(_, name)| is_header_of(bare, name));
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
    let entry = json!({ "command": gate.program, "args": gate.args });
    let servers =
        expected.get_mut("mcp_servers").and_then(Value::as_object_mut).ok_or_else(|| by_hand(gate))?;
    gone.iter().for_each(|(_, name)| drop(servers.remove(name)));
    if !servers.contains_key(NAME) {
        servers.insert(NAME.into(), entry);
        let gap = if out.is_empty() || out.ends_with('\n') { "" } else { "\n" };
        out.push_str(&format!(
            "{gap}\n[mcp_servers.{NAME}]\ncommand = {}\nargs = {}\n",
            Value::from(gate.program.as_str()),
            json!(gate.args)
        ));
    }
    if read(&out).as_ref() == Some(&expected) { Ok(out) } else { Err(by_hand(gate)) }
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
        Gate { program: "/bin/portcullis".into(), args: vec!["stdio".into()] }
    }

    fn gone(under: &[&str], names: &[&str]) -> Vec<Gone> {
        let under: Vec<String> = under.iter().map(|key| (*key).to_owned()).collect();
        names.iter().map(|name| (under.clone(), (*name).to_owned())).collect()
    }

    #[test]
    fn only_the_imported_entries_of_a_json_file_change() {
        let text = "{\n  \"z\": 1.0, // mine\n  \"mcpServers\": {\n    \"a\": { \"command\": \"a\" },\n    \"kept\": { \"url\":  \"x\" }, },\n  \"b\": [ 1,2 ]\n}\n";
        let new = rewrite_json(text, &gone(&["mcpServers"], &["a"]), &gate()).unwrap();
        assert_eq!(
            new,
            "{\n  \"z\": 1.0, // mine\n  \"mcpServers\": {\n    \"kept\": { \"url\":  \"x\" },\n    \"portcullis\": {\"args\":[\"stdio\"],\"command\":\"/bin/portcullis\"}\n  },\n  \"b\": [ 1,2 ]\n}\n"
        );
    }

    #[test]
    fn what_belongs_to_projects_moves_to_one_entry_for_all() {
        let text = r#"{"projects":{"/p":{"mcpServers":{"a":{"command":"a"}},"n":1}}}"#;
        let new = rewrite_json(text, &gone(&["projects", "/p", "mcpServers"], &["a"]), &gate()).unwrap();
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
    fn a_backup_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(".mcp.json");
        let text = r#"{"mcpServers":{"a":{"command":"a"}}}"#;
        std::fs::write(&file, text).unwrap();
        let gone = gone(&["mcpServers"], &["a"]);
        let Pointed { backup, .. } = point(&file, &gone, &gate()).unwrap();
        assert_eq!(std::fs::read_to_string(&backup).unwrap(), text);
        let now = std::fs::read_to_string(&file).unwrap();
        assert!(point(&file, &gone, &gate()).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), now);
    }
}
