//! A document: a text that was read.

use crate::{Node, Problems, Source, Span, json, toml, yaml};

/// The largest document in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How many lists and maps may stand inside one another.
pub const MAX_DEPTH: usize = 64;

/// The notations that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259, strictly.
    Json,
    /// YAML 1.2, core schema, without its references and tags.
    Yaml,
    /// TOML 1.
    Toml,
}

impl Format {
    /// The format that a file's ending names.
    pub fn of(name: &str) -> Option<Self> {
        let (_, ending) = name.rsplit_once('.')?;
        match ending {
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A text and the tree that it spells.
#[derive(Debug, Clone)]
pub struct Document {
    source: Source,
    root: Node,
    mistakes: Problems,
}

impl Document {
    /// Reads a text; the ending of `name` chooses the format.
    ///
    /// # Errors
    /// Everything that is wrong with the text as text: syntax, duplicate keys, more than [`MAX_BYTES`] or
    /// [`MAX_DEPTH`], and what a format allows but this crate does not. JSON and YAML report all but one syntax error,
    /// since nothing can be known behind it; TOML goes on.
    pub fn read(name: &str, text: &str) -> Result<Self, Problems> {
        let document = Self::read_past_mistakes(name, text)?;
        if document.mistakes.is_empty() { Ok(document) } else { Err(document.mistakes) }
    }

    /// Reads a text and goes on behind every mistake that leaves a tree: in its place stands null, and every
    /// [`Reading`](crate::Reading) of the document begins with the mistake noted. So a consumer can report what it finds
    /// wrong together with what is wrong with the text.
    ///
    /// # Errors
    /// What leaves no tree to read, together with all else that was found.
    pub fn read_past_mistakes(name: &str, text: &str) -> Result<Self, Problems> {
        let source = Source::new(name, text);
        let mut problems = Problems::new(source.clone());
        let start = Span::new(0, 0);
        if text.len() > MAX_BYTES {
            let message = format!("expected at most {MAX_BYTES} bytes, found {}", text.len());
            // The text of such a file is of no use to anybody, so the problem does not carry it.
            let mut problems = Problems::new(Source::new(name, ""));
            problems.error(start, "", message, None);
            return Err(problems);
        }
        if text.starts_with('\u{feff}') {
            let hint = Some("save the file as UTF-8 without a byte order mark");
            problems.error(start, "", "expected text, found a byte order mark", hint);
            return Err(problems);
        }
        let root = match Format::of(name) {
            Some(Format::Json) => json::read(&source, &mut problems),
            Some(Format::Yaml) => yaml::read(&source, &mut problems),
            Some(Format::Toml) => toml::read(&source, &mut problems),
            None => {
                let message = "expected a file name that ends in .json, .yaml, .yml or .toml";
                problems.error(start, "", message, Some("the ending says how the file is read"));
                None
            }
        };
        match root {
            Some(root) => Ok(Self { source, root, mistakes: problems.sorted() }),
            None => Err(problems.sorted()),
        }
    }

    /// The name and text it was read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    pub(crate) fn mistakes(&self) -> &Problems {
        &self.mistakes
    }

    /// The outermost value.
    pub fn root(&self) -> &Node {
        &self.root
    }
}

/// `pointer` with one more step, escaped as RFC 6901 says.
pub(crate) fn step(pointer: &str, key: &str) -> String {
    let mut longer = String::with_capacity(pointer.len() + 1 + key.len());
    longer.push_str(pointer);
    longer.push('/');
    if key.contains(['~', '/']) {
        longer.push_str(&key.replace('~', "~0").replace('/', "~1"));
    } else {
        longer.push_str(key);
    }
    longer
}

/// Where a value stands in the tree. The pointer is written out only for a problem: of most values there is nothing to say.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    Root,
    Member(&'a At<'a>, &'a str),
    Element(&'a At<'a>, usize),
}

impl At<'_> {
    pub(crate) fn pointer(&self) -> String {
        match self {
            Self::Root => String::new(),
            Self::Member(map, key) => step(&map.pointer(), key),
            Self::Element(list, index) => format!("{}/{index}", list.pointer()),
        }
    }
}

pub(crate) fn too_deep(problems: &mut Problems, span: Span, at: &At<'_>) {
    let message = format!("expected at most {MAX_DEPTH} lists and maps inside one another, found more");
    problems.error(span, &at.pointer(), message, None);
}

/// Adds an entry to the map that stands there, or reports that its key was there before.
pub(crate) fn insert(entries: &mut Entries, entry: crate::Entry, at: &At<'_>, problems: &mut Problems) {
    if let Some(first) = entries.find(&entry.key) {
        let (line, _) = problems.source().line_and_column(first.start);
        let message = format!("expected each key once, found {:?} again", entry.key);
        let hint = format!("it stands first on line {line}; remove one of the two");
        problems.error(entry.key_span, &At::Member(at, &entry.key).pointer(), message, Some(&hint));
        return;
    }
    entries.push(entry);
}

/// Members at most in one map before a table replaces the linear search for duplicates.
const FEW: usize = 16;

/// The entries of a map while it is read.
#[derive(Default)]
pub(crate) struct Entries {
    pub(crate) list: Vec<crate::Entry>,
    /// All of them once there are many; of a few, none.
    seen: std::collections::HashMap<String, Span>,
}

impl Entries {
    fn find(&self, key: &str) -> Option<Span> {
        if self.list.len() > FEW {
            return self.seen.get(key).copied();
        }
        self.list.iter().find(|entry| entry.key == key).map(|entry| entry.key_span)
    }

    fn push(&mut self, entry: crate::Entry) {
        self.list.push(entry);
        if self.list.len() > FEW {
            let new = self.list.iter().skip(self.seen.len());
            self.seen.extend(new.map(|entry| (entry.key.clone(), entry.key_span)));
        }
    }
}
