//! What a rule of version 2 says beside its decision: what is covered, when a call is ended, whether it is only tried.

use portcullis_document::{Fields, Kind, Value};

use super::rule::timeout;
use crate::path::{self, Step};
use crate::pattern::compiled;
use crate::redaction::{Of, Redaction};
use crate::rule::Stopping;

#[derive(Default)]
pub(super) struct More {
    pub(super) redact: Vec<Redaction>,
    pub(super) redact_result: bool,
    pub(super) stopping: Stopping,
    pub(super) shadow: bool,
}

pub(super) fn more(fields: &mut Fields<'_>, rule: &Value<'_>) -> More {
    let redact_value = fields.optional("redact");
    let redact = redact_value.as_ref().and_then(redact).unwrap_or_default();
    let result_value = fields.optional("redact_result");
    let redact_result = result_value.as_ref().and_then(|value| value.boolean()).unwrap_or(false);
    // Of a path that could not be read nothing more is said.
    let all_read = redact_value.as_ref().is_none_or(|value| match &value.node().kind {
        Kind::List(nodes) => nodes.len() == redact.len(),
        _ => false,
    });
    let of_results = redact.iter().any(|one| one.of == Of::Result) || !all_read;
    if let (Some(value), true, false) = (&result_value, redact_result, of_results) {
        value.error(
            "expected a path that begins with `result` under `redact`, found none",
            Some("redact: [\"result.content[*].text:/(?i)bearer \\\\S+/\"]"),
        );
    }
    if let (Some(value), false, true) = (&redact_value, redact_result, of_results && all_read) {
        value.warning(
            "expected `redact_result: true` beside a path into results, found none",
            Some("the record keeps no results, so without it the path changes nothing"),
        );
    }
    let after = fields.optional("stop_after");
    let after_ms = after.as_ref().and_then(timeout);
    let extend_value = fields.optional("extend_on_progress");
    let extend = extend_value.as_ref().and_then(|value| value.boolean()).unwrap_or(false);
    if let (Some(value), None) = (&extend_value, &after) {
        value.error("expected `stop_after` beside `extend_on_progress`, found none", None);
    }
    let stop = fields.optional("stop").and_then(|value| value.word(&[("cancel", false), ("process", true)]));
    let shadow = fields.optional("shadow").and_then(|value| value.boolean()).unwrap_or(false);
    More {
        redact,
        redact_result,
        stopping: Stopping {
            after_ms,
            extend_on_progress: extend,
            process: stop.unwrap_or(false),
            rule: format!("{}/stop_after", rule.pointer()),
        },
        shadow,
    }
}

fn redact(value: &Value<'_>) -> Option<Vec<Redaction>> {
    let values = value.list()?;
    if values.is_empty() {
        value.error("expected at least one path, found none", None);
    }
    Some(values.iter().filter_map(redaction).collect())
}

/// `args.token`, or `result.content[*].text:/(?i)bearer \S+/` for a part of a text.
fn redaction(value: &Value<'_>) -> Option<Redaction> {
    let text = value.text()?;
    let (path, pattern) = match text.split_once(":/") {
        Some((path, rest)) => match rest.strip_suffix('/') {
            Some(pattern) => (path, Some(pattern)),
            None => {
                value.error(format!("expected a slash behind the regular expression, found {text:?}"), None);
                return None;
            }
        },
        None => (text, None),
    };
    let place = [("args", Of::Arguments), ("result", Of::Result)].into_iter().find_map(|(word, of)| {
        let steps = path::steps(path.strip_prefix(word)?)?;
        matches!(steps.first(), Some(Step::Key(_))).then_some((of, steps))
    });
    let Some((of, steps)) = place else {
        let hint = "write args.token, result.content[*].text, or either with :/regular expression/ behind it";
        value.error(format!("expected a path into arguments or results, found {text:?}"), Some(hint));
        return None;
    };
    let pattern = match pattern {
        None => None,
        Some("") => {
            value.error("expected a regular expression, found an empty one", None);
            return None;
        }
        Some(pattern) => match compiled(pattern) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                let text = error.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                value.error(format!("expected a regular expression, found a mistake in it: {reason}"), None);
                return None;
            }
        },
    };
    Some(Redaction { text: text.into(), of, steps: steps.into(), pattern })
}
