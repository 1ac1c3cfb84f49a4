//! `portcullis import`.

use crate::User;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;

const CLAUDE: &str = r#"{
  "numStartups": 3,
  "mcpServers": {
    "GitHub": { "type": "http", "url": "https://mcp.example/mcp", "headers": { "Authorization": "Bearer ghp_0123456789abcdef0123" } },
    "odd": { "command": "x", "args": ["${input:key}"] }
  },
  "projects": { "/p": { "mcpServers": { "files": { "command": "npx", "args": ["-y", "files"] } }, "allowed": [] } }
}
"#;
const CURSOR: &str = r#"{ "mcpServers": { "gh": { "url": "https://mcp.example/mcp", "headers": { "Authorization": "Bearer ghp_0123456789abcdef0123" } },
  "portcullis": { "url": "http://127.0.0.1:7420/mcp" } } }"#;
const CODEX: &str = "model = \"m\"\n[mcp_servers.files]\ncommand = \"files\"\nenv = { API_KEY = \"sk1\" }\n";

fn user() -> User {
    let user = User::new();
    user.write_home(".claude.json", CLAUDE);
    user.write_home(".cursor/mcp.json", CURSOR);
    user.write_home(".codex/config.toml", CODEX);
    user
}

/// Checks the configuration by the program's own eyes.
fn assert_valid(user: &User) {
    let said = user.run(&["doctor", "--json"]);
    let bad: Vec<Value> = said
        .lines()
        .into_iter()
        .filter(|line| line["state"] == "fail" && !line["check"].as_str().unwrap().starts_with("upstream"))
        .collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn servers_of_all_clients_come_behind_the_gate_once() {
    let user = user();
    let said = user.run(&["import", "--json"]).with_code(0);
    let lines: Vec<(String, Value, bool)> = said
        .lines()
        .into_iter()
        .map(|line| {
            (
                line["name"].as_str().unwrap().to_owned(),
                line["imported_as"].clone(),
                line["skipped"].is_null(),
            )
        })
        .collect();
    let expected = [
        ("GitHub", Value::from("github"), true),
        ("odd", Value::Null, false),
        ("files", Value::from("files"), true),
        ("gh", Value::Null, false),
        ("portcullis", Value::Null, false),
        ("files", Value::from("files-2"), true),
    ];
    for (line, (name, imported, new)) in lines.iter().zip(&expected) {
        assert_eq!((line.0.as_str(), line.2), (*name, *new), "{lines:?}");
        if *new {
            assert_eq!(line.1, *imported);
        }
    }
    assert_eq!(lines.len(), expected.len());
    insta::assert_snapshot!("the-configuration-that-is-made", user.plain(&user.read("portcullis.yaml")));
    insta::assert_snapshot!("the-policy-that-is-made", user.read("policies/github.yaml"));
    assert_valid(&user);
}

#[test]
fn secrets_stand_in_files_of_their_own() {
    let user = user();
    let said = user.run(&["import"]).with_code(0);
    assert!(said.err.contains("is kept in"), "{}", said.err);
    assert!(said.out.contains("portcullis grant add agent --upstream github=github"), "{}", said.out);
    let config = user.read("portcullis.yaml");
    assert!(!config.contains("ghp_") && !config.contains("sk1"), "{config}");
    let path = user.here.join(".portcullis/secrets/github-authorization");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "Bearer ghp_0123456789abcdef0123");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(user.read(".portcullis/secrets/files-2-api-key"), "sk1");
}

#[test]
fn a_second_import_finds_nothing_new() {
    let user = user();
    user.run(&["import"]).with_code(0);
    let config = user.read("portcullis.yaml");
    let said = user.run(&["import", "--json"]).with_code(0);
    assert!(said.lines().iter().all(|line| !line["skipped"].is_null()), "{}", said.out);
    assert_eq!(user.read("portcullis.yaml"), config);
}

#[test]
fn what_stands_in_a_configuration_stays() {
    let user = user();
    let before = "# mine\nupstreams:\n  # about old\n  old: { url: \"https://old.example/mcp\" }\n\n# end\n";
    user.write("portcullis.yaml", before);
    user.run(&["import"]).with_code(0);
    let after = user.read("portcullis.yaml");
    let mut rest = after.as_str();
    for line in before.lines() {
        rest = &rest[rest.find(line).unwrap_or_else(|| panic!("{line}\n{after}"))..];
    }
    assert_valid(&user);
}

#[test]
fn a_configuration_elsewhere_is_added_to_in_its_own_folder() {
    let user = user();
    let old = "upstreams:\n  old: { command: ./old, args: [a], timeout: 5m }\n";
    // A first try ends with a block to paste; the second takes up what it left.
    user.write("sub/gate.yaml", &format!("{old}policies: {{ p: p.yaml }}\n"));
    user.run(&["import", "--config", "sub/gate.yaml"]).with_code(1);
    user.write("sub/gate.yaml", old);
    let said = user.run(&["import", "--config", "sub/gate.yaml"]).with_code(0);
    assert!(said.out.contains("as `github`") && !said.out.contains("careful"), "{}", said.out);
    assert!(user.read("sub/gate.yaml").contains("${file:.portcullis/secrets/github-authorization}"));
    assert!(user.read("sub/policies/github.yaml").contains("default: deny"));
}

#[test]
fn a_configuration_that_cannot_be_edited_safely_gets_a_block_to_paste() {
    let user = user();
    let before = "upstreams: { old: { url: \"https://old.example/mcp\" } }\n";
    user.write("portcullis.yaml", before);
    let said = user.run(&["import", "--write"]).with_code(1);
    assert!(said.err.contains("  github:\n    type: \"http\"\n"), "{}", said.err);
    assert_eq!(user.read("portcullis.yaml"), before);
    assert_eq!(std::fs::read_to_string(user.home.join(".claude.json")).unwrap(), CLAUDE);
}

#[test]
fn a_configuration_with_mistakes_is_not_touched() {
    let user = user();
    user.write("portcullis.yaml", "upstream: {}\n");
    let said = user.run(&["import"]).with_code(2);
    assert!(said.err.contains("did you mean"), "{}", said.err);
    assert!(!user.here.join(".portcullis").exists() && !user.here.join("policies").exists());
}

#[test]
fn nothing_that_is_imported_is_started() {
    let user = User::new();
    let file = user
        .write("clients.json", r#"{ "mcpServers": { "t": { "command": "touch", "args": ["started"] } } }"#);
    user.run(&["import", file.to_str().unwrap()]).with_code(0);
    assert!(!user.here.join("started").exists());
    assert!(user.read("portcullis.yaml").contains("command: \"touch\""));
}

#[test]
fn what_a_registry_says_of_a_server_is_imported_and_left_as_it_is() {
    let user = User::new();
    let text = r#"{ "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json", "name": "io.example/notes",
        "description": "Notes", "version": "1.0.0", "packages": [{ "registryType": "npm", "identifier": "@example/notes", "version": "1.0.0",
        "transport": { "type": "stdio" }, "environmentVariables": [{ "name": "NOTES_KEY", "isRequired": true, "isSecret": true }] }] }"#;
    user.write("server.json", text);
    let said = user.run(&["import", "server.json"]).with_code(0);
    assert!(
        said.out.contains("skipped   notes") && said.out.contains("`NOTES_KEY` is not set here"),
        "{}",
        said.out
    );
    let said = user.run_with(&["import", "server.json", "--write"], &[("NOTES_KEY", "k")]).with_code(0);
    assert!(said.out.contains("imported  notes"), "{}{}", said.out, said.err);
    let config = user.read("portcullis.yaml");
    assert!(config.contains("\"@example/notes@1.0.0\"") && config.contains("${env:NOTES_KEY}"), "{config}");
    assert_eq!(user.read("server.json"), text);
}

#[test]
fn a_file_that_cannot_be_read_is_said() {
    let user = User::new();
    user.write("x.json", "{ nope");
    let said = user.run(&["import", "x.json"]).with_code(2);
    assert!(said.err.contains("expected JSON"), "{}", said.err);
    let said = user.run(&["import"]).with_code(0);
    assert!(said.err.contains("no servers were found"), "{}", said.err);
}

#[test]
fn a_first_run_speaks_of_servers_that_could_come_behind_the_gate() {
    let user = user();
    let said = user.run(&["up", "--listen", "nonsense"]).with_code(2);
    let expected = "MCP clients on this machine have servers configured: GitHub (Claude Code), files (Claude Code), \
                    files (Codex), gh (Cursor), odd (Claude Code); `portcullis import` puts them behind the gate";
    assert!(said.err.contains(expected), "{}", said.err);
}

#[test]
fn a_shell_that_the_gate_started_cannot_import() {
    let user = user();
    let said = user.run_with(&["import"], &[("PORTCULLIS_RUN", "1")]).with_code(4);
    assert!(said.err.contains("outside of it"), "{}", said.err);
    assert!(!user.here.join("portcullis.yaml").exists());
}
