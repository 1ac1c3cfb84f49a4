//! Server-sent events, as MCP uses them (WHATWG HTML, section 9.2.6).

use bytes::{Bytes, BytesMut};

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event type; empty means `message`.
    pub name: String,
    /// The id to resume after.
    pub id: Option<String>,
    /// Milliseconds that the client should wait before it comes back.
    pub retry: Option<u64>,
    /// The data; empty for an event that only primes the client.
    pub data: Bytes,
}

/// An event longer than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct EventTooLarge {
    /// The limit in bytes.
    pub limit: usize,
}

/// Cuts a byte stream into events.
#[derive(Debug)]
pub struct EventDecoder {
    limit: usize,
    buffer: BytesMut,
    searched: usize,
    event: Event,
    data: BytesMut,
    lines_of_data: usize,
    touched: bool,
    started: bool,
}

impl EventDecoder {
    /// A decoder for events of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: BytesMut::new(),
            searched: 0,
            event: Event::default(),
            data: BytesMut::new(),
            lines_of_data: 0,
            touched: false,
            started: false,
        }
    }

    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next event, where one is complete.
    ///
    /// # Errors
    /// Where an event grows over the limit; the stream cannot be read on.
    pub fn next_event(&mut self) -> Result<Option<Event>, EventTooLarge> {
        loop {
            if self.buffer.len() + self.data.len() > self.limit {
                return Err(EventTooLarge { limit: self.limit });
            }
            if !self.started && self.buffer.len() >= 3 {
                self.started = true;
                if self.buffer.starts_with(b"\xEF\xBB\xBF") {
                    let _ = self.buffer.split_to(3);
                }
            }
            let rest = self.buffer.get(self.searched..).unwrap_or_default();
            let Some(end) = memchr::memchr2(b'\n', b'\r', rest).map(|at| at + self.searched) else {
                self.searched = self.buffer.len();
                return Ok(None);
            };
            let width = match (self.buffer.get(end), self.buffer.get(end + 1)) {
                (Some(b'\r'), Some(b'\n')) => 2,
                // A lone CR ends a line too, but whether an LF follows is not known yet.
                (Some(b'\r'), None) => {
                    self.searched = end;
                    return Ok(None);
                }
                _ => 1,
            };
            let line = self.buffer.split_to(end + width);
            // A mark after the first line is not one.
            self.started = true;
            self.searched = 0;
            let line = line.get(..end).unwrap_or_default();
            if line.is_empty() {
                if std::mem::take(&mut self.touched) {
                    self.lines_of_data = 0;
                    let data = std::mem::take(&mut self.data).freeze();
                    return Ok(Some(Event { data, ..std::mem::take(&mut self.event) }));
                }
            } else {
                self.field(line);
            }
        }
    }

    fn field(&mut self, line: &[u8]) {
        let (name, value) = match memchr::memchr(b':', line) {
            Some(0) => return,
            Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
            None => (line, &[][..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"data" => {
                if self.lines_of_data > 0 {
                    self.data.extend_from_slice(b"\n");
                }
                self.data.extend_from_slice(value);
                self.lines_of_data += 1;
            }
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            b"id" if !value.contains(&0) => self.event.id = Some(String::from_utf8_lossy(value).into_owned()),
            b"retry" => match std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
                Some(wait) => self.event.retry = Some(wait),
                None => return,
            },
            _ => return,
        }
        self.touched = true;
    }
}

/// Writes an event. Line ends inside the data start further data lines, so no data can forge a field.
#[must_use]
pub fn encode_event(event: &Event) -> Bytes {
    let mut out = Vec::with_capacity(event.data.len() + 32);
    if !event.name.is_empty() {
        out.extend_from_slice(format!("event: {}\n", one_line(&event.name)).as_bytes());
    }
    if let Some(id) = &event.id {
        out.extend_from_slice(format!("id: {}\n", one_line(id)).as_bytes());
    }
    if let Some(wait) = event.retry {
        out.extend_from_slice(format!("retry: {wait}\n").as_bytes());
    }
    // JSON has no raw CR; in other data it would end the line at the reader, so it becomes a line end here.
    for line in event.data.split(|b| *b == b'\n' || *b == b'\r') {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    Bytes::from(out)
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(chunks: &[&[u8]]) -> Vec<Event> {
        let mut decoder = EventDecoder::new(1 << 16);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk);
            while let Some(event) = decoder.next_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    #[test]
    fn fields_comments_and_all_line_ends_are_read() {
        let events =
            decode(&[b": hello\nid: 7\r\nretry: 500\ndata:\n\nevent: message\rdata: a\r", b"\ndata:  b\n\n"]);
        assert_eq!(events.len(), 2);
        assert_eq!(events[0], Event { id: Some("7".into()), retry: Some(500), ..Event::default() });
        assert_eq!(events[1].name, "message");
        assert_eq!(events[1].data, "a\n b");
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_very_beginning() {
        let marked = b"\xEF\xBB\xBFdata: a\n\n";
        assert_eq!(decode(&[marked])[0].data, "a");
        let later = [b"\n".as_slice(), marked].concat();
        assert_eq!(decode(&[&later]), decode(&[b"\n", marked]));
    }

    #[test]
    fn an_endless_event_is_an_error_and_not_endless_memory() {
        let mut decoder = EventDecoder::new(100);
        decoder.push(&[b'x'; 101]);
        assert!(decoder.next_event().is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_however_it_is_cut(
            data in "[a-z\\n{}\":]{0,60}", id in proptest::option::of("[a-z0-9]{1,8}"), cut in 1usize..9
        ) {
            let event = Event { id, data: Bytes::from(data), ..Event::default() };
            let text = encode_event(&event);
            let chunks: Vec<&[u8]> = text.chunks(cut).collect();
            prop_assert_eq!(decode(&chunks), vec![event]);
        }
    }
}
