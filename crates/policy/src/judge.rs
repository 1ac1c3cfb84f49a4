//! The decision.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::arguments::{Arguments, Slot};
use crate::operator::number;
use crate::path::Step;
use crate::predicate::element;
use crate::rule::{Clause, Hold, Rule};
use crate::truth::{Truth, Why};
use crate::{Call, Concurrent, Decimal, Limit, Mode, Outcome, Path, Policy, Stopping, Target};

/// What a policy says to a call.
#[derive(Debug)]
pub enum Judgement<'p> {
    /// It may pass if every limit that is due can be reserved.
    Allow(Due<'p>),
    /// It may pass in the same way once a person said so.
    Hold(Held<'p>),
    /// It may not.
    Deny(Denial<'p>),
}

/// Why a call waits for a person, and whom.
#[derive(Debug)]
pub struct Held<'p> {
    /// A pointer into the policy such as `/tools/pay/hold_if/0`: the first of those that hold.
    pub rule: &'p str,
    /// For the caller.
    pub message: Cow<'p, str>,
    /// What it is charged.
    pub due: Due<'p>,
    holds: SmallVec<[&'p Hold; 2]>,
}

impl<'p> Held<'p> {
    /// The labels, as `key=value`, of which a person who decides must have one; where there are several such lists, one of each.
    pub fn approvers(&self) -> impl Iterator<Item = &'p [String]> {
        self.holds.iter().map(|hold| &*hold.approvers).filter(|approvers| !approvers.is_empty())
    }

    /// How long it may wait, in milliseconds; `None` where the policy leaves it open.
    pub fn timeout_ms(&self) -> Option<i64> {
        self.holds.iter().filter_map(|hold| hold.timeout_ms).min()
    }
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
    charges: Charges<'p>,
    tried: Option<Box<Try<'p>>>,
}

#[derive(Debug, Default)]
struct Charges<'p> {
    rules: SmallVec<[&'p Rule; 4]>,
    /// One for each limit that counts an argument.
    amounts: SmallVec<[Decimal; 2]>,
}

impl<'p> Charges<'p> {
    fn iter(&self) -> impl Iterator<Item = (&'p Limit, Decimal)> {
        let mut amounts = self.amounts.iter().copied();
        self.rules.iter().flat_map(|rule| &rule.limits).map(move |limit| match limit.source {
            Some(_) => (limit, amounts.next().unwrap_or(limit.max)),
            None => (limit, Decimal::ONE),
        })
    }
}

/// What became of the rules that are only tried.
#[derive(Debug)]
struct Try<'p> {
    tried: Option<Tried<'p>>,
    charges: Charges<'p>,
}

/// What would have been decided, were nothing only tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried<'p> {
    /// Held or denied.
    pub outcome: Outcome,
    /// The rule, as a pointer.
    pub rule: &'p str,
    /// What the caller would have been told.
    pub message: Cow<'p, str>,
}

impl<'p> Due<'p> {
    /// Each limit with what the call counts for it.
    pub fn iter(&self) -> impl Iterator<Item = (&'p Limit, Decimal)> {
        self.charges.iter()
    }

    /// Each limit that is only tried: counted, and refusing nothing.
    pub fn tried_limits(&self) -> impl Iterator<Item = (&'p Limit, Decimal)> {
        self.tried.iter().flat_map(|tried| tried.charges.iter())
    }

    /// What rules that are only tried would have decided, where it is something else.
    pub fn tried(&self) -> Option<&Tried<'p>> {
        self.tried.as_ref()?.tried.as_ref()
    }

    /// When and how the call is to be ended: after the shortest of the times that rules say.
    pub fn stopping(&self) -> Stopping {
        let all = || self.charges.rules.iter().map(|rule| &rule.stopping);
        let timed =
            all().filter(|stopping| stopping.after_ms.is_some()).min_by_key(|stopping| stopping.after_ms);
        Stopping { process: all().any(|stopping| stopping.process), ..timed.cloned().unwrap_or_default() }
    }

    /// Each limit on how many calls run at once.
    pub fn concurrent(&self) -> impl Iterator<Item = &'p Concurrent> {
        self.charges.rules.iter().flat_map(|rule| &rule.concurrent)
    }
}

impl Policy {
    /// Decides a call: a function of the policy and the call alone.
    ///
    /// To allow, it allocates only for keys and strings that hold escapes, for `eq` with a list or map, for more than 16
    /// judged arguments or two amounts in a rule, for more than three rules of a tool, and where a pattern is held against a tool for
    /// the first time.
    pub fn judge<'p, P: AsRef<str>>(&'p self, call: &Call<'_, P>) -> Judgement<'p> {
        let enforced = self.mode(call.facts.mode) == Mode::Enforced;
        if enforced && self.hides(&call.tool) {
            return Judgement::Deny(hidden(&call.tool));
        }
        if let Some(why) = self.unclear(&call.tool).filter(|_| enforced) {
            return Judgement::Deny(unclear(&call.tool, why));
        }
        let rules = self.rules(&call.tool, call.facts.mode);
        let Some(enforced) = rules.enforced else { return Judgement::Deny(by_default(&call.tool)) };
        let Passing { amounts, waits, holds } = match judge(&enforced, call) {
            Ok(passing) => passing,
            Err(denial) => return Judgement::Deny(denial),
        };
        let tried = rules.tried.map(|tried| Box::new(self.try_out(tried, call, waits.is_some())));
        let due = Due { charges: Charges { rules: enforced, amounts }, tried };
        match waits {
            None => Judgement::Allow(due),
            Some((rule, message)) => Judgement::Hold(Held { rule, message, due, holds }),
        }
    }

    /// What would be decided if all rules were enforced; `held` where those that are hold the call anyway.
    fn try_out<'p, P: AsRef<str>>(
        &'p self,
        rules: Option<SmallVec<[&'p Rule; 4]>>,
        call: &Call<'_, P>,
        held: bool,
    ) -> Try<'p> {
        let denied = |Denial { rule, message, .. }: Denial<'p>| Try {
            tried: Some(Tried { outcome: Outcome::Denied, rule, message }),
            charges: Charges::default(),
        };
        if self.hides(&call.tool) {
            return denied(hidden(&call.tool));
        }
        if let Some(why) = self.unclear(&call.tool) {
            return denied(unclear(&call.tool, why));
        }
        let Some(rules) = rules else { return denied(by_default(&call.tool)) };
        let waits = match judge(&rules, call) {
            Ok(passing) => passing.waits,
            Err(denial) => return denied(denial),
        };
        let whole = self.mode(call.facts.mode) == Mode::Shadow;
        let shadowed: SmallVec<[&Rule; 4]> = rules.into_iter().filter(|rule| whole || rule.shadow).collect();
        let amounts = judge(&shadowed, call).map(|passing| passing.amounts).unwrap_or_default();
        let tried = waits.filter(|_| !held);
        Try {
            tried: tried.map(|(rule, message)| Tried { outcome: Outcome::Held, rule, message }),
            charges: Charges { rules: shadowed, amounts },
        }
    }
}

fn hidden<'p>(target: &Target<'_>) -> Denial<'p> {
    let message = format!("The tool {} is hidden by policy.", target.name);
    Denial { rule: "(hidden)", message: message.into(), hidden: true }
}

/// What the rule of a denial is called where an address may lead to several places.
pub(crate) const UNCLEAR: &str = "(unclear address)";

fn unclear<'p>(target: &Target<'_>, why: &str) -> Denial<'p> {
    let message =
        format!("The resource {} may be read in two ways, so no rule can judge it: {why}.", target.name);
    Denial { rule: UNCLEAR, message: message.into(), hidden: false }
}

fn by_default<'p>(target: &Target<'_>) -> Denial<'p> {
    let message = format!("The {} {} is not permitted by policy.", target.kind.as_str(), target.name);
    Denial { rule: "(default deny)", message: message.into(), hidden: false }
}

/// A call that is not denied.
struct Passing<'p> {
    amounts: SmallVec<[Decimal; 2]>,
    /// Why it waits, and for what.
    waits: Option<(&'p str, Cow<'p, str>)>,
    holds: SmallVec<[&'p Hold; 2]>,
}

/// What all rules of a tool say together: first what they require, then what they deny, then what they leave to a person.
fn judge<'p, P: AsRef<str>>(rules: &[&'p Rule], call: &Call<'_, P>) -> Result<Passing<'p>, Denial<'p>> {
    let tool = call.tool.name;
    let read: SmallVec<[(&Rule, Arguments<'_>); 4]> =
        rules.iter().map(|rule| (*rule, rule.read(call))).collect();
    for (rule, arguments) in &read {
        for clause in &rule.require {
            match clause.judge(arguments) {
                Truth::True => {}
                truth => return Err(clause.unmet(tool, truth)),
            }
        }
    }
    for (rule, arguments) in &read {
        for clause in &rule.deny_if {
            match clause.judge(arguments) {
                Truth::False | Truth::Missing(_) => {}
                truth => return Err(clause.denial(tool, truth)),
            }
        }
    }
    let (mut waits, mut holds) = (None, SmallVec::new());
    for (rule, arguments) in &read {
        for hold in &rule.hold_if {
            match hold.clause.judge(arguments) {
                Truth::False => {}
                truth => {
                    waits.get_or_insert_with(|| hold.clause.waits(tool, truth));
                    holds.push(hold);
                }
            }
        }
    }
    let mut amounts = SmallVec::new();
    for (rule, arguments) in &read {
        for limit in &rule.limits {
            if let (Some((_, slot)), Some(path)) = (&limit.source, limit.amount()) {
                amounts.push(amount(path, arguments.slot(*slot)).map_err(|reason| {
                    let message = format!("{tool} is denied by {}: {path} {reason}.", limit.pointer());
                    Denial { rule: limit.pointer(), message: message.into(), hidden: false }
                })?);
            }
        }
    }
    Ok(Passing { amounts, waits, holds })
}

impl Rule {
    pub(crate) fn read<'a, P: AsRef<str>>(&self, call: &Call<'a, P>) -> Arguments<'a> {
        Arguments::read(call, &self.arguments)
    }
}

impl Clause {
    pub(crate) fn judge<'p>(&'p self, arguments: &Arguments<'_>) -> Truth<'p> {
        Truth::all(self.conditions.iter().map(|condition| condition.judge(arguments)))
    }

    /// Where it was required.
    fn unmet(&self, tool: &str, truth: Truth<'_>) -> Denial<'_> {
        self.denies(tool, truth, Some("the call does not meet this requirement"))
    }

    /// Where it is what is denied.
    fn denial(&self, tool: &str, truth: Truth<'_>) -> Denial<'_> {
        self.denies(tool, truth, None)
    }

    fn denies(&self, tool: &str, truth: Truth<'_>, otherwise: Option<&str>) -> Denial<'_> {
        let (rule, message) = self.says(tool, "is denied by", truth, otherwise);
        Denial { rule, message, hidden: false }
    }

    /// Where it is left to a person.
    fn waits(&self, tool: &str, truth: Truth<'_>) -> (&str, Cow<'_, str>) {
        self.says(tool, "is held by", truth, None)
    }

    fn says(
        &self,
        tool: &str,
        verb: &str,
        truth: Truth<'_>,
        otherwise: Option<&str>,
    ) -> (&str, Cow<'_, str>) {
        let rule = self.place.pointer.as_str();
        let message = match (&self.words, reason(truth)) {
            (Some(words), None) => words.as_str().into(),
            // The author's words do not fit a call that could not be compared at all, so they get the reason beside them.
            (Some(words), Some(reason)) => format!("{words} ({reason})").into(),
            (None, reason) => match reason.as_deref().or(otherwise) {
                Some(why) => format!("{tool} {verb} {rule}: {why}.").into(),
                None => format!("{tool} {verb} {rule}.").into(),
            },
        };
        (rule, message)
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
