//! What the page shows. Everything but its own words was written by an agent or a server: it is escaped, and characters that are not
//! seen or that turn the text around are written out.

use crate::gate::Gate;
use maud::{Markup, html};
use portcullis_admit::{Approval, Decider, State};
use portcullis_catalogue::{ListKind, written_out};
use portcullis_ledger::{Grant, now_ms, time_text};
use serde_json::Value;

/// Characters of a tool's description.
const DESCRIPTION: usize = 2000;

/// The page that asks for a token.
pub(super) fn ask(id: &str, said: Option<&str>) -> Markup {
    html! {
        h1 { "A call waits for a person" }
        @if let Some(said) = said { p.said { (said) } }
        p { "It waits as " code { (written_out(id)) } ". To see it, give the token of a grant that may decide." }
        form method="post" {
            label.field for="token" { "Token" }
            input #token name="token" type="password" autocomplete="off" required autofocus;
            button name="do" value="show" { "Show the call" }
        }
    }
}

/// A call as somebody who decides sees it.
pub(super) struct Shown<'a> {
    approval: &'a Approval,
    token: &'a str,
    description: Option<String>,
    unseen: usize,
    arguments: String,
}

impl<'a> Shown<'a> {
    pub(super) fn of(gate: &Gate, approval: &'a Approval, grant: &Grant, token: &'a str) -> Self {
        let arguments = match &approval.args {
            None => "too long to show".into(),
            Some(args) => pretty(&serde_json::from_str(args.get()).unwrap_or(Value::Null)),
        };
        let unseen = approval.unseen_by(&Decider::Grant(grant));
        Self { approval, token, description: description(gate, approval), unseen, arguments }
    }

    /// The same, with all of the arguments.
    pub(super) fn whole(self, arguments: &Value) -> Self {
        Self { arguments: pretty(arguments), ..self }
    }

    pub(super) fn markup(&self, said: Option<&str>) -> Markup {
        let one = self.approval;
        let now = now_ms();
        html! {
            @if let Some(said) = said { p.said { (written_out(said)) } }
            h1 { (written_out(&one.tool)) " on " (written_out(&one.upstream)) }
            p.why { (written_out(&one.message)) }
            dl {
                dt { "state" } dd { span class=(format!("tag {}", one.state.as_str())) { (one.state.as_str()) } }
                @if !one.risk.is_empty() {
                    dt { "risk" } dd { span class=(format!("tag {}", one.risk.to_lowercase())) { (one.risk) } }
                }
                dt { "asked by" } dd {
                    (written_out(&one.grant))
                    @if !one.client.is_empty() { " " span.soft { "with " (written_out(&one.client)) } }
                }
                dt { "asked" } dd { time title=(time_text(one.created)) { (relative(one.created, now)) } }
                dt { "until" } dd { time title=(time_text(one.expires)) { (relative(one.expires, now)) } }
                dt { "rule" } dd { code { (written_out(&one.rule)) } }
                @if let Some(by) = &one.decided_by { dt { "decided by" } dd { (written_out(by)) } }
                @if let Some(reason) = &one.reason { dt { "reason" } dd { (written_out(reason)) } }
            }
            @if let Some(description) = &self.description {
                h2 { "What the server says of the tool" }
                blockquote { (description) }
            }
            h2 { "Arguments" }
            pre { (self.arguments) }
            @if one.state == State::Waiting { (self.form()) }
        }
    }

    fn form(&self) -> Markup {
        let parts =
            if self.unseen == 1 { "1 part is".to_owned() } else { format!("{} parts are", self.unseen) };
        html! {
            form method="post" {
                input name="token" type="hidden" value=(self.token);
                // What the Enter key presses: it decides nothing.
                button name="do" value="show" hidden {}
                @if self.unseen > 0 {
                    p.said {
                        (parts) " not shown: covered because they look like secrets, or cut because they are long."
                    }
                    button name="do" value="reveal" { "Show everything" }
                    span.soft { "The record says that you saw it." }
                    label.check {
                        input name="unseen" type="checkbox" value="yes"; " I approve what I did not see"
                    }
                }
                label.field for="reason" { "Reason, for the record and for the agent" }
                input #reason name="reason" type="text" autocomplete="off";
                button name="do" value="approve" { "Approve, once" }
                button name="do" value="deny" { "Deny" }
            }
        }
    }
}

/// What the server says of the tool, as it listed it last.
fn description(gate: &Gate, approval: &Approval) -> Option<String> {
    let list = gate.upstream(&approval.upstream)?.own_list(ListKind::Tools)?;
    let item = list.items().iter().find(|item| item.key() == approval.tool)?;
    let definition: Value = serde_json::from_str(item.raw()).ok()?;
    let text = definition.get("description")?.as_str()?;
    let cut: String = text.chars().take(DESCRIPTION).collect();
    let more = text.chars().count().saturating_sub(DESCRIPTION);
    let more = if more > 0 { format!(" … ({more} characters more)") } else { String::new() };
    Some(format!("{}{more}", written_out(&cut))).filter(|text| !text.is_empty())
}

fn pretty(arguments: &Value) -> String {
    let text = serde_json::to_string_pretty(arguments).unwrap_or_default();
    text.split('\n').map(written_out).collect::<Vec<_>>().join("\n")
}

/// A time as people say it.
fn relative(ms: i64, now_ms: i64) -> String {
    let seconds = (ms - now_ms).unsigned_abs() / 1000;
    let (count, unit) = match seconds {
        0..60 => (seconds, "s"),
        60..3600 => (seconds / 60, "min"),
        3600..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "days"),
    };
    if ms > now_ms { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_as_people_say_them() {
        for (ms, said) in [
            (-5_000, "5 s ago"),
            (0, "0 s ago"),
            (59_999, "in 59 s"),
            (720_000, "in 12 min"),
            (7_200_000, "in 2 h"),
            (-259_200_000, "3 days ago"),
        ] {
            assert_eq!(relative(1_000_000_000_000 + ms, 1_000_000_000_000), said);
        }
    }

    #[test]
    fn arguments_keep_their_lines_and_show_what_is_hidden() {
        let shown = pretty(&serde_json::json!({ "a": "x\u{202e}y\u{200b}\nz", "b": [1] }));
        assert_eq!(shown, "{\n  \"a\": \"x[U+202E]y[U+200B]\\nz\",\n  \"b\": [\n    1\n  ]\n}");
    }
}
