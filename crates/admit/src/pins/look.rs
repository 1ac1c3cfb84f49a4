//! A look at a list, before anything of it is used.

use super::stored::Kept;
use super::{FirstUse, Held, NewTools, Pins, ServerPin, Sight, Sighting, ToolPin, now_ms, told};
use portcullis_catalogue::{Item, blocks, differences};
use portcullis_ledger::Failure;
use serde_json::Value;
use std::collections::BTreeMap;

/// Kinds of askers that are told apart at most. What the others see for the first time is new.
const VARIANTS: usize = 256;
/// Who accepts what nobody was asked about.
const FIRST_USE: &str = "first use";
const BY_RULE: &str = "new_tools: allow";

impl Pins {
    /// Looks at a list. What is new is kept and recorded, and accepted where the rules say so; what became another waits
    /// from now on for a person.
    ///
    /// # Errors
    /// Where it cannot be kept or recorded; then nothing of the list may be used.
    pub async fn see(&self, sight: Sight<'_>) -> Result<(), Failure> {
        let now_ms = now_ms();
        if self.knows(&sight) {
            return Ok(());
        }
        let _one = self.0.looking.lock().await;
        if self.knows(&sight) {
            return Ok(());
        }
        let mut kept = self.kept(Some(sight.upstream))?;
        let upstream = sight.upstream;
        let known = kept.servers.get(upstream).filter(|server| server.entry == sight.entry).cloned();
        let mut said: Vec<(String, String)> = Vec::new();
        match known {
            None => self.first(&sight, &mut kept, now_ms).await?,
            Some(mut server) => {
                if sight.identity == server.identity {
                    if server.seen.take().is_some() {
                        said.push((String::new(), format!("it says again that it is {}", server.identity)));
                    }
                } else if server.seen.as_ref() != Some(&sight.identity) {
                    let what = format!(
                        "it says that it is {}, and was accepted as {}: nothing of it passes",
                        sight.identity, server.identity
                    );
                    said.push((String::new(), what));
                    server.seen = Some(sight.identity.clone());
                }
                let is_new_variant =
                    server.variants.len() < VARIANTS && server.variants.insert(sight.variant.to_owned());
                kept.servers.insert(upstream.to_owned(), server);
                for item in sight.list.items() {
                    said.extend(
                        later(&sight, item, is_new_variant, &mut kept, now_ms)
                            .map(|message| (item.key().to_owned(), message)),
                    );
                }
            }
        }
        for (tool, message) in said {
            tracing::warn!(upstream, tool, "{message}");
            self.record(upstream, &tool, &message, None).await?;
        }
        self.keep(upstream, &kept).await
    }

    /// Whether all of it was seen before.
    fn knows(&self, sight: &Sight<'_>) -> bool {
        let servers = self.0.servers.read();
        let Some(server) = servers.get(sight.upstream) else { return false };
        let is_known = |item: &Item| {
            let Some(tool) = server.tools.get(item.key()) else { return false };
            let fingerprint = fingerprint(item);
            tool.seen.as_deref() == Some(fingerprint)
                || (tool.held.is_none() && tool.accepted.iter().any(|accepted| accepted == fingerprint))
        };
        server.entry == sight.entry
            && sight.identity == *server.seen.as_ref().unwrap_or(&server.identity)
            && server.variants.contains(sight.variant)
            && sight.list.items().iter().all(is_known)
    }

    /// The first list of a server, or of one whose entry is another than before: a person configured it.
    async fn first(&self, sight: &Sight<'_>, kept: &mut Kept, now_ms: i64) -> Result<(), Failure> {
        let again = kept.servers.contains_key(sight.upstream);
        kept.servers.insert(
            sight.upstream.to_owned(),
            ServerPin {
                entry: sight.entry.to_owned(),
                identity: sight.identity.clone(),
                seen: None,
                variants: [sight.variant.to_owned()].into(),
                since: now_ms,
            },
        );
        let mut fingerprints = BTreeMap::new();
        let mut waiting = Vec::new();
        for item in sight.list.items() {
            let pin = kept.tools.entry((sight.upstream.to_owned(), item.key().to_owned())).or_default();
            bring(pin, item, sight.rules.first == FirstUse::Accept, FIRST_USE, now_ms);
            fingerprints.insert(item.key(), fingerprint(item));
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
        let fingerprints = serde_json::to_string(&fingerprints).ok();
        self.record(sight.upstream, "", &message, fingerprints.as_deref()).await
    }
}

/// A tool of a list that is not the first. Gives what there is to say of it.
fn later(
    sight: &Sight<'_>,
    item: &Item,
    is_new_variant: bool,
    kept: &mut Kept,
    now_ms: i64,
) -> Option<String> {
    let place = (sight.upstream.to_owned(), item.key().to_owned());
    let Some(pin) = kept.tools.get_mut(&place) else {
        let mut pin = ToolPin::default();
        // What a client sees that can do more than those before it is not new: nobody could have seen it.
        let (accept, by) = match (is_new_variant, sight.rules.new_tools) {
            (true, _) => (sight.rules.first == FirstUse::Accept, FIRST_USE),
            (false, new) => (new == NewTools::Allow, BY_RULE),
        };
        bring(&mut pin, item, accept, by, now_ms);
        if pin.held == Some(Held::New) && !is_new_variant && sight.rules.new_tools == NewTools::Hide {
            pin.held = Some(Held::Hidden);
        }
        let became = pin.held.map_or(format!("accepted ({by})"), |held| word(held).to_owned());
        kept.tools.insert(place, pin);
        return Some(format!("a tool that it did not have before: {became}"));
    };
    let fingerprint = fingerprint(item);
    // Another definition that waits goes on waiting: other clients may see that one.
    if pin.held.is_none() && pin.accepted.iter().any(|accepted| accepted == fingerprint) {
        return None;
    }
    if pin.seen.as_ref().is_some_and(|seen| seen.fingerprint == fingerprint) {
        return None;
    }
    let sighting = sighting(item, now_ms);
    // What it looks like for clients that speak or can do otherwise: as far as no model reads it, that is the same tool.
    if let (true, None, Some(before)) = (is_new_variant, pin.held, &pin.definition)
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
    pin.seen = Some(sighting);
    Some(format!("its definition changed: {what}"))
}

/// Members that say how a tool is spoken to, and nothing of what it does.
fn no_model_reads(place: &str) -> bool {
    ["execution", "_meta", "icons"]
        .into_iter()
        .any(|name| place == name || place.starts_with(&format!("{name}.")))
        || place.ends_with(".x-mcp-header")
}

/// A tool that was not there before, or belongs to a server that was configured anew.
fn bring(pin: &mut ToolPin, item: &Item, accept: bool, by: &str, now_ms: i64) {
    if pin.held.is_none() && pin.accepted.iter().any(|accepted| accepted == fingerprint(item)) {
        return;
    }
    let sighting = sighting(item, now_ms);
    let blocks = blocks(&sighting.definition);
    if accept && !blocks {
        pin.accept(sighting, by, None, now_ms);
    } else {
        pin.held = Some(if blocks { Held::Found } else { Held::New });
        (pin.seen, pin.at) = (Some(sighting), now_ms);
    }
}

fn sighting(item: &Item, at: i64) -> Sighting {
    let definition: Value = serde_json::from_str(item.raw()).unwrap_or_default();
    Sighting { fingerprint: fingerprint(item).to_owned(), definition, at }
}

fn fingerprint(item: &Item) -> &str {
    item.tool().map_or("", |tool| &tool.fingerprint)
}

const fn word(held: Held) -> &'static str {
    match held {
        Held::New => "waits for a person",
        Held::Hidden => "hidden",
        Held::Found => "speaks to the model",
    }
}
