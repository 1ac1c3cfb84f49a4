//! What a definition says that the tool does: verbs, and what they act on.

use super::Evidence;
use super::verbs::{Verb, verb};
use crate::words::{first_sentence, of_name, of_text, roots};
use crate::{Category, Definition};
use aho_corasick::AhoCorasick;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Where words of a definition stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Its name.
    Name,
    /// Its description.
    Description,
    /// Its arguments.
    Parameter,
    /// Its annotations.
    Annotation,
}

impl Place {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Description => "description",
            Self::Parameter => "parameter",
            Self::Annotation => "annotation",
        }
    }
}

/// What stands around a tool: words that its server puts before the names of all its tools, and which say nothing.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    idle: HashSet<String>,
}

impl Surroundings {
    /// Those of the tools of a server of that name.
    pub fn of<'a>(server: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let mut idle: HashSet<String> = of_name(server).into_iter().collect();
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut all = 0;
        for name in names {
            all += 1;
            if let Some(word) = of_name(name).into_iter().next() {
                *first.entry(word).or_default() += 1;
            }
        }
        // Three in five share it.
        idle.extend(
            first.into_iter().filter(|(_, count)| *count > 2 && count * 5 >= all * 3).map(|(word, _)| word),
        );
        idle.extend(["mcp", "api", "tool"].map(str::to_owned));
        Self { idle }
    }
}

/// One thing that a tool is said to do.
#[derive(Debug, Clone)]
pub(super) struct Act {
    pub(super) root: &'static str,
    pub(super) category: Category,
    pub(super) place: Place,
    said: String,
    objects: Vec<String>,
}

impl Act {
    fn new(verb: Verb, place: Place, said: &str, objects: impl IntoIterator<Item = String>) -> Self {
        let objects = objects.into_iter().collect();
        Self { root: verb.root, category: verb.category, place, said: said.to_owned(), objects }
    }

    /// Whether it is one of these verbs, and acts on one of these things.
    pub(super) fn does(&self, verbs: &[&str], things: &[&str]) -> bool {
        verbs.contains(&self.root) && self.acts_on(things)
    }

    fn acts_on(&self, things: &[&str]) -> bool {
        self.objects.iter().any(|object| roots(object).take(4).any(|root| things.contains(&root.as_str())))
    }

    /// Whether an argument that is a program may be what it runs.
    pub(super) fn may_run_what_it_is_given(&self) -> bool {
        self.category == Category::Execute
            || (self.place == Place::Name && ["query", "test"].contains(&self.root))
    }

    pub(super) fn evidence(&self) -> Evidence {
        Evidence { place: self.place, words: self.said.clone() }
    }
}

/// Arguments that hold a program, a command line or a statement.
pub(super) const CODE: &[&str] = &[
    "bash",
    "cmd",
    "code",
    "command",
    "command_line",
    "commands",
    "cypher",
    "expression",
    "javascript",
    "js",
    "program",
    "python",
    "python_code",
    "script",
    "shell",
    "shell_command",
    "source_code",
    "sql",
    "sql_query",
    "statement",
    "statements",
];
/// Words that are verbs and, before another verb in a name, things.
#[rustfmt::skip]
const NOUNS: &[&str] = &[
    "bid", "book", "branch", "build", "call", "charge", "comment", "commit", "draft", "email", "filter", "fork",
    "format", "fund", "head", "index", "issue", "label", "like", "link", "lock", "log", "map", "message", "order",
    "pin", "plan", "post", "profile", "queue", "record", "report", "request", "review", "sample", "schedule",
    "score", "share", "snapshot", "stake", "star", "state", "store", "tag", "test", "trade", "transfer", "tree",
    "trigger", "view",
];
/// Nouns for something that looks: to run, perform or make one of them is to look.
#[rustfmt::skip]
const LOOKS: &[&str] = &[
    "analysis", "audit", "calculation", "check", "comparison", "inspection", "lookup", "query", "read", "scan",
    "search", "select", "test", "validation",
];
/// What a tool that says that it reads may still begin its description with: these verbs also stand for making what is shown.
#[rustfmt::skip]
const MAKES_WHAT_IT_SHOWS: &[&str] = &[
    "apply", "build", "call", "create", "export", "generate", "handle", "issue", "log", "make", "manage", "open",
    "perform", "play", "prepare", "record", "request", "run", "execute", "set", "start", "store", "submit", "send",
];
/// Verbs that leave open what is done.
const OPEN: &[&str] = &["control", "handle", "manage", "operate", "perform", "process"];
/// Words before the verb of a sentence.
#[rustfmt::skip]
const FILLERS: &[&str] = &[
    "a", "ability", "able", "allow", "allows", "an", "and", "api", "be", "beta", "by", "can", "deprecated",
    "easily", "enables", "experimental", "for", "function", "helper", "helps", "it", "lets", "mcp", "new", "only",
    "please", "quickly", "server", "should", "simple", "simply", "that", "the", "this", "to", "tool", "use", "used",
    "useful", "user", "users", "when", "which", "will", "you", "your",
];
/// Arguments whose values are what the tool does.
const ACTIONS: &[&str] =
    &["action", "actions", "method", "mode", "op", "operation", "operation_type", "verb"];
/// Last words of names that say only what is shown.
#[rustfmt::skip]
const THINGS: &[&str] = &[
    "account", "balance", "config", "content", "context", "count", "data", "details", "doc", "docs",
    "documentation", "health", "history", "info", "information", "insight", "metadata", "overview", "price",
    "pricing", "quote", "schema", "spec", "state", "status", "summary", "time", "version", "weather",
];
/// How a description says that nothing is changed.
#[rustfmt::skip]
const ONLY_READS: &[&str] = &[
    "read-only", "read only", "readonly", "does not modify", "doesn't modify", "only select", "select only",
];

/// Whether it says that it changes nothing.
pub(super) fn only_reads(tool: &Definition) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> =
        LazyLock::new(|| AhoCorasick::builder().ascii_case_insensitive(true).build(ONLY_READS).ok());
    WORDS.as_ref().is_some_and(|words| words.is_match(&tool.description))
}

/// Whether nothing but a thing is named.
pub(super) fn names_a_thing(tool: &Definition) -> bool {
    let words = of_name(&tool.name);
    words
        .last()
        .is_some_and(|last| THINGS.contains(&last.as_str()) || (last.len() > 3 && last.ends_with('s')))
}

/// All that a definition says that the tool does.
pub(super) fn acts(tool: &Definition, around: &Surroundings) -> Vec<Act> {
    let only_reads = only_reads(tool);
    let mut named = of_the_name(tool, around);
    let mut described = of_the_description(tool, named.is_empty());
    let reads = !named.is_empty() && named.iter().all(|act| act.category == Category::Read);
    let is_open = named.iter().all(|act| OPEN.contains(&act.root));
    if !is_open {
        let mut first = true;
        described.retain(|act| {
            let first = std::mem::take(&mut first);
            match act.category {
                Category::Execute | Category::Write if reads => {
                    first && !MAKES_WHAT_IT_SHOWS.contains(&act.root)
                }
                Category::Destructive | Category::Financial if reads => first,
                _ => true,
            }
        });
    }
    // To run a query that can only read is to read.
    for act in named.iter_mut().chain(&mut described) {
        let looks = act.category == Category::Execute && act.acts_on(LOOKS);
        if looks && (only_reads || (act.place == Place::Description && act.root == "perform")) {
            act.category = Category::Read;
        }
    }
    named.extend(described);
    named.extend(of_the_arguments(tool));
    named
}

fn of_the_name(tool: &Definition, around: &Surroundings) -> Vec<Act> {
    let all = of_name(&tool.name);
    let mut words = all.as_slice();
    while let [first, rest @ ..] = words
        && !rest.is_empty()
        && around.idle.contains(first)
        && exact(first).is_none()
    {
        words = rest;
    }
    let act = |at: usize, verb: Verb| {
        let objects = words.iter().enumerate().filter(move |(other, _)| *other != at);
        let said = words.get(at).map_or("", String::as_str);
        Act::new(verb, Place::Name, said, objects.map(|(_, word)| word.clone()))
    };
    let verbs: Vec<(usize, Verb)> =
        words.iter().enumerate().filter_map(|(at, word)| Some((at, exact(word)?))).collect();
    let plain = verbs.iter().find(|(_, verb)| !NOUNS.contains(&verb.root));
    let chosen = plain.or_else(|| verbs.iter().find(|(at, _)| *at == 0 || at + 1 == words.len()));
    let mut found: Vec<Act> = chosen.map(|(at, verb)| act(*at, *verb)).into_iter().collect();
    // `create_or_update_file`
    for (at, verb) in &verbs {
        let joined = at
            .checked_sub(1)
            .and_then(|at| words.get(at))
            .is_some_and(|word| ["or", "and"].contains(&word.as_str()));
        if joined {
            found.push(act(*at, *verb));
        }
    }
    found
}

/// The verb that a word is, uninflected.
fn exact(word: &str) -> Option<Verb> {
    verb(word).filter(|verb| verb.root == word)
}

fn of_the_description(tool: &Definition, anywhere: bool) -> Vec<Act> {
    let sentence = first_sentence(&tool.description).replace([',', '/'], " and ");
    let words: Vec<String> = of_text(&sentence).collect();
    let lead = words.iter().position(|word| !FILLERS.contains(&word.as_str()));
    let leads = |at: &usize| words.get(*at).is_some_and(|word| verb(word).is_some());
    // Further in, what ends in `ed` or `ing` tells of something else that is done: `a job that can be cancelled`.
    let acts =
        |at: &usize| leads(at) && words.get(*at).is_some_and(|word| !["ed", "ing"].contains(&ending(word)));
    let lead = lead.filter(leads).or_else(|| if anywhere { (0..words.len()).find(acts) } else { None });
    let Some(lead) = lead else { return Vec::new() };
    let form = words.get(lead).map(|word| ending(word));
    let joined = |at: usize| {
        let joins = |word: &String| ["and", "or", "then"].contains(&word.as_str());
        words.get(at - 1).is_some_and(joins) && words.get(at).map(|word| ending(word)) == form
    };
    let found = (lead..words.len()).filter(|at| *at == lead || joined(*at));
    found
        .filter_map(|at| {
            let word = words.get(at)?;
            let objects = words.iter().skip(at + 1).take(6).cloned();
            Some(Act::new(verb(word)?, Place::Description, word, objects))
        })
        .collect()
}

/// By which words of a list are told to be in one form.
fn ending(word: &str) -> &'static str {
    ["ing", "ed", "s"].into_iter().find(|end| word.ends_with(end)).unwrap_or_default()
}

/// The values of an argument that chooses what is done.
fn of_the_arguments(tool: &Definition) -> Vec<Act> {
    let chosen = tool.parameters().filter(|(name, _)| ACTIONS.contains(name));
    let values = chosen.filter_map(|(_, schema)| schema.get("enum")?.as_array()).flatten();
    values
        .filter_map(|value| {
            let words = of_name(value.as_str()?);
            let verb = exact(words.first()?)?;
            Some(Act::new(verb, Place::Parameter, value.as_str()?, words.into_iter().skip(1)))
        })
        .collect()
}
