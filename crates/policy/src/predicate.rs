//! What must hold, or must not.

use portcullis_document::Span;

use crate::Path;
use crate::arguments::{Arguments, Slot, Type, member};
use crate::facts::Json;
use crate::operator::{Commands, Operator};
use crate::path::{Root, Step};
use crate::truth::{Truth, Why};
use portcullis_json::elements;

#[derive(Debug)]
pub(crate) enum Predicate {
    Test(Test),
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    Not(Box<Predicate>),
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) path: Path,
    /// Where the path stands in the file, for [`Policy::check_against`](crate::Policy::check_against).
    pub(crate) place: Place,
    /// The index of the argument's name among those that the rule asks for; of no meaning for a fact.
    pub(crate) slot: usize,
    pub(crate) each: Each,
    pub(crate) operator: Operator,
    pub(crate) if_missing: Option<IfMissing>,
    /// Operator and value as the file has them.
    pub(crate) op: &'static str,
    pub(crate) value: Box<serde_json::value::RawValue>,
}

/// A place in the policy's file.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) span: Span,
    pub(crate) pointer: String,
}

/// How many elements `[*]` asks for. It depends on which answer denies, so the reader works it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Each {
    All,
    Any,
}

impl Each {
    /// What it means inside `not`.
    pub(crate) fn turned(self) -> Self {
        match self {
            Self::All => Self::Any,
            Self::Any => Self::All,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum IfMissing {
    Match,
    Fail,
}

impl Predicate {
    pub(crate) fn judge<'p>(&'p self, arguments: &Arguments<'_>) -> Truth<'p> {
        match self {
            Self::Test(test) => test.judge(arguments),
            Self::All(parts) => Truth::all(parts.iter().map(|part| part.judge(arguments))),
            Self::Any(parts) => Truth::any(parts.iter().map(|part| part.judge(arguments))),
            Self::Not(part) => part.judge(arguments).not(),
        }
    }

    /// Every comparison in it.
    pub(crate) fn tests(&self) -> Vec<&Test> {
        match self {
            Self::Test(test) => vec![test],
            Self::All(parts) | Self::Any(parts) => parts.iter().flat_map(Self::tests).collect(),
            Self::Not(part) => part.tests(),
        }
    }
}

impl Test {
    pub(crate) fn judge<'p>(&'p self, arguments: &Arguments<'_>) -> Truth<'p> {
        match &self.path.root {
            Root::Argument(_) => self.slot(arguments.slot(self.slot), &self.path.steps),
            Root::Fact(fact) => {
                let truth = self.fact(arguments.fact(fact).as_ref());
                // A client begins sessions as it likes: what the session says counts only where the grant says the same.
                match fact.for_the_grant().and_then(|grant| arguments.fact(&grant)) {
                    Some(json) if self.fact(Some(&json)) != truth => self.unjudged(Why::AnotherSession),
                    _ => truth,
                }
            }
        }
    }

    fn fact<'p>(&'p self, json: Option<&Json>) -> Truth<'p> {
        match json {
            None => self.nothing(Truth::Missing(&self.path)),
            Some(json) => self.walk(std::str::from_utf8(json).unwrap_or("null"), &[]),
        }
    }

    fn slot<'p>(&'p self, slot: Slot<'_>, steps: &[Step]) -> Truth<'p> {
        match slot {
            Slot::Missing => self.nothing(Truth::Missing(&self.path)),
            Slot::Found(raw) => self.walk(raw, steps),
            Slot::Doubtful(why) => self.unjudged(why),
        }
    }

    fn walk<'p>(&'p self, raw: &str, steps: &[Step]) -> Truth<'p> {
        let found = Type::of(raw);
        if found == Type::Null {
            return self.nothing(self.unjudged(Why::Null));
        }
        let Some((step, rest)) = steps.split_first() else {
            return self.operator.judge(raw).map_or_else(|why| self.unjudged(why), Truth::of);
        };
        match (step, found) {
            (Step::Key(name), Type::Object) => self.slot(member(raw, name), rest),
            (Step::Index(index), Type::Array) => self.slot(element(raw, *index), rest),
            (Step::Each, Type::Array) => self.every(raw, rest),
            // Not missing: a server may read a string of JSON, or a single value for a list of one.
            (Step::Key(_), _) => self.unjudged(Why::Type { expected: "an object on the way", found }),
            (_, _) => self.unjudged(Why::Type { expected: "an array on the way", found }),
        }
    }

    fn every<'p>(&'p self, raw: &str, rest: &[Step]) -> Truth<'p> {
        let mut sum = None;
        let read = elements(raw, &mut |element| {
            let truth = self.walk(element, rest);
            sum = Some(match (sum, self.each) {
                (None, _) => truth,
                (Some(sum), Each::All) => Truth::all([sum, truth]),
                (Some(sum), Each::Any) => Truth::any([sum, truth]),
            });
        });
        match (read, sum) {
            (None, _) => self.unjudged(Why::Malformed),
            (Some(()), None) => self.nothing(Truth::Missing(&self.path)),
            (Some(()), Some(sum)) => sum,
        }
    }

    /// What of a command is not allowed; `None` where the operator is another, or nothing is refused.
    pub(crate) fn refusal(&self, arguments: &Arguments<'_>) -> Option<String> {
        let Operator::Command(commands) = &self.operator else { return None };
        match arguments.slot(self.slot) {
            Slot::Found(raw) => refusal(commands, raw, &self.path.steps),
            Slot::Missing | Slot::Doubtful(_) => None,
        }
    }

    /// Nothing is there, or null is: `exists` has its answer, `if_missing` may have, and without it the answer is
    /// `otherwise`.
    fn nothing<'p>(&'p self, otherwise: Truth<'p>) -> Truth<'p> {
        match (&self.operator, self.if_missing) {
            (Operator::Exists(wanted), _) => Truth::of(!wanted),
            (_, Some(IfMissing::Match)) => Truth::True,
            (_, Some(IfMissing::Fail)) => Truth::False,
            (_, None) => otherwise,
        }
    }

    fn unjudged(&self, why: Why) -> Truth<'_> {
        Truth::Unjudged(&self.path, why)
    }
}

/// The first refusal among what a path leads to.
fn refusal(commands: &Commands, raw: &str, steps: &[Step]) -> Option<String> {
    let Some((step, rest)) = steps.split_first() else { return commands.refusal(raw) };
    let slot = match step {
        Step::Key(name) => member(raw, name),
        Step::Index(index) => element(raw, *index),
        Step::Each => {
            let mut first = None;
            elements(raw, &mut |element| {
                if first.is_none() {
                    first = refusal(commands, element, rest);
                }
            })?;
            return first;
        }
    };
    match slot {
        Slot::Found(raw) => refusal(commands, raw, rest),
        Slot::Missing | Slot::Doubtful(_) => None,
    }
}

pub(crate) fn element(array: &str, index: usize) -> Slot<'_> {
    let mut at = 0;
    let mut slot = Slot::Missing;
    let read = elements(array, &mut |element| {
        if at == index {
            slot = Slot::Found(element);
        }
        at += 1;
    });
    if read.is_some() { slot } else { Slot::Doubtful(Why::Malformed) }
}
