//! Reads what other tools keep their services in: a Procfile, the scripts of a `package.json`, process-compose.

use crate::definition::{Condition, Definition, Live, Pattern, Probe, Ready, Restart, When, in_shell};
use portcullis_document::{Colours, Document, Kind, Node};
use regex::Regex;
use std::path::Path;
use std::time::Duration;

/// Reads one file. Its name says what it is.
///
/// # Errors
/// Why it cannot be read, for a person.
pub(crate) fn read(file: &Path) -> Result<Vec<Definition>, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let found = if name == "package.json" {
        let scripts = tree(file, &text)?.get("scripts").cloned();
        scripts.iter().flat_map(members).map(|(id, _)| script(id, folder)).collect()
    } else if name.starts_with("Procfile") {
        procfile(&text, folder).map_err(|why| format!("{shown}: {why}"))?
    } else if name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json") {
        let all = tree(file, &text)?;
        let processes = all.get("processes").ok_or_else(|| {
            format!("{shown}: expected the `processes` of process-compose, found none; a Procfile and a package.json are known too")
        })?;
        members(processes)
            .map(|(id, process)| compose(id, process, folder).map_err(|why| format!("{shown}: {id}: {why}")))
            .collect::<Result<_, _>>()?
    } else {
        return Err(format!("{shown}: expected a Procfile, a package.json or a process-compose.yaml"));
    };
    match found.iter().find(|definition| !Definition::is_id(&definition.id)) {
        Some(bad) => Err(format!("{shown}: `{}` cannot be a service's name", bad.id)),
        None => Ok(found),
    }
}

fn script(id: &str, folder: &Path) -> Definition {
    Definition::new(id, ["npm", "run", id].map(str::to_owned).to_vec(), folder.to_owned())
}

/// `name: command`, a line each.
fn procfile(text: &str, folder: &Path) -> Result<Vec<Definition>, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (id, command) =
                line.split_once(':').ok_or_else(|| format!("expected `name: command`, found `{line}`"))?;
            Ok(Definition::new(id.trim(), in_shell(command.trim()), folder.to_owned()))
        })
        .collect()
}

/// One process of process-compose, with all that has the same meaning here. The rest is passed over.
fn compose(id: &str, process: &Node, folder: &Path) -> Result<Definition, String> {
    let command = text(process, "command").ok_or("it has no `command`")?;
    let cwd = text(process, "working_dir").map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd));
    let mut read = Definition::new(id, in_shell(command), cwd);
    for variable in process.get("environment").map(list).unwrap_or_default() {
        if let Kind::Text(variable) = &variable.kind
            && let Some((name, value)) = variable.split_once('=')
        {
            read.env.push((name.to_owned(), value.to_owned()));
        }
    }
    for (other, how) in process.get("depends_on").into_iter().flat_map(members) {
        let condition = match text(how, "condition").unwrap_or("process_started") {
            "process_started" => Condition::Started,
            "process_healthy" | "process_log_ready" => Condition::Ready,
            "process_completed_successfully" => Condition::ExitedOk,
            other => return Err(format!("the condition `{other}` is not known here")),
        };
        read.depends_on.push((other.into(), condition));
    }
    if let Some(line) = text(process, "ready_log_line") {
        let pattern = Regex::new(&regex::escape(line)).map_err(|error| error.to_string())?;
        read.ready = Some(Ready { probe: Probe::Log(Pattern(pattern)), timeout: crate::definition::READY });
    }
    if let Some(found) = process.get("readiness_probe") {
        let tries = number(found, "failure_threshold").unwrap_or(3.0)
            * number(found, "period_seconds").unwrap_or(10.0);
        let timeout = seconds(tries + number(found, "initial_delay_seconds").unwrap_or(0.0));
        read.ready = Some(Ready { probe: probe(found)?, timeout });
    }
    if let Some(found) = process.get("liveness_probe") {
        let every = seconds(number(found, "period_seconds").unwrap_or(10.0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let failures = number(found, "failure_threshold").unwrap_or(3.0).max(1.0) as u32;
        read.live = Some(Live { probe: probe(found)?, every, failures });
    }
    if let Some(found) = process.get("availability") {
        let when = match text(found, "restart").unwrap_or("no") {
            "always" => When::Always,
            "on_failure" => When::OnFailure,
            _ => When::No,
        };
        let backoff = seconds(number(found, "backoff_seconds").unwrap_or(1.0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let max = number(found, "max_restarts").filter(|max| *max > 0.0).map_or(u32::MAX, |max| max as u32);
        read.restart = Restart { when, backoff, max };
    }
    if let Some(found) = process.get("shutdown") {
        read.stop.command = text(found, "command").map(in_shell);
        #[allow(clippy::cast_possible_truncation, reason = "signals are small numbers")]
        let signal = number(found, "signal").map(|signal| signal as i32);
        read.stop.signal = signal;
        if let Some(grace) = number(found, "timeout_seconds") {
            read.stop.grace = seconds(grace);
        }
    }
    read.tags.extend(text(process, "namespace").map(str::to_owned));
    read.description = text(process, "description").map(str::to_owned);
    Ok(read)
}

fn probe(found: &Node) -> Result<Probe, String> {
    if let Some(http) = found.get("http_get") {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is looked at after that"
        )]
        let port = number(http, "port").map(|port| port as u16).filter(|port| *port > 0);
        let path = text(http, "path").unwrap_or("/").to_owned();
        let port = port.or_else(|| text(http, "port")?.parse().ok()).ok_or("`http_get` has no `port`")?;
        return Ok(Probe::Http { path, port: Some(port), status: 200..=399 });
    }
    let command = found.get("exec").and_then(|exec| text(exec, "command"));
    Ok(Probe::Exec(in_shell(command.ok_or("expected `http_get` or `exec` in a probe")?)))
}

fn tree(file: &Path, text: &str) -> Result<Node, String> {
    let name = file.to_string_lossy();
    let shown = |problems: portcullis_document::Problems| problems.render(100, Colours::Never);
    Document::read(&name, text).map(|document| document.root().clone()).map_err(shown)
}

fn members(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
}

fn list(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(nodes) => nodes,
        _ => &[],
    }
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    match &node.get(key)?.kind {
        Kind::Text(text) | Kind::Number(text) => Some(text),
        _ => None,
    }
}

fn number(node: &Node, key: &str) -> Option<f64> {
    match &node.get(key)?.kind {
        Kind::Number(digits) => digits.parse().ok(),
        _ => None,
    }
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
