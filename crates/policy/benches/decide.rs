//! The time of one decision: 1,000 rules in the policy, 10 predicates on the tool, the answer is to allow.
//!
//! `cargo bench -p portcullis-policy`
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark stops at the first surprise")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

use portcullis_policy::{Call, Facts, Judgement, Policy, Target};

const ROUNDS: u32 = 200_000;

fn main() {
    let mut text = String::from("version: \"1\"\ndefault: deny\ntools:\n");
    for tool in 0..1000 {
        write!(text, "  tool_{tool}:\n    require:\n").expect("a string takes it");
        for predicate in [
            "path: args.amount, op: lte, value: 100.50",
            "path: args.currency, op: in, value: [EUR, USD, GBP]",
            "path: args.customer.country, op: neq, value: XX",
            "path: args.note, op: contains, value: order",
            "path: args.live, op: eq, value: true",
        ] {
            writeln!(text, "      - {{ {predicate} }}").expect("a string takes it");
        }
        text.push_str("    deny_if:\n");
        for predicate in [
            "path: args.amount, op: gt, value: 90",
            "path: args.note, op: eq, value: secret",
            "path: args.customer.id, op: regex, value: ^test_",
            "path: 'args.items[*].count', op: gte, value: 10",
            "path: args.reason, op: exists, value: true",
        ] {
            writeln!(text, "      - conditions: [{{ {predicate} }}]").expect("a string takes it");
        }
    }
    let read = Instant::now();
    let policy = Policy::parse("bench.yaml", &text).expect("a policy");
    println!("read {} kB: {:?}", text.len() / 1024, read.elapsed());

    let arguments = r#"{"amount": 12.34, "currency": "USD", "customer": {"id": "c_81723", "country": "DE"}, "items": [{"count": 1}, {"count": 2}], "note": "order 1", "live": true}"#;
    let properties = ["amount", "currency", "customer", "items", "note", "live", "reason", "metadata"];
    let call =
        Call { tool: Target::named("tool_500"), arguments, properties: &properties, facts: Facts::default() };
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        let start = Instant::now();
        for _ in 0..ROUNDS {
            assert!(matches!(policy.judge(black_box(&call)), Judgement::Allow(_)));
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(ROUNDS));
    }
    println!("one decision: {:.0} ns", best * 1e9);
}
