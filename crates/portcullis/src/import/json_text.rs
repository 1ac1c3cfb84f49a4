//! JSON as people and editors write it, with the place of each value kept, so that single values can be replaced
//! and the rest of a file stays byte for byte. Clients keep files of many megabytes and with comments in them,
//! which is why this is not [`portcullis_document`].

use portcullis_wire::Span;
use serde_json::value::RawValue;
use std::collections::HashMap;

/// The same text with comments and commas before a closing bracket replaced by spaces: every other byte keeps
/// its place.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes().peekable();
    let mut comma: Option<usize> = None;
    while let Some(byte) = bytes.next() {
        match (byte, bytes.peek().copied()) {
            (b'"', _) => {
                comma = None;
                out.push(byte);
                while let Some(inside) = bytes.next() {
                    out.push(inside);
                    match inside {
                        b'"' => break,
                        b'\\' => out.extend(bytes.next()),
                        _ => {}
                    }
                }
            }
            (b'/', Some(b'/')) => {
                out.push(b' ');
                while let Some(inside) = bytes.next_if(|byte| *byte != b'\n') {
                    out.push(if inside == b'\r' { inside } else { b' ' });
                }
            }
            (b'/', Some(b'*')) => {
                out.extend(b"  ");
                bytes.next();
                let mut star = false;
                for inside in bytes.by_ref() {
                    out.push(if inside == b'\n' { b'\n' } else { b' ' });
                    if star && inside == b'/' {
                        break;
                    }
                    star = inside == b'*';
                }
            }
            _ => {
                if matches!(byte, b'}' | b']')
                    && let Some(place) = comma.and_then(|at| out.get_mut(at))
                {
                    *place = b' ';
                }
                if byte == b',' {
                    comma = Some(out.len());
                } else if !byte.is_ascii_whitespace() {
                    comma = None;
                }
                out.push(byte);
            }
        }
    }
    // Comments are replaced byte by byte, so a text of valid UTF-8 stays one.
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

/// The members of a JSON object in the order of the text; `None` where it is something else.
pub(crate) fn members(object: &str) -> Option<Vec<(String, &str)>> {
    if !object.trim_start().starts_with('{') {
        return None;
    }
    let map: HashMap<String, &RawValue> = serde_json::from_str(object).ok()?;
    let mut members: Vec<(String, &str)> = map.into_iter().map(|(key, raw)| (key, raw.get())).collect();
    members.sort_by_key(|(_, raw)| raw.as_ptr() as usize);
    Some(members)
}

/// The value that stands under these keys.
pub(crate) fn at<'t>(text: &'t str, keys: &[&str]) -> Option<&'t str> {
    keys.iter().try_fold(text, |object, key| {
        members(object)?.into_iter().find(|(name, _)| name == key).map(|(_, raw)| raw)
    })
}

/// Where `part`, which was cut out of `whole`, stands in it.
pub(crate) fn span(whole: &str, part: &str) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_go_and_nothing_moves() {
        let text = "{ // a \"b\"\n \"u\": \"http://x/*\", /* c, */ \"l\": [1, 2, ], // ü\n}";
        let plain = without_comments(text);
        assert_eq!(plain.len(), text.len());
        let value: serde_json::Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(value, serde_json::json!({ "u": "http://x/*", "l": [1, 2] }));
        assert_eq!(plain.find("\"l\""), text.find("\"l\""));
    }

    #[test]
    fn members_keep_their_order_and_their_place() {
        let text = r#" { "b": 1, "a": { "c": [ 2 ] } }"#;
        let names: Vec<String> = members(text).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
        let found = at(text, &["a", "c"]).unwrap();
        assert_eq!(text.get(span(text, found)), Some("[ 2 ]"));
        assert_eq!(at(text, &["a", "d"]), None);
        assert_eq!(members("[1]"), None);
    }
}
