//! The outermost map.

use std::collections::HashMap;

use data_encoding::HEXLOWER;
use portcullis_document::{Document, Format, Kind, Problems, Reading, Severity, Source, Span, Value};
use sha2::{Digest, Sha256};

use super::{limit, rule};
use crate::rule::Rule;
use crate::{Limit, Policy};

/// What is said where somebody writes a word of version 2 that is not there yet.
pub(crate) const LATER: &str = "of version \"2\", this build has the operators";

pub(crate) fn later(expected: &str, found: &str) -> String {
    format!("expected {expected} that this build has, found {found:?}, which belongs to version \"2\"")
}

/// A version of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    /// The same, and more operators.
    Two,
}

pub(crate) fn policy(file: &str, text: &str) -> Result<Policy, Problems> {
    if Format::of(file) == Some(Format::Toml) {
        let mut problems = Problems::new(Source::new(file, text));
        let message = "expected a policy in JSON or YAML, found a TOML file".to_owned();
        problems.add(Severity::Error, Span::new(0, 0), "", message, None);
        return Err(problems);
    }
    let document = Document::read_past_mistakes(file, text)?;
    let reading = Reading::new(&document);
    let read = outermost(&reading.root());
    let problems = reading.finish();
    match read {
        Some(read) if !problems.has_errors() => Ok(Policy {
            source: document.source().clone(),
            digest: HEXLOWER.encode(&Sha256::digest(text.as_bytes())),
            description: read.description,
            default_allows: read.default_allows,
            hides_all: read.hides_all,
            hidden: read.hidden,
            all_tools: read.all_tools,
            tools: read.tools,
            warnings: problems,
        }),
        _ => Err(problems),
    }
}

struct Read {
    description: Option<String>,
    default_allows: bool,
    hides_all: bool,
    hidden: HashMap<String, Span>,
    all_tools: Vec<Limit>,
    tools: HashMap<String, Rule>,
}

/// `None` when an error was noted that leaves nothing to build; other errors are noted beside what could be read.
fn outermost(root: &Value<'_>) -> Option<Read> {
    let mut fields = root.fields()?;
    // Behind another version's words, every further message would be about the wrong language.
    let version = match fields.required("version") {
        Some(value) => version(&value)?,
        None => Version::One,
    };
    let default =
        fields.required("default").and_then(|value| value.word(&[("allow", true), ("deny", false)]));
    let hide = fields.optional("hide").and_then(|value| hide(&value)).unwrap_or_default();
    let all_tools = fields.optional("all_tools").and_then(|value| all_tools(&value)).unwrap_or_default();
    let tools =
        fields.optional("tools").and_then(|value| tools(&value, &all_tools, version)).unwrap_or_default();
    let description = fields.optional("description").and_then(|value| value.text());
    for word in ["resources", "prompts", "methods", "server_requests", "shadow"] {
        fields.refuse(word, &later("a word", word), Some(LATER));
    }
    fields.finish();
    for (name, place) in &hide {
        if tools.contains_key(name) {
            let message = format!("expected {name:?} to be hidden or to have a rule, found both");
            place.warning(message, Some("hidden wins: the rule is never used"));
        }
    }
    Some(Read {
        description: description.map(Into::into),
        default_allows: default?,
        hides_all: hide.contains_key("*"),
        hidden: hide
            .into_iter()
            .filter(|(name, _)| name != "*")
            .map(|(name, place)| (name, place.span()))
            .collect(),
        all_tools,
        tools,
    })
}

/// `None` where it is no version of this language.
fn version(value: &Value<'_>) -> Option<Version> {
    const EXPECTED: &str = "the text \"1\" or \"2\"";
    let of = |text: &str| match text {
        "1" => Some(Version::One),
        "2" => Some(Version::Two),
        _ => None,
    };
    match &value.node().kind {
        Kind::Text(text) => of(text).or_else(|| {
            value.mismatch(EXPECTED, None);
            None
        }),
        // A version that is only written badly is still this language, and its other mistakes are worth telling.
        Kind::Number(text) => {
            let hint = format!("put it between quotes: version: \"{text}\"");
            value.mismatch(EXPECTED, Some(&hint));
            of(text)
        }
        _ => {
            value.mismatch(EXPECTED, None);
            None
        }
    }
}

/// A tool's exact name. Version 1 has no patterns, so what looks like one is a mistake and not a name.
fn is_name(name: &str, value: &Value<'_>, span: Span) -> bool {
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        value.error_at(span, format!("expected the name of a tool, found {name:?}"), None);
    } else if name == "*" {
        let hint = "limits for every tool go under `all_tools`; `default` says what other tools may do";
        value.error_at(span, "expected the exact name of a tool, found \"*\"", Some(hint));
    } else if name.starts_with('@') || name.contains('*') {
        value.error_at(span, later("the exact name of a tool", name), Some(LATER));
    } else {
        return true;
    }
    false
}

fn hide<'r>(value: &Value<'r>) -> Option<HashMap<String, Value<'r>>> {
    let mut hidden = HashMap::new();
    for value in value.list()? {
        let Some(name) = value.text() else { continue };
        if name != "*" && !is_name(name, &value, value.span()) {
            continue;
        }
        if hidden.contains_key(name) {
            value.error(
                format!("expected each tool once, found {name:?} again"),
                Some("remove one of the two"),
            );
        }
        hidden.insert(name.to_owned(), value);
    }
    Some(hidden)
}

fn all_tools(value: &Value<'_>) -> Option<Vec<Limit>> {
    let mut fields = value.fields()?;
    let limits = fields.optional("limits");
    for word in ["require", "deny_if"] {
        fields.refuse(word, &later("only limits for all tools", word), Some("write it under each tool"));
    }
    rule::refuse_later(&mut fields);
    fields.finish();
    limit::limits(&limits?, &[], None)
}

fn tools(value: &Value<'_>, all_tools: &[Limit], version: Version) -> Option<HashMap<String, Rule>> {
    let mut tools = HashMap::new();
    for (entry, value) in value.entries()? {
        let rule = rule::rule(&value, entry.key_span, all_tools, version);
        if is_name(&entry.key, &value, entry.key_span)
            && let Some(rule) = rule
        {
            tools.insert(entry.key.clone(), rule);
        }
    }
    Some(tools)
}
