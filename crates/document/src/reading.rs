//! Walking a document while collecting what is wrong with it.

use std::cell::RefCell;

use crate::document::step;
use crate::{Document, Entry, Kind, Node, Problems, Severity, Span, nearest};

/// One walk over a document. Consumers note mistakes as they find them, go on, and look at the sum at the end.
#[derive(Debug)]
pub struct Reading<'d> {
    document: &'d Document,
    problems: RefCell<Problems>,
}

impl<'d> Reading<'d> {
    /// Begins a walk. What was wrong with the text itself is noted already.
    pub fn new(document: &'d Document) -> Self {
        Self { document, problems: RefCell::new(document.mistakes().clone()) }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { reading: self, node: self.document.root(), pointer: String::new() }
    }

    /// What was noted, in the order of the file; the caller decides by [`Problems::has_errors`].
    pub fn finish(self) -> Problems {
        self.problems.into_inner().sorted()
    }

    fn note(&self, severity: Severity, span: Span, pointer: &str, message: String, hint: Option<String>) {
        // What was refused already has its message; that it is not what was expected either is no news.
        if self.document.mistakes().iter().any(|mistake| mistake.span == span) {
            return;
        }
        // A walk is single-threaded and no borrow outlives a call, so this is always free.
        if let Ok(mut problems) = self.problems.try_borrow_mut() {
            problems.add(severity, span, pointer, message, hint);
        }
    }
}

/// One value at its place in the tree. The readers (`text`, `number`, …) give `None` after they noted what they expected.
#[derive(Debug, Clone)]
pub struct Value<'r> {
    reading: &'r Reading<'r>,
    node: &'r Node,
    pointer: String,
}

impl<'r> Value<'r> {
    /// The node itself.
    pub fn node(&self) -> &'r Node {
        self.node
    }

    /// Where it stands in the text.
    pub fn span(&self) -> Span {
        self.node.span
    }

    /// Where it stands in the tree, as a JSON pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Notes that this value is wrong.
    pub fn error(&self, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(Into::into);
        self.reading.note(Severity::Error, self.node.span, &self.pointer, message.into(), hint);
    }

    /// Notes that something at another place is wrong with this value, such as its key.
    pub fn error_at(&self, span: Span, message: impl Into<String>, hint: Option<&str>) {
        self.reading.note(Severity::Error, span, &self.pointer, message.into(), hint.map(Into::into));
    }

    /// Notes that this value is hardly meant so.
    pub fn warning(&self, message: impl Into<String>, hint: Option<&str>) {
        let hint = hint.map(Into::into);
        self.reading.note(Severity::Warning, self.node.span, &self.pointer, message.into(), hint);
    }

    /// Notes that something else was expected: "expected `expected`, found …".
    pub fn mismatch(&self, expected: &str, hint: Option<&str>) {
        self.error(format!("expected {expected}, found {}", self.node.describe()), hint);
    }

    /// Reads text.
    pub fn text(&self) -> Option<&'r str> {
        match &self.node.kind {
            Kind::Text(text) => Some(text),
            Kind::Number(_) | Kind::Bool(_) => {
                self.mismatch("text", Some("put it between quotes"));
                None
            }
            _ => {
                self.mismatch("text", None);
                None
            }
        }
    }

    /// Whole digits, with quotes or without: a value whose unit was left out. `None` for anything else.
    pub fn digits(&self) -> Option<&'r str> {
        match &self.node.kind {
            Kind::Text(text) | Kind::Number(text) => Some(text.as_str())
                .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())),
            _ => None,
        }
    }

    /// Reads a number as its digits.
    pub fn number(&self) -> Option<&'r str> {
        match &self.node.kind {
            Kind::Number(text) => Some(text),
            Kind::Text(text) if crate::number::is_json_number(text) => {
                self.mismatch("a number", Some("remove the quotes"));
                None
            }
            _ => {
                self.mismatch("a number", None);
                None
            }
        }
    }

    /// Reads `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.kind {
            Kind::Bool(value) => Some(*value),
            _ => {
                self.mismatch("true or false", None);
                None
            }
        }
    }

    /// Reads one word out of a fixed set.
    pub fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        if let Kind::Text(text) = &self.node.kind
            && let Some((_, value)) = words.iter().find(|(word, _)| word == text)
        {
            return Some(*value);
        }
        let quoted: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        let expected = match quoted.as_slice() {
            [one] => one.clone(),
            [most @ .., last] => format!("{} or {last}", most.join(", ")),
            [] => "nothing".into(),
        };
        let hint = match &self.node.kind {
            Kind::Text(text) => nearest(text, words.iter().map(|(word, _)| *word)),
            _ => None,
        };
        self.mismatch(&expected, hint.map(|word| format!("did you mean `{word}`?")).as_deref());
        None
    }

    /// Reads a list.
    pub fn list(&self) -> Option<Vec<Value<'r>>> {
        match &self.node.kind {
            Kind::List(nodes) => {
                let values = nodes.iter().enumerate().map(|(at, node)| Value {
                    reading: self.reading,
                    node,
                    pointer: step(&self.pointer, &at.to_string()),
                });
                Some(values.collect())
            }
            Kind::Map(_) => {
                self.mismatch("a list", Some("put it into a list: `- …` in YAML, `[…]` in JSON"));
                None
            }
            _ => {
                self.mismatch("a list", None);
                None
            }
        }
    }

    /// Reads a map whose keys are the caller's own vocabulary.
    pub fn fields(&self) -> Option<Fields<'r>> {
        let entries = self.map_entries()?;
        let known = Vec::with_capacity(USUAL);
        Some(Fields { map: self.clone(), taken: vec![false; entries.len()], entries, known })
    }

    /// Reads a map whose keys are the writer's to choose.
    pub fn entries(&self) -> Option<impl Iterator<Item = (&'r Entry, Value<'r>)> + use<'r>> {
        let entries = self.map_entries()?;
        let map = self.clone();
        Some(entries.iter().map(move |entry| (entry, map.member(entry))))
    }

    fn map_entries(&self) -> Option<&'r [Entry]> {
        match &self.node.kind {
            Kind::Map(entries) => Some(entries),
            Kind::Null => {
                self.mismatch("a map", Some("write `{}` for an empty one"));
                None
            }
            _ => {
                self.mismatch("a map", None);
                None
            }
        }
    }

    fn member(&self, entry: &'r Entry) -> Value<'r> {
        Value { reading: self.reading, node: &entry.value, pointer: step(&self.pointer, &entry.key) }
    }
}

/// How many keys most maps may have.
const USUAL: usize = 16;

/// A map whose members are taken by name. What nobody took is an unknown key, which [`Fields::finish`] reports.
#[derive(Debug)]
pub struct Fields<'r> {
    map: Value<'r>,
    entries: &'r [Entry],
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl<'r> Fields<'r> {
    /// Takes a member that may be left out.
    pub fn optional(&mut self, key: &'static str) -> Option<Value<'r>> {
        self.known.push(key);
        self.take(key).map(|entry| self.map.member(entry))
    }

    /// Takes a member that must be there, and notes if it is not.
    pub fn required(&mut self, key: &'static str) -> Option<Value<'r>> {
        let value = self.optional(key);
        if value.is_none() {
            let near = self.untaken().map(|entry| entry.key.as_str());
            let hint = match nearest(key, near) {
                Some(written) => format!("`{written}` looks like it"),
                None => format!("add `{key}`"),
            };
            let message = format!("expected the key {key:?}, found none");
            self.map.reading.note(Severity::Error, self.head(), self.map.pointer(), message, Some(hint));
        }
        value
    }

    /// Notes, if the key is there, that it may not be: `why` says where it belongs.
    pub fn refuse(&mut self, key: &str, why: &str, hint: Option<&str>) {
        if let Some(entry) = self.take(key) {
            let place = step(self.map.pointer(), key);
            let hint = hint.map(Into::into);
            self.map.reading.note(Severity::Error, entry.key_span, &place, why.to_owned(), hint);
        }
    }

    /// Whether a member of this name is there, taken or not.
    pub fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The map as a value.
    pub fn value(&self) -> &Value<'r> {
        &self.map
    }

    /// Notes every key that was not taken, with the nearest name that was asked for.
    pub fn finish(self) {
        for entry in self.untaken() {
            let message = format!("expected a known key, found {:?}", entry.key);
            let hint = match nearest(&entry.key, self.known.iter().copied()) {
                Some(word) => format!("did you mean `{word}`?"),
                None if self.known.is_empty() => "no key is known here".into(),
                None => format!("known here: {}", self.known.join(", ")),
            };
            let place = step(self.map.pointer(), &entry.key);
            self.map.reading.note(Severity::Error, entry.key_span, &place, message, Some(hint));
        }
    }

    fn take(&mut self, key: &str) -> Option<&'r Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        if let Some(taken) = self.taken.get_mut(at) {
            *taken = true;
        }
        self.entries.get(at)
    }

    fn untaken(&self) -> impl Iterator<Item = &'r Entry> {
        self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken).map(|(entry, _)| entry)
    }

    /// A missing key is shown at the map's first key, not under the whole map.
    fn head(&self) -> Span {
        self.entries.first().map_or(self.map.span(), |entry| entry.key_span)
    }
}
