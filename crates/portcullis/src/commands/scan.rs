//! `portcullis scan`: what a server offers, before any agent is connected to it.

use super::{start, table};
use crate::cli::{FailOn, ScanArgs};
use crate::failure::Failure;
use crate::out::{aside, counted, say};
use crate::scan::{Scanned, Seen, look, why};
use portcullis_catalogue::{Risk, Severity, written_out};
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
            say!("{}: {}", failed.name, written_out(&failed.reason));
        }
    }
    let grave = |server: &Scanned| {
        let risk = |least| server.tools.iter().any(|seen| seen.class.category.risk() >= least);
        match args.fail_on {
            Some(FailOn::Critical) => risk(Risk::Critical),
            Some(FailOn::High) => risk(Risk::High),
            Some(FailOn::Finding) => server.all_findings().next().is_some(),
            None => false,
        }
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
    say!(
        "{}, MCP {}: {tools}{counts}",
        written_out(&format!("{}{version}", server.name)),
        written_out(&server.era)
    );
    if !server.tools.is_empty() {
        say!("");
        let mut tools: Vec<&Seen> = server.tools.iter().collect();
        tools.sort_by_key(|seen| Reverse(seen.class.category));
        let rows: Vec<Vec<String>> = tools.into_iter().map(row).collect();
        table::print(&["risk", "category", "tool", "why"], &rows);
    }
    let found: Vec<Vec<String>> = server
        .all_findings()
        .map(|(tool, finding)| {
            let severity = if finding.severity == Severity::Block { "block" } else { "suspicion" };
            let place = tool.map_or_else(
                || finding.place.clone(),
                |tool| format!("{}: {}", written_out(tool), finding.place),
            );
            vec![severity.to_owned(), finding.rule.clone(), place, finding.text.clone()]
        })
        .collect();
    if !found.is_empty() {
        say!("");
        table::print(&["finding", "rule", "where", "text"], &found);
    }
}

fn row(seen: &Seen) -> Vec<String> {
    let category = seen.class.category;
    let signals: Vec<&str> = seen.class.signals.iter().map(|signal| signal.says()).collect();
    let also = if signals.is_empty() { String::new() } else { format!("; {}", signals.join(", ")) };
    let (risk, category) = (category.risk().as_str().to_owned(), category.as_str().to_owned());
    vec![risk, category, written_out(&seen.tool.name), written_out(&format!("{}{also}", why(&seen.class)))]
}
