//! What process-compose makes of `${VAR}` and `{{.VAR}}` in its file.

use super::dotenv::Lookup;
use portcullis_document::{Entry, Kind, Node};
use std::collections::BTreeMap;

/// How many defaults may stand inside each other.
const DEEPEST: u32 = 8;

/// A value with all its texts filled in; names of entries stay.
///
/// # Errors
/// What cannot be filled in.
pub(super) fn node(node: &Node, lookup: Lookup<'_>) -> Result<Node, String> {
    let kind = match &node.kind {
        Kind::Text(found) => Kind::Text(text(found, lookup, 0)?),
        Kind::List(nodes) => {
            Kind::List(nodes.iter().map(|it| self::node(it, lookup)).collect::<Result<_, _>>()?)
        }
        Kind::Map(entries) => {
            let entry = |it: &Entry| Ok(Entry { value: self::node(&it.value, lookup)?, ..it.clone() });
            Kind::Map(entries.iter().map(entry).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    };
    Ok(Node { span: node.span, kind })
}

/// `$$` is a `$`, `${VAR}` the variable or nothing, `${VAR:-text}` the text where it is nothing; `$VAR` is left to the
/// shell.
fn text(text: &str, lookup: Lookup<'_>, depth: u32) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('$') {
        out.push_str(before);
        rest = from;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let end = closing(inside).ok_or_else(|| format!("`${rest}` has no end"))?;
            let (inside, after) = inside.split_at_checked(end).unwrap_or((inside, ""));
            out.push_str(&variable(inside, lookup, depth)?);
            rest = after.get(1..).unwrap_or_default();
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace is that closes an open one.
fn closing(inside: &str) -> Option<usize> {
    let mut open = 0_u32;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => open += 1,
            '}' if open == 0 => return Some(at),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

fn variable(inside: &str, lookup: Lookup<'_>, depth: u32) -> Result<String, String> {
    let end = inside.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(inside.len());
    let (name, function) = inside.split_at_checked(end).unwrap_or((inside, ""));
    let value = lookup(name).unwrap_or_default();
    let default = [":-", ":=", "-", "="].iter().find_map(|sign| function.strip_prefix(sign));
    match (function, default) {
        _ if name.is_empty() || depth > DEEPEST => Err(format!("`${{{inside}}}` is not known here")),
        ("", _) => Ok(value),
        ("^^", _) => Ok(value.to_uppercase()),
        (",,", _) => Ok(value.to_lowercase()),
        (_, Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => text(default, lookup, depth + 1),
        _ => Err(format!("`${{{inside}}}` is not known here")),
    }
}

/// `{{.NAME}}` filled in from these variables. Any other template stays.
pub(super) fn template(text: &str, variables: &BTreeMap<&str, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("{{") {
        out.push_str(before);
        let found = from.split_once("}}").and_then(|(inside, after)| {
            let name =
                inside.trim().trim_start_matches('-').trim_end_matches('-').trim().strip_prefix('.')?;
            Some((variables.get(name)?, after))
        });
        match found {
            Some((value, after)) => {
                out.push_str(value);
                rest = after;
            }
            None => {
                out.push_str("{{");
                rest = from;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_filled_in_as_process_compose_does() {
        let lookup = |name: &str| (name == "A").then(|| "x".to_owned());
        for (found, filled) in [
            ("${A} $A $$A $${A}", "x $A $A ${A}"),
            ("a${NONE}b", "ab"),
            ("${NONE:-d${A}}/${A:-d}", "dx/x"),
            ("${NONE-d}${NONE:=e}${NONE=f}", "def"),
            ("${A^^}", "X"),
            ("$", "$"),
            ("cost: 5$ $(date)", "cost: 5$ $(date)"),
        ] {
            assert_eq!(text(found, &lookup, 0).as_deref(), Ok(filled), "{found}");
        }
        for bad in ["${A/x/y}", "${", "${}", "${#A}"] {
            assert!(text(bad, &lookup, 0).is_err(), "{bad}");
        }
    }

    #[test]
    fn templates_of_known_variables_are_filled_in() {
        let variables = BTreeMap::from([("A", "x".to_owned())]);
        assert_eq!(template("{{.A}}-{{ .A }} {{.B}} {{if .A}}", &variables), "x-x {{.B}} {{if .A}}");
    }
}
