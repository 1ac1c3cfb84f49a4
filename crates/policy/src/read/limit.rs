//! Limits.

use portcullis_document::Value;

use super::policy::{LATER, SECOND, Version, later, second};
use super::rule::{Arguments, place};
use crate::path::Step;
use crate::{Decimal, Limit, Path, Refund, Scope, Window};

/// Reads a list of limits. `all_tools` are those that hold beside these; `None` where these are they, which count calls only.
pub(super) fn limits(
    value: &Value<'_>,
    all_tools: Option<&[Limit]>,
    arguments: &mut Arguments,
) -> Option<Vec<Limit>> {
    let mut all: Vec<Limit> = Vec::new();
    for value in value.list()? {
        let Some(limit) = limit(&value, all_tools.is_some(), arguments) else { continue };
        let same = |other: &&Limit| other.counter == limit.counter && other.window == limit.window;
        if all.iter().any(|other| same(&other)) {
            let message = format!("expected each counter once for a window, found {:?} again", limit.counter);
            value.error(message, Some("one call would be counted twice"));
        } else if limit.amount.is_some() && all_tools.unwrap_or_default().iter().any(|other| same(&other)) {
            let message =
                format!("expected a counter of amounts, found {:?}, which counts calls", limit.counter);
            value.error(message, Some("`all_tools` has this counter too; give one of them another name"));
        }
        all.push(limit);
    }
    Some(all)
}

fn limit(value: &Value<'_>, may_count_amounts: bool, arguments: &mut Arguments) -> Option<Limit> {
    let mut fields = value.fields()?;
    for word in ["concurrent", "identical"] {
        if fields.has(word) {
            match arguments.version() {
                Version::One => fields.refuse(word, &second("a limit of version \"1\"", word), Some(SECOND)),
                Version::Two => fields.refuse(word, &later("a limit", word), Some(LATER)),
            }
            return None;
        }
    }
    let counter = fields.required("counter").and_then(|value| counter(&value));
    let windows = [("minute", Window::Minute), ("hour", Window::Hour), ("day", Window::Day)];
    let window = fields.required("window").and_then(|value| value.word(&windows));
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
        amount,
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
    if let portcullis_document::Kind::Text(word) = &value.node().kind
        && matches!(word.as_str(), "upstream" | "session" | "everyone")
    {
        match version {
            Version::One => value.error(second("the scope \"grant\"", word), Some(SECOND)),
            Version::Two => value.error(later("the scope \"grant\"", word), Some(LATER)),
        }
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
            let slot = arguments.slot(&path.root);
            Some((path, (place(value), slot)))
        }
        Err((message, hint)) => {
            value.error(message, hint);
            None
        }
    }
}
