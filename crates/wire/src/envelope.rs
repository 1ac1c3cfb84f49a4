//! One JSON-RPC message as bytes plus the places of its members.

use crate::methods::misspelt;
use crate::params::{Found, Peeked, Twin, gather, members, span_in};
use crate::{INVALID_PARAMS, INVALID_REQUEST, Id, Meta, PARSE_ERROR, Params, Span, folds_to, strict, text};
use bytes::Bytes;
use bytestring::ByteString;
use serde::de::IgnoredAny;
use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

/// The members of an envelope: a member that only folds to one of these is refused.
const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Wants an answer.
    Request,
    /// Wants none.
    Notification,
    /// Answers a request.
    Response,
}

/// A message that was not let in: what to answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// A JSON-RPC error code.
    pub code: i32,
    /// What was expected and what was found.
    pub message: String,
    /// The id of the message, where it could be read.
    pub id: Option<Id>,
}

/// One JSON-RPC message. Cheap to clone: everything is shared.
#[derive(Debug, Clone)]
pub struct Envelope(Arc<Places>);

/// The text and where what matters stands in it.
#[derive(Debug)]
struct Places {
    text: ByteString,
    id: Option<(Id, Span)>,
    method: Option<(Box<str>, Span)>,
    params: Option<Span>,
    result: Option<Span>,
    error: Option<Span>,
    /// Whether it has members that JSON-RPC does not have.
    others: bool,
    peeked: OnceLock<Peeked>,
    /// See [`Envelope::plain_values`].
    plain_values: OnceLock<bool>,
}

impl Envelope {
    /// Reads a message that will be judged, strictly (see `docs/decision.md`).
    ///
    /// # Errors
    /// What is wrong with it and the code to answer with.
    pub fn request(bytes: Bytes) -> Result<Self, Refused> {
        let envelope = Self::read(bytes, true)?;
        let refuse = |code, message: String| Refused { code, message, id: envelope.id().cloned() };
        if let Some(why) = envelope.method().and_then(misspelt) {
            return Err(refuse(INVALID_REQUEST, why));
        }
        for (place, span) in
            [("params", &envelope.0.params), ("result", &envelope.0.result), ("error", &envelope.0.error)]
        {
            let Some(span) = span else { continue };
            let json = envelope.slice(span);
            strict::check(json).map_err(|fault| refuse(INVALID_PARAMS, format!("`{place}`: {fault}")))?;
        }
        if let Some(json) = envelope.params() {
            if !json.starts_with('{') {
                return Err(refuse(
                    INVALID_PARAMS,
                    format!("`params` must be an object, found {}", named(json)),
                ));
            }
            let peeked = envelope.peeked();
            for (place, in_it) in [("params", &peeked.params_found), ("params._meta", &peeked.meta_found)] {
                if let Some(Twin { found, known }) = &in_it.twin {
                    let found = found.escape_default();
                    let what = format!("`{place}` has `{found}`, which could be read as `{known}`");
                    return Err(refuse(INVALID_PARAMS, what));
                }
            }
            if let Some(arguments) = envelope.peek().arguments
                && !arguments.starts_with('{')
            {
                let found = named(arguments);
                return Err(refuse(INVALID_PARAMS, format!("`arguments` must be an object, found {found}")));
            }
        }
        Ok(envelope)
    }

    /// Reads a message that comes from a server: the envelope alone, whatever its members hold.
    ///
    /// # Errors
    /// Where it is not one JSON-RPC message.
    pub fn reply(bytes: Bytes) -> Result<Self, Refused> {
        Self::read(bytes, false)
    }

    fn read(mut bytes: Bytes, strict: bool) -> Result<Self, Refused> {
        // Consoles write a mark before the first text. A reader may pass over it (RFC 8259, section 8.1), so where something is judged
        // it is refused.
        if !strict && bytes.starts_with(MARK) {
            bytes = bytes.slice(MARK.len()..);
        }
        let refuse_as = |code, message: String, id: Option<Id>| Refused { code, message, id };
        let refuse = |code, message: String| refuse_as(code, message, None);
        let whole = ByteString::try_from(bytes.clone()).map_err(|_| {
            let valid = std::str::from_utf8(&bytes).err().map_or(0, |error| error.valid_up_to());
            refuse(PARSE_ERROR, format!("not UTF-8 at byte {valid}"))
        })?;
        let source = &*whole;
        match source.trim_start_matches([' ', '\t', '\r', '\n']).chars().next() {
            Some('{') => {}
            Some('[') => {
                return Err(refuse(INVALID_REQUEST, "batches are not accepted: send one message".into()));
            }
            None => return Err(refuse(PARSE_ERROR, "expected one JSON object, found nothing".into())),
            Some(_) => {
                let known = serde_json::from_str::<IgnoredAny>(source).is_ok();
                let code = if known { INVALID_REQUEST } else { PARSE_ERROR };
                return Err(refuse(code, "expected one JSON object".into()));
            }
        }
        let mut members =
            gather(source, |members: &mut Members<'_>, name, raw| members.take(name, raw, strict))
                .map_err(|error| refuse(PARSE_ERROR, format!("not one JSON-RPC message: {error}")))?;
        if strict && members.others && members.fault.is_none() {
            members.fault = strict::check(source).err().map(|fault| fault.what);
        }
        if let Some(fault) = members.fault {
            // Whoever waits for the answer knows it by its id, also where the message is refused.
            return Err(refuse_as(
                INVALID_REQUEST,
                format!("not one JSON-RPC message: {fault}"),
                only_id(source),
            ));
        }
        if !strict {
            members.without_nulls();
        }
        let span = |raw: &str| span_in(source, raw);
        let id = match members.id {
            None => None,
            // A reply to something that could not be read carries a null id.
            Some(raw) if raw == "null" && members.error.is_some() => None,
            Some(raw) => {
                let whole = || raw.strip_suffix(".0").filter(|_| !strict).and_then(Id::from_json);
                let id = Id::from_json(raw).or_else(whole).ok_or_else(|| {
                    refuse(
                        INVALID_REQUEST,
                        format!("`id` must be a string or an integer, found {}", named(raw)),
                    )
                })?;
                Some((id, span(raw)))
            }
        };
        let refuse = |message: String| Refused {
            code: INVALID_REQUEST,
            message,
            id: id.as_ref().map(|(id, _)| id.clone()),
        };
        match members.jsonrpc.and_then(text).as_deref() {
            Some("2.0") => {}
            _ => return Err(refuse("`jsonrpc` must be \"2.0\"".into())),
        }
        let method = match members.method {
            None => None,
            Some(raw) => {
                let name = text(raw)
                    .ok_or_else(|| refuse(format!("`method` must be a string, found {}", named(raw))))?;
                Some((Box::from(&*name), span(raw)))
            }
        };
        let answers = usize::from(members.result.is_some()) + usize::from(members.error.is_some());
        match (&method, answers) {
            (Some(_), 0) | (None, 1) => {}
            (None, 0) => return Err(refuse("a message has a `method`, a `result` or an `error`".into())),
            _ => return Err(refuse("a message has only one of `method`, `result` and `error`".into())),
        }
        if method.is_none() && id.is_none() && members.result.is_some() {
            return Err(refuse("a response has an `id`".into()));
        }
        let (params, result, error) =
            (members.params.map(span), members.result.map(span), members.error.map(span));
        let others = members.others;
        Ok(Self(Arc::new(Places {
            text: whole,
            id,
            method,
            params,
            result,
            error,
            others,
            peeked: OnceLock::new(),
            plain_values: OnceLock::new(),
        })))
    }

    /// A message that says nothing: an empty notification.
    #[must_use]
    pub fn nothing() -> Self {
        let text = ByteString::from_static(r#"{"jsonrpc":"2.0","method":""}"#);
        let method = Some(("".into(), 26..28));
        Self(Arc::new(Places {
            text,
            id: None,
            method,
            params: None,
            result: None,
            error: None,
            others: false,
            peeked: OnceLock::new(),
            plain_values: OnceLock::new(),
        }))
    }

    /// The message as it came.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.0.text.as_bytes()
    }

    /// Whether it asks, tells or answers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match (&self.0.method, &self.0.id) {
            (Some(_), Some(_)) => Kind::Request,
            (Some(_), None) => Kind::Notification,
            (None, _) => Kind::Response,
        }
    }

    /// The id, where it has one.
    #[must_use]
    pub fn id(&self) -> Option<&Id> {
        self.0.id.as_ref().map(|(id, _)| id)
    }

    /// Where the id stands.
    #[must_use]
    pub fn id_span(&self) -> Option<Span> {
        self.0.id.as_ref().map(|(_, span)| span.clone())
    }

    /// The decoded method.
    #[must_use]
    pub fn method(&self) -> Option<&str> {
        self.0.method.as_ref().map(|(name, _)| &**name)
    }

    /// The JSON text of `params`.
    #[must_use]
    pub fn params(&self) -> Option<&str> {
        self.0.params.as_ref().map(|span| self.slice(span))
    }

    /// Where `params` stands.
    #[must_use]
    pub fn params_span(&self) -> Option<Span> {
        self.0.params.clone()
    }

    /// The peeked members of `params`, all absent where there are none.
    #[must_use]
    #[inline]
    pub fn peek(&self) -> Params<'_> {
        self.peeked().params.view(&self.0.text)
    }

    /// The peeked members of `params._meta`, all absent where there are none.
    #[must_use]
    #[inline]
    pub fn meta(&self) -> Meta<'_> {
        self.peeked().meta.view(&self.0.text)
    }

    /// Which members `params` and `params._meta` have.
    pub(crate) fn found(&self) -> (&Found, &Found) {
        let peeked = self.peeked();
        (&peeked.params_found, &peeked.meta_found)
    }

    /// Whether it has members that JSON-RPC does not have.
    pub(crate) fn has_others(&self) -> bool {
        self.0.others
    }

    /// Whether the known members hold only what they are for, once that was looked at.
    pub(crate) fn plain_values(&self) -> &OnceLock<bool> {
        &self.0.plain_values
    }

    /// The members that JSON-RPC does not have.
    pub(crate) fn others(&self) -> Vec<(Cow<'_, str>, &str)> {
        let all = members(self.0.text.trim_ascii());
        all.into_iter().filter(|(name, _)| !KNOWN.contains(&&**name)).collect()
    }

    fn peeked(&self) -> &Peeked {
        self.0.peeked.get_or_init(|| Peeked::of(&self.0.text, self.params()))
    }

    /// The JSON text of `result`.
    #[must_use]
    pub fn result(&self) -> Option<&str> {
        self.0.result.as_ref().map(|span| self.slice(span))
    }

    /// Where `result` stands.
    #[must_use]
    pub fn result_span(&self) -> Option<Span> {
        self.0.result.clone()
    }

    /// The JSON text of `error`.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.0.error.as_ref().map(|span| self.slice(span))
    }

    /// The message with the members of JSON-RPC alone, where it has others. A reader that takes `Result` for `result` finds none.
    #[must_use]
    pub fn without_others(&self) -> Option<Self> {
        if !self.has_others() {
            return None;
        }
        let id = self.id().map(Id::to_json);
        let method = self.method().map(|method| serde_json::Value::from(method).to_string());
        let members = [
            ("id", id.as_deref()),
            ("method", method.as_deref()),
            ("params", self.params()),
            ("result", self.result()),
            ("error", self.error()),
        ];
        let members = members.into_iter().filter_map(|(name, raw)| Some(format!(",\"{name}\":{}", raw?)));
        let text = format!("{{\"jsonrpc\":\"2.0\"{}}}", members.collect::<String>());
        Some(Self::reply(text.into()).unwrap_or_else(|_| Self::nothing()))
    }

    /// The place of a part that was peeked out of this message.
    #[must_use]
    pub fn span_of(&self, part: &str) -> Span {
        span_in(&self.0.text, part)
    }

    /// The same message under another id. Without an id it stays as it is.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Bytes {
        match self.id_span() {
            None => self.bytes().clone(),
            Some(span) => {
                let mut splice = crate::Splice::new(self.bytes());
                splice.replace(span, id);
                splice.finish()
            }
        }
    }

    fn slice(&self, span: &Span) -> &str {
        self.0.text.get(span.clone()).unwrap_or_default()
    }
}

/// The kind of a JSON value, for messages.
fn named(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(_) => "a number",
        None => "nothing",
    }
}

/// The id of a message that is refused, where it can be told.
fn only_id(source: &str) -> Option<Id> {
    let all = members(source.trim_ascii());
    let mut ids = all.iter().filter(|(name, _)| name == "id");
    let (id, None) = (ids.next()?, ids.next()) else { return None };
    Id::from_json(id.1)
}

#[derive(Default)]
struct Members<'a> {
    jsonrpc: Option<&'a str>,
    id: Option<&'a str>,
    method: Option<&'a str>,
    params: Option<&'a str>,
    result: Option<&'a str>,
    error: Option<&'a str>,
    /// Whether there are others, that JSON-RPC does not have, or that hold nothing.
    others: bool,
    /// What is wrong, first of all.
    fault: Option<String>,
}

impl<'a> Members<'a> {
    fn take(&mut self, name: Cow<'a, str>, raw: &'a str, strict: bool) {
        if self.fault.is_none() {
            self.fault = self.place(&name, raw, strict).err();
        }
    }

    fn place(&mut self, name: &str, raw: &'a str, strict: bool) -> Result<(), String> {
        let slot = match name {
            "jsonrpc" => &mut self.jsonrpc,
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            other => {
                if let Some(known) = KNOWN.iter().find(|known| strict && folds_to(other, known)) {
                    return Err(format!("`{}` could be read as `{known}`", other.escape_default()));
                }
                self.others = true;
                return Ok(());
            }
        };
        match slot.replace(raw) {
            Some(_) => Err(format!("`{name}` stands twice")),
            None => Ok(()),
        }
    }

    /// An answer whose writer puts `null` for the one of `result` and `error` that it has not.
    fn without_nulls(&mut self) {
        let is_null = |raw: Option<&str>| raw == Some("null");
        let unused = match (self.result, self.error) {
            (Some(_), error) if is_null(error) => &mut self.error,
            (result, Some(_)) if is_null(result) => &mut self.result,
            _ => return,
        };
        *unused = None;
        // It does not go on.
        self.others = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(text: &str) -> Result<Envelope, Refused> {
        Envelope::request(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn a_plain_call_is_read_in_place() {
        let text = r#" {"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","arguments":{"b":1.0}},"vendor":1}"#;
        let envelope = request(text).unwrap();
        assert_eq!(envelope.kind(), Kind::Request);
        assert_eq!(envelope.peek().arguments.unwrap(), r#"{"b":1.0}"#);
        assert_eq!(envelope.with_id("5"), text.replace("\"x\"", "5"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let cases = [
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, INVALID_REQUEST, "batches"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
                INVALID_REQUEST,
                "`method` stands twice",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","Method":"b"}"#,
                INVALID_REQUEST,
                "could be read as `method`",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","paramſ":{}}"#,
                INVALID_REQUEST,
                "could be read as `params`",
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","x":1,"x":2}"#, INVALID_REQUEST, "`x` stands twice"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"Name":"b"}}"#,
                INVALID_PARAMS,
                "could be read as `name`",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"progresstoken":1}}}"#,
                INVALID_PARAMS,
                "could be read as `progressToken`",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"name":"b","name":"c"}}"#,
                INVALID_PARAMS,
                "stands twice",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":[1]}}"#,
                INVALID_PARAMS,
                "found an array",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":"{}"}}"#,
                INVALID_PARAMS,
                "found a string",
            ),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"arguments":{"a":{"b":1,"b":2}}}}"#,
                INVALID_PARAMS,
                "stands twice",
            ),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","params":[]}"#, INVALID_PARAMS, "must be an object"),
            (r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#, INVALID_REQUEST, "found a number"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, INVALID_REQUEST, "found null"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, INVALID_REQUEST, "2.0"),
            (r#"{"jsonrpc":"2.0","id":1,"method":7}"#, INVALID_REQUEST, "`method` must be a string"),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#, INVALID_REQUEST, "only one of"),
            (
                r#"{"jsonrpc":"2.0","id":1,"method":"a"}{"jsonrpc":"2.0","id":2,"method":"b"}"#,
                PARSE_ERROR,
                "trailing",
            ),
            (r#"{"jsonrpc":"2.0","id":1"#, PARSE_ERROR, "EOF"),
            ("", PARSE_ERROR, "nothing"),
            ("7", INVALID_REQUEST, "one JSON object"),
            ("nope", PARSE_ERROR, "one JSON object"),
        ];
        for (text, code, message) in cases {
            let refused = request(text).unwrap_err();
            assert_eq!(refused.code, code, "{text}: {refused}");
            assert!(refused.message.contains(message), "{text}: {refused}");
        }
    }

    #[test]
    fn a_refusal_names_the_request_where_it_can() {
        let refused =
            request(r#"{"jsonrpc":"2.0","id":9,"method":"a","params":{"arguments":[]}}"#).unwrap_err();
        assert_eq!(refused.id, Some(Id::from(9)));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = request(&text);
            let _ = Envelope::reply(Bytes::from(text));
        }
    }
}
