//! Six grades of one definition, each with what was seen and what would raise it.
//!
//! Their anchors and weights are those of the published specification, which has a model give them; here rules do, so that
//! the same definition gets the same grade each time, offline. The rules see whether something is said, not whether it is true.

use super::Facts;
use super::said::Said;
use crate::classify::verb;
use crate::{Category, Class, Definition, Place};
use serde::Serialize;

/// What is graded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Whether it says what the tool does.
    Purpose,
    /// Whether it says when to use it, and when something else.
    Usage,
    /// Whether it says what happens besides: what is lost, who may, how much.
    Behaviour,
    /// Whether it says what the arguments mean.
    Parameters,
    /// Whether it is as short as it can be.
    Conciseness,
    /// Whether it says enough for what the tool does.
    Completeness,
}

impl Dimension {
    /// All of them, in the order of the specification's weights.
    pub const ALL: [Self; 6] = [
        Self::Purpose,
        Self::Usage,
        Self::Behaviour,
        Self::Parameters,
        Self::Conciseness,
        Self::Completeness,
    ];

    /// Its weight in a score, in percent.
    #[must_use]
    pub const fn weight(self) -> u64 {
        match self {
            Self::Purpose => 25,
            Self::Usage | Self::Behaviour => 20,
            Self::Parameters => 15,
            Self::Conciseness | Self::Completeness => 10,
        }
    }

    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Purpose => "purpose",
            Self::Usage => "usage",
            Self::Behaviour => "behaviour",
            Self::Parameters => "parameters",
            Self::Conciseness => "conciseness",
            Self::Completeness => "completeness",
        }
    }
}

/// What one dimension got.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grade {
    /// From 1 to 5.
    pub score: u64,
    /// What was seen.
    pub seen: Vec<String>,
    /// What would raise it most; `None` at 5.
    pub suggestion: Option<String>,
}

impl Grade {
    fn new(score: u64, seen: Vec<String>, suggestion: impl FnOnce() -> String) -> Self {
        let score = score.clamp(1, 5);
        Self { score, seen, suggestion: (score < 5).then(suggestion) }
    }
}

/// All that the graders look at.
pub(super) struct Looked<'a> {
    pub(super) tool: &'a Definition,
    pub(super) facts: &'a Facts,
    pub(super) class: &'a Class,
    pub(super) said: Said<'a>,
    /// A tool of the same server that its description names.
    pub(super) named: Option<&'a str>,
    /// The one that is likest by its name.
    pub(super) nearest: Option<&'a str>,
    pub(super) restates: bool,
}

/// Words of a description below which nothing can have been said, and above which there is more than one reads.
const HARDLY_ANY: usize = 4;
const LONG: usize = 120;
const TOO_LONG: usize = 250;
const FAR_TOO_LONG: usize = 500;
/// Words from which on there is room for more than what it does.
const ROOM: usize = 22;
const MORE_ROOM: usize = 30;

impl Looked<'_> {
    pub(super) fn grades(&self) -> [Grade; 6] {
        [
            self.purpose(),
            self.usage(),
            self.behaviour(),
            self.parameters(),
            self.conciseness(),
            self.completeness(),
        ]
    }

    /// The words of its first sentence begin with what it does.
    fn verb(&self) -> Option<&str> {
        self.said.begins().take(3).find(|word| verb(word).is_some())
    }

    fn purpose(&self) -> Grade {
        let (verb, sibling) = (self.verb(), self.nearest);
        let mut seen: Vec<String> = verb.iter().map(|verb| format!("says what it does: `{verb}`")).collect();
        let apart = [
            self.named.map(|name| format!("names `{name}` beside it")),
            self.said.when_not().map(|words| format!("says what it is not: `{words}`")),
            self.said
                .is_for_good()
                .or(self.said.loses())
                .map(|words| format!("says how far it goes: `{words}`")),
            self.said
                .when()
                .filter(|words| words.starts_with("use "))
                .map(|words| format!("says what for: `{words}`")),
            self.said
                .returns()
                .filter(|_| self.said.word_count > ROOM)
                .map(|_| "says what it gives".to_owned()),
        ];
        let apart: Vec<String> = apart.into_iter().flatten().collect();
        if self.restates {
            seen.push("says no more than its name".to_owned());
            return Grade::new(2, seen, || {
                "say what it does: a verb, what it acts on, and how far that goes".to_owned()
            });
        }
        let score = match (verb, self.said.word_count) {
            (_, 0..HARDLY_ANY) => 3,
            (None, _) => 3 + u64::from(!apart.is_empty()),
            (Some(_), _) => 4 + u64::from(!apart.is_empty()),
        };
        seen.extend(apart);
        Grade::new(score, seen, || match (score, sibling) {
            (..=3, _) => "begin with a verb and with what it acts on".to_owned(),
            (_, Some(sibling)) => format!("say what sets it apart from `{sibling}`"),
            (_, None) => "say how far it goes, and what it does not do".to_owned(),
        })
    }

    fn usage(&self) -> Grade {
        let (when, when_not) = (self.said.when(), self.said.when_not());
        let named = self.named.map(|name| format!("names `{name}` beside it"));
        let seen: Vec<String> = when
            .map(|words| format!("says when: `{words}`"))
            .into_iter()
            .chain(when_not.map(|words| format!("says when not: `{words}`")))
            .chain(named)
            .collect();
        let score = match (when.is_some(), when_not.is_some() || self.named.is_some()) {
            (true, true) => 5,
            (false, false) if self.said.implies_when().is_some() => 3,
            (false, false) => 2,
            _ => 4,
        };
        Grade::new(score, seen, || match (when, self.nearest) {
            (Some(_), Some(sibling)) => {
                format!("say when not to use it, and name the alternative: `{sibling}`")
            }
            (None, Some(sibling)) => format!("say when to use it, and when `{sibling}` instead"),
            (Some(_), None) => "say when not to use it".to_owned(),
            (None, None) => "say when to use it, and when not".to_owned(),
        })
    }

    /// What its words do that its hints deny.
    pub(super) fn contradicts(&self) -> Option<&str> {
        if self.facts.annotation_values.read_only != Some(true) || self.class.category == Category::Read {
            return None;
        }
        let in_words = |place| matches!(place, Place::Name | Place::Description);
        self.class.evidence.iter().find(|it| in_words(it.place)).map(|it| it.words.as_str())
    }

    fn behaviour(&self) -> Grade {
        if let Some(verb) = self.contradicts() {
            let seen = vec![format!("readOnlyHint is true, and it says `{verb}`")];
            return Grade::new(1, seen, || {
                format!("`{verb}` changes something: say readOnlyHint: false, or say what it does otherwise")
            });
        }
        let said = &self.said;
        let mut seen = Vec::new();
        let mut points = 0;
        if self.facts.has_annotations {
            points += 1;
            seen.push("has hints".to_owned());
        }
        if let Some(words) = said.is_for_good().or(said.loses()) {
            points += 2;
            seen.push(format!("says what is lost: `{words}`"));
        }
        let bounds = said.bounds(&self.tool.name);
        points += u64::try_from(bounds.len().min(2)).unwrap_or(2);
        seen.extend(bounds.iter().take(2).map(|words| format!("says what bounds it: `{words}`")));
        if let Some(words) = said.when_not().filter(|words| *words == "without") {
            points += 1;
            seen.push(format!("says what it leaves out: `{words}`"));
        }
        let tells_more = (said.sentence_count() > 2 && said.word_count >= MORE_ROOM)
            || (said.returns().is_some() && said.word_count > ROOM);
        if tells_more {
            points += 1;
            seen.push("says more than what it does".to_owned());
        }
        Grade::new(2 + points.min(3), seen, || {
            let most = match self.class.category {
                Category::Destructive => "say what is lost with it, and whether it comes back",
                Category::Financial => "say who pays, how much at most, and whether it can be taken back",
                Category::Execute => "say how long it may run, and what it may change",
                Category::Write => "say what becomes of what was there before, and who may do it",
                Category::Read => "say its bounds: how much it gives at once, how old it may be, who may ask",
            };
            let read_only = self.class.category == Category::Read;
            match self.facts.has_annotations {
                true => most.to_owned(),
                false => format!("{most}; and give the hint readOnlyHint: {read_only}"),
            }
        })
    }

    fn parameters(&self) -> Grade {
        let Facts { param_count: all, schema_description_coverage: coverage, .. } = *self.facts;
        if all == 0 {
            return Grade::new(4, vec!["takes no arguments".to_owned()], || {
                "there is nothing to add".to_owned()
            });
        }
        let described = |schema: &serde_json::Value| {
            schema.get("description").and_then(|it| it.as_str()).is_some_and(|it| !it.is_empty())
        };
        let named: Vec<&str> =
            self.tool.parameters().map(|(name, _)| name).filter(|name| self.said.names(name)).collect();
        let dark: Vec<&str> = self
            .tool
            .parameters()
            .filter(|(name, schema)| !described(schema) && !named.contains(name))
            .map(|(name, _)| name)
            .collect();
        let mut seen = vec![format!("{coverage} % of its arguments have a description")];
        seen.extend(named.iter().map(|name| format!("says what `{name}` is")));
        // What the description says of an argument counts as much as what the schema says.
        let lit = 100 * (all - dark.len().min(all)) / all;
        let base = match lit {
            ..50 => 1 + u64::from(lit > 0 && coverage > 0),
            50..=80 => 2,
            _ => 3,
        };
        let more =
            u64::from(base >= 2 && 2 * named.len() >= all) + u64::from(base == 3 && self.has_examples());
        Grade::new(base + more, seen, || match dark.as_slice() {
            [] => "say what the schema does not: the form of a value, an example, what depends on what"
                .to_owned(),
            [one] => format!("describe `{one}`"),
            [one, two, ..] => format!("describe `{one}`, `{two}` ({} of {all} are not)", dark.len()),
        })
    }

    /// Whether every argument has a form that leaves nothing open: values, bounds, a default or an example.
    fn has_examples(&self) -> bool {
        const FORMS: [&str; 10] = [
            "enum",
            "const",
            "default",
            "examples",
            "pattern",
            "format",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
        ];
        self.tool.parameters().all(|(_, schema)| {
            schema.get("type").and_then(|it| it.as_str()) == Some("boolean")
                || FORMS.iter().any(|form| schema.get(form).is_some())
        })
    }

    fn conciseness(&self) -> Grade {
        let (words, repeated) = (self.said.word_count, self.said.repeated());
        let mut seen = vec![format!("{words} words")];
        let bounds = [(HARDLY_ANY - 1, 3), (LONG, 5), (TOO_LONG, 4), (FAR_TOO_LONG, 3)];
        let mut score: u64 =
            bounds.into_iter().find(|(most, _)| words <= *most).map_or(2, |(_, score)| score);
        if repeated > 0 {
            score = score.saturating_sub(1);
            seen.push("says a sentence again".to_owned());
        }
        let explained = self.said.explains(&self.tool.name);
        if let Some(word) = explained {
            score = score.saturating_sub(1);
            seen.push(format!("explains `{word}` in place of saying more of itself"));
        }
        Grade::new(score, seen, || {
            match (words, repeated) {
            (..HARDLY_ANY, _) => "say a whole sentence".to_owned(),
            (_, 1..) => "leave out what is said twice".to_owned(),
            _ if explained.is_some() => {
                "say in the second sentence what comes of it; what a thing is can stand in the server's instructions".to_owned()
            }
            _ => format!("say it in {LONG} words; move what belongs to one argument there"),
        }
        })
    }

    fn completeness(&self) -> Grade {
        let said = &self.said;
        let reads_one = self.class.category == Category::Read && self.facts.param_count < 2;
        let gives = match (self.facts.has_output_schema, said.returns(), said.shows()) {
            (true, ..) => Some("has the form of its result".to_owned()),
            (_, Some(words), _) if said.word_count > ROOM => Some(format!("says what it gives: `{words}`")),
            (.., Some(words)) if reads_one => Some(format!("says what it gives: `{words}`")),
            // Of what is only read, what it is tells what comes.
            _ if self.class.category == Category::Read => {
                said.explains(&self.tool.name).map(|word| format!("says what it gives: `{word}`"))
            }
            _ => None,
        };
        let lasts = said.is_for_good().or(said.loses()).or(said.becomes());
        let lasts = lasts.or(said.when_not().filter(|words| *words == "without"));
        let fails = said.fails();
        let explains = said.sentence_count() > 1 && said.word_count >= MORE_ROOM;
        let seen: Vec<String> = [
            gives.clone(),
            lasts.map(|words| format!("says what is so afterwards: `{words}`")),
            fails.map(|words| format!("says what happens where it cannot: `{words}`")),
            explains.then(|| "explains".to_owned()),
        ]
        .into_iter()
        .flatten()
        .collect();
        let dark = self.facts.param_count > 0 && self.facts.schema_description_coverage < 50;
        let score = (2 + seen.len() as u64).saturating_sub(u64::from(dark)).max(1);
        Grade::new(score, seen, || {
            let what = match (gives.is_some(), lasts.is_some(), self.class.category) {
                (false, ..) => "say what it returns, or give the form of its result (outputSchema)",
                (true, false, Category::Read) | (true, true, _) => "say what happens where it cannot do it",
                (true, false, _) => "say what is so afterwards, and what happens where it cannot do it",
            };
            what.to_owned()
        })
    }
}
