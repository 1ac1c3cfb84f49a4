//! Policies of Intercept, PolicyLayer's first generation, written in this language.
//!
//! Both say nearly the same, and differ in what they call equal, in what is missing, and in how they count. What has its
//! like is kept. Where there is none, what is written refuses more than the file did, never less, and the report says so
//! at the line. (A number that a double cannot tell from another is the one exception: here it is compared as it is.)
//! The facts about Intercept are those of its source of March 2026, and of its documentation for approvals.

mod condition;
mod regex;
mod report;
mod rule;
mod tool;
mod write;

use portcullis_document::{Document, Entry, Kind, Node, Problems, Reading, Value};

pub use report::{Converted, Remark};

use report::Report;
use tool::Tools;
use write::Written;

/// Translates a file of Intercept.
///
/// # Errors
/// Everything that keeps it from being read at all.
pub fn from_intercept(file: &str, text: &str) -> Result<Converted, Problems> {
    let document = Document::read(file, text)?;
    let reading = Reading::new(&document);
    let mut report = Report::of(document.source());
    let written = outermost(&reading.root(), &mut report);
    let problems = reading.finish();
    match written {
        Some(written) if !problems.has_errors() => {
            Ok(Converted { policy: written.to_yaml(file), report: report.sorted() })
        }
        _ => Err(problems),
    }
}

fn outermost(root: &Value<'_>, report: &mut Report<'_>) -> Option<Written> {
    let members = Members::of(root)?;
    if is_of_this_language(root.node()) {
        let hint = "`portcullis policy check` reads it as it is";
        root.error("expected a policy of Intercept, found one of this language", Some(hint));
        return None;
    }
    match members.get("version").map(|value| (&value.node().kind, value)) {
        Some((Kind::Text(text) | Kind::Number(text), _)) if text == "1" => {}
        Some((_, value)) => value.mismatch("the version \"1\"", None),
        None => root
            .error("expected the key \"version\", found none", Some("Intercept's files have version \"1\"")),
    }
    let default_allows = default(&members, report);
    let mut tools = Tools::of(default_allows);
    members.get("hide").and_then(|value| some(value)?.list()).into_iter().flatten().for_each(|value| {
        tools.hide(&value, report);
    });
    for (entry, value) in members.get("tools").and_then(|value| some(value)?.entries()).into_iter().flatten()
    {
        tools.add(entry, &value, report);
    }
    if let Some(value) = members.get("approvals") {
        let why = "who is told of a call that waits stands in portcullis.yaml, under `approvals`";
        report.changed(value, "approvals", why);
    }
    members.report_others(&["version", "description", "default", "hide", "tools", "approvals"], report);
    let description = members.get("description").and_then(scalar);
    Some(tools.written(description))
}

/// Whether a file is no file of Intercept, but already what it would become.
fn is_of_this_language(root: &Node) -> bool {
    let tools = match root.get("tools").map(|tools| &tools.kind) {
        Some(Kind::Map(entries)) => entries.as_slice(),
        _ => &[],
    };
    let has = |word: &str| tools.iter().any(|entry| entry.value.get(word).is_some());
    let is_second = root.get("version").is_some_and(|version| version.kind == Kind::Text("2".into()));
    let has_words = ["require", "deny_if", "hold_if", "limits"].into_iter().any(has);
    !has("rules") && (is_second || has_words || root.get("all_tools").is_some())
}

fn default(members: &Members<'_>, report: &mut Report<'_>) -> bool {
    let value = members.get("default").and_then(some);
    match value.as_ref().and_then(scalar).as_deref() {
        Some("deny") => false,
        Some("allow") => true,
        None | Some("") => {
            let what = "no `default`";
            report.kept(
                value.as_ref().unwrap_or(&members.map),
                what,
                "what is not named is allowed there; here it is written",
            );
            true
        }
        Some(_) => {
            if let Some(value) = &value {
                report.changed(
                    value,
                    "default",
                    "it is neither allow nor deny, so what is not named is denied",
                );
            }
            false
        }
    }
}

/// A value that is there and not null, which is how Intercept leaves things out.
fn some<'v>(value: &Value<'v>) -> Option<Value<'v>> {
    (value.node().kind != Kind::Null).then(|| value.clone())
}

/// A text, or what is read as one where a text is meant.
fn scalar(value: &Value<'_>) -> Option<String> {
    match &value.node().kind {
        Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
        Kind::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// A map, member by member. Intercept passes over keys that it does not know; these are reported.
struct Members<'v> {
    map: Value<'v>,
    all: Vec<(&'v Entry, Value<'v>)>,
}

impl<'v> Members<'v> {
    fn of(value: &Value<'v>) -> Option<Self> {
        Some(Self { map: value.clone(), all: value.entries()?.collect() })
    }

    fn get(&self, key: &str) -> Option<&Value<'v>> {
        self.all.iter().find(|(entry, _)| entry.key == key).map(|(_, value)| value)
    }

    /// The text of a member that is not empty.
    fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(scalar).filter(|text| !text.is_empty())
    }

    fn report_others(&self, known: &[&str], report: &mut Report<'_>) {
        for (entry, value) in self.all.iter().filter(|(entry, _)| !known.contains(&entry.key.as_str())) {
            let near = portcullis_document::nearest(&entry.key, known.iter().copied());
            let near = near.map(|near| format!(" (`{near}` looks like it)")).unwrap_or_default();
            let why = format!(
                "Intercept does not know this key and passed over it{near}, so it did nothing, and does nothing here"
            );
            report.at(entry.key_span, value.pointer(), false, &entry.key, &why);
        }
    }
}
