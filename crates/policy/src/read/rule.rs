//! What a policy says of one tool.

use portcullis_document::{Fields, Kind, Span, Value};

use super::policy::{LATER, Version, later};
use super::{limit, predicate};
use crate::Limit;
use crate::predicate::{Each, Place};
use crate::rule::{Clause, Requirement, Rule};

/// The names of the arguments that a rule asks for; a path knows its argument by the index in here.
pub(super) struct Arguments {
    version: Version,
    names: Vec<Box<str>>,
}

impl Arguments {
    pub(super) fn slot(&mut self, name: &str) -> usize {
        let known = self.names.iter().position(|known| **known == *name);
        known.unwrap_or_else(|| {
            self.names.push(name.into());
            self.names.len() - 1
        })
    }

    /// The version of the language in which they are asked for.
    pub(super) fn version(&self) -> Version {
        self.version
    }
}

pub(super) fn place(value: &Value<'_>) -> Place {
    Place { span: value.span(), pointer: value.pointer().into() }
}

pub(super) fn rule(value: &Value<'_>, name: Span, all_tools: &[Limit], version: Version) -> Option<Rule> {
    let mut arguments = Arguments { version, names: Vec::new() };
    let mut fields = value.fields()?;
    let require = fields.optional("require").and_then(|value| require(&value, &mut arguments));
    let deny_if = fields.optional("deny_if").and_then(|value| deny_if(&value, &mut arguments));
    let limits =
        fields.optional("limits").and_then(|value| limit::limits(&value, all_tools, Some(&mut arguments)));
    fields.optional("description").and_then(|value| value.text());
    refuse_later(&mut fields);
    for word in ["rules", "action", "rate_limit", "state"] {
        let why = format!("expected a word of this language, found {word:?} of Intercept's");
        fields.refuse(word, &why, Some("`portcullis policy convert FILE` translates Intercept's files"));
    }
    fields.finish();
    Some(Rule {
        span: name,
        pointer: value.pointer().into(),
        arguments: arguments.names,
        require: require.unwrap_or_default(),
        deny_if: deny_if.unwrap_or_default(),
        limits: limits.unwrap_or_default(),
    })
}

pub(super) fn refuse_later(fields: &mut Fields<'_>) {
    let words = ["hold_if", "stop_after", "extend_on_progress", "stop", "redact", "redact_result", "shadow"];
    for word in words {
        fields.refuse(word, &later("a word", word), Some(LATER));
    }
}

fn require(value: &Value<'_>, arguments: &mut Arguments) -> Option<Vec<Requirement>> {
    let mut all = Vec::new();
    for value in value.list()? {
        if let Kind::Map(entries) = &value.node().kind
            && entries.iter().any(|entry| entry.key == "conditions")
        {
            value.error(
                "expected a predicate, found a guard (`conditions`), which this build does not have",
                Some("under `require`, list the predicates themselves; all of them must hold"),
            );
            continue;
        }
        if let Some(predicate) = predicate::predicate(&value, Each::All, arguments) {
            all.push(Requirement { place: place(&value), predicate });
        }
    }
    Some(all)
}

fn deny_if(value: &Value<'_>, arguments: &mut Arguments) -> Option<Vec<Clause>> {
    let mut all = Vec::new();
    for value in value.list()? {
        if let Kind::Map(entries) = &value.node().kind
            && entries.iter().any(|entry| matches!(entry.key.as_str(), "path" | "all" | "any" | "not"))
            && !entries.iter().any(|entry| entry.key == "conditions")
        {
            let hint = "write `conditions: [{ path: …, op: …, value: … }]`";
            value.error("expected a clause with `conditions`, found a predicate", Some(hint));
            continue;
        }
        let Some(mut fields) = value.fields() else { continue };
        let conditions = fields.required("conditions").and_then(|value| value.list()).unwrap_or_default();
        let conditions =
            conditions.iter().filter_map(|value| predicate::predicate(value, Each::Any, arguments));
        let conditions = conditions.collect();
        let on_deny = fields.optional("on_deny").and_then(|value| value.text()).map(Into::into);
        fields.finish();
        all.push(Clause { place: place(&value), conditions, on_deny });
    }
    Some(all)
}
