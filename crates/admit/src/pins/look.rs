//! A look at a list, before anything of it is used.

use super::{FirstUse, Held, Identity, Kept, NewTools, Pins, ServerPin, Sight, Sighting, ToolPin, has, told};
use portcullis_catalogue::{Definition, Item, Others, blocks, differences};
use portcullis_ledger::{Failure, now_ms};
use serde_json::Value;
use std::collections::BTreeMap;

/// Kinds of askers that are told apart at most. What the others see for the first time is new.
const VARIANTS: usize = 256;
/// Who accepts what nobody was asked about.
const FIRST_USE: &str = "first use";
const BY_RULE: &str = "new_tools: allow";

/// One look at a list.
struct Look<'a> {
    sight: &'a Sight<'a>,
    /// Tools of other servers.
    others: Others<'a>,
    now_ms: i64,
}

impl Pins {
    /// Looks at a list. What is new is kept and recorded, and accepted where the rules say so; what became another waits
    /// from now on for a person.
    ///
    /// # Errors
    /// Where it cannot be kept or recorded; then nothing of the list may be used.
    pub async fn see(&self, sight: Sight<'_>) -> Result<(), Failure> {
        if self.knows(&sight) {
            return Ok(());
        }
        let _one = self.0.looking.lock().await;
        if self.knows(&sight) {
            return Ok(());
        }
        let upstream = sight.upstream;
        let mut kept = self.kept(None)?;
        let foreign: Vec<(String, String)> =
            kept.tools.keys().filter(|(server, _)| server != upstream).cloned().collect();
        let others = Others::of(
            foreign.iter().map(|(server, tool)| (server.as_str(), tool.as_str())),
            sight.list.items().iter().map(Item::key),
        );
        let look = Look { sight: &sight, others, now_ms: now_ms() };
        let known = kept.servers.get(upstream).filter(|server| server.entry == sight.entry).cloned();
        let mut said: Vec<(String, String)> = Vec::new();
        match known {
            None => {
                let (message, fingerprints) = look.first(&mut kept);
                self.record(upstream, "", &message, fingerprints.as_deref()).await?;
            }
            Some(server) => look.again(server, &mut kept, &mut said),
        }
        for (tool, message) in said {
            tracing::warn!(upstream, tool, "{message}");
            self.record(upstream, &tool, &message, None).await?;
        }
        self.keep(upstream, &kept).await?;
        for (server, tool) in look.back(&mut kept) {
            let message = format!(
                "it gives orders about tools of {upstream}, which was not there before: waits for a person"
            );
            tracing::warn!(upstream = server, tool, "{message}");
            self.record(&server, &tool, &message, None).await?;
            self.keep(&server, &kept).await?;
        }
        Ok(())
    }

    /// Compares what a server says that it is at the beginning of a conversation. One that says something else than what it was
    /// accepted as passes nothing from now on. Of a server that was never listed nothing is known.
    ///
    /// # Errors
    /// Where it cannot be kept or recorded; then nothing of the conversation may be used.
    pub async fn meet(&self, upstream: &str, entry: &str, identity: &Identity) -> Result<(), Failure> {
        let is_news = || {
            let servers = self.0.servers.read();
            let server = servers.get(upstream).filter(|server| server.entry == entry);
            server.is_some_and(|server| identity != server.seen.as_ref().unwrap_or(&server.identity))
        };
        if !is_news() {
            return Ok(());
        }
        let _one = self.0.looking.lock().await;
        if !is_news() {
            return Ok(());
        }
        let mut kept = self.kept(Some(upstream))?;
        let Some(server) = kept.servers.get_mut(upstream) else { return Ok(()) };
        if let Some(message) = compare(server, identity) {
            tracing::warn!(upstream, "{message}");
            self.record(upstream, "", &message, None).await?;
        }
        self.keep(upstream, &kept).await
    }

    /// Whether all of it was seen before.
    fn knows(&self, sight: &Sight<'_>) -> bool {
        let servers = self.0.servers.read();
        let Some(server) = servers.get(sight.upstream) else { return false };
        let is_known = |item: &Item| {
            let Some(tool) = server.tools.get(item.key()) else { return false };
            let fingerprint = item.fingerprint();
            tool.seen.as_deref() == Some(fingerprint)
                || (tool.held.is_none() && has(&tool.accepted, fingerprint))
        };
        server.entry == sight.entry
            && sight.identity == *server.seen.as_ref().unwrap_or(&server.identity)
            && server.variants.contains(sight.variant)
            && sight.list.items().iter().all(is_known)
    }
}

/// Notes what a server says that it is. Gives what there is to say of it.
fn compare(server: &mut ServerPin, identity: &Identity) -> Option<String> {
    if *identity == server.identity {
        return server.seen.take().map(|_| format!("it says again that it is {identity}"));
    }
    if server.seen.as_ref() == Some(identity) {
        return None;
    }
    server.seen = Some(identity.clone());
    Some(format!(
        "it says that it is {identity}, and was accepted as {}: nothing of it passes",
        server.identity
    ))
}

impl Look<'_> {
    /// The first list of a server, or of one whose entry is another than before: a person configured it. Gives what there is to
    /// say of it, and the fingerprints of all its tools.
    fn first(&self, kept: &mut Kept) -> (String, Option<String>) {
        let sight = self.sight;
        let again = kept.servers.contains_key(sight.upstream);
        kept.servers.insert(
            sight.upstream.to_owned(),
            ServerPin {
                entry: sight.entry.to_owned(),
                identity: sight.identity.clone(),
                seen: None,
                variants: [sight.variant.to_owned()].into(),
                since: self.now_ms,
            },
        );
        let mut fingerprints = BTreeMap::new();
        let mut waiting = Vec::new();
        for item in sight.list.items() {
            let pin = kept.tools.entry((sight.upstream.to_owned(), item.key().to_owned())).or_default();
            self.bring(pin, item, sight.rules.first == FirstUse::Accept, FIRST_USE);
            fingerprints.insert(item.key(), item.fingerprint());
            if let Some(held) = pin.held {
                waiting.push(format!("{} ({})", item.key(), word(held)));
            }
        }
        let accepted = fingerprints.len() - waiting.len();
        let how = if again { "its entry in the configuration is another: first use" } else { "first use" };
        let mut message = format!("{how} of {}: {accepted} tools accepted", sight.identity);
        if !waiting.is_empty() {
            message.push_str(&format!("; waiting for a person: {}", waiting.join(", ")));
            tracing::warn!(upstream = sight.upstream, "{message}");
        }
        (message, serde_json::to_string(&fingerprints).ok())
    }

    /// A list of a server that is known. Adds what there is to say, of it and of its tools.
    fn again(&self, mut server: ServerPin, kept: &mut Kept, said: &mut Vec<(String, String)>) {
        let sight = self.sight;
        said.extend(compare(&mut server, &sight.identity).map(|message| (String::new(), message)));
        let is_new_variant =
            server.variants.len() < VARIANTS && server.variants.insert(sight.variant.to_owned());
        kept.servers.insert(sight.upstream.to_owned(), server);
        for item in sight.list.items() {
            let message = self.later(item, is_new_variant, kept);
            said.extend(message.map(|message| (item.key().to_owned(), message)));
        }
    }

    /// A tool of a list that is not the first. Gives what there is to say of it.
    fn later(&self, item: &Item, is_new_variant: bool, kept: &mut Kept) -> Option<String> {
        let rules = self.sight.rules;
        let place = (self.sight.upstream.to_owned(), item.key().to_owned());
        let Some(pin) = kept.tools.get_mut(&place) else {
            let mut pin = ToolPin::default();
            // What a client sees that can do more than those before it is not new: nobody could have seen it.
            let (accept, by) = match (is_new_variant, rules.new_tools) {
                (true, _) => (rules.first == FirstUse::Accept, FIRST_USE),
                (false, new) => (new == NewTools::Allow, BY_RULE),
            };
            self.bring(&mut pin, item, accept, by);
            if pin.held == Some(Held::New) && !is_new_variant && rules.new_tools == NewTools::Hide {
                pin.held = Some(Held::Hidden);
            }
            let became = pin.held.map_or(format!("accepted ({by})"), |held| word(held).to_owned());
            kept.tools.insert(place, pin);
            return Some(format!("a tool that it did not have before: {became}"));
        };
        let fingerprint = item.fingerprint();
        // Another definition that waits goes on waiting: other clients may see that one.
        if pin.held.is_none() && has(&pin.accepted, fingerprint) {
            return None;
        }
        if pin.seen.as_ref().is_some_and(|seen| seen.fingerprint == fingerprint) {
            return None;
        }
        let sighting = self.sighting(item);
        // What it looks like for clients that speak or can do otherwise: as far as no model reads it, that is the same tool.
        if let (true, None, None, Some(before)) = (is_new_variant, item.fault(), pin.held, &pin.definition)
            && differences(before, &sighting.definition).iter().all(|it| no_model_reads(&it.place))
        {
            pin.accepted.push(sighting.fingerprint);
            return None;
        }
        let what = match (&pin.definition, &pin.seen) {
            (Some(before), _) => told(&differences(before, &sighting.definition)),
            (None, Some(before)) => {
                format!("{}, while it waited", told(&differences(&before.definition, &sighting.definition)))
            }
            (None, None) => "all of it".to_owned(),
        };
        let what = item
            .fault()
            .map_or(what.clone(), |fault| format!("{what}; it could be read in two ways: {fault}"));
        pin.seen = Some(sighting);
        Some(format!("its definition changed: {what}"))
    }

    /// A tool that was not there before, or belongs to a server that was configured anew.
    fn bring(&self, pin: &mut ToolPin, item: &Item, accept: bool, by: &str) {
        if pin.held.is_none() && has(&pin.accepted, item.fingerprint()) {
            return;
        }
        let sighting = self.sighting(item);
        let speaks = item.fault().is_some()
            || blocks(&sighting.definition)
            || gives_orders(&self.others, &sighting.definition);
        if accept && !speaks {
            pin.accept(sighting, by, None, self.now_ms);
        } else {
            pin.held = Some(if speaks { Held::Found } else { Held::New });
            (pin.seen, pin.at) = (Some(sighting), self.now_ms);
        }
    }

    /// Holds what other servers' definitions say of this one's tools, where nobody has looked at them: when they were accepted,
    /// there was no such tool. Gives those that wait by that.
    fn back(&self, kept: &mut Kept) -> Vec<(String, String)> {
        let own = || self.sight.list.items().iter().map(|item| (self.sight.upstream, item.key()));
        let servers: Vec<String> =
            kept.servers.keys().filter(|name| *name != self.sight.upstream).cloned().collect();
        let mut held = Vec::new();
        for server in servers {
            let from = (server.clone(), String::new());
            let of_it = |(of, _): &(String, String)| *of == server;
            let names: Vec<String> = kept
                .tools
                .range(from.clone()..)
                .take_while(|(key, _)| of_it(key))
                .map(|(key, _)| key.1.clone())
                .collect();
            let others = Others::of(own(), names.iter().map(String::as_str));
            for ((_, tool), pin) in kept.tools.range_mut(from..).take_while(|(key, _)| of_it(key)) {
                let unseen = pin.held.is_none() && [FIRST_USE, BY_RULE].contains(&pin.by.as_str());
                if !unseen || !pin.definition.as_ref().is_some_and(|it| gives_orders(&others, it)) {
                    continue;
                }
                let fingerprint = pin.accepted.pop().unwrap_or_default();
                let definition = pin.definition.take().unwrap_or_default();
                pin.accepted.clear();
                pin.held = Some(Held::Found);
                pin.seen = Some(Sighting { fingerprint, definition, at: self.now_ms });
                held.push((server.clone(), tool.clone()));
            }
        }
        held
    }

    fn sighting(&self, item: &Item) -> Sighting {
        let definition: Value = serde_json::from_str(item.raw()).unwrap_or_default();
        Sighting { fingerprint: item.fingerprint().to_owned(), definition, at: self.now_ms }
    }
}

fn gives_orders(others: &Others<'_>, definition: &Value) -> bool {
    !others.is_empty()
        && Definition::of(definition.clone()).is_some_and(|tool| others.order_in(&tool).is_some())
}

/// Members that say how a tool is spoken to, and nothing of what it does.
fn no_model_reads(place: &str) -> bool {
    ["execution", "_meta", "icons"]
        .into_iter()
        .any(|name| place == name || place.starts_with(&format!("{name}.")))
        || place.ends_with(".x-mcp-header")
}

const fn word(held: Held) -> &'static str {
    match held {
        Held::New => "waits for a person",
        Held::Hidden => "hidden",
        Held::Found => "speaks to the model",
    }
}
