//! From a document to a policy.

mod command;
mod fact;
mod limit;
mod more;
mod operator;
mod others;
mod policy;
mod predicate;
mod rule;

pub(crate) use policy::policy;
