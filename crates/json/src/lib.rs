//! Where each member of an object and each element of an array stands in a JSON text (RFC 8259).
//!
//! What is found is what `serde_json` finds; the difference is in what it costs. Values are skipped, not decoded, long strings by
//! the widest steps that the processor has, and nothing is allocated. Several readers look at each call one after the other (the
//! envelope, its parameters, each rule of a policy), so this is what most of a call's reading is.
//!
//! ```
//! let mut found = Vec::new();
//! portcullis_json::members(r#"{"a": [1, 2], "\u0062": "c"}"#, &mut |name, value| found.push((name, value)));
//! assert_eq!(found, [("a".into(), "[1, 2]"), ("b".into(), "\"c\"")]);
//! ```

mod scan;
mod strict;

pub use scan::{DEEPEST, elements, is_strict, members};

use std::borrow::Cow;

/// The text that a JSON string spells. `None` where the JSON is no string, or spells half of a surrogate pair.
#[must_use]
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inside));
    }
    serde_json::from_str::<String>(json).ok().map(Cow::Owned)
}
