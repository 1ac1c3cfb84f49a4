//! Two policies compared: what calls become, and whether one is at least as strict as the other.
//!
//! Calls cannot be counted through, so there are two answers beside one another. For each known tool, calls are made of
//! the values that both policies compare with, and judged by both (`probes`). And the rules themselves are compared: the
//! verdict says of a change that it only tightens where that follows from the rules, whatever the calls (`strictness`).

mod limits;
mod probes;
mod sample;
mod strictness;

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::value::RawValue;

pub use limits::{LimitChange, LimitShown};
pub use strictness::{Effect, Gap};

use crate::predicate::Test;
use crate::rule::Rule;
use crate::{Call, Facts, Judgement, Mode, Policy, Target, ToolShape};

/// What becomes of calls when one policy takes the place of another.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Which way it goes. It follows from the rules alone.
    pub verdict: Direction,
    /// What holds for tools that no rule is for, where that changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Changed<&'static str>>,
    /// The tools that are judged otherwise, or may be.
    pub tools: Vec<ToolChange>,
    /// Limits that are not the same.
    pub limits: Vec<LimitChange>,
    /// Where the second may let through what the first does not.
    pub looser: Vec<Gap>,
    /// Where the first may let through what the second does not.
    pub stricter: Vec<Gap>,
    /// How many tools were looked at.
    pub tried: usize,
}

/// Something before and after.
#[derive(Debug, Serialize)]
pub struct Changed<T> {
    /// By the first policy.
    pub from: T,
    /// By the second.
    pub to: T,
}

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Nothing is judged otherwise.
    Same,
    /// No call is let through that was not before.
    Tightens,
    /// No call is refused that was not before.
    Loosens,
    /// Neither follows from the rules.
    Both,
}

impl Direction {
    fn of(looser: &[Gap], stricter: &[Gap]) -> Self {
        match (looser, stricter) {
            ([], []) => Self::Same,
            ([], _) => Self::Tightens,
            (_, []) => Self::Loosens,
            (_, _) => Self::Both,
        }
    }
}

/// A tool that is judged otherwise.
#[derive(Debug, Serialize)]
pub struct ToolChange {
    /// Its name.
    pub tool: String,
    /// Its server, where it is known.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upstream: String,
    /// What was seen, each once.
    pub changes: Vec<CallChange>,
    /// How many of its predicates only one of the policies has.
    pub predicates_differ: usize,
}

/// A call that is judged otherwise.
#[derive(Debug, Serialize)]
pub struct CallChange {
    /// By the first policy.
    pub from: Answer,
    /// By the second.
    pub to: Answer,
    /// The rule of the first that denied or held; empty where it allowed.
    pub rule_from: String,
    /// The rule of the second that denied or held; empty where it allows.
    pub rule_to: String,
    /// One such call.
    pub call: CallShown,
}

/// A call as `portcullis policy explain` reads it.
#[derive(Debug, Serialize)]
pub struct CallShown {
    /// The tool.
    pub name: String,
    /// What it is called with.
    pub arguments: Box<RawValue>,
}

/// What a policy does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It may pass.
    Allowed,
    /// It waits for a person.
    Held,
    /// It may not pass.
    Denied,
    /// It may not pass, and the caller does not know the tool.
    Hidden,
}

impl Answer {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Held => "held",
            Self::Denied => "denied",
            Self::Hidden => "hidden",
        }
    }

    /// That of a judgement, and the rule that gives it; empty where it may pass.
    pub fn of(judgement: &Judgement<'_>) -> (Self, String) {
        match judgement {
            Judgement::Allow(_) => (Self::Allowed, String::new()),
            Judgement::Hold(held) => (Self::Held, held.rule.to_owned()),
            Judgement::Deny(denial) if denial.hidden => (Self::Hidden, denial.rule.to_owned()),
            Judgement::Deny(denial) => (Self::Denied, denial.rule.to_owned()),
        }
    }
}

impl Policy {
    /// Which way it goes when `to` takes the place of this policy: what follows from the rules, whatever the calls.
    pub fn direction(&self, to: &Self) -> Direction {
        Direction::of(&strictness::gaps(to, self), &strictness::gaps(self, to))
    }

    /// Compares this policy with the one that takes its place, for these tools; where there are none, for those that one
    /// of the two names.
    pub fn diff(&self, to: &Self, tools: &[ToolShape<'_>]) -> Difference {
        let named: Vec<ToolShape<'_>> = match tools {
            [] => {
                self.named().chain(to.named()).collect::<BTreeSet<_>>().into_iter().map(shapeless).collect()
            }
            _ => tools.to_vec(),
        };
        let (looser, stricter) = (strictness::gaps(to, self), strictness::gaps(self, to));
        let word = |allows| if allows { "allow" } else { "deny" };
        Difference {
            verdict: Direction::of(&looser, &stricter),
            default: (self.default_allows != to.default_allows)
                .then(|| Changed { from: word(self.default_allows), to: word(to.default_allows) }),
            tools: named.iter().filter_map(|tool| change(self, to, tool)).collect(),
            limits: limits::changes(self, to),
            looser,
            stricter,
            tried: named.len(),
        }
    }

    /// The tools that it names, each as server and name.
    fn named(&self) -> impl Iterator<Item = (&str, &str)> {
        let ruled = self.tools.iter().map(|choice| (&choice.selector, &*choice.text));
        let hidden = self.hidden.iter().map(|choice| (&choice.selector, &*choice.text));
        ruled.chain(hidden).filter_map(|(selector, text)| match selector {
            None => Some(("", text)),
            Some(selector) => selector.one(),
        })
    }
}

fn shapeless<'a>((upstream, name): (&'a str, &'a str)) -> ToolShape<'a> {
    ToolShape { tool: Target { upstream, name, ..Target::default() }, input_schema: &serde_json::Value::Null }
}

fn change(from: &Policy, to: &Policy, shape: &ToolShape<'_>) -> Option<ToolChange> {
    let tool = shape.tool;
    let before: Vec<&Rule> = enforced(from, &tool);
    let after: Vec<&Rule> = enforced(to, &tool);
    let properties: Vec<&str> = shape
        .input_schema
        .get("properties")
        .and_then(serde_json::Value::as_object)
        .map(|members| members.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let both: Vec<&Rule> = before.iter().chain(&after).copied().collect();
    let mut changes: Vec<CallChange> = Vec::new();
    for arguments in probes::arguments(&both) {
        let call = Call { tool, arguments: &arguments, properties: &properties, facts: Facts::default() };
        let ((from, rule_from), (to, rule_to)) =
            (Answer::of(&from.judge(&call)), Answer::of(&to.judge(&call)));
        let known = |known: &CallChange| {
            (known.from, known.to) == (from, to) && known.rule_from == rule_from && known.rule_to == rule_to
        };
        if from == to || changes.iter().any(known) {
            continue;
        }
        let Ok(arguments) = RawValue::from_string(arguments) else { continue };
        let call = CallShown { name: tool.name.into(), arguments };
        changes.push(CallChange { from, to, rule_from, rule_to, call });
    }
    let predicates_differ = only_in_one(&before, &after);
    (!changes.is_empty() || predicates_differ > 0).then(|| ToolChange {
        tool: tool.name.into(),
        upstream: tool.upstream.into(),
        changes,
        predicates_differ,
    })
}

fn enforced<'p>(policy: &'p Policy, tool: &Target<'_>) -> Vec<&'p Rule> {
    policy.rules(tool, Mode::Enforced).enforced.into_iter().flatten().collect()
}

/// How many predicates only one side has.
fn only_in_one(before: &[&Rule], after: &[&Rule]) -> usize {
    let tests = |rules: &[&Rule]| -> Vec<(&'static str, String)> {
        let all = rules.iter().flat_map(|rule| rule.clauses());
        let tests = all.flat_map(|(word, clause)| {
            clause.conditions.iter().flat_map(|part| part.tests()).map(move |test| (word, text(test)))
        });
        tests.collect()
    };
    let (before, after) = (tests(before), tests(after));
    let missing = |from: &[(&str, String)], of: &[(&'static str, String)]| {
        of.iter().filter(|test| !from.contains(test)).count()
    };
    missing(&before, &after) + missing(&after, &before)
}

fn text(test: &Test) -> String {
    format!("{} {:?} {} {} {:?}", test.path, test.each, test.op, test.value, test.if_missing)
}
