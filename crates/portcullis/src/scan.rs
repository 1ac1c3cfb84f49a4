//! What servers offer, looked at without an agent and without calling a tool.

mod connect;

pub(crate) use connect::look;

use portcullis_catalogue::{Category, Class, Definition, Finding, List, Surroundings, classify, findings};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A server that answered.
pub(crate) struct Scanned {
    pub(crate) name: String,
    /// The version of the protocol that it speaks.
    pub(crate) era: String,
    /// Its own version, where it says one.
    pub(crate) version: Option<String>,
    pub(crate) tools: Vec<Seen>,
    /// What was found in its own words on how to use it.
    pub(crate) findings: Vec<Finding>,
}

/// One of its tools.
pub(crate) struct Seen {
    pub(crate) tool: Definition,
    pub(crate) class: Class,
    pub(crate) findings: Vec<Finding>,
}

/// One that did not.
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Scanned {
    /// What the tools of a list are, and what is found in them and in what the server says of itself.
    pub(crate) fn of(
        name: String,
        era: String,
        version: Option<String>,
        instructions: Option<&str>,
        tools: Option<&List>,
    ) -> Self {
        let items = tools.map(List::items).unwrap_or_default();
        let around = Surroundings::of(&name, items.iter().map(portcullis_catalogue::Item::key));
        let seen = items.iter().filter_map(|item| {
            let tool = Definition::read(item.raw())?;
            let raw: Value = serde_json::from_str(item.raw()).ok()?;
            Some(Seen { class: classify(&tool, &around), findings: findings(&raw), tool })
        });
        let said = findings(
            &json!({ "instructions": instructions, "serverInfo": { "name": name, "version": version } }),
        );
        Self { name, era, version, tools: seen.collect(), findings: said }
    }

    /// All that was found, with the tool in which it stands.
    pub(crate) fn all_findings(&self) -> impl Iterator<Item = (Option<&str>, &Finding)> {
        let own = self.findings.iter().map(|finding| (None, finding));
        own.chain(
            self.tools
                .iter()
                .flat_map(|seen| seen.findings.iter().map(|it| (Some(seen.tool.name.as_str()), it))),
        )
    }

    /// How many tools are of each category, the gravest first.
    pub(crate) fn counts(&self) -> Vec<(Category, usize)> {
        let count = |category| self.tools.iter().filter(|seen| seen.class.category == category).count();
        Category::ALL.into_iter().rev().map(|category| (category, count(category))).collect()
    }

    /// As `--json` has it.
    pub(crate) fn shown(&self) -> Value {
        let counts: BTreeMap<&str, usize> =
            self.counts().into_iter().map(|(category, count)| (category.as_str(), count)).collect();
        let tools: Vec<Value> = self.tools.iter().map(Seen::shown).collect();
        json!({
            "name": self.name, "era": self.era, "version": self.version, "tools": tools, "counts": counts,
            "findings": self.findings,
        })
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

impl Seen {
    fn shown(&self) -> Value {
        let Self { tool, class, findings } = self;
        let evidence: Vec<Value> = class
            .evidence
            .iter()
            .map(|it| json!({ "place": it.place.as_str(), "words": it.words }))
            .collect();
        json!({
            "name": tool.name, "category": class.category, "risk": class.category.risk(), "why": why(class),
            "rule": class.rule.id, "evidence": evidence, "confidence": class.confidence.as_str(), "signals": class.signals,
            "findings": findings,
        })
    }
}
