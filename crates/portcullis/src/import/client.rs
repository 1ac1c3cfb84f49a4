//! The files in which MCP clients keep their servers.

use super::dialect;
use super::json_text::{at, members, without_comments};
use super::registry;
use portcullis_document::{Document, Kind, Node};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A client's file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientFile {
    /// Whose it is.
    pub client: &'static str,
    /// The file.
    pub path: PathBuf,
}

/// One server of a client's file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Its file.
    pub file: ClientFile,
    /// The keys that lead to the map it stands in.
    pub under: Vec<String>,
    /// Its name there.
    pub name: String,
    /// The entry as the client wrote it.
    pub entry: Value,
    /// The project that it belongs to.
    pub project: Option<PathBuf>,
}

/// The places under the home folder, on Linux and macOS, and those under a project's.
const AT_HOME: [(&str, &str); 18] = [
    ("Claude Code", ".claude.json"),
    ("Claude Desktop", "Library/Application Support/Claude/claude_desktop_config.json"),
    ("Claude Desktop", ".config/Claude/claude_desktop_config.json"),
    ("Cursor", ".cursor/mcp.json"),
    ("VS Code", "Library/Application Support/Code/User/mcp.json"),
    ("VS Code", ".config/Code/User/mcp.json"),
    ("Codex", ".codex/config.toml"),
    ("Gemini", ".gemini/settings.json"),
    ("Windsurf", ".codeium/windsurf/mcp_config.json"),
    ("Zed", ".config/zed/settings.json"),
    (
        "Cline",
        "Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
    ),
    ("Cline", ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"),
    ("Cline", ".cline/data/settings/cline_mcp_settings.json"),
    (
        "Roo",
        "Library/Application Support/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json",
    ),
    ("Roo", ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/settings/mcp_settings.json"),
    ("opencode", ".config/opencode/opencode.json"),
    ("opencode", ".config/opencode/opencode.jsonc"),
    ("Goose", ".config/goose/config.yaml"),
];
const IN_A_PROJECT: [(&str, &str); 9] = [
    ("Claude Code", ".mcp.json"),
    ("Cursor", ".cursor/mcp.json"),
    ("VS Code", ".vscode/mcp.json"),
    ("Codex", ".codex/config.toml"),
    ("Gemini", ".gemini/settings.json"),
    ("Zed", ".zed/settings.json"),
    ("Roo", ".roo/mcp.json"),
    ("opencode", "opencode.json"),
    ("opencode", "opencode.jsonc"),
];

/// All files of known clients for this user and this folder.
pub(crate) fn files(home: Option<&Path>, here: &Path) -> Vec<ClientFile> {
    let mut files: Vec<ClientFile> = Vec::new();
    let near = IN_A_PROJECT.iter().map(|(client, path)| (*client, here.join(path)));
    for (client, path) in near.chain(home.into_iter().flat_map(places_at_home)) {
        if path.is_file() && !files.iter().any(|file| file.path == path) {
            files.push(ClientFile { client, path });
        }
    }
    files
}

/// Where clients keep what belongs to a user. Some folders for configurations are elsewhere where the user says so.
fn places_at_home(home: &Path) -> impl Iterator<Item = (&'static str, PathBuf)> {
    let elsewhere = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    AT_HOME.iter().flat_map(move |(client, end)| {
        let there =
            elsewhere.as_ref().zip(end.strip_prefix(".config/")).map(|(folder, end)| folder.join(end));
        there.into_iter().chain([home.join(end)]).map(|path| (*client, path))
    })
}

/// A file that the user named: its place or its name tells whose it is.
pub(crate) fn named(path: &Path) -> ClientFile {
    let known = |(_, end): &&(&'static str, &str)| path.ends_with(end);
    let client = AT_HOME.iter().chain(&IN_A_PROJECT).find(known).map_or_else(
        || match path.file_name().and_then(|name| name.to_str()) {
            Some("claude_desktop_config.json") => "Claude Desktop",
            Some("config.toml") => "Codex",
            Some("mcp_config.json") => "Windsurf",
            Some("cline_mcp_settings.json") => "Cline",
            Some("mcp_settings.json") => "Roo",
            _ => "file",
        },
        |(client, _)| *client,
    );
    ClientFile { client, path: path.to_owned() }
}

/// The servers of a file.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read(file: &ClientFile) -> Result<Vec<Found>, String> {
    let text = std::fs::read_to_string(&file.path).map_err(|error| format!("it cannot be read: {error}"))?;
    let mut found = Vec::new();
    if let Some(name) = Some("client.toml").filter(|_| is_toml(&file.path)).or(is_yaml(&file.path)) {
        let document = Document::read(name, &text).map_err(|problems| problems.to_string())?;
        let root = value(document.root());
        for keys in dialect::places(file.client) {
            let servers = keys.iter().try_fold(&root, |node, key| node.get(key)).and_then(Value::as_object);
            for (name, entry) in servers.into_iter().flatten() {
                let entry = dialect::common(file.client, &root, name, entry.clone());
                found.push(entry_of(file, keys, name, entry, None));
            }
        }
        return Ok(found);
    }
    let plain = without_comments(text.trim_start_matches('\u{feff}'));
    if plain.trim().is_empty() {
        return Ok(found);
    }
    let parsed: Value = serde_json::from_str(&plain)
        .map_err(|error| format!("expected JSON, found a mistake in it: {error}"))?;
    if let Some(servers) = registry::entries(&parsed) {
        // What none of ours can be made of says why.
        let entry =
            |entry: Result<Value, String>| entry.unwrap_or_else(|why| json!({ registry::WHY_NOT: why }));
        let found = servers.into_iter().map(|(name, it)| entry_of(file, &[], &name, entry(it), None));
        return Ok(found.collect());
    }
    let project = project_of(&file.path);
    for keys in dialect::places(file.client) {
        add(&mut found, file, &plain, &parsed, keys, project.as_deref());
    }
    // Claude Code keeps what belongs to one project beside what belongs to all.
    for (project, _) in at(&plain, &["projects"]).and_then(members).unwrap_or_default() {
        let folder = PathBuf::from(&project);
        add(&mut found, file, &plain, &parsed, &["projects", &project, "mcpServers"], Some(&folder));
    }
    Ok(found)
}

fn add(
    found: &mut Vec<Found>,
    file: &ClientFile,
    text: &str,
    root: &Value,
    keys: &[&str],
    project: Option<&Path>,
) {
    for (name, raw) in at(text, keys).and_then(members).unwrap_or_default() {
        if let Ok(entry) = serde_json::from_str(raw) {
            let entry = dialect::common(file.client, root, &name, entry);
            found.push(entry_of(file, keys, &name, entry, project));
        }
    }
}

fn entry_of(file: &ClientFile, keys: &[&str], name: &str, entry: Value, project: Option<&Path>) -> Found {
    let under = keys.iter().map(|key| (*key).to_owned()).collect();
    Found { file: file.clone(), under, name: name.to_owned(), entry, project: project.map(Path::to_owned) }
}

/// Whether a file is TOML by its ending.
pub(crate) fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "toml")
}

/// A name for a file that is YAML by its ending.
pub(crate) fn is_yaml(path: &Path) -> Option<&'static str> {
    path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml").then_some("client.yaml")
}

/// The folder of the project whose file this is; `None` for a file that belongs to the user.
fn project_of(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    let (_, end) = IN_A_PROJECT.iter().find(|(_, end)| path.ends_with(end))?;
    let folder = path.ancestors().nth(Path::new(end).components().count())?.to_owned();
    let home = home();
    let at_home = |home: &PathBuf| places_at_home(home).any(|(_, known)| known == path);
    (home.as_ref() != Some(&folder) && !home.as_ref().is_some_and(at_home)).then_some(folder)
}

/// The user's home folder.
pub(crate) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute())
}

/// A node of a document as a JSON value.
pub(crate) fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Number(digits) => serde_json::from_str(digits).unwrap_or(Value::Null),
        Kind::Text(text) => Value::from(text.as_str()),
        Kind::List(nodes) => nodes.iter().map(value).collect(),
        Kind::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), value(&entry.value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// The servers that clients on this machine have configured, each with its client, for a person.
pub(crate) fn found_client_servers() -> Vec<String> {
    let Ok(here) = std::env::current_dir() else { return Vec::new() };
    let files = files(home().as_deref(), &here);
    let mut names: Vec<String> = files
        .iter()
        .filter_map(|file| read(file).ok())
        .flatten()
        .filter(|found| found.name != super::point::NAME)
        .map(|found| format!("{} ({})", found.name, found.file.client))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) -> ClientFile {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        named(&path)
    }

    fn names(found: &[Found]) -> Vec<(&str, &str)> {
        found.iter().map(|found| (found.file.client, found.name.as_str())).collect()
    }

    #[test]
    fn each_client_keeps_its_servers_in_its_own_place() {
        let home = tempfile::tempdir().unwrap();
        let here = tempfile::tempdir().unwrap();
        write(
            home.path(),
            ".claude.json",
            r#"{"mcpServers":{"a":{}},"projects":{"/p":{"mcpServers":{"b":{}}}}}"#,
        );
        write(home.path(), ".codex/config.toml", "[mcp_servers.c]\ncommand = \"c\"\n");
        write(home.path(), ".gemini/settings.json", r#"{"mcpServers":{"d":{}}}"#);
        write(here.path(), ".vscode/mcp.json", "{ \"servers\": { \"e\": {}, }, // own\n }");
        let files = files(Some(home.path()), here.path());
        let found: Vec<Found> = files.iter().flat_map(|file| read(file).unwrap()).collect();
        assert_eq!(
            names(&found),
            [("VS Code", "e"), ("Claude Code", "a"), ("Claude Code", "b"), ("Codex", "c"), ("Gemini", "d")]
        );
        assert_eq!(found[0].project.as_deref(), Some(here.path()));
        assert_eq!(found[2].project.as_deref(), Some(Path::new("/p")));
    }

    #[test]
    fn a_file_that_is_not_json_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = write(folder.path(), ".mcp.json", "{ nope");
        assert!(read(&file).unwrap_err().contains("expected JSON"));
        let file = write(folder.path(), ".mcp.json", "\n");
        assert_eq!(read(&file).unwrap(), []);
    }
}
