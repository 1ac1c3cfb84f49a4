//! The decision.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::arguments::{Arguments, Slot};
use crate::operator::number;
use crate::path::Step;
use crate::predicate::element;
use crate::rule::{Clause, Requirement, Rule};
use crate::truth::{Truth, Why};
use crate::{Decimal, Limit, Path, Policy};

/// A call to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, P = &'static str> {
    /// The tool's name at the upstream.
    pub tool: &'a str,
    /// The arguments as JSON text, an object. `{}` where a call has none.
    pub arguments: &'a str,
    /// The names of the properties in the tool's input schema; an argument that differs from one of them only by case or
    /// Unicode form cannot be judged. Empty where no schema is known.
    pub properties: &'a [P],
}

/// What a policy says to a call.
#[derive(Debug)]
pub enum Judgement<'p> {
    /// It may pass if every limit that is due can be reserved.
    Allow(Due<'p>),
    /// It may not.
    Deny(Denial<'p>),
}

/// Why a call may not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial<'p> {
    /// A pointer into the policy such as `/tools/pay/deny_if/0`, or `(hidden)` or `(default deny)`.
    pub rule: &'p str,
    /// For the caller.
    pub message: Cow<'p, str>,
    /// Whether the tool is to be unknown to the caller: the answer must then be that of an unknown tool, without `message`.
    pub hidden: bool,
}

/// The limits that an allowed call has to be charged to.
#[derive(Debug)]
pub struct Due<'p> {
    all_tools: &'p [Limit],
    own: &'p [Limit],
    /// One for each of `own` that counts an argument.
    amounts: SmallVec<[Decimal; 2]>,
}

impl<'p> Due<'p> {
    /// Each limit with what the call counts for it.
    pub fn iter(&self) -> impl Iterator<Item = (&'p Limit, Decimal)> {
        let mut amounts = self.amounts.iter().copied();
        self.all_tools.iter().chain(self.own).map(move |limit| match limit.source {
            Some(_) => (limit, amounts.next().unwrap_or(limit.max)),
            None => (limit, Decimal::ONE),
        })
    }
}

impl Policy {
    /// Decides a call: a function of the policy and the call alone.
    ///
    /// To allow, it allocates only for keys and strings that hold escapes, for `eq` with a list or map, for more than 16
    /// judged arguments or two amounts in a rule, and the few bytes in which `serde_json` counts brackets when arguments
    /// are nested two deep.
    pub fn judge<'p, P: AsRef<str>>(&'p self, call: &Call<'_, P>) -> Judgement<'p> {
        if self.hides(call.tool) {
            let message = format!("The tool {} is hidden by policy.", call.tool);
            return Judgement::Deny(Denial { rule: "(hidden)", message: message.into(), hidden: true });
        }
        let Some(rule) = self.tools.get(call.tool) else {
            if self.default_allows {
                return Judgement::Allow(Due {
                    all_tools: &self.all_tools,
                    own: &[],
                    amounts: SmallVec::new(),
                });
            }
            let message = format!("The tool {} is not permitted by policy.", call.tool);
            return Judgement::Deny(Denial {
                rule: "(default deny)",
                message: message.into(),
                hidden: false,
            });
        };
        match rule.judge(call) {
            Ok(amounts) => Judgement::Allow(Due { all_tools: &self.all_tools, own: &rule.limits, amounts }),
            Err(denial) => Judgement::Deny(denial),
        }
    }
}

impl Rule {
    pub(crate) fn read<'a, P: AsRef<str>>(&self, call: &Call<'a, P>) -> Arguments<'a> {
        Arguments::read(call.arguments, &self.arguments, call.properties)
    }

    fn judge<'p, P: AsRef<str>>(&'p self, call: &Call<'_, P>) -> Result<SmallVec<[Decimal; 2]>, Denial<'p>> {
        let arguments = self.read(call);
        for requirement in &self.require {
            match requirement.predicate.judge(&arguments) {
                Truth::True => {}
                truth => return Err(requirement.denial(call.tool, truth)),
            }
        }
        for clause in &self.deny_if {
            match clause.judge(&arguments) {
                Truth::False | Truth::Missing(_) => {}
                truth => return Err(clause.denial(call.tool, truth)),
            }
        }
        let mut amounts = SmallVec::new();
        for limit in &self.limits {
            if let (Some((_, slot)), Some(path)) = (&limit.source, &limit.amount) {
                amounts.push(amount(path, arguments.slot(*slot)).map_err(|reason| {
                    let message = format!("{} is denied by {}: {path} {reason}.", call.tool, limit.pointer());
                    Denial { rule: limit.pointer(), message: message.into(), hidden: false }
                })?);
            }
        }
        Ok(amounts)
    }
}

impl Requirement {
    fn denial(&self, tool: &str, truth: Truth<'_>) -> Denial<'_> {
        let rule = self.place.pointer.as_str();
        let message = match reason(truth) {
            Some(reason) => format!("{tool} is denied by {rule}: {reason}."),
            None => format!("{tool} is denied by {rule}: the call does not meet this requirement."),
        };
        Denial { rule, message: message.into(), hidden: false }
    }
}

impl Clause {
    pub(crate) fn judge<'p>(&'p self, arguments: &Arguments<'_>) -> Truth<'p> {
        Truth::all(self.conditions.iter().map(|condition| condition.judge(arguments)))
    }

    fn denial(&self, tool: &str, truth: Truth<'_>) -> Denial<'_> {
        let rule = self.place.pointer.as_str();
        let message = match (&self.on_deny, reason(truth)) {
            (Some(on_deny), None) => on_deny.as_str().into(),
            // The author's words do not fit a call that could not be compared at all, so they get the reason beside them.
            (Some(on_deny), Some(reason)) => format!("{on_deny} ({reason})").into(),
            (None, None) => format!("{tool} is denied by {rule}.").into(),
            (None, Some(reason)) => format!("{tool} is denied by {rule}: {reason}.").into(),
        };
        Denial { rule, message, hidden: false }
    }
}

/// What kept a predicate from being true or false. It names types, never values.
fn reason(truth: Truth<'_>) -> Option<String> {
    match truth {
        Truth::True | Truth::False => None,
        Truth::Missing(path) => Some(format!("{path} is missing")),
        Truth::Unjudged(path, why) => Some(format!("{path} cannot be judged: {why}")),
    }
}

/// The number that a call adds to a counter, or why it adds none.
fn amount(path: &Path, argument: Slot<'_>) -> Result<Decimal, String> {
    let unjudged = |why: Why| format!("cannot be counted: {why}");
    let mut slot = argument;
    for step in &path.steps {
        slot = match (slot, step) {
            (Slot::Found(raw), Step::Key(name)) if raw.starts_with('{') => {
                crate::arguments::member(raw, name)
            }
            (Slot::Found(raw), Step::Index(index)) if raw.starts_with('[') => element(raw, *index),
            (Slot::Found(_), _) => Slot::Missing,
            (other, _) => other,
        };
    }
    match slot {
        Slot::Missing => Err("is missing".into()),
        Slot::Doubtful(why) => Err(unjudged(why)),
        Slot::Found(raw) => match number(raw).map_err(unjudged)? {
            amount if amount.is_negative() => Err("is negative".into()),
            amount => Ok(amount),
        },
    }
}
