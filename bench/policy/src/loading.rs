//! What reading a file of rules takes.

use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;

use crate::allocations::{Allocations, counted};
use crate::error::Error;
use crate::ours::Ours;
use crate::policies::{self, Regex};
use crate::rounds::{Lane, in_turn};
use crate::{cedar, cel};

/// How often each file is read.
const ROUNDS: usize = 9;

/// One file read by one engine.
#[derive(Debug, Serialize)]
pub struct Loading {
    /// What is in it.
    pub rules: &'static str,
    /// The engine, and how the file is written.
    pub engine: &'static str,
    /// The size of the file.
    pub bytes: usize,
    /// From the text to a policy in force; the median.
    pub milliseconds: f64,
    /// How many times as long as the first engine takes for the same rules.
    pub times_ours: f64,
    /// While it is read, and what is kept.
    pub allocations: Allocations,
}

/// A file and who reads it.
struct File<'a> {
    rules: &'static str,
    engine: &'static str,
    bytes: usize,
    read: Box<dyn Fn() -> Result<Box<dyn std::any::Any>, Error> + 'a>,
}

/// Reads all files in turn.
///
/// # Errors
/// Where one is refused.
pub fn loading() -> Result<Vec<Loading>, Error> {
    const SHORT: &str = "5,000 rules of 2 predicates";
    const WHOLE: &str = "1,000 rules of 10 predicates";
    const PATTERNS: &str = "5,000 rules of 1 regular expression, no two alike";
    let (short, whole) = (policies::short_rules(5_000), policies::whole_rules(1_000));
    let patterns = policies::yaml_of_patterns(5_000);
    let mut files = vec![];
    for (rules, said) in [(SHORT, &short), (WHOLE, &whole)] {
        files.push(ours(rules, "ours, YAML", "policy.yaml", policies::yaml(said)));
        files.push(ours(rules, "ours, JSON", "policy.json", policies::json(said)));
        let text: String = policies::cedar(said).into_iter().map(|(_, policy)| policy).collect();
        let json = cedar::as_json(&text)?;
        files.push(file(rules, "cedar", text.len(), move || cedar::read(&text)));
        files.push(file(rules, "cedar, JSON", json.len(), move || cedar::read_json(&json)));
        let expressions = policies::cel(said, Regex::Prefix);
        let bytes = expressions.iter().map(|(_, expression)| expression.len()).sum();
        files.push(file(rules, "cel", bytes, move || cel::compile(&expressions)));
    }
    files.push(ours(PATTERNS, "ours, YAML", "policy.yaml", patterns));

    let mut lanes = Vec::new();
    for file in &files {
        lanes.push(Lane::new(Duration::ZERO, || {
            black_box((file.read)()?);
            Ok(())
        })?);
    }
    in_turn(ROUNDS, &mut lanes)?;
    let rows = files.iter().zip(&lanes).map(|(File { rules, engine, bytes, read }, lane)| {
        let first = files.iter().zip(&lanes).find(|(file, _)| file.rules == *rules);
        let (policy, allocations) = counted(read);
        policy?;
        Ok(Loading {
            rules,
            engine,
            bytes: *bytes,
            milliseconds: lane.median() / 1e6,
            times_ours: first.map_or(f64::NAN, |(_, first)| lane.times(first)),
            allocations,
        })
    });
    rows.collect()
}

fn ours(rules: &'static str, engine: &'static str, name: &'static str, text: String) -> File<'static> {
    file(rules, engine, text.len(), move || Ours::read(name, &text))
}

fn file<'a, T: 'static>(
    rules: &'static str,
    engine: &'static str,
    bytes: usize,
    read: impl Fn() -> Result<T, Error> + 'a,
) -> File<'a> {
    File { rules, engine, bytes, read: Box::new(move || Ok(Box::new(read()?))) }
}
