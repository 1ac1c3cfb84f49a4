//! From a document to a policy.

mod limit;
mod policy;
mod predicate;
mod rule;

pub(crate) use policy::policy;
