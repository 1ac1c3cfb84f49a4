//! A policy compared with the tools it is for.

use portcullis_document::{Problems, Severity, nearest};
use serde_json::Value;

use crate::path::Step;
use crate::predicate::Place;
use crate::rule::Rule;
use crate::{Path, Policy, Target};

/// A tool as its server lists it.
#[derive(Debug, Clone, Copy)]
pub struct ToolShape<'a> {
    /// What rules choose it by.
    pub tool: Target<'a>,
    /// Its `inputSchema`.
    pub input_schema: &'a Value,
}

impl Policy {
    /// Reports what in the policy does not fit the tools of a server: a path that a tool's schema does not have is an
    /// error, since a `deny_if` on it would never fire. So is a tool that the server does not have where that leaves a
    /// tool unguarded (under `hide`, or where the default allows) or where a tool of nearly that name exists; elsewhere
    /// it is a warning.
    pub fn check_against(&self, tools: &[ToolShape<'_>]) -> Problems {
        let mut problems = Problems::new(self.source.clone());
        let targets: Vec<_> = tools.iter().map(|tool| tool.tool).collect();
        for (choice, chosen) in self.hidden.each(&targets) {
            if chosen.is_empty() {
                let place = Place { span: choice.said, pointer: "/hide".into() };
                nothing_chosen(&mut problems, &choice.text, &place, tools, true);
            }
        }
        for (choice, chosen) in self.tools.each(&targets) {
            let rule = &choice.said;
            let chosen: Vec<_> = chosen.into_iter().filter_map(|index| tools.get(index)).collect();
            if chosen.is_empty() {
                let place = Place { span: rule.span, pointer: rule.pointer.clone() };
                nothing_chosen(&mut problems, &choice.text, &place, tools, self.default_allows);
            }
            rule.check(&chosen, &mut problems);
        }
        self.all_tools.check(&tools.iter().collect::<Vec<_>>(), &mut problems);
        problems.sorted()
    }
}

/// `grave` where it leaves a tool unguarded that should be.
fn nothing_chosen(
    problems: &mut Problems,
    selector: &str,
    place: &Place,
    tools: &[ToolShape<'_>],
    grave: bool,
) {
    let of_another = |upstream: &str| tools.iter().all(|tool| tool.tool.upstream != upstream);
    if selector.split_once('/').is_some_and(|(upstream, _)| of_another(upstream)) {
        return;
    }
    if selector.contains(['*', '?', '@', '/']) {
        let message = format!("expected a tool of the server that {selector:?} chooses, found none");
        problems.add(Severity::Warning, place.span, &place.pointer, message, None);
        return;
    }
    let near = nearest(selector, tools.iter().map(|tool| tool.tool.name));
    let severity = if grave || near.is_some() { Severity::Error } else { Severity::Warning };
    let hint = match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "the server does not list it".into(),
    };
    let message = format!("expected a tool of the server, found {selector:?}");
    problems.add(severity, place.span, &place.pointer, message, Some(hint));
}

impl Rule {
    /// A path must lead somewhere in a tool that the rule is for; where it chooses several, in one of them.
    fn check(&self, tools: &[&ToolShape<'_>], problems: &mut Problems) {
        let conditions = self.clauses().flat_map(|(_, clause)| &clause.conditions);
        let judged = conditions.flat_map(|part| part.tests()).map(|test| (&test.path, &test.place));
        let counted =
            self.limits.iter().filter_map(|limit| Some((limit.amount()?, &limit.source.as_ref()?.0)));
        for (path, place) in judged.chain(counted) {
            let mut unknown = None;
            for tool in tools {
                match look_up(path, tool.input_schema) {
                    Ok(()) => {
                        unknown = None;
                        break;
                    }
                    Err(hint) => unknown = Some((tool, hint)),
                }
            }
            if let Some((tool, hint)) = unknown {
                let message = match tools {
                    [_] => format!("expected an argument that {} takes, found `{path}`", tool.tool.name),
                    _ => format!(
                        "expected an argument that one of {} tools takes, found `{path}`",
                        tools.len()
                    ),
                };
                problems.add(Severity::Error, place.span, &place.pointer, message, Some(hint));
            }
        }
    }
}

/// `Err` with a hint when the schema says that there is nothing at the path. Where the schema leaves it open, so do we.
fn look_up(path: &Path, schema: &Value) -> Result<(), String> {
    let Some(argument) = path.argument() else { return Ok(()) };
    let mut here = vec![schema];
    let root = Step::Key(argument.into());
    for step in std::iter::once(&root).chain(&path.steps) {
        let faces = faces(schema, &here);
        let next: Vec<&Value> = match step {
            Step::Key(name) => faces.iter().filter_map(|face| face.get("properties")?.get(&**name)).collect(),
            Step::Index(index) => faces.iter().filter_map(|face| item(face, *index)).collect(),
            Step::Each => faces.iter().filter_map(|face| face.get("items")).collect(),
        };
        if next.is_empty() {
            return match step {
                Step::Key(name) => missing_key(name, &faces, std::ptr::eq(step, &root)),
                Step::Index(_) | Step::Each if faces.iter().any(|face| may_be(face, "array")) => Ok(()),
                Step::Index(_) | Step::Each => Err("the schema has no list there".into()),
            };
        }
        here = next;
    }
    Ok(())
}

fn item(schema: &Value, index: usize) -> Option<&Value> {
    schema.get("prefixItems").and_then(|items| items.get(index)).or_else(|| schema.get("items"))
}

fn missing_key(name: &str, faces: &[&Value], outermost: bool) -> Result<(), String> {
    let open = |face: &&Value| {
        let more = face.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
        let nothing_said = !outermost && face.get("properties").is_none() && may_be(face, "object");
        more || face.get("patternProperties").is_some() || nothing_said
    };
    if faces.iter().any(open) {
        return Ok(());
    }
    let known: Vec<&str> = faces
        .iter()
        .filter_map(|face| face.get("properties")?.as_object())
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    Err(match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "the schema has no properties there".into(),
        None => format!("the schema has: {}", known.join(", ")),
    })
}

/// Whether a schema leaves room for a value of this type.
fn may_be(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        None => schema.get("const").is_none() && schema.get("enum").is_none(),
        Some(Value::Array(kinds)) => kinds.iter().any(|one| one == kind),
        Some(one) => one == kind,
    }
}

/// The schemas themselves and all that they are composed of, references of the same document followed.
fn faces<'s>(root: &'s Value, schemas: &[&'s Value]) -> Vec<&'s Value> {
    // A schema may refer to itself; this is far more than an honest one needs.
    const MOST: usize = 256;
    let mut found: Vec<&Value> = Vec::new();
    let mut waiting = schemas.to_vec();
    while let Some(schema) = waiting.pop() {
        if found.len() >= MOST || found.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        found.push(schema);
        for word in ["allOf", "anyOf", "oneOf"] {
            waiting.extend(schema.get(word).and_then(Value::as_array).into_iter().flatten());
        }
        for word in ["then", "else"] {
            waiting.extend(schema.get(word));
        }
        let reference = schema.get("$ref").and_then(Value::as_str);
        waiting.extend(reference.and_then(|reference| root.pointer(reference.strip_prefix('#')?)));
    }
    found
}
