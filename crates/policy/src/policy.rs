//! A policy in force.

use std::collections::HashSet;

use portcullis_document::{Problems, Source, Span};

use smallvec::SmallVec;

use crate::address::{normal, unclear};
use crate::facts::Fact;
use crate::path::Root;
use crate::predicate::{Predicate, Test};
use crate::rule::Rule;
use crate::selector::{Choice, Selected};
use crate::{Counts, Kind, Limit, Mode, Redactions, Target, read};

/// One policy, read and compiled. It does not change; a changed file is another policy with another digest.
#[derive(Debug)]
pub struct Policy {
    pub(crate) source: Source,
    pub(crate) digest: String,
    pub(crate) description: Option<String>,
    pub(crate) default_allows: bool,
    /// Whether all its rules are only tried.
    pub(crate) shadow: bool,
    pub(crate) hidden: Selected<Span>,
    pub(crate) all_tools: Rule,
    pub(crate) tools: Selected<Rule>,
    pub(crate) resources: Selected<Rule>,
    pub(crate) prompts: Selected<Rule>,
    pub(crate) methods: Selected<Rule>,
    pub(crate) server_requests: Selected<Rule>,
    /// Whether any of its rules covers something.
    pub(crate) redacts: bool,
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

    /// Whether anything of a kind might pass.
    pub fn may(&self, kind: Kind) -> bool {
        self.default_allows || self.of_kind(kind).iter().next().is_some()
    }

    /// Whether a target belongs into lists: it is not hidden, and some call of it might be allowed.
    pub fn visible(&self, target: &Target<'_>, mode: Mode) -> bool {
        let hidden = self.hides(target) && self.mode(mode) == Mode::Enforced;
        let unclear = self.mode(mode) == Mode::Enforced && self.unclear(target).is_some();
        !hidden && !unclear && self.rules(target, mode).enforced.is_some()
    }

    /// Whether its rules are enforced for a grant whose own are in that mode.
    pub(crate) fn mode(&self, of_grant: Mode) -> Mode {
        if self.shadow { Mode::Shadow } else { of_grant }
    }

    /// Whether a tool is to be unknown to the caller.
    pub fn hides(&self, target: &Target<'_>) -> bool {
        target.kind == Kind::Tool && !self.hidden.of(target).is_empty()
    }

    /// The rules that say something of a kind.
    pub(crate) fn of_kind(&self, kind: Kind) -> &Selected<Rule> {
        match kind {
            Kind::Tool => &self.tools,
            Kind::Resource => &self.resources,
            Kind::Prompt => &self.prompts,
            Kind::Method => &self.methods,
            Kind::ServerRequest => &self.server_requests,
        }
    }

    /// The rules that choose a target, in the order of their texts.
    pub(crate) fn chosen(&self, target: &Target<'_>) -> SmallVec<[&Rule; 4]> {
        match target.kind {
            Kind::Resource => self.resources.of(&Target { name: &normal(target.name), ..*target }),
            kind => self.of_kind(kind).of(target),
        }
    }

    /// Why no rule can be held against the address of a resource, for it may lead to several places: `None` where it is clear, where a
    /// rule has it for its key, and where there are no rules for resources.
    pub(crate) fn unclear(&self, target: &Target<'_>) -> Option<&'static str> {
        if target.kind != Kind::Resource || self.resources.iter().all(|choice| choice.said.shadow) {
            return None;
        }
        unclear(target.name).filter(|_| !self.resources.names(&normal(target.name)))
    }

    /// The rules that judge a target.
    pub(crate) fn rules(&self, target: &Target<'_>, mode: Mode) -> Rules<'_> {
        let chosen = self.chosen(target);
        let all_tools = (target.kind == Kind::Tool).then_some(&self.all_tools);
        if self.mode(mode) == Mode::Shadow {
            return Rules {
                enforced: self.with(SmallVec::new(), None),
                tried: Some(self.with(chosen, all_tools)),
            };
        }
        if !all_tools.iter().chain(&chosen).any(|rule| rule.shadow) {
            return Rules { enforced: self.with(chosen, all_tools), tried: None };
        }
        let enforced = chosen.iter().copied().filter(|rule| !rule.shadow).collect();
        let enforced = self.with(enforced, all_tools.filter(|rule| !rule.shadow));
        Rules { enforced, tried: Some(self.with(chosen, all_tools)) }
    }

    fn with<'p>(
        &self,
        mut chosen: SmallVec<[&'p Rule; 4]>,
        all_tools: Option<&'p Rule>,
    ) -> Option<SmallVec<[&'p Rule; 4]>> {
        if chosen.is_empty() && !self.default_allows {
            return None;
        }
        if let Some(all_tools) = all_tools {
            chosen.insert(0, all_tools);
        }
        Some(chosen)
    }

    /// What it covers of a call of a target, whatever it decides.
    pub fn redactions(&self, target: &Target<'_>, mode: Mode) -> Redactions<'_> {
        let mut redactions = Redactions::default();
        if !self.redacts || self.mode(mode) == Mode::Shadow {
            return redactions;
        }
        let all_tools = (target.kind == Kind::Tool).then_some(&self.all_tools);
        for rule in all_tools.into_iter().chain(self.chosen(target)).filter(|rule| !rule.shadow) {
            redactions.all.extend(&rule.redact);
            if rule.redact_result {
                redactions.for_caller.extend(&rule.redact);
            }
        }
        redactions
    }

    /// Every rule that chooses something.
    fn choices(&self) -> impl Iterator<Item = &Choice<Rule>> {
        let all = [&self.tools, &self.resources, &self.prompts, &self.methods, &self.server_requests];
        all.into_iter().flat_map(Selected::iter)
    }

    /// Every limit of the policy, those of `all_tools` first, then in the order of the file.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        let mut limits: Vec<_> = self.choices().flat_map(|choice| &choice.said.limits).collect();
        limits.sort_by_key(|limit| limit.place.span);
        self.all_tools.limits.iter().chain(limits)
    }

    /// Whether some rule that judges a target looks at its arguments.
    pub fn judges_arguments(&self, target: &Target<'_>) -> bool {
        let rules = self.rules(target, Mode::Enforced).enforced;
        rules.iter().flatten().any(|rule| !rule.arguments.is_empty())
    }

    /// Whether a rule asks what the session called before.
    pub fn asks_for_session_calls(&self) -> bool {
        self.asks(|fact| matches!(fact, Fact::SessionCalls(_)))
    }

    /// Whether a rule asks what the grant called in the last day.
    pub fn asks_for_grant_calls(&self) -> bool {
        self.asks(|fact| matches!(fact, Fact::GrantCalls(_)))
    }

    fn asks(&self, is_one: impl Fn(&Fact) -> bool) -> bool {
        let rules = self.choices().map(|choice| &choice.said).chain([&self.all_tools]);
        let asks = |test: &Test| matches!(&test.path.root, Root::Fact(fact) if is_one(fact));
        rules
            .flat_map(Rule::clauses)
            .flat_map(|(_, clause)| &clause.conditions)
            .flat_map(Predicate::tests)
            .any(asks)
    }

    /// Whether some call of a tool might be left to a person, for a grant whose rules are in that mode.
    pub fn holds_calls(&self, mode: Mode) -> bool {
        let rules = self.tools.iter().map(|choice| &choice.said).chain([&self.all_tools]);
        self.mode(mode) == Mode::Enforced
            && rules.into_iter().any(|rule| !rule.shadow && !rule.hold_if.is_empty())
    }

    /// The names of its counters, each once, sorted.
    pub fn counters(&self) -> Vec<&str> {
        let named = self.limits().filter(|limit| limit.counts != Counts::Identical);
        let names: HashSet<_> = named.map(|limit| limit.counter.as_str()).collect();
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names
    }

    /// What its rules choose tools by, sorted: names, patterns, categories.
    pub fn tools(&self) -> Vec<&str> {
        self.tools.iter().map(|choice| &*choice.text).collect()
    }
}

/// The rules that judge a target, all of them: what holds for all tools, then those that choose it. `None` where none does and the
/// default denies.
pub(crate) struct Rules<'p> {
    pub(crate) enforced: Option<SmallVec<[&'p Rule; 4]>>,
    /// The same with those that are only tried, where there are some.
    pub(crate) tried: Option<Option<SmallVec<[&'p Rule; 4]>>>,
}
