//! Reads `services.yaml`.

use crate::definition::{
    Condition, Definition, GRACE, Live, Pattern, Port, Probe, READY, Ready, Restart, When, in_shell,
};
use crate::import;
use portcullis_document::{Document, Fields, Kind, Problems, Reading, Value, duration, fill, size};
use portcullis_runs::{OnLoss, millis};
use regex::Regex;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Signals that a service may be asked to end with.
const SIGNALS: [(&str, i32); 6] =
    [("SIGTERM", 15), ("SIGINT", 2), ("SIGHUP", 1), ("SIGQUIT", 3), ("SIGUSR1", 10), ("SIGUSR2", 12)];

/// All services by their names.
pub type Definitions = BTreeMap<Arc<str>, Arc<Definition>>;

/// What a configuration and the files that it imports have.
#[derive(Debug)]
pub struct Configuration {
    /// All services.
    pub definitions: Definitions,
    /// What is hardly meant so, and what of an imported file was left out.
    pub warnings: Problems,
}

/// Reads a configuration and what it imports. Paths are relative to the file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(file: &Path, text: &str) -> Result<Configuration, Problems> {
    let document = Document::read_past_mistakes(&file.to_string_lossy(), text)?;
    let reading = Reading::new(&document);
    let folder = file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let mut all = Definitions::new();
    if let Some(mut fields) = reading.root().fields() {
        for value in fields.optional("import").and_then(|value| value.list()).unwrap_or_default() {
            let Some(path) = value.text() else { continue };
            match import::read(&folder.join(path)) {
                Ok(found) => {
                    found.warnings.into_iter().for_each(|warning| value.warning(warning, None));
                    for it in found.definitions {
                        if let Some(before) = all.insert(it.id.clone(), Arc::new(it)) {
                            value.warning(format!("`{}` of an earlier file is replaced", before.id), None);
                        }
                    }
                }
                Err(why) => value.error(why, None),
            }
        }
        let entries = fields.optional("services").and_then(|value| value.entries());
        let mut places = BTreeMap::new();
        for (entry, value) in entries.into_iter().flatten() {
            if !Definition::is_id(&entry.key) {
                value.error_at(
                    entry.key_span,
                    format!("`{}` cannot be a service's name", entry.key),
                    Some("1 to 64 of A-Z a-z 0-9 - _ . :, a letter or digit first"),
                );
            }
            if let Some(found) = read_service(&entry.key, &value, &folder) {
                places.insert(found.id.clone(), value);
                all.insert(found.id.clone(), Arc::new(found));
            }
        }
        check_imported(&all, &places, fields.value());
        fields.finish();
        check_order(&all, &places);
    }
    let problems = reading.finish();
    if problems.has_errors() {
        Err(problems)
    } else {
        Ok(Configuration { definitions: all, warnings: problems })
    }
}

/// Notes what imported services need that is not there: it may have been left out.
fn check_imported(all: &Definitions, places: &BTreeMap<Arc<str>, Value<'_>>, whole: &Value<'_>) {
    for (id, definition) in all.iter().filter(|(id, _)| !places.contains_key(*id)) {
        for (other, _) in definition.depends_on.iter().filter(|(other, _)| !all.contains_key(other)) {
            let said =
                format!("`{id}` cannot be started: it depends on `{other}`, and there is no such service");
            whole.warning(said, None);
        }
    }
}

/// Notes dependencies on what is not there, and circles.
fn check_order(all: &Definitions, places: &BTreeMap<Arc<str>, Value<'_>>) {
    for (id, place) in places {
        let Some(definition) = all.get(id) else { continue };
        for (other, _) in &definition.depends_on {
            if !all.contains_key(other) {
                place.error(format!("`{id}` depends on `{other}`, and there is no such service"), None);
            }
        }
        let mut way = vec![id.clone()];
        if is_in_circle(all, id, &mut way) {
            place.error(format!("services depend on each other in a circle: {}", way.join(" → ")), None);
        }
    }
}

fn is_in_circle(all: &Definitions, first: &Arc<str>, way: &mut Vec<Arc<str>>) -> bool {
    let Some(definition) = way.last().and_then(|last| all.get(last)) else { return false };
    for (next, _) in &definition.depends_on {
        let closes = next == first;
        if !closes && way.contains(next) {
            // Another circle, which is found from its own members.
            continue;
        }
        way.push(next.clone());
        if closes || is_in_circle(all, first, way) {
            return true;
        }
        way.pop();
    }
    false
}

fn read_service(id: &str, value: &Value<'_>, folder: &Path) -> Option<Definition> {
    let mut fields = value.fields()?;
    let command = fields.required("command").and_then(|value| read_command(&value, folder));
    let cwd = fields.optional("cwd").and_then(|value| value.text());
    let cwd = cwd.map_or_else(|| folder.to_owned(), |cwd| folder.join(cwd));
    let mut read = Definition::new(id, command.unwrap_or_default(), cwd);
    if let Some(file) = fields.optional("env_file") {
        read.env.extend(read_env_file(&file, folder));
    }
    for (entry, value) in fields.optional("env").and_then(|value| value.entries()).into_iter().flatten() {
        read.env.extend(filled(&value, folder).map(|value| (entry.key.clone(), value)));
    }
    read.port = fields.optional("port").and_then(|value| match value.node().kind {
        Kind::Number(_) => read_port(&value).map(Port::Fixed),
        _ => value.word(&[("auto", Port::Auto)]),
    });
    let has_port = read.port.is_some();
    read.ready = fields.optional("ready").and_then(|value| {
        let mut fields = value.fields()?;
        let timeout = fields.optional("timeout").and_then(|value| time(&value)).unwrap_or(READY);
        let probe = read_probe(&mut fields, has_port, folder);
        fields.finish();
        Some(Ready { probe: probe?, timeout })
    });
    read.live = fields.optional("live").and_then(|value| {
        let mut fields = value.fields()?;
        let every =
            fields.optional("every").and_then(|value| time(&value)).unwrap_or(Duration::from_secs(10));
        let failures = fields.optional("failures").and_then(|value| count(&value)).unwrap_or(3);
        let probe = read_probe(&mut fields, has_port, folder);
        fields.finish();
        Some(Live { probe: probe?, every: every.max(Duration::from_millis(100)), failures })
    });
    for (entry, value) in
        fields.optional("depends_on").and_then(|value| value.entries()).into_iter().flatten()
    {
        let words = [
            ("started", Condition::Started),
            ("ready", Condition::Ready),
            ("exited", Condition::Exited),
            ("exited_ok", Condition::ExitedOk),
        ];
        read.depends_on.extend(value.word(&words).map(|condition| (entry.key.as_str().into(), condition)));
    }
    if let Some(restart) = fields.optional("restart") {
        read.restart = read_restart(&restart).unwrap_or_default();
    }
    if let Some(mut fields) = fields.optional("stop").and_then(|value| value.fields()) {
        read.stop.command = fields.optional("command").and_then(|value| read_command(&value, folder));
        read.stop.signal = fields.optional("signal").and_then(|value| {
            let text = value.text()?;
            let long = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
            let known = SIGNALS.iter().find(|(name, _)| *name == long).map(|(_, number)| *number);
            if known.is_none() {
                value.word(&SIGNALS);
            }
            known
        });
        read.stop.grace = fields.optional("grace").and_then(|value| time(&value)).unwrap_or(GRACE);
        fields.finish();
    }
    if let Some(loss) = fields.optional("on_loss") {
        read.on_loss = match &loss.node().kind {
            Kind::Map(_) => {
                let after = loss.fields().and_then(|mut fields| {
                    let after = fields.required("stop_after").and_then(|value| time(&value));
                    fields.finish();
                    after
                });
                OnLoss::StopAfter(after.map_or(5000, millis))
            }
            _ => loss.word(&[("keep", OnLoss::Keep)])?,
        };
    }
    if let Some(mut fields) = fields.optional("limits").and_then(|value| value.fields()) {
        let mut bound = |key| fields.optional(key).and_then(|value| time(&value)).map(millis);
        (read.limits.wall_ms, read.limits.idle_ms, read.limits.cpu_ms) =
            (bound("wall"), bound("idle"), bound("cpu"));
        if let Some(value) = fields.optional("memory") {
            let found = value.text().and_then(size);
            read.limits.memory = found.map(|bytes| bytes as u64);
            if found.is_none() {
                value.error("expected a size such as 512MiB", None);
            }
        }
        fields.finish();
    }
    if let Some(mut fields) = fields.optional("logs").and_then(|value| value.fields()) {
        if let Some(value) = fields.optional("size") {
            let found = value.text().and_then(size).filter(|bytes| *bytes >= 1 << 20);
            match found {
                Some(bytes) => read.log = bytes as u64,
                None => value.error("expected a size of at least 1MiB such as 64MiB", None),
            }
        }
        fields.finish();
    }
    for tag in fields.optional("tags").and_then(|value| value.list()).unwrap_or_default() {
        read.tags.extend(tag.text().map(str::to_owned));
    }
    read.description = fields.optional("description").and_then(|value| value.text()).map(str::to_owned);
    fields.finish();
    Some(read)
}

/// A list of words, or a line for a shell.
fn read_command(value: &Value<'_>, folder: &Path) -> Option<Vec<String>> {
    if let Kind::Text(_) = value.node().kind {
        return Some(in_shell(&filled(value, folder)?));
    }
    let words: Vec<String> = value.list()?.iter().map(|word| filled(word, folder)).collect::<Option<_>>()?;
    if words.first().is_none_or(String::is_empty) {
        value.mismatch("a command such as `[npm, run, dev]` or `npm run dev`", None);
        return None;
    }
    Some(words)
}

fn read_restart(value: &Value<'_>) -> Option<Restart> {
    let words = [("no", When::No), ("on_failure", When::OnFailure), ("always", When::Always)];
    let Kind::Map(_) = value.node().kind else {
        return Some(Restart { when: value.word(&words)?, ..Restart::default() });
    };
    let usual = Restart::default();
    let mut fields = value.fields()?;
    let when = fields.optional("policy").map_or(Some(When::OnFailure), |value| value.word(&words));
    let backoff = fields.optional("backoff").and_then(|value| time(&value)).unwrap_or(usual.backoff);
    let max = fields.optional("max").and_then(|value| count(&value)).unwrap_or(usual.max);
    fields.finish();
    Some(Restart { when: when?, backoff, max })
}

/// What is looked at: one of `port`, `http`, `log`, `exec`, `all`, `any`.
fn read_probe(fields: &mut Fields<'_>, has_port: bool, folder: &Path) -> Option<Probe> {
    let mut found = Vec::new();
    if let Some(value) = fields.optional("port") {
        found.push(match value.node().kind {
            Kind::Number(_) => Probe::Port(Some(read_port(&value)?)),
            _ => {
                value.word(&[("own", ())])?;
                needs_port(&value, has_port)?;
                Probe::Port(None)
            }
        });
    }
    if let Some(value) = fields.optional("http") {
        found.push(read_http(&value, has_port)?);
    }
    if let Some(value) = fields.optional("log") {
        match Regex::new(value.text()?) {
            Ok(regex) => found.push(Probe::Log(Pattern(regex))),
            Err(error) => value.error(format!("expected a regular expression: {error}"), None),
        }
    }
    if let Some(value) = fields.optional("exec") {
        found.push(Probe::Exec(read_command(&value, folder)?));
    }
    for (key, of) in [("all", Probe::All as fn(Vec<Probe>) -> Probe), ("any", Probe::Any)] {
        if let Some(value) = fields.optional(key) {
            let each = value.list()?;
            let probes = each.iter().filter_map(|value| {
                let mut fields = value.fields()?;
                let probe = read_probe(&mut fields, has_port, folder);
                fields.finish();
                probe
            });
            found.push(of(probes.collect()));
        }
    }
    let value = fields.value();
    match found.len() {
        1 => found.pop(),
        0 => {
            value.error("expected one of `port`, `http`, `log`, `exec`, `all` and `any`, found none", None);
            None
        }
        _ => {
            value.error(
                "expected one of `port`, `http`, `log`, `exec`, `all` and `any`, found more",
                Some("put them into `all:` or `any:`"),
            );
            None
        }
    }
}

fn read_http(value: &Value<'_>, has_port: bool) -> Option<Probe> {
    let path = |value: &Value<'_>| {
        let path = value.text()?;
        if !path.starts_with('/') {
            value.error(format!("expected a path such as /health, found `{path}`"), None);
        }
        Some(path.to_owned())
    };
    let Kind::Map(_) = value.node().kind else {
        needs_port(value, has_port)?;
        return Some(Probe::Http { host: None, path: path(value)?, port: None, status: 200..=399 });
    };
    let mut fields = value.fields()?;
    let at = fields.optional("path").map_or(Some("/".into()), |value| path(&value));
    let port = fields.optional("port").and_then(|value| read_port(&value));
    let status =
        fields.optional("status").and_then(|value| value.number()?.parse().ok()).map(|code| code..=code);
    fields.finish();
    if port.is_none() {
        needs_port(value, has_port)?;
    }
    Some(Probe::Http { host: None, path: at?, port, status: status.unwrap_or(200..=399) })
}

fn needs_port(value: &Value<'_>, has_port: bool) -> Option<()> {
    if !has_port {
        value.error("which port? The service has no `port`", Some("add `port: 3000` or `port: auto` to it"));
    }
    has_port.then_some(())
}

fn read_port(value: &Value<'_>) -> Option<u16> {
    let port = value.number()?.parse().ok().filter(|port| *port > 0);
    if port.is_none() {
        value.mismatch("a port from 1 to 65535", None);
    }
    port
}

fn read_env_file(value: &Value<'_>, folder: &Path) -> Vec<(String, String)> {
    let Some(path) = value.text().map(|path| folder.join(path)) else { return Vec::new() };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) => {
            value.error(format!("{} cannot be read: {error}", path.display()), None);
            return Vec::new();
        }
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, raw)) = line.split_once('=') else {
                value.error(format!("{}: expected NAME=value, found `{line}`", path.display()), None);
                return None;
            };
            let raw = raw.trim();
            let quoted = ['"', '\''].iter().find_map(|q| raw.strip_prefix(*q)?.strip_suffix(*q));
            Some((name.trim().to_owned(), quoted.unwrap_or(raw).to_owned()))
        })
        .collect()
}

fn filled(value: &Value<'_>, folder: &Path) -> Option<String> {
    // The port is known only when the service is started.
    let text = value.text()?.replace("${port}", "$${port}");
    match fill(&text, folder) {
        Ok(text) => Some(text),
        Err(why) => {
            value.error(format!("this value cannot be filled in: {why}"), None);
            None
        }
    }
}

fn time(value: &Value<'_>) -> Option<Duration> {
    if let Some(digits) = value.digits() {
        let hint = format!("write `{digits}s` for seconds, or `{digits}ms`");
        value.error(format!("expected a duration with its unit, found {digits}"), Some(&hint));
        return None;
    }
    let found = value.text()?;
    let read = duration(found);
    if read.is_none() {
        value.error(format!("expected a duration such as 90s or 500ms, found `{found}`"), None);
    }
    read
}

fn count(value: &Value<'_>) -> Option<u32> {
    let number = value.number()?.parse().ok().filter(|number| *number > 0);
    if number.is_none() {
        value.mismatch("a whole number above 0", None);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        let problems = read(Path::new("services.yaml"), text).unwrap_err();
        problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_service_says_all_that_it_needs() {
        let text = "services:\n  db: { command: postgres -D data }\n  web:\n    command: [npm, run, dev, --, \"${port}\"]\n    \
                    cwd: web\n    env: { A: \"x${port}\" }\n    port: auto\n    ready: { http: /health, timeout: 5s }\n    \
                    live: { all: [{ port: own }, { log: up }], every: 1s }\n    depends_on: { db: ready }\n    \
                    restart: { policy: always, backoff: 100ms, max: 2 }\n    stop: { signal: INT, grace: 1s }\n    on_loss: keep\n    limits: { wall: 1h, idle: 5m, cpu: 1m, memory: 512MiB }\n    \
                    logs: { size: 2MiB }\n    tags: [front]\n";
        let all = read(Path::new("/x/services.yaml"), text).unwrap().definitions;
        assert_eq!(all["db"].command, ["sh", "-c", "postgres -D data"]);
        let web = &all["web"];
        assert_eq!(web.command, ["npm", "run", "dev", "--", "${port}"]);
        assert_eq!((web.cwd.as_path(), &web.env[0].1[..]), (Path::new("/x/web"), "x${port}"));
        assert_eq!((web.port, web.on_loss, web.log), (Some(Port::Auto), OnLoss::Keep, 2 << 20));
        assert_eq!((web.limits.idle_ms, web.limits.memory), (Some(300_000), Some(512 << 20)));
        assert_eq!(web.ready.as_ref().unwrap().timeout, Duration::from_secs(5));
        assert_eq!((web.stop.signal, web.stop.grace), (Some(2), Duration::from_secs(1)));
        assert_eq!(web.depends_on, [("db".into(), Condition::Ready)]);
    }

    #[test]
    fn mistakes_are_named_all_at_once() {
        let said = wrong(
            "services:\n  a: { command: x, depends_on: { b: ready, z: ready } }\n  b: { command: x, depends_on: { a: started } }\n  \
             c: { comand: x }\n  d: { command: x, ready: { http: /h } }\n  \"e e\": { command: x }\n  f: { command: x, ready: { log: \"(\" } }\n",
        );
        for part in [
            "`a` depends on `z`, and there is no such service",
            "in a circle: a → b → a",
            "expected the key \"command\"",
            "which port?",
            "`e e` cannot be a service's name",
            "expected a regular expression",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
