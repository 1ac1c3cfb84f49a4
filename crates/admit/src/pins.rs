//! Pins: what a server was accepted as, and so what of it may be used.
//!
//! A definition that a model reads is as good as code that it runs. So each is known by its fingerprint: what a person
//! accepted passes, what became another since does not, until a person accepts that. [`Pins::see`] is told of every list
//! before anything of it is used; [`Pins::withholds`] says what of it may not be.

mod look;
mod stored;

pub use stored::{Held, Identity, Kept, ServerPin, Sighting, ToolPin};

use parking_lot::RwLock;
use portcullis_catalogue::{List, differences};
use portcullis_ledger::{Draft, Failure, Keep, Kind, Ledger, PinRow, now_ms};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What was accepted of every server. Clones share it.
#[derive(Debug, Clone)]
pub struct Pins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Ledger,
    servers: RwLock<HashMap<String, Server>>,
    /// One look, or one acceptance, at a time.
    looking: tokio::sync::Mutex<()>,
}

/// What calls need to know of a server. The definitions themselves are in the store.
#[derive(Debug, Default)]
struct Server {
    entry: String,
    identity: Identity,
    seen: Option<Identity>,
    variants: BTreeSet<String>,
    since: i64,
    tools: HashMap<String, Tool>,
}

#[derive(Debug)]
struct Tool {
    accepted: Vec<String>,
    held: Option<Held>,
    seen: Option<String>,
}

/// What its entry in the configuration says of a server's definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PinRules {
    /// Of those that its first connection brings.
    pub first: FirstUse,
    /// Of tools that come later.
    pub new_tools: NewTools,
}

/// What becomes of the definitions that a first connection brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstUse {
    /// They are accepted: a person configured the server.
    #[default]
    Accept,
    /// They wait for a person.
    Ask,
}

/// What becomes of a tool that a known server did not have before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NewTools {
    /// It waits for a person.
    #[default]
    Ask,
    /// It is accepted.
    Allow,
    /// It is as if it were not there.
    Hide,
}

/// A list as a server gave it.
#[derive(Debug)]
pub struct Sight<'a> {
    /// The upstream.
    pub upstream: &'a str,
    /// Its entry in the configuration, without secrets' values: another one is another server.
    pub entry: &'a str,
    /// What its entry says.
    pub rules: PinRules,
    /// What it says that it is.
    pub identity: Identity,
    /// What the asker could do: lists depend on that.
    pub variant: &'a str,
    /// Its tools.
    pub list: &'a List,
}

/// Why a tool may not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Withheld {
    /// It is to be as if it were not there.
    Hidden,
    /// It waits for a person, for this reason.
    Quarantined(String),
    /// It, or its server, is not what was accepted.
    Changed(String),
}

impl Pins {
    /// What a store has.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn of(ledger: Ledger) -> Result<Self, Failure> {
        let mut servers: HashMap<String, Server> = HashMap::new();
        for row in ledger.pins(None)? {
            servers.entry(row.upstream.clone()).or_default().take(&row);
        }
        let (servers, looking) = (RwLock::new(servers), tokio::sync::Mutex::default());
        Ok(Self(Arc::new(Inner { ledger, servers, looking })))
    }

    /// What tells one text from another, and gives nothing of it away.
    #[must_use]
    pub fn digest(&self, text: &str) -> String {
        self.0.ledger.arguments_digest(text)
    }

    /// Why a tool with this definition may not be used; `None` where it may.
    #[must_use]
    pub fn withholds(&self, upstream: &str, tool: &str, fingerprint: &str) -> Option<Withheld> {
        let servers = self.0.servers.read();
        // What is built in is ours, and is never looked at here.
        let server = servers.get(upstream)?;
        if let Some(seen) = &server.seen {
            return Some(Withheld::Changed(format!(
                "The server {upstream} says that it is {seen}, and was accepted as {}; {}.",
                server.identity,
                accepts(upstream)
            )));
        }
        let accepts = || accepts(&format!("{upstream} {tool}"));
        let Some(known) = server.tools.get(tool) else {
            return Some(Withheld::Quarantined(format!("The tool {tool} is not known; {}.", accepts())));
        };
        match known.held {
            Some(Held::Hidden) => Some(Withheld::Hidden),
            Some(Held::New) => Some(Withheld::Quarantined(format!(
                "Nobody has accepted the tool {tool} yet; {}.",
                accepts()
            ))),
            Some(Held::Found) => Some(Withheld::Quarantined(format!(
                "The definition of {tool} speaks to the model behind its user's back; a person has to look at it: \
                 `portcullis catalogue show {upstream} {tool}`."
            ))),
            None if has(&known.accepted, fingerprint) => None,
            None => Some(Withheld::Changed(format!(
                "The definition of {tool} is not the one that was accepted: `portcullis catalogue diff {upstream} {tool}` \
                 shows what changed; {}.",
                accepts()
            ))),
        }
    }

    /// Whether lists of that kind of asker were seen before.
    #[must_use]
    pub fn has_variant(&self, upstream: &str, variant: &str) -> bool {
        self.0.servers.read().get(upstream).is_none_or(|server| server.variants.contains(variant))
    }

    /// What a server was accepted as, and when it was seen first, in milliseconds since 1970.
    #[must_use]
    pub fn accepted(&self, upstream: &str) -> Option<(Identity, i64)> {
        let servers = self.0.servers.read();
        servers.get(upstream).map(|server| (server.identity.clone(), server.since))
    }

    /// All that is kept of one upstream, or of all.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn kept(&self, upstream: Option<&str>) -> Result<Kept, Failure> {
        Ok(Kept::read(self.0.ledger.pins(upstream)?))
    }

    /// Accepts what waits: of a server, or one tool of it. Gives the names of what was accepted, the server's own empty.
    ///
    /// # Errors
    /// Where the store cannot be read or written.
    pub async fn accept(
        &self,
        upstream: &str,
        tool: Option<&str>,
        by: &str,
        reason: Option<&str>,
    ) -> Result<Vec<String>, Failure> {
        let now_ms = now_ms();
        let _one = self.0.looking.lock().await;
        let mut kept = self.kept(Some(upstream))?;
        let mut accepted = Vec::new();
        let mut rows = Vec::new();
        if let Some(server) = kept.servers.get_mut(upstream).filter(|_| tool.is_none())
            && let Some(seen) = server.seen.take()
        {
            rows.push((String::new(), format!("accepted as {seen}, before that as {}", server.identity)));
            server.identity = seen;
            accepted.push(String::new());
        }
        let waiting = kept.tools.iter_mut().filter(|((_, name), _)| tool.is_none_or(|tool| tool == name));
        for ((_, name), pin) in waiting {
            let Some(seen) = pin.seen.take() else { continue };
            let what = match &pin.definition {
                Some(before) => told(&differences(before, &seen.definition)),
                None => "a tool that was not accepted before".to_owned(),
            };
            rows.push((name.clone(), format!("accepted: {what}")));
            pin.accept(seen, by, reason, now_ms);
            accepted.push(name.clone());
        }
        for (name, message) in rows {
            let message = reason.map_or(message.clone(), |reason| format!("{message}; {reason}"));
            self.record(upstream, &name, &format!("{message} (by {by})"), None).await?;
        }
        self.keep(upstream, &kept).await?;
        Ok(accepted)
    }

    async fn keep(&self, upstream: &str, kept: &Kept) -> Result<(), Failure> {
        let rows = kept.rows(upstream);
        self.0.ledger.keep_pins(rows.clone()).await?;
        let mut server = Server::default();
        rows.iter().for_each(|row| server.take(row));
        self.0.servers.write().insert(upstream.to_owned(), server);
        Ok(())
    }

    async fn record(
        &self,
        upstream: &str,
        tool: &str,
        message: &str,
        fingerprints: Option<&str>,
    ) -> Result<(), Failure> {
        let draft = Draft {
            upstream: Some(upstream),
            tool: (!tool.is_empty()).then_some(tool),
            message: Some(message),
            args: fingerprints,
            ..Draft::of(Kind::Pin)
        };
        self.0.ledger.append(draft.write(), Vec::new(), Keep::Process).await.map(drop)
    }
}

impl Server {
    fn take(&mut self, row: &PinRow) {
        if row.tool.is_empty() {
            if let Ok(pin) = serde_json::from_str::<ServerPin>(&row.body) {
                (self.entry, self.identity, self.seen) = (pin.entry, pin.identity, pin.seen);
                (self.variants, self.since) = (pin.variants, pin.since);
            }
            return;
        }
        // What cannot be read was never accepted.
        let pin = serde_json::from_str::<ToolPin>(&row.body).unwrap_or_default();
        let tool =
            Tool { accepted: pin.accepted, held: pin.held, seen: pin.seen.map(|seen| seen.fingerprint) };
        self.tools.insert(row.tool.clone(), tool);
    }
}

/// Whether a fingerprint is among those that were accepted.
fn has(accepted: &[String], fingerprint: &str) -> bool {
    accepted.iter().any(|accepted| accepted == fingerprint)
}

/// How a person accepts something.
fn accepts(what: &str) -> String {
    format!("`portcullis catalogue accept {what}` accepts it")
}

/// Differences in a few words: the first places, and how many more.
fn told(differences: &[portcullis_catalogue::Difference]) -> String {
    const SHOWN: usize = 4;
    let places: Vec<String> = differences
        .iter()
        .take(SHOWN)
        .map(|it| format!("{}{}", it.place, if it.weakens { " (promises less harm)" } else { "" }))
        .collect();
    let more = differences.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", places.join(", "))
}
