//! Peeks: the few members of `params` that judging and routing need, borrowed from the message.

use crate::Span;
use crate::strict::{Key, folds_to};
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Declares a view of an object's known members, and the places where they stand.
macro_rules! peeks {
    ($(#[$about:meta])* $view:ident, $places:ident, $bits:ident;
     $($(#[$doc:meta])* $field:ident = $name:literal,)*) => {
        $(#[$about])*
        #[derive(Debug, Default, Clone, Copy)]
        pub struct $view<'a> {
            $($(#[$doc])* pub $field: Option<&'a str>,)*
        }

        /// Where the members stand in the message.
        #[derive(Debug, Default, Clone)]
        pub(crate) struct $places {
            $($field: Option<Span>,)*
        }

        /// Which of the known members an object has, as a set of bits.
        #[allow(non_camel_case_types, dead_code, reason = "the variants are the fields above")]
        #[derive(Debug, Clone, Copy)]
        pub(crate) enum $bits { $($field,)* }

        impl $bits {
            /// The bit of the member of that name.
            pub(crate) fn of(name: &str) -> Option<u32> {
                match name {
                    $($name => Some($bits::$field as u32),)*
                    _ => None,
                }
            }

            pub(crate) const fn set(all: &[Self]) -> u32 {
                let (mut set, mut left) = (0, all);
                while let [first, rest @ ..] = left {
                    set |= 1 << *first as u32;
                    left = rest;
                }
                set
            }
        }

        impl<'a> $view<'a> {
            /// Reads the members of a JSON object, and finds the first other one that a lenient parser would
            /// take for one of them. `None` where the text is not an object or one of them stands twice.
            fn read(json: &'a str) -> Option<(Self, Found)> {
                struct Members;
                impl<'de> Visitor<'de> for Members {
                    type Value = ($view<'de>, Found);

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let (mut view, mut found) = ($view::default(), Found::default());
                        while let Some(key) = map.next_key::<Key<'de>>()? {
                            let (slot, bit) = match key.as_str() {
                                $($name => (&mut view.$field, $bits::$field as u32),)*
                                other => {
                                    found.others = true;
                                    found.twin = found.twin.or_else(|| Twin::of(other, &[$($name),*]));
                                    map.next_value::<IgnoredAny>()?;
                                    continue;
                                }
                            };
                            found.known |= 1 << bit;
                            if slot.is_some() {
                                return Err(A::Error::custom("a member stands twice"));
                            }
                            *slot = Some(map.next_value::<&'de RawValue>()?.get());
                        }
                        Ok((view, found))
                    }
                }
                serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
            }

            pub(crate) fn places(&self, message: &str) -> $places {
                $places { $($field: self.$field.map(|part| span_in(message, part)),)* }
            }
        }

        impl $places {
            // So that whoever wants one member pays for one.
            #[inline(always)]
            pub(crate) fn view<'a>(&self, message: &'a str) -> $view<'a> {
                let part = |span: &Span| message.get(span.clone());
                $view { $($field: self.$field.as_ref().and_then(part),)* }
            }
        }
    };
}

peeks! {
    /// The members of `params` that some method gives a meaning to; each is JSON text or absent. A member that
    /// only folds to one of them is refused.
    Params, ParamsPlaces, ParamsBits;
    /// Tool or prompt name.
    name = "name",
    /// Arguments of a tool or prompt.
    arguments = "arguments",
    /// A resource.
    uri = "uri",
    /// Where a list goes on.
    cursor = "cursor",
    /// The request that a cancellation means.
    request_id = "requestId",
    /// The request that a progress notice belongs to.
    progress_token = "progressToken",
    /// Why something was cancelled.
    reason = "reason",
    /// What a completion completes.
    reference = "ref",
    /// Answers to what an earlier result asked for (new era).
    input_responses = "inputResponses",
    /// The server's own note that a retry brings back (new era).
    request_state = "requestState",
    /// What a subscription wants to hear of (new era).
    notifications = "notifications",
    /// Least severe log level.
    level = "level",
    /// The version that `initialize` asks for.
    protocol_version = "protocolVersion",
    /// The capabilities that `initialize` declares.
    capabilities = "capabilities",
    /// Who the client says it is.
    client_info = "clientInfo",
    /// The task that a request is about.
    task_id = "taskId",
    /// That the call is to be made a task (2025-11-25).
    task = "task",
    /// What is completed.
    argument = "argument",
    /// What was completed before.
    context = "context",
    /// Metadata.
    meta = "_meta",
}

peeks! {
    /// The members of `_meta` that the gate reads; each is JSON text or absent.
    Meta, MetaPlaces, MetaBits;
    /// The caller's progress token.
    progress_token = "progressToken",
    /// Protocol version (new era).
    version = "io.modelcontextprotocol/protocolVersion",
    /// Client capabilities (new era).
    capabilities = "io.modelcontextprotocol/clientCapabilities",
    /// Client name and version (new era).
    client = "io.modelcontextprotocol/clientInfo",
    /// Subscription that a notification belongs to (new era).
    subscription = "io.modelcontextprotocol/subscriptionId",
    /// Log level wanted (new era).
    log_level = "io.modelcontextprotocol/logLevel",
    /// The task that a message belongs to (2025-11-25).
    related_task = "io.modelcontextprotocol/related-task",
    /// The caller's trace (W3C Trace Context).
    traceparent = "traceparent",
    /// What vendors note of the trace.
    tracestate = "tracestate",
    /// What travels with the trace (W3C Baggage).
    baggage = "baggage",
}

/// Which members an object has.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    /// The known ones, by their bits.
    pub known: u32,
    /// Whether there are others.
    pub others: bool,
    /// The first of those that could be read as a known one.
    pub twin: Option<Twin>,
}

/// A member that only folds to a known one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Twin {
    pub found: String,
    pub known: &'static str,
}

impl Twin {
    fn of(found: &str, known: &[&'static str]) -> Option<Self> {
        let known = known.iter().find(|known| folds_to(found, known))?;
        Some(Self { found: found.to_owned(), known })
    }
}

/// Where both stand in a message: found once, however often it is asked.
#[derive(Debug, Default)]
pub(crate) struct Peeked {
    pub params: ParamsPlaces,
    pub params_found: Found,
    pub meta: MetaPlaces,
    pub meta_found: Found,
}

impl Peeked {
    /// Reads the `params` of a message.
    pub(crate) fn of(message: &str, params: Option<&str>) -> Self {
        let (params, params_found) = params.and_then(Params::read).unwrap_or_default();
        let (meta, meta_found) = params.meta.and_then(Meta::read).unwrap_or_default();
        Self { params: params.places(message), params_found, meta: meta.places(message), meta_found }
    }
}

/// Where a part of a text stands in it.
pub(crate) fn span_in(text: &str, part: &str) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

/// The decoded text of a JSON string. `None` where the JSON is not a string.
#[must_use]
pub fn text(json: &str) -> Option<Cow<'_, str>> {
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inside.as_bytes()).is_some() {
        return serde_json::from_str::<String>(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inside))
}

/// The members of a JSON object in their order: names, decoded, and JSON texts. Empty where the text is no object.
pub(crate) fn members(json: &str) -> Vec<(Cow<'_, str>, &str)> {
    struct All;
    impl<'de> Visitor<'de> for All {
        type Value = Vec<(Cow<'de, str>, &'de str)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some((name, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                all.push((name.into_text(), value.get()));
            }
            Ok(all)
        }
    }
    serde_json::Deserializer::from_str(json).deserialize_map(All).unwrap_or_default()
}

/// The names of the members of a JSON object, decoded, in their order. Empty where the text is no object.
#[must_use]
pub fn keys(json: &str) -> Vec<Cow<'_, str>> {
    members(json).into_iter().map(|(name, _)| name).collect()
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
    reader.deserialize_map(Find(name)).ok().flatten().map(RawValue::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peeks_borrow_and_leave_the_rest_alone() {
        let (params, twin) =
            Params::read(r#"{"x":[1,{"name":"no"}],"name":"a\/b","_meta":{"progressToken":3}}"#).unwrap();
        assert_eq!(text(params.name.unwrap()).unwrap(), "a/b");
        assert_eq!(params.meta.and_then(Meta::read).unwrap().0.progress_token, Some("3"));
        assert_eq!(twin.twin, None);
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
