//! The operators: eleven of version 1, and nine more of version 2.

mod command;
mod files;
mod hosts;
mod length;
mod networks;

pub(crate) use command::{Commands, Parts};
pub(crate) use files::Folders;
pub(crate) use hosts::Hosts;
pub(crate) use length::{Comparison, Length};
pub(crate) use networks::Networks;

use memchr::memmem::Finder;
use std::sync::Arc;

use crate::Decimal;
use crate::address::leads_up;
use crate::arguments::Type;
use crate::literal::{Equal, Literal, one_of};
use crate::pattern::Pattern;
use crate::truth::Why;
use portcullis_json::{elements, text};

/// An operator with its value. `neq` and `not_in` are the negations of `eq` and `in`: what those cannot judge, these
/// cannot either.
#[derive(Debug)]
pub(crate) enum Operator {
    Eq(Literal),
    Neq(Literal),
    In(Vec<Literal>),
    NotIn(Vec<Literal>),
    Lt(Decimal),
    Lte(Decimal),
    Gt(Decimal),
    Gte(Decimal),
    Regex(Arc<Pattern>),
    Contains(Box<Part>),
    Exists(bool),
    Glob(Arc<Pattern>, Reach),
    StartsWith(Box<str>, Reach),
    EndsWith(Box<str>),
    Length(Length),
    Type(Vec<TypeWord>),
    Within(Folders),
    HostIn(Hosts),
    InCidr(Networks),
    Command(Box<Commands>),
}

/// What a pattern or a beginning is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Any text.
    Text,
    /// A path or an address, as it has a slash: what leads up from there is not judged.
    Place,
}

impl Reach {
    pub(crate) fn of_value(value: &str) -> Self {
        if value.contains(['/', '\\']) { Self::Place } else { Self::Text }
    }

    fn of(self, text: &str) -> Result<&str, Why> {
        match self {
            Self::Place if leads_up(text) => {
                Err(Why::Form("it has `..` in it, so where it leads is not where it begins"))
            }
            Self::Text | Self::Place => Ok(text),
        }
    }
}

/// A type as `type` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TypeWord {
    Is(Type),
    /// A number with nothing behind its decimal point.
    Integer,
}

impl TypeWord {
    /// By their words.
    pub(crate) const ALL: [(&'static str, Self); 6] = [
        ("string", Self::Is(Type::String)),
        ("number", Self::Is(Type::Number)),
        ("integer", Self::Integer),
        ("boolean", Self::Is(Type::Boolean)),
        ("array", Self::Is(Type::Array)),
        ("object", Self::Is(Type::Object)),
    ];

    fn holds(self, raw: &str) -> Equal {
        match self {
            Self::Is(own) => Ok(Type::of(raw) == own),
            Self::Integer if Type::of(raw) != Type::Number => Ok(false),
            Self::Integer => number(raw).map(|number| number.is_whole()),
        }
    }
}

impl Operator {
    /// Judges a value that is there and not null.
    pub(crate) fn judge(&self, raw: &str) -> Equal {
        match self {
            Self::Eq(value) => value.equals(raw),
            Self::Neq(value) => value.equals(raw).map(|equal| !equal),
            Self::In(values) => one_of(values.iter().map(|value| value.equals(raw))),
            Self::NotIn(values) => one_of(values.iter().map(|value| value.equals(raw))).map(|equal| !equal),
            Self::Lt(bound) => number(raw).map(|number| number < *bound),
            Self::Lte(bound) => number(raw).map(|number| number <= *bound),
            Self::Gt(bound) => number(raw).map(|number| number > *bound),
            Self::Gte(bound) => number(raw).map(|number| number >= *bound),
            Self::Regex(pattern) => Ok(pattern.is_match(&string(raw)?)),
            Self::Contains(part) => part.is_in(raw),
            Self::Exists(wanted) => Ok(*wanted),
            Self::Glob(pattern, reach) => Ok(pattern.is_match(reach.of(&string(raw)?)?)),
            Self::StartsWith(part, reach) => Ok(reach.of(&string(raw)?)?.starts_with(&**part)),
            Self::EndsWith(part) => Ok(string(raw)?.ends_with(&**part)),
            Self::Length(length) => length.holds(raw),
            Self::Type(kinds) => one_of(kinds.iter().map(|kind| kind.holds(raw))),
            Self::Within(folders) => folders.hold(&string(raw)?),
            Self::HostIn(hosts) => hosts.hold(&string(raw)?),
            Self::InCidr(networks) => networks.hold(&string(raw)?),
            Self::Command(commands) => commands.hold(raw),
        }
    }
}

/// A number to be compared or counted.
pub(crate) fn number(raw: &str) -> Result<Decimal, Why> {
    match Type::of(raw) {
        Type::Number => raw.parse().map_err(|_| Why::Number),
        Type::Null => Err(Why::Null),
        found => Err(Why::Type { expected: "a number", found }),
    }
}

fn string(raw: &str) -> Result<std::borrow::Cow<'_, str>, Why> {
    match Type::of(raw) {
        Type::String => text(raw).ok_or(Why::Malformed),
        found => Err(Why::Type { expected: "a string", found }),
    }
}

/// A part of a string, or an element of an array.
#[derive(Debug)]
pub(crate) struct Part {
    value: Literal,
    /// The search for a text, made once.
    finder: Option<Finder<'static>>,
}

impl Part {
    pub(crate) fn of(value: Literal) -> Self {
        let finder = match &value {
            Literal::Text(text) => Some(Finder::new(text.as_bytes()).into_owned()),
            _ => None,
        };
        Self { value, finder }
    }

    fn is_in(&self, raw: &str) -> Equal {
        match (Type::of(raw), &self.finder) {
            (Type::String, Some(finder)) => Ok(finder.find(string(raw)?.as_bytes()).is_some()),
            (Type::Array, _) => {
                let mut sum = Ok(false);
                let read = elements(raw, &mut |element| {
                    sum = one_of([sum, self.value.equals(element)].into_iter());
                });
                read.ok_or(Why::Malformed)?;
                sum
            }
            (found @ Type::String, None) => Err(Why::Type { expected: "an array", found }),
            (found, _) => Err(Why::Type { expected: "a string or an array", found }),
        }
    }
}
