//! Probes of a process.

use super::{members, number, seconds, text};
use crate::definition::{Definition, Live, Pattern, Probe, READY, Ready, in_shell};
use portcullis_document::Node;
use regex::Regex;
use std::path::Path;

/// Names of this machine: what answers there has to be the service's own.
const HERE: [&str; 5] = ["localhost", "127.0.0.1", "0.0.0.0", "::1", "[::1]"];

/// How the probes of one process are read.
pub(super) struct Probes<'a> {
    /// Where the process runs.
    pub(super) folder: &'a Path,
    /// Whether it goes on after its program has ended: then whoever holds its port is none of its processes.
    pub(super) is_daemon: bool,
}

impl Probes<'_> {
    /// Notes how a service is known to be ready and to work. A probe that cannot be asked here is named.
    pub(super) fn read(&self, process: &Node, read: &mut Definition, warnings: &mut Vec<String>) {
        if let Some(line) = text(process, "ready_log_line").filter(|line| !line.is_empty()) {
            // It is a regular expression there, and looked for as it stands where it is none.
            let pattern = Regex::new(&line).or_else(|_| Regex::new(&regex::escape(&line)));
            read.ready = pattern.ok().map(|it| Ready { probe: Probe::Log(Pattern(it)), timeout: READY });
        }
        let counted =
            |found: &Node, key: &str, usual: f64| number(found, key).filter(|it| *it >= 1.0).unwrap_or(usual);
        if let Some((found, probe)) = self.of(process, "readiness_probe", warnings) {
            let tries = counted(found, "failure_threshold", 3.0) * counted(found, "period_seconds", 10.0);
            let delay = number(found, "initial_delay_seconds").unwrap_or_default().max(0.0);
            read.ready = Some(Ready { probe, timeout: seconds(tries + delay) });
        }
        if let Some((found, probe)) = self.of(process, "liveness_probe", warnings) {
            let every = seconds(counted(found, "period_seconds", 10.0));
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
            let failures = counted(found, "failure_threshold", 3.0) as u32;
            read.live = Some(Live { probe, every, failures });
        }
    }

    fn of<'n>(&self, process: &'n Node, key: &str, warnings: &mut Vec<String>) -> Option<(&'n Node, Probe)> {
        let found = process.get(key)?;
        match self.probe(found, warnings) {
            Ok(probe) => Some((found, probe)),
            Err(why) => {
                warnings.push(format!("its `{key}` is left out: {why}"));
                None
            }
        }
    }

    fn probe(&self, found: &Node, warnings: &mut Vec<String>) -> Result<Probe, String> {
        if let Some(http) = found.get("http_get") {
            return self.http(http, warnings);
        }
        let exec = found.get("exec").ok_or("expected `http_get` or `exec`")?;
        let command =
            text(exec, "command").filter(|line| !line.is_empty()).ok_or("`exec` has no `command`")?;
        Ok(Probe::Exec(match text(exec, "working_dir").filter(|folder| !folder.is_empty()) {
            None => in_shell(&command),
            Some(folder) => {
                let folder = self.folder.join(folder).to_string_lossy().into_owned();
                let line = "cd \"$1\" && exec sh -c \"$2\"";
                ["sh", "-c", line, "sh", &folder, &command].map(str::to_owned).to_vec()
            }
        }))
    }

    fn http(&self, http: &Node, warnings: &mut Vec<String>) -> Result<Probe, String> {
        let host = text(http, "host").map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
        let scheme = text(http, "scheme").map(|scheme| scheme.trim().to_lowercase()).unwrap_or_default();
        let usual = if scheme == "https" { 443 } else { 80 };
        let port = match text(http, "port").filter(|port| !port.is_empty()) {
            None => usual,
            Some(port) => {
                let read = port.parse().ok().filter(|port| *port > 0);
                read.ok_or_else(|| format!("expected a port, found `{port}`"))?
            }
        };
        let elsewhere = host.filter(|host| self.is_daemon || !HERE.contains(&host.as_str()));
        let host = elsewhere.or_else(|| self.is_daemon.then(|| "localhost".to_owned()));
        if members(http).any(|(key, _)| key == "headers") {
            warnings.push("the `headers` of its `http_get` are not sent".into());
        }
        match (scheme.as_str(), host) {
            ("" | "http", host) => {
                let path = text(http, "path").filter(|path| !path.trim().is_empty()).unwrap_or_default();
                let path = if path.starts_with('/') { path } else { format!("/{path}") };
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is looked at")]
                let code = number(http, "status_code").map(|code| code as u16);
                let status =
                    code.filter(|code| (100..400).contains(code)).map_or(200..=399, |code| code..=code);
                Ok(Probe::Http { host, path, port: Some(port), status })
            }
            ("https", None) => {
                warnings.push(format!("port {port} is only looked at, not asked with `https`"));
                Ok(Probe::Port(Some(port)))
            }
            (scheme, _) => Err(format!("`{scheme}` is not asked here")),
        }
    }
}
