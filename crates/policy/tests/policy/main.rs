//! The language as its users meet it: through the crate's public face.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod against;
mod command;
mod decisions;
mod diff;
mod differential;
mod documentation;
mod explanations;
mod facts;
mod holds;
mod intercept;
mod limits;
mod mistakes;
mod narrowing;
mod operators;
mod others;
mod properties;
mod published;
mod selectors;
mod shadow;

use portcullis_policy::{Call, Facts, Judgement, Policy, Target};

/// A policy for the tool `t` from the YAML of its rule, indented by four.
fn policy(rule: &str) -> Policy {
    read(&format!("version: \"1\"\ndefault: deny\ntools:\n  t:\n{rule}\n"))
}

fn read(text: &str) -> Policy {
    Policy::parse("policy.yaml", text).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

/// A call of which nothing is known but the tool's name and its arguments.
fn plain<'a>(tool: &'a str, arguments: &'a str) -> Call<'a, &'static str> {
    Call { tool: Target::named(tool), arguments, properties: &[], facts: Facts::default() }
}

/// The rule that denied a call of `t`, or `allowed`.
fn decide(policy: &Policy, arguments: &str) -> String {
    decide_tool(policy, "t", arguments, &[])
}

fn decide_tool(policy: &Policy, tool: &str, arguments: &str, properties: &[&str]) -> String {
    let call = Call { tool: Target::named(tool), arguments, properties, facts: Facts::default() };
    let explained = policy.explain(&call);
    match policy.judge(&call) {
        Judgement::Allow(_) => {
            assert_eq!(explained.rule, "");
            "allowed".into()
        }
        Judgement::Hold(held) => {
            assert_eq!((explained.rule.as_str(), explained.message), (held.rule, held.message.into_owned()));
            format!("held by {}", held.rule)
        }
        Judgement::Deny(denial) => {
            assert_eq!(
                (explained.rule.as_str(), explained.message),
                (denial.rule, denial.message.into_owned())
            );
            denial.rule.into()
        }
    }
}

fn message(policy: &Policy, arguments: &str) -> String {
    match policy.judge(&plain("t", arguments)) {
        Judgement::Allow(_) => "allowed".into(),
        Judgement::Hold(held) => held.message.into_owned(),
        Judgement::Deny(denial) => denial.message.into_owned(),
    }
}
