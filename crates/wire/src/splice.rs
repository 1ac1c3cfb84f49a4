//! Replacing single values in a message and leaving every other byte as it came.

use bytes::Bytes;
use std::ops::Range;

/// A place in a message, in bytes.
pub type Span = Range<usize>;

/// Collects replacements in one text and writes the result once.
#[derive(Debug)]
pub struct Splice<'a> {
    source: &'a [u8],
    edits: Vec<(Span, Vec<u8>)>,
}

impl<'a> Splice<'a> {
    /// Starts with the text as it is.
    #[must_use]
    pub fn new(source: &'a [u8]) -> Self {
        Self { source, edits: Vec::new() }
    }

    /// Replaces `span` by `text`. An empty span inserts. Spans must not overlap; one that lies outside of
    /// the source or over an earlier one in the text is left out.
    pub fn replace(&mut self, span: Span, text: impl Into<Vec<u8>>) {
        self.edits.push((span, text.into()));
    }

    /// Writes the text with all replacements made.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.edits.sort_by_key(|(span, _)| span.start);
        let grown: usize = self.edits.iter().map(|(_, text)| text.len()).sum();
        let mut out = Vec::with_capacity(self.source.len() + grown);
        let mut at = 0;
        for (span, text) in &self.edits {
            let Some(before) = self.source.get(at..span.start) else { continue };
            out.extend_from_slice(before);
            out.extend_from_slice(text);
            at = span.end;
        }
        out.extend_from_slice(self.source.get(at..).unwrap_or_default());
        Bytes::from(out)
    }
}

/// Puts `"key":value` in front of the members of the JSON object at `object` in the source. `key` must need
/// no escapes and must not be a member already; `value` is JSON text.
pub fn insert_member(splice: &mut Splice<'_>, object: &Span, key: &str, value: &str) {
    let inside = splice.source.get(object.start + 1..object.end).unwrap_or_default();
    let empty = inside.iter().find(|b| !b.is_ascii_whitespace()).is_none_or(|b| *b == b'}');
    let comma = if empty { "" } else { "," };
    let at = object.start + 1;
    splice.replace(at..at, format!("\"{key}\":{value}{comma}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_named_places_change() {
        let mut splice = Splice::new(b"{\"id\":1, \"x\" : 1.0}");
        splice.replace(6..7, "42");
        insert_member(&mut splice, &(0..19), "y", "true");
        assert_eq!(splice.finish(), "{\"y\":true,\"id\":42, \"x\" : 1.0}");
    }

    #[test]
    fn a_member_put_into_an_empty_object_takes_no_comma() {
        let mut splice = Splice::new(b"{ }");
        insert_member(&mut splice, &(0..3), "a", "1");
        assert_eq!(splice.finish(), "{\"a\":1 }");
    }
}
