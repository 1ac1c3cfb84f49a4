//! Calls that two policies are tried on.
//!
//! A predicate changes its mind at the values that it compares with. So each argument is given those values, their
//! neighbours, something of another type and nothing; first the ones that most predicates are content with, then others,
//! argument by argument, then several at once, up to a bound. The same policies are always tried on the same calls.

use super::sample::samples;
use crate::operator::Operator;
use crate::path::Step;
use crate::predicate::{Predicate, Test};
use crate::rule::Rule;
use crate::{Decimal, Path};

/// The most calls that are made for a tool.
const MOST: usize = 256;

/// The arguments of the calls, as JSON; the first has none.
pub(super) fn arguments(rules: &[&Rule]) -> Vec<String> {
    let places = places(rules);
    let mut picks = vec![vec![0; places.len()]];
    // Each argument in turn, so that the bound falls on the last values of all and not on the last arguments.
    for pick in 1..places.iter().map(|place| place.values.len()).max().unwrap_or(0) {
        for (at, _) in places.iter().enumerate().filter(|(_, place)| pick < place.values.len()) {
            picks.push((0..places.len()).map(|other| if other == at { pick } else { 0 }).collect());
        }
    }
    for several in 2..=places.len() {
        vary(&places, several, Vec::new(), &mut picks);
    }
    let mut all = vec!["{}".to_owned()];
    for pick in picks.into_iter().take(MOST) {
        let mut tree = Tree::Map(Vec::new());
        for (place, at) in places.iter().zip(pick) {
            if let Some(Some(value)) = place.values.get(at) {
                let Some(argument) = place.path.argument() else { continue };
                let root = Step::Key(argument.into());
                let steps: Vec<&Step> = std::iter::once(&root).chain(&place.path.steps).collect();
                tree.put(&steps, value);
            }
        }
        let mut text = String::new();
        tree.write(&mut text);
        if all.len() < MOST && !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// All picks in which so many places have another value than their first.
fn vary(places: &[Place<'_>], several: usize, begun: Vec<usize>, picks: &mut Vec<Vec<usize>>) {
    let left = places.len() - begun.len();
    if picks.len() >= MOST || several > left {
        return;
    }
    let Some(place) = places.get(begun.len()) else {
        picks.push(begun);
        return;
    };
    for pick in 0..place.values.len() {
        if pick == 0 || several > 0 {
            vary(places, several - usize::from(pick > 0), [&*begun, &[pick]].concat(), picks);
        }
    }
}

/// A place in the arguments, and what is tried there; nothing is tried, too.
struct Place<'p> {
    path: &'p Path,
    values: Vec<Option<String>>,
    /// The tests that look there, each with the answer that lets a call pass.
    tests: Vec<(&'p Test, bool)>,
}

fn places<'p>(rules: &[&'p Rule]) -> Vec<Place<'p>> {
    let mut places: Vec<Place<'p>> = Vec::new();
    let mut at = |path: &'p Path| -> Option<usize> {
        let same = |place: &Place<'_>| place.path == path;
        places.iter().position(same).or_else(|| {
            places.push(Place { path, values: Vec::new(), tests: Vec::new() });
            Some(places.len() - 1)
        })
    };
    let mut tests = Vec::new();
    for rule in rules {
        for (word, clause) in rule.clauses() {
            for condition in &clause.conditions {
                collect(condition, word == "require", &mut tests);
            }
        }
    }
    let tests: Vec<_> = tests.into_iter().map(|(test, wanted)| (at(&test.path), test, wanted)).collect();
    let counted = rules.iter().flat_map(|rule| &rule.limits);
    let counted: Vec<_> = counted.filter_map(|limit| Some((at(limit.amount()?), limit.max))).collect();
    for (at, test, wanted) in tests {
        if let Some(place) = at.and_then(|at| places.get_mut(at)) {
            place.values.extend(values(test).into_iter().map(Some));
            place.tests.push((test, wanted));
        }
    }
    for (at, max) in counted {
        if let Some(place) = at.and_then(|at| places.get_mut(at)) {
            place.values.extend(["1".to_owned(), max.to_string(), "-1".to_owned()].map(Some));
        }
    }
    for place in &mut places {
        place.settle();
    }
    places
}

fn collect<'p>(predicate: &'p Predicate, wanted: bool, tests: &mut Vec<(&'p Test, bool)>) {
    match predicate {
        Predicate::Test(test) => tests.push((test, wanted)),
        Predicate::All(parts) | Predicate::Any(parts) => {
            parts.iter().for_each(|part| collect(part, wanted, tests));
        }
        Predicate::Not(part) => collect(part, !wanted, tests),
    }
}

impl Place<'_> {
    /// Each value once, those first that most tests are content with.
    fn settle(&mut self) {
        let mut values: Vec<Option<String>> = Vec::new();
        for value in self.values.drain(..).chain([Some("{}".to_owned()), None]) {
            if !values.contains(&value) {
                values.push(value);
            }
        }
        let content = |value: &Option<String>| {
            let Some(raw) = value else { return 0 };
            self.tests.iter().filter(|(test, wanted)| test.operator.judge(raw) == Ok(*wanted)).count()
        };
        values.sort_by_cached_key(|value| std::cmp::Reverse(content(value)));
        self.values = values;
    }
}

/// What a test may change its mind at, as JSON.
fn values(test: &Test) -> Vec<String> {
    let value = test.value.get();
    let text = || serde_json::from_str::<String>(value).unwrap_or_default();
    match &test.operator {
        Operator::Eq(_) | Operator::Neq(_) => vec![value.to_owned(), another(value)],
        Operator::In(_) | Operator::NotIn(_) => {
            let members = listed(value);
            let others: Vec<_> = members.first().map(|first| another(first)).into_iter().collect();
            [members, others].concat()
        }
        Operator::Lt(at) | Operator::Lte(at) | Operator::Gt(at) | Operator::Gte(at) => around(at),
        Operator::Glob(..) => {
            let filled = text().replace('*', "").replace('?', "x");
            vec![json(&filled), json(&text().replace(['*', '?'], "x")), json(OTHER)]
        }
        Operator::Regex(_) => samples(&text()).iter().map(|text| json(text)).chain([json(OTHER)]).collect(),
        Operator::Contains(_) => vec![value.to_owned(), format!("[{value}]"), json(OTHER)],
        Operator::Exists(_) => vec![json(OTHER)],
        Operator::StartsWith(part, _) => vec![json(&format!("{part}x")), json(OTHER)],
        Operator::EndsWith(part) => vec![json(&format!("x{part}")), json(OTHER)],
        Operator::Length(length) => lengths(length.0.iter().map(|(_, bound)| *bound)),
        Operator::Type(_) => ["\"x\"", "1", "1.5", "true", "[]"].into_iter().map(str::to_owned).collect(),
        Operator::Within(_) => {
            let folders =
                texts(value).into_iter().map(|folder| format!("{}/x", folder.trim_end_matches('/')));
            folders.chain(["/x".into()]).map(|path| json(&path)).collect()
        }
        Operator::HostIn(_) => {
            let hosts =
                texts(value).into_iter().map(|host| format!("https://{}/", host.replacen('*', "x", 1)));
            hosts.chain(["https://x.invalid/".into()]).map(|url| json(&url)).collect()
        }
        Operator::InCidr(_) => {
            let first = |network: String| network.split('/').next().unwrap_or_default().to_owned();
            texts(value).into_iter().map(first).chain(["192.0.2.1".into()]).map(|it| json(&it)).collect()
        }
        Operator::Command(_) => lines(value).iter().map(|line| json(line)).chain([json(OTHER)]).collect(),
    }
}

/// A line of each program with each word that may follow it, and of each sign that a line may have or not.
fn lines(value: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(value).unwrap_or_default();
    let texts = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|it| it.as_str().map(str::to_owned)).collect()
    };
    let following = |program: &String| match value.pointer("/arguments").and_then(|all| all.get(program)) {
        Some(words) => texts(words).into_iter().map(|word| format!("{program} {word}")).collect(),
        None => vec![program.clone()],
    };
    let programs = value.get("programs").map(texts).unwrap_or_default();
    let plain: Vec<String> = programs.iter().flat_map(following).collect();
    let first = plain.first().cloned().unwrap_or_default();
    let signs = ["; {}", " | {}", " > x", " $(x)", " &"];
    let signs = signs.map(|sign| first.clone() + &sign.replace("{}", &first));
    let with_option = plain.iter().map(|line| line.clone() + " -x").collect();
    [plain, with_option, signs.into(), vec![format!("X=x {first}")]].concat()
}

/// A text that is hardly in any policy.
const OTHER: &str = "x";

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Another value of the same type.
fn another(value: &str) -> String {
    match (value, value.parse::<Decimal>()) {
        ("true", _) => "false".into(),
        ("false", _) => "true".into(),
        (_, Ok(number)) => around(&number).pop().unwrap_or_default(),
        _ if value.starts_with('[') => "[]".into(),
        _ if value.starts_with('{') => "{}".into(),
        _ => json(
            &serde_json::from_str::<String>(value).map(|text| format!("{text}{OTHER}")).unwrap_or_default(),
        ),
    }
}

/// A number, the one below and the one above.
fn around(at: &Decimal) -> Vec<String> {
    let below = at.checked_sub(&Decimal::ONE);
    let above = at.checked_add(&Decimal::ONE);
    [Ok(*at), below, above].into_iter().flatten().map(|number| number.to_string()).collect()
}

/// Texts as long as that, and a little shorter and longer.
fn lengths(bounds: impl Iterator<Item = Decimal>) -> Vec<String> {
    const LONGEST: usize = 10_000;
    let numbers = bounds.flat_map(|bound| around(&bound));
    let lengths =
        numbers.filter_map(|number| number.parse::<usize>().ok()).filter(|length| *length <= LONGEST);
    lengths.map(|length| json(&"x".repeat(length))).collect()
}

/// The elements of a list of JSON, or the one value.
fn listed(value: &str) -> Vec<String> {
    match serde_json::from_str::<Vec<&serde_json::value::RawValue>>(value) {
        Ok(values) => values.into_iter().map(|value| value.get().to_owned()).collect(),
        Err(_) => vec![value.to_owned()],
    }
}

fn texts(value: &str) -> Vec<String> {
    listed(value).iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
}

/// Arguments while they are put together.
enum Tree {
    Value(String),
    Map(Vec<(Box<str>, Tree)>),
    List(Vec<Tree>),
}

impl Tree {
    /// Puts a value at a place. What stands in the way, such as a value where an object is needed, stays.
    fn put(&mut self, steps: &[&Step], value: &str) {
        // A list up to a far index says no more than a short one.
        const FARTHEST: usize = 16;
        let Some((step, rest)) = steps.split_first() else { return };
        let empty = || match rest.first() {
            None => Self::Value(value.to_owned()),
            Some(Step::Key(_)) => Self::Map(Vec::new()),
            Some(Step::Index(_) | Step::Each) => Self::List(Vec::new()),
        };
        let inside = match (self, step) {
            (Self::Map(members), Step::Key(name)) => {
                let at = members.iter().position(|(key, _)| key == name).unwrap_or(members.len());
                if at == members.len() {
                    members.push((name.clone(), empty()));
                }
                members.get_mut(at).map(|(_, inside)| inside)
            }
            (Self::List(values), Step::Index(_) | Step::Each) => {
                let at = if let Step::Index(at) = step { *at } else { 0 };
                while values.len() <= at.min(FARTHEST) {
                    values.push(empty());
                }
                values.get_mut(at)
            }
            _ => None,
        };
        if let Some(inside) = inside {
            inside.put(rest, value);
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Value(text) => out.push_str(text),
            Self::Map(members) => {
                out.push('{');
                for (at, (key, inside)) in members.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    out.push_str(&json(key));
                    out.push(':');
                    inside.write(out);
                }
                out.push('}');
            }
            Self::List(values) => {
                out.push('[');
                for (at, inside) in values.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    inside.write(out);
                }
                out.push(']');
            }
        }
    }
}
