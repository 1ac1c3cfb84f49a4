//! Predicates.

use portcullis_document::{Fields, Value};
use serde_json::value::RawValue;

use super::fact;
use super::operator::{named, operator};
use super::policy::Version;
use super::rule::{Arguments, all, place};
use crate::Path;
use crate::predicate::{Each, IfMissing, Predicate, Test};

/// Reads a predicate; `each` is what `[*]` means here.
pub(super) fn predicate(value: &Value<'_>, each: Each, arguments: &mut Arguments) -> Option<Predicate> {
    let mut fields = value.fields()?;
    let Some(word) = ["all", "any", "not"].into_iter().find(|word| fields.has(word)) else {
        return test(fields, each, arguments);
    };
    let inside = fields.optional(word)?;
    fields.finish();
    if word == "not" {
        return Some(Predicate::Not(Box::new(predicate(&inside, each.turned(), arguments)?)));
    }
    let values = inside.list()?;
    if values.is_empty() {
        inside.error(format!("expected at least one predicate under {word:?}, found none"), None);
    }
    let parts = all(&values, |value| predicate(value, each, arguments));
    Some(if word == "all" { Predicate::All(parts) } else { Predicate::Any(parts) })
}

fn test(mut fields: Fields<'_>, each: Each, arguments: &mut Arguments) -> Option<Predicate> {
    let value = fields.value().clone();
    let path_value = fields.required("path");
    let op = fields.required("op").and_then(|value| named(&value, arguments.version()));
    let operand = fields.required("value");
    let if_missing_value = fields.optional("if_missing");
    fields.refuse(
        "on_deny",
        "expected a predicate, found `on_deny` in it",
        Some("it stands beside `conditions` in a clause of `deny_if`"),
    );
    fields.finish();

    let path = path_value.as_ref().and_then(|value| path(value, arguments.version()));
    let compiled = op.zip(operand.as_ref()).and_then(|(op, value)| operator(op, value));
    if let (Some(path), Some(op), Some(compiled), Some(operand)) = (&path, op, &compiled, &operand) {
        fact::fits(path, op, compiled, &value, operand);
    }
    let words = [("match", IfMissing::Match), ("fail", IfMissing::Fail)];
    let if_missing = if_missing_value.as_ref().map(|value| value.word(&words));
    if let (Some("exists"), Some(value)) = (op, &if_missing_value) {
        value.error(
            "expected no `if_missing` beside `exists`, found one",
            Some("`exists` judges what is missing"),
        );
    }
    let path = path?;
    let slot = arguments.slot(&path);
    Some(Predicate::Test(Test {
        place: place(&path_value?),
        path,
        slot,
        each,
        operator: compiled?,
        if_missing: match if_missing {
            Some(read) => Some(read?),
            None => None,
        },
        op: op?,
        value: as_json(&operand?)?,
    }))
}

fn path(value: &Value<'_>, version: Version) -> Option<Path> {
    let parse = match version {
        Version::One => Path::parse,
        Version::Two => Path::parse_any,
    };
    match parse(value.text()?) {
        Ok(path) => Some(path),
        Err((message, hint)) => {
            value.error(message, hint);
            None
        }
    }
}

/// The value for explanations, digit for digit.
fn as_json(value: &Value<'_>) -> Option<Box<RawValue>> {
    let json = RawValue::from_string(value.node().to_json()).ok();
    if json.is_none() {
        // A predicate is never dropped in silence.
        value.mismatch("a value that JSON can write", None);
    }
    json
}
