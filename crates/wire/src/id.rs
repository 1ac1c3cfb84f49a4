//! Request ids. JSON-RPC allows more; MCP allows strings and integers, and so do we.

use std::borrow::Cow;
use std::fmt;

/// A request id, by value: `"a"` and `"\u0061"` are the same id, `1` and `"1"` are not.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Id {
    /// An integer, in its own digits (kept as text: ids beyond 64 bits are echoed, not computed with).
    Integer(Box<str>),
    /// A string, decoded.
    Text(Box<str>),
}

impl Id {
    /// Reads an id from its JSON text. `None` where it is neither a string nor an integer.
    #[must_use]
    pub fn from_json(raw: &str) -> Option<Self> {
        if raw.starts_with('"') {
            return crate::text(raw).map(|text| Self::Text(text.into()));
        }
        let digits = raw.strip_prefix('-').unwrap_or(raw);
        let integer = !digits.is_empty() && digits.len() <= 64 && digits.bytes().all(|b| b.is_ascii_digit());
        integer.then(|| Self::Integer(raw.into()))
    }

    /// The id as JSON text.
    #[must_use]
    pub fn to_json(&self) -> Cow<'_, str> {
        match self {
            Self::Integer(digits) => Cow::Borrowed(digits),
            Self::Text(text) => Cow::Owned(serde_json::Value::from(&**text).to_string()),
        }
    }

    /// The number, where the id is one that fits. Ids that the gate mints always do.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Integer(digits) => digits.parse().ok(),
            Self::Text(_) => None,
        }
    }

    /// The number that a peer names by it: some write back as a text what they were given as a number.
    #[must_use]
    pub fn meant(&self) -> Option<u64> {
        let (Self::Integer(digits) | Self::Text(digits)) = self;
        digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

impl From<u64> for Id {
    fn from(number: u64) -> Self {
        Self::Integer(number.to_string().into())
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_json())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_string_or_an_integer_and_nothing_else() {
        assert_eq!(Id::from_json("12"), Some(Id::from(12)));
        assert_eq!(Id::from_json("\"\\u0061\""), Some(Id::Text("a".into())));
        assert_ne!(Id::from_json("1"), Id::from_json("\"1\""));
        for bad in ["null", "true", "1.0", "1e3", "[1]", "{}", "-", ""] {
            assert_eq!(Id::from_json(bad), None, "{bad}");
        }
    }
}
