//! The scan. Values are skipped, not decoded; what is no JSON, or is nested deeper than [`DEEPEST`], gives `None`.

use crate::strict::Strict;
use crate::text;
use std::borrow::Cow;

/// As many levels of objects and arrays may stand in one. Those of `serde_json`, so that what is read here can be decoded.
pub const DEEPEST: usize = 127;
/// After so many times eight plain bytes a string is a long one.
const LONG: u32 = 4;

/// Shows each member of an object: its name, decoded, and its value as it stands. `None` if the text is no object; members before
/// the fault were shown then.
pub fn members<'a>(object: &'a str, each: &mut dyn FnMut(Cow<'a, str>, &'a str)) -> Option<()> {
    let mut scan = Scan { text: object, at: 0, look: Past };
    scan.object(DEEPEST, |key, value| {
        each(key.decoded()?, value);
        Some(())
    })?;
    scan.end()
}

/// Shows each element of an array as it stands. `None` if the text is no array; elements before the fault were shown then.
pub fn elements<'a>(array: &'a str, each: &mut dyn FnMut(&'a str)) -> Option<()> {
    let mut scan = Scan { text: array, at: 0, look: Past };
    scan.array(DEEPEST, |element| {
        each(element);
        Some(())
    })?;
    scan.end()
}

/// Whether a text is JSON that every parser reads in the same way, as far as that shows in one pass: each member of every object once
/// (compared after decoding), no NUL in any name or string, no half of a surrogate pair, numbers that a double can hold, at most
/// [`DEEPEST`] levels.
#[must_use]
pub fn is_strict(json: &str) -> bool {
    let mut scan = Scan { text: json, at: 0, look: Strict };
    scan.value(DEEPEST).and_then(|_| scan.end()).is_some()
}

/// What is looked at on the way past a value. `None` ends the scan.
pub(crate) trait Look<'a> {
    /// The names that one object had so far.
    type Names: Default;
    fn name(&self, before: &mut Self::Names, name: Text<'a>) -> Option<()>;
    fn string(&self, text: Text<'a>) -> Option<()>;
    fn number(&self, number: &'a str) -> Option<()>;
}

/// Nothing is.
struct Past;

impl<'a> Look<'a> for Past {
    type Names = ();

    #[inline]
    fn name(&self, (): &mut (), _: Text<'a>) -> Option<()> {
        Some(())
    }

    #[inline]
    fn string(&self, _: Text<'a>) -> Option<()> {
        Some(())
    }

    #[inline]
    fn number(&self, _: &'a str) -> Option<()> {
        Some(())
    }
}

/// A string with its quotes.
#[derive(Clone, Copy)]
pub(crate) struct Text<'a> {
    raw: &'a str,
    /// Whether it has no escapes.
    pub(crate) plain: bool,
}

impl<'a> Text<'a> {
    #[inline]
    pub(crate) fn decoded(self) -> Option<Cow<'a, str>> {
        match self.plain {
            true => self.raw.get(1..self.raw.len() - 1).map(Cow::Borrowed),
            false => text(self.raw),
        }
    }
}

struct Scan<'a, L> {
    text: &'a str,
    /// The byte that is looked at.
    at: usize,
    look: L,
}

impl<'a, L: Look<'a>> Scan<'a, L> {
    fn object(&mut self, levels: usize, mut each: impl FnMut(Text<'a>, &'a str) -> Option<()>) -> Option<()> {
        self.sign(b'{')?;
        if self.sign(b'}').is_some() {
            return Some(());
        }
        let mut names = L::Names::default();
        loop {
            self.blanks();
            let key = self.string()?;
            self.look.name(&mut names, key)?;
            self.sign(b':')?;
            let value = self.value(levels)?;
            each(key, value)?;
            if self.sign(b'}').is_some() {
                return Some(());
            }
            self.sign(b',')?;
        }
    }

    fn array(&mut self, levels: usize, mut each: impl FnMut(&'a str) -> Option<()>) -> Option<()> {
        self.sign(b'[')?;
        if self.sign(b']').is_some() {
            return Some(());
        }
        loop {
            let element = self.value(levels)?;
            each(element)?;
            if self.sign(b']').is_some() {
                return Some(());
            }
            self.sign(b',')?;
        }
    }

    /// A value in something that may have so many levels.
    fn value(&mut self, levels: usize) -> Option<&'a str> {
        self.blanks();
        let start = self.at;
        match self.peek()? {
            b'"' => {
                let text = self.string()?;
                self.look.string(text)?;
                return Some(text.raw);
            }
            b'{' => self.object(levels.checked_sub(1)?, |_, _| Some(()))?,
            b'[' => self.array(levels.checked_sub(1)?, |_| Some(()))?,
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => {
                self.number()?;
                let number = self.text.get(start..self.at)?;
                self.look.number(number)?;
                return Some(number);
            }
        }
        self.text.get(start..self.at)
    }

    /// As in `serde_json`, half of a surrogate pair is found by whoever decodes it.
    fn string(&mut self) -> Option<Text<'a>> {
        let (start, mut plain) = (self.at, true);
        self.byte(b'"')?;
        let mut eights = 0;
        loop {
            if eights == LONG {
                eights = 0;
                self.at += long_plain_bytes(self.rest());
            }
            let count = self.rest().first_chunk().map_or(0, |eight| plain_bytes(*eight));
            self.at += count;
            if count == 8 {
                eights += 1;
                continue;
            }
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(Text { raw: self.text.get(start..self.at)?, plain }),
                b'\\' => {
                    plain = false;
                    self.escape()?;
                }
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Option<()> {
        let length = match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 1,
            b'u' if self.rest().get(1..5)?.iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return None,
        };
        self.at += length;
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.byte(b'-');
        if self.byte(b'0').is_none() {
            self.digits()?;
        }
        if self.byte(b'.').is_some() {
            self.digits()?;
        }
        if self.byte(b'e').or_else(|| self.byte(b'E')).is_some() {
            let _ = self.byte(b'+').or_else(|| self.byte(b'-'));
            self.digits()?;
        }
        Some(())
    }

    /// At least one.
    fn digits(&mut self) -> Option<()> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    /// A sign between values, and the blanks before it.
    fn sign(&mut self, sign: u8) -> Option<()> {
        self.blanks();
        self.byte(sign)
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Option<()> {
        self.blanks();
        (self.at == self.text.len()).then_some(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }
}

/// How many of eight bytes stand before the first quote, backslash or control character. For each of the three, the subtraction
/// sets the highest bit of the bytes that are it, and possibly of ones above, which do not matter (Hacker's Delight, 6-1).
fn plain_bytes(eight: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let bytes = u64::from_le_bytes(eight);
    let below = |bytes: u64, bound: u8| bytes.wrapping_sub(ONES * u64::from(bound)) & !bytes;
    let equal = |byte: u8| below(bytes ^ (ONES * u64::from(byte)), 1);
    let found = (below(bytes, 0x20) | equal(b'"') | equal(b'\\')) & (ONES << 7);
    found.trailing_zeros() as usize / 8
}

/// The same of a long text, by the widest steps that the processor has.
fn long_plain_bytes(rest: &[u8]) -> usize {
    let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
    let before = rest.get(..plain).unwrap_or_default();
    // Looking at all of them is quicker than stopping at the first, which no valid text has.
    match before.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
        true => before.iter().position(|byte| *byte < 0x20).unwrap_or(plain),
        false => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, elements, members, plain_bytes};
    use proptest::prelude::*;
    use serde::Deserializer;
    use serde::de::{MapAccess, Visitor};
    use serde_json::value::RawValue;

    type Members = Vec<(String, String)>;

    fn found(object: &str) -> Option<Members> {
        let mut all = Vec::new();
        members(object, &mut |key, value| all.push((key.into_owned(), value.to_owned())))?;
        Some(all)
    }

    /// By `serde_json`.
    fn expected(object: &str) -> Option<Members> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some((key, value)) = access.next_entry::<String, &RawValue>()? {
                    all.push((key, value.get().to_owned()));
                }
                Ok(all)
            }
        }
        let mut reader = serde_json::Deserializer::from_str(object);
        let all = reader.deserialize_map(All).ok()?;
        reader.end().ok().map(|()| all)
    }

    fn agree(text: &str) {
        assert_eq!(found(text), expected(text), "{text:?}");
        let mut own = Vec::new();
        let own = elements(text, &mut |element| own.push(element)).map(|()| own);
        let theirs: Option<Vec<&RawValue>> = serde_json::from_str(text).ok();
        assert_eq!(own, theirs.map(|all| all.into_iter().map(RawValue::get).collect()), "{text:?}");
    }

    #[test]
    fn each_member_is_found_and_what_is_no_json_is_refused() {
        for value in [
            "0",
            "-0",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1.5",
            "1e5",
            "1E+5",
            "1e-",
            "1e",
            "1.e1",
            "0x1",
            "1_0",
            "NaN",
            "true",
            "tru",
            "trueish",
            "false",
            "null",
            "nul",
            r#""""#,
            r#""a"#,
            r#""\""#,
            r#""\\""#,
            r#""\/""#,
            r#""\x""#,
            r#""\u00e9""#,
            r#""\u00g9""#,
            r#""\u12""#,
            r#""\ud800""#,
            "\"\t\"",
            "\"\u{7f}\"",
            "\"é…\u{1f600}\"",
            r#""seven77""#,
            r#""eight888""#,
            r#""nine99999""#,
            "\"eight888\n\"",
            "[]",
            "[,]",
            "[1,]",
            "[1 2]",
            "[1, [2, {}]]",
            "{}",
            r#"{"a":1,}"#,
            r#"{"a"}"#,
            r#"{"a":[{"b":"}"}]}"#,
            "[}",
            "",
            "'a'",
            "1 1",
            "\u{feff}1",
            "/**/1",
        ] {
            for text in [
                value.to_owned(),
                format!(r#"{{"k": {value}}}"#),
                format!("{{ \"k\"\n:\t{value} , \"l\\u006c\":{value}}} "),
                format!("[{value}]"),
                format!("[{value} , {value}]\r\n"),
                format!("{{{value}: 1}}"),
                format!(r#"{{"k": {value}"#),
            ] {
                agree(&text);
            }
        }
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(found(&nested(DEEPEST)).is_some());
        assert!(found(&nested(DEEPEST + 1)).is_none());
        assert!(found(&nested(1_000_000)).is_none());
    }

    #[test]
    fn the_first_byte_that_is_not_plain_is_found_among_eight() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                for other in [b'a', 0x7f, 0x80, 0xff, b' '] {
                    let mut eight = [other; 8];
                    eight[at] = byte;
                    let special = byte < 0x20 || byte == b'"' || byte == b'\\';
                    assert_eq!(plain_bytes(eight), if special { at } else { 8 }, "{eight:?}");
                }
            }
        }
    }

    #[test]
    fn a_long_string_ends_where_serde_json_ends_it() {
        for sign in
            ["", "\"", "\\", "\\\"", "\\u00e9", "\n", "\u{0}", "\u{1f}", " ", "\u{7f}", "é", "\u{1f600}"]
        {
            for before in 24..72 {
                for after in [0, 1, 40] {
                    let text = format!("\"{}{sign}{}\"", "x".repeat(before), "y".repeat(after));
                    agree(&format!("{{\"k\":{text}}}"));
                    agree(&format!("[{text},{text}]"));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_signs_are_read_as_serde_json_reads_them(
            signs in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ":", ",", "\"", "\"k\"", "\"k\":", "\\", "\\u00e9", "\\n", "1", "-", "0", ".5", "e3", "true",
                    "null", " ", "\n", "\u{1}", "é", "abcdefgh",
                ]),
                0..24,
            )
        ) {
            let signs = signs.concat();
            agree(&signs);
            agree(&format!("{{\"k\":{signs}}}"));
            agree(&format!("[{signs}]"));
        }

        #[test]
        fn one_wrong_byte_in_json_is_seen_as_serde_json_sees_it(at in 0usize..160, sign in "\\PC|[\\x00-\\x1f]") {
            let text = r#"{"amount": 12.34, "currency": "USD", "customer": {"id": "c_8", "country": "DE"}, "items": [{"count": 1}, {"count": 2}], "note": "order\n1", "live": true}"#;
            if let (Some(before), Some(after)) = (text.get(..at), text.get(at + 1..)) {
                agree(&format!("{before}{sign}{after}"));
                agree(&format!("{before}{after}"));
            }
        }
    }
}
