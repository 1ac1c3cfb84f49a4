//! Limits.

use portcullis_document::Value;

use super::policy::{SECOND, Version, second};
use super::rule::{Arguments, place};
use crate::path::Step;
use crate::{Concurrent, Counts, Decimal, Limit, Path, Refund, Scope, Window};

/// All limits of a rule.
#[derive(Default)]
pub(super) struct Limits {
    pub(super) counted: Vec<Limit>,
    pub(super) concurrent: Vec<Concurrent>,
}

/// Reads a list of limits. `all_tools` are those that hold beside these; `None` where these are they, which count calls only.
pub(super) fn limits(
    value: &Value<'_>,
    all_tools: Option<&[Limit]>,
    arguments: &mut Arguments,
) -> Option<Limits> {
    let mut all = Limits::default();
    for value in value.list()? {
        match kind(&value, arguments.version()) {
            Some(Kind::Counted) => {
                let Some(limit) = limit(&value, all_tools.is_some(), arguments) else { continue };
                once(&value, &limit, &all.counted, all_tools.unwrap_or_default());
                all.counted.push(limit);
            }
            Some(Kind::Identical) => all.counted.extend(identical(&value)),
            Some(Kind::Concurrent) => all.concurrent.extend(concurrent(&value)),
            None => {}
        }
    }
    Some(all)
}

enum Kind {
    Counted,
    Identical,
    Concurrent,
}

fn kind(value: &Value<'_>, version: Version) -> Option<Kind> {
    let mut fields = value.fields()?;
    for (word, kind) in [("concurrent", Kind::Concurrent), ("identical", Kind::Identical)] {
        if fields.has(word) && version == Version::One {
            fields.refuse(word, &second("a limit of version \"1\"", word), Some(SECOND));
            return None;
        }
        if fields.has(word) {
            return Some(kind);
        }
    }
    Some(Kind::Counted)
}

/// Notes where a counter is named twice, or counts two things.
fn once(value: &Value<'_>, limit: &Limit, all: &[Limit], all_tools: &[Limit]) {
    let same = |other: &&Limit| {
        other.counts != Counts::Identical && other.counter == limit.counter && other.window == limit.window
    };
    if all.iter().any(|other| same(&other)) {
        let message = format!("expected each counter once for a window, found {:?} again", limit.counter);
        value.error(message, Some("one call would be counted twice"));
    } else if limit.amount().is_some() && all_tools.iter().any(|other| same(&other)) {
        let message = format!("expected a counter of amounts, found {:?}, which counts calls", limit.counter);
        value.error(message, Some("`all_tools` has this counter too; give one of them another name"));
    }
}

const WINDOWS: [(&str, Window); 3] =
    [("minute", Window::Minute), ("hour", Window::Hour), ("day", Window::Day)];

/// The same call so many times: a loop is ended by it.
fn identical(value: &Value<'_>) -> Option<Limit> {
    let mut fields = value.fields()?;
    let max = fields.required("identical").and_then(|value| at_least_one(&value));
    let window = fields.required("window").and_then(|value| value.word(&WINDOWS));
    fields.finish();
    Some(Limit {
        counter: "identical".into(),
        window: window?,
        max: max?.to_string().parse().ok()?,
        scope: Scope::Grant,
        counts: Counts::Identical,
        refund: Refund::Never,
        place: place(value),
        source: None,
    })
}

fn concurrent(value: &Value<'_>) -> Option<Concurrent> {
    let mut fields = value.fields()?;
    let max = fields.required("concurrent").and_then(|value| at_least_one(&value));
    let scope = fields.required("scope").and_then(|value| scope(&value, Version::Two));
    fields.finish();
    Some(Concurrent { max: max?, scope: scope?, place: place(value) })
}

fn at_least_one(value: &Value<'_>) -> Option<u32> {
    let number = value.number()?.parse().ok().filter(|number| *number > 0);
    if number.is_none() {
        value.mismatch(
            "a whole number of calls, at least 1",
            Some("`deny_if: [{ conditions: [] }]` allows none"),
        );
    }
    number
}

fn limit(value: &Value<'_>, may_count_amounts: bool, arguments: &mut Arguments) -> Option<Limit> {
    let mut fields = value.fields()?;
    let counter = fields.required("counter").and_then(|value| counter(&value));
    let window = fields.required("window").and_then(|value| value.word(&WINDOWS));
    let max_value = fields.required("max");
    let scope = fields.required("scope").and_then(|value| scope(&value, arguments.version()));
    let amount_value = fields.optional("amount");
    let refunds = [("never", Refund::Never), ("on_error", Refund::OnError)];
    let refund = fields.optional("refund").map_or(Some(Refund::Never), |value| value.word(&refunds));
    fields.finish();

    let counts_calls = amount_value.is_none();
    let max = max_value.and_then(|value| max(&value, counts_calls));
    let amount = match amount_value {
        Some(value) if may_count_amounts => Some(amount(&value, arguments)?),
        Some(value) => {
            let message = "expected a limit that counts calls, found `amount` under `all_tools`";
            value.error(
                message,
                Some("not every tool has this argument; write the limit under the tools that do"),
            );
            return None;
        }
        None => None,
    };
    let (amount, source) = amount.unzip();
    Some(Limit {
        counter: counter?,
        window: window?,
        max: max?,
        scope: scope?,
        counts: amount.map_or(Counts::Calls, Counts::Amount),
        refund: refund?,
        place: place(value),
        source,
    })
}

fn counter(value: &Value<'_>) -> Option<String> {
    let name = value.text()?;
    if name.trim().is_empty() || name.trim() != name || name.contains(char::is_control) {
        value.mismatch("the name of a counter", None);
        return None;
    }
    Some(name.to_owned())
}

fn scope(value: &Value<'_>, version: Version) -> Option<Scope> {
    const SCOPES: [(&str, Scope); 4] = [
        ("grant", Scope::Grant),
        ("upstream", Scope::Upstream),
        ("session", Scope::Session),
        ("everyone", Scope::Everyone),
    ];
    if version == Version::Two {
        return value.word(&SCOPES);
    }
    if let portcullis_document::Kind::Text(word) = &value.node().kind
        && SCOPES.iter().skip(1).any(|(known, _)| known == word)
    {
        value.error(second("the scope \"grant\"", word), Some(SECOND));
        return None;
    }
    value.word(&[("grant", Scope::Grant)])
}

fn max(value: &Value<'_>, counts_calls: bool) -> Option<Decimal> {
    let text = value.number()?;
    let Ok(max) = text.parse::<Decimal>() else {
        value.mismatch("a number of at most 64 digits and an exponent within ±400", None);
        return None;
    };
    if max.is_negative() {
        value.mismatch("a number that is not negative", None);
        return None;
    }
    if counts_calls && !max.is_whole() {
        value
            .mismatch("a whole number of calls", Some("with `amount`, the limit counts an argument instead"));
        return None;
    }
    Some(max)
}

fn amount(value: &Value<'_>, arguments: &mut Arguments) -> Option<(Path, (crate::predicate::Place, usize))> {
    let text = value.text()?;
    match Path::parse(text) {
        Ok(path) if path.steps.contains(&Step::Each) => {
            value.mismatch("a path to one number", Some("a limit cannot count over `[*]`"));
            None
        }
        Ok(path) => {
            let slot = arguments.slot(&path);
            Some((path, (place(value), slot)))
        }
        Err((message, hint)) => {
            value.error(message, hint);
            None
        }
    }
}
