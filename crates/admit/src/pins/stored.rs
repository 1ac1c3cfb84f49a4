//! Pins as they are kept.

use portcullis_ledger::PinRow;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Accepted definitions of one tool that are kept: a server may give others to clients that can do other things.
const KEPT: usize = 8;

/// What a server says that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_deref().unwrap_or("a server without a name");
        match &self.version {
            Some(version) => write!(out, "{name} {version}"),
            None => out.write_str(name),
        }
    }
}

/// What is kept of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPin {
    /// Its entry in the configuration, as a digest.
    pub entry: String,
    /// What it was accepted as.
    pub identity: Identity,
    /// What it says that it is, where that is another.
    pub seen: Option<Identity>,
    /// What askers could do whose lists were seen.
    pub variants: BTreeSet<String>,
    /// When it was seen first, in milliseconds since 1970.
    pub since: i64,
}

/// Why a tool that was not accepted waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Nobody has looked at it.
    New,
    /// It is not to be seen.
    Hidden,
    /// Something in it speaks to the model.
    Found,
}

/// What is kept of a tool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolPin {
    /// Fingerprints that were accepted, the last one last.
    pub accepted: Vec<String>,
    /// The definition that was accepted last.
    pub definition: Option<Value>,
    /// Why it waits, where it was never accepted.
    pub held: Option<Held>,
    /// What it is now, where that is not accepted.
    pub seen: Option<Sighting>,
    /// When it was accepted last, in milliseconds since 1970; when it was seen first, where it never was.
    pub at: i64,
    /// Who accepted it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A definition that was seen and is not accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Its fingerprint.
    pub fingerprint: String,
    /// It itself.
    pub definition: Value,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl ToolPin {
    pub(super) fn accept(&mut self, seen: Sighting, by: &str, reason: Option<&str>, now_ms: i64) {
        self.accepted.retain(|accepted| *accepted != seen.fingerprint);
        self.accepted.push(seen.fingerprint);
        if self.accepted.len() > KEPT {
            self.accepted.remove(0);
        }
        (self.definition, self.held, self.seen) = (Some(seen.definition), None, None);
        (self.at, self.by, self.reason) = (now_ms, by.to_owned(), reason.map(str::to_owned));
    }

    /// In a word: `accepted`, `changed`, or why it waits.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match (self.held, &self.seen) {
            (Some(Held::New), _) => "new",
            (Some(Held::Hidden), _) => "hidden",
            (Some(Held::Found), _) => "quarantined",
            (None, Some(_)) => "changed",
            (None, None) => "accepted",
        }
    }
}

/// What is kept of servers and of their tools, by upstream and name.
#[derive(Debug, Default)]
pub struct Kept {
    /// Of servers.
    pub servers: BTreeMap<String, ServerPin>,
    /// Of their tools.
    pub tools: BTreeMap<(String, String), ToolPin>,
}

impl Kept {
    pub(super) fn read(rows: Vec<PinRow>) -> Self {
        let mut kept = Self::default();
        for PinRow { upstream, tool, body } in rows {
            if tool.is_empty() {
                kept.servers.insert(upstream, serde_json::from_str(&body).unwrap_or_default());
            } else {
                kept.tools.insert((upstream, tool), serde_json::from_str(&body).unwrap_or_default());
            }
        }
        kept
    }

    /// The rows of one upstream.
    pub(super) fn rows(&self, upstream: &str) -> Vec<PinRow> {
        let row = |tool: &str, body: serde_json::Result<String>| {
            Some(PinRow { upstream: upstream.to_owned(), tool: tool.to_owned(), body: body.ok()? })
        };
        let server = self.servers.get(upstream).and_then(|pin| row("", serde_json::to_string(pin)));
        let tools = self.tools.iter().filter(|((of, _), _)| of == upstream);
        server
            .into_iter()
            .chain(tools.filter_map(|((_, name), pin)| row(name, serde_json::to_string(pin))))
            .collect()
    }
}
