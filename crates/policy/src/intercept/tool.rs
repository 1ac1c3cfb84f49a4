//! The tools of a file, by what chooses them here.

use std::collections::BTreeMap;

use portcullis_document::{Entry, Value};

use super::report::Report;
use super::rule::{Scope, rule};
use super::write::{Counted, Said, Written};
use super::{Members, scalar, some};

/// What was read so far.
pub(super) struct Tools {
    written: Written,
    /// Limits of all tools that count an argument, which the language knows for tools that have it.
    amounts: Vec<Counted>,
    counters: Counters,
}

impl Tools {
    pub(super) fn of(default_allows: bool) -> Self {
        let written = Written { default_allows, ..Written::default() };
        Self { written, amounts: Vec::new(), counters: Counters::default() }
    }

    /// A tool that is to be unknown, or all of them.
    pub(super) fn hide(&mut self, value: &Value<'_>, report: &mut Report<'_>) {
        let Some(name) = scalar(value).filter(|name| !name.trim().is_empty()) else {
            report.changed(value, "hide", "there is no name, so nothing is hidden by it");
            return;
        };
        let selector = if name == "*" { name.clone() } else { selector(&name) };
        if selector.contains('?') {
            report.changed(
                value,
                &name,
                &format!("no rule can have this name; {selector} hides it, and names like it"),
            );
        }
        if !self.written.hide.contains(&selector) {
            self.written.hide.push(selector);
        }
    }

    /// A tool with its rules.
    pub(super) fn add(&mut self, entry: &Entry, value: &Value<'_>, report: &mut Report<'_>) {
        let name = &entry.key;
        let selector = selector(name);
        if name != "*" && (name.is_empty() || selector.contains('?')) {
            let why = match (name.is_empty(), self.written.default_allows) {
                (false, true) => {
                    format!("no rule can have this name; {selector} stands for it, and for names like it")
                }
                _ => "no rule can have this name, so the tool has none".to_owned(),
            };
            report.at(entry.key_span, value.pointer(), false, name, &why);
            if name.is_empty() || !self.written.default_allows {
                return;
            }
        }
        let mut said = Said::default();
        if let Some(tool) = some(value) {
            let Some(members) = Members::of(&tool) else { return };
            members.report_others(&["rules"], report);
            let scope = if name == "*" { Scope::All } else { Scope::Tool(name) };
            let rules = members.get("rules").and_then(|value| some(value)?.list());
            for value in rules.into_iter().flatten() {
                rule(&value, scope, &mut self.counters, &mut said, report);
            }
        }
        if name == "*" {
            let (amounts, calls) = said.limits.into_iter().partition(|limit| limit.amount.is_some());
            self.amounts = amounts;
            self.written.all_tools = Said { limits: calls, ..said };
        } else {
            self.written.add(&selector, said);
        }
    }

    /// All of it, as it is to be written.
    pub(super) fn written(mut self, description: Option<String>) -> Written {
        self.written.description = description;
        // Where the default denies, the tools that are named are all that there are.
        if self.written.default_allows && !self.amounts.is_empty() {
            self.written.add("*", Said { limits: self.amounts, ..Said::default() });
        } else {
            for (_, said) in &mut self.written.tools {
                said.limits.extend(self.amounts.iter().cloned());
            }
        }
        self.written
    }
}

/// What chooses the tool of a name. A character that no name can have here is a `?`, which stands for any.
fn selector(name: &str) -> String {
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '?' | '@');
    let name: String = name.chars().map(|c| if odd(c) { '?' } else { c }).collect();
    if name.contains('/') { format!("*/{name}") } else { name }
}

/// The names of counters: there each tool has its own, here one name is one counter.
#[derive(Default)]
pub(super) struct Counters(BTreeMap<String, (String, String)>);

impl Counters {
    pub(super) fn name(&mut self, tool: &str, counter: &str) -> String {
        let plain = |text: &str| text.trim().replace(char::is_control, "_");
        let own = (tool.to_owned(), counter.to_owned());
        let mut name = format!("{}.{}", plain(tool), plain(counter));
        while self.0.get(&name).is_some_and(|other| *other != own) {
            name.push('\'');
        }
        self.0.insert(name.clone(), own);
        name
    }
}
