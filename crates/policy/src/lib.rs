//! The policy language: parse, check, explain, decide. Pure: no clock, no I/O, no async.
//!
//! A [`Policy`] is read once from a JSON or YAML text ([`Policy::parse`] reports every mistake of the file at once) and
//! then asked about calls. It holds no counters: for an allowed call it says which [`Limit`]s are due and how much each
//! is to be charged, and [`Window`] says when they begin anew.
//!
//! - [`Policy::judge`] decides. It reads the arguments in place, goes through no float, and builds no tree of them.
//! - [`Policy::explain`] gives the same answer with every predicate, what it saw and what it gave.
//! - [`Policy::check_against`] compares a policy with the tools of a server: misspelt tools, paths that no schema has.
//!
//! What cannot be judged denies. A predicate is true, false, *missing* (there is nothing at its path) or *unjudged*
//! (there is something that it cannot compare); `any`, `all` and `not` carry the last two, and only the rule settles
//! them: `require` denies both, `deny_if` denies the unjudged. The language is described in `docs/policy.md`.
//!
//! ```
//! use portcullis_policy::{Call, Judgement, Policy, Target};
//!
//! let policy = Policy::parse("payments.yaml", r#"
//! version: "1"
//! default: deny
//! tools:
//!   create_refund:
//!     deny_if:
//!       - conditions: [{ path: args.amount, op: gt, value: 100 }]
//!         on_deny: Refunds over 100 need a person.
//!     limits:
//!       - { counter: refunds, window: day, max: 500, scope: grant, amount: args.amount }
//! "#)?;
//!
//! let call = Call { tool: Target::named("create_refund"), arguments: r#"{"amount": 250}"#, properties: &["amount"] };
//! let Judgement::Deny(denial) = policy.judge(&call) else { unreachable!() };
//! assert_eq!(denial.rule, "/tools/create_refund/deny_if/0");
//! assert_eq!(denial.message, "Refunds over 100 need a person.");
//!
//! let call = Call { arguments: r#"{"amount": 12.50}"#, ..call };
//! let Judgement::Allow(due) = policy.judge(&call) else { unreachable!() };
//! let charges: Vec<_> = due.iter().map(|(limit, amount)| (limit.counter.as_str(), amount.to_string())).collect();
//! assert_eq!(charges, [("refunds", "12.5".to_string())]);
//! # Ok::<(), portcullis_policy::Problems>(())
//! ```

mod against;
mod arguments;
mod call;
mod decimal;
mod explain;
mod fold;
mod judge;
mod limit;
mod literal;
mod operator;
mod path;
mod pattern;
mod policy;
mod predicate;
mod read;
mod rule;
mod runs;
mod selector;
mod truth;
mod window;

pub use against::ToolShape;
pub use call::{Call, Target};
pub use decimal::{Decimal, NotExact};
pub use explain::{Branch, Explanation, Outcome};
pub use judge::{Denial, Due, Held, Judgement};
pub use limit::{Limit, Refund, Scope};
pub use path::Path;
pub use policy::Policy;
pub use portcullis_document::{Problem, Problems, Severity};
pub use window::Window;
