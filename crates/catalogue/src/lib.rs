//! What an upstream offers: its lists of tools, resources, templates and prompts, every item in the very
//! bytes it came in, plus what the gate reads out of a tool's definition.
//!
//! Pure: lists come in as JSON text and go out as JSON text.
//!
//! ```
//! use portcullis_catalogue::{List, ListKind, Reading};
//! let page = r#"{"tools":[{"name":"echo","inputSchema":{"type":"object"}}],"ttlMs":5}"#;
//! let list = List::from_pages("", ListKind::Tools, &[page], |_| Reading::Plain).unwrap();
//! assert_eq!(list.get("echo").unwrap().raw(), r#"{"name":"echo","inputSchema":{"type":"object"}}"#);
//! assert_eq!(list.write(list.items().iter(), None, &[]), page);
//! ```

mod attacks;
mod canonical;
mod category;
mod classify;
mod definition;
mod difference;
mod findings;
mod kind;
mod known;
mod list;
#[cfg(test)]
mod pages;
mod quality;
mod recommend;
mod signals;
mod tool;
mod words;

pub use attacks::{ATTACKS, Attack, Coverage};
pub use canonical::{fingerprint, fingerprint_of};
pub use category::{Category, Risk};
pub use classify::{Class, Confidence, Evidence, Place, RULES, Rule, Surroundings, classify};
pub use definition::Definition;
pub use difference::{Difference, MOST_DIFFERENCES, differences};
pub use findings::{
    Finding, Others, PLAIN_RULES, PlainRule, Severity, TEXT_RULES, TextRule, blocks, compare, findings,
    is_seen, says, written_out,
};
pub use kind::ListKind;
pub use known::{Entry, Known};
pub use list::{BadList, Item, List, Reading};
pub use quality::{
    Dimension, Facts, Flag, Grade, Hints, Quality, Score, ServerQuality, Shadow, Siblings, Tier, quality,
    server_quality,
};
pub use recommend::{Language, recommended, recommended_for, recommended_text};
pub use signals::Signal;
pub use tool::{ParamHeader, Tool};
