//! From a document to a policy.

mod limit;
mod operator;
mod policy;
mod predicate;
mod rule;

pub(crate) use policy::policy;
