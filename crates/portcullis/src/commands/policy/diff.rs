//! `portcullis policy diff`.

use super::{text, tools};
use crate::cli::{DiffArgs, PlaceArgs};
use crate::failure::Failure;
use crate::out::{counted, say};
use portcullis_policy::{Answer, Difference, Direction, Effect, Gap, LimitShown, Policy, ToolChange};
use serde::Serialize;
use std::process::ExitCode;

/// Says what becomes of calls when one policy takes the place of another.
pub(super) fn diff(place: &PlaceArgs, args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (a, b) = (text::policy(&args.a)?, text::policy(&args.b)?);
    let mut known = Vec::new();
    for against in &args.against {
        let tools = tools::of(place, against)?;
        let kinds = tools::kinds(against, &tools);
        known.push((against, tools, kinds));
    }
    let shapes: Vec<_> =
        known.iter().flat_map(|(against, tools, kinds)| tools::shapes(against, tools, kinds)).collect();
    let difference = a.diff(&b, &shapes);
    if args.json {
        let said = serde_json::to_string(&Said { a: a.file(), b: b.file(), difference: &difference })
            .map_err(|error| Failure::bug(error.to_string()))?;
        say!("{said}");
    } else {
        print(&a, &b, &difference);
        if args.against.is_empty() {
            print_untried(&a, &b);
        }
        say!("{}", verdict(difference.verdict));
    }
    let loosens = matches!(difference.verdict, Direction::Loosens | Direction::Both);
    Ok(if loosens && args.fail_on.is_some() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

#[derive(Serialize)]
struct Said<'d> {
    a: &'d str,
    b: &'d str,
    #[serde(flatten)]
    difference: &'d Difference,
}

fn print(a: &Policy, b: &Policy, difference: &Difference) {
    if let Some(default) = &difference.default {
        say!("other tools: {} → {}", default.from, default.to);
    }
    difference.tools.iter().for_each(print_tool);
    if !difference.limits.is_empty() {
        say!("limits");
    }
    for change in &difference.limits {
        say!("  {}: {} → {}", change.rule, limit(change.from.as_ref()), limit(change.to.as_ref()));
    }
    print_gaps("what may let more calls pass", &difference.looser, a, b);
    print_gaps("what may let fewer calls pass", &difference.stricter, a, b);
    say!(
        "{} tried, with calls made of what the rules compare with; other calls may come out otherwise",
        counted(difference.tried, "tool", "tools")
    );
}

fn print_tool(tool: &ToolChange) {
    match &*tool.upstream {
        "" => say!("{}", tool.tool),
        upstream => say!("{} of {upstream}", tool.tool),
    }
    let said = |answer: Answer, rule: &str| match answer {
        Answer::Allowed | Answer::Hidden => answer.as_str().to_owned(),
        Answer::Held | Answer::Denied => format!("{} by {rule}", answer.as_str()),
    };
    for change in &tool.changes {
        let (from, to) = (said(change.from, &change.rule_from), said(change.to, &change.rule_to));
        say!("  {from} → {to}: {}", change.call.arguments);
    }
    if tool.changes.is_empty() {
        let differ = match tool.predicates_differ {
            1 => "1 predicate differs".to_owned(),
            count => format!("{count} predicates differ"),
        };
        say!("  judged by arguments: {differ}, and no call that was tried shows it");
    }
}

fn limit(limit: Option<&LimitShown>) -> String {
    let Some(limit) = limit else { return "none".into() };
    let of = limit.amount.as_ref().map(|path| format!(" of {path}")).unwrap_or_default();
    let back = if limit.refund == "on_error" { ", errors given back" } else { "" };
    format!("{}{of} per {} on {}{back}", limit.max, limit.window, limit.counter)
}

fn print_gaps(heading: &str, gaps: &[Gap], a: &Policy, b: &Policy) {
    if !gaps.is_empty() {
        say!("{heading}");
    }
    for gap in gaps {
        let other = if gap.policy == a.file() { b.file() } else { a.file() };
        match gap.effect {
            Effect::Restricts => say!("  {} of {} has nothing as strict in {other}", gap.rule, gap.policy),
            Effect::Permits => say!("  {} of {} permits what {other} may not", gap.rule, gap.policy),
        }
    }
}

/// Without the tools of a server, rules for several tools are tried on none.
fn print_untried(a: &Policy, b: &Policy) {
    let mut several: Vec<&str> = a.tools().into_iter().chain(b.tools()).collect();
    several.retain(|text| text.contains(['*', '?', '@']));
    several.sort_unstable();
    several.dedup();
    if !several.is_empty() {
        say!(
            "not tried: {}; `--against` with a server or a saved list shows their tools",
            several.join(", ")
        );
    }
}

fn verdict(direction: Direction) -> &'static str {
    match direction {
        Direction::Same => "verdict: same (by the rules, nothing is judged otherwise)",
        Direction::Tightens => "verdict: tightens (by the rules, no call passes that did not pass before)",
        Direction::Loosens => "verdict: loosens (by the rules, no call is refused that passed before)",
        Direction::Both => {
            "verdict: both (by the rules, some calls may pass that did not, and some no longer)"
        }
    }
}
