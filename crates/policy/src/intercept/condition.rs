//! One condition of a rule.

use std::collections::HashSet;

use portcullis_document::{Kind, Node, Value};

use super::report::Report;
use super::write::{as_yaml, plain};
use super::{Members, regex};
use crate::Decimal;

/// What a condition that holds does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polarity {
    /// It lets the call pass.
    Required,
    /// It leaves the call to a person.
    Held,
}

/// What became of a condition.
pub(super) enum Condition {
    /// A predicate as YAML, and how it differs.
    Judged { predicate: String, remark: Option<String> },
    /// What the rule's own counter may reach.
    Bound(i64),
}

const BY_TEXT: &str =
    "compared by their texts there, with their types here: what only reads the same is not equal";
const BY_DOUBLE: &str = "numbers are compared as doubles there and digit for digit here";
const OTHER_TYPES: &str = "a value of another type was not equal there, and so passed; it is denied here";
const ASKED: &str =
    "where the argument has another type than the value, a person is asked here and none was there";

impl Condition {
    /// Reads a condition; `own` is the path of the rule's own counter.
    ///
    /// # Errors
    /// Why it cannot be said here.
    pub(super) fn of(
        value: &Value<'_>,
        own: Option<&str>,
        polarity: Polarity,
        report: &mut Report<'_>,
    ) -> Result<Self, String> {
        if !matches!(value.node().kind, Kind::Map(_)) {
            return Err("a condition is no map".into());
        }
        let members = Members::of(value).ok_or("a condition is no map")?;
        members.report_others(&["path", "op", "value"], report);
        let (Some(at), Some(op)) = (members.text("path"), members.text("op")) else {
            return Err("a condition has no path or no op".into());
        };
        let operand = members.get("value").ok_or("a condition has no value")?;
        if at.starts_with("state.") {
            return match own {
                Some(own) if own == at => bound(&op, operand.node()).map(Self::Bound),
                _ => Err(format!("no rule here reads the counter {at}")),
            };
        }
        let path = path(&at).ok_or_else(|| format!("{at:?} is no path to an argument"))?;
        let is_date = |node: &Node| is_date(report.source.slice(node.span));
        let test = Test { path: &path, polarity };
        let (predicate, mut remarks) = test.of(&op, operand.node(), &is_date)?;
        if polarity == Polarity::Held && op != "exists" {
            remarks.push(ASKED.into());
        }
        let remark = (!remarks.is_empty()).then(|| format!("{at} {op}: {}", remarks.join("; ")));
        Ok(Self::Judged { predicate, remark })
    }
}

/// What the counter may reach, cut off to a whole number as Intercept does.
fn bound(op: &str, node: &Node) -> Result<i64, String> {
    // Above this a double does not know every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let Kind::Number(text) = &node.kind else { return Err("the bound of a counter is no number".into()) };
    let number: f64 = text.parse().map_err(|_| "the bound of a counter is no number")?;
    if number.abs() >= EXACT {
        return Err("the bound of a counter is too large".into());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the number is small enough, and its fraction is to be cut off"
    )]
    let whole = number as i64;
    match op {
        "lte" => Ok(whole),
        "lt" => Ok(whole - 1),
        _ => Err(format!("no rule here judges a counter by {op}")),
    }
}

/// The path of an argument as it is written here. Intercept's paths have keys alone; brackets and quotes are part of them.
pub(super) fn path(text: &str) -> Option<String> {
    let mut path = "args".to_owned();
    for key in text.strip_prefix("args.")?.split('.') {
        if key.is_empty() {
            return None;
        }
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '"' | '\'' | '*');
        match key.contains(odd) {
            false => path.push_str(&format!(".{key}")),
            true => path.push_str(&format!("[{}]", serde_json::Value::from(key))),
        }
    }
    Some(path)
}

struct Test<'c> {
    path: &'c str,
    polarity: Polarity,
}

type Read = Result<(String, Vec<String>), String>;

impl Test<'_> {
    /// A predicate, and how it differs.
    fn of(&self, op: &str, value: &Node, is_date: &dyn Fn(&Node) -> bool) -> Read {
        let same = |remarks: Vec<String>| Ok((self.write(op, &value.to_json()), remarks));
        match (op, &value.kind) {
            ("exists", Kind::Bool(wanted)) => {
                let nested = self.path.matches(['.', '[']).count() > 1;
                let remark =
                    "what is no object on the way was missing there, and cannot be judged here".to_owned();
                let differs = nested && (!wanted || self.polarity == Polarity::Held);
                same(differs.then_some(remark).into_iter().collect())
            }
            ("lt" | "lte" | "gt" | "gte", Kind::Number(_)) => {
                comparable(value)?;
                same(vec![BY_DOUBLE.into()])
            }
            ("regex", Kind::Text(pattern)) if pattern.is_empty() => {
                Ok((self.write("type", "\"string\""), Vec::new()))
            }
            ("regex", Kind::Text(pattern)) => {
                let pattern = regex::translated(pattern)
                    .ok_or_else(|| format!("the regular expression {pattern:?} has no like here"))?;
                Ok((self.write(op, &serde_json::Value::from(pattern).to_string()), Vec::new()))
            }
            ("contains", Kind::Text(part)) if part.is_empty() && self.polarity == Polarity::Held => {
                Err("an empty text is in every text".into())
            }
            ("contains", Kind::Text(part)) if part.is_empty() => {
                let remark =
                    "an empty text is in every text, so a text is asked for; lists are not judged".to_owned();
                Ok((self.write("type", "\"string\""), vec![remark]))
            }
            ("contains" | "eq" | "neq", _) => {
                comparable(value)?;
                same(self.differences(op, &[value], is_date)?)
            }
            ("in" | "not_in", Kind::List(values)) => self.members(op, values, is_date),
            ("in" | "not_in" | "lt" | "lte" | "gt" | "gte" | "regex" | "exists", _) => {
                Err(format!("the value of {op} is {}", value.describe()))
            }
            _ => Err(format!("Intercept has no operator {op:?}")),
        }
    }

    fn members(&self, op: &str, values: &[Node], is_date: &dyn Fn(&Node) -> bool) -> Read {
        if values.is_empty() {
            return match (op, self.polarity) {
                ("not_in", Polarity::Required) => {
                    let remark = "null was not in an empty list there, and counts as missing here".to_owned();
                    Ok((self.write("exists", "true"), vec![remark]))
                }
                _ => Err("nothing is in an empty list".into()),
            };
        }
        // Null is equal to nothing here; there it is equal to the text that it has in Go.
        let text = |node: &Node| match node.kind {
            Kind::Null => Node { kind: Kind::Text("<nil>".into()), ..node.clone() },
            _ => node.clone(),
        };
        let texts: Vec<Node> = values.iter().map(text).collect();
        let there: Vec<&Node> = texts.iter().collect();
        there.iter().try_for_each(|value| comparable(value))?;
        let mut remarks = self.differences(op, &there, is_date)?;
        let kinds: HashSet<_> = there.iter().map(|value| std::mem::discriminant(&value.kind)).collect();
        if op == "not_in" && kinds.len() > 1 {
            remarks.push(
                "the list has values of several types, and no value can be compared with all of them".into(),
            );
        }
        let list: Vec<String> = there.iter().map(|value| value.to_json()).collect();
        Ok((self.write(op, &format!("[{}]", list.join(", "))), remarks))
    }

    /// How being equal differs for these values.
    fn differences(
        &self,
        op: &str,
        values: &[&Node],
        is_date: &dyn Fn(&Node) -> bool,
    ) -> Result<Vec<String>, String> {
        let negated = matches!(op, "neq" | "not_in");
        let has = |kind: fn(&Kind) -> bool| values.iter().any(|value| kind(&value.kind));
        let is_list = has(|kind| matches!(kind, Kind::List(_) | Kind::Map(_)));
        if is_list
            && (negated || self.polarity == Polarity::Held || values.iter().any(|value| holds_numbers(value)))
        {
            return Err(
                "lists and maps are compared by their texts there, where several read the same".into()
            );
        }
        if !negated && values.iter().any(|value| is_date(value)) {
            return Err("a date without quotes is no text there, and equal to no argument".into());
        }
        let mut remarks = Vec::new();
        if !values.iter().all(|value| reads_as_itself(&value.kind)) {
            remarks.push(BY_TEXT.to_owned());
        }
        if has(|kind| matches!(kind, Kind::Number(_))) {
            remarks.push(BY_DOUBLE.to_owned());
        }
        if negated && self.polarity == Polarity::Required {
            remarks.push(OTHER_TYPES.to_owned());
        }
        if negated && self.polarity == Polarity::Held {
            remarks
                .push("where the argument is missing, a person is asked here and none was there".to_owned());
        }
        Ok(remarks)
    }

    /// Under `hold_if`, what is missing is a reason to ask; there it was none, but for null, which is unequal to most.
    fn write(&self, op: &str, value: &str) -> String {
        let if_missing = match (self.polarity, op) {
            (Polarity::Required, _) | (_, "exists" | "neq" | "not_in") => "",
            (Polarity::Held, _) if value.contains("<nil>") => "",
            (Polarity::Held, _) => ", if_missing: fail",
        };
        format!("{{ path: {}, op: {op}, value: {}{if_missing} }}", plain(self.path), as_yaml(value))
    }
}

/// Whether a value can be compared with here.
fn comparable(value: &Node) -> Result<(), String> {
    match &value.kind {
        Kind::Null => Err("nothing is equal to null here".into()),
        Kind::Number(text) if text.parse::<Decimal>().is_err() => {
            Err("a number is too long to be compared exactly".into())
        }
        Kind::List(values) => values.iter().try_for_each(comparable),
        Kind::Map(entries) => entries.iter().try_for_each(|entry| comparable(&entry.value)),
        _ => Ok(()),
    }
}

/// Whether there are numbers in a list or a map: there, these have several texts.
fn holds_numbers(value: &Node) -> bool {
    match &value.kind {
        Kind::List(values) => {
            values.iter().any(|value| matches!(value.kind, Kind::Number(_)) || holds_numbers(value))
        }
        Kind::Map(entries) => entries
            .iter()
            .any(|entry| matches!(entry.value.kind, Kind::Number(_)) || holds_numbers(&entry.value)),
        _ => false,
    }
}

/// Whether nothing of another type has the same text in Go.
fn reads_as_itself(kind: &Kind) -> bool {
    let Kind::Text(text) = kind else { return false };
    let is_number = text.parse::<f64>().is_ok();
    !(is_number
        || text.starts_with(['[', '<'])
        || text.starts_with("map[")
        || matches!(text.as_str(), "true" | "false"))
}

/// Whether YAML of Go reads a date here.
fn is_date(written: &str) -> bool {
    let mut parts = written.splitn(3, '-');
    let digits = |part: Option<&str>, length: std::ops::RangeInclusive<usize>| {
        part.is_some_and(|part| {
            let count = part.bytes().take_while(u8::is_ascii_digit).count();
            length.contains(&count)
        })
    };
    digits(parts.next(), 4..=4) && digits(parts.next(), 1..=2) && digits(parts.next(), 1..=2)
}
