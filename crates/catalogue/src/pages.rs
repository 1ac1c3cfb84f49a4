//! Pages of documentation that are made from the data of the rules, so that they say what the rules do.
//! `PORTCULLIS_WRITE_PAGES=1 cargo test -p portcullis-catalogue pages` writes them anew.

use crate::{ATTACKS, Category, PLAIN_RULES, RULES, TEXT_RULES};
use std::fmt::Write as _;
use std::path::Path;

fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "'"))
}

fn rules() -> String {
    let mut out = String::from(
        "# The rules, one by one\n\n\
         What a tool does is told by the first of these rules that applies, and what speaks to the model by all of those below. Each has examples, which are tests. This page is \
         made from the same data.\n\n## What a tool does\n",
    );
    for rule in &RULES {
        let _ = writeln!(
            out,
            "\n### `{}`: {}\n\nSays: {}. {}",
            rule.id,
            rule.category.as_str(),
            rule.says,
            rule.because
        );
        for (heading, examples) in [("Examples", rule.examples), ("Not", rule.unlike)] {
            if !examples.is_empty() {
                let _ = writeln!(out, "\n| {heading} | description |\n|---|---|");
                for (name, description) in examples {
                    let _ = writeln!(out, "| {} | {} |", code(name), description.replace('|', "\\|"));
                }
            }
        }
    }
    out.push_str("\n## What speaks to the model\n");
    for rule in &TEXT_RULES {
        let severity = rule.severity.as_str();
        let _ = writeln!(out, "\n### `{}`: {severity}\n\nIt finds {}.\n", rule.id, rule.says);
        for (found, examples) in [("Found", rule.examples), ("Not found", rule.unlike)] {
            for text in examples {
                let _ = writeln!(out, "- {found}: {}", code(text));
            }
        }
    }
    out.push_str("\n## What else is found\n");
    for rule in PLAIN_RULES {
        let _ = writeln!(out, "\n### `{}`: {}\n\nIt finds {}.", rule.id, rule.severity.as_str(), rule.says);
    }
    out
}

fn attacks() -> String {
    let mut out = String::from(
        "# Ways of attack\n\n\
         What they look like, which tools invite them, what stops them here, and how far: *stopped* (it does not get through), *limited* (so much of it as the policy allows), \
         *recorded* (it gets through, and is seen afterwards). `portcullis scan --html` says which tools of a server invite which.\n",
    );
    for attack in &ATTACKS {
        let _ = write!(
            out,
            "\n## {}\n\n<a id=\"{}\"></a>\n\n{}\n\n- Invited by: {}.\n- What stops it: {}\n- How far: **{}**.\n",
            attack.name,
            attack.id,
            attack.looks,
            attack.invited_by,
            attack.stops,
            attack.coverage.as_str()
        );
    }
    out
}

fn keep(name: &str, text: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("PORTCULLIS_WRITE_PAGES").is_some() {
        std::fs::write(&page, text).unwrap();
    }
    let there = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(there == text, "docs/{name} is not what the rules say: PORTCULLIS_WRITE_PAGES=1 writes it");
}

#[test]
fn the_pages_say_what_the_rules_do() {
    assert!(RULES.iter().any(|rule| rule.category == Category::Financial));
    keep("rules.md", &rules());
    keep("attacks.md", &attacks());
}
