//! Any object as arguments, against every operator: the decision and its explanation are the same one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_policy::{Call, Facts, Judgement, Policy, Target};
use portcullis_wire::check_strictly;

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    Policy::parse("every-operator.yaml", include_str!("every-operator.yaml")).expect("is a policy")
});

fuzz_target!(|arguments: &str| {
    // Only what passed the strict walk comes to a policy.
    if !arguments.starts_with('{') || check_strictly(arguments).is_err() {
        return;
    }
    for tool in POLICY.tools() {
        for properties in [&[][..], &["a", "list", "amount"]] {
            let call = Call { tool: Target::named(tool), arguments, properties, facts: Facts::default() };
            let denied_by = match POLICY.judge(&call) {
                Judgement::Deny(denial) => denial.rule,
                Judgement::Hold(held) => held.rule,
                Judgement::Allow(due) => {
                    assert!(due.iter().all(|(_, amount)| amount >= "0".parse().expect("is a number")));
                    ""
                }
            };
            assert_eq!(POLICY.explain(&call).rule, denied_by);
        }
    }
});
