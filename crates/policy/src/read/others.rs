//! Rules for resources, prompts, methods, and what servers ask.

use std::borrow::Cow;

use portcullis_document::Value;

use super::policy::Version;
use super::rule;
use crate::Kind;
use crate::address::normal;
use crate::rule::Rule;
use crate::selector::{Choice, Selector};

/// The words under which they stand.
pub(super) const SECTIONS: [(&str, Kind); 4] = [
    ("resources", Kind::Resource),
    ("prompts", Kind::Prompt),
    ("methods", Kind::Method),
    ("server_requests", Kind::ServerRequest),
];

/// Reads the rules of one of them.
pub(super) fn others(value: &Value<'_>, kind: Kind) -> Option<Vec<Choice<Rule>>> {
    let mut all = Vec::new();
    for (entry, value) in value.entries()? {
        let span = entry.key_span;
        let rule = rule::rule(&value, span, None, Version::Two);
        if let (Kind::ServerRequest, Some(rule)) = (kind, &rule)
            && !rule.hold_if.is_empty()
        {
            let hint = "the user of the client is asked anyway; `deny_if` denies";
            value.error("expected no `hold_if` for what a server asks, found one", Some(hint));
        }
        if let Some((message, hint)) = misplaced(kind, &entry.key) {
            value.error_at(span, message, Some(hint));
            continue;
        }
        // As addresses are compared.
        let key = if kind == Kind::Resource { normal(&entry.key) } else { Cow::Borrowed(entry.key.as_str()) };
        match Selector::parse_whole(&entry.key).and_then(|_| Selector::parse_whole(&key)) {
            Ok(selector) => {
                all.extend(rule.map(|said| Choice { text: key.as_ref().into(), selector, said }));
            }
            Err(_) => {
                let hint = "write the whole name, or a pattern with * and ?";
                value.error_at(
                    span,
                    format!("expected a name or a pattern, found {:?}", entry.key),
                    Some(hint),
                );
            }
        }
    }
    Some(all)
}

/// What is said of a key that would never choose anything where it stands.
fn misplaced(kind: Kind, key: &str) -> Option<(String, &'static str)> {
    const KINDS: [&str; 3] = ["sampling", "elicitation", "roots"];
    match (kind, key) {
        (Kind::Method, key) => {
            let place = match Kind::of_request(key, "") {
                Kind::Tool => "write it under `tools`",
                Kind::Prompt => "write it under `prompts`",
                Kind::Resource => "write it under `resources`",
                Kind::Method | Kind::ServerRequest => return None,
            };
            Some((format!("expected a method with rules of its own, found {key:?}"), place))
        }
        (Kind::ServerRequest, key) if !key.contains(['*', '?']) && !KINDS.contains(&key) => Some((
            format!("expected something that servers ask for, found {key:?}"),
            "they ask for sampling, elicitation and roots",
        )),
        _ => None,
    }
}
