//! All that is known of the tools of a server, from one look at their definitions.

use crate::{
    Category, Class, Definition, Facts, Finding, Quality, ServerQuality, Siblings, Surroundings, classify,
    findings, quality, server_quality,
};
use serde_json::Value;

/// What is known of the tools of a server.
#[derive(Debug)]
pub struct Known {
    /// Its tools, in the order in which it lists them.
    pub tools: Vec<Entry>,
    /// How well they are defined. `None` where it has none.
    pub quality: Option<ServerQuality>,
}

/// What is known of one tool.
#[derive(Debug)]
pub struct Entry {
    /// What its server says of it.
    pub tool: Definition,
    /// What it does by that.
    pub class: Class,
    /// How well it is said.
    pub quality: Quality,
    /// What is said to the model behind its user's back.
    pub findings: Vec<Finding>,
}

impl Known {
    /// Looks at the definitions of a server's tools. What is no definition is left out.
    #[must_use]
    pub fn of(server: &str, definitions: Vec<Value>) -> Self {
        let names: Vec<String> =
            definitions.iter().filter_map(|it| it.get("name")?.as_str().map(str::to_owned)).collect();
        let names = || names.iter().map(String::as_str);
        let (around, siblings) = (Surroundings::of(server, names()), Siblings::of(names()));
        let tools: Vec<Entry> = definitions
            .into_iter()
            .filter_map(|raw| {
                let (facts, findings) = (Facts::of(&raw), findings(&raw));
                let tool = Definition::of(raw)?;
                let class = classify(&tool, &around);
                let quality = quality(&tool, facts, &class, &siblings);
                Some(Entry { tool, class, quality, findings })
            })
            .collect();
        let parts: Vec<_> =
            tools.iter().map(|entry| (&entry.tool, entry.class.category, &entry.quality)).collect();
        let quality = server_quality(&parts);
        Self { tools, quality }
    }

    /// How many tools are of each category, the gravest first.
    #[must_use]
    pub fn counts(&self) -> Vec<(Category, usize)> {
        let count = |category| self.tools.iter().filter(|entry| entry.class.category == category).count();
        Category::ALL.into_iter().rev().map(|category| (category, count(category))).collect()
    }

    /// The same in words, without those of which there are none: `1 Financial, 7 Execute`.
    #[must_use]
    pub fn told(&self) -> String {
        let there = self.counts().into_iter().filter(|(_, count)| *count > 0);
        there.map(|(category, count)| format!("{count} {}", category.as_str())).collect::<Vec<_>>().join(", ")
    }
}
