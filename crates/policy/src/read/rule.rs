//! What a policy says of a tool.

use portcullis_document::{Fields, Kind, Span, Value, duration};

use super::more::{More, more};
use super::policy::{SECOND, Version, second};
use super::{limit, predicate};
use crate::predicate::{Each, Place};
use crate::rule::{Clause, Hold, Rule};
use crate::{Limit, Path};

/// The names of the arguments that a rule asks for; a path knows its argument by the index in here.
pub(super) struct Arguments {
    version: Version,
    names: Vec<Box<str>>,
}

impl Arguments {
    /// None yet.
    pub(super) fn of(version: Version) -> Self {
        Self { version, names: Vec::new() }
    }

    /// Where the rule will find what a path leads into.
    pub(super) fn slot(&mut self, path: &Path) -> usize {
        let Some(name) = path.argument() else { return 0 };
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

/// Reads a list. A policy is kept for long, so it has no room for more.
pub(super) fn all<'v, T>(values: &[Value<'v>], read: impl FnMut(&Value<'v>) -> Option<T>) -> Vec<T> {
    let mut all = Vec::with_capacity(values.len());
    all.extend(values.iter().filter_map(read));
    all
}

pub(super) fn place(value: &Value<'_>) -> Place {
    Place { span: value.span(), pointer: value.pointer().into() }
}

/// Reads a rule, which `span` is the key of; `all_tools` are the limits that hold beside it.
pub(super) fn rule(
    value: &Value<'_>,
    span: Span,
    all_tools: Option<&[Limit]>,
    version: Version,
) -> Option<Rule> {
    let mut arguments = Arguments::of(version);
    let mut fields = value.fields()?;
    let require = fields.optional("require").and_then(|value| require(&value, &mut arguments));
    let deny_if = fields.optional("deny_if").and_then(|value| deny_if(&value, &mut arguments));
    let hold_if = match version {
        Version::One => None,
        Version::Two => fields.optional("hold_if").and_then(|value| hold_if(&value, &mut arguments)),
    };
    let limits = fields.optional("limits").and_then(|value| limit::limits(&value, all_tools, &mut arguments));
    let limits = limits.unwrap_or_default();
    fields.optional("description").and_then(|value| value.text());
    let more = match version {
        Version::One => More::default(),
        Version::Two => more(&mut fields, value),
    };
    refuse(&mut fields, version);
    for word in ["rules", "action", "rate_limit", "state"] {
        if fields.has(word) {
            let why = format!("expected a word of this language, found {word:?} of Intercept's");
            fields.refuse(word, &why, Some("`portcullis policy convert FILE` translates Intercept's files"));
        }
    }
    fields.finish();
    Some(Rule {
        span,
        pointer: value.pointer().into(),
        arguments: arguments.names,
        require: require.unwrap_or_default(),
        deny_if: deny_if.unwrap_or_default(),
        hold_if: hold_if.unwrap_or_default(),
        limits: limits.counted,
        concurrent: limits.concurrent,
        redact: more.redact,
        redact_result: more.redact_result,
        stopping: more.stopping,
        shadow: more.shadow,
    })
}

/// Refuses the words that are not in this version.
pub(super) fn refuse(fields: &mut Fields<'_>, version: Version) {
    const WORDS: [&str; 7] =
        ["hold_if", "stop_after", "extend_on_progress", "stop", "redact", "redact_result", "shadow"];
    if version == Version::One {
        for word in WORDS {
            if fields.has(word) {
                fields.refuse(word, &second("a word of version \"1\"", word), Some(SECOND));
            }
        }
    }
}

fn require(value: &Value<'_>, arguments: &mut Arguments) -> Option<Vec<Clause>> {
    let values = value.list()?;
    let mut all = Vec::with_capacity(values.len());
    for value in values {
        let is_guard = has(&value, &["conditions"]);
        if is_guard && arguments.version() == Version::One {
            value.error(
                "expected a predicate, found a guard (`conditions`), which needs version \"2\"",
                Some("under `require`, list the predicates themselves; all of them must hold"),
            );
        } else if is_guard {
            let Some(guard) = whole(&value, Each::All, arguments) else { continue };
            if guard.conditions.is_empty() {
                value.error("expected at least one condition to be required, found none", None);
            }
            all.push(guard);
        } else if let Some(predicate) = predicate::predicate(&value, Each::All, arguments) {
            all.push(Clause { place: place(&value), conditions: vec![predicate], words: None });
        }
    }
    Some(all)
}

fn deny_if(value: &Value<'_>, arguments: &mut Arguments) -> Option<Vec<Clause>> {
    let values = value.list()?;
    Some(all(&values, |value| whole(value, Each::Any, arguments)))
}

fn hold_if(value: &Value<'_>, arguments: &mut Arguments) -> Option<Vec<Hold>> {
    let values = value.list()?;
    Some(all(&values, |value| hold(value, arguments)))
}

fn hold(value: &Value<'_>, arguments: &mut Arguments) -> Option<Hold> {
    let mut fields = fields_of_clause(value)?;
    let clause = clause(&mut fields, "on_hold", Each::Any, arguments);
    let approvers = fields.optional("approvers").and_then(|value| approvers(&value)).unwrap_or_default();
    let timeout_ms = fields.optional("timeout").and_then(|value| timeout(&value));
    fields.finish();
    Some(Hold { clause, approvers, timeout_ms })
}

/// Labels of those who may decide.
fn approvers(value: &Value<'_>) -> Option<Vec<String>> {
    let values = value.list()?;
    if values.is_empty() {
        value.error(
            "expected at least one label, found none",
            Some("without `approvers`, the operator decides"),
        );
    }
    let label = |value: &Value<'_>| {
        let text = value.text()?;
        let has_value = |(key, value): (&str, &str)| !key.is_empty() && !value.is_empty();
        let is_label = text == "client" || text.split_once('=').is_some_and(has_value);
        if !is_label {
            let hint = "a grant gets one with `portcullis grant add NAME --label role=finance --approver`";
            let message = format!("expected a label such as role=finance, or client, found {text:?}");
            value.error(message, Some(hint));
        }
        is_label.then(|| text.to_owned())
    };
    Some(values.iter().filter_map(label).collect())
}

pub(super) fn timeout(value: &Value<'_>) -> Option<i64> {
    let text = value.text()?;
    let time =
        duration(text).filter(|time| !time.is_zero()).and_then(|time| i64::try_from(time.as_millis()).ok());
    if time.is_none() {
        value.mismatch("a time such as \"10m\" or \"2h\"", None);
    }
    time
}

fn has(value: &Value<'_>, words: &[&str]) -> bool {
    let Kind::Map(entries) = &value.node().kind else { return false };
    entries.iter().any(|entry| words.contains(&entry.key.as_str()))
}

fn fields_of_clause<'v>(value: &Value<'v>) -> Option<Fields<'v>> {
    if has(value, &["path", "all", "any", "not"]) && !has(value, &["conditions"]) {
        let hint = "write `conditions: [{ path: …, op: …, value: … }]`";
        value.error("expected a clause with `conditions`, found a predicate", Some(hint));
        return None;
    }
    value.fields()
}

/// A clause that has nothing but its conditions and what the caller is told.
fn whole(value: &Value<'_>, each: Each, arguments: &mut Arguments) -> Option<Clause> {
    let mut fields = fields_of_clause(value)?;
    let clause = clause(&mut fields, "on_deny", each, arguments);
    fields.finish();
    Some(clause)
}

fn clause(fields: &mut Fields<'_>, words: &'static str, each: Each, arguments: &mut Arguments) -> Clause {
    let conditions = fields.required("conditions").and_then(|value| value.list()).unwrap_or_default();
    let conditions = all(&conditions, |value| predicate::predicate(value, each, arguments));
    let words = fields.optional(words).and_then(|value| value.text()).map(Into::into);
    Clause { place: place(fields.value()), conditions, words }
}
