//! Which entries leave a client's file: those whose tools were seen behind the gate, under a policy that lets something
//! pass. Any other would be lost to its client.

use super::filter::ToolFilter;
use portcullis_catalogue::Known;
use portcullis_policy::{Call, Facts, Judgement, Mode, Policy, Target};
use std::path::Path;

/// What a look at an upstream came to: its tools, or why they were not seen.
pub(crate) type Look = Result<Known, String>;

/// Why an entry stays in its client's file; `None` where it goes. `filter` is what its client has on.
pub(crate) fn why_it_stays(
    name: &str,
    look: Option<&Look>,
    policy: Option<&Path>,
    filter: &ToolFilter,
) -> Option<String> {
    let known = match look {
        None => return Some("nobody said that it may be looked at (`--yes` does)".into()),
        Some(Err(why)) if asks_to_sign_in(why) => return Some(format!("it wants you to sign in: {why}")),
        Some(Err(why)) => return Some(why.clone()),
        Some(Ok(known)) => known,
    };
    if known.tools.is_empty() {
        return Some("it lists no tools".into());
    }
    let Some(file) = policy else { return Some(format!("there is no policy named `{name}` for it")) };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return Some(format!("its policy {} cannot be read: {error}", file.display())),
    };
    let Ok(policy) = Policy::parse(&file.to_string_lossy(), &text) else {
        return Some(format!("its policy {} has mistakes", file.display()));
    };
    let passes = |tool: &str| policy.visible(&Target::named(tool), Mode::Enforced);
    let tools = || known.tools.iter().map(|entry| entry.tool.name.as_str());
    let widened: Vec<&str> = tools().filter(|tool| passes(tool) && !filter.lets(tool)).collect();
    if !widened.is_empty() {
        let (file, tools) = (file.display(), widened.join(", "));
        return Some(format!("its client has switched off what {file} lets pass: {tools}"));
    }
    if !tools().any(|tool| passes(tool) && lets_pass(&policy, tool)) {
        return Some(format!("its policy {} lets nothing pass", file.display()));
    }
    None
}

/// Whether a rule lets some call pass: one that denies whatever a call says does not.
fn lets_pass(policy: &Policy, tool: &str) -> bool {
    let target = Target::named(tool);
    let call = Call::<&str> { tool: target, arguments: "{}", properties: &[], facts: Facts::default() };
    policy.judges_arguments(&target) || !matches!(policy.judge(&call), Judgement::Deny(_))
}

/// An upstream that wants to know who asks answers with one of these codes.
fn asks_to_sign_in(why: &str) -> bool {
    ["401", "403"]
        .iter()
        .any(|code| why.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == *code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_was_seen_and_may_be_called_goes() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let nothing = write("nothing.yaml", "version: \"1\"\ndefault: deny\ntools: {}\n");
        let some = write("some.yaml", "version: \"1\"\ndefault: deny\ntools: { read_it: {} }\n");
        let denied = write(
            "denied.yaml",
            "version: \"1\"\ndefault: deny\ntools: { read_it: { deny_if: [{ conditions: [] }] } }\n",
        );
        let odd = write("odd.yaml", "tools: 3\n");
        let known = || Ok(Known::of("x", vec![json!({ "name": "read_it" }), json!({ "name": "drop_it" })]));
        let off = ToolFilter::of(&json!({ "disabled_tools": ["read_it"] }));
        let all = ToolFilter::default();
        for (look, policy, filter, expected) in [
            (None, Some(&some), &all, Some("nobody said")),
            (Some(Err("it answered 401 Unauthorized".into())), Some(&some), &all, Some("sign in")),
            (Some(Err("gone".into())), Some(&some), &all, Some("gone")),
            (Some(Ok(Known::of("x", Vec::new()))), Some(&some), &all, Some("no tools")),
            (Some(known()), None, &all, Some("no policy named `x`")),
            (Some(known()), Some(&nothing), &all, Some("lets nothing pass")),
            (Some(known()), Some(&denied), &all, Some("lets nothing pass")),
            (Some(known()), Some(&odd), &all, Some("has mistakes")),
            (Some(known()), Some(&some), &off, Some("has switched off what")),
            (Some(known()), Some(&some), &all, None),
        ] {
            let said = why_it_stays("x", look.as_ref(), policy.map(|file| file.as_path()), filter);
            assert!(said.is_some() == expected.is_some(), "{expected:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(expected.unwrap_or_default()), "{expected:?}");
        }
    }
}
