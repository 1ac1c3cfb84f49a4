//! Whether a policy is at least as strict as another, whatever the call.
//!
//! It is where each thing that refuses has its like in it, and nothing permits that did not before. What has its like is
//! told from the rules, and only where that is certain: the reasons stand beside each step. A counter that several limits
//! name counts the most of them and must stay within each, so another limit, or a narrower one, lets no sequence of calls
//! through that the first did not.

use serde::Serialize;

use crate::literal::Literal;
use crate::operator::Operator;
use crate::path::Step;
use crate::predicate::{IfMissing, Predicate, Test};
use crate::redaction::Redaction;
use crate::rule::{Clause, Hold, Rule, Stopping};
use crate::selector::Choice;
use crate::{Concurrent, Decimal, Kind, Limit, Policy, Refund};

/// A place in a policy that has not its like in the other.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The policy's file.
    pub policy: String,
    /// A pointer into it.
    pub rule: String,
    /// What it does there.
    pub effect: Effect,
}

/// What a place in a policy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It refuses, holds or limits.
    Restricts,
    /// It lets calls pass.
    Permits,
}

/// Where `policy` might let through what `than` does not: the restrictions of `than` that have not their like, and what
/// permits in `policy` alone. Where there are none, it is at least as strict.
pub(super) fn gaps(policy: &Policy, than: &Policy) -> Vec<Gap> {
    let mut gaps = Vec::new();
    let mut lost = |rule: &str| {
        gaps.push(Gap { policy: than.file().into(), rule: rule.into(), effect: Effect::Restricts });
    };
    if !than.shadow && than.hidden.iter().any(|hidden| !hides(policy, hidden)) {
        lost("/hide");
    }
    let nothing = Rule::default();
    let all_tools = |policy| enforced(policy, &policy.all_tools).unwrap_or(&nothing);
    uncovered(all_tools(policy), all_tools(than)).into_iter().for_each(&mut lost);
    for kind in KINDS {
        for choice in chosen(than, kind) {
            match chosen(policy, kind).find(|other| is_same(other, choice)) {
                Some(other) => uncovered(&other.said, &choice.said).into_iter().for_each(&mut lost),
                None if is_open(&choice.said)
                    || (kind == Kind::Tool && hides(policy, choice))
                    || denies(policy, kind, choice) => {}
                None => lost(&choice.said.pointer),
            }
        }
    }
    let mut gained = |rule: &str| {
        gaps.push(Gap { policy: policy.file().into(), rule: rule.into(), effect: Effect::Permits });
    };
    if policy.default_allows && !than.default_allows {
        gained("/default");
    }
    for kind in KINDS {
        for choice in chosen(policy, kind) {
            let is_known = chosen(than, kind).any(|other| is_same(other, choice));
            let is_hidden = kind == Kind::Tool && hides(policy, choice);
            if !(is_known || always_denies(&choice.said) || is_hidden || permits(than, kind, choice)) {
                gained(&choice.said.pointer);
            }
        }
    }
    gaps
}

const KINDS: [Kind; 5] = [Kind::Tool, Kind::Resource, Kind::Prompt, Kind::Method, Kind::ServerRequest];

/// A rule, unless it is only tried: then it is not there.
fn enforced<'p>(policy: &Policy, rule: &'p Rule) -> Option<&'p Rule> {
    (!policy.shadow && !rule.shadow).then_some(rule)
}

/// The rules for one kind that are enforced.
fn chosen(policy: &Policy, kind: Kind) -> impl Iterator<Item = &Choice<Rule>> {
    policy.of_kind(kind).iter().filter(move |choice| enforced(policy, &choice.said).is_some())
}

/// Whether two selectors choose the same tools, of which the texts alone are compared. (`a/b` is a name in version 1, and
/// a tool of a server in version 2.)
fn is_same<T, U>(left: &Choice<T>, right: &Choice<U>) -> bool {
    left.text == right.text && left.selector.is_none() == right.selector.is_none()
}

/// Whether all tools of a selector are hidden.
fn hides<T>(policy: &Policy, choice: &Choice<T>) -> bool {
    !policy.shadow && policy.hidden.iter().any(|hidden| *hidden.text == *"*" || is_same(hidden, choice))
}

/// Whether the default denies all tools of a selector that has no rule in it.
fn denies<T>(policy: &Policy, kind: Kind, choice: &Choice<T>) -> bool {
    let is_for = |other: &Choice<Rule>| match &other.selector {
        None => false,
        Some(selector) => selector.is_for_name(&choice.text) != Some(false),
    };
    !policy.default_allows && choice.selector.is_none() && !chosen(policy, kind).any(is_for)
}

/// Whether all tools of a selector that has no rule in it are permitted without one.
fn permits<T>(policy: &Policy, kind: Kind, choice: &Choice<T>) -> bool {
    policy.default_allows
        || chosen(policy, kind).any(|other| match &other.selector {
            None => false,
            Some(_) if *other.text == *"*" => true,
            Some(selector) => choice.selector.is_none() && selector.is_for_name(&choice.text) == Some(true),
        })
}

/// Whether a rule refuses nothing.
fn is_open(rule: &Rule) -> bool {
    let nothing = rule.limits.is_empty() && rule.concurrent.is_empty() && rule.clauses().next().is_none();
    let as_it_comes = Stopping { rule: rule.stopping.rule.clone(), ..Stopping::default() };
    nothing && rule.redact.is_empty() && rule.stopping == as_it_comes
}

fn always_denies(rule: &Rule) -> bool {
    rule.deny_if.iter().any(|clause| clause.conditions.is_empty())
}

/// What of `than` has not its like in `rule`.
fn uncovered<'p>(rule: &Rule, than: &'p Rule) -> Vec<&'p str> {
    if always_denies(rule) {
        return Vec::new();
    }
    let required: Vec<&Predicate> = rule.require.iter().flat_map(|clause| &clause.conditions).collect();
    // Each condition of each guard must hold, so it does not matter in which guard it stands.
    let is_required =
        |clause: &&Clause| clause.conditions.iter().all(|part| required.iter().any(|own| implies(own, part)));
    let is_denied = |clause: &&Clause| rule.deny_if.iter().any(|own| denies_as_much(own, clause));
    let is_held = |hold: &&Hold| rule.hold_if.iter().any(|own| holds_as_much(own, hold));
    let is_limited = |limit: &&Limit| rule.limits.iter().any(|own| limits_as_much(own, limit));
    let require = than.require.iter().filter(|clause| !is_required(clause)).map(|clause| &clause.place);
    let deny_if = than.deny_if.iter().filter(|clause| !is_denied(clause)).map(|clause| &clause.place);
    let hold_if = than.hold_if.iter().filter(|hold| !is_held(hold)).map(|hold| &hold.clause.place);
    let limits = than.limits.iter().filter(|limit| !is_limited(limit)).map(|limit| &limit.place);
    let has_place = |limit: &&Concurrent| {
        rule.concurrent.iter().any(|own| own.scope == limit.scope && own.max <= limit.max)
    };
    let places = require.chain(deny_if).chain(hold_if).chain(limits).map(|place| place.pointer.as_str());
    let at_once = than.concurrent.iter().filter(|limit| !has_place(limit)).map(Concurrent::pointer);
    let as_careful = covers_as_much(rule, than) && ends_as_soon(&rule.stopping, &than.stopping);
    let rest = (!as_careful).then_some(than.pointer.as_str());
    places.chain(at_once).chain(rest).collect()
}

/// Whether all that one rule keeps unseen the other does too.
fn covers_as_much(own: &Rule, other: &Rule) -> bool {
    let covers = |redaction: &Redaction| own.redact.iter().any(|own| own.text == redaction.text);
    other.redact.iter().all(covers) && (own.redact_result || !other.redact_result)
}

fn ends_as_soon(own: &Stopping, other: &Stopping) -> bool {
    let sooner = match (own.after_ms, other.after_ms) {
        (_, None) => true,
        (Some(own), Some(other)) => own <= other,
        (None, Some(_)) => false,
    };
    sooner
        && (!own.extend_on_progress || other.extend_on_progress || other.after_ms.is_none())
        && (own.process || !other.process)
}

fn limits_as_much(own: &Limit, other: &Limit) -> bool {
    (&own.counter, own.window, own.scope) == (&other.counter, other.window, other.scope)
        && own.counts == other.counts
        && own.max <= other.max
        && (own.refund == other.refund || own.refund == Refund::Never)
}

/// A clause denies where all of its conditions are true, or where one is unjudged and none is false. So one that lacks a
/// condition of the other does not deny as much: what is left may be missing where what it lacks was unjudged.
fn denies_as_much(own: &Clause, other: &Clause) -> bool {
    match (&*own.conditions, &*other.conditions) {
        ([], _) => true,
        ([own], [other]) => covers(own, other),
        (own, other) => {
            own.iter().all(|own| other.iter().any(|other| covers_exactly(own, other)))
                && other.iter().all(|other| own.iter().any(|own| covers_exactly(own, other)))
        }
    }
}

/// A clause holds where none of its conditions is false. So one that lacks a condition of the other holds as much.
fn holds_as_much(own: &Hold, other: &Hold) -> bool {
    let sooner = match (own.timeout_ms, other.timeout_ms) {
        (Some(own), Some(other)) => own <= other,
        (own, other) => own == other,
    };
    let conditions = &own.clause.conditions;
    own.approvers == other.approvers
        && sooner
        && conditions.iter().all(|own| other.clause.conditions.iter().any(|other| covers(own, other)))
}

/// Whether one predicate is true only where the other is.
fn implies(own: &Predicate, other: &Predicate) -> bool {
    let (Predicate::Test(own), Predicate::Test(other)) = (own, other) else { return is_equal(own, other) };
    is_equal_test(own, other)
        || at_one_place(own, other)
            // What is missing is true by `if_missing: match` alone.
            && (own.if_missing != Some(IfMissing::Match) || other.if_missing == Some(IfMissing::Match))
            && (is_within(&own.operator, &other.operator) || names_fewer(own, other) || allows_less(own, other))
}

/// Whether one predicate is true where the other is, true or unjudged where it is unjudged, and not false where it is missing.
fn covers(own: &Predicate, other: &Predicate) -> bool {
    let (Predicate::Test(own), Predicate::Test(other)) = (own, other) else { return is_equal(own, other) };
    is_equal_test(own, other)
        || at_one_place(own, other)
            && (own.if_missing == other.if_missing || own.if_missing == Some(IfMissing::Match))
            && is_within(&other.operator, &own.operator)
}

/// The same, and unjudged or missing where the other is. With a list, one may find an element that it can judge where
/// the other finds none.
fn covers_exactly(own: &Predicate, other: &Predicate) -> bool {
    let (Predicate::Test(test), Predicate::Test(other_test)) = (own, other) else {
        return is_equal(own, other);
    };
    is_equal_test(test, other_test)
        || test.if_missing == other_test.if_missing
            && bound(&test.operator).is_some()
            && !test.path.steps.contains(&Step::Each)
            && covers(own, other)
}

fn is_equal(left: &Predicate, right: &Predicate) -> bool {
    let all = |left: &[Predicate], right: &[Predicate]| {
        let has = |list: &[Predicate], part| list.iter().any(|other| is_equal(other, part));
        left.iter().all(|part| has(right, part)) && right.iter().all(|part| has(left, part))
    };
    match (left, right) {
        (Predicate::Test(left), Predicate::Test(right)) => is_equal_test(left, right),
        (Predicate::All(left), Predicate::All(right)) | (Predicate::Any(left), Predicate::Any(right)) => {
            all(left, right)
        }
        (Predicate::Not(left), Predicate::Not(right)) => is_equal(left, right),
        _ => false,
    }
}

fn is_equal_test(left: &Test, right: &Test) -> bool {
    at_one_place(left, right)
        && left.if_missing == right.if_missing
        && left.op == right.op
        && left.value.get() == right.value.get()
}

fn at_one_place(left: &Test, right: &Test) -> bool {
    left.path == right.path && left.each == right.each
}

/// Whether one operator holds only for values for which the other does, and cannot judge the same values. (With
/// `in` and `not_in`, one that judges by more values may be unjudged where the other is, or true.)
fn is_within(own: &Operator, other: &Operator) -> bool {
    if let (Some(own), Some(other)) = (bound(own), bound(other)) {
        return own.is_within(&other);
    }
    match (members(own), members(other)) {
        (Some((true, own)), Some((true, other))) => own.iter().all(|value| other.contains(value)),
        (Some((false, own)), Some((false, other))) => other.iter().all(|value| own.contains(value)),
        _ => false,
    }
}

/// The end of a range of numbers.
struct Bound {
    is_upper: bool,
    at: Decimal,
    is_inside: bool,
}

impl Bound {
    fn is_within(&self, other: &Self) -> bool {
        let beyond = if self.is_upper { self.at < other.at } else { self.at > other.at };
        self.is_upper == other.is_upper
            && (beyond || self.at == other.at && (other.is_inside || !self.is_inside))
    }
}

fn bound(operator: &Operator) -> Option<Bound> {
    let (is_upper, at, is_inside) = match operator {
        Operator::Lt(at) => (true, at, false),
        Operator::Lte(at) => (true, at, true),
        Operator::Gt(at) => (false, at, false),
        Operator::Gte(at) => (false, at, true),
        _ => return None,
    };
    Some(Bound { is_upper, at: *at, is_inside })
}

/// What a value must be one of, or none of.
fn members(operator: &Operator) -> Option<(bool, &[Literal])> {
    match operator {
        Operator::Eq(value) => Some((true, std::slice::from_ref(value))),
        Operator::In(values) => Some((true, values)),
        Operator::Neq(value) => Some((false, std::slice::from_ref(value))),
        Operator::NotIn(values) => Some((false, values)),
        _ => None,
    }
}

/// Whether both have one operator that holds for what is in one of a list, and one names fewer of them.
fn names_fewer(own: &Test, other: &Test) -> bool {
    own.op == other.op
        && matches!(own.op, "within" | "host_in" | "in_cidr" | "type")
        && match (listed(own), listed(other)) {
            (Some(own), Some(other)) => own.iter().all(|text| other.contains(text)),
            _ => false,
        }
}

/// Whether both are about commands, and one allows no line that the other does not.
fn allows_less(own: &Test, other: &Test) -> bool {
    match (&own.operator, &other.operator) {
        (Operator::Command(own), Operator::Command(other)) => own.implies(other),
        _ => false,
    }
}

/// The texts of a value that is one or a list of them.
fn listed(test: &Test) -> Option<Vec<String>> {
    let value = test.value.get();
    serde_json::from_str(value).or_else(|_| serde_json::from_str(value).map(|one| vec![one])).ok()
}
