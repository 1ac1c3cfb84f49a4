//! The decision with its reasons.

use std::fmt;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::arguments::{Arguments, Slot, member};
use crate::judge::UNCLEAR;
use crate::path::{Root, Step};
use crate::policy::Rules;
use crate::predicate::{Predicate, Test, element};
use crate::rule::Clause;
use crate::truth::Truth;
use crate::{Call, Counts, Held, Judgement, Mode, Policy};

/// A decision and what led to it. Serialises to JSON, and prints as an indented tree.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// What was decided, before limits are reserved.
    pub outcome: Outcome,
    /// The rule that denied or held; empty when allowed.
    pub rule: String,
    /// The text for the caller; empty when allowed.
    pub message: String,
    /// The policy's file.
    pub policy: String,
    /// The policy's digest.
    pub digest: String,
    /// Every rule that was looked at, in the order of the decision.
    pub tree: Vec<Branch>,
}

/// Allowed, held for a person, or denied: each stricter than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may pass if its limits can be reserved.
    Allowed,
    /// It may pass once a person said so.
    Held,
    /// It may not pass.
    Denied,
}

impl Outcome {
    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Held => "held",
            Self::Denied => "denied",
        }
    }
}

/// A rule or a predicate.
#[derive(Debug, Default, Serialize)]
pub struct Branch {
    /// `hide`, `default`, `require`, `deny_if`, `hold_if`, `limit`, `all`, `any`, `not` or `test`.
    pub what: &'static str,
    /// The rule as a pointer; empty for predicates.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// A test's path, or the argument that a limit counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// A test's operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<&'static str>,
    /// A test's value in the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Box<RawValue>>,
    /// What the call has at the path, as JSON text cut to a readable length; absent where it has nothing. For a path with
    /// `[*]`, the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
    /// For predicates and their rules: `true`, `false`, `missing` or `unjudged`. For a limit: what it counts.
    pub gave: String,
    /// Why it is unjudged, or what of a command is not allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// For rules: `passes`, `holds` or `denies`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'static str>,
    /// For rules: whether it is only tried, so that the outcome is as if it were not there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// The predicates inside.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Branch>,
}

impl Policy {
    /// Decides a call and says why. The decision is that of [`Policy::judge`]; the tree shows every rule of the tool, also
    /// behind the one that decided.
    pub fn explain<P: AsRef<str>>(&self, call: &Call<'_, P>) -> Explanation {
        let whole = self.mode(call.facts.mode) == Mode::Shadow;
        let mut tree = vec![Branch {
            what: "hide",
            rule: "/hide".into(),
            outcome: Some(passes(!self.hides(&call.tool))),
            shadow: whole,
            gave: self.hides(&call.tool).to_string(),
            ..Branch::default()
        }];
        if let Some(why) = self.unclear(&call.tool) {
            tree.push(Branch {
                what: "address",
                rule: UNCLEAR.into(),
                outcome: Some(passes(false)),
                shadow: whole,
                gave: why.into(),
                ..Branch::default()
            });
        }
        let Rules { enforced, tried } = self.rules(&call.tool, call.facts.mode);
        let passes_default = enforced.is_some();
        let rules = tried.unwrap_or(enforced);
        let named = !self.chosen(&call.tool).is_empty();
        tree.push(Branch {
            what: "default",
            rule: "/default".into(),
            outcome: Some(passes(passes_default)),
            gave: match (named, self.default_allows) {
                (true, _) => "a rule names the tool",
                (false, true) => "allow",
                (false, false) => "deny",
            }
            .into(),
            ..Branch::default()
        });
        let read: Vec<_> = rules.iter().flatten().map(|rule| (*rule, rule.read(call))).collect();
        for (rule, arguments) in &read {
            tree.extend(
                rule.require.iter().map(|clause| clause.branch("require", arguments, whole || rule.shadow)),
            );
        }
        for (rule, arguments) in &read {
            tree.extend(
                rule.deny_if.iter().map(|clause| clause.branch("deny_if", arguments, whole || rule.shadow)),
            );
        }
        for (rule, arguments) in &read {
            tree.extend(
                rule.hold_if
                    .iter()
                    .map(|hold| hold.clause.branch("hold_if", arguments, whole || rule.shadow)),
            );
        }
        let judgement = self.judge(call);
        if let Judgement::Allow(due) | Judgement::Hold(Held { due, .. }) = &judgement {
            tree.extend(due.iter().map(|(limit, amount)| Branch {
                what: "limit",
                rule: limit.pointer().into(),
                path: limit.amount().map(ToString::to_string),
                gave: match limit.counts {
                    Counts::Identical => format!("at most {} like it a {}", limit.max, limit.window),
                    _ => format!("{amount} of {} a {} on {}", limit.max, limit.window, limit.counter),
                },
                ..Branch::default()
            }));
            tree.extend(due.concurrent().map(|limit| Branch {
                what: "limit",
                rule: limit.pointer().into(),
                gave: format!("at most {} at once", limit.max),
                ..Branch::default()
            }));
        }
        let (outcome, rule, message) = match judgement {
            Judgement::Allow(_) => (Outcome::Allowed, String::new(), String::new()),
            Judgement::Hold(held) => (Outcome::Held, held.rule.to_owned(), held.message.into_owned()),
            Judgement::Deny(denial) => (Outcome::Denied, denial.rule.to_owned(), denial.message.into_owned()),
        };
        Explanation { outcome, rule, message, policy: self.file().into(), digest: self.digest.clone(), tree }
    }
}

/// What a clause under that word does to the call.
fn comes_to(what: &str, truth: Truth<'_>) -> &'static str {
    match (what, truth) {
        ("require", Truth::True)
        | ("deny_if", Truth::False | Truth::Missing(_))
        | ("hold_if", Truth::False) => "passes",
        ("hold_if", _) => "holds",
        _ => "denies",
    }
}

fn passes(holds: bool) -> &'static str {
    if holds { "passes" } else { "denies" }
}

impl Clause {
    fn branch(&self, what: &'static str, arguments: &Arguments<'_>, shadow: bool) -> Branch {
        let truth = self.judge(arguments);
        Branch {
            what,
            rule: self.place.pointer.clone(),
            gave: truth.word().into(),
            outcome: Some(comes_to(what, truth)),
            shadow,
            parts: self.conditions.iter().map(|part| branch(part, arguments)).collect(),
            ..Branch::default()
        }
    }
}

fn branch(predicate: &Predicate, arguments: &Arguments<'_>) -> Branch {
    let truth = predicate.judge(arguments);
    let gave = truth.word().to_owned();
    let inside = |parts: &[Predicate]| parts.iter().map(|part| branch(part, arguments)).collect();
    match predicate {
        Predicate::All(parts) => Branch { what: "all", gave, parts: inside(parts), ..Branch::default() },
        Predicate::Any(parts) => Branch { what: "any", gave, parts: inside(parts), ..Branch::default() },
        Predicate::Not(part) => {
            Branch { what: "not", gave, parts: vec![branch(part, arguments)], ..Branch::default() }
        }
        Predicate::Test(test) => Branch {
            what: "test",
            path: Some(test.path.to_string()),
            op: Some(test.op),
            value: Some(test.value.clone()),
            saw: saw(test, arguments),
            gave,
            why: match truth {
                Truth::Unjudged(_, why) => Some(why.to_string()),
                Truth::False => test.refusal(arguments),
                Truth::True | Truth::Missing(_) => None,
            },
            ..Branch::default()
        },
    }
}

fn saw(test: &Test, arguments: &Arguments<'_>) -> Option<String> {
    const SHOWN: usize = 120;
    if let Root::Fact(fact) = &test.path.root {
        return arguments.fact(fact).and_then(|json| String::from_utf8(json.to_vec()).ok());
    }
    let mut slot = arguments.slot(test.slot);
    for step in &test.path.steps {
        slot = match (slot, step) {
            (Slot::Found(raw), Step::Key(name)) if raw.starts_with('{') => member(raw, name),
            (Slot::Found(raw), Step::Index(index)) if raw.starts_with('[') => element(raw, *index),
            (other, _) => {
                slot = other;
                break;
            }
        };
    }
    match slot {
        Slot::Found(raw) if raw.chars().count() > SHOWN => {
            Some(raw.chars().take(SHOWN).chain(['…']).collect())
        }
        Slot::Found(raw) => Some(raw.into()),
        Slot::Missing | Slot::Doubtful(_) => None,
    }
}

impl Explanation {
    /// The message behind the rule's name. One that no author wrote names the rule itself: of it only what follows the name.
    fn reason(&self) -> String {
        let named = format!(" by {}", self.rule);
        match self.message.split_once(&named) {
            Some((_, ".")) => String::new(),
            Some((_, why)) if why.starts_with(": ") => why.to_owned(),
            _ => format!(": {}", self.message),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Allowed => write!(f, "allowed")?,
            Outcome::Held => write!(f, "held for a person by {}{}", self.rule, self.reason())?,
            Outcome::Denied => write!(f, "denied by {}{}", self.rule, self.reason())?,
        }
        writeln!(f, "\npolicy {} ({})", self.policy, self.digest.get(..12).unwrap_or_default())?;
        self.tree.iter().try_for_each(|branch| branch.print(f, 1))
    }
}

impl Branch {
    fn print(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}", "", depth * 2)?;
        match (&self.path, self.op, &self.value) {
            (Some(path), Some(op), Some(value)) => {
                write!(f, "{path} {op} {value}: {}", self.gave)?;
                if let Some(saw) = &self.saw {
                    write!(f, ", saw {saw}")?;
                }
            }
            _ if self.rule.is_empty() => write!(f, "{}: {}", self.what, self.gave)?,
            _ => write!(f, "{}: {}", self.rule, self.gave)?,
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        match self.outcome {
            Some(outcome) if self.shadow => writeln!(f, " → {outcome}, were it not shadowed")?,
            Some(outcome) => writeln!(f, " → {outcome}")?,
            None => writeln!(f)?,
        }
        self.parts.iter().try_for_each(|part| part.print(f, depth + 1))
    }
}
