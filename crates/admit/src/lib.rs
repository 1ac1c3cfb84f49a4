//! May it.
mod permit;
pub use permit::{Housekeeping, Message, Permit};
