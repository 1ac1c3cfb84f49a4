//! What servers offer, looked at without an agent and without calling a tool.

mod connect;

pub(crate) use connect::look;

use portcullis_catalogue::{Category, Class, Definition, List, Surroundings, classify};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A server that answered.
pub(crate) struct Scanned {
    pub(crate) name: String,
    /// The version of the protocol that it speaks.
    pub(crate) era: String,
    /// Its own version, where it says one.
    pub(crate) version: Option<String>,
    pub(crate) tools: Vec<(Definition, Class)>,
}

/// One that did not.
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Scanned {
    /// What the tools of a list are.
    pub(crate) fn of(name: String, era: String, version: Option<String>, tools: Option<&List>) -> Self {
        let items = tools.map(List::items).unwrap_or_default();
        let around = Surroundings::of(&name, items.iter().map(portcullis_catalogue::Item::key));
        let read = items.iter().filter_map(|item| Definition::read(item.raw()));
        let tools =
            read.map(|tool| (classify(&tool, &around), tool)).map(|(class, tool)| (tool, class)).collect();
        Self { name, era, version, tools }
    }

    /// How many tools are of each category, the gravest first.
    pub(crate) fn counts(&self) -> Vec<(Category, usize)> {
        let count = |category| self.tools.iter().filter(|(_, class)| class.category == category).count();
        Category::ALL.into_iter().rev().map(|category| (category, count(category))).collect()
    }

    /// As `--json` has it.
    pub(crate) fn shown(&self) -> Value {
        let counts: BTreeMap<&str, usize> =
            self.counts().into_iter().map(|(category, count)| (category.as_str(), count)).collect();
        let tools: Vec<Value> = self.tools.iter().map(|(tool, class)| shown(tool, class)).collect();
        json!({ "name": self.name, "era": self.era, "version": self.version, "tools": tools, "counts": counts })
    }
}

impl Failed {
    /// As `--json` has it.
    pub(crate) fn shown(&self) -> Value {
        json!({ "name": self.name, "reason": self.reason })
    }
}

/// What decided, for a person: `it takes something away: name "delete"`.
pub(crate) fn why(class: &Class) -> String {
    let evidence: Vec<String> =
        class.evidence.iter().map(|it| format!("{} \"{}\"", it.place.as_str(), it.words)).collect();
    match evidence.is_empty() {
        true => class.rule.says.to_owned(),
        false => format!("{}: {}", class.rule.says, evidence.join(", ")),
    }
}

fn shown(tool: &Definition, class: &Class) -> Value {
    let evidence: Vec<Value> = class
        .evidence
        .iter()
        .map(|it| {
            Value::Object(Map::from_iter([
                ("place".to_owned(), it.place.as_str().into()),
                ("words".to_owned(), it.words.clone().into()),
            ]))
        })
        .collect();
    json!({
        "name": tool.name, "category": class.category, "risk": class.category.risk(), "why": why(class),
        "rule": class.rule.id, "evidence": evidence, "confidence": class.confidence.as_str(), "signals": class.signals,
    })
}
