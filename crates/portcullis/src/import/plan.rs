//! What becomes of each server that was found.

use super::client::Found;
use super::server::Server;
use crate::config;
use portcullis_upstreams::{How, Spec};
use std::collections::BTreeSet;
use std::path::Path;

/// What becomes of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It becomes this upstream.
    Import { name: String, server: Server },
    /// It is the same as this upstream, which was there or was imported before it.
    Same { name: String, kind: &'static str },
    /// It stays where it is, and why.
    Skip(String),
}

/// What is there already.
pub(crate) struct Before<'a> {
    /// The configuration's file, there or not.
    pub file: &'a Path,
    /// Where the gate listens.
    pub listen: &'a str,
    /// Upstreams that are switched on.
    pub upstreams: Vec<Spec>,
    /// Names that an upstream or its policy cannot have any more.
    pub taken: BTreeSet<String>,
}

/// Decides on all, in order.
pub(crate) fn plan(found: &[Found], before: Before<'_>) -> Vec<Outcome> {
    let Before { file, listen, upstreams, mut taken } = before;
    let mut known: Vec<(String, How)> =
        upstreams.into_iter().map(|spec| (spec.name.to_string(), comparable(spec.how))).collect();
    let mut outcomes = Vec::new();
    for found in found {
        let outcome = Server::of(found).and_then(|server| {
            if server.is_the_gate(listen) {
                return Err("it is this gate itself".into());
            }
            Ok((how(file, &server)?, server))
        });
        outcomes.push(match outcome {
            Err(why) => Outcome::Skip(why),
            Ok((how, server)) => match known.iter().find(|(_, other)| *other == how) {
                Some((name, _)) => Outcome::Same { name: name.clone(), kind: server.kind() },
                None => {
                    let name = free_name(&found.name, &taken);
                    taken.insert(name.clone());
                    known.push((name.clone(), how));
                    Outcome::Import { name, server }
                }
            },
        });
    }
    outcomes
}

/// What the configuration's own reader makes of a server: it is the judge of what can be one.
fn how(file: &Path, server: &Server) -> Result<How, String> {
    let entry: serde_json::Map<_, _> =
        server.members().into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let text = serde_json::json!({ "upstreams": { "x": entry } }).to_string();
    let read = config::read(&file.with_extension("json"), &text).map_err(|problems| {
        let first = problems.iter().next();
        first.map_or_else(String::new, |problem| problem.message.clone())
    })?;
    let spec = read.upstreams.into_iter().next().ok_or("it is switched off there")?;
    Ok(comparable(spec.how))
}

/// Two are the same server when they start the same program or call the same address with the same headers. Not
/// every client says the transport.
fn comparable(mut how: How) -> How {
    match &mut how {
        How::Command(command) => {
            command.env.sort();
        }
        How::Builtin(_) => {}
        How::Url(url) => {
            url.transport = None;
            url.headers.sort_by(|(one, _), (other, _)| one.as_str().cmp(other.as_str()));
        }
    }
    how
}

/// The longest name.
const LONGEST: usize = 20;

/// A name that an upstream can have, as near as can be to the one that it had.
fn free_name(name: &str, taken: &BTreeSet<String>) -> String {
    let mut valid = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        if (valid.is_empty() && !c.is_ascii_lowercase()) || (c == '-' && valid.ends_with('-')) {
            continue;
        }
        valid.push(c);
    }
    let cut = |length: usize| valid.get(..length).unwrap_or(&valid).trim_end_matches('-').to_owned();
    let base = match cut(LONGEST) {
        base if base.is_empty() => "server".to_owned(),
        base => base,
    };
    let numbered = (2u32..).map(|number| {
        let end = format!("-{number}");
        let mut start = base.clone();
        start.truncate(LONGEST - end.len());
        format!("{}{end}", start.trim_end_matches('-'))
    });
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken.contains(name)).unwrap_or(base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::client::ClientFile;
    use serde_json::json;

    fn found(name: &str, entry: serde_json::Value) -> Found {
        let file = ClientFile { client: "Cursor", path: "/x".into() };
        Found { file, under: Vec::new(), name: name.into(), entry, project: None }
    }

    fn planned(found: &[Found]) -> Vec<Outcome> {
        let taken = BTreeSet::from(["careful".to_owned(), "everyone".to_owned()]);
        let file = Path::new("/nowhere/portcullis.yaml");
        plan(found, Before { file, listen: "127.0.0.1:7420", upstreams: Vec::new(), taken })
    }

    #[test]
    fn names_become_valid_and_stay_apart() {
        let none = BTreeSet::new();
        for (name, valid) in [
            ("GitHub", "github"),
            ("my server__2", "my-server-2"),
            ("21st.dev", "st-dev"),
            ("日本", "server"),
            ("a-name-that-is-much-too-long", "a-name-that-is-much"),
        ] {
            assert_eq!(free_name(name, &none), valid);
        }
        let taken = BTreeSet::from(["a-name-that-is-much".to_owned(), "x".to_owned(), "x-2".to_owned()]);
        assert_eq!(free_name("a-name-that-is-much-too-long", &taken), "a-name-that-is-muc-2");
        assert_eq!(free_name("X", &taken), "x-3");
    }

    #[test]
    fn the_same_server_comes_once_and_another_of_its_name_gets_a_number() {
        let outcomes = planned(&[
            found("a", json!({ "command": "x", "args": ["1"] })),
            found("b", json!({ "command": "x", "args": ["1"], "type": "stdio" })),
            found("a", json!({ "command": "x", "args": ["2"] })),
            found("everyone", json!({ "url": "https://a.example/mcp" })),
        ]);
        let names: Vec<String> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Import { name, .. } => name.clone(),
                Outcome::Same { name, .. } => format!("same as {name}"),
                Outcome::Skip(why) => why.clone(),
            })
            .collect();
        assert_eq!(names, ["a", "same as a", "a-2", "everyone-2"]);
    }

    #[test]
    fn what_the_configuration_would_refuse_is_skipped_with_its_reason() {
        let outcomes = planned(&[found("a", json!({ "url": "ftp://a.example/mcp" }))]);
        assert!(matches!(&outcomes[0], Outcome::Skip(why) if why.contains("http://")), "{outcomes:?}");
    }
}
