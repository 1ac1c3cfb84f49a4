//! How well the tools of a server go together, and one score for all of it.

use super::{Quality, Score};
use crate::classify::verb;
use crate::words::{of_name, of_text};
use crate::{Category, Definition};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// One score for a server, and what it is made of.
#[derive(Debug, Clone, Serialize)]
pub struct ServerQuality {
    /// 0.7 of what its definitions got, 0.3 of how they go together.
    pub score: Score,
    /// Its tier.
    pub tier: super::Tier,
    /// 0.6 of the mean of its tools, 0.4 of the worst.
    pub definitions: Score,
    /// The mean of the four below.
    pub coherence: Score,
    /// Whether one can tell the tools apart.
    pub disambiguation: u64,
    /// Whether their names are made in one way.
    pub naming: u64,
    /// Whether there are neither too many nor too few: 3 to 15 are best.
    pub count: u64,
    /// Whether what can be made can be seen, changed and taken away too.
    pub surface: u64,
    /// What keeps the four from 5.
    pub seen: Vec<String>,
    /// Tools beside which a cheaper one may be taken.
    pub shadows: Vec<Shadow>,
}

/// A tool beside which a cheaper one may be taken, where both can answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shadow {
    /// The dear one.
    pub tool: String,
    /// What it takes to call it.
    pub invocation_cost: u64,
    /// The dearest of those that cost at most half, and four less.
    pub cheaper_sibling: String,
    /// What it takes to call that.
    pub cheaper_sibling_invocation_cost: u64,
}

/// How well the tools of a server are defined. `None` where it has none.
#[must_use]
pub fn server_quality(tools: &[(&Definition, Category, &Quality)]) -> Option<ServerQuality> {
    let count = tools.len() as u64;
    let tenths = || tools.iter().map(|(.., quality)| quality.score.tenths());
    let definitions = Score::ratio(6 * tenths().sum::<u64>() + 4 * count * tenths().min()?, 100 * count);
    let mut seen = Vec::new();
    let names: Vec<&str> = tools.iter().map(|(tool, ..)| tool.name.as_str()).collect();
    let disambiguation = told_apart(tools, &mut seen);
    let naming = named_alike(&names, &mut seen);
    let well_sized = sized(tools.len(), &mut seen);
    let surface = whole(&names, &mut seen);
    let coherence = Score::ratio(disambiguation + naming + well_sized + surface, 4);
    let score = Score::ratio(7 * definitions.tenths() + 3 * coherence.tenths(), 100);
    let costs: Vec<(&str, u64)> =
        tools.iter().map(|(tool, _, quality)| (tool.name.as_str(), quality.facts.invocation_cost)).collect();
    Some(ServerQuality {
        score,
        tier: score.tier(),
        definitions,
        coherence,
        disambiguation,
        naming,
        count: well_sized,
        surface,
        seen,
        shadows: shadows(&costs),
    })
}

/// Five for a share of none, and one less at each of these, in percent.
fn graded(share: usize, of: usize, bounds: [usize; 4]) -> u64 {
    let percent = (100 * share).checked_div(of).unwrap_or(0);
    5 - bounds.into_iter().filter(|bound| share > 0 && percent >= *bound).count() as u64
}

/// Tools that say the same thing in the same words.
fn told_apart(tools: &[(&Definition, Category, &Quality)], seen: &mut Vec<String>) -> u64 {
    let mut same: HashMap<(Category, Vec<u64>), Vec<&str>> = HashMap::new();
    let hasher = RandomState::new();
    for (tool, category, _) in tools {
        let mut words: Vec<u64> = of_text(&tool.description).map(|word| hasher.hash_one(word)).collect();
        words.sort_unstable();
        words.dedup();
        if !words.is_empty() {
            same.entry((*category, words)).or_default().push(&tool.name);
        }
    }
    let mut twins: Vec<&Vec<&str>> = same.values().filter(|names| names.len() > 1).collect();
    twins.sort_unstable();
    seen.extend(twins.iter().map(|names| format!("described in the same words: {}", listed(names))));
    graded(twins.iter().map(|names| names.len()).sum(), tools.len(), [0, 10, 25, 50])
}

/// In one style, and with the verb in the same place.
fn named_alike(names: &[&str], seen: &mut Vec<String>) -> u64 {
    let mut styles: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in names {
        styles.entry(style(name)).or_default().push(name);
    }
    // A name of one small word is of every style.
    let plain = styles.remove("plain").map_or(0, |names| names.len());
    let most = styles.values().map(Vec::len).max().unwrap_or(0) + plain;
    if styles.len() > 1 {
        let told: Vec<String> =
            styles.iter().map(|(style, names)| format!("{style} ({})", listed(names))).collect();
        seen.push(format!("names in several styles: {}", told.join(", ")));
    }
    let begins =
        names.iter().filter(|name| of_name(name).iter().take(2).any(|word| verb(word).is_some())).count();
    let without: Vec<&str> =
        names.iter().copied().filter(|name| of_name(name).iter().all(|word| verb(word).is_none())).collect();
    if !without.is_empty() {
        seen.push(format!("names without a verb: {}", listed(&without)));
    }
    let odd = (names.len() - most).max(names.len().saturating_sub(begins) / 2);
    graded(odd, names.len(), [0, 15, 30, 50])
}

fn style(name: &str) -> &'static str {
    let has = |is: fn(char) -> bool| name.chars().any(is);
    match (
        has(|it| it == '_'),
        has(|it| it == '-'),
        has(|it| it == '.' || it == '/'),
        has(char::is_uppercase),
    ) {
        (false, false, false, false) => "plain",
        (true, false, false, false) => "snake_case",
        (false, true, false, false) => "kebab-case",
        (false, false, false, true) if name.starts_with(char::is_uppercase) => "PascalCase",
        (false, false, false, true) => "camelCase",
        (_, _, true, _) => "dotted",
        _ => "mixed",
    }
}

fn sized(count: usize, seen: &mut Vec<String>) -> u64 {
    let score = match count {
        3..=15 => return 5,
        2 | 16..=25 => 3,
        ..=1 | 26..=49 => 2,
        _ => 1,
    };
    seen.push(format!("{count} tools: 3 to 15 are best"));
    score
}

/// What can be made can be looked at and taken away too.
fn whole(names: &[&str], seen: &mut Vec<String>) -> u64 {
    const MAKES: [&str; 6] = ["create", "add", "insert", "start", "open", "register"];
    const LOOKS: [&str; 9] = ["get", "list", "read", "search", "find", "show", "query", "fetch", "view"];
    const ENDS: [&str; 14] = [
        "delete",
        "remove",
        "destroy",
        "close",
        "stop",
        "cancel",
        "archive",
        "revoke",
        "drop",
        "end",
        "unregister",
        "clear",
        "update",
        "manage",
    ];
    let mut done: HashMap<Vec<String>, HashSet<&str>> = HashMap::new();
    for name in names {
        let words = of_name(name);
        let Some(root) = words.iter().find_map(|word| verb(word)).map(|verb| verb.root) else { continue };
        let things: Vec<String> = words
            .iter()
            .filter(|word| verb(word).is_none_or(|verb| verb.root != root))
            .map(|word| word.strip_suffix('s').unwrap_or(word).to_owned())
            .collect();
        done.entry(things).or_default().insert(root);
    }
    let mut made = 0;
    let mut gaps = Vec::new();
    for (thing, acts) in done.iter().filter(|(_, acts)| MAKES.iter().any(|verb| acts.contains(verb))) {
        made += 1;
        let lacks = |verbs: &[&str]| !verbs.iter().any(|verb| acts.contains(verb));
        match (lacks(&LOOKS), lacks(&ENDS)) {
            (true, true) => {
                gaps.push(format!("{} can be made, and neither seen nor taken away", thing.join(" ")))
            }
            (false, true) => gaps.push(format!("{} can be made, and not taken away", thing.join(" "))),
            _ => {}
        }
    }
    gaps.sort_unstable();
    let score = graded(gaps.len(), made, [0, 30, 60, 101]);
    seen.extend(gaps.into_iter().take(SHOWN));
    score
}

/// Names that a sentence has at most.
const SHOWN: usize = 5;

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// For each dear tool the dearest of those that cost at most half of it and four less: the cheapest of all would be the
/// one without arguments that nearly every server has. Of several that cost the same, the first by name (UTF-16).
fn shadows(costs: &[(&str, u64)]) -> Vec<Shadow> {
    let mut cheapest: BTreeMap<u64, &str> = BTreeMap::new();
    for (name, cost) in costs {
        let first = cheapest.entry(*cost).or_insert(name);
        if name.encode_utf16().lt(first.encode_utf16()) {
            *first = name;
        }
    }
    let of = |(tool, cost): &(&str, u64)| {
        let (cheaper_cost, cheaper) = cheapest.range(..=(cost / 2).min(cost.checked_sub(4)?)).next_back()?;
        Some(Shadow {
            tool: (*tool).to_owned(),
            invocation_cost: *cost,
            cheaper_sibling: (*cheaper).to_owned(),
            cheaper_sibling_invocation_cost: *cheaper_cost,
        })
    };
    costs.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_tool_is_shadowed_by_the_dearest_of_those_that_cost_half() {
        let found = shadows(&[("dear", 10), ("b", 5), ("a", 5), ("c", 6), ("free", 0), ("four", 4)]);
        let pairs: Vec<_> = found.iter().map(|it| (&*it.tool, &*it.cheaper_sibling)).collect();
        assert_eq!(pairs, [("dear", "a"), ("b", "free"), ("a", "free"), ("c", "free"), ("four", "free")]);
    }

    #[test]
    fn names_are_of_one_style_or_it_is_told() {
        let mut seen = Vec::new();
        assert_eq!(named_alike(&["get_a", "list_b", "ping"], &mut seen), 5);
        assert!(seen.is_empty(), "{seen:?}");
        assert!(named_alike(&["get_a", "listB", "foo-bar"], &mut seen) < 3);
        assert!(seen.iter().any(|it| it.contains("several styles")), "{seen:?}");
        assert_eq!(sized(60, &mut seen), 1);
        assert_eq!(whole(&["create_issue", "get_issue", "delete_issue", "list_things"], &mut seen), 5);
        assert_eq!(whole(&["create_issue", "add_comment", "list_comments"], &mut seen), 2, "{seen:?}");
        assert!(seen.iter().any(|it| it == "issue can be made, and neither seen nor taken away"), "{seen:?}");
    }
}
