//! What becomes of limits.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Limit, Policy, Refund};

/// A limit that is not the same in both policies.
#[derive(Debug, Serialize)]
pub struct LimitChange {
    /// It, as a pointer into the second policy, or into the first where the second has none.
    pub rule: String,
    /// In the first policy.
    pub from: Option<LimitShown>,
    /// In the second.
    pub to: Option<LimitShown>,
}

/// A limit as it is written.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct LimitShown {
    /// The counter's name.
    pub counter: String,
    /// `minute`, `hour` or `day`.
    pub window: String,
    /// What the counter may reach, digit for digit.
    #[serde(serialize_with = "number")]
    pub max: String,
    /// The argument that is counted instead of calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<String>,
    /// `never` or `on_error`.
    pub refund: &'static str,
}

/// Digits as a number.
fn number<S: serde::Serializer>(digits: &str, serializer: S) -> Result<S::Ok, S::Error> {
    RawValue::from_string(digits.to_owned()).map_err(serde::ser::Error::custom)?.serialize(serializer)
}

impl LimitShown {
    fn of(limit: &Limit) -> Self {
        Self {
            counter: limit.counter.clone(),
            window: limit.window.to_string(),
            max: limit.max.to_string(),
            amount: limit.amount().map(ToString::to_string),
            refund: match limit.refund {
                Refund::Never => "never",
                Refund::OnError => "on_error",
            },
        }
    }
}

/// What changes, rule by rule. Within a rule, limits on one counter and window belong together; what then is left over
/// on both sides is taken for one that was given another counter or window.
pub(super) fn changes(from: &Policy, to: &Policy) -> Vec<LimitChange> {
    let rules = |policy: &Policy| -> Vec<String> {
        let texts = policy.tools.iter().map(|choice| choice.said.pointer.clone());
        std::iter::once(ALL_TOOLS.to_owned()).chain(texts).collect()
    };
    let mut all = rules(from);
    all.extend(rules(to));
    all.sort();
    all.dedup();
    all.iter().flat_map(|rule| in_rule(limits(from, rule), limits(to, rule))).collect()
}

/// The rule for all tools has no pointer of its own where it is not written.
const ALL_TOOLS: &str = "/all_tools";

fn limits<'p>(policy: &'p Policy, rule: &str) -> Vec<&'p Limit> {
    let all = policy.tools.iter().filter(|choice| choice.said.pointer == rule);
    let of_tools = all.flat_map(|choice| &choice.said.limits);
    match rule {
        ALL_TOOLS => policy.all_tools.limits.iter().collect(),
        _ => of_tools.collect(),
    }
}

fn in_rule(mut from: Vec<&Limit>, mut to: Vec<&Limit>) -> Vec<LimitChange> {
    let mut changes = Vec::new();
    let mut note = |from: Option<&Limit>, to: Option<&Limit>| {
        let rule = to.or(from).map(|limit| limit.pointer().to_owned()).unwrap_or_default();
        let (from, to) = (from.map(LimitShown::of), to.map(LimitShown::of));
        if from != to {
            changes.push(LimitChange { rule, from, to });
        }
    };
    from.retain(|before| {
        let same = |after: &&&Limit| after.counter == before.counter && after.window == before.window;
        let Some(after) = to.iter().find(same).copied() else { return true };
        to.retain(|other| !std::ptr::eq(*other, after));
        note(Some(before), Some(after));
        false
    });
    for at in 0..from.len().max(to.len()) {
        note(from.get(at).copied(), to.get(at).copied());
    }
    changes
}
