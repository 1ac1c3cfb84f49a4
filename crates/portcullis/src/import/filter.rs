//! Tools that a client has switched off: an import never switches them on again.

use serde_json::Value;
use std::collections::BTreeSet;

/// Keys that name the only tools that are on, and those that name tools that are off.
const ONLY: [&str; 4] = ["enabled_tools", "includeTools", "available_tools", "tools"];
const OFF: [&str; 3] = ["disabled_tools", "excludeTools", "disabledTools"];
/// Keys that let tools be called without asking, which the gate's policy decides instead.
const UNASKED: [&str; 4] = ["autoApprove", "alwaysAllow", "always_allow", "trust"];

/// Which tools of a server a client has on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ToolFilter {
    /// Only these, by each list that there is.
    only: Vec<BTreeSet<String>>,
    /// Not these; `*` stands for any characters.
    off: BTreeSet<String>,
}

impl ToolFilter {
    /// Reads an entry.
    pub(crate) fn of(entry: &Value) -> Self {
        let names = |key: &str| -> Option<BTreeSet<String>> {
            Some(entry.get(key)?.as_array()?.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        };
        let mut filter = Self::default();
        for key in ONLY {
            let Some(mut only) = names(key) else { continue };
            // Goose writes an empty list, and others a star, where all are on.
            if only.contains("*") || (key == "available_tools" && only.is_empty()) {
                continue;
            }
            // What Gemini has on for some arguments only is not on for all.
            only.retain(|name| !name.contains('('));
            filter.only.push(only);
        }
        for name in OFF.into_iter().filter_map(names).flatten() {
            // What is off for some arguments is off for all here: a policy can be widened by hand.
            let name = name.split('(').next().unwrap_or_default();
            filter.off.insert(name.to_owned());
        }
        filter
    }

    /// Both together: a tool is on where both have it on.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.only.extend(other.only);
        self.off.extend(other.off);
        self
    }

    /// Whether a tool is on.
    pub(crate) fn lets(&self, tool: &str) -> bool {
        self.only.iter().all(|only| only.contains(tool)) && !self.off.iter().any(|off| fits(off, tool))
    }
}

/// The keys of an entry that are not taken over because the gate's policy decides what passes.
pub(crate) fn unasked(entry: &Value) -> Vec<&'static str> {
    let says_something = |key: &&str| match entry.get(*key) {
        Some(Value::Array(names)) => !names.is_empty(),
        Some(Value::Bool(value)) => *value,
        _ => false,
    };
    UNASKED.into_iter().filter(says_something).collect()
}

/// Whether a text is as the pattern says, in which `*` stands for any characters.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tools_that_are_off_are_told_by_each_client_s_own_words() {
        for (entry, on, off) in [
            (json!({}), "a", ""),
            (json!({ "enabled_tools": ["a"] }), "a", "b"),
            (json!({ "disabled_tools": ["b"] }), "a", "b"),
            (json!({ "enabled_tools": ["a", "b"], "disabled_tools": ["b"] }), "a", "b"),
            (json!({ "includeTools": ["a", "b(x)"] }), "a", "b"),
            (json!({ "excludeTools": ["b(x)"] }), "a", "b"),
            (json!({ "disabledTools": ["b_*"] }), "a", "b_c"),
            (json!({ "available_tools": [] }), "a", ""),
            (json!({ "available_tools": ["a"] }), "a", "b"),
            (json!({ "tools": ["*"] }), "a", ""),
            (json!({ "enabled_tools": [] }), "", "a"),
        ] {
            let filter = ToolFilter::of(&entry);
            assert!(on.is_empty() || filter.lets(on), "{entry}");
            assert!(off.is_empty() || !filter.lets(off), "{entry}");
        }
        let both = ToolFilter::of(&json!({ "enabled_tools": ["a", "b"] }))
            .and(ToolFilter::of(&json!({ "includeTools": ["b", "c"] })));
        assert!(both.lets("b") && !both.lets("a") && !both.lets("c"));
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, text, fit) in [
            ("a*", "ab", true),
            ("*", "", true),
            ("a*c*e", "abcde", true),
            ("a*c", "ab", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, text), fit, "{pattern} {text}");
        }
    }

    #[test]
    fn what_lets_tools_be_called_unasked_is_named() {
        assert_eq!(
            unasked(&json!({ "autoApprove": ["a"], "alwaysAllow": [], "trust": true })),
            ["autoApprove", "trust"]
        );
    }
}
