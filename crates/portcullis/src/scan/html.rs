//! The report that one shows to somebody: one page that needs nothing but itself.

use super::{Failed, Scanned};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use portcullis_catalogue::{
    ATTACKS, Category, Dimension, Entry, Language, Risk, Severity, recommended_text, written_out,
};
use std::cmp::Reverse;

const STYLE: &str = include_str!("report.css");
/// What the page may load: its own style, and nothing from anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
/// Tools that are told at the top.
const WORST: usize = 5;
const DOCS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs");

/// The whole page. `made` is when, for a person.
pub(crate) fn page(servers: &[Scanned], failed: &[Failed], made: &str) -> String {
    let count = servers.len() + failed.len();
    let title = match servers {
        [one] if failed.is_empty() => format!("{} — what its tools do", written_out(one.called())),
        _ => format!("{count} servers — what their tools do"),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p class="soft small" {
                        "Made by portcullis " (env!("CARGO_PKG_VERSION")) " on " (made) ", from what the servers say of themselves. No tool was called. "
                        "It tells what a tool is said to do, and never that it is safe."
                    }
                    @if count > 1 { (overview(servers, failed)) }
                }
                main { @for (number, one) in servers.iter().enumerate() { (server(number, one)) } }
            }
        }
    }
    .into_string()
}

fn overview(servers: &[Scanned], failed: &[Failed]) -> Markup {
    html! {
        div class="table" { table {
            thead { tr { th { "server" } th { "tools" } th { "critical" } th { "high" } th { "findings" } th { "definitions" } } }
            tbody {
                @for (number, one) in servers.iter().enumerate() {
                    tr {
                        td { a href=(format!("#server-{number}")) { (written_out(one.called())) } }
                        td { (one.known.tools.len()) }
                        td { (at_risk(one, Risk::Critical)) }
                        td { (at_risk(one, Risk::High)) }
                        td { (one.all_findings().count()) }
                        td { @if let Some(quality) = &one.known.quality { (quality.tier.as_str()) " " (quality.score) } }
                    }
                }
                @for one in failed { tr { td { (written_out(&one.name)) } td colspan="5" class="soft" { (written_out(&one.reason)) } } }
            }
        } }
    }
}

fn at_risk(server: &Scanned, risk: Risk) -> usize {
    server.known.tools.iter().filter(|entry| entry.class.category.risk() == risk).count()
}

fn server(number: usize, server: &Scanned) -> Markup {
    let known = &server.known;
    let mut gravest: Vec<&Entry> = known.tools.iter().collect();
    gravest.sort_by_key(|entry| (Reverse(entry.class.category), Reverse(entry.class.signals.len())));
    let found: Vec<_> = server.all_findings().collect();
    html! {
        section id=(format!("server-{number}")) {
            div class="head" {
                h2 { (written_out(server.called())) }
                span class="soft" {
                    @if server.called() != server.name { (written_out(&server.name)) " " }
                    @if let Some(version) = &server.version { (written_out(version)) " · " }
                    "MCP " (written_out(&server.era)) " · " (known.tools.len()) " tools"
                }
                @if let Some(quality) = &known.quality {
                    span class="grade" { "definitions " (quality.tier.as_str()) " " (quality.score) }
                }
            }
            @if !known.tools.is_empty() { (bar(server)) }
            @if !found.is_empty() {
                h3 { "What speaks to the model" }
                p class="note" { "A person should look at these before an agent is connected. The gate keeps back what blocks." }
                div class="table" { table class="stack" {
                    thead { tr { th { "" } th { "rule" } th { "where" } th { "text" } } }
                    tbody { @for (tool, finding) in &found { tr {
                        td class=(if finding.severity == Severity::Block { "nowrap block" } else { "nowrap" }) {
                            (finding.severity.as_str())
                        }
                        td { a href=(format!("{DOCS}/rules.md#{}", finding.rule)) { (finding.rule) } }
                        td { @if let Some(tool) = tool { code { (written_out(tool)) } " " } (finding.place) }
                        td { code { (finding.text) } }
                    } } }
                } }
            }
            @if gravest.iter().any(|entry| entry.class.category.risk() >= Risk::High) {
                h3 { "The most dangerous tools" }
                div class="table" { table class="stack" { tbody {
                    @for entry in gravest.iter().filter(|entry| entry.class.category.risk() >= Risk::High).take(WORST) { tr {
                        td class="nowrap" { (category(entry.class.category)) }
                        td { code { (written_out(&entry.tool.name)) } }
                        td { (written_out(&entry.class.why())) (signals(entry)) }
                    } }
                } } }
            }
            @if let Some(quality) = &known.quality {
                h3 { "How well they are defined" }
                p {
                    "An agent chooses by the definition alone. The worst first, with what would help most; "
                    a href=(format!("{DOCS}/scan.md#how-well-a-definition-is-made")) { "how it is graded" } "."
                }
                @for what in &quality.seen { p class="soft small" { (written_out(what)) } }
                (worst(server))
            }
            h3 { "Ways of attack that they invite, and what stops them behind the gate" }
            @for attack in &ATTACKS {
                @let inviting = attack.inviting(known);
                @if !inviting.is_empty() {
                    details {
                        summary {
                            (attack.name) " " span class="tag" { (attack.coverage.as_str()) } " "
                            span class="soft small" { (inviting.len()) " of " (known.tools.len()) " tools" }
                        }
                        p { (ticked(attack.looks)) }
                        p { "What stops it: " (ticked(attack.stops)) " " a href=(format!("{DOCS}/attacks.md#{}", attack.id)) { "More" } }
                        p class="soft small" {
                            "Invited by " (ticked(attack.invited_by))
                            @if inviting.len() < known.tools.len() { ": " (listed(&inviting)) }
                        }
                    }
                }
            }
            h3 { "A policy to begin with" }
            details { summary { "By category: reading passes, changing is limited, what cannot be taken back is kept away" }
                pre { (recommended_text(server.called(), known, Language::One)) } }
            h3 { "All tools" }
            @for entry in &gravest { (tool(entry)) }
        }
    }
}

fn bar(server: &Scanned) -> Markup {
    let counts = server.known.counts();
    html! {
        div class="bar" role="img" aria-label="tools by category" {
            @for (category, count) in &counts { @if *count > 0 {
                span class=(category.as_str()) style=(format!("flex: {count}")) {}
            } }
        }
        ul class="legend small" { @for (category, count) in &counts {
            li { span class=(format!("dot {}", category.as_str())) {} (count) " " (category.as_str()) span class="soft" { " · " (category.risk().as_str()) } }
        } }
    }
}

fn category(category: Category) -> Markup {
    html! { span class=(format!("dot {}", category.as_str())) {} (category.as_str()) }
}

fn signals(entry: &Entry) -> Markup {
    html! { @for signal in &entry.class.signals { " " span class="tag" { (signal.says()) } } }
}

fn worst(server: &Scanned) -> Markup {
    let mut tools: Vec<&Entry> = server.known.tools.iter().collect();
    tools.sort_by_key(|entry| entry.quality.score);
    html! {
        div class="table" { table class="stack" { tbody { @for entry in tools.iter().take(WORST) { tr {
            td class="nowrap" { (entry.quality.tier.as_str()) " " (entry.quality.score) }
            td { code { (written_out(&entry.tool.name)) } }
            td { @if let Some((_, what)) = entry.quality.advice().first() { (ticked(what)) } }
        } } } } }
    }
}

fn tool(entry: &Entry) -> Markup {
    let Entry { tool, class, quality, findings } = entry;
    html! {
        details {
            summary {
                (category(class.category)) " " code { (written_out(&tool.name)) } " "
                span class="soft small" { (quality.tier.as_str()) " " (quality.score)
                    @if !findings.is_empty() { " · " span class="block" { (findings.len()) " found" } } }
            }
            p { (written_out(&tool.description)) }
            p class="soft small" {
                "Risk " (class.category.risk().as_str()) ": " (written_out(&class.why())) " (" (class.confidence.as_str()) " confidence)" (signals(entry))
            }
            div class="table" { table class="stack" {
                thead { tr { th { "grade" } th { "" } th { "seen" } th { "what would raise it" } } }
                tbody { @for of in Dimension::ALL {
                    @let grade = quality.grade(of);
                    tr {
                        td { (of.as_str()) } td { (grade.score) }
                        td { (ticked(&grade.seen.join("; "))) }
                        td { @if let Some(what) = &grade.suggestion { (ticked(what)) } }
                    }
                } }
            } }
        }
    }
}

/// A text in which names stand between backticks.
fn ticked(text: &str) -> Markup {
    let text = written_out(text);
    html! {
        @for (number, part) in text.split('`').enumerate() {
            @if number % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| written_out(name)).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
