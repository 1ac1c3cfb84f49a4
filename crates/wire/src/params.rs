//! Peeks: the few members of `params` that judging and routing need, borrowed from the message.

use crate::strict::Key;
use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The members of `params` that some method gives a meaning to; each is JSON text or absent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Params<'a> {
    /// Tool or prompt name.
    #[serde(borrow)]
    pub name: Option<&'a RawValue>,
    /// Arguments of a tool or prompt.
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    /// A resource.
    #[serde(borrow)]
    pub uri: Option<&'a RawValue>,
    /// Where a list goes on.
    #[serde(borrow)]
    pub cursor: Option<&'a RawValue>,
    /// The request that a cancellation means.
    #[serde(borrow, rename = "requestId")]
    pub request_id: Option<&'a RawValue>,
    /// The request that a progress notice belongs to.
    #[serde(borrow, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    /// Why something was cancelled.
    #[serde(borrow)]
    pub reason: Option<&'a RawValue>,
    /// What a completion completes.
    #[serde(borrow, rename = "ref")]
    pub reference: Option<&'a RawValue>,
    /// Answers to what an earlier result asked for (new era).
    #[serde(borrow, rename = "inputResponses")]
    pub input_responses: Option<&'a RawValue>,
    /// The server's own note that a retry brings back (new era).
    #[serde(borrow, rename = "requestState")]
    pub request_state: Option<&'a RawValue>,
    /// What a subscription wants to hear of (new era).
    #[serde(borrow)]
    pub notifications: Option<&'a RawValue>,
    /// Least severe log level.
    #[serde(borrow)]
    pub level: Option<&'a RawValue>,
    /// The version that `initialize` asks for.
    #[serde(borrow, rename = "protocolVersion")]
    pub protocol_version: Option<&'a RawValue>,
    /// The capabilities that `initialize` declares.
    #[serde(borrow)]
    pub capabilities: Option<&'a RawValue>,
    /// Who the client says it is.
    #[serde(borrow, rename = "clientInfo")]
    pub client_info: Option<&'a RawValue>,
    /// Metadata.
    #[serde(borrow, rename = "_meta")]
    pub meta: Option<&'a RawValue>,
}

/// Names of [`Params`] in the protocol's spelling: a member that only folds to one of these is refused.
pub(crate) const KNOWN_PARAMS: [&str; 16] = [
    "name",
    "arguments",
    "uri",
    "cursor",
    "requestId",
    "progressToken",
    "reason",
    "ref",
    "inputResponses",
    "requestState",
    "notifications",
    "level",
    "protocolVersion",
    "capabilities",
    "clientInfo",
    "_meta",
];

impl<'a> Params<'a> {
    /// Reads the peeked members of a JSON object. `None` where the text is not an object or a peeked member
    /// stands twice.
    #[must_use]
    pub fn read(json: &'a str) -> Option<Self> {
        // A derive accepts arrays too, member by position: only an object means what it says.
        json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
    }

    /// The peeked metadata, empty where there is none.
    #[must_use]
    pub fn meta(&self) -> Meta<'a> {
        self.meta.and_then(|raw| Meta::read(raw.get())).unwrap_or_default()
    }
}

/// The members of `_meta` that the gate reads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Meta<'a> {
    /// The caller's progress token.
    #[serde(borrow, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    /// Protocol version (new era).
    #[serde(borrow, rename = "io.modelcontextprotocol/protocolVersion")]
    pub version: Option<&'a RawValue>,
    /// Client capabilities (new era).
    #[serde(borrow, rename = "io.modelcontextprotocol/clientCapabilities")]
    pub capabilities: Option<&'a RawValue>,
    /// Client name and version (new era).
    #[serde(borrow, rename = "io.modelcontextprotocol/clientInfo")]
    pub client: Option<&'a RawValue>,
    /// Subscription that a notification belongs to (new era).
    #[serde(borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    pub subscription: Option<&'a RawValue>,
    /// Log level wanted (new era).
    #[serde(borrow, rename = "io.modelcontextprotocol/logLevel")]
    pub log_level: Option<&'a RawValue>,
}

impl<'a> Meta<'a> {
    /// Reads the peeked members of a `_meta` object.
    #[must_use]
    pub fn read(json: &'a str) -> Option<Self> {
        json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
    }
}

/// The decoded text of a JSON string. `None` where the JSON is not a string.
#[must_use]
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') {
        return serde_json::from_str::<String>(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// The JSON text of one member of a JSON object, the first of that name.
#[must_use]
pub fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    struct Find<'n>(&'n str);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = members.next_key::<Key<'de>>()? {
                if found.is_none() && key.as_str() == self.0 {
                    found = Some(members.next_value::<&'de RawValue>()?);
                } else {
                    members.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    serde::Deserializer::deserialize_map(&mut reader, Find(name)).ok().flatten().map(RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeks_borrow_and_leave_the_rest_alone() {
        let params =
            Params::read(r#"{"x":[1,{"name":"no"}],"name":"a\/b","_meta":{"progressToken":3}}"#).unwrap();
        assert_eq!(text(params.name.unwrap().get()).unwrap(), "a/b");
        assert_eq!(params.meta().progress_token.unwrap().get(), "3");
    }

    #[test]
    fn arrays_and_doubled_members_are_no_params() {
        assert!(Params::read(r#"["a"]"#).is_none());
        assert!(Params::read(r#"{"name":1,"name":2}"#).is_none());
    }

    #[test]
    fn a_member_is_found_by_its_decoded_name() {
        assert_eq!(member(r#"{"a":1,"\u0062":[2]}"#, "b"), Some("[2]"));
        assert_eq!(member("[1]", "b"), None);
    }
}
