//! What of a client's request goes on to a server: the members that its method has, and what the operator lets pass beside
//! them.

use crate::envelope::Envelope;
use crate::methods::parts_of;
use crate::params::{MetaBits, ParamsBits, text};
use crate::{Era, meta};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Characters of each text that a client says of itself.
const SELF_DESCRIPTION: usize = 200;
/// Bytes of `traceparent`; version 00 has 55 (W3C Trace Context, section 3.2).
const TRACE_PARENT: usize = 128;
/// Bytes of `tracestate` (W3C Trace Context, section 3.3.1.5).
const TRACE_STATE: usize = 512;
/// Bytes of `baggage` (W3C Baggage, section 3.3.2).
const BAGGAGE: usize = 8192;
/// Bytes of the id of a task.
const TASK_ID: usize = 256;

/// The levels that a log has (specification, "Log Levels"), JSON.
pub const LOG_LEVELS: [&str; 8] = [
    "\"debug\"",
    "\"info\"",
    "\"notice\"",
    "\"warning\"",
    "\"error\"",
    "\"critical\"",
    "\"alert\"",
    "\"emergency\"",
];

/// What may go on beside the members that a request's method has.
#[derive(Debug, Clone, Copy)]
pub struct Allowance<'a> {
    /// How the server speaks that it goes to.
    pub era: Era,
    /// Whether members pass that the method does not have.
    pub unknown: bool,
    /// Members of `_meta` that pass in any case, beside those of the protocol.
    pub meta: &'a [String],
}

/// Members of `_meta` that a server reads as part of the protocol and that carry nothing of the client's choosing once they
/// are narrowed.
const PLAIN_META: u32 = MetaBits::set(&[
    MetaBits::progress_token,
    MetaBits::version,
    MetaBits::capabilities,
    MetaBits::client,
    MetaBits::log_level,
    MetaBits::related_task,
    MetaBits::traceparent,
]);
/// Those that pass, but are part of what is judged.
const FREE_META: u32 = MetaBits::set(&[MetaBits::tracestate, MetaBits::baggage]);
/// Members of `params` that are recorded by themselves, or carry nothing of the client's choosing once they are narrowed.
const PLAIN_PARAMS: u32 = ParamsBits::set(&[
    ParamsBits::name,
    ParamsBits::arguments,
    ParamsBits::uri,
    ParamsBits::cursor,
    ParamsBits::level,
    ParamsBits::task_id,
    ParamsBits::task,
    ParamsBits::meta,
]);

impl Envelope {
    /// The request as it may go on: without the members that neither its method has nor the allowance names. Most have none
    /// and are given back as they are.
    #[must_use]
    pub fn narrowed(&self, allowance: &Allowance<'_>) -> Self {
        let Some(method) = self.method().filter(|_| !allowance.unknown) else { return self.clone() };
        let allowed = parts_of(method, allowance.era);
        let (params, metas) = self.found();
        let known = allowed.is_none_or(|allowed| !params.others && params.known & !allowed == 0)
            && !metas.others
            && metas.known & !(PLAIN_META | FREE_META) == 0
            && !self.has_others();
        if known && self.values_are_plain() {
            return self.clone();
        }
        let names = |name: &str| match allowed {
            None => true,
            Some(allowed) => ParamsBits::of(name).is_some_and(|bit| allowed & (1 << bit) != 0),
        };
        let object = self.params().filter(|params| params.starts_with('{')).map(|params| {
            let kept = crate::params::members(params).into_iter().filter(|(name, _)| names(name));
            let kept = kept.filter_map(|(name, raw)| {
                let value = match &*name {
                    "_meta" => Cow::Owned(narrow_meta(raw, allowance)),
                    "task" if allowed.is_some() => Cow::Owned(task(raw)),
                    "level" if allowed.is_some() && !LOG_LEVELS.contains(&raw) => return None,
                    _ => Cow::Borrowed(raw),
                };
                Some(format!("{}:{value}", Value::from(&*name)))
            });
            format!(",\"params\":{{{}}}", kept.collect::<Vec<_>>().join(","))
        });
        let id = self.id().map(|id| format!("\"id\":{},", id.to_json())).unwrap_or_default();
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",{id}\"method\":{}{}}}",
            Value::from(method),
            object.unwrap_or_default()
        );
        Self::reply(text.into()).unwrap_or_else(|_| Self::nothing())
    }

    /// What of the client's choosing the request carries beside its name and its arguments, by place, JSON; `None` where that
    /// is nothing.
    #[must_use]
    pub fn extra(&self) -> Option<String> {
        let (params, metas) = self.found();
        let own_words = self.method().and_then(|method| parts_of(method, Era::New)).is_none();
        let plain = !params.others
            && params.known & !PLAIN_PARAMS == 0
            && !metas.others
            && metas.known & !PLAIN_META == 0
            && !self.has_others();
        if plain && !own_words {
            return None;
        }
        let mut all = Vec::new();
        let mut add = |place: &str, members: Vec<(Cow<'_, str>, &str)>| {
            let members: Vec<String> =
                members.iter().map(|(name, raw)| format!("{}:{raw}", Value::from(&**name))).collect();
            if !members.is_empty() {
                all.push(format!("\"{place}\":{{{}}}", members.join(",")));
            }
        };
        let of_params =
            crate::params::members(self.params().unwrap_or("{}")).into_iter().filter(|(name, _)| {
                let bit = ParamsBits::of(name).map_or(0, |bit| 1 << bit);
                let recorded = if own_words {
                    ParamsBits::set(&[ParamsBits::arguments, ParamsBits::meta])
                } else {
                    PLAIN_PARAMS
                };
                bit & recorded == 0
            });
        add("params", of_params.collect());
        let of_meta = crate::params::members(self.peek().meta.unwrap_or("{}"));
        let of_meta = of_meta
            .into_iter()
            .filter(|(name, _)| MetaBits::of(name).is_none_or(|bit| PLAIN_META & (1 << bit) == 0));
        add("_meta", of_meta.collect());
        if self.has_others() {
            add("message", self.others());
        }
        (!all.is_empty()).then(|| format!("{{{}}}", all.join(",")))
    }

    /// Whether the known members that a client could fill with anything hold only what they are for.
    fn values_are_plain(&self) -> bool {
        let (peek, metas) = (self.peek(), self.meta());
        let is_text = |raw: Option<&str>, most: usize| {
            raw.is_none_or(|raw| raw.starts_with('"') && raw.len() <= most + 2)
        };
        peek.task.is_none_or(|raw| task(raw) == raw)
            && metas.capabilities.is_none_or(|raw| matches!(known_capabilities(raw), Cow::Borrowed(_)))
            && metas.client.is_none_or(|raw| matches!(known_client(raw), Cow::Borrowed(_)))
            && metas.log_level.is_none_or(|raw| LOG_LEVELS.contains(&raw))
            && metas.related_task.is_none_or(|raw| related_task(raw).as_deref() == Some(raw))
            && metas.traceparent.is_none_or(is_trace_parent)
            && is_text(metas.tracestate, TRACE_STATE)
            && is_text(metas.baggage, BAGGAGE)
    }
}

fn is_trace_parent(raw: &str) -> bool {
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"'));
    inside
        .is_some_and(|it| it.len() <= TRACE_PARENT && it.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'))
}

fn narrow_meta(raw: &str, allowance: &Allowance<'_>) -> String {
    let is_text = |raw: &str, most: usize| raw.starts_with('"') && raw.len() <= most + 2;
    let kept = crate::params::members(raw).into_iter().filter_map(|(name, raw)| {
        let value = match &*name {
            other if allowance.meta.iter().any(|named| named == other) => Cow::Borrowed(raw),
            "progressToken" | meta::VERSION => Cow::Borrowed(raw),
            meta::CAPABILITIES => known_capabilities(raw),
            meta::CLIENT => known_client(raw),
            meta::LOG_LEVEL if LOG_LEVELS.contains(&raw) => Cow::Borrowed(raw),
            meta::RELATED_TASK => Cow::Owned(related_task(raw)?),
            "traceparent" if is_trace_parent(raw) => Cow::Borrowed(raw),
            "tracestate" if is_text(raw, TRACE_STATE) => Cow::Borrowed(raw),
            "baggage" if is_text(raw, BAGGAGE) => Cow::Borrowed(raw),
            _ => return None,
        };
        Some(format!("{}:{value}", Value::from(&*name)))
    });
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

/// That a call is to become a task, and how long that is to be kept: `{}` or `{"ttl":N}`.
fn task(raw: &str) -> String {
    let digits = |ttl: &&str| ttl.len() <= 16 && ttl.bytes().all(|b| b.is_ascii_digit());
    match crate::member(raw, "ttl").filter(digits) {
        Some(ttl) => format!("{{\"ttl\":{ttl}}}"),
        None => "{}".to_owned(),
    }
}

fn related_task(raw: &str) -> Option<String> {
    let id = crate::member(raw, "taskId").filter(|id| id.starts_with('"') && id.len() <= TASK_ID)?;
    Some(format!("{{\"taskId\":{id}}}"))
}

/// What a client says of itself, as it is passed on: name, title, version, description and address, each of bounded length.
#[must_use]
pub fn known_client(raw: &str) -> Cow<'_, str> {
    const NAMES: [&str; 5] = ["name", "title", "version", "description", "websiteUrl"];
    let members = crate::params::members(raw);
    let bounded = |raw: &str| raw.starts_with('"') && raw.len() <= SELF_DESCRIPTION + 2;
    if raw.starts_with('{') && members.iter().all(|(name, raw)| NAMES.contains(&&**name) && bounded(raw)) {
        return Cow::Borrowed(raw);
    }
    let mut kept = Map::new();
    for (name, raw) in &members {
        if let Some(said) = text(raw).filter(|_| NAMES.contains(&&**name)) {
            kept.insert(name.to_string(), said.chars().take(SELF_DESCRIPTION).collect::<String>().into());
        }
    }
    Cow::Owned(Value::Object(kept).to_string())
}

/// The capabilities of clients that the protocol defines, with their own members.
static CAPABILITIES: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "sampling": { "context": {}, "tools": {} },
        "elicitation": { "form": {}, "url": {} },
        "roots": { "listChanged": {} },
        "tasks": {
            "list": {}, "cancel": {},
            "requests": { "sampling": { "createMessage": {} }, "elicitation": { "create": {} } },
        },
        "extensions": { "io.modelcontextprotocol/tasks": {} },
    })
});

/// A client's capabilities without those that are its own making.
#[must_use]
pub fn known_capabilities(raw: &str) -> Cow<'_, str> {
    if raw == "{}" {
        return Cow::Borrowed(raw);
    }
    let said: Value = serde_json::from_str(raw).unwrap_or_else(|_| json!({}));
    let kept = shaped_like(&said, &CAPABILITIES);
    if kept == said { Cow::Borrowed(raw) } else { Cow::Owned(kept.to_string()) }
}

fn shaped_like(said: &Value, shape: &Value) -> Value {
    match (said, shape) {
        (Value::Bool(said), _) => Value::Bool(*said),
        (Value::Null, _) => Value::Null,
        (Value::Object(said), Value::Object(shape)) => {
            let kept = said
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), shaped_like(value, shape.get(name)?))));
            Value::Object(kept.collect())
        }
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    const NOTHING: Allowance<'static> = Allowance { era: Era::Old, unknown: false, meta: &[] };

    fn read(text: &str) -> Envelope {
        Envelope::request(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_plain_request_goes_on_as_it_came() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1, "method":"tools/call","params":{"name":"a", "arguments":{"b":1.0}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","task":{"ttl":60000},"_meta":{"progressToken":7}}}"#,
            r#"{"jsonrpc":"2.0","id":"x","method":"resources/read","params":{"uri":"a:b","_meta":{"traceparent":"00-ab-cd-01"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"vendor/x","params":{"anything":{"at":"all"}}}"#,
        ] {
            let message = read(text);
            assert_eq!(message.narrowed(&NOTHING).bytes(), message.bytes());
        }
    }

    #[test]
    fn members_that_a_method_does_not_have_stay_behind() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","vendor":{"x":"S1"},"params":{"name":"run","uri":"S6",
            "arguments":{"path":"/a"},"path":"S2","_meta":{"cwd":"S3","mine":"kept","traceparent":"S7 free","progressToken":"t"},
            "inputResponses":{"k":"S4"},"requestState":"S5","task":{"ttl":5,"x":"S8"}}}"#;
        let named = ["mine".to_owned()];
        let narrowed = read(text).narrowed(&Allowance { meta: &named, ..NOTHING });
        let expected = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run","arguments":{"path":"/a"},"_meta":{"mine":"kept","progressToken":"t"},"task":{"ttl":5}}}"#;
        assert_eq!(narrowed.bytes(), expected);
        assert_eq!(narrowed.extra().as_deref(), Some(r#"{"_meta":{"mine":"kept"}}"#));
        let whole = read(text).narrowed(&Allowance { unknown: true, ..NOTHING });
        let extra = whole.extra().unwrap();
        for side in 1..=6 {
            assert!(whole.bytes().windows(2).any(|it| it == format!("S{side}").as_bytes()), "S{side}");
            // What a resource is named by is recorded by itself, and nothing else is.
            assert!(side == 6 || extra.contains(&format!("S{side}")), "S{side} {extra}");
        }
    }

    #[test]
    fn answers_go_on_where_the_protocol_has_them_and_are_part_of_what_is_judged() {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","inputResponses":{"k":1},"requestState":"s"}}"#;
        let narrowed = read(text).narrowed(&Allowance { era: Era::New, ..NOTHING });
        assert_eq!(narrowed.bytes(), text);
        assert_eq!(
            narrowed.extra().as_deref(),
            Some(r#"{"params":{"inputResponses":{"k":1},"requestState":"s"}}"#)
        );
    }

    #[test]
    fn what_clients_say_of_themselves_is_bounded_and_known() {
        assert!(matches!(known_client(r#"{"name":"a","version":"1"}"#), Cow::Borrowed(_)));
        let long = format!(
            r#"{{"name":"{}","exfil":"S1","icons":[{{"src":"S2"}}],"title":{{"a":"S3"}}}}"#,
            "x".repeat(5000)
        );
        assert_eq!(known_client(&long), format!(r#"{{"name":"{}"}}"#, "x".repeat(200)));
        assert_eq!(known_client("\"S1\""), "{}");
        let said = r#"{"elicitation":{"form":{"x":"S1"},"y":"S2"},"experimental":{"z":"S3"},"roots":{"listChanged":true},"sampling":"S4"}"#;
        assert_eq!(
            known_capabilities(said),
            r#"{"elicitation":{"form":{}},"roots":{"listChanged":true},"sampling":{}}"#
        );
    }

    proptest! {
        /// Whatever a client puts anywhere but into its arguments and the places that the protocol has for it: it stays behind.
        #[test]
        fn nothing_of_the_clients_own_making_goes_on(
            name in "[a-z]{3,9}", place in 0usize..6, era in proptest::sample::select(vec![Era::Old, Era::New])
        ) {
            let name = format!("x{name}");
            let mut message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a", "arguments": {},
                "_meta": {meta::CLIENT: {"name": "c"}, meta::CAPABILITIES: {"sampling": {}}, meta::RELATED_TASK: {"taskId": "t"}}}});
            let at = ["", "/params", "/params/_meta", "/params/_meta/io.modelcontextprotocol~1clientInfo",
                "/params/_meta/io.modelcontextprotocol~1clientCapabilities/sampling", "/params/_meta/io.modelcontextprotocol~1related-task"];
            message.pointer_mut(at[place]).unwrap().as_object_mut().unwrap().insert(name.clone(), "SIDE".into());
            let narrowed = read(&message.to_string()).narrowed(&Allowance { era, unknown: false, meta: &[] });
            let text = String::from_utf8(narrowed.bytes().to_vec()).unwrap();
            prop_assert!(!text.contains("SIDE") && !text.contains(&name), "{text}");
            let whole = read(&message.to_string()).narrowed(&Allowance { era, unknown: true, meta: &[] });
            prop_assert!(place > 2 || whole.extra().unwrap().contains("SIDE"));
        }
    }
}
