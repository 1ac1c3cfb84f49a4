//! One spelling for equal JSON, and its hash.

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// SHA-256 over the canonical JSON of a definition, hexadecimal: members sorted by name, no white space.
///
/// Numbers are kept as far as a double or a 64-bit integer holds them, which is enough to tell definitions
/// apart; nothing canonical is ever forwarded.
#[must_use]
pub fn fingerprint_of(definition: &Value) -> String {
    // serde_json's map is ordered by key, so writing a value sorts it at every depth.
    digest(&definition.to_string())
}

/// The same of JSON text; of text that is no JSON as it stands.
#[must_use]
pub fn fingerprint(json: &str) -> String {
    serde_json::from_str(json).map_or_else(|_| digest(json), |definition| fingerprint_of(&definition))
}

fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_space_do_not_matter_and_everything_else_does() {
        let one = fingerprint(r#"{"b":[1,{"y":2,"x":3}], "a":"t"}"#);
        assert_eq!(one, fingerprint(r#"{"a":"t","b":[1,{"x":3,"y":2}]}"#));
        assert_ne!(one, fingerprint(r#"{"a":"t","b":[1,{"x":3,"y":4}]}"#));
        assert_ne!(one, fingerprint(r#"{"a":"t ","b":[1,{"x":3,"y":2}]}"#));
    }
}
