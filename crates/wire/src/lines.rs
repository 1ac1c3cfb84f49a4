//! Framing on stdio: one message a line, of bounded length.

use bytes::{Bytes, BytesMut};

/// How much of either end of an over-long line is kept, in bytes: enough to see which call it answered.
const KEPT: usize = 4096;

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
