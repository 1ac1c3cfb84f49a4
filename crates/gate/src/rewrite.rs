//! Turning what an upstream says into what the client sees: ids, tokens and, on the aggregated route, URIs.

use crate::names::{expose_uri, views_of};
use bytes::Bytes;
use memchr::memmem::{self, Finder};
use portcullis_wire::{Envelope, Id, Splice, insert_member, member, meta, text};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What the client knows a call by.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// Its request id.
    pub id: Id,
    /// Its progress token, JSON; absent where it wants no progress.
    pub progress: Option<String>,
    /// The upstream's name, where URIs carry it.
    pub prefix: Option<String>,
}

impl Known {
    /// The response under the client's id.
    pub(crate) fn response(&self, message: &Envelope) -> Bytes {
        let Some(span) = message.id_span() else { return self.error_without_id(message) };
        let mut splice = Splice::new(message.bytes());
        splice.replace(span, self.id.to_json().into_owned());
        if let (Some(prefix), Some(result)) = (&self.prefix, message.result()) {
            for uri in uris_of(result) {
                replace_uri(&mut splice, message, prefix, uri);
            }
        }
        splice.finish()
    }

    /// An error whose server did not say which request it is about: it came as the answer to this one.
    fn error_without_id(&self, message: &Envelope) -> Bytes {
        let error = message.error().unwrap_or(r#"{"code":-32603,"message":"the server answered nothing"}"#);
        format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}", self.id.to_json()).into()
    }

    /// A notification of the call; `None` where the client must not see it: progress without a token of its
    /// own ends some clients' connections.
    pub(crate) fn notice(&self, message: &Envelope) -> Option<Bytes> {
        let method = message.method()?;
        let peek = message.peek();
        let mut splice = Splice::new(message.bytes());
        if method == "notifications/progress" {
            let ours = peek.progress_token?;
            splice.replace(message.span_of(ours), self.progress.clone()?);
        }
        // The subscription that a notice belongs to is the listen request's id.
        if let Some(ours) = message.meta().subscription {
            splice.replace(message.span_of(ours), self.id.to_json().into_owned());
        }
        if let (Some(prefix), Some(uri)) = (&self.prefix, peek.uri) {
            replace_uri(&mut splice, message, prefix, uri);
        }
        Some(splice.finish())
    }
}

/// A response about a task with the URIs prefixed that stand in the result inside of it.
pub(crate) fn with_uris(message: &Envelope, prefix: &str) -> Envelope {
    let Some(result) = message.result().and_then(|result| member(result, "result")) else {
        return message.clone();
    };
    let mut splice = Splice::new(message.bytes());
    for uri in uris_of(result) {
        replace_uri(&mut splice, message, prefix, uri);
    }
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

/// A notification outside of any call, for the aggregated route with its URIs prefixed.
pub(crate) fn stray_notice(message: &Envelope, prefix: Option<&str>) -> Bytes {
    match (prefix, message.peek().uri) {
        (Some(prefix), Some(uri)) => {
            let mut splice = Splice::new(message.bytes());
            replace_uri(&mut splice, message, prefix, uri);
            splice.finish()
        }
        _ => message.bytes().clone(),
    }
}

fn replace_uri(splice: &mut Splice<'_>, message: &Envelope, prefix: &str, raw: &str) {
    if let Some(uri) = text(raw) {
        splice.replace(message.span_of(raw), Value::from(expose_uri(prefix, &uri)).to_string());
    }
}

/// Every URI in a result that a client may hand back to us: of resource contents, resource links, embedded
/// resources, also inside prompt messages, and of views.
fn uris_of(result: &str) -> Vec<&str> {
    let mut found = Vec::new();
    if memmem::find(result.as_bytes(), b"\"_meta\"").is_some() {
        found.extend(member(result, "_meta").into_iter().flat_map(views_of));
    }
    if memmem::find(result.as_bytes(), b"\"uri\"").is_none() {
        return found;
    }
    for content in list(member(result, "contents")) {
        found.extend(member(content, "uri"));
    }
    let mut blocks: Vec<&str> = list(member(result, "content"));
    for message in list(member(result, "messages")) {
        match member(message, "content") {
            Some(content) if content.starts_with('[') => blocks.extend(list(Some(content))),
            Some(content) => blocks.push(content),
            None => {}
        }
    }
    for block in blocks {
        match member(block, "type").and_then(text).as_deref() {
            Some("resource_link") => found.extend(member(block, "uri")),
            Some("resource") => {
                found.extend(member(block, "resource").and_then(|inner| member(inner, "uri")))
            }
            _ => {}
        }
    }
    found
}

fn list(json: Option<&str>) -> Vec<&str> {
    let items: Option<Vec<&RawValue>> = json.and_then(|json| serde_json::from_str(json).ok());
    items.unwrap_or_default().into_iter().map(RawValue::get).collect()
}

/// Whether an answer says that the call failed.
pub(crate) fn is_error(message: &Envelope) -> bool {
    if message.error().is_some() {
        return true;
    }
    // A search of the bytes is much cheaper than reading a large result that mostly has no such member, or
    // says in the usual spelling that all is well.
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"isError\""));
    let text = message.bytes();
    NAME.find_iter(text)
        .any(|at| !text.get(at + NAME.needle().len()..).is_some_and(|it| it.starts_with(b":false")))
        && message.result().and_then(|result| member(result, "isError")) == Some("true")
}

/// Gives a result of the old era the member that the new era requires.
pub(crate) fn with_result_type(message: &Envelope) -> Envelope {
    match (message.result(), message.result_span()) {
        (Some(result), Some(span)) if result.starts_with('{') && member(result, "resultType").is_none() => {
            let mut splice = Splice::new(message.bytes());
            insert_member(&mut splice, &span, "resultType", "\"complete\"");
            Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
        }
        _ => message.clone(),
    }
}

/// Puts a member into `result._meta`, in place of what is there under its name.
pub(crate) fn with_result_meta(message: &Envelope, name: &str, value: &str) -> Envelope {
    let (Some(result), Some(span)) = (message.result(), message.result_span()) else {
        return message.clone();
    };
    let mut splice = Splice::new(message.bytes());
    match member(result, "_meta").filter(|meta| meta.starts_with('{')) {
        Some(meta) => match member(meta, name) {
            Some(old) => splice.replace(message.span_of(old), value),
            None => insert_member(&mut splice, &message.span_of(meta), name, value),
        },
        None => insert_member(&mut splice, &span, "_meta", &format!("{{\"{name}\":{value}}}")),
    }
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

/// Puts members into `params._meta`, making either where it is missing. Members that are there already stay.
pub(crate) fn with_meta(message: &Envelope, members: &[(&str, &str)]) -> Envelope {
    let mut splice = Splice::new(message.bytes());
    let peek = message.peek();
    if let Some(meta) = peek.meta {
        let span = message.span_of(meta);
        for (name, value) in members {
            if member(meta, name).is_none() {
                insert_member(&mut splice, &span, name, value);
            }
        }
    } else {
        let meta: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let meta = format!("{{{}}}", meta.join(","));
        match message.params_span() {
            Some(span) => insert_member(&mut splice, &span, "_meta", &meta),
            None => {
                let end = message.bytes().len();
                let close = message.bytes().iter().rposition(|b| *b == b'}').unwrap_or(end);
                splice.replace(close..close, format!(",\"params\":{{\"_meta\":{meta}}}"));
            }
        }
    }
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

/// A request of the new era as the old one writes it: without the metadata that only the new one has.
pub(crate) fn without_modern_meta(message: &Envelope) -> Envelope {
    let own = [meta::VERSION, meta::CAPABILITIES, meta::CLIENT, meta::LOG_LEVEL];
    message.peek().meta.map_or_else(|| message.clone(), |meta| without(message, meta, &own))
}

/// A call that does not ask for a task.
pub(crate) fn without_task(message: &Envelope) -> Envelope {
    message.params().map_or_else(|| message.clone(), |params| without(message, params, &["task"]))
}

/// A message without some members of an object in it.
fn without(message: &Envelope, object: &str, names: &[&str]) -> Envelope {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(object).unwrap_or_default();
    let kept: Vec<String> = members
        .iter()
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .map(|(name, raw)| format!("{}:{}", Value::from(name.as_str()), raw.get()))
        .collect();
    let mut splice = Splice::new(message.bytes());
    splice.replace(message.span_of(object), format!("{{{}}}", kept.join(",")));
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

/// Puts members into `params` in place of what is there under their names.
pub(crate) fn with_params(message: &Envelope, members: &[(&str, &str)]) -> Envelope {
    let (Some(params), Some(span)) = (message.params(), message.params_span()) else {
        return message.clone();
    };
    let mut splice = Splice::new(message.bytes());
    for (name, value) in members {
        match member(params, name) {
            Some(old) => splice.replace(message.span_of(old), *value),
            None => insert_member(&mut splice, &span, name, value),
        }
    }
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Envelope {
        Envelope::reply(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn known(prefix: Option<&str>) -> Known {
        Known {
            id: Id::Text("c".into()),
            progress: Some("\"tok\"".into()),
            prefix: prefix.map(str::to_owned),
        }
    }

    #[test]
    fn a_response_changes_in_its_id_alone() {
        let message = read(r#"{"jsonrpc":"2.0","result":{"x":1.0,"uri":"a"},"id":7, "vendor":[]}"#);
        assert_eq!(
            known(None).response(&message),
            r#"{"jsonrpc":"2.0","result":{"x":1.0,"uri":"a"},"id":"c", "vendor":[]}"#
        );
    }

    #[test]
    fn progress_carries_the_clients_own_token_or_is_not_passed() {
        let message = read(
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}"#,
        );
        assert!(known(None).notice(&message).unwrap().windows(5).any(|part| part == b"\"tok\""));
        assert!(Known { progress: None, ..known(None) }.notice(&message).is_none());
    }

    #[test]
    fn every_uri_that_a_client_may_hand_back_is_prefixed() {
        let message = read(
            r#"{"jsonrpc":"2.0","id":1,"result":{"contents":[{"uri":"a:1"}],"content":[{"type":"resource_link","uri":"a:2"},
            {"type":"resource","resource":{"uri":"a:3","text":"uri"}},{"type":"text","text":"\"uri\""}],
            "messages":[{"content":{"type":"resource","resource":{"uri":"a:4"}}}],"structuredContent":{"uri":"a:5"}}}"#,
        );
        let out = String::from_utf8(known(Some("u")).response(&message).to_vec()).unwrap();
        for uri in ["u+a:1", "u+a:2", "u+a:3", "u+a:4", "\"a:5\""] {
            assert!(out.contains(uri), "{out}");
        }
    }

    #[test]
    fn metadata_is_put_where_it_belongs() {
        let without = read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        assert_eq!(with_meta(&without, &[("k", "1")]).params(), Some(r#"{"_meta":{"k":1}}"#));
        let with = read(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"k":2},"a":1}}"#);
        assert_eq!(
            with_meta(&with, &[("k", "1"), ("l", "3")]).params(),
            Some(r#"{"_meta":{"l":3,"k":2},"a":1}"#)
        );
        let plain = read(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":{}}"#);
        assert_eq!(with_meta(&plain, &[("k", "1")]).params(), Some(r#"{"_meta":{"k":1}}"#));
        assert_eq!(
            with_params(&with, &[("a", "9"), ("b", "8")]).params(),
            Some(r#"{"b":8,"_meta":{"k":2},"a":9}"#)
        );
    }
}
