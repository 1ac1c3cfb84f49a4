//! A policy in force.

use std::collections::{HashMap, HashSet};

use portcullis_document::{Problems, Source, Span};

use crate::rule::Rule;
use crate::{Limit, read};

/// One policy, read and compiled. It does not change; a changed file is another policy with another digest.
#[derive(Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) digest: String,
    pub(crate) description: Option<String>,
    pub(crate) default_allows: bool,
    pub(crate) hides_all: bool,
    pub(crate) hidden: HashMap<String, Span>,
    pub(crate) all_tools: Vec<Limit>,
    pub(crate) tools: HashMap<String, Rule>,
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
    pub fn visible(&self, tool: &str) -> bool {
        !self.hides(tool) && (self.default_allows || self.tools.contains_key(tool))
    }

    /// Whether a tool is to be unknown to the caller.
    pub fn hides(&self, tool: &str) -> bool {
        self.hides_all || self.hidden.contains_key(tool)
    }

    /// Every limit of the policy, those of `all_tools` first, then in the order of the file.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        let mut limits: Vec<_> = self.tools.values().flat_map(|rule| &rule.limits).collect();
        limits.sort_by_key(|limit| limit.place.span);
        self.all_tools.iter().chain(limits)
    }

    /// The names of its counters, each once, sorted.
    pub fn counters(&self) -> Vec<&str> {
        let names: HashSet<_> = self.limits().map(|limit| limit.counter.as_str()).collect();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names
    }

    /// The tools that have rules of their own, sorted.
    pub fn tools(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.tools.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }
}
