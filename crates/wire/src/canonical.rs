//! One spelling for what means the same.
//!
//! Limits on identical calls and approvals compare calls by a digest of this text. A second spelling of a call would be a second
//! call to them, so there is none: not by the order of keys, by blanks, by escapes, by the notation of a number, and not by length.

mod number;

use serde::de::IgnoredAny;
use std::borrow::Cow;

/// Levels of nesting, one more than `check_strictly` lets pass.
const MAX_DEPTH: usize = 128;

/// The canonical text of a JSON value: no blanks, the keys of each object in order, one escape for each character, one
/// notation for each number. It reads the text once, so the time grows with the length alone (and with the logarithm of the number
/// of keys).
///
/// Numbers go through no float: `1`, `1.0` and `10e-1` become `1`, and each digit of a large integer stays. Text that is no JSON, or
/// that is nested deeper than 128 levels, stays as it is; [`check_strictly`](crate::check_strictly) lets neither pass.
#[must_use]
pub fn canonical(json: &str) -> Cow<'_, str> {
    let is_json = || serde_json::from_str::<IgnoredAny>(json).is_ok();
    let read = is_json().then(|| Reader { rest: json }.value(0)).flatten();
    read.map_or(Cow::Borrowed(json), |node| {
        let mut out = String::with_capacity(json.len());
        node.write(&mut out);
        Cow::Owned(out)
    })
}

/// A value, with its texts in their canonical spelling.
enum Node<'a> {
    /// `true`, `null`, a number, a string.
    Plain(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order of the keys.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl Node<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Plain(text) => out.push_str(text),
            Self::List(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(key);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// A text that is known to be JSON. `None` is given where it turns out to be none.
struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Option<Node<'a>> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.skip_blanks();
        match self.rest.as_bytes().first()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Node::Plain),
            b'-' | b'0'..=b'9' => self.word().map(|digits| Node::Plain(number::canonical(digits))),
            _ => self.word().map(|word| Node::Plain(word.into())),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Node<'a>> {
        self.sign('{')?;
        let mut members = Vec::new();
        while self.sign('}').is_none() {
            self.skip_blanks();
            let key = self.string()?;
            self.sign(':')?;
            members.push((key, self.value(depth + 1)?));
            // The text is JSON, so only the last member has no comma behind it.
            self.sign(',');
        }
        members.sort_by(|left, right| left.0.cmp(&right.0));
        Some(Node::Object(members))
    }

    fn list(&mut self, depth: usize) -> Option<Node<'a>> {
        self.sign('[')?;
        let mut items = Vec::new();
        while self.sign(']').is_none() {
            items.push(self.value(depth + 1)?);
            self.sign(',');
        }
        Some(Node::List(items))
    }

    /// A string with its quotes. Half a surrogate pair is no text, so a string with one stays as it is written.
    fn string(&mut self) -> Option<Cow<'a, str>> {
        let mut end = 1;
        loop {
            end += memchr::memchr2(b'"', b'\\', self.rest.as_bytes().get(end..)?)?;
            match self.rest.as_bytes().get(end)? {
                b'"' => break,
                _ => end += 2,
            }
        }
        let raw = self.take(end + 1)?;
        Some(match serde_json::from_str::<String>(raw) {
            Ok(text) => Cow::Owned(serde_json::Value::from(text).to_string()),
            Err(_) => Cow::Borrowed(raw),
        })
    }

    /// Everything up to the next sign of structure or blank.
    fn word(&mut self) -> Option<&'a str> {
        let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
        self.take(self.rest.bytes().position(|byte| ends(&byte)).unwrap_or(self.rest.len()))
    }

    /// Passes over blanks and a sign, if it is there.
    fn sign(&mut self, sign: char) -> Option<()> {
        self.skip_blanks();
        self.rest = self.rest.strip_prefix(sign)?;
        Some(())
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests;
