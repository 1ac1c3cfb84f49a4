//! YAML 1.2 without what makes YAML surprising: no anchors, aliases, tags or merges, one document, text as keys, and a
//! number only where JSON sees one. (`yes` and `no` are text in YAML 1.2.)

use std::borrow::Cow;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as Marked, StrInput};

use crate::document::{At, Entries, insert, too_deep};
use crate::number::is_json_number;
use crate::{Entry, Kind, MAX_DEPTH, Node, Problems, Source, Span};

pub(crate) fn read(source: &Source, problems: &mut Problems) -> Option<Node> {
    let text = source.text();
    let offsets = match text.is_ascii() {
        true => None,
        false => Some(text.char_indices().map(|(byte, _)| byte).chain([text.len()]).collect()),
    };
    let mut reader = Reader { text, offsets, parser: Parser::new_from_str(text), problems, last_end: 0 };
    match reader.stream() {
        Ok(root) => root,
        Err(Stop::Syntax(error)) => {
            let at = reader.byte(error.marker().index());
            let at = at.min(text.trim_end().len());
            let message = format!("expected YAML, found a mistake in its syntax: {}", error.info());
            let hint = text.get(..at).is_some_and(|before| {
                before.rsplit('\n').next().is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'))
            });
            let hint = hint.then_some("indent with spaces; YAML takes no tabs");
            reader.problems.error(Span::new(at, at), "", message, hint);
            None
        }
        Err(Stop::Said) => None,
    }
}

/// Why reading ends early.
enum Stop {
    Syntax(ScanError),
    /// The problem is noted already and what follows could not be understood.
    Said,
}

struct Reader<'t, 'p> {
    text: &'t str,
    /// The byte of each character, where it is not its number: the library counts characters.
    offsets: Option<Vec<usize>>,
    parser: Parser<'t, StrInput<'t>>,
    problems: &'p mut Problems,
    /// Where the last scalar ended, for the span of the block around it.
    last_end: usize,
}

impl<'t> Reader<'t, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Span), Stop> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => {
                let span = self.span(&event, span);
                Ok((event, span))
            }
            Some(Err(error)) => Err(Stop::Syntax(error)),
            None => Err(Stop::Said),
        }
    }

    fn stream(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        let mut documents = 0;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        let hint = Some("remove the `---`, or put the second document into its own file");
                        self.problems.error(span, "", "expected one document, found a second", hint);
                        return Err(Stop::Said);
                    }
                    let (event, span) = self.next()?;
                    root = self.node(event, span, &At::Root, 1)?;
                }
                _ => {}
            }
        }
        if documents == 0 {
            let span = Span::new(0, self.text.len());
            let empty = self.text.trim().is_empty();
            let hint = if empty { "the file is empty" } else { "the file has only comments" };
            self.problems.error(span, "", "expected a document, found nothing", Some(hint));
        }
        Ok(root)
    }

    /// `None` when the value was refused; null stands in its place and the reading goes on behind it.
    fn node(
        &mut self,
        event: Event<'t>,
        span: Span,
        at: &At<'_>,
        depth: usize,
    ) -> Result<Option<Node>, Stop> {
        match &event {
            Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
                self.refuse_properties(*anchor, tag.is_some(), span, at);
                if depth > MAX_DEPTH {
                    too_deep(self.problems, span, at);
                    return Err(Stop::Said);
                }
            }
            Event::Scalar(_, _, anchor, tag) => {
                if self.refuse_properties(*anchor, tag.is_some(), span, at) {
                    return Ok(None);
                }
            }
            Event::Alias(_) => {
                let message = format!("expected a value, found the alias `{}`", self.slice(span));
                self.problems.error(span, &at.pointer(), message, Some("write the value out"));
                return Ok(None);
            }
            _ => return Ok(None),
        }
        match event {
            Event::Scalar(text, style, ..) => {
                Ok(self.scalar(text, style, span, at).map(|kind| Node { span, kind }))
            }
            Event::SequenceStart(..) => self.list(span, at, depth).map(Some),
            _ => self.map(span, at, depth).map(Some),
        }
    }

    fn list(&mut self, start: Span, at: &At<'_>, depth: usize) -> Result<Node, Stop> {
        let mut nodes = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                let span = self.around(start, span);
                return Ok(Node { span, kind: Kind::List(nodes) });
            }
            let node = self.node(event, span, &At::Element(at, nodes.len()), depth + 1)?;
            nodes.push(node.unwrap_or(Node { span, kind: Kind::Null }));
        }
    }

    fn map(&mut self, start: Span, at: &At<'_>, depth: usize) -> Result<Node, Stop> {
        let mut entries = Entries::default();
        loop {
            let (event, key_span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                let span = self.around(start, key_span);
                return Ok(Node { span, kind: Kind::Map(entries.list) });
            }
            let key = self.key(event, key_span, at, depth)?;
            let place = key.as_deref().map_or(*at, |key| At::Member(at, key));
            let (event, span) = self.next()?;
            let value = self.node(event, span, &place, depth + 1)?;
            let value = value.unwrap_or(Node { span, kind: Kind::Null });
            if let Some(key) = key {
                insert(&mut entries, Entry { key, key_span, value }, at, self.problems);
            }
        }
    }

    fn key(
        &mut self,
        event: Event<'t>,
        span: Span,
        at: &At<'_>,
        depth: usize,
    ) -> Result<Option<String>, Stop> {
        let plain = matches!(event, Event::Scalar(_, ScalarStyle::Plain, ..));
        let Some(node) = self.node(event, span, at, depth + 1)? else { return Ok(None) };
        match node.kind {
            Kind::Text(text) if plain && text == "<<" => {
                let hint = Some("write the keys out; for a key of this name, quote it");
                self.problems.error(span, &at.pointer(), "expected a key, found the merge key `<<`", hint);
                Ok(None)
            }
            Kind::Text(text) => Ok(Some(text)),
            _ => {
                let message = format!("expected text as a key, found {}", node.describe());
                self.problems.error(node.span, &at.pointer(), message, Some("put the key between quotes"));
                Ok(None)
            }
        }
    }

    /// Whether there was something to refuse.
    fn refuse_properties(&mut self, anchor: usize, tagged: bool, span: Span, at: &At<'_>) -> bool {
        if anchor != 0 {
            let hint = Some("write the value out where it is needed");
            self.problems.error(span, &at.pointer(), "expected a value, found an anchor (`&name`)", hint);
        }
        if tagged {
            let hint = Some("remove the tag; quotes make a text of anything");
            self.problems.error(span, &at.pointer(), "expected a value, found a tag (`!name`)", hint);
        }
        anchor != 0 || tagged
    }

    /// The core schema of YAML 1.2 (section 10.3.2), less the numbers that JSON would not read.
    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, span: Span, at: &At<'_>) -> Option<Kind> {
        if style != ScalarStyle::Plain {
            return Some(Kind::Text(text.into_owned()));
        }
        match &*text {
            "" | "~" | "null" | "Null" | "NULL" => Some(Kind::Null),
            "true" | "True" | "TRUE" => Some(Kind::Bool(true)),
            "false" | "False" | "FALSE" => Some(Kind::Bool(false)),
            _ if is_json_number(&text) => Some(Kind::Number(text.into_owned())),
            _ if is_other_number(&text) => {
                let message = format!("expected a decimal number, found `{text}`");
                let hint = Some(
                    "write it with the digits 0 to 9 as JSON does, or put it between quotes if it is text",
                );
                self.problems.error(span, &at.pointer(), message, hint);
                None
            }
            _ => Some(Kind::Text(text.into_owned())),
        }
    }

    fn byte(&self, character: usize) -> usize {
        let end = self.text.len();
        match &self.offsets {
            Some(offsets) => offsets.get(character).copied().unwrap_or(end),
            None => character.min(end),
        }
    }

    fn slice(&self, span: Span) -> &'t str {
        self.text.get(span.start..span.end).unwrap_or_default().trim_end()
    }

    /// The library's span of a scalar may run on over a comment or blank lines.
    fn span(&mut self, event: &Event<'t>, marked: Marked) -> Span {
        let mut span = Span::new(self.byte(marked.start.index()), self.byte(marked.end.index()));
        if let Event::Scalar(_, style, ..) = event {
            let text = self.slice(span);
            let length = match style {
                ScalarStyle::SingleQuoted => quoted_length(text, '\''),
                ScalarStyle::DoubleQuoted => quoted_length(text, '"'),
                _ => text.len(),
            };
            span.end = span.start + length;
            self.last_end = span.end;
        }
        span
    }

    /// From the start of a block or `{` to its last value or `}`.
    fn around(&mut self, start: Span, end: Span) -> Span {
        if start.end > start.start && self.slice(start).starts_with(['{', '[']) {
            self.last_end = self.closing(end.start);
        }
        Span::new(start.start, self.last_end)
    }

    /// Where the bracket ends that closes a flow list or map. The library's span of that end begins at the bracket or at a
    /// comma before it, and may run on over a comment.
    fn closing(&self, from: usize) -> usize {
        let mut in_comment = false;
        for (at, character) in self.text.get(from..).unwrap_or_default().char_indices() {
            match character {
                '\n' | '\r' => in_comment = false,
                '#' => in_comment = true,
                '}' | ']' if !in_comment => return from + at + 1,
                _ => {}
            }
        }
        self.text.len()
    }
}

/// The length of the quoted text that `text` begins with, quotes included.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        if quote == '"' && character == '\\' {
            characters.next();
        } else if character == quote {
            if quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == '\'') {
                characters.next();
            } else {
                return at + 1;
            }
        }
    }
    text.len()
}

/// Numbers to YAML 1.2, to YAML 1.1 or to a hasty reader, that JSON would not take.
fn is_other_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let all =
        |text: &str, radix: u32| !text.is_empty() && text.chars().all(|c| c == '_' || c.is_digit(radix));
    let lower = digits.to_ascii_lowercase();
    if matches!(lower.as_str(), ".inf" | ".nan") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = lower.strip_prefix(prefix) {
            return all(rest, radix);
        }
    }
    let mantissa = match lower.split_once('e') {
        Some((mantissa, exponent)) if all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), 10) => {
            mantissa
        }
        Some(_) => return false,
        None => lower.as_str(),
    };
    let mut parts = mantissa.splitn(2, '.');
    let (whole, fraction) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    mantissa.contains(|c: char| c.is_ascii_digit())
        && !whole.starts_with('_')
        && (whole.is_empty() || all(whole, 10))
        && (fraction.is_empty() || all(fraction, 10))
}
