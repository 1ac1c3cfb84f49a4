//! `portcullis scan`: what a server offers, before any agent is connected to it.

use super::table;
use crate::cli::{FailOn, ScanArgs};
use crate::failure::Failure;
use crate::out::{counted, say};
use crate::scan::{Failed, Scanned, ask_first, html, look_at_all, place, sarif, targets};
use portcullis_catalogue::{Entry, Risk, Tier, written_out};
use serde_json::json;
use std::cmp::Reverse;
use std::path::Path;
use std::process::ExitCode;

/// Tools whose definitions are told to be poor.
const WORST: usize = 5;

/// Looks at servers. Ends with 1 where one did not answer, or has what was asked to fail on.
pub(crate) fn run(file: Option<&Path>, args: &ScanArgs) -> Result<ExitCode, Failure> {
    let mut targets = targets(args, file)?;
    ask_first(&mut targets, args.yes);
    let found = look_at_all(targets, !args.json)?;
    let (mut servers, mut failed) = (Vec::new(), Vec::new());
    for one in found {
        match one {
            Ok(server) => servers.push(server),
            Err(one) => failed.push(one),
        }
    }
    if let Some(file) = &args.html {
        let made = jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string();
        write(file, &html::page(&servers, &failed, &made))?;
    }
    if let Some(file) = &args.sarif {
        write(file, &sarif(&servers).to_string())?;
    }
    if args.json {
        let servers: Vec<_> = servers.iter().map(Scanned::shown).collect();
        let failed: Vec<_> = failed.iter().map(Failed::shown).collect();
        say!("{}", json!({ "servers": servers, "failed": failed }));
    } else {
        for (number, server) in servers.iter().enumerate() {
            if number > 0 {
                say!("");
            }
            print(server);
        }
        for failed in &failed {
            say!("{}: {}", failed.name, written_out(&failed.reason));
        }
    }
    let fails = |server: &Scanned, on: FailOn| {
        let tools = &server.known.tools;
        let risk = |least| tools.iter().any(|entry| entry.class.category.risk() >= least);
        match on {
            FailOn::Critical => risk(Risk::Critical),
            FailOn::High => risk(Risk::High),
            FailOn::Finding => server.all_findings().next().is_some(),
            // The best tier is the least.
            FailOn::Grade(tier) => tools.iter().any(|entry| entry.quality.tier >= tier),
        }
    };
    let grave = |server: &Scanned| args.fail_on.iter().any(|on| fails(server, *on));
    let bad = !failed.is_empty() || servers.iter().any(grave);
    Ok(ExitCode::from(u8::from(bad)))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text)
        .map_err(|error| Failure::untrue(format!("{} cannot be written: {error}", file.display())))
}

fn print(server: &Scanned) {
    let version = server.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let tools = counted(server.known.tools.len(), "tool", "tools");
    let counts = server.known.told();
    let counts = if counts.is_empty() { counts } else { format!(": {counts}") };
    let found_as = server.found_as.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    say!(
        "{}, MCP {}: {tools}{counts}",
        written_out(&format!("{found_as}{}{version}", server.name)),
        written_out(&server.era)
    );
    if !server.known.tools.is_empty() {
        say!("");
        let mut tools: Vec<&Entry> = server.known.tools.iter().collect();
        tools.sort_by_key(|entry| Reverse(entry.class.category));
        let rows: Vec<Vec<String>> = tools.into_iter().map(row).collect();
        table::print(&["risk", "category", "grade", "tool", "why"], &rows);
    }
    print_findings(server);
    print_quality(server);
}

fn print_findings(server: &Scanned) {
    let found: Vec<Vec<String>> = server
        .all_findings()
        .map(|(tool, finding)| {
            let severity = finding.severity.as_str().to_owned();
            vec![severity, finding.rule.clone(), place(tool, finding), finding.text.clone()]
        })
        .collect();
    if !found.is_empty() {
        say!("");
        table::print(&["finding", "rule", "where", "text"], &found);
    }
}

/// Tools whose definitions could say more, the worst first, each with what would help most.
fn print_quality(server: &Scanned) {
    let Some(whole) = &server.known.quality else { return };
    let mut tools: Vec<&Entry> =
        server.known.tools.iter().filter(|entry| entry.quality.tier > Tier::A).collect();
    tools.sort_by_key(|entry| entry.quality.score);
    let poor = tools.len();
    say!("");
    say!(
        "definitions: {} ({}) for the server: {} of {} got an A",
        whole.tier.as_str(),
        whole.score,
        server.known.tools.len() - poor,
        counted(server.known.tools.len(), "tool", "tools"),
    );
    for what in &whole.seen {
        say!("  {}", written_out(what));
    }
    let rows: Vec<Vec<String>> = tools
        .into_iter()
        .take(WORST)
        .map(|entry| {
            let advice =
                entry.quality.advice().first().map_or_else(String::new, |(_, what)| written_out(what));
            vec![grade(entry), written_out(&entry.tool.name), advice]
        })
        .collect();
    if !rows.is_empty() {
        say!("");
        table::print(&["grade", "worst first", "what would help most"], &rows);
        if poor > WORST {
            say!("and {} more (--json has all)", poor - WORST);
        }
    }
}

fn grade(entry: &Entry) -> String {
    format!("{} {}", entry.quality.tier.as_str(), entry.quality.score)
}

fn row(entry: &Entry) -> Vec<String> {
    let category = entry.class.category;
    let signals: Vec<&str> = entry.class.signals.iter().map(|signal| signal.says()).collect();
    let also = if signals.is_empty() { String::new() } else { format!("; {}", signals.join(", ")) };
    let (risk, category) = (category.risk().as_str().to_owned(), category.as_str().to_owned());
    let why = written_out(&format!("{}{also}", entry.class.why()));
    vec![risk, category, grade(entry), written_out(&entry.tool.name), why]
}
