//! The policy that a server may begin with: what reads passes, what changes something is limited, what cannot be taken back
//! waits for a person's hand. By category alone, as published, in either version of the policy language.

use crate::{Category, Entry, Known, written_out};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// Calls a minute.
const WRITES: u64 = 30;
const EXECUTIONS: u64 = 10;
/// What an agent reads where a person has to decide.
const NEEDS_A_PERSON: &str = "Requires human approval.";

/// What a person reads who has to decide.
const MOVES_MONEY: &str = "It moves money, so a person decides.";

/// A version of the policy language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// As published; what is financial is denied.
    One,
    /// What is financial waits for a person.
    Two,
}

/// The policy as a document.
#[must_use]
pub fn recommended(known: &Known, language: Language) -> Value {
    let mut tools = Map::new();
    let mut hide = Vec::new();
    for entry in known.tools.iter().filter(|entry| language.can_name(&entry.tool.name)) {
        match rule(entry, language) {
            Some(rule) => drop(tools.insert(entry.tool.name.clone(), rule)),
            None => hide.push(entry.tool.name.as_str()),
        }
    }
    hide.sort_unstable();
    json!({ "version": language.version(), "default": "deny", "hide": hide, "tools": tools })
}

/// What that policy says of one tool, as a document of version 1.
#[must_use]
pub fn recommended_for(entry: &Entry) -> Value {
    let name = &entry.tool.name;
    match rule(entry, Language::One) {
        _ if !Language::One.can_name(name) => json!({}),
        Some(rule) => json!({ "tools": Map::from_iter([(name.clone(), rule)]) }),
        None => json!({ "hide": [name] }),
    }
}

impl Language {
    fn version(self) -> &'static str {
        match self {
            Self::One => "1",
            Self::Two => "2",
        }
    }

    /// Whether a policy can name a tool by its name alone. What it cannot name is denied.
    fn can_name(self, name: &str) -> bool {
        let means_more: &[char] = match self {
            Self::One => &['*'],
            Self::Two => &['*', '?', '@', '/'],
        };
        let odd =
            |letter: char| letter.is_whitespace() || letter.is_control() || means_more.contains(&letter);
        !name.is_empty() && !name.starts_with('@') && !name.contains(odd)
    }
}

/// The rule of a tool; `None` where it is hidden.
fn rule(entry: &Entry, language: Language) -> Option<Value> {
    let counter = format!("{}_rate", entry.tool.name.to_lowercase());
    let limited = |most: u64| json!({ "limits": [{ "counter": counter, "window": "minute", "max": most, "scope": "grant" }] });
    match entry.class.category {
        Category::Read => Some(json!({})),
        Category::Write => Some(limited(WRITES)),
        Category::Execute => Some(limited(EXECUTIONS)),
        Category::Destructive => None,
        Category::Financial => Some(match language {
            Language::One => json!({ "deny_if": [{ "conditions": [], "on_deny": NEEDS_A_PERSON }] }),
            Language::Two => json!({ "hold_if": [{ "conditions": [], "on_hold": MOVES_MONEY }] }),
        }),
    }
}

/// The same for a person to read and change: YAML, with what decided beside each tool.
#[must_use]
pub fn recommended_text(server: &str, known: &Known, language: Language) -> String {
    let mut out = format!(
        "# A policy for the server {} to begin with, made from what it says of its {} tools. What a tool does by its own words\n\
         # decides: reading passes, changing is limited, and what cannot be taken back passes only after a change by your hand.\n\
         version: \"{}\"\ndefault: deny\n",
        line(server),
        known.tools.len(),
        language.version()
    );
    let of = |category: Category| {
        let fits = |entry: &&Entry| entry.class.category == category && language.can_name(&entry.tool.name);
        let mut found: Vec<&Entry> = known.tools.iter().filter(fits).collect();
        found.sort_by(|one, two| one.tool.name.cmp(&two.tool.name));
        found
    };
    let unnamed = known.tools.iter().filter(|entry| !language.can_name(&entry.tool.name)).count();
    if unnamed > 0 {
        let _ = writeln!(out, "\n# {unnamed} more have names that no policy can name, and so are denied.");
    }
    let destructive = of(Category::Destructive);
    if !destructive.is_empty() {
        out.push_str("\n# Destructive: no agent sees them. To let one through, move it under `tools`, ");
        out.push_str(match language {
            Language::One => "with what it may be called with.\nhide:\n",
            Language::Two => "with what it may be called with,\n# or so that a person decides each time: `NAME: { hold_if: [{ conditions: [] }] }`.\nhide:\n",
        });
        for entry in destructive {
            let _ = writeln!(out, "  - {} # {}", key(&entry.tool.name), why(entry));
        }
    }
    out.push_str(if known.tools.is_empty() { "\ntools: {}\n" } else { "\ntools:\n" });
    let mut listed = false;
    for (category, says) in [
        (Category::Read, "Read: passes."),
        (Category::Write, "Write: 30 calls a minute for each grant."),
        (Category::Execute, "Execute: 10 calls a minute for each grant."),
        (
            Category::Financial,
            match language {
                Language::One => {
                    "Financial: denied until a person says otherwise: take `deny_if` away, or give it conditions."
                }
                Language::Two => "Financial: each call waits for a person (`portcullis approvals`).",
            },
        ),
    ] {
        let tools = of(category);
        if tools.is_empty() {
            continue;
        }
        let _ = writeln!(out, "{}  # {says}", if listed { "\n" } else { "" });
        listed = true;
        for entry in tools {
            let rule = rule(entry, language).unwrap_or_default();
            let _ = writeln!(out, "  {}: {} # {}", key(&entry.tool.name), flow(&rule), why(entry));
        }
    }
    if !known.tools.is_empty() && !listed {
        out = out.replace("\ntools:\n", "\ntools: {}\n");
    }
    out
}

/// The words that decided, or else the rule, in one line that ends no comment.
fn why(entry: &Entry) -> String {
    let words: Vec<String> =
        entry.class.evidence.iter().map(|it| format!("{} \"{}\"", it.place.as_str(), it.words)).collect();
    line(&if words.is_empty() { entry.class.rule.says.to_owned() } else { words.join(", ") })
}

fn line(text: &str) -> String {
    written_out(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A name as a YAML key: in quotes where it could mean something else.
fn key(name: &str) -> String {
    let is_plain = name.len() > 1
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
        && name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !matches!(&*name.to_lowercase(), "true" | "false" | "null" | "yes" | "no" | "on" | "off");
    if is_plain { name.to_owned() } else { ascii(&Value::from(name)) }
}

/// A rule as a person writes it, in one line.
fn flow(rule: &Value) -> String {
    match rule {
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            // What names a limit stands first.
            let mut names: Vec<&String> = members.keys().collect();
            names.sort_by_key(|name| {
                ["counter", "window", "max"].iter().position(|first| first == name).unwrap_or(9)
            });
            let parts: Vec<String> = names
                .into_iter()
                .filter_map(|name| Some(format!("{}: {}", key(name), flow(members.get(name)?))))
                .collect();
            format!("{{ {} }}", parts.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => key(text),
        other => other.to_string(),
    }
}

/// JSON that is YAML too, and in which nothing is hidden: whatever is not ASCII is written out.
fn ascii(value: &Value) -> String {
    let mut out = String::new();
    for letter in value.to_string().chars() {
        match u32::from(letter) {
            ..0x7f => out.push(letter),
            code @ 0x7f..=0xffff => {
                let _ = write!(out, "\\u{code:04x}");
            }
            // YAML has no pairs of surrogates.
            code => {
                let _ = write!(out, "\\U{code:08x}");
            }
        }
    }
    out
}
