//! Framing on stdio: one message a line, of bounded length.

use bytes::{Bytes, BytesMut};

/// How much of either end of an over-long line is kept, in bytes: enough to see which call it answered.
const KEPT: usize = 4096;

/// Appends one message as one line: the message, then `\n`.
///
/// JSON allows raw line ends between its tokens, and a server that reads lines takes what stands behind one for a message
/// of its own. So no character that any reader takes for the end of a line gets through: those that are blanks in JSON
/// become spaces, those that can stand in a string (U+0085, U+2028, U+2029) become escapes. A JSON text keeps its meaning.
pub fn push_line(out: &mut BytesMut, message: &[u8]) {
    out.reserve(message.len() + 1);
    let odd = |byte: &u8| (*byte < b' ') | (*byte == NEL[0]) | (*byte == SEPARATORS[0]);
    // No branch in the loop: nearly every message has none of them.
    if message.iter().fold(false, |found, byte| found | odd(byte)) {
        push_escaped(out, message);
    } else {
        out.extend_from_slice(message);
    }
    out.extend_from_slice(b"\n");
}

/// U+0085, next line.
const NEL: [u8; 2] = [0xC2, 0x85];
/// What U+2028 and U+2029, line and paragraph separator, begin with.
const SEPARATORS: [u8; 2] = [0xE2, 0x80];

fn push_escaped(out: &mut BytesMut, message: &[u8]) {
    let mut rest = message;
    while let Some((first, tail)) = rest.split_first() {
        let (text, behind): (&[u8], &[u8]) = match (first, tail) {
            (0xC2, [0x85, behind @ ..]) => (b"\\u0085", behind),
            (0xE2, [0x80, 0xA8, behind @ ..]) => (b"\\u2028", behind),
            (0xE2, [0x80, 0xA9, behind @ ..]) => (b"\\u2029", behind),
            (b'\t', behind) => (b"\t", behind),
            (byte, behind) if *byte < b' ' => (b" ", behind),
            (byte, behind) => (std::slice::from_ref(byte), behind),
        };
        out.extend_from_slice(text);
        rest = behind;
    }
}

/// One line of input.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A whole line without its end.
    Whole(Bytes),
    /// A line longer than the limit; both its ends are kept.
    TooLong {
        /// The first bytes.
        head: Bytes,
        /// The last bytes.
        tail: Bytes,
        /// Its length in bytes.
        length: usize,
    },
}

/// Cuts a byte stream into lines.
#[derive(Debug)]
pub struct LineDecoder {
    limit: usize,
    buffer: BytesMut,
    searched: usize,
    /// Set while an over-long line is being passed over: its head and its length so far.
    skipping: Option<(Bytes, usize)>,
}

impl LineDecoder {
    /// A decoder for lines of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, buffer: BytesMut::new(), searched: 0, skipping: None }
    }

    /// Where input is read into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next line, where one is complete. Call until it gives `None`, then read more.
    pub fn next_line(&mut self) -> Option<Line> {
        loop {
            let end = self.buffer.get(self.searched..).and_then(|rest| memchr::memchr(b'\n', rest));
            let Some(end) = end.map(|at| at + self.searched) else {
                self.searched = self.buffer.len();
                self.shed();
                return None;
            };
            let mut line = self.buffer.split_to(end + 1);
            self.searched = 0;
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if let Some((head, before)) = self.skipping.take() {
                let tail = line.split_off(line.len().saturating_sub(KEPT)).freeze();
                let length = before + line.len() + tail.len();
                return Some(Line::TooLong { head, tail, length });
            }
            if line.len() > self.limit {
                let length = line.len();
                let tail = line.split_off(length.saturating_sub(KEPT)).freeze();
                line.truncate(KEPT);
                return Some(Line::TooLong { head: line.freeze(), tail, length });
            }
            if !line.iter().all(u8::is_ascii_whitespace) {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }

    /// Drops what is already known to belong to an over-long line, except for its ends.
    fn shed(&mut self) {
        // A CR at the end may turn out to be part of the line's end, which does not count.
        let counted = self.buffer.len() - usize::from(self.buffer.last() == Some(&b'\r'));
        if self.skipping.is_none() && counted > self.limit {
            let head = Bytes::copy_from_slice(self.buffer.get(..KEPT).unwrap_or(&self.buffer));
            self.skipping = Some((head, 0));
        }
        if let Some((_, length)) = &mut self.skipping {
            let surplus = self.buffer.len().saturating_sub(KEPT);
            *length += surplus;
            let _ = self.buffer.split_to(surplus);
            self.searched = self.buffer.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Envelope;
    use proptest::prelude::*;

    /// What readers of lines cut at: `\n` alone, `\r` alone, and all that universal-newline readers know.
    const LINE_ENDS: [char; 10] =
        ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];

    /// A JSON value, with blanks between its tokens wherever they may stand, and any text in its strings.
    fn spaced_json() -> impl Strategy<Value = String> {
        let blank = "[ \\t\\r\\n]{0,3}";
        let any_text = prop_oneof![
            "\\PC{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
            proptest::sample::select(LINE_ENDS.to_vec())
                .prop_map(|end| serde_json::Value::from(format!("a{end}b")).to_string()),
        ];
        let leaf = prop_oneof![any_text.clone(), Just("null".to_owned()), "-?[1-9][0-9]{0,9}"];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            let item = (blank, inner.clone(), blank).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let member =
                (blank, "[a-z]{1,4}", blank, blank, inner, blank).prop_map(|(a, name, b, c, value, d)| {
                    (name.clone(), format!("{a}\"{name}\"{b}:{c}{value}{d}"))
                });
            prop_oneof![
                (blank, proptest::collection::vec(item, 0..4))
                    .prop_map(|(a, items)| format!("[{a}{}]", items.join(","))),
                (blank, proptest::collection::btree_map("[a-z]{1,4}", member, 0..4)).prop_map(
                    |(a, members)| {
                        let by_name: std::collections::BTreeMap<_, _> = members.into_values().collect();
                        format!("{{{a}{}}}", by_name.into_values().collect::<Vec<_>>().join(","))
                    }
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_the_strict_reader_takes_is_one_line_for_every_reader(
            value in spaced_json(), gaps in proptest::collection::vec("[ \\t\\r\\n]{0,3}", 6)
        ) {
            let text = format!(
                "{}{{{}\"jsonrpc\":\"2.0\",{}\"id\"{}:1,\"method\":\"a/b\",\"params\":{}{{\"arguments\":{{\"x\":{value}}}}}{}}}",
                gaps[0], gaps[1], gaps[2], gaps[3], gaps[4], gaps[5]
            );
            let message = Envelope::request(Bytes::from(text.clone())).unwrap();
            let mut line = BytesMut::new();
            push_line(&mut line, message.bytes());
            let line = std::str::from_utf8(&line).unwrap();
            let body = line.strip_suffix('\n').unwrap();
            prop_assert!(!body.contains(LINE_ENDS), "{body:?}");
            let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
            prop_assert_eq!(read(body), read(&text));
        }

        #[test]
        fn no_bytes_at_all_are_more_than_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut line = BytesMut::new();
            push_line(&mut line, &bytes);
            let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap()).into_owned();
            prop_assert!(!text.contains(LINE_ENDS), "{text:?}");
        }
    }

    fn feed(decoder: &mut LineDecoder, text: &[u8]) -> Vec<Line> {
        decoder.buffer().extend_from_slice(text);
        std::iter::from_fn(|| decoder.next_line()).collect()
    }

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        let mut decoder = LineDecoder::new(100);
        assert!(feed(&mut decoder, b"{\"a\"").is_empty());
        assert_eq!(
            feed(&mut decoder, b":1}\r\n\n{}\n{"),
            [Line::Whole(Bytes::from_static(b"{\"a\":1}")), Line::Whole(Bytes::from_static(b"{}"))]
        );
    }

    #[test]
    fn a_line_of_exactly_the_limit_passes_wherever_the_reads_part() {
        let mut decoder = LineDecoder::new(3);
        assert!(feed(&mut decoder, b"abc\r").is_empty());
        assert_eq!(feed(&mut decoder, b"\n"), [Line::Whole(Bytes::from_static(b"abc"))]);
    }

    #[test]
    fn an_over_long_line_costs_only_itself() {
        let mut decoder = LineDecoder::new(10_000);
        let long = format!("HEAD{}TAIL\n{{}}\n", "x".repeat(50_000));
        let mut lines = Vec::new();
        for chunk in long.as_bytes().chunks(777) {
            lines.extend(feed(&mut decoder, chunk));
            assert!(decoder.buffer().len() <= 11_000);
        }
        let Some(Line::TooLong { head, tail, length }) = lines.first() else { panic!("{lines:?}") };
        assert!(head.starts_with(b"HEAD") && tail.ends_with(b"TAIL"));
        assert_eq!(*length, 50_008);
        assert_eq!(lines.get(1), Some(&Line::Whole(Bytes::from_static(b"{}"))));
    }
}
