//! What `op: command` allows.

use std::collections::BTreeMap;

use portcullis_document::{Value, nearest};

use crate::operator::{Commands, Parts};

pub(super) fn commands(value: &Value<'_>) -> Option<Commands> {
    let mut fields = value.fields()?;
    let named = fields.required("programs");
    let programs = named.as_ref().and_then(|value| some(value, program));
    let known = programs.as_deref().unwrap_or_default();
    let arguments =
        fields.optional("arguments").map(|value| by_program(&value, known, |value| some(value, argument)));
    let flags = fields.optional("flags").map(|value| by_program(&value, known, |value| any(value, flag)));
    let mut part = |key, otherwise| fields.optional(key).map_or(Some(otherwise), |value| value.boolean());
    let sequences = part("sequences", true);
    let pipes = part("pipes", true);
    let redirections = part("redirections", false);
    let substitutions = part("substitutions", false);
    let background = part("background", false);
    let variables =
        fields.optional("assignments").map_or(Some((false, Vec::new())), |value| variables(&value));
    fields.finish();
    let (assignments, variables) = variables?;
    let parts = Parts {
        sequences: sequences?,
        pipes: pipes?,
        redirections: redirections?,
        substitutions: substitutions?,
        background: background?,
        assignments,
    };
    let arguments = arguments.map_or(Some(BTreeMap::new()), |read| read)?;
    let flags = flags.map_or(Some(BTreeMap::new()), |read| read)?;
    for value in named?.list()? {
        warn(&value, &arguments);
    }
    Some(Commands::of(programs?, arguments, flags, parts, variables))
}

/// A list of at least one.
fn some(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<Box<str>>) -> Option<Vec<Box<str>>> {
    let values = value.list()?;
    if values.is_empty() {
        value.error("expected a list of at least one value, found an empty one", None);
        return None;
    }
    any(value, read)
}

/// A list, which may be empty.
fn any(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Option<Box<str>>) -> Option<Vec<Box<str>>> {
    // All of them, so that every mistake is told.
    let read: Vec<_> = value.list()?.iter().map(read).collect();
    read.into_iter().collect()
}

/// A map from programs that are allowed to lists.
fn by_program(
    value: &Value<'_>,
    known: &[Box<str>],
    list: impl Fn(&Value<'_>) -> Option<Vec<Box<str>>>,
) -> Option<BTreeMap<Box<str>, Vec<Box<str>>>> {
    let mut all = Some(BTreeMap::new());
    for (entry, value) in value.entries()? {
        let name = entry.key.as_str();
        let is_known = known.iter().any(|program| **program == *name);
        // Without programs, it is they that are wrong.
        if !is_known && !known.is_empty() {
            let hint = match nearest(name, known.iter().map(|program| &**program)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add {name:?} to `programs`"),
            };
            value.error_at(
                entry.key_span,
                format!("expected one of `programs`, found {name:?}"),
                Some(&hint),
            );
        }
        match (list(&value), &mut all) {
            (Some(list), Some(all)) => {
                all.insert(name.into(), list);
            }
            _ => all = None,
        }
    }
    all
}

fn program(value: &Value<'_>) -> Option<Box<str>> {
    let name = value.text()?;
    if !Commands::can_name(name) {
        let hint = match name.contains(char::is_whitespace) {
            true => "options and words of a program go under `flags` and `arguments`",
            false => "write a name such as git, or a path from the root such as /usr/bin/git",
        };
        value.error(format!("expected the name of a program, found {name:?}"), Some(hint));
        return None;
    }
    Some(name.into())
}

/// Tells of a program that is named in vain.
fn warn(value: &Value<'_>, arguments: &BTreeMap<Box<str>, Vec<Box<str>>>) {
    let Some(name) = value.text() else { return };
    if Commands::never(name) {
        value.warning(
            format!("expected a program whose commands can be judged, found {name:?}"),
            Some("it never holds, so it may as well be left out"),
        );
    } else if Commands::needs_arguments(name) && !arguments.contains_key(name) {
        value.warning(
            format!("expected `arguments` for {name:?}, found none"),
            Some("it runs what it is told to, so it does not hold until its first word is named"),
        );
    }
}

/// Whether variables may be set, and which beside those that are harmless.
fn variables(value: &Value<'_>) -> Option<(bool, Vec<Box<str>>)> {
    if matches!(value.node().kind, portcullis_document::Kind::List(_)) {
        Some((true, any(value, variable)?))
    } else {
        Some((value.boolean()?, Vec::new()))
    }
}

fn variable(value: &Value<'_>) -> Option<Box<str>> {
    let name = value.text()?;
    if !Commands::can_set(name) {
        value.error(
            format!(
                "expected a variable that changes nothing but what a program reads of it, found {name:?}"
            ),
            Some("such as RUST_LOG or CI; one that changes which program runs, or how, is never set"),
        );
        return None;
    }
    Some(name.into())
}

fn argument(value: &Value<'_>) -> Option<Box<str>> {
    let text = value.text()?;
    if text.is_empty() {
        value.error("expected a text, found an empty one", None);
        return None;
    }
    Some(text.into())
}

fn flag(value: &Value<'_>) -> Option<Box<str>> {
    let text = value.text()?;
    if !text.starts_with('-') || matches!(text, "-" | "--") {
        value.error(
            format!("expected an option such as \"-n\" or \"--oneline\", found {text:?}"),
            Some("what does not begin with `-` is not judged here; `arguments` names the first word"),
        );
        return None;
    }
    Some(text.into())
}
