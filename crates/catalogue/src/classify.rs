//! What a tool does, by what its server says of it: a category, and what decided.
//!
//! Names and descriptions are read as sentences with a verb: what it does, and to what. [`RULES`] then decide, the first
//! that applies. Everything is taken from the server's own words, so the answer is what the tool is said to do, never that
//! it is safe.

mod acts;
mod rules;
// Lists of words, which are read better in lines than in columns.
#[rustfmt::skip]
mod verbs;

use crate::{Category, Definition, Signal};
use acts::{Act, acts};
pub use acts::{Place, Surroundings};
use rules::When;
pub use rules::{RULES, Rule};
pub(crate) use verbs::verb;

/// What a tool was found to be.
#[derive(Debug, Clone)]
pub struct Class {
    /// Its category.
    pub category: Category,
    /// The rule that decided.
    pub rule: &'static Rule,
    /// The words that decided, and where they stand.
    pub evidence: Vec<Evidence>,
    /// How much the words leave open.
    pub confidence: Confidence,
    /// What else is to be known of it.
    pub signals: Vec<Signal>,
}

impl Class {
    /// What decided, for a person: `it takes something away: name "delete"`.
    #[must_use]
    pub fn why(&self) -> String {
        let evidence: Vec<String> =
            self.evidence.iter().map(|it| format!("{} \"{}\"", it.place.as_str(), it.words)).collect();
        match evidence.is_empty() {
            true => self.rule.says.to_owned(),
            false => format!("{}: {}", self.rule.says, evidence.join(", ")),
        }
    }
}

/// Words of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where they stand.
    pub place: Place,
    /// They themselves.
    pub words: String,
}

/// How much the words of a definition leave open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Its words say different things, or hardly anything.
    Low,
    /// The name or the description says it.
    Medium,
    /// Both say the same.
    High,
}

impl Confidence {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// The rule that always applies.
const LAST: usize = RULES.len() - 1;

/// Finds what a tool does.
#[must_use]
pub fn classify(tool: &Definition, around: &Surroundings) -> Class {
    let acts = acts(tool, around);
    let found = RULES.iter().find_map(|rule| Some((rule, evidence(&rule.when, tool, &acts)?)));
    let (rule, evidence) = found.unwrap_or((&RULES[LAST], Vec::new()));
    let confidence = confidence(rule, &acts);
    Class { category: rule.category, rule, evidence, confidence, signals: crate::signals::signals(tool) }
}

/// What makes a rule apply; `None` where it does not.
fn evidence(when: &When, tool: &Definition, acts: &[Act]) -> Option<Vec<Evidence>> {
    let said = |found: Vec<&Act>| {
        let evidence: Vec<Evidence> = found.into_iter().map(Act::evidence).collect();
        (!evidence.is_empty()).then_some(evidence)
    };
    match when {
        When::Does(category) => said(acts.iter().filter(|act| act.category == *category).collect()),
        When::DoesTo(verbs, things) => said(
            acts.iter().filter(|act| act.category != Category::Read && act.does(verbs, things)).collect(),
        ),
        When::TakesCode => {
            let runs = acts.is_empty() || acts.iter().any(|act| act.may_run_what_it_is_given());
            let code = tool.parameters().map(|(name, _)| name).find(|name| acts::CODE.contains(name))?;
            (runs && !acts::only_reads(tool))
                .then(|| vec![Evidence { place: Place::Parameter, words: code.to_owned() }])
        }
        When::Hints(name, value) => (tool.hint(name) == Some(*value))
            .then(|| vec![Evidence { place: Place::Annotation, words: format!("{name}: {value}") }]),
        When::NamesAThing => {
            acts::names_a_thing(tool).then(|| vec![Evidence { place: Place::Name, words: tool.name.clone() }])
        }
        When::Otherwise => Some(Vec::new()),
    }
}

fn confidence(rule: &Rule, acts: &[Act]) -> Confidence {
    let says = |place: Place| acts.iter().find(|act| act.place == place).map(|act| act.category);
    if !matches!(rule.when, When::Does(_) | When::DoesTo(..) | When::TakesCode) {
        return Confidence::Low;
    }
    match (says(Place::Name), says(Place::Description)) {
        (Some(name), Some(description)) if name == description => Confidence::High,
        (Some(name), Some(_)) if name != rule.category && !matches!(rule.when, When::DoesTo(..)) => {
            Confidence::Low
        }
        _ => Confidence::Medium,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(definition: &Value) -> Class {
        let tool = Definition::read(&definition.to_string()).unwrap();
        classify(&tool, &Surroundings::default())
    }

    fn said(name: &str, description: &str) -> Class {
        of(&json!({ "name": name, "description": description }))
    }

    #[test]
    fn each_rule_decides_its_examples_and_not_what_only_looks_like_them() {
        for rule in &RULES {
            for (name, description) in rule.examples {
                let found = said(name, description);
                assert_eq!(found.rule.id, rule.id, "{name}: {description}: {:?}", found.evidence);
            }
            for (name, description) in rule.unlike {
                let found = said(name, description);
                assert_ne!(found.rule.id, rule.id, "{name}: {description}: {:?}", found.evidence);
            }
        }
    }

    #[test]
    fn rules_are_told_apart_and_what_words_say_stands_in_the_order_of_gravity() {
        let mut ids: Vec<_> = RULES.iter().map(|rule| rule.id).collect();
        let by_words = |rule: &&Rule| !matches!(rule.when, When::Hints(..) | When::Otherwise);
        let gravity: Vec<_> = RULES.iter().rev().filter(by_words).map(|rule| rule.category).collect();
        assert!(gravity.is_sorted(), "{gravity:?}");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), RULES.len());
    }

    #[test]
    fn hints_raise_a_category_and_never_lower_one() {
        let hinted = |name: &str, hints: Value| of(&json!({ "name": name, "annotations": hints })).category;
        assert_eq!(hinted("get_user", json!({ "destructiveHint": true })), Category::Destructive);
        assert_eq!(hinted("get_user", json!({ "readOnlyHint": false })), Category::Write);
        assert_eq!(
            hinted("delete_user", json!({ "readOnlyHint": true, "destructiveHint": false })),
            Category::Destructive
        );
        assert_eq!(hinted("run", json!({ "readOnlyHint": true })), Category::Execute);
        // To overwrite and to stop are destructive by the protocol, and no more than that.
        assert_eq!(hinted("write_file", json!({ "destructiveHint": true })), Category::Write);
        assert_eq!(hinted("stop_server", json!({ "destructiveHint": true })), Category::Execute);
        assert_eq!(hinted("frobnicate", json!({ "readOnlyHint": true })), Category::Write);
    }

    #[test]
    fn an_argument_that_is_code_is_run_unless_it_is_only_looked_at() {
        let takes = |name: &str, description: &str, argument: &str| {
            let input = json!({ "properties": { argument: { "type": "string" } } });
            of(&json!({ "name": name, "description": description, "inputSchema": input })).category
        };
        assert_eq!(takes("kubectl", "", "command"), Category::Execute);
        assert_eq!(takes("query", "Query the database", "sql"), Category::Execute);
        assert_eq!(takes("query", "Run a read-only SQL query", "sql"), Category::Read);
        assert_eq!(takes("analyze_code", "Analyzes code", "code"), Category::Read);
    }

    #[test]
    fn an_argument_that_chooses_what_is_done_is_as_grave_as_its_gravest_value() {
        let input = json!({ "properties": { "action": { "enum": ["list", "create", "delete"] } } });
        let found =
            of(&json!({ "name": "get_labels", "description": "Labels of a project", "inputSchema": input }));
        assert_eq!((found.category, found.evidence[0].place), (Category::Destructive, Place::Parameter));
        assert_eq!(found.evidence[0].words, "delete");
    }

    #[test]
    fn what_stands_before_every_name_of_a_server_says_nothing() {
        let names = ["post_list", "post_get", "post_delete", "run"];
        let around = Surroundings::of("blog", names.into_iter());
        let of = |name: &str| {
            classify(&Definition::read(&json!({ "name": name }).to_string()).unwrap(), &around).category
        };
        assert_eq!(
            (of("post_list"), of("post_delete"), of("run")),
            (Category::Read, Category::Destructive, Category::Execute)
        );
        let slack = Surroundings::of("open-slack", ["slack_post_message", "slack_list_users"].into_iter());
        let tool = Definition::read(r#"{"name":"slack_post_message"}"#).unwrap();
        assert_eq!(classify(&tool, &slack).category, Category::Write);
    }

    #[test]
    fn both_the_name_and_the_description_make_it_sure() {
        assert_eq!(said("delete_page", "Deletes a page").confidence, Confidence::High);
        assert_eq!(said("delete_page", "").confidence, Confidence::Medium);
        assert_eq!(said("get_page", "Deletes a page").confidence, Confidence::Low);
        assert_eq!(said("status", "").confidence, Confidence::Low);
    }

    #[test]
    fn what_arguments_can_do_is_told_beside_it() {
        let input = json!({ "properties": { "filePath": { "type": "string" }, "html_body": { "type": "string" },
            "callbackUrl": { "type": "string" }, "sql": { "type": "string" }, "depth": { "type": "integer" } } });
        let found = of(
            &json!({ "name": "send_bulk_email", "description": "Sends many mails, replacing drafts", "inputSchema": input }),
        );
        use Signal::{Bulk, CodeOrQuery, FilePath, Markup, SendsOut, Url};
        assert_eq!(found.signals, [FilePath, CodeOrQuery, Url, Bulk, SendsOut, Markup]);
    }
}
