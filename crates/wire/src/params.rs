//! Peeks: the few members of `params` that judging and routing need, borrowed from the message.

use crate::Span;
use crate::strict::{Key, folds_to};
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

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
                let (view, found, twice) = gather(json, |all: &mut (Self, Found, bool), name, value| {
                    let (view, found, twice) = all;
                    let (slot, bit) = match &*name {
                        $($name => (&mut view.$field, $bits::$field as u32),)*
                        other => {
                            found.others = true;
                            found.twin = found.twin.take().or_else(|| Twin::of(other, &[$($name),*]));
                            return;
                        }
                    };
                    found.known |= 1 << bit;
                    *twice |= slot.replace(value).is_some();
                }).ok()?;
                (!twice).then_some((view, found))
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

/// Where a part of a text stands in it. The part must be one of that text.
#[must_use]
pub fn span_in(text: &str, part: &str) -> Span {
    let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    start..start + part.len()
}

/// Puts together what is wanted of the members of a JSON object: names, decoded, and JSON texts.
///
/// # Errors
/// Where the text is no object.
pub(crate) fn gather<'a, T: Default>(
    json: &'a str,
    mut take: impl FnMut(&mut T, Cow<'a, str>, &'a str),
) -> Result<T, serde_json::Error> {
    let mut all = T::default();
    if portcullis_json::members(json, &mut |name, value| take(&mut all, name, value)).is_some() {
        return Ok(all);
    }
    // The slow way tells what is wrong, and reads what is nested deeper than the quick one can.
    let mut reader = serde_json::Deserializer::from_str(json);
    let all = reader.deserialize_map(Slowly { take, of: PhantomData })?;
    reader.end().map(|()| all)
}

/// See [`gather`].
struct Slowly<F, T> {
    take: F,
    of: PhantomData<T>,
}

impl<'de, T: Default, F: FnMut(&mut T, Cow<'de, str>, &'de str)> Visitor<'de> for Slowly<F, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<T, A::Error> {
        let mut all = T::default();
        while let Some((name, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            (self.take)(&mut all, name.into_text(), value.get());
        }
        Ok(all)
    }
}

/// The members of a JSON object in their order: names, decoded, and JSON texts. Empty where the text is no object.
pub(crate) fn members(json: &str) -> Vec<(Cow<'_, str>, &str)> {
    gather(json, |all: &mut Vec<_>, name, value| all.push((name, value))).unwrap_or_default()
}

/// The names of the members of a JSON object, decoded, in their order. Empty where the text is no object.
#[must_use]
pub fn keys(json: &str) -> Vec<Cow<'_, str>> {
    members(json).into_iter().map(|(name, _)| name).collect()
}

/// The JSON text of one member of a JSON object, the first of that name.
#[must_use]
pub fn member<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let found = gather(json, |found: &mut Option<&'a str>, key, value| {
        if found.is_none() && key == name {
            *found = Some(value);
        }
    });
    found.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;

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
    fn what_is_nested_deep_is_gathered_too() {
        let deep = format!("{}{}", "[".repeat(3000), "]".repeat(3000));
        let json = format!("{{\"a\":1,\"deep\":{deep},\"b\":2}}");
        assert_eq!(members(&json), [("a".into(), "1"), ("deep".into(), &*deep), ("b".into(), "2")]);
        assert_eq!(members(&json[..json.len() - 2]), []);
    }

    #[test]
    fn a_member_is_found_by_its_decoded_name() {
        assert_eq!(member(r#"{"a":1,"\u0062":[2]}"#, "b"), Some("[2]"));
        assert_eq!(member("[1]", "b"), None);
    }
}
