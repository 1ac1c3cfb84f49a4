//! One spelling for what means the same.

use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Longer texts stay as they are, in bytes: each level is read once more for the one above it.
const LONGEST: usize = 64 * 1024;

/// A JSON text without blanks and with the keys of each object in order. Numbers and strings stay as they are written, so that none
/// loses a digit; what is no JSON, or very long, stays as it is.
#[must_use]
pub fn canonical(json: &str) -> Cow<'_, str> {
    let mut out = String::with_capacity(json.len());
    match json.len() <= LONGEST && write(json.trim_ascii(), &mut out).is_ok() {
        true => Cow::Owned(out),
        false => Cow::Borrowed(json),
    }
}

fn write(json: &str, out: &mut String) -> Result<(), serde_json::Error> {
    match json.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(json)?;
            out.push('{');
            for (place, (key, value)) in members.into_iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                out.push_str(&serde_json::Value::from(key).to_string());
                out.push(':');
                write(value.get(), out)?;
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            out.push('[');
            for (place, item) in items.into_iter().enumerate() {
                out.push_str(if place > 0 { "," } else { "" });
                write(item.get(), out)?;
            }
            out.push(']');
        }
        Some(b'"') => match serde_json::from_str::<String>(json) {
            Ok(text) => out.push_str(&serde_json::Value::from(text).to_string()),
            // Half a surrogate pair is no text.
            Err(_) => out.push_str(json),
        },
        _ => out.push_str(json),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_keys_and_blanks_do_not_matter_and_each_digit_does() {
        let one = canonical("{ \"b\": [1.0, {\"d\":null,\"c\":\"x y\"}],\n\"a\" : 9007199254740993}");
        assert_eq!(one, r#"{"a":9007199254740993,"b":[1.0,{"c":"x y","d":null}]}"#);
        assert_eq!(canonical(&one), one);
        assert_ne!(canonical(r#"{"a":9007199254740992}"#), canonical(r#"{"a":9007199254740993}"#));
        assert_ne!(canonical(r#"{"a":1}"#), canonical(r#"{"a":"1"}"#));
        assert_eq!(canonical(r#"{"\u0061":"\u00fc\/\n"}"#), canonical("{\"a\":\"ü/\\u000a\"}"));
        assert_ne!(canonical(r#"{"a":"\ud800"}"#), canonical(r#"{"a":"\ud801"}"#));
        assert_ne!(canonical(r#"[1,2]"#), canonical(r#"[2,1]"#));
        assert_eq!(canonical(r#"{"\u0061":1}"#), r#"{"a":1}"#);
        for odd in ["", "{", "[1", "{\"a\":1} x"] {
            assert_eq!(canonical(odd), odd);
        }
        let long = format!("{{ \"a\": \"{}\" }}", "x".repeat(LONGEST));
        assert_eq!(canonical(&long), long);
    }
}
