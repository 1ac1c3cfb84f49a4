//! The processes of process-compose.

use super::{Imported, dotenv, expand, members};
use crate::definition::{Condition, Definition, Restart, When, in_shell};
use portcullis_document::{Kind, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod probe;

/// How long a process may take to end where its file does not say.
const GRACE: Duration = Duration::from_secs(10);
/// Keeps a daemon's run open after the program that started it has gone: it counts as running until it is stopped.
const DAEMON: &str = "\"$@\" || exit; exec sleep 2147483647";

/// Keys of the file and of a process that have the same meaning here, or change nothing about what runs.
const OF_THE_FILE: [&str; 14] = [
    "version",
    "name",
    "processes",
    "environment",
    "vars",
    "shell",
    "disable_env_expansion",
    "is_strict",
    "is_tui_disabled",
    "log_level",
    "log_length",
    "log_location",
    "log_format",
    "log_configuration",
];
const OF_A_PROCESS: [&str; 24] = [
    "command",
    "entrypoint",
    "disabled",
    "is_disabled",
    "is_daemon",
    "is_foreground",
    "launch_timeout_seconds",
    "environment",
    "env_file",
    "is_dotenv_disabled",
    "is_template_disabled",
    "vars",
    "availability",
    "depends_on",
    "readiness_probe",
    "liveness_probe",
    "ready_log_line",
    "shutdown",
    "working_dir",
    "namespace",
    "description",
    "log_location",
    "log_configuration",
    "disable_ansi_colors",
];
/// Keys inside others that have no counterpart.
const NOT_DONE: [(&str, &str); 7] = [
    ("availability", "exit_on_end"),
    ("availability", "exit_on_skipped"),
    ("shutdown", "parent_only"),
    ("shutdown", "send_keys"),
    ("readiness_probe", "success_threshold"),
    ("liveness_probe", "success_threshold"),
    ("liveness_probe", "initial_delay_seconds"),
];

/// Reads all processes; `None` where the file has none.
pub(super) fn read(root: &Node, folder: &Path, environment: dotenv::Lookup<'_>) -> Option<Imported> {
    let processes = root.get("processes")?;
    let mut imported = Imported::default();
    for (key, _) in members(root).filter(|(key, _)| !OF_THE_FILE.contains(key) && *key != "ordered_shutdown")
    {
        if !key.starts_with("x-") {
            imported.warnings.push(format!("`{key}` has no counterpart here and is left out"));
        }
    }
    let dotenv = imported.dotenv(&folder.join(".env"), Some(environment));
    let expands = !root.get("disable_env_expansion").is_some_and(flag);
    let lookup = |name: &str| dotenv.get(name).map(str::to_owned).or_else(|| environment(name));
    let filled = |node: &Node| if expands { expand::node(node, &lookup) } else { Ok(node.clone()) };
    let mut of_the_file = |key: &str| {
        let read = filled(root.get(key)?);
        read.map_err(|why| imported.warnings.push(format!("`{key}` is left out: {why}"))).ok()
    };
    let (shared, vars, shell) = (of_the_file("environment"), of_the_file("vars"), of_the_file("shell"));
    let file = File {
        folder,
        environment: shared.as_ref().map(variables).unwrap_or_default(),
        // What the gate itself has set goes before the file's.
        dotenv: dotenv
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), environment(name).unwrap_or_else(|| value.clone())))
            .collect(),
        vars,
        shell: ["shell_command", "shell_argument"]
            .map(|key| shell.as_ref().and_then(|shell| text(shell, key))),
        lookup: &lookup,
    };
    for (id, process) in members(processes) {
        let mut warnings = Vec::new();
        match filled(process).and_then(|process| file.process(id, &process, &mut warnings)) {
            Ok(definition) => {
                imported.warnings.extend(warnings.into_iter().map(|it| format!("`{id}`: {it}")));
                imported.definitions.push(definition);
            }
            Err(why) => imported.warnings.push(format!("`{id}` is left out: {why}")),
        }
    }
    Some(imported)
}

/// What all processes of a file share.
struct File<'a> {
    folder: &'a Path,
    environment: Vec<(String, String)>,
    dotenv: Vec<(String, String)>,
    vars: Option<Node>,
    /// The shell and its argument, where the file names them.
    shell: [Option<String>; 2],
    lookup: dotenv::Lookup<'a>,
}

impl File<'_> {
    fn process(&self, id: &str, found: &Node, warnings: &mut Vec<String>) -> Result<Definition, String> {
        let process = &self.rendered(found, warnings);
        for (key, value) in members(process).filter(|(key, _)| !OF_A_PROCESS.contains(key)) {
            if !key.starts_with("x-") && says_something(value) {
                warnings.push(format!("`{key}` has no counterpart here and is left out"));
            }
        }
        for (outer, inner) in NOT_DONE {
            if process.get(outer).and_then(|it| it.get(inner)).is_some_and(says_something) {
                warnings.push(format!("`{outer}.{inner}` has no counterpart here and is left out"));
            }
        }
        let is_daemon = process.get("is_daemon").is_some_and(flag);
        let mut command = self.command(process)?;
        if is_daemon {
            command = ["sh", "-c", DAEMON, "sh"].into_iter().map(str::to_owned).chain(command).collect();
        }
        let folder = text(process, "working_dir").filter(|dir| !dir.is_empty());
        let folder = folder.map_or_else(|| self.folder.to_owned(), |dir| self.folder.join(dir));
        let mut read = Definition::new(id, command, folder.clone());
        read.env = self.environment_of(id, process, &folder)?;
        read.only_by_name = match text(process, "is_disabled").as_deref() {
            Some("true") => true,
            Some("false") => false,
            _ => process.get("disabled").is_some_and(flag),
        };
        if process.get("is_foreground").is_some_and(flag) {
            read.only_by_name = true;
            warnings.push("it wants a terminal (`is_foreground`), which no service has".into());
        }
        read.depends_on = needs(process)?;
        let probes = probe::Probes { folder: &folder, is_daemon };
        probes.read(process, &mut read, warnings);
        if let Some(found) = process.get("availability") {
            read.restart = restart(found, warnings);
        }
        read.stop.grace = GRACE;
        if let Some(found) = process.get("shutdown") {
            read.stop.command =
                text(found, "command").filter(|line| !line.is_empty()).map(|it| self.shelled(&it));
            #[allow(clippy::cast_possible_truncation, reason = "signals are small numbers")]
            let signal =
                number(found, "signal").map(|signal| signal as i32).filter(|it| (1..=31).contains(it));
            read.stop.signal = signal;
            if let Some(grace) = number(found, "timeout_seconds").filter(|grace| *grace > 0.0) {
                read.stop.grace = seconds(grace);
            }
        }
        let namespaces = process.get("namespace").map(texts).unwrap_or_default();
        read.tags.extend(namespaces.into_iter().filter(|name| !name.is_empty() && name != "default"));
        read.description = text(process, "description");
        Ok(read)
    }

    /// A line for the file's shell. `command` goes before `entrypoint`, as there.
    fn command(&self, process: &Node) -> Result<Vec<String>, String> {
        if let Some(line) = text(process, "command").filter(|line| !line.trim().is_empty()) {
            return Ok(self.shelled(&line));
        }
        let words = process.get("entrypoint").map(texts).unwrap_or_default();
        match words.first() {
            Some(program) if !program.is_empty() => Ok(words),
            _ => Err("it has neither a `command` nor an `entrypoint`".into()),
        }
    }

    fn shelled(&self, line: &str) -> Vec<String> {
        match &self.shell {
            [None, None] => in_shell(line),
            [shell, argument] => vec![
                shell.clone().unwrap_or_else(|| "sh".into()),
                argument.clone().unwrap_or_else(|| "-c".into()),
                line.to_owned(),
            ],
        }
    }

    /// Templates filled in from the file's variables and the process's own.
    fn rendered(&self, process: &Node, warnings: &mut Vec<String>) -> Node {
        if process.get("is_template_disabled").is_some_and(flag) {
            return process.clone();
        }
        let own = process.get("vars");
        let all = self.vars.iter().chain(own).flat_map(members);
        let variables: BTreeMap<&str, String> =
            all.filter_map(|(name, value)| Some((name, plain(value)?))).collect();
        let mut left = false;
        let rendered = each_text(process, &mut |text| {
            let text = expand::template(text, &variables);
            left |= text.contains("{{");
            text
        });
        if left && !variables.is_empty() {
            warnings.push("a template in `{{…}}` that is more than a variable stays as it is".into());
        }
        rendered
    }

    /// The later goes before the earlier: `.env`, the file's, those of `env_file`, the process's own.
    fn environment_of(
        &self,
        id: &str,
        process: &Node,
        folder: &Path,
    ) -> Result<Vec<(String, String)>, String> {
        let mut env = vec![("PC_PROC_NAME".into(), id.to_owned()), ("PC_REPLICA_NUM".into(), "0".into())];
        if !process.get("is_dotenv_disabled").is_some_and(flag) {
            env.extend(self.dotenv.iter().cloned());
        }
        env.extend(self.environment.iter().cloned());
        if let Some(name) = text(process, "env_file").filter(|name| !name.is_empty()) {
            let file: PathBuf = folder.join(name);
            let read = std::fs::read_to_string(&file);
            let read =
                read.map_err(|error| format!("its `env_file` {} cannot be read: {error}", file.display()))?;
            env.extend(dotenv::read(&read, Some(self.lookup)).variables);
        }
        env.extend(process.get("environment").map(variables).unwrap_or_default());
        Ok(env)
    }
}

fn needs(process: &Node) -> Result<Vec<(std::sync::Arc<str>, Condition)>, String> {
    let mut needs = Vec::new();
    for (other, how) in process.get("depends_on").into_iter().flat_map(members) {
        let condition = match text(how, "condition").as_deref().unwrap_or("process_started") {
            "process_started" | "" => Condition::Started,
            "process_healthy" | "process_log_ready" => Condition::Ready,
            "process_completed" => Condition::Exited,
            "process_completed_successfully" => Condition::ExitedOk,
            other => return Err(format!("the condition `{other}` is not known here")),
        };
        needs.push((other.into(), condition));
    }
    Ok(needs)
}

fn restart(found: &Node, warnings: &mut Vec<String>) -> Restart {
    let when = match text(found, "restart").as_deref().unwrap_or("no") {
        "always" => When::Always,
        "on_failure" => When::OnFailure,
        "no" | "" => When::No,
        other => {
            warnings.push(format!("`restart: {other}` has no counterpart here: it is not started again"));
            When::No
        }
    };
    let backoff = seconds(number(found, "backoff_seconds").filter(|it| *it > 0.0).unwrap_or(1.0));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let max = number(found, "max_restarts").filter(|max| *max > 0.0).map_or(u32::MAX, |max| max as u32);
    Restart { when, backoff, max }
}

/// `NAME=value` in a list, or a map.
fn variables(node: &Node) -> Vec<(String, String)> {
    let listed = texts(node).into_iter().filter_map(|text| {
        let (name, value) = text.split_once('=')?;
        Some((name.trim().to_owned(), value.to_owned()))
    });
    let mapped = members(node).filter_map(|(name, value)| Some((name.to_owned(), plain(value)?)));
    match node.kind {
        Kind::Map(_) => mapped.collect(),
        _ => listed.collect(),
    }
}

/// A scalar as text.
fn plain(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null => Some(String::new()),
        Kind::List(_) | Kind::Map(_) => None,
    }
}

/// A list of scalars, or one.
fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::List(nodes) => nodes.iter().filter_map(plain).collect(),
        _ => plain(node).into_iter().collect(),
    }
}

fn text(node: &Node, key: &str) -> Option<String> {
    node.get(key).and_then(plain)
}

/// A number, also one that a variable was filled in for.
fn number(node: &Node, key: &str) -> Option<f64> {
    text(node, key)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a value is true, in the words that YAML 1.1 has for it too.
fn flag(node: &Node) -> bool {
    let word = plain(node).unwrap_or_default().to_ascii_lowercase();
    matches!(word.as_str(), "true" | "yes" | "on" | "y")
}

/// Whether a value differs from what holds where there is none: a switch is off then, and a count is 1.
fn says_something(node: &Node) -> bool {
    !matches!(plain(node).as_deref(), Some("" | "false" | "no" | "off" | "0" | "1"))
}

fn each_text(node: &Node, change: &mut dyn FnMut(&str) -> String) -> Node {
    let mut node = node.clone();
    match &mut node.kind {
        Kind::Text(text) => *text = change(text),
        Kind::List(nodes) => nodes.iter_mut().for_each(|it| *it = each_text(it, change)),
        Kind::Map(entries) => entries.iter_mut().for_each(|it| it.value = each_text(&it.value, change)),
        Kind::Null | Kind::Bool(_) | Kind::Number(_) => {}
    }
    node
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

#[cfg(test)]
mod tests;
