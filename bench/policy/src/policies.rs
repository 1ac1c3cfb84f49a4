//! The same policy in three languages.

use std::fmt::Write as _;

/// One predicate, as each language says it.
pub struct Predicate {
    path: &'static str,
    op: &'static str,
    value: &'static str,
    cedar: &'static str,
    cel: &'static str,
    /// As CEL says it with `matches`, where ours is a regular expression.
    cel_matches: Option<&'static str>,
}

const fn predicate(
    ours: [&'static str; 3],
    cedar: &'static str,
    cel: &'static str,
    cel_matches: Option<&'static str>,
) -> Predicate {
    let [path, op, value] = ours;
    Predicate { path, op, value, cedar, cel, cel_matches }
}

/// What must hold. An argument that is missing denies.
pub static REQUIRED: [Predicate; 5] = [
    predicate(["args.amount", "lte", "10050"], "context.amount <= 10050", "args.amount <= 10050", None),
    predicate(
        ["args.currency", "in", r#"["EUR", "USD", "GBP"]"#],
        r#"["EUR", "USD", "GBP"].contains(context.currency)"#,
        r#"args.currency in ["EUR", "USD", "GBP"]"#,
        None,
    ),
    predicate(
        ["args.customer.country", "neq", r#""XX""#],
        r#"context.customer.country != "XX""#,
        r#"args.customer.country != "XX""#,
        None,
    ),
    predicate(
        ["args.note", "contains", r#""order""#],
        r#"context.note like "*order*""#,
        r#"args.note.contains("order")"#,
        None,
    ),
    predicate(["args.live", "eq", "true"], "context.live == true", "args.live == true", None),
];

/// What must not hold, each alone. An argument that is missing does not deny: the others are asked first whether it is there.
pub static DENIED: [Predicate; 5] = [
    predicate(
        ["args.amount", "gt", "9000"],
        "context has amount && context.amount > 9000",
        "has(args.amount) && args.amount > 9000",
        None,
    ),
    predicate(
        ["args.note", "eq", r#""secret order""#],
        r#"context has note && context.note == "secret order""#,
        r#"has(args.note) && args.note == "secret order""#,
        None,
    ),
    predicate(
        ["args.customer.id", "regex", r#""^test_""#],
        r#"context has customer && context.customer has id && context.customer.id like "test_*""#,
        r#"has(args.customer) && has(args.customer.id) && args.customer.id.startsWith("test_")"#,
        Some(r#"has(args.customer) && has(args.customer.id) && args.customer.id.matches("^test_")"#),
    ),
    predicate(
        ["args.items[*].count", "gte", "10"],
        r#"context has items && context.items.contains({"count": 10})"#,
        "has(args.items) && args.items.exists(item, item.count >= 10)",
        None,
    ),
    predicate(["args.reason", "exists", "true"], "context has reason", "has(args.reason)", None),
];

/// What is said of one tool.
pub struct Rule {
    tool: String,
    required: &'static [Predicate],
    denied: &'static [Predicate],
}

/// A rule with all predicates for each of so many tools, `tool_0` and on.
pub fn whole_rules(count: usize) -> Vec<Rule> {
    (0..count).map(|at| Rule { tool: format!("tool_{at}"), required: &REQUIRED, denied: &DENIED }).collect()
}

/// A rule with one predicate of each kind for each of so many tools, all predicates in turn.
pub fn short_rules(count: usize) -> Vec<Rule> {
    let one = |all: &'static [Predicate; 5], at: usize| all.get(at % 5..=at % 5).unwrap_or_default();
    (0..count)
        .map(|at| Rule { tool: format!("tool_{at}"), required: one(&REQUIRED, at), denied: one(&DENIED, at) })
        .collect()
}

/// Ours, as YAML.
pub fn yaml(rules: &[Rule]) -> String {
    let mut text = String::from("version: \"1\"\ndefault: deny\ntools:\n");
    for Rule { tool, required, denied } in rules {
        let _ = writeln!(text, "  {tool}:\n    require:");
        for Predicate { path, op, value, .. } in *required {
            let _ = writeln!(text, "      - {{ path: '{path}', op: {op}, value: {value} }}");
        }
        text.push_str("    deny_if:\n");
        for Predicate { path, op, value, .. } in *denied {
            let _ = writeln!(text, "      - conditions: [{{ path: '{path}', op: {op}, value: {value} }}]");
        }
    }
    text
}

/// Ours, as JSON with a line for each tool.
pub fn json(rules: &[Rule]) -> String {
    let ours = |p: &Predicate| format!(r#"{{"path": "{}", "op": "{}", "value": {}}}"#, p.path, p.op, p.value);
    let tools = rules.iter().map(|Rule { tool, required, denied }| {
        let required: Vec<_> = required.iter().map(ours).collect();
        let denied: Vec<_> = denied.iter().map(|p| format!(r#"{{"conditions": [{}]}}"#, ours(p))).collect();
        let (required, denied) = (required.join(", "), denied.join(", "));
        format!(r#"  "{tool}": {{"require": [{required}], "deny_if": [{denied}]}}"#)
    });
    let tools: Vec<_> = tools.collect();
    format!("{{\"version\": \"1\", \"default\": \"deny\", \"tools\": {{\n{}\n}}}}\n", tools.join(",\n"))
}

/// Ours, as YAML, where each rule is nothing but a regular expression of its own.
pub fn yaml_of_patterns(count: usize) -> String {
    let mut text = String::from("version: \"1\"\ndefault: deny\ntools:\n");
    for at in 0..count {
        let predicate = format!("{{ path: args.note, op: regex, value: '^order {at}-[a-z]+$' }}");
        let _ = writeln!(text, "  tool_{at}:\n    require:\n      - {predicate}");
    }
    text
}

/// Cedar's: one policy for each tool.
pub fn cedar(rules: &[Rule]) -> Vec<(String, String)> {
    let policy = |Rule { tool, required, denied }: &Rule| {
        let required: Vec<_> = required.iter().map(|p| format!("({})", p.cedar)).collect();
        let denied: Vec<_> = denied.iter().map(|p| format!("({})", p.cedar)).collect();
        let text = format!(
            "permit (principal, action == Action::\"call\", resource == Tool::\"{tool}\")\nwhen {{ {} }}\nunless {{ {} }};\n",
            required.join(" && "),
            denied.join(" || ")
        );
        (tool.clone(), text)
    };
    rules.iter().map(policy).collect()
}

/// How CEL is to say what ours says with a regular expression.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Regex {
    /// `startsWith`.
    Prefix,
    /// `matches`.
    Matches,
}

/// CEL's: one expression for each tool.
pub fn cel(rules: &[Rule], regex: Regex) -> Vec<(String, String)> {
    let expression = |Rule { tool, required, denied }: &Rule| {
        let said = |p: &Predicate| match (regex, p.cel_matches) {
            (Regex::Matches, Some(matches)) => matches,
            _ => p.cel,
        };
        let required = required.iter().map(|p| said(p).to_owned());
        let denied = denied.iter().map(|p| format!("!({})", said(p)));
        (tool.clone(), required.chain(denied).collect::<Vec<_>>().join(" && "))
    };
    rules.iter().map(expression).collect()
}
