//! The outermost map.

use data_encoding::HEXLOWER;
use portcullis_document::{Document, Format, Kind, Problems, Reading, Severity, Source, Span, Value};
use sha2::{Digest, Sha256};

use super::rule::{self, Arguments};
use super::{limit, others};
use crate::rule::Rule;
use crate::selector::{Choice, Selected, Selector};
use crate::{Counts, Limit, Policy};

/// What helps where somebody writes a word of version 2 into version 1.
pub(crate) const SECOND: &str = "write `version: \"2\"` at the top";

pub(crate) fn second(expected: &str, found: &str) -> String {
    format!("expected {expected}, found {found:?}, which needs version \"2\"")
}

/// A version of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    /// The same, and more words.
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
            redacts: read.redacts,
            source: document.source().clone(),
            digest: HEXLOWER.encode(&Sha256::digest(text.as_bytes())),
            description: read.description,
            default_allows: read.default_allows,
            shadow: read.shadow,
            hidden: read.hidden,
            all_tools: read.all_tools,
            tools: read.tools,
            resources: read.resources,
            prompts: read.prompts,
            methods: read.methods,
            server_requests: read.server_requests,
            warnings: problems,
        }),
        _ => Err(problems),
    }
}

struct Read {
    description: Option<String>,
    default_allows: bool,
    shadow: bool,
    redacts: bool,
    hidden: Selected<Span>,
    all_tools: Rule,
    tools: Selected<Rule>,
    resources: Selected<Rule>,
    prompts: Selected<Rule>,
    methods: Selected<Rule>,
    server_requests: Selected<Rule>,
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
    let hide = fields.optional("hide").and_then(|value| hide(&value, version)).unwrap_or_default();
    let all_tools =
        fields.optional("all_tools").and_then(|value| all_tools(&value, version)).unwrap_or_default();
    let tools = fields
        .optional("tools")
        .and_then(|value| tools(&value, &all_tools.limits, version, default != Some(false)))
        .unwrap_or_default();
    let description = fields.optional("description").and_then(|value| value.text());
    let [resources, prompts, methods, server_requests] = others::SECTIONS.map(|(word, kind)| {
        if version == Version::One {
            fields.refuse(word, &second("a word of version \"1\"", word), Some(SECOND));
            return Vec::new();
        }
        fields.optional(word).and_then(|value| others::others(&value, kind)).unwrap_or_default()
    });
    if version == Version::One {
        fields.refuse("shadow", &second("a word of version \"1\"", "shadow"), Some(SECOND));
    }
    let shadow = fields.optional("shadow").and_then(|value| value.boolean()).unwrap_or(false);
    fields.finish();
    for hidden in &hide {
        if tools.iter().any(|ruled| ruled.text == hidden.text) {
            let message = format!("expected {:?} to be hidden or to have a rule, found both", hidden.text);
            hidden.said.warning(message, Some("hidden wins: the rule is never used"));
        }
    }
    let others = [&resources, &prompts, &methods, &server_requests].into_iter().flatten();
    let rules: Vec<&Rule> =
        std::iter::once(&all_tools).chain(tools.iter().chain(others).map(|choice| &choice.said)).collect();
    if version == Version::Two {
        one_count_of_each(root, &rules.iter().flat_map(|rule| &rule.limits).collect::<Vec<_>>());
    }
    let redacts = rules.iter().any(|rule| !rule.redact.is_empty());
    let hidden =
        hide.into_iter().map(|Choice { text, selector, said }| Choice { text, selector, said: said.span() });
    Some(Read {
        description: description.map(Into::into),
        default_allows: default?,
        shadow,
        redacts,
        hidden: Selected::new(hidden.collect()),
        all_tools,
        tools: Selected::new(tools),
        resources: Selected::new(resources),
        prompts: Selected::new(prompts),
        methods: Selected::new(methods),
        server_requests: Selected::new(server_requests),
    })
}

/// Several rules may be for one tool, so a counter must count the same for all of them.
fn one_count_of_each(root: &Value<'_>, limits: &[&Limit]) {
    for limit in limits.iter().filter(|limit| limit.amount().is_some()) {
        let same = |other: &&&Limit| other.counter == limit.counter && other.window == limit.window;
        if limits.iter().filter(same).any(|other| other.counts == Counts::Calls) {
            let message =
                format!("expected a counter of amounts, found {:?}, which counts calls", limit.counter);
            root.error_at(limit.place.span, message, Some("give one of the two another name"));
        }
    }
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

/// Version 1 has no patterns, so what looks like one is a mistake and not a name.
fn choice<T>(text: &str, version: Version, value: &Value<'_>, span: Span, said: T) -> Option<Choice<T>> {
    if version == Version::Two {
        return match Selector::parse(text) {
            Ok(selector) => Some(Choice { text: text.into(), selector, said }),
            Err((message, hint)) => {
                value.error_at(span, message, hint.as_deref());
                None
            }
        };
    }
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        value.error_at(span, format!("expected the name of a tool, found {text:?}"), None);
    } else if text == "*" {
        let hint = "limits for every tool go under `all_tools`; `default` says what other tools may do";
        value.error_at(span, "expected the exact name of a tool, found \"*\"", Some(hint));
    } else if text.starts_with('@') || text.contains('*') {
        value.error_at(span, second("the exact name of a tool", text), Some(SECOND));
    } else {
        return Some(Choice { text: text.into(), selector: None, said });
    }
    None
}

fn hide<'r>(value: &Value<'r>, version: Version) -> Option<Vec<Choice<Value<'r>>>> {
    let mut hidden: Vec<Choice<Value<'r>>> = Vec::new();
    let is_all = matches!(&value.node().kind, Kind::Text(text) if text == "*");
    let values = if is_all { vec![value.clone()] } else { value.list()? };
    for value in values {
        let Some(text) = value.text() else { continue };
        // The one pattern that version 1 has, and here alone.
        let read = if text == "*" { Version::Two } else { version };
        if hidden.iter().any(|known| *known.text == *text) {
            value.error(
                format!("expected each tool once, found {text:?} again"),
                Some("remove one of the two"),
            );
        }
        hidden.extend(choice(text, read, &value.clone(), value.span(), value));
    }
    Some(hidden)
}

fn all_tools(value: &Value<'_>, version: Version) -> Option<Rule> {
    if version == Version::Two {
        return rule::rule(value, value.span(), None, version);
    }
    let mut fields = value.fields()?;
    let limits = fields.optional("limits");
    for word in ["require", "deny_if"] {
        fields.refuse(word, &second("only limits for all tools", word), Some(SECOND));
    }
    rule::refuse(&mut fields, version);
    fields.finish();
    let limits = limit::limits(&limits?, None, &mut Arguments::of(version))?;
    Some(Rule { limits: limits.counted, ..Rule::default() })
}

fn tools(
    value: &Value<'_>,
    all_tools: &[Limit],
    version: Version,
    default_allows: bool,
) -> Option<Vec<Choice<Rule>>> {
    let mut tools = Vec::new();
    for (entry, value) in value.entries()? {
        let span = entry.key_span;
        let rule = rule::rule(&value, span, Some(all_tools), version);
        // Read also where there is no rule, so that every mistake is told.
        let choice = choice(&entry.key, version, &value, span, rule);
        if entry.key == "*" && version == Version::Two && !default_allows {
            let hint = "a rule permits what it chooses; what only restricts goes under `all_tools`";
            value.warning(
                "expected rules for some tools, found one for all, so the default denies none",
                Some(hint),
            );
        }
        if let Some(Choice { text, selector, said: Some(said) }) = choice {
            tools.push(Choice { text, selector, said });
        }
    }
    Some(tools)
}
