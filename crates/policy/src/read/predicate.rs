//! Predicates.

use portcullis_document::{Kind, Node, Value, nearest};
use serde_json::value::RawValue;
use std::sync::Arc;

use super::policy::LATER;
use super::rule::{Arguments, place};
use crate::literal::Literal;
use crate::operator::{Operator, Part};
use crate::pattern::{Pattern, REGEX_BYTES, compiled};
use crate::predicate::{Each, IfMissing, Predicate, Test};
use crate::{Decimal, Path};

const OPERATORS: [&str; 11] =
    ["eq", "neq", "in", "not_in", "lt", "lte", "gt", "gte", "regex", "contains", "exists"];

const OPERATORS_2: [&str; 9] =
    ["glob", "starts_with", "ends_with", "length", "type", "within", "host_in", "in_cidr", "command"];

/// Reads a predicate; `each` is what `[*]` means here.
pub(super) fn predicate(value: &Value<'_>, each: Each, arguments: &mut Arguments) -> Option<Predicate> {
    let mut fields = value.fields()?;
    let Some(word) = ["all", "any", "not"].into_iter().find(|word| fields.has(word)) else {
        return test(value, each, arguments);
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
    let parts = values.iter().filter_map(|value| predicate(value, each, arguments)).collect();
    Some(if word == "all" { Predicate::All(parts) } else { Predicate::Any(parts) })
}

fn test(value: &Value<'_>, each: Each, arguments: &mut Arguments) -> Option<Predicate> {
    let mut fields = value.fields()?;
    let path_value = fields.required("path");
    let op = fields.required("op").and_then(|value| operator_name(&value));
    let operand = fields.required("value");
    let if_missing_value = fields.optional("if_missing");
    fields.refuse(
        "on_deny",
        "expected a predicate, found `on_deny` in it",
        Some("it stands beside `conditions` in a clause of `deny_if`"),
    );
    fields.finish();

    let path = path_value.as_ref().and_then(path);
    let compiled = op.zip(operand.as_ref()).and_then(|(op, value)| operator(op, value));
    let words = [("match", IfMissing::Match), ("fail", IfMissing::Fail)];
    let if_missing = if_missing_value.as_ref().map(|value| value.word(&words));
    if let (Some("exists"), Some(value)) = (op, &if_missing_value) {
        value.error(
            "expected no `if_missing` beside `exists`, found one",
            Some("`exists` judges what is missing"),
        );
    }
    let path = path?;
    let slot = arguments.slot(&path.root);
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

fn path(value: &Value<'_>) -> Option<Path> {
    match Path::parse(value.text()?) {
        Ok(path) => Some(path),
        Err((message, hint)) => {
            value.error(message, hint);
            None
        }
    }
}

fn operator_name(value: &Value<'_>) -> Option<&'static str> {
    let word = value.text()?;
    if let Some(op) = OPERATORS.into_iter().find(|op| *op == word) {
        return Some(op);
    }
    if OPERATORS_2.contains(&word) {
        value.error(
            format!("expected an operator of version \"1\", found {word:?}, which needs version \"2\""),
            Some(LATER),
        );
        return None;
    }
    let meant = match word {
        "==" | "=" | "equals" => Some("eq"),
        "!=" | "ne" | "not_equals" => Some("neq"),
        "<" => Some("lt"),
        "<=" | "le" => Some("lte"),
        ">" => Some("gt"),
        ">=" | "ge" => Some("gte"),
        "matches" | "match" => Some("regex"),
        _ => nearest(word, OPERATORS),
    };
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("the operators are {}", OPERATORS.join(", ")),
    };
    value.error(format!("expected an operator, found {word:?}"), Some(&hint));
    None
}

fn operator(op: &str, value: &Value<'_>) -> Option<Operator> {
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
        _ => Operator::Exists(value.boolean()?),
    })
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

/// The value for explanations, digit for digit.
fn as_json(value: &Value<'_>) -> Option<Box<RawValue>> {
    fn write(node: &Node, out: &mut String) {
        let text = |text: &str| serde_json::Value::from(text).to_string();
        match &node.kind {
            Kind::Null => out.push_str("null"),
            Kind::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Kind::Number(digits) => out.push_str(digits),
            Kind::Text(value) => out.push_str(&text(value)),
            Kind::List(nodes) => {
                out.push('[');
                for (at, node) in nodes.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    write(node, out);
                }
                out.push(']');
            }
            Kind::Map(entries) => {
                out.push('{');
                for (at, entry) in entries.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(&text(&entry.key));
                    out.push(':');
                    write(&entry.value, out);
                }
                out.push('}');
            }
        }
    }
    let mut out = String::new();
    write(value.node(), &mut out);
    let json = RawValue::from_string(out).ok();
    if json.is_none() {
        // A predicate is never dropped in silence.
        value.mismatch("a value that JSON can write", None);
    }
    json
}
