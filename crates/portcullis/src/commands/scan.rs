//! `portcullis scan`: what a server offers, before any agent is connected to it.

use super::{start, table};
use crate::cli::{FailOn, ScanArgs};
use crate::failure::Failure;
use crate::out::{aside, counted, say};
use crate::scan::{Scanned, look, why};
use portcullis_catalogue::{Category, Class, Definition, Risk};
use portcullis_upstreams::{CommandSpec, How, UrlSpec};
use serde_json::json;
use std::cmp::Reverse;
use std::process::ExitCode;
use std::time::Duration;

/// How long a server may take to come up: it may be installed by that.
const PATIENCE: Duration = Duration::from_mins(2);

/// Looks at one server. Ends with 1 where it did not answer, or has what was asked to fail on.
pub(crate) fn run(args: &ScanArgs) -> Result<ExitCode, Failure> {
    let (called, how) = wanted(args)?;
    if !args.json {
        aside!("connecting to {called} …");
    }
    let runtime = start::runtime(&mut tokio::runtime::Builder::new_current_thread())?;
    let found = runtime.block_on(async {
        tokio::select! {
            found = look(&called, how, PATIENCE) => found,
            // What was started is stopped by its keeper, which loses us.
            _ = tokio::signal::ctrl_c() => Err(Failure::untrue("stopped by Ctrl-C")),
        }
    })?;
    let (servers, failed) = match found {
        Ok(server) => (vec![server], Vec::new()),
        Err(failed) => (Vec::new(), vec![failed]),
    };
    if args.json {
        let servers: Vec<_> = servers.iter().map(Scanned::shown).collect();
        let failed: Vec<_> = failed.iter().map(crate::scan::Failed::shown).collect();
        say!("{}", json!({ "servers": servers, "failed": failed }));
    } else {
        servers.iter().for_each(print);
        for failed in &failed {
            say!("{}: {}", failed.name, failed.reason);
        }
    }
    let grave = |server: &Scanned| {
        let risks = server.tools.iter().map(|(_, class)| class.category.risk());
        args.fail_on.is_some_and(|least| risks.max() >= Some(least.into()))
    };
    let bad = !failed.is_empty() || servers.iter().any(grave);
    Ok(ExitCode::from(u8::from(bad)))
}

fn wanted(args: &ScanArgs) -> Result<(String, How), Failure> {
    match (&args.url, args.command.as_slice()) {
        (Some(url), []) => {
            let parsed: Option<http::Uri> = url.parse().ok();
            let known = parsed.filter(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            });
            let Some(address) = known else {
                return Err(Failure::usage(format!(
                    "`{url}`: expected an http:// or https:// address without a user name; a program goes after `--`: \
                     portcullis scan -- npx -y @modelcontextprotocol/server-everything"
                )));
            };
            let spec = UrlSpec { url: address, headers: Vec::new(), transport: None };
            Ok((url.clone(), How::Url(spec)))
        }
        (None, line @ [program, args @ ..]) => {
            let (program, args) = (program.clone(), args.to_vec());
            Ok((line.join(" "), How::Command(CommandSpec { program, args, env: Vec::new(), cwd: None })))
        }
        _ => Err(Failure::usage(
            "scan what? Give a URL, or after `--` the command that starts a server: portcullis scan -- npx -y \
             @modelcontextprotocol/server-everything",
        )),
    }
}

fn print(server: &Scanned) {
    let version = server.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let counts: Vec<String> = server
        .counts()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(category, count)| format!("{count} {}", category.as_str()))
        .collect();
    let tools = counted(server.tools.len(), "tool", "tools");
    let counts = if counts.is_empty() { String::new() } else { format!(": {}", counts.join(", ")) };
    say!("{}{version}, MCP {}: {tools}{counts}", server.name, server.era);
    if server.tools.is_empty() {
        return;
    }
    say!("");
    let mut tools: Vec<&(Definition, Class)> = server.tools.iter().collect();
    tools.sort_by_key(|(_, class)| Reverse(class.category));
    let rows: Vec<Vec<String>> = tools
        .into_iter()
        .map(|(tool, class)| {
            let signals: Vec<&str> = class.signals.iter().map(|signal| signal.says()).collect();
            let also = if signals.is_empty() { String::new() } else { format!("; {}", signals.join(", ")) };
            let category: Category = class.category;
            vec![
                category.risk().as_str().to_owned(),
                category.as_str().to_owned(),
                tool.name.clone(),
                format!("{}{also}", why(class)),
            ]
        })
        .collect();
    table::print(&["risk", "category", "tool", "why"], &rows);
}

impl From<FailOn> for Risk {
    fn from(asked: FailOn) -> Self {
        match asked {
            FailOn::Critical => Self::Critical,
            FailOn::High => Self::High,
        }
    }
}
