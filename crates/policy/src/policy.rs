//! A policy in force.

use std::collections::HashSet;

use portcullis_document::{Problems, Source, Span};

use smallvec::SmallVec;

use crate::rule::Rule;
use crate::selector::Selected;
use crate::{Limit, Target, read};

/// One policy, read and compiled. It does not change; a changed file is another policy with another digest.
#[derive(Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) digest: String,
    pub(crate) description: Option<String>,
    pub(crate) default_allows: bool,
    pub(crate) hidden: Selected<Span>,
    pub(crate) all_tools: Rule,
    pub(crate) tools: Selected<Rule>,
    pub(crate) warnings: Problems,
}

impl Policy {
    /// Reads a policy. The ending of `file` says whether it is JSON or YAML; `file` is also the name that problems and
    /// explanations show.
    ///
    /// # Errors
    /// Everything that is wrong with the file, at once. A file with an error is no policy.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problems> {
        read::policy(file, text)
    }

    /// The file it was read from.
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// The SHA-256 of the file's bytes, in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// What the file says of itself.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// What is allowed by the file but hardly meant.
    pub fn warnings(&self) -> &Problems {
        &self.warnings
    }

    /// What holds for everything that no rule names: other tools, resources, prompts, methods.
    pub fn default_allows(&self) -> bool {
        self.default_allows
    }

    /// Whether a tool belongs into lists: it is not hidden, and some call of it might be allowed.
    pub fn visible(&self, tool: &Target<'_>) -> bool {
        !self.hides(tool) && (self.default_allows || !self.tools.of_tool(tool).is_empty())
    }

    /// Whether a tool is to be unknown to the caller.
    pub fn hides(&self, tool: &Target<'_>) -> bool {
        !self.hidden.of_tool(tool).is_empty()
    }

    /// The rules that judge a tool, all of them: what holds for all tools, then those that choose it. `None` where none does and
    /// the default denies.
    pub(crate) fn rules(&self, tool: &Target<'_>) -> Option<SmallVec<[&Rule; 4]>> {
        let mut rules = self.tools.of_tool(tool);
        if rules.is_empty() && !self.default_allows {
            return None;
        }
        rules.insert(0, &self.all_tools);
        Some(rules)
    }

    /// Every limit of the policy, those of `all_tools` first, then in the order of the file.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        let mut limits: Vec<_> = self.tools.iter().flat_map(|choice| &choice.said.limits).collect();
        limits.sort_by_key(|limit| limit.place.span);
        self.all_tools.limits.iter().chain(limits)
    }

    /// The names of its counters, each once, sorted.
    pub fn counters(&self) -> Vec<&str> {
        let names: HashSet<_> = self.limits().map(|limit| limit.counter.as_str()).collect();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names
    }

    /// What its rules choose tools by, sorted: names, patterns, categories.
    pub fn tools(&self) -> Vec<&str> {
        self.tools.iter().map(|choice| &*choice.text).collect()
    }
}
