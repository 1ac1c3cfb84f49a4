//! TOML, which goes on behind a mistake and reports them all.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::document::{At, too_deep};
use crate::number::is_json_number;
use crate::{Entry, Kind, MAX_DEPTH, Node, Problems, Source, Span};

pub(crate) fn read(source: &Source, problems: &mut Problems) -> Option<Node> {
    let text = source.text();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let span = error.span().unwrap_or(0..0);
        let message = format!("expected TOML, found a mistake in its syntax: {}", error.message());
        problems.error(Span::new(span.start, span.end), "", message, None);
    }
    if !errors.is_empty() {
        return None;
    }
    let entries = entries(table.get_ref(), source, &At::Root, 1, problems);
    Some(Node { span: Span::new(0, text.len()), kind: Kind::Map(entries) })
}

fn entries(
    table: &DeTable<'_>,
    source: &Source,
    at: &At<'_>,
    depth: usize,
    problems: &mut Problems,
) -> Vec<Entry> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| {
            let value = node(value, source, &At::Member(at, key.get_ref()), depth + 1, problems);
            Entry { key: key.get_ref().to_string(), key_span: span(key), value }
        })
        .collect();
    // The library sorts tables by name; we keep the order of the file.
    entries.sort_by_key(|entry| entry.key_span);
    entries
}

/// A value that is refused leaves null in its place.
fn node(
    value: &Spanned<DeValue<'_>>,
    source: &Source,
    at: &At<'_>,
    depth: usize,
    problems: &mut Problems,
) -> Node {
    let place = span(value);
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Integer(number) if number.radix() == 10 => decimal(number.as_str(), place, at, problems),
        DeValue::Integer(_) => decimal(source.slice(place), place, at, problems),
        DeValue::Float(number) => decimal(number.as_str(), place, at, problems),
        DeValue::Datetime(_) => {
            let message =
                format!("expected a value that JSON has too, found the date {}", source.slice(place));
            problems.error(place, &at.pointer(), message, Some("put it between quotes"));
            Kind::Null
        }
        DeValue::Array(_) | DeValue::Table(_) if depth > MAX_DEPTH => {
            too_deep(problems, place, at);
            Kind::Null
        }
        DeValue::Array(elements) => {
            let mut element = |(index, one)| node(one, source, &At::Element(at, index), depth + 1, problems);
            Kind::List(elements.iter().enumerate().map(&mut element).collect())
        }
        DeValue::Table(table) => Kind::Map(entries(table, source, at, depth, problems)),
    };
    Node { span: place, kind }
}

/// TOML's own digit groups (`1_000`) and plus sign are gone here; what stays must be a number to JSON too.
fn decimal(text: &str, span: Span, at: &At<'_>, problems: &mut Problems) -> Kind {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if is_json_number(digits) {
        return Kind::Number(digits.to_owned());
    }
    let message = format!("expected a decimal number, found `{text}`");
    problems.error(span, &at.pointer(), message, Some("write it with the digits 0 to 9"));
    Kind::Null
}

fn span<T>(spanned: &Spanned<T>) -> Span {
    Span::new(spanned.span().start, spanned.span().end)
}
