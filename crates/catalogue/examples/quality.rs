//! How far the grades agree with those that were published: `cargo run -p portcullis-catalogue --example quality -- GRADES.tsv`.
//!
//! The file has the columns `tool`, `description`, `params_count`, `schema_coverage_pct`, the six grades and `tier`. Totals
//! were rounded down at a tie when they were published, and are rounded up by the specification since; so the published
//! grades are added up anew, and the tier that stood there is compared beside that.

use portcullis_catalogue::{Definition, Dimension, Facts, Siblings, Surroundings, Tier, classify, quality};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap};
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(file) = std::env::args().nth(1) else {
        eprintln!("usage: quality GRADES.tsv");
        return ExitCode::from(2);
    };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("{file}: {error}");
            return ExitCode::from(2);
        }
    };
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let columns = lines.next().unwrap_or_default();
    let rows: Vec<HashMap<&str, &str>> =
        lines.map(|cells| columns.iter().copied().zip(cells).collect()).collect();
    let names: Vec<&str> = rows.iter().filter_map(|row| row.get("tool").copied()).collect();
    let (around, siblings) =
        (Surroundings::of("", names.iter().copied()), Siblings::of(names.iter().copied()));
    let mut exact: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut tiers, mut passes, mut as_printed) = (0, 0, 0);
    for row in &rows {
        let raw = definition(row);
        let Some(tool) = Definition::of(raw.clone()) else { continue };
        let found = quality(&tool, Facts::of(&raw), &classify(&tool, &around), &siblings);
        let number = |name: &str| row.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        let mut hundredths = 0;
        for of in Dimension::ALL {
            let published = number(if of == Dimension::Behaviour { "behavior" } else { of.as_str() });
            hundredths += of.weight() * published;
            *exact.entry(of.as_str()).or_default() += usize::from(found.grade(of).score == published);
        }
        let tenths = (hundredths + 5) / 10;
        let tier = match tenths {
            35.. => Tier::A,
            30.. => Tier::B,
            20.. => Tier::C,
            _ => Tier::D,
        };
        let pass = |tier: Tier| tier <= Tier::B;
        tiers += usize::from(found.tier == tier);
        passes += usize::from(pass(found.tier) == pass(tier));
        as_printed += usize::from(row.get("tier") == Some(&found.tier.as_str()));
        if found.tier != tier {
            let grades: Vec<String> =
                Dimension::ALL.map(|of| format!("{} {}", of.as_str(), found.grade(of).score)).into();
            println!(
                "{} ({}) for {} ({}.{}): {}: {}",
                found.tier.as_str(),
                found.score,
                tier.as_str(),
                tenths / 10,
                tenths % 10,
                tool.name,
                grades.join(", ")
            );
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "a share, for a person")]
    let share = |count: usize| 100.0 * count as f64 / rows.len() as f64;
    println!();
    for (of, count) in exact {
        println!("{of:14} {:5.1} % the same grade", share(count));
    }
    println!(
        "\nof {}: tier {:.1} %, pass or not {:.1} %; as printed then: tier {:.1} %",
        rows.len(),
        share(tiers),
        share(passes),
        share(as_printed)
    );
    ExitCode::SUCCESS
}

/// One with as many arguments, of which as many are described.
fn definition(row: &HashMap<&str, &str>) -> Value {
    let number = |name: &str| row.get(name).and_then(|text| text.parse::<usize>().ok()).unwrap_or_default();
    let (all, coverage) = (number("params_count"), number("schema_coverage_pct"));
    let arguments: Map<String, Value> = (0..all)
        .map(|at| {
            let described = 100 * at < coverage * all;
            let schema = if described { json!({ "description": "as it says" }) } else { json!({}) };
            (format!("argument_{at}"), schema)
        })
        .collect();
    let text = row.get("description").copied().unwrap_or_default().replace("\\n", "\n");
    json!({ "name": row.get("tool"), "description": text, "inputSchema": { "type": "object", "properties": arguments } })
}
