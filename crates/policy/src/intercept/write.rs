//! The policy as YAML.

use std::fmt::Write as _;

/// A policy to be written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) description: Option<String>,
    pub(super) default_allows: bool,
    pub(super) hide: Vec<String>,
    pub(super) all_tools: Said,
    /// By what chooses them, in the order of the file.
    pub(super) tools: Vec<(String, Said)>,
}

/// What is said of a tool.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) require: Vec<Clause>,
    pub(super) deny_if: Vec<Clause>,
    pub(super) hold_if: Vec<Clause>,
    pub(super) limits: Vec<Counted>,
}

/// Conditions, and what is told.
#[derive(Debug)]
pub(super) struct Clause {
    /// A line above it.
    pub(super) comment: String,
    /// Each as YAML.
    pub(super) conditions: Vec<String>,
    pub(super) words: Option<String>,
    pub(super) timeout: Option<String>,
}

/// A limit.
#[derive(Debug, Clone)]
pub(super) struct Counted {
    pub(super) comment: String,
    pub(super) counter: String,
    pub(super) window: &'static str,
    pub(super) max: i64,
    /// The path of an argument.
    pub(super) amount: Option<String>,
}

impl Said {
    fn add(&mut self, more: Self) {
        self.require.extend(more.require);
        self.deny_if.extend(more.deny_if);
        self.hold_if.extend(more.hold_if);
        more.limits.into_iter().for_each(|limit| self.limit(limit));
    }

    /// A counter is counted once for a window, so where two limits have it the narrower one stays.
    pub(super) fn limit(&mut self, limit: Counted) {
        let same = |other: &&mut Counted| other.counter == limit.counter && other.window == limit.window;
        match self.limits.iter_mut().find(same) {
            Some(other) => other.max = other.max.min(limit.max),
            None => self.limits.push(limit),
        }
    }

    fn is_empty(&self) -> bool {
        self.require.is_empty()
            && self.deny_if.is_empty()
            && self.hold_if.is_empty()
            && self.limits.is_empty()
    }

    fn write(&self, indent: &str, out: &mut String) {
        let clauses = [
            ("require", "on_deny", &self.require),
            ("deny_if", "on_deny", &self.deny_if),
            ("hold_if", "on_hold", &self.hold_if),
        ];
        for (word, words, clauses) in clauses.into_iter().filter(|(_, _, clauses)| !clauses.is_empty()) {
            let _ = writeln!(out, "{indent}{word}:");
            clauses.iter().for_each(|clause| clause.write(indent, words, out));
        }
        if !self.limits.is_empty() {
            let _ = writeln!(out, "{indent}limits:");
        }
        for Counted { comment, counter, window, max, amount } in &self.limits {
            let amount = amount.as_ref().map(|path| format!(", amount: {}", plain(path))).unwrap_or_default();
            let _ = writeln!(out, "{indent}  # {}", line(comment));
            let _ = writeln!(
                out,
                "{indent}  - {{ counter: {}, window: {window}, max: {max}, scope: everyone{amount} }}",
                plain(counter)
            );
        }
    }
}

impl Clause {
    fn write(&self, indent: &str, words: &str, out: &mut String) {
        let _ = writeln!(out, "{indent}  # {}", line(&self.comment));
        if self.conditions.is_empty() {
            let _ = writeln!(out, "{indent}  - conditions: []");
        } else {
            let _ = writeln!(out, "{indent}  - conditions:");
        }
        for condition in &self.conditions {
            let _ = writeln!(out, "{indent}      - {condition}");
        }
        if let Some(text) = &self.words {
            let _ = writeln!(out, "{indent}    {words}: {}", quoted(text));
        }
        if let Some(time) = &self.timeout {
            let _ = writeln!(out, "{indent}    timeout: {time}");
        }
    }
}

impl Written {
    /// Says more of the tools of a selector.
    pub(super) fn add(&mut self, selector: &str, more: Said) {
        match self.tools.iter_mut().find(|(known, _)| known == selector) {
            Some((_, said)) => said.add(more),
            None => self.tools.push((selector.to_owned(), more)),
        }
    }

    pub(super) fn to_yaml(&self, file: &str) -> String {
        let mut out = format!(
            "# Translated from {}, a policy of Intercept, by `portcullis policy convert`, which says what means another thing here.\n\
             version: \"2\"\n",
            line(file)
        );
        if let Some(description) = &self.description {
            let _ = writeln!(out, "description: {}", quoted(description));
        }
        let _ = writeln!(out, "default: {}", if self.default_allows { "allow" } else { "deny" });
        if !self.hide.is_empty() {
            out.push_str("hide:\n");
        }
        for selector in &self.hide {
            let _ = writeln!(out, "  - {}", plain(selector));
        }
        if !self.all_tools.is_empty() {
            out.push_str("all_tools:\n");
            self.all_tools.write("  ", &mut out);
        }
        out.push_str(if self.tools.is_empty() { "tools: {}\n" } else { "tools:\n" });
        for (selector, said) in &self.tools {
            if said.is_empty() {
                let _ = writeln!(out, "  {}: {{}}", plain(selector));
            } else {
                let _ = writeln!(out, "  {}:", plain(selector));
                said.write("    ", &mut out);
            }
        }
        out
    }
}

/// A word as YAML: between quotes where it might be read as something else.
pub(super) fn plain(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let means_more = ["true", "false", "null"].iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_word && !means_more { text.to_owned() } else { quoted(text) }
}

/// A text between quotes.
fn quoted(text: &str) -> String {
    as_yaml(&serde_json::Value::from(text).to_string())
}

/// JSON as YAML reads it. What JSON has as it is, and YAML takes for an end of a line or for nothing, stands in texts alone.
pub(super) fn as_yaml(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

/// A text in one line of a comment.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) { ' ' } else { c })
        .collect()
}
