//! How far the classifier agrees with labels: `cargo run -p portcullis-catalogue --example agreement -- LABELS.tsv`.
//!
//! The file has the columns `tool_name`, `server`, `description` and `category`. Labels are noisy, so every disagreement is
//! printed, with who is right where a person has judged it (`judged.tsv`).

use portcullis_catalogue::{Category, Class, Definition, Surroundings, classify};
use std::collections::BTreeMap;
use std::process::ExitCode;

/// Disagreements that a person has judged, with the reason.
const JUDGED: &str = include_str!("judged.tsv");

struct Row {
    server: String,
    tool: Definition,
    label: Category,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(file) = words.first() else {
        eprintln!("usage: agreement LABELS.tsv");
        return ExitCode::from(2);
    };
    let rows = match std::fs::read_to_string(file) {
        Ok(text) => read(&text),
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut names: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in &rows {
        names.entry(&row.server).or_default().push(&row.tool.name);
    }
    let mut judged: BTreeMap<&str, usize> = BTreeMap::new();
    let mut table: BTreeMap<(Category, Category), usize> = BTreeMap::new();
    for row in &rows {
        let around = names.get(&*row.server).into_iter().flatten().copied();
        let found = classify(&row.tool, &Surroundings::of(&row.server, around));
        *table.entry((row.label, found.category)).or_default() += 1;
        if found.category != row.label {
            let (right, why) = judgement(row, &found).unwrap_or(("not judged", ""));
            *judged.entry(right).or_default() += 1;
            say(row, &found, right, why);
        }
    }
    println!("\n{:12} {}", "label", Category::ALL.map(|found| format!("{:>12}", found.as_str())).concat());
    for label in Category::ALL {
        let counts = Category::ALL.map(|found| format!("{:>12}", table.get(&(label, found)).unwrap_or(&0)));
        println!("{:12} {}", label.as_str(), counts.concat());
    }
    let agreed: usize = Category::ALL.iter().filter_map(|it| table.get(&(*it, *it))).sum();
    #[allow(clippy::cast_precision_loss, reason = "a share, for a person")]
    let share = 100.0 * agreed as f64 / rows.len() as f64;
    println!("\n{agreed} of {} agree: {share:.1} %", rows.len());
    let judged: Vec<String> = judged.iter().map(|(right, count)| format!("{right} {count}")).collect();
    println!("right where they disagree: {}", judged.join(", "));
    ExitCode::SUCCESS
}

/// Who is right, and why, by the list of those that were judged.
fn judgement(row: &Row, found: &Class) -> Option<(&'static str, &'static str)> {
    let wanted = [row.server.as_str(), row.tool.name.as_str(), found.category.as_str(), row.label.as_str()];
    JUDGED.lines().map(|line| line.split('\t').collect::<Vec<_>>()).find_map(|cells| match cells.as_slice() {
        [of @ .., right, why] if *of == wanted => Some((*right, *why)),
        _ => None,
    })
}

fn say(row: &Row, found: &Class, right: &str, why: &str) {
    let evidence: Vec<_> =
        found.evidence.iter().map(|it| format!("{} `{}`", it.place.as_str(), it.words)).collect();
    println!(
        "{} for {}: {} ({}) {:?}; {}: {}; right: {right} {why}",
        found.category.as_str(),
        row.label.as_str(),
        row.tool.name,
        row.server,
        row.tool.description,
        found.rule.id,
        evidence.join(", "),
    );
}

fn read(text: &str) -> Vec<Row> {
    let rows = text.lines().skip(1).filter_map(|line| {
        let mut cells = line.split('\t');
        let (name, server, description) = (cells.next()?, cells.next()?, cells.next()?);
        let label = Category::ALL.into_iter().find(|it| Some(it.as_str()) == cells.clone().next())?;
        let raw = serde_json::json!({ "name": name, "description": description });
        Some(Row { server: server.to_owned(), tool: Definition::read(&raw.to_string())?, label })
    });
    rows.collect()
}
