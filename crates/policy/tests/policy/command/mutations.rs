//! A harmless line with `id` put into it: it holds only where the shell takes `id` for text.

use super::{gives, groups, policy};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What starts `id` wherever it stands outside of quotes.
const STARTS: [&str; 12] = [
    ";id;",
    "&id;",
    "&&id;",
    "||id;",
    "|id;",
    "\nid\n",
    "$(id)",
    "`id`",
    ";(id);",
    "; { id; };",
    ";! id;",
    ";i\\d;",
];

fn lines() -> Vec<(Value, String)> {
    let of = |line: Value| line.as_str().map(str::to_owned);
    groups("harmless.yaml")
        .into_iter()
        // Where nothing of it is allowed anyway.
        .filter(|group| {
            !group.allows["programs"].as_array().unwrap().contains(&json!("id"))
                && group.allows.get("substitutions").is_none()
        })
        .flat_map(|group| {
            group.lines.into_iter().filter_map(of).map(move |line| (group.allows.clone(), line))
        })
        .collect()
}

/// How a shell stands at the end of `line`: whether a word that follows is outside of all quotes and comments. An own
/// reading, to hold the other against.
fn is_outside(line: &str) -> bool {
    let mut quote = None;
    let mut before = ' ';
    let mut signs = line.chars();
    while let Some(sign) = signs.next() {
        match (quote, sign) {
            // What follows is text.
            (None, '\\') if signs.next().is_none() => return false,
            (Some('"'), '\\') => drop(signs.next()),
            (None, '\'' | '"') => quote = Some(sign),
            (None, '#') if matches!(before, ' ' | '\n' | ';') => quote = Some('\n'),
            (Some(open), sign) if open == sign => quote = None,
            _ => {}
        }
        before = sign;
    }
    quote.is_none()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn a_line_with_a_command_put_into_it_does_not_hold(
        (allows, line) in prop::sample::select(lines()), at in 0usize..60, start in prop::sample::select(STARTS.as_slice())
    ) {
        let at = line.char_indices().map(|(at, _)| at).chain([line.len()]).nth(at % (line.chars().count() + 1)).unwrap();
        let (before, behind) = line.split_at(at);
        let mutated = format!("{before}{start}{behind}");
        // In single quotes and comments all is text, in double quotes what begins with `;` is.
        if is_outside(before) {
            prop_assert_ne!(gives(&policy(&allows), &json!(mutated)), 'T', "{}", mutated);
        }
    }

    #[test]
    fn a_program_put_in_place_of_another_does_not_hold((allows, line) in prop::sample::select(lines())) {
        let (first, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let mutated = format!("id{first} {rest}");
        if first.chars().all(|sign| sign.is_ascii_lowercase()) {
            prop_assert_ne!(gives(&policy(&allows), &json!(mutated)), 'T', "{}", mutated);
        }
    }
}
