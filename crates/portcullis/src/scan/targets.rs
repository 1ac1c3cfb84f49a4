//! Which servers a scan looks at.

use crate::cli::ScanArgs;
use crate::config::{self, address};
use crate::failure::Failure;
use crate::import::client::{self, ClientFile, Found};
use crate::import::point::NAME;
use crate::import::server::Server;
use portcullis_admit::covered_line;
use portcullis_document::Document;
use portcullis_upstreams::{CommandSpec, How};
use serde_json::{Map, Value, json};
use std::path::Path;

/// A server to look at.
pub(crate) struct Target {
    /// What it is called.
    pub(crate) called: String,
    /// Where it is, or why it cannot be looked at.
    pub(crate) how: Result<How, String>,
    /// Whether the user named it, and so wants it to be started.
    pub(crate) named: bool,
}

impl Target {
    /// The command line that is started to look at it, without its secrets.
    pub(crate) fn starts(&self) -> Option<String> {
        match &self.how {
            Ok(How::Command(CommandSpec { program, args, .. })) => {
                let words: Vec<&str> = [program].into_iter().chain(args).map(String::as_str).collect();
                Some(covered_line(&words.join(" ")))
            }
            _ => None,
        }
    }
}

/// What the user named; else the servers of a file; else those of all files that are known.
pub(crate) fn targets(args: &ScanArgs, file: Option<&Path>) -> Result<Vec<Target>, Failure> {
    match (&args.url, args.command.as_slice(), file) {
        (Some(url), [], _) => {
            let Some(address) = address(url) else {
                return Err(Failure::usage(format!(
                    "`{url}`: expected an http:// or https:// address without a user name; a program goes after `--`: \
                     portcullis scan -- npx -y @modelcontextprotocol/server-everything"
                )));
            };
            let mut headers = Map::new();
            for header in &args.headers {
                let Some((name, value)) = header.split_once(':') else {
                    return Err(Failure::usage("--header: expected `NAME: VALUE`, found no colon"));
                };
                headers.insert(name.trim().to_owned(), value.trim().into());
            }
            let entry = Map::from_iter([
                ("url".to_owned(), json!(address.to_string())),
                ("headers".to_owned(), headers.into()),
            ]);
            let how = how(entry, &std::path::absolute("scan.json").unwrap_or_default())
                .map_err(|why| Failure::usage(format!("{url}: {why}")))?;
            Ok(vec![Target { called: url.clone(), how: Ok(how), named: true }])
        }
        (None, line @ [program, args @ ..], _) => {
            let (program, args) = (program.clone(), args.to_vec());
            let how = How::Command(CommandSpec { program, args, env: Vec::new(), cwd: None });
            Ok(vec![Target { called: line.join(" "), how: Ok(how), named: true }])
        }
        (Some(_), [_, ..], _) => Err(Failure::usage("a URL or a command, not both")),
        (None, [], Some(file)) => of_file(file),
        (None, [], None) => found(),
    }
}

/// The servers of one file: of a gate, or of a client.
fn of_file(file: &Path) -> Result<Vec<Target>, Failure> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))?;
    if is_of_a_gate(file, &text) {
        let config = crate::place::read_config(file)?;
        let of = |spec: portcullis_upstreams::Spec| Target {
            called: spec.name.to_string(),
            how: match spec.how {
                How::Builtin(_) => Err("it is built in: `portcullis catalogue` shows it".to_owned()),
                how => Ok(how),
            },
            named: false,
        };
        return Ok(config.upstreams.into_iter().map(of).collect());
    }
    let found = client::read(&client::named(file))
        .map_err(|why| Failure::usage(format!("{}: {why}", file.display())))?;
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "{}: expected servers under `mcpServers`, `servers`, `mcp_servers` or `upstreams`, found none",
            file.display()
        )));
    }
    Ok(found.iter().map(of_client).collect())
}

fn is_of_a_gate(file: &Path, text: &str) -> bool {
    let Ok(document) = Document::read(&file.to_string_lossy(), text) else {
        // What a client keeps is JSON, with comments at most; mistakes in YAML are told as such.
        return file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    };
    client::value(document.root()).get("upstreams").is_some()
}

/// The servers that clients of this user and this folder have.
fn found() -> Result<Vec<Target>, Failure> {
    let here =
        std::env::current_dir().map_err(|error| Failure::usage(format!("no current folder: {error}")))?;
    let files: Vec<ClientFile> = client::files(client::home().as_deref(), &here);
    let mut targets: Vec<Target> = Vec::new();
    for file in &files {
        match client::read(file) {
            Ok(found) => targets.extend(found.iter().filter(|found| found.name != NAME).map(of_client)),
            Err(why) => {
                let called = file.path.display().to_string();
                targets.push(Target { called, how: Err(why), named: false });
            }
        }
    }
    if targets.is_empty() {
        return Err(Failure::usage(
            "scan what? No client here has servers. Give a URL, or after `--` the command that starts a server: \
             portcullis scan -- npx -y @modelcontextprotocol/server-everything",
        ));
    }
    Ok(targets)
}

/// An entry of a client as the gate would reach it.
fn of_client(found: &Found) -> Target {
    let called = format!("{} ({})", found.name, found.file.client);
    let entry =
        |server: Server| server.members().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Target {
        called,
        how: Server::of(found).and_then(|server| how(entry(server), &found.file.path)),
        named: false,
    }
}

/// Reads an entry as one of the gate's own configuration, with the references that it has. `file` is where it stands.
fn how(entry: Map<String, Value>, file: &Path) -> Result<How, String> {
    let text = json!({ "upstreams": { "scan": entry } }).to_string();
    let place = file.with_file_name("client.json");
    let config = config::read(&place, &text).map_err(|problems| {
        let said: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        said.join("; ")
    })?;
    config.upstreams.into_iter().next().map(|spec| spec.how).ok_or_else(|| "it is switched off".to_owned())
}
