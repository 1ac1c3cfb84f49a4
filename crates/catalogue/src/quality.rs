//! How well a definition tells an agent what it has to know.
//!
//! The recipe is the published one (tool definition quality, 1.2): six dimensions with fixed weights, tiers, and a server's
//! score from its worst tool, its mean and how its tools go together. What is counted is counted as it says, to the last
//! digit. The grades, which it has a model give, come from rules here: they are the same each time, and advice.

mod cost;
mod facts;
mod grades;
mod said;
mod score;
mod server;
mod siblings;

pub use facts::{Facts, Hints};
pub use grades::{Dimension, Grade};
pub use score::{Score, Tier};
pub use server::{ServerQuality, Shadow, server_quality};
pub use siblings::Siblings;

use crate::{Class, Definition};
use grades::Looked;
use said::Said;
use serde::Serialize;

/// How well a tool is defined.
#[derive(Debug, Clone)]
pub struct Quality {
    /// The weighted mean of its grades.
    pub score: Score,
    /// Its tier.
    pub tier: Tier,
    /// One for each of [`Dimension::ALL`].
    pub grades: [Grade; 6],
    /// What is wrong with it in any case.
    pub flags: Vec<Flag>,
    /// What can be counted in it.
    pub facts: Facts,
}

/// What is wrong with a definition whatever else it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// It has no description: every grade is 1.
    NoDescription,
    /// Its description is its name or its title: the purpose gets 2 at most.
    TautologicalDescription,
    /// It says that it only reads, and that it changes something: the behaviour gets 1.
    AnnotationContradiction,
}

impl Flag {
    /// For a person.
    #[must_use]
    pub const fn says(self) -> &'static str {
        match self {
            Self::NoDescription => "has no description",
            Self::TautologicalDescription => "its description says no more than its name",
            Self::AnnotationContradiction => "its hints deny what it says that it does",
        }
    }
}

impl Quality {
    /// The grade of a dimension.
    #[must_use]
    pub fn grade(&self, of: Dimension) -> &Grade {
        let [purpose, usage, behaviour, parameters, conciseness, completeness] = &self.grades;
        match of {
            Dimension::Purpose => purpose,
            Dimension::Usage => usage,
            Dimension::Behaviour => behaviour,
            Dimension::Parameters => parameters,
            Dimension::Conciseness => conciseness,
            Dimension::Completeness => completeness,
        }
    }

    /// What would raise its score most, first.
    #[must_use]
    pub fn advice(&self) -> Vec<(Dimension, &str)> {
        let mut all: Vec<(u64, Dimension, &str)> = Dimension::ALL
            .into_iter()
            .filter_map(|of| {
                let grade = self.grade(of);
                Some((of.weight() * (5 - grade.score), of, grade.suggestion.as_deref()?))
            })
            .collect();
        all.sort_by_key(|(gain, ..)| std::cmp::Reverse(*gain));
        all.into_iter().map(|(_, of, what)| (of, what)).collect()
    }
}

/// Grades a definition, whose facts were counted before, among the other tools of its server.
#[must_use]
pub fn quality(tool: &Definition, facts: Facts, class: &Class, siblings: &Siblings<'_>) -> Quality {
    let description = trimmed(&tool.description);
    let mut flags = Vec::new();
    let same = |text: &str| trimmed(&text.to_lowercase()) == description.to_lowercase();
    let restates =
        !description.is_empty() && (same(&tool.name) || tool.own_title.as_deref().is_some_and(same));
    let looked = Looked {
        tool,
        facts: &facts,
        class,
        said: Said::of(description),
        named: siblings.named_in(description, &tool.name),
        nearest: siblings.nearest(&tool.name),
        restates,
    };
    let grades = if description.is_empty() {
        flags.push(Flag::NoDescription);
        looked.grades().map(|grade| Grade {
            score: 1,
            seen: vec!["there is no description".to_owned()],
            suggestion: grade.suggestion.or(Some("say what it does".to_owned())),
        })
    } else {
        if restates {
            flags.push(Flag::TautologicalDescription);
        }
        if looked.contradicts().is_some() {
            flags.push(Flag::AnnotationContradiction);
        }
        looked.grades()
    };
    let weighted = Dimension::ALL.iter().zip(&grades).map(|(of, grade)| of.weight() * grade.score);
    let score = Score::ratio(weighted.sum(), 100);
    Quality { score, tier: score.tier(), grades, flags, facts }
}

/// Without the white space around it, in the sense of ECMAScript, by which the specification goes.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|letter: char| {
        matches!(
            letter,
            '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | ' ' | '\u{a0}' | '\u{1680}' | '\u{2000}'
                ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{feff}'
        )
    })
}
