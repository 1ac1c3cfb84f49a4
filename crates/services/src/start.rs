//! What a service is started with.

use crate::definition::{Definition, Port};
use crate::ports::{self, Holder};
use portcullis_runs::{Ending, Hold, Kind, Limits, OnLoss, Pipes, allowed_environment};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are kept of what a command that looks at a service writes.
const PROBE: u64 = 1 << 20;

/// The port that a service gets: the one that was asked for, its own, or any. Where somebody holds it already, that is
/// said at once.
pub(crate) fn port(definition: &Definition, asked: Option<u16>) -> Result<Option<u16>, String> {
    let fixed = match (asked, definition.port) {
        (Some(port), _) | (None, Some(Port::Fixed(port))) => port,
        (None, Some(Port::Auto)) => {
            return ports::free().map(Some).map_err(|error| format!("no port is free: {error}"));
        }
        (None, Some(Port::Offered(port))) => return Ok(Some(port)),
        (None, None) => return Ok(None),
    };
    match ports::holder(fixed, Vec::new) {
        Holder::Free | Holder::Own => Ok(Some(fixed)),
        Holder::Stranger(by) => {
            let free = ports::free().map(|free| format!("; port {free} is free")).unwrap_or_default();
            Err(format!("{}{free}", ports::taken(fixed, by.as_ref())))
        }
    }
}

/// How a service is held.
pub(crate) fn service(
    upstream: &Arc<str>,
    definition: &Definition,
    port: Option<u16>,
    spool: PathBuf,
) -> Result<Hold, String> {
    if !definition.cwd.is_dir() {
        return Err(format!("its folder {} does not exist", definition.cwd.display()));
    }
    let mut hold = hold(upstream, definition, port, &definition.command);
    hold.kind = Kind::Service;
    hold.spool = Some(spool);
    hold.keep = definition.log;
    hold.limits = definition.limits;
    hold.ending = definition.stop.clone();
    hold.ending.command =
        hold.ending.command.map(|words| words.iter().map(|word| with_port(word, port)).collect());
    hold.on_loss = definition.on_loss;
    Ok(hold)
}

/// How a command is held that looks at a service.
pub(crate) fn probe(
    upstream: &Arc<str>,
    definition: &Definition,
    port: Option<u16>,
    command: &[String],
    limits: Limits,
) -> Hold {
    Hold { limits, ..hold(upstream, definition, port, command) }
}

fn hold(upstream: &Arc<str>, definition: &Definition, port: Option<u16>, command: &[String]) -> Hold {
    // In the files of other tools `${port}` is a variable of the shell.
    let filled = port.filter(|_| !matches!(definition.port, Some(Port::Offered(_))));
    let mut words = command.iter().map(|word| with_port(word, filled));
    let own = definition.env.iter().map(|(name, value)| (name.clone(), with_port(value, filled)));
    let given = port.map(|port| ("PORT".to_owned(), port.to_string()));
    Hold {
        kind: Kind::Command,
        owner: "gate".into(),
        upstream: upstream.clone(),
        name: Some(definition.id.clone()),
        port,
        program: words.next().unwrap_or_default(),
        args: words.collect(),
        env: allowed_environment().chain(given).chain(own).collect(),
        cwd: Some(definition.cwd.clone()),
        pipes: Pipes::None,
        spool: None,
        keep: PROBE,
        limits: Limits::default(),
        ending: Ending::default(),
        on_loss: OnLoss::StopAfter(0),
    }
}

fn with_port(text: &str, port: Option<u16>) -> String {
    port.map_or_else(|| text.to_owned(), |port| text.replace("${port}", &port.to_string()))
}
