//! The policy that an imported server begins with: nothing.

/// A policy that lists nothing and says how to go on.
pub(crate) fn nothing_yet(upstream: &str) -> String {
    format!(
        r#"# What agents may do with the server `{upstream}`. It was imported and nobody has looked at its tools yet, so
# nothing passes. With the gate running:
#
#   portcullis status                                             how many tools it lists
#   portcullis policy check policies/{upstream}.yaml --against {upstream}     whether the names below are its tools
#   portcullis reload                                             takes this file after a change
#
# Name each tool that may be used, with what it may be called with:
#
#   tools:
#     read_file: {{}}
#     write_file:
#       require: [{{ path: args.path, op: regex, value: "^work/" }}]
#       limits: [{{ counter: writes, window: minute, max: 30, scope: grant }}]
version: "1"
default: deny
tools: {{}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_policy::{Call, Judgement, Policy, Target};

    #[test]
    fn the_first_policy_is_one_and_denies() {
        let policy = Policy::parse("p.yaml", &nothing_yet("files")).unwrap();
        assert!(policy.warnings().is_empty());
        let call = Call::<&str> {
            tool: Target::named("read_file"),
            arguments: "{}",
            properties: &[],
            facts: portcullis_policy::Facts::default(),
        };
        assert!(matches!(policy.judge(&call), Judgement::Deny(_)));
    }

    #[test]
    fn what_its_comments_propose_is_a_policy_too() {
        let text = nothing_yet("files").replace("tools: {}\n", "");
        let proposed: String = text
            .lines()
            .skip_while(|line| *line != "#   tools:")
            .map(|line| format!("{}\n", line.strip_prefix("#   ").unwrap_or(line)))
            .collect();
        Policy::parse("p.yaml", &proposed).unwrap();
    }
}
