//! Any text as a policy, in each notation: a policy or a list of mistakes, which can be shown.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_policy::{Call, Facts, Policy, Target};

fuzz_target!(|text: &str| {
    for file in ["policy.yaml", "policy.json"] {
        match Policy::parse(file, text) {
            Err(problems) => assert!(!problems.to_string().is_empty()),
            Ok(policy) => {
                for tool in policy.tools() {
                    let call = Call::<&str> {
                        tool: Target::named(tool),
                        arguments: r#"{"amount":1,"path":"a","list":[1]}"#,
                        properties: &[],
                        facts: Facts::default(),
                    };
                    // What can be decided can be told.
                    let _ = (policy.judge(&call), policy.explain(&call).to_string());
                }
            }
        }
    }
});
