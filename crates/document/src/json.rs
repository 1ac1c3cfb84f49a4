//! JSON, by the same strict reader that reads the calls: `serde_json` hands out the raw text of each member and element,
//! and where that text lies in the whole is its span.

use std::borrow::Cow;

use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::document::{At, Entries, insert, too_deep};
use crate::{Entry, Kind, MAX_DEPTH, Node, Problems, Source, Span};

pub(crate) fn read(source: &Source, problems: &mut Problems) -> Option<Node> {
    let text = source.text();
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => Reader { text, problems }.node(raw.get(), &At::Root, 1),
        Err(error) => {
            let at = source.byte_at(error.line(), error.column().max(1)).min(text.trim_end().len());
            let span = Span::new(
                at,
                at + text.get(at..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8),
            );
            problems.error(span, "", syntax(&error), hint(text, at));
            None
        }
    }
}

/// `serde_json`'s own words, without the position that is shown anyway.
fn syntax(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    format!("expected JSON, found a mistake in its syntax: {message}")
}

fn hint(text: &str, at: usize) -> Option<&'static str> {
    if text.trim().is_empty() {
        return Some("the file is empty");
    }
    match text.as_bytes().get(at) {
        Some(b'/' | b'#') => Some("JSON has no comments; a file that ends in .yaml may have them"),
        Some(b'\'') => Some("JSON strings stand between double quotes"),
        Some(b'}' | b']') if text.get(..at).is_some_and(|before| before.trim_end().ends_with(',')) => {
            Some("remove the comma before it")
        }
        _ => None,
    }
}

struct Reader<'t, 'p> {
    text: &'t str,
    problems: &'p mut Problems,
}

impl<'t> Reader<'t, '_> {
    fn node(&mut self, raw: &'t str, at: &At<'_>, depth: usize) -> Option<Node> {
        let span = self.span(raw);
        let kind = match raw.as_bytes().first()? {
            b'n' => Kind::Null,
            b't' => Kind::Bool(true),
            b'f' => Kind::Bool(false),
            b'"' => self.string(raw, at).map_or(Kind::Null, Kind::Text),
            b'[' | b'{' if depth > MAX_DEPTH => {
                too_deep(self.problems, span, at);
                Kind::Null
            }
            b'[' => {
                let elements = parts(raw, |de| de.deserialize_seq(Elements))?;
                let nodes = elements.iter().enumerate();
                Kind::List(
                    nodes
                        .filter_map(|(index, raw)| self.node(raw.get(), &At::Element(at, index), depth + 1))
                        .collect(),
                )
            }
            b'{' => {
                let mut entries = Entries::default();
                for (key, value) in parts(raw, |de| de.deserialize_map(Members))? {
                    let key_span = self.span(key.get());
                    let Some(key) = self.string(key.get(), at) else { continue };
                    if let Some(value) = self.node(value.get(), &At::Member(at, &key), depth + 1) {
                        insert(&mut entries, Entry { key, key_span, value }, at, self.problems);
                    }
                }
                Kind::Map(entries.list)
            }
            _ => Kind::Number(raw.to_owned()),
        };
        Some(Node { span, kind })
    }

    fn string(&mut self, raw: &str, at: &At<'_>) -> Option<String> {
        match serde_json::from_str::<Cow<'_, str>>(raw) {
            Ok(text) => Some(text.into_owned()),
            // What the syntax check lets through and text cannot hold: half of a surrogate pair.
            Err(error) => {
                let message = format!("expected text, found {}", syntax(&error));
                self.problems.error(self.span(raw), &at.pointer(), message, None);
                None
            }
        }
    }

    /// `part` is borrowed from the text, so the distance of the two is its place.
    fn span(&self, part: &str) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        Span::new(start, start + part.len())
    }
}

fn parts<'t, T>(
    raw: &'t str,
    read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'t>>) -> serde_json::Result<T>,
) -> Option<T> {
    // The whole text was checked before, so its parts are well-formed.
    read(&mut serde_json::Deserializer::from_str(raw)).ok()
}

struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = access.next_element()? {
            all.push(element);
        }
        Ok(all)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(member) = access.next_entry()? {
            all.push(member);
        }
        Ok(all)
    }
}
