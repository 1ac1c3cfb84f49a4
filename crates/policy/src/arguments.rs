//! Reading arguments where they lie.
//!
//! The arguments of a call stay JSON text. One pass over it notes where the arguments that a rule asks for stand; what
//! lies deeper is read when a predicate gets there. Nothing is copied but keys and strings that hold an escape.

use std::fmt;

use smallvec::SmallVec;

use crate::facts::{Fact, Json};
use crate::fold::is_look_alike;
use crate::truth::Why;
use crate::{Call, Facts, Target};
use portcullis_json::members;

/// One argument that a rule asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Slot<'a> {
    Missing,
    Found(&'a str),
    Doubtful(Why),
}

/// The arguments that a rule asks for, by the index of their name in the rule.
#[derive(Debug)]
pub(crate) struct Arguments<'a> {
    slots: SmallVec<[Slot<'a>; 16]>,
    doubt: Option<Why>,
    tool: Target<'a>,
    facts: Facts<'a>,
}

impl<'a> Arguments<'a> {
    /// Finds the arguments called `names`.
    pub(crate) fn read<P: AsRef<str>>(call: &Call<'a, P>, names: &[Box<str>]) -> Self {
        let mut slots: SmallVec<[Slot<'a>; 16]> = smallvec::smallvec![Slot::Missing; names.len()];
        let mut doubt = None;
        let (tool, facts, properties) = (call.tool, call.facts, call.properties);
        if names.is_empty() {
            return Self { slots, doubt, tool, facts };
        }
        let read = members(call.arguments, &mut |key, value| {
            for (slot, name) in slots.iter_mut().zip(names) {
                meet(slot, name, &key, value);
            }
            let known = properties.iter().any(|property| property.as_ref() == key);
            if !known && properties.iter().any(|property| is_look_alike(property.as_ref(), &key)) {
                doubt = Some(Why::PropertyLookAlike);
            }
        });
        if read.is_none() {
            doubt = Some(Why::Malformed);
        }
        Self { slots, doubt, tool, facts }
    }

    /// What surrounds the call, as JSON text; `None` where it is not known.
    pub(crate) fn fact(&self, fact: &Fact) -> Option<Json> {
        fact.json(&self.tool, &self.facts)
    }

    pub(crate) fn slot(&self, index: usize) -> Slot<'a> {
        match (self.doubt, self.slots.get(index)) {
            (_, Some(Slot::Doubtful(why))) => Slot::Doubtful(*why),
            (Some(why), _) => Slot::Doubtful(why),
            (None, Some(slot)) => *slot,
            (None, None) => Slot::Missing,
        }
    }
}

/// Notes what the member `key: value` says of `name`.
#[inline]
fn meet<'a>(slot: &mut Slot<'a>, name: &str, key: &str, value: &'a str) {
    if name == key {
        match slot {
            Slot::Missing => *slot = Slot::Found(value),
            Slot::Found(_) => *slot = Slot::Doubtful(Why::Twice),
            Slot::Doubtful(_) => {}
        }
    } else if is_look_alike(name, key) {
        *slot = Slot::Doubtful(Why::LookAlike);
    }
}

/// The member `name` of an object.
pub(crate) fn member<'a>(object: &'a str, name: &str) -> Slot<'a> {
    let mut slot = Slot::Missing;
    match members(object, &mut |key, value| meet(&mut slot, name, &key, value)) {
        Some(()) => slot,
        None => Slot::Doubtful(Why::Malformed),
    }
}

/// The types of JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    /// The type of a JSON text: its first byte tells.
    pub(crate) fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => Self::String,
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}
