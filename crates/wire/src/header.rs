//! Header values of the new era ("Value Encoding" of the Streamable HTTP transport).

use data_encoding::BASE64;
use std::borrow::Cow;

const OPEN: &str = "=?base64?";
const CLOSE: &str = "?=";

/// A value as it goes into `Mcp-Name` or `Mcp-Param-*`: plain where it is plain, else marked base64.
#[must_use]
pub fn encode_value(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b) || b == b'\t')
        && value.trim_matches([' ', '\t']) == value
        && !(value.starts_with(OPEN) && value.ends_with(CLOSE));
    if plain {
        Cow::Borrowed(value)
    } else {
        format!("{OPEN}{}{CLOSE}", BASE64.encode(value.as_bytes())).into()
    }
}

/// The value that a header carries. `None` where the marked part is not base64 of UTF-8.
#[must_use]
pub fn decode_value(header: &str) -> Option<Cow<'_, str>> {
    match header.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) {
        None => Some(Cow::Borrowed(header)),
        Some(coded) => BASE64
            .decode(coded.as_bytes())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_header_and_match_the_specifications_examples() {
        for (value, header) in [
            ("us-west1", "us-west1"),
            ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
            (" padded ", "=?base64?IHBhZGRlZCA=?="),
            ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
            ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ] {
            assert_eq!(encode_value(value), header);
            assert_eq!(decode_value(header).unwrap(), value);
        }
        assert!(decode_value("=?base64?***?=").is_none());
    }
}
