//! How far the classifier agrees with labels: `cargo run -p portcullis-catalogue --example agreement -- LABELS.tsv [--all]`.
//!
//! The file has the columns `tool_name`, `server`, `description` and `category`. Labels are noisy, so every disagreement is
//! printed, to be judged.

use portcullis_catalogue::{Category, Class, Definition, Surroundings, classify};
use std::collections::BTreeMap;
use std::process::ExitCode;

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
    let mut table: BTreeMap<(Category, Category), usize> = BTreeMap::new();
    for row in &rows {
        let around = names.get(&*row.server).into_iter().flatten().copied();
        let found = classify(&row.tool, &Surroundings::of(&row.server, around));
        *table.entry((row.label, found.category)).or_default() += 1;
        if found.category != row.label {
            say(row, &found);
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
    ExitCode::SUCCESS
}

fn say(row: &Row, found: &Class) {
    let evidence: Vec<_> =
        found.evidence.iter().map(|it| format!("{} `{}`", it.place.as_str(), it.words)).collect();
    println!(
        "{} for {}: {} ({}) {:?}; {}: {}",
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
