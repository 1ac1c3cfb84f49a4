//! Additions to `portcullis.yaml`. What stands in it stays byte for byte: a block is put under the key, and a file
//! in which that cannot be done safely is left alone.

use super::server::Server;
use portcullis_document::{Document, Format, Kind};
use portcullis_wire::Splice;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

/// An upstream to be added.
pub(crate) struct Addition {
    /// Its name, and its policy's.
    pub name: String,
    /// Where it comes from, for a comment.
    pub from: String,
    /// The server.
    pub server: Server,
}

/// The configuration with the additions; `None` where it has a shape that is better edited by a person.
pub(crate) fn add(file: &Path, text: &str, additions: &[Addition]) -> Option<String> {
    let with_upstreams = put(file, text, &["upstreams"], &|indent| upstreams(indent, additions))?;
    put(file, &with_upstreams, &["policies"], &|indent| policies(indent, additions))
}

/// The configuration with a grant that reaches these upstreams, each under the policy of its name. One of that name
/// that is there gets those that it lacks. `None` where it has a shape that is better edited by a person.
pub(crate) fn add_grant(
    file: &Path,
    text: &str,
    name: &str,
    token: &str,
    upstreams: &BTreeSet<String>,
) -> Option<String> {
    let document = Document::read(&file.to_string_lossy(), text).ok()?;
    match document.root().get("grants").and_then(|grants| grants.get(name)) {
        Some(there) => {
            let has = |upstream: &String| there.get("upstreams").is_some_and(|it| it.get(upstream).is_some());
            let missing: BTreeSet<String> = upstreams.iter().filter(|it| !has(it)).cloned().collect();
            if missing.is_empty() {
                return Some(text.to_owned());
            }
            put(file, text, &["grants", name, "upstreams"], &|indent| pairs(indent, &missing))
        }
        None => put(file, text, &["grants"], &|indent| grant(indent, name, token, upstreams)),
    }
}

/// The same grant, to be pasted.
pub(crate) fn grant_block(name: &str, token: &str, upstreams: &BTreeSet<String>) -> String {
    format!("grants:\n{}", grant("  ", name, token, upstreams))
}

fn grant(indent: &str, name: &str, token: &str, upstreams: &BTreeSet<String>) -> String {
    let inner = pairs(&format!("{indent}    "), upstreams);
    let token = serde_json::Value::from(token);
    format!("{indent}{name}:\n{indent}  token: {token}\n{indent}  upstreams:\n{inner}")
}

fn pairs(indent: &str, names: &BTreeSet<String>) -> String {
    names.iter().fold(String::new(), |mut out, name| {
        let _ = writeln!(out, "{indent}{name}: {name}");
        out
    })
}

/// The same additions, to be pasted.
pub(crate) fn block(additions: &[Addition]) -> String {
    format!("upstreams:\n{}policies:\n{}", upstreams("  ", additions), policies("  ", additions))
}

fn upstreams(indent: &str, additions: &[Addition]) -> String {
    let mut out = String::new();
    for Addition { name, from, server } in additions {
        let from: String = from.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
        let _ = writeln!(out, "{indent}# imported from {from}\n{indent}{name}:");
        for (key, value) in server.members() {
            // JSON is YAML, and between quotes no text turns into anything else.
            let _ = writeln!(out, "{indent}  {key}: {}", spaced(&value));
        }
    }
    out
}

fn policies(indent: &str, additions: &[Addition]) -> String {
    additions.iter().fold(String::new(), |mut out, Addition { name, .. }| {
        let _ = writeln!(out, "{indent}{name}: policies/{name}.yaml");
        out
    })
}

/// JSON on one line with a space after each comma and colon.
fn spaced(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(spaced).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("{}: {}", serde_json::Value::from(key.as_str()), spaced(value)))
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// Puts a block under a key. Only the last one may be missing, and only in the outermost map.
fn put(file: &Path, text: &str, path: &[&str], block: &dyn Fn(&str) -> String) -> Option<String> {
    let name = file.to_string_lossy();
    if Format::of(&name) != Some(Format::Yaml) {
        return None;
    }
    let document = Document::read(&name, text).ok()?;
    let (key, above) = path.split_last()?;
    let parent = above.iter().try_fold(document.root(), |node, key| node.get(key))?;
    let Kind::Map(entries) = &parent.kind else { return None };
    // A map between braces has no lines to put a block between.
    if [document.root(), parent].iter().any(|node| document.source().slice(node.span).starts_with('{')) {
        return None;
    }
    let mut splice = Splice::new(text.as_bytes());
    let line_end = |at: usize| text.get(at..).and_then(|rest| rest.find('\n')).map(|length| at + length + 1);
    // Behind the line that `at` is in; the last line may lack its end.
    let below = |splice: &mut Splice<'_>, at: usize, indent: &str| match line_end(at) {
        Some(end) => splice.replace(end..end, block(indent)),
        None => splice.replace(text.len()..text.len(), format!("\n{}", block(indent))),
    };
    let Some(entry) = entries.iter().find(|entry| entry.key == *key) else {
        if !above.is_empty() {
            return None;
        }
        let gap = if text.ends_with('\n') { "" } else { "\n" };
        splice.replace(text.len()..text.len(), format!("{gap}\n{key}:\n{}", block("  ")));
        return String::from_utf8(splice.finish().to_vec()).ok();
    };
    let value = document.source().slice(entry.value.span);
    match &entry.value.kind {
        Kind::Map(inner) if inner.is_empty() && value.starts_with('{') && above.is_empty() => {
            // The comment behind the map stays; one between the braces would go.
            let (start, end) = (entry.value.span.start, entry.value.span.end);
            let rest = text.get(end..line_end(end).unwrap_or(text.len()))?.trim();
            if value.contains('#') {
                return None;
            }
            let line = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
            if rest.is_empty() && text.get(line..start)?.trim().is_empty() {
                // A line of its own makes room for the block.
                splice.replace(line..line_end(end).unwrap_or(text.len()), block("  "));
                return String::from_utf8(splice.finish().to_vec()).ok();
            }
            splice.replace(start..end, "");
            below(&mut splice, end, "  ");
        }
        Kind::Map(inner) if !value.starts_with('{') => {
            let first = inner.first()?.key_span.start;
            let line = text.get(..first)?.rfind('\n').map_or(0, |at| at + 1);
            let indent = text.get(line..first)?;
            if indent.is_empty() || !indent.bytes().all(|b| b == b' ') || line <= entry.key_span.start {
                return None;
            }
            below(&mut splice, entry.key_span.end, indent);
        }
        Kind::Null if value.is_empty() && above.is_empty() => below(&mut splice, entry.key_span.end, "  "),
        _ => return None,
    }
    String::from_utf8(splice.finish().to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn additions() -> Vec<Addition> {
        let server = Server::Command {
            command: "npx".into(),
            args: vec!["-y".into(), "it's \"x\"".into()],
            env: vec![("A".into(), "no".into())],
            cwd: None,
        };
        vec![Addition { name: "new".into(), from: "Cursor: /x\n".into(), server }]
    }

    fn added(text: &str) -> Option<String> {
        add(Path::new("/nowhere/portcullis.yaml"), text, &additions())
    }

    #[test]
    fn a_block_goes_under_its_key_and_the_rest_stays() {
        let text = "# mine\nupstreams:   # here\n    # the old one\n    old: { url: \"https://a/b\" }\npolicies:\n  a: a.yaml # x\nlimits: {}";
        let new = added(text).unwrap();
        assert_eq!(
            new,
            "# mine\nupstreams:   # here\n    # imported from Cursor: /x?\n    new:\n      command: \"npx\"\n      args: [\"-y\", \"it's \\\"x\\\"\"]\n      env: { \"A\": \"no\" }\n    # the old one\n    old: { url: \"https://a/b\" }\npolicies:\n  new: policies/new.yaml\n  a: a.yaml # x\nlimits: {}"
        );
        let read = crate::config::read(Path::new("/nowhere/portcullis.yaml"), &new).unwrap();
        assert_eq!(read.upstreams.len(), 2);
    }

    #[test]
    fn empty_maps_and_missing_keys_are_filled() {
        for text in
            ["upstreams:\n  {}    # e.g. this\npolicies: {}\n", "data: d", "upstreams:\npolicies:\n", ""]
        {
            let Some(new) = added(text) else {
                assert!(text.is_empty(), "{text}");
                continue;
            };
            let read = crate::config::read(Path::new("/nowhere/portcullis.yaml"), &new).unwrap();
            assert_eq!((read.upstreams.len(), read.policies.len()), (1, 1), "{new}");
        }
        assert!(added("upstreams:\n  {}\ndata: d\n").unwrap().starts_with("upstreams:\n  # imported"));
        assert!(added("upstreams:\n  {}    # e.g. this\n").unwrap().contains("# e.g. this\n"));
        assert!(
            added("upstreams: {} # e.g. {}\ndata: d\n")
                .unwrap()
                .starts_with("upstreams:  # e.g. {}\n  # imp")
        );
        assert_eq!(added("upstreams: { # none\n  }\n"), None);
    }

    #[test]
    fn a_grant_is_made_and_gets_what_it_lacks() {
        let file = Path::new("/nowhere/portcullis.yaml");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let one = add_grant(file, "upstreams: {}\n", "cursor", "${file:t}", &names(&["a", "b"])).unwrap();
        let made = "\ngrants:\n  cursor:\n    token: \"${file:t}\"\n    upstreams:\n      a: a\n      b: b\n";
        assert_eq!(one, format!("upstreams: {{}}\n{made}"));
        assert_eq!(add_grant(file, &one, "cursor", "-", &names(&["a"])).as_deref(), Some(one.as_str()));
        let two = add_grant(file, &one, "cursor", "-", &names(&["b", "c"])).unwrap();
        assert_eq!(two, one.replace("      a: a\n", "      c: c\n      a: a\n"));
        let other = add_grant(file, &two, "zed", "${file:z}", &names(&["a"])).unwrap();
        assert!(other.contains("grants:\n  zed:\n") && other.contains("  cursor:\n"), "{other}");
        let flow = "grants: { cursor: { token: t, upstreams: { a: a } } }\n";
        assert_eq!(add_grant(file, flow, "cursor", "-", &names(&["b"])), None);
    }

    #[test]
    fn a_shape_that_a_person_should_edit_is_left_alone() {
        assert_eq!(added("upstreams: { a: { url: \"https://a/b\" } }\n"), None);
        assert_eq!(added("{ upstreams: {} }\n"), None);
        assert_eq!(add(Path::new("portcullis.json"), "{}", &additions()), None);
        assert!(block(&additions()).starts_with("upstreams:\n  # imported"));
    }
}
