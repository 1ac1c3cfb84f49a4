//! What is to be known of a tool beside its category: what its arguments can do.

use crate::Definition;
use crate::words::of_name;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something in a definition that a policy may want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// An argument is a path of a file.
    FilePath,
    /// An argument is a program, a command line or a query.
    CodeOrQuery,
    /// An argument is a URL.
    Url,
    /// It acts on many things in one call.
    Bulk,
    /// It may replace what is there.
    Overwrites,
    /// It has twelve arguments or more.
    ManyParameters,
    /// It sends something to somebody outside.
    SendsOut,
    /// An argument is markup or a template.
    Markup,
    /// Its server hints that it is destructive.
    SaysDestructive,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::FilePath,
        Self::CodeOrQuery,
        Self::Url,
        Self::Bulk,
        Self::Overwrites,
        Self::ManyParameters,
        Self::SendsOut,
        Self::Markup,
        Self::SaysDestructive,
    ];

    /// For a person.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::FilePath => "takes the path of a file",
            Self::CodeOrQuery => "takes code or a query",
            Self::Url => "takes a URL",
            Self::Bulk => "acts on many things at once",
            Self::Overwrites => "may replace what is there",
            Self::ManyParameters => "takes twelve arguments or more",
            Self::SendsOut => "sends something out",
            Self::Markup => "takes markup or a template",
            Self::SaysDestructive => "says that it is destructive",
        }
    }
}

/// From so many arguments on there are many.
const MANY: usize = 12;

const PATHS: &[&str] =
    &["path", "paths", "file", "files", "filename", "filepath", "folder", "dir", "directory"];
#[rustfmt::skip]
const CODE: &[&str] = &[
    "code", "command", "cmd", "cypher", "javascript", "python", "query", "script", "shell", "sql", "statement",
];
const URLS: &[&str] = &["url", "urls", "uri", "href", "webhook", "endpoint", "link"];
const MARKUP: &[&str] = &["html", "template", "markdown", "xml", "svg"];
const BULK: &[&str] = &["all", "batch", "bulk", "many", "mass", "multi", "multiple"];
/// Those of them that mean it in a sentence too.
const IN_BULK: &[&str] = &["batch", "bulk", "mass"];
const REPLACES: &[&str] = &["overwrite", "overwrites", "replace", "replaces", "force"];
const SENDS: &[&str] = &["email", "mail", "notify", "publish", "send", "tweet", "upload"];

/// What is to be known of a tool.
pub(crate) fn signals(tool: &Definition) -> Vec<Signal> {
    let arguments: Vec<(Vec<String>, &Value)> =
        tool.parameters().map(|(name, schema)| (of_name(name), schema)).collect();
    let is = |words: &[String], list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let takes = |list: &[&str]| arguments.iter().any(|(words, schema)| is(words, list) && is_text(schema));
    let name = of_name(&tool.name);
    let begins = crate::words::of_text(crate::words::first_sentence(&tool.description)).collect::<Vec<_>>();
    let found = [
        (Signal::FilePath, takes(PATHS)),
        (Signal::CodeOrQuery, takes(CODE)),
        (Signal::Url, takes(URLS)),
        (Signal::Bulk, is(&name, BULK) || is(&begins, IN_BULK)),
        (
            Signal::Overwrites,
            is(&name, REPLACES)
                || is(&begins, REPLACES)
                || arguments.iter().any(|(words, _)| is(words, REPLACES)),
        ),
        (Signal::ManyParameters, arguments.len() >= MANY),
        (Signal::SendsOut, is(&name, SENDS)),
        (Signal::Markup, takes(MARKUP)),
        (Signal::SaysDestructive, tool.hint("destructiveHint") == Some(true)),
    ];
    found.into_iter().filter(|(_, found)| *found).map(|(signal, _)| signal).collect()
}

/// Whether an argument is text, or a list of texts. One whose type is not said may be.
fn is_text(schema: &Value) -> bool {
    let kind = |schema: &Value| match schema.get("type") {
        Some(Value::String(kind)) => Some(kind == "string"),
        Some(Value::Array(kinds)) => Some(kinds.iter().any(|kind| kind == "string")),
        _ => None,
    };
    match (kind(schema), schema.get("items")) {
        (Some(false), Some(items)) => kind(items).unwrap_or(true),
        (found, _) => found.unwrap_or(true),
    }
}
