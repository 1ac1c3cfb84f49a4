//! Operators and what they compare with.

use portcullis_document::{Kind, Value, nearest};
use std::sync::Arc;

use super::command::commands;
use super::policy::Version;
use crate::Decimal;
use crate::literal::Literal;
use crate::operator::{Comparison, Folders, Hosts, Length, Networks, Operator, Part, Reach, TypeWord};
use crate::pattern::{Pattern, REGEX_BYTES, compiled, glob};

const OPERATORS: [&str; 11] =
    ["eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists"];

/// Those that version 2 has beside them.
const OPERATORS_2: [&str; 9] =
    ["glob", "starts_with", "ends_with", "length", "type", "within", "host_in", "in_cidr", "command"];

/// Reads the name of an operator that this version has.
pub(super) fn named(value: &Value<'_>, version: Version) -> Option<&'static str> {
    let word = value.text()?;
    if let Some(op) = OPERATORS.into_iter().find(|op| *op == word) {
        return Some(op);
    }
    match (OPERATORS_2.into_iter().find(|op| *op == word), version) {
        (Some(op), Version::Two) => return Some(op),
        (Some(_), Version::One) => {
            let message =
                format!("expected an operator of version \"1\", found {word:?}, which needs version \"2\"");
            value.error(message, Some("write `version: \"2\"` at the top"));
            return None;
        }
        (None, _) => {}
    }
    let known: Vec<&str> = match version {
        Version::One => OPERATORS.to_vec(),
        Version::Two => OPERATORS.into_iter().chain(OPERATORS_2).collect(),
    };
    let meant = match word {
        "==" | "=" | "equals" => Some("eq"),
        "!=" | "ne" | "not_equals" => Some("neq"),
        "<" => Some("lt"),
        "<=" | "le" => Some("lte"),
        ">" => Some("gt"),
        ">=" | "ge" => Some("gte"),
        "matches" | "match" => Some("regex"),
        _ => nearest(word, known.iter().copied()),
    };
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the operators are {}", known.join(", ")),
    };
    value.error(format!("expected an operator, found {word:?}"), Some(&hint));
    None
}

/// Reads what an operator compares with.
pub(super) fn operator(op: &str, value: &Value<'_>) -> Option<Operator> {
    Some(match op {
        "eq" => Operator::Eq(literal(value)?),
        "neq" => Operator::Neq(literal(value)?),
        "in" => Operator::In(literals(value)?),
        "not_in" => Operator::NotIn(literals(value)?),
        "lt" => Operator::Lt(number(value)?),
        "lte" => Operator::Lte(number(value)?),
        "gt" => Operator::Gt(number(value)?),
        "gte" => Operator::Gte(number(value)?),
        "regex" => Operator::Regex(regex(value)?),
        "contains" => Operator::Contains(Box::new(Part::of(part(value)?))),
        "glob" => Operator::Glob(like(value)?, Reach::of_value(value.text()?)),
        "starts_with" => {
            let text = some_text(value)?;
            Operator::StartsWith(text.into(), Reach::of_value(text))
        }
        "ends_with" => Operator::EndsWith(some_text(value)?.into()),
        "length" => Operator::Length(length(value)?),
        "type" => Operator::Type(each(value, |value| value.word(&TypeWord::ALL))?),
        "within" => Operator::Within(within(value)?),
        "host_in" => Operator::HostIn(host_in(value)?),
        "in_cidr" => Operator::InCidr(in_cidr(value)?),
        "command" => Operator::Command(Box::new(commands(value)?)),
        _ => Operator::Exists(value.boolean()?),
    })
}

/// One value, or a list of at least one.
fn each<'v, T>(value: &Value<'v>, read: impl Fn(&Value<'v>) -> Option<T>) -> Option<Vec<T>> {
    let Kind::List(_) = &value.node().kind else { return Some(vec![read(value)?]) };
    let values = value.list()?;
    if values.is_empty() {
        value.error("expected a list of at least one value, found an empty one", None);
        return None;
    }
    // All of them, so that every mistake is told.
    let read: Vec<_> = values.iter().map(read).collect();
    read.into_iter().collect()
}

fn some_text<'v>(value: &Value<'v>) -> Option<&'v str> {
    let text = value.text()?;
    if text.is_empty() {
        value.error("expected a text, found an empty one", Some("every string has it"));
        return None;
    }
    Some(text)
}

/// A text with `*` for any characters, also none, and `?` for one.
fn like(value: &Value<'_>) -> Option<Arc<Pattern>> {
    let pattern = glob(some_text(value)?).ok();
    if pattern.is_none() {
        value.error("expected a shorter pattern", None);
    }
    pattern
}

fn length(value: &Value<'_>) -> Option<Length> {
    let mut fields = value.fields()?;
    let mut bounds = Vec::new();
    for (word, comparison) in Comparison::ALL {
        if let Some(bound) = fields.optional(word).and_then(|value| number(&value)) {
            bounds.push((comparison, bound));
        }
    }
    fields.finish();
    if bounds.is_empty() {
        value.error("expected a comparison such as { lte: 100 }, found none", None);
        return None;
    }
    Some(Length(bounds))
}

fn within(value: &Value<'_>) -> Option<Folders> {
    let texts = each(value, some_text)?;
    match Folders::of(texts.into_iter()) {
        Ok(folders) => Some(folders),
        Err((folder, why)) => {
            value.error(
                format!("expected the path of a folder, found {folder:?}: {why}"),
                Some("write it from the root: /srv/project"),
            );
            None
        }
    }
}

fn host_in(value: &Value<'_>) -> Option<Hosts> {
    let texts = each(value, some_text)?;
    match Hosts::of(texts.into_iter()) {
        Ok(hosts) => Some(hosts),
        Err(name) => {
            let hint = "write api.example.com, *.example.com for all below it, or an address, without scheme, port and path";
            value.error(format!("expected the name of a host, found {name:?}"), Some(hint));
            None
        }
    }
}

fn in_cidr(value: &Value<'_>) -> Option<Networks> {
    let texts = each(value, some_text)?;
    match Networks::of(texts.into_iter()) {
        Ok(networks) => Some(networks),
        Err((text, meant)) => {
            let hint = meant.map_or("write 10.0.0.0/8, 2001:db8::/32 or one address".to_owned(), |meant| {
                format!("did you mean {meant}?")
            });
            value.error(format!("expected a network, found {text:?}"), Some(&hint));
            None
        }
    }
}

fn literal(value: &Value<'_>) -> Option<Literal> {
    let literal = Literal::of(value.node());
    if literal.is_none() {
        match value.node().kind {
            Kind::Null => {
                value.mismatch("a value to compare with", Some("`op: exists` judges whether there is one"))
            }
            _ => value.error(
                "expected values to compare with, found null or a number of more than 64 digits in it",
                Some("`op: exists` judges whether there is a value"),
            ),
        }
    }
    literal
}

fn literals(value: &Value<'_>) -> Option<Vec<Literal>> {
    let values = value.list()?;
    if values.is_empty() {
        value.error("expected a list of at least one value, found an empty one", None);
    }
    // All of them, so that every mistake is told.
    let read: Vec<_> = values.iter().map(literal).collect();
    read.into_iter().collect()
}

fn number(value: &Value<'_>) -> Option<Decimal> {
    let number = value.number()?.parse().ok();
    if number.is_none() {
        value.mismatch("a number of at most 64 digits and an exponent within ±400", None);
    }
    number
}

fn part(value: &Value<'_>) -> Option<Literal> {
    if matches!(&value.node().kind, Kind::Text(text) if text.is_empty()) {
        value.error("expected a text to look for, found an empty one", Some("every string contains it"));
        return None;
    }
    literal(value)
}

fn regex(value: &Value<'_>) -> Option<Arc<Pattern>> {
    let pattern = value.text()?;
    if pattern.is_empty() {
        value.error("expected a regular expression, found an empty one", Some("it would match every string"));
        return None;
    }
    match compiled(pattern) {
        Ok(pattern) => Some(pattern),
        Err(regex::Error::CompiledTooBig(_)) => {
            let message = format!(
                "expected a regular expression of at most {REGEX_BYTES} bytes compiled, found a larger one"
            );
            value.error(message, Some("use smaller repetitions"));
            None
        }
        Err(error) => {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let look = reason.contains("look-around") || reason.contains("backreference");
            let hint = look.then_some("these have no linear-time search; use several predicates");
            value.error(format!("expected a regular expression, found a mistake in it: {reason}"), hint);
            None
        }
    }
}
