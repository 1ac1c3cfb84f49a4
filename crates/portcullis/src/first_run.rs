//! The first minute: a working gate where there was no configuration.

use crate::failure::Failure;
use crate::import::found_client_servers;
use crate::out::{aside, say_lines};
use portcullis_ledger::create_file;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// What was made.
#[derive(Debug)]
pub(crate) struct Made {
    pub file: PathBuf,
}

const CONFIG: &str = r#"# Portcullis: what agents may reach, and under which policy.
# `portcullis reload` takes changes; `portcullis policy check FILE` checks a policy.

listen: 127.0.0.1:7420
data: .portcullis                # ledger, keys, control socket

# Servers behind the gate. Entries have the shape that MCP clients use, so a block can be pasted.
upstreams:
"#;

const FILES: &str = r#"  files:                         # the official file server, on the folder ./work alone
    command: npx
    args: ["-y", "@modelcontextprotocol/server-filesystem", "./work"]
"#;

const NO_FILES: &str = r#"  # files: { command: npx, args: ["-y", "@modelcontextprotocol/server-filesystem", "./work"] }
"#;

const BUILTIN: &str = r#"  services: { builtin: services, config: services.yaml }    # local services and commands
"#;

const SERVICES: &str = r#"# Local services that agents may start, watch and stop. `portcullis reload` takes changes.
services: {}
  # web:
  #   command: npm run dev
  #   port: 3000
  #   ready: { http: / }
"#;

const NONE: &str = r#"  {}
"#;

const REST: &str = r#"
# Names to files. A policy named `everyone` applies to all grants beside their own.
policies:
  careful: policies/careful.yaml

limits: { call: 5m, message: 16MiB, sessions_per_grant: 64 }
ledger: { durability: risky, values: redact, retain: 90d }
"#;

const POLICY: &str = r#"# What is not named here is denied and not listed.
version: "1"
default: deny
description: Reading is free, changing is limited, nothing is deleted; configured services may be started and stopped.
tools:
  # reading
  read_file: {}
  read_text_file: {}
  read_media_file: {}
  read_multiple_files: {}
  list_directory: {}
  list_directory_with_sizes: {}
  list_allowed_directories: {}
  directory_tree: {}
  search_files: {}
  get_file_info: {}
  # changing: all of it together, 30 times a minute
  write_file:
    limits: [{ counter: changes, window: minute, max: 30, scope: grant }]
  edit_file:
    limits: [{ counter: changes, window: minute, max: 30, scope: grant }]
  create_directory:
    limits: [{ counter: changes, window: minute, max: 30, scope: grant }]
  # the services of services.yaml; run_command, which runs anything, is not among these
  list_servers: {}
  get_server_status: {}
  read_server_logs: {}
  wait_for_server: {}
  start_server: {}
  stop_server: {}
  restart_server: {}
  start_all_servers: {}
  stop_all_servers: {}
"#;

/// Writes a configuration, a careful policy and the folder they speak of into the current folder. Nothing that
/// is there already is touched.
pub(crate) fn make() -> Result<Made, Failure> {
    let here =
        std::env::current_dir().map_err(|error| Failure::usage(format!("no current folder: {error}")))?;
    let node = on_path("npx");
    let upstreams = if node { FILES } else { NO_FILES };
    let file = here.join("portcullis.yaml");
    write_new(&here.join("services.yaml"), SERVICES)?;
    write_new(&here.join("policies/careful.yaml"), POLICY)?;
    // Last: where it is there, so is what it names, also if this was ended in the middle.
    write_new(&file, &format!("{CONFIG}{upstreams}{BUILTIN}{REST}"))?;
    aside!("made portcullis.yaml, services.yaml and policies/careful.yaml");
    if node {
        let work = here.join("work");
        std::fs::create_dir_all(&work).map_err(|error| failed(&work, &error))?;
        let _ = write_new(&work.join("hello.txt"), "Read through the gate.\n");
        aside!(
            "the upstream `files` serves the folder ./work; its first start installs it, which takes a moment"
        );
    } else {
        aside!(
            "npx was not found, so no file server was set up: add one to portcullis.yaml, then `portcullis reload`"
        );
    }
    let servers = found_client_servers();
    if !servers.is_empty() {
        aside!(
            "MCP clients on this machine have servers configured: {}; `portcullis import` puts them behind the gate",
            servers.join(", ")
        );
    }
    Ok(Made { file })
}

/// The configuration of a first run without any upstream.
pub(crate) fn without_upstreams() -> String {
    format!("{CONFIG}{NONE}{REST}")
}

/// Writes the careful policy, which [`without_upstreams`] names, into a configuration's folder.
pub(crate) fn write_careful(folder: &Path) -> Result<(), Failure> {
    write_new(&folder.join("policies/careful.yaml"), POLICY)
}

fn failed(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be written: {error}", path.display()))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    }
    create_file(path, text.as_bytes(), 0o644).map_err(|error| failed(path, &error))
}

/// Whether a program is found in PATH.
pub(crate) fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Prints the endpoint, the token and what to paste into clients.
pub(crate) fn show_entries(url: &str, token: &str) {
    let program =
        std::env::current_exe().map_or_else(|_| "portcullis".into(), |path| path.display().to_string());
    let data = std::env::current_dir().map(|here| here.join("portcullis.yaml").display().to_string());
    let data = data.unwrap_or_else(|_| "portcullis.yaml".into());
    let mut text = String::new();
    let _ = write!(
        text,
        "\nendpoint  {url}\ntoken     {token}   (grant `me`; shown this once)\n\n\
         Claude Code:\n  claude mcp add --transport http portcullis {url} --header \"Authorization: Bearer {token}\"\n\n\
         Cursor (.cursor/mcp.json), and every client with `mcpServers`:\n  \
         {{ \"mcpServers\": {{ \"portcullis\": {{ \"type\": \"http\", \"url\": \"{url}\", \"headers\": {{ \"Authorization\": \"Bearer {token}\" }} }} }} }}\n\n\
         Codex (~/.codex/config.toml), with the token in PORTCULLIS_TOKEN:\n  \
         [mcp_servers.portcullis]\n  url = \"{url}\"\n  bearer_token_env_var = \"PORTCULLIS_TOKEN\"\n\n\
         Clients that speak stdio only:\n  \
         {{ \"mcpServers\": {{ \"portcullis\": {{ \"command\": \"{program}\", \"args\": [\"stdio\", \"--config\", \"{data}\"] }} }} }}\n"
    );
    say_lines!("{text}");
}
