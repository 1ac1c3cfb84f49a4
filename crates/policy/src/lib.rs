//! The policy language: parse, check, explain, decide. Pure: no clock, no I/O, no async.
//!
//! A [`Policy`] is read once from a JSON or YAML text ([`Policy::parse`] reports every mistake of the file at once) and
//! then asked about calls. It holds no counters: for an allowed call it says which [`Limit`]s are due and how much each
//! is to be charged, and [`Window`] says when they begin anew.
//!
//! - [`Policy::judge`] decides. It reads the arguments in place, goes through no float, and builds no tree of them.
//! - [`Policy::explain`] gives the same answer with every predicate, what it saw and what it gave.
//! - [`Policy::diff`] compares two policies: which calls become allowed or denied, and whether one is stricter.
//! - [`from_intercept`] translates policies of another gate.
//! - [`Policy::check_against`] compares a policy with the tools of a server: misspelt tools, paths that no schema has.
//!
//! What cannot be judged denies. A predicate is true, false, *missing* (there is nothing at its path) or *unjudged*
//! (there is something that it cannot compare); `any`, `all` and `not` carry the last two, and only the rule settles
//! them: `require` denies both, `deny_if` denies the unjudged. The language is described in `docs/policy.md`.
//!
//! ```
//! use portcullis_policy::{Call, Facts, Judgement, Policy, Target};
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
//! let call = Call {
//!     tool: Target::named("create_refund"),
//!     arguments: r#"{"amount": 250}"#,
//!     properties: &["amount"],
//!     facts: Facts::default(),
//! };
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

mod address;
mod against;
mod arguments;
mod call;
mod decimal;
mod diff;
mod explain;
mod facts;
mod fold;
mod intercept;
mod judge;
mod limit;
mod literal;
mod operator;
mod path;
mod pattern;
mod policy;
mod predicate;
mod read;
mod redaction;
mod rule;
mod runs;
mod selector;
mod truth;
mod window;

pub use against::ToolShape;
pub use call::{Call, Kind, Target};
pub use decimal::{Decimal, NotExact};
pub use diff::{
    Answer, CallChange, CallShown, Changed, Difference, Direction, Effect, Gap, LimitChange, LimitShown,
    ToolChange,
};
pub use explain::{Branch, Explanation, Outcome};
pub use facts::{Calls, Facts, Mode};
pub use intercept::{Converted, Remark, from_intercept};
pub use judge::{Denial, Due, Held, Judgement, Tried};
pub use limit::{Concurrent, Counts, Limit, Refund, Scope};
pub use path::Path;
pub use policy::Policy;
pub use portcullis_document::{Problem, Problems, Severity};
pub use redaction::Redactions;
pub use rule::Stopping;
pub use window::Window;
