//! What servers offer, looked at without an agent and without calling a tool.

mod all;
mod connect;
pub(crate) mod html;
mod sarif;
mod started;
mod targets;

pub(crate) use all::{ask_first, look_at_all};
use connect::look;
pub(crate) use sarif::sarif;
pub(crate) use targets::{Target, targets};

use portcullis_catalogue::{
    Dimension, Entry, Finding, Known, Language, List, ListKind, findings, recommended, written_out,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A server that answered.
pub(crate) struct Scanned {
    pub(crate) name: String,
    /// What it is called where it was found, which may be something else.
    pub(crate) found_as: Option<String>,
    /// The version of the protocol that it speaks.
    pub(crate) era: String,
    /// Its own version, where it says one.
    pub(crate) version: Option<String>,
    pub(crate) known: Known,
    /// What was found in its own words on how to use it.
    pub(crate) findings: Vec<Finding>,
}

/// One that did not.
pub(crate) struct Failed {
    pub(crate) name: String,
    pub(crate) reason: String,
}

impl Scanned {
    /// What the tools among a server's lists are, and what is found in them, in its other lists, and in what it says of itself.
    pub(crate) fn of(
        name: String,
        era: String,
        version: Option<String>,
        instructions: Option<&str>,
        lists: &[Arc<List>],
    ) -> Self {
        let mut said = findings(
            &json!({ "instructions": instructions, "serverInfo": { "name": name, "version": version } }),
        );
        let mut tools = Vec::new();
        for (list, item) in lists.iter().flat_map(|list| list.items().iter().map(move |item| (list, item))) {
            match serde_json::from_str(item.raw()) {
                Ok(definition) if list.kind() == ListKind::Tools => tools.push(definition),
                Ok(definition) => {
                    let of = format!("{}.{}", list.kind().member(), written_out(item.key()));
                    let found = findings(&definition).into_iter();
                    said.extend(found.map(|it| Finding { place: format!("{of}.{}", it.place), ..it }));
                }
                Err(_) => {}
            }
        }
        Self { known: Known::of(&name, tools), name, found_as: None, era, version, findings: said }
    }

    /// The name by which its user knows it.
    pub(crate) fn called(&self) -> &str {
        self.found_as.as_deref().unwrap_or(&self.name)
    }

    /// All that was found, with the tool in which it stands.
    pub(crate) fn all_findings(&self) -> impl Iterator<Item = (Option<&str>, &Finding)> {
        let own = self.findings.iter().map(|finding| (None, finding));
        own.chain(
            self.known.tools.iter().flat_map(|entry| {
                entry.findings.iter().map(|finding| (Some(entry.tool.name.as_str()), finding))
            }),
        )
    }

    /// As `--json` has it.
    pub(crate) fn shown(&self) -> Value {
        let counts: BTreeMap<&str, usize> =
            self.known.counts().into_iter().map(|(category, count)| (category.as_str(), count)).collect();
        let tools: Vec<Value> = self.known.tools.iter().map(tool).collect();
        json!({
            "name": self.name, "found_as": self.found_as, "era": self.era, "version": self.version, "tools": tools, "counts": counts,
            "quality": self.known.quality, "findings": self.findings, "policy": recommended(&self.known, Language::One),
        })
    }
}

/// Where a finding stands, for a person: `add: description`.
pub(crate) fn place(tool: Option<&str>, finding: &Finding) -> String {
    match tool {
        Some(tool) => format!("{}: {}", written_out(tool), finding.place),
        None => finding.place.clone(),
    }
}

impl Failed {
    /// As `--json` has it.
    pub(crate) fn shown(&self) -> Value {
        json!({ "name": self.name, "reason": self.reason })
    }
}

/// A tool as `--json` has it.
pub(crate) fn tool(entry: &Entry) -> Value {
    let Entry { tool, class, findings, .. } = entry;
    let evidence: Vec<Value> =
        class.evidence.iter().map(|it| json!({ "place": it.place.as_str(), "words": it.words })).collect();
    json!({
        "name": tool.name, "category": class.category, "risk": class.category.risk(), "why": class.why(),
        "rule": class.rule.id, "evidence": evidence, "confidence": class.confidence.as_str(), "signals": class.signals,
        "quality": quality(entry), "findings": findings,
    })
}

fn quality(entry: &Entry) -> Value {
    let quality = &entry.quality;
    let mut shown = json!({
        "score": quality.score, "tier": quality.tier, "flags": quality.flags, "facts": quality.facts,
        "advice": quality.advice().into_iter().map(|(of, what)| json!({ "dimension": of, "suggestion": what })).collect::<Vec<_>>(),
        "seen": Dimension::ALL.map(|of| (of.as_str(), &quality.grade(of).seen)).into_iter().collect::<BTreeMap<_, _>>(),
    });
    if let Some(members) = shown.as_object_mut() {
        members.extend(Dimension::ALL.map(|of| (of.as_str().to_owned(), quality.grade(of).score.into())));
    }
    shown
}
