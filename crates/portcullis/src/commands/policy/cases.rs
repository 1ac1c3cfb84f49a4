//! Files of cases: calls, and what is expected of each.

use super::facts::Facts;
use super::tools;
use portcullis_catalogue::{Category, Tool};
use portcullis_document::{
    Document, Fields, Kind as Node, Problems, Reading, Severity, Source, Span, Value, nearest,
};
use portcullis_policy::{Call, Kind, Outcome, Policy, Target};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of cases.
pub(super) struct File {
    pub(super) name: String,
    /// They hold together.
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) cases: Vec<Case>,
}

/// A call, and what is expected of it.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) facts: Facts,
    pub(super) expected: Expected,
    pub(super) attack: Option<Attack>,
    kind: Kind,
    /// The tool, or what else is asked for.
    pub(super) tool: String,
    /// JSON, digit for digit as the file has it.
    pub(super) arguments: String,
    upstream: String,
    category: Category,
    known: Tool,
}

impl Case {
    /// The call to be judged.
    pub(super) fn call(&self) -> Call<'_, String> {
        let category = if self.kind == Kind::Tool { self.category.as_str() } else { "" };
        let tool = Target { kind: self.kind, upstream: &self.upstream, name: &self.tool, category };
        let facts = self.facts.of(self.known.risk.as_str());
        Call { tool, arguments: &self.arguments, properties: &self.known.properties, facts }
    }
}

/// What a policy is to say.
pub(super) struct Expected {
    pub(super) outcome: Outcome,
    pub(super) rule: Option<String>,
    /// A part of the message.
    pub(super) message: Option<String>,
}

/// That the call is one that must not come through.
pub(super) struct Attack {
    /// What is tried, in words that cases share.
    pub(super) class: String,
    /// The case in which the same is done rightly.
    pub(super) twin: Option<String>,
}

const OUTCOMES: [(&str, Outcome); 3] = [
    (Outcome::Allowed.as_str(), Outcome::Allowed),
    (Outcome::Denied.as_str(), Outcome::Denied),
    (Outcome::Held.as_str(), Outcome::Held),
];

const CATEGORIES: [(&str, Category); 5] = [
    ("read", Category::Read),
    ("write", Category::Write),
    ("execute", Category::Execute),
    ("destructive", Category::Destructive),
    ("financial", Category::Financial),
];

/// Reads files of cases with the policies that they name, and keeps all that is wrong with any of them.
#[derive(Default)]
pub(super) struct Reader {
    policies: BTreeMap<PathBuf, Option<Arc<Policy>>>,
    pub(super) problems: Vec<Problems>,
}

impl Reader {
    /// Reads a file; `None` where something is wrong with it.
    pub(super) fn file(&mut self, path: &Path) -> Option<File> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let mut problems = Problems::new(Source::new(&name, ""));
                let message = format!("expected a file of cases, found none that can be read: {error}");
                problems.add(Severity::Error, Span::default(), "", message, None);
                self.problems.push(problems);
                return None;
            }
        };
        let document = match Document::read_past_mistakes(&name, &text) {
            Ok(document) => document,
            Err(problems) => {
                self.problems.push(problems);
                return None;
            }
        };
        let reading = Reading::new(&document);
        let read = self.outermost(&reading.root(), path.parent().unwrap_or(Path::new("")));
        let problems = reading.finish();
        if problems.has_errors() {
            self.problems.push(problems);
            return None;
        }
        let (policies, cases) = read?;
        Some(File { name, policies, cases })
    }

    fn outermost(&mut self, root: &Value<'_>, folder: &Path) -> Option<(Vec<Arc<Policy>>, Vec<Case>)> {
        let mut fields = root.fields()?;
        let policies = fields.required("policy").and_then(|value| self.policies(&value, folder));
        let tools = fields.optional("tools").and_then(|value| list(&value, folder));
        let upstream = text(&mut fields, "upstream").unwrap_or_default();
        let facts = Facts::read(&mut fields, Facts::default());
        let cases = fields.required("cases");
        fields.finish();
        let cases = self::cases(&cases?, &Around { tools, upstream, facts })?;
        Some((policies?, cases))
    }

    fn policies(&mut self, value: &Value<'_>, folder: &Path) -> Option<Vec<Arc<Policy>>> {
        let values = match &value.node().kind {
            Node::List(_) => value.list()?,
            _ => vec![value.clone()],
        };
        if values.is_empty() {
            value.error("expected at least one policy, found none", None);
        }
        // All of them, so that every mistake is told.
        let read: Vec<_> = values.iter().map(|value| self.policy(value, folder)).collect();
        read.into_iter().collect()
    }

    fn policy(&mut self, value: &Value<'_>, folder: &Path) -> Option<Arc<Policy>> {
        let path = folder.join(value.text()?);
        if let Some(known) = self.policies.get(&path) {
            return known.clone();
        }
        let text = read(value, &path, "a policy")?;
        let policy = match Policy::parse(&path.to_string_lossy(), &text) {
            Ok(policy) => Some(Arc::new(policy)),
            Err(problems) => {
                self.problems.push(problems);
                None
            }
        };
        self.policies.insert(path, policy.clone());
        policy
    }
}

/// What a file says for all of its cases.
struct Around {
    tools: Option<Vec<serde_json::Value>>,
    upstream: String,
    facts: Facts,
}

/// The text of a file that a value names.
fn read(value: &Value<'_>, path: &Path, what: &str) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = format!("expected the file of {what}, found none at {}: {error}", path.display());
            value.error(message, Some("paths are relative to the folder of this file"));
            None
        }
    }
}

fn list(value: &Value<'_>, folder: &Path) -> Option<Vec<serde_json::Value>> {
    let path = folder.join(value.text()?);
    let text = read(value, &path, "a list of tools")?;
    let tools = match serde_json::from_str(&text) {
        Ok(json) => tools::listed(&json),
        Err(error) => {
            value.error(format!("expected JSON in {}, found a mistake in it: {error}", path.display()), None);
            return None;
        }
    };
    if tools.is_none() {
        let message = format!("expected a list of tools in {}, found none", path.display());
        value.error(message, Some("what a server answers to `tools/list`, or its `tools` alone"));
    }
    tools
}

fn cases(value: &Value<'_>, around: &Around) -> Option<Vec<Case>> {
    let values = value.list()?;
    if values.is_empty() {
        value.error("expected at least one case, found none", None);
    }
    let mut cases = Vec::new();
    // Also of cases with a mistake, so that no other is told because of it.
    let (mut names, mut twins) = (Vec::new(), Vec::new());
    for value in values {
        let Some(mut fields) = value.fields() else { continue };
        let name_value = fields.required("name");
        let twin = fields.optional("twin");
        let is_attack = fields.has("attack");
        let case = case(&mut fields, around, twin.as_ref());
        fields.finish();
        twins.extend(twin);
        let Some((value, name)) = name_value.and_then(|value| Some((value.clone(), value.text()?))) else {
            continue;
        };
        if names.iter().any(|(known, _)| *known == name) {
            value.error(format!("expected each name once, found {name:?} again"), None);
        }
        names.push((name, is_attack));
        cases.extend(case.map(|case| Case { name: name.into(), ..case }));
    }
    for twin in twins {
        let Some(name) = twin.text() else { continue };
        let rightful = || names.iter().filter(|(_, is_attack)| !is_attack).map(|(known, _)| *known);
        if !rightful().any(|known| known == name) {
            let hint = nearest(name, rightful()).map(|near| format!("did you mean `{near}`?"));
            let message =
                format!("expected the name of a case of this file that is no attack, found {name:?}");
            twin.error(message, hint.as_deref());
        }
    }
    Some(cases)
}

/// Reads all of a case but its name.
fn case(fields: &mut Fields<'_>, around: &Around, twin: Option<&Value<'_>>) -> Option<Case> {
    let (kind, tool_value) = asked_for(fields);
    let arguments_value = fields.optional("arguments");
    let expect = fields.required("expect").and_then(|value| value.word(&OUTCOMES));
    let rule_value = fields.optional("rule");
    let message_value = fields.optional("message");
    let upstream = text(fields, "upstream").unwrap_or_else(|| around.upstream.clone());
    let category = fields.optional("category").and_then(|value| value.word(&CATEGORIES));
    let facts = Facts::read(fields, around.facts.clone());
    let attack = text(fields, "attack");
    if let (None, Some(twin)) = (&attack, twin) {
        twin.error("expected `attack` beside `twin`, found none", Some("`attack` says what is tried"));
    }
    if let (Some(Outcome::Allowed), Some(value)) = (expect, rule_value.as_ref().or(message_value.as_ref())) {
        let hint = "a call that is allowed has neither rule nor message";
        value.error("expected none of `rule` and `message` beside `expect: allowed`", Some(hint));
    }
    let arguments = arguments_value.map_or_else(|| Some("{}".to_owned()), |value| arguments(&value));
    let tool = tool_value.as_ref().and_then(|value| value.text());
    if let (Kind::Tool, Some(tool), Some(value), Some(tools)) = (kind, tool, &tool_value, &around.tools)
        && !tools.iter().any(|listed| tools::name_of(listed) == Some(tool))
    {
        let near = nearest(tool, tools.iter().filter_map(tools::name_of));
        let hint = near.map_or("the list of `tools` does not have it".to_owned(), |near| {
            format!("did you mean `{near}`?")
        });
        value.error(format!("expected a tool of the list, found {tool:?}"), Some(&hint));
    }
    let tool = tool?.to_owned();
    let known = tools::known(&upstream, &tool, around.tools.as_deref().unwrap_or_default());
    let expected = Expected {
        outcome: expect?,
        rule: rule_value.and_then(|value| value.text()).map(Into::into),
        message: message_value.and_then(|value| value.text()).map(Into::into),
    };
    Some(Case {
        name: String::new(),
        facts,
        expected,
        attack: attack
            .map(|class| Attack { class, twin: twin.and_then(|value| value.text()).map(Into::into) }),
        kind,
        tool,
        arguments: arguments?,
        upstream,
        category: category.unwrap_or(known.category),
        known,
    })
}

/// What is called, read, or asked.
fn asked_for<'v>(fields: &mut Fields<'v>) -> (Kind, Option<Value<'v>>) {
    const OTHERS: [(&str, Kind); 4] = [
        ("resource", Kind::Resource),
        ("prompt", Kind::Prompt),
        ("method", Kind::Method),
        ("server_request", Kind::ServerRequest),
    ];
    match OTHERS.into_iter().find(|(word, _)| fields.has(word)) {
        Some((word, kind)) => (kind, fields.optional(word)),
        None => (Kind::Tool, fields.required("tool")),
    }
}

fn arguments(value: &Value<'_>) -> Option<String> {
    let Node::Map(_) = &value.node().kind else {
        value.mismatch("a map of arguments", None);
        return None;
    };
    let json = value.node().to_json();
    // Such a call never comes to a policy.
    if let Err(fault) = portcullis_wire::check_strictly(&json) {
        value.error(format!("expected arguments that the gate takes, found {}", fault.what), None);
    }
    Some(json)
}

fn text(fields: &mut Fields<'_>, key: &'static str) -> Option<String> {
    fields.optional(key)?.text().map(Into::into)
}
