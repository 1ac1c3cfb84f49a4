//! A value of the policy, ready to be compared.

use portcullis_document::{Kind, Node};
use serde_json::value::RawValue;

use crate::Decimal;
use crate::arguments::Type;
use crate::fold::is_look_alike;
use crate::truth::Why;
use portcullis_json::{members, text};
use std::borrow::Cow;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Bool(bool),
    Number(Decimal),
    Text(Box<str>),
    List(Vec<Literal>),
    Map(Vec<(Box<str>, Literal)>),
}

/// Equal, or not, or it cannot be said. Like [`Truth`](crate::truth::Truth), before a path is known.
pub(crate) type Equal = Result<bool, Why>;

impl Literal {
    /// `None` for null, inside too, and for numbers that are not exact: nothing can be equal to them.
    pub(crate) fn of(node: &Node) -> Option<Self> {
        Some(match &node.kind {
            Kind::Null => return None,
            Kind::Bool(value) => Self::Bool(*value),
            Kind::Number(text) => Self::Number(text.parse().ok()?),
            Kind::Text(text) => Self::Text(text.as_str().into()),
            Kind::List(nodes) => Self::List(nodes.iter().map(Self::of).collect::<Option<_>>()?),
            Kind::Map(entries) => Self::Map(
                entries
                    .iter()
                    .map(|entry| Some((entry.key.as_str().into(), Self::of(&entry.value)?)))
                    .collect::<Option<_>>()?,
            ),
        })
    }

    /// Its type, and the type in words.
    fn kind(&self) -> (Type, &'static str) {
        match self {
            Self::Bool(_) => (Type::Boolean, "a boolean"),
            Self::Number(_) => (Type::Number, "a number"),
            Self::Text(_) => (Type::String, "a string"),
            Self::List(_) => (Type::Array, "an array"),
            Self::Map(_) => (Type::Object, "an object"),
        }
    }

    /// Compares with a JSON text. Values of different types are not unequal: they cannot be compared.
    pub(crate) fn equals(&self, raw: &str) -> Equal {
        let found = Type::of(raw);
        if found == Type::Null {
            return Err(Why::Null);
        }
        let (own, expected) = self.kind();
        if found != own {
            return Err(Why::Type { expected, found });
        }
        match self {
            Self::Bool(value) => Ok(*value == (raw == "true")),
            Self::Number(value) => Ok(*value == raw.parse().map_err(|_| Why::Number)?),
            Self::Text(own) => Ok(**own == *text(raw).ok_or(Why::Malformed)?),
            Self::List(values) => list_equals(values, raw),
            Self::Map(entries) => map_equals(entries, raw),
        }
    }
}

fn list_equals(values: &[Literal], raw: &str) -> Equal {
    let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| Why::Malformed)?;
    if elements.len() != values.len() {
        return Ok(false);
    }
    every(values.iter().zip(elements).map(|(value, element)| value.equals(element.get())))
}

fn map_equals(entries: &[(Box<str>, Literal)], raw: &str) -> Equal {
    let mut seen: Vec<(Cow<'_, str>, &str)> = Vec::new();
    let mut doubt = None;
    let read = members(raw, &mut |key, value| {
        if seen.iter().any(|(other, _)| *other == key) {
            doubt = Some(Why::Twice);
        }
        if entries.iter().any(|(name, _)| is_look_alike(name, &key)) {
            doubt = Some(Why::LookAlike);
        }
        seen.push((key, value));
    });
    read.ok_or(Why::Malformed)?;
    if let Some(doubt) = doubt {
        return Err(doubt);
    }
    if seen.len() != entries.len() {
        return Ok(false);
    }
    every(entries.iter().map(|(name, value)| match seen.iter().find(|(key, _)| **key == **name) {
        Some((_, raw)) => value.equals(raw),
        None => Ok(false),
    }))
}

/// Unequal if one is, else the first doubt.
fn every(parts: impl Iterator<Item = Equal>) -> Equal {
    let mut sum = Ok(true);
    for part in parts {
        match part {
            Ok(false) => return part,
            Err(_) if sum.is_ok() => sum = part,
            _ => {}
        }
    }
    sum
}

/// Equal to one of them, else the first doubt.
pub(crate) fn one_of(parts: impl Iterator<Item = Equal>) -> Equal {
    every(parts.map(|part| part.map(|equal| !equal))).map(|none| !none)
}
