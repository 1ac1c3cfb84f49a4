//! What of a client's request goes on to a server: the members that its method has, and what the operator lets pass beside
//! them.

use crate::envelope::Envelope;
use crate::methods::parts_of;
use crate::params::{MetaBits, ParamsBits};
use crate::text;
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
    /// Whether members of the message and of `params` pass that the method does not have.
    pub unknown: bool,
    /// Members of `_meta` that pass beside those of the protocol.
    pub meta: &'a [String],
}

/// Members of `_meta` that carry nothing of the client's choosing while they have the form that the protocol has for them.
const PLAIN_META: u32 = MetaBits::set(&[
    MetaBits::progress_token,
    MetaBits::version,
    MetaBits::capabilities,
    MetaBits::client,
    MetaBits::log_level,
    MetaBits::traceparent,
]);
/// Members of `params` that are recorded by themselves where their method has them, or carry nothing of the client's choosing
/// while they have their form.
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

/// Those that have such a form.
const FORMED_PARAMS: u32 = ParamsBits::set(&[ParamsBits::task, ParamsBits::level]);
const CLIENT: u32 = MetaBits::set(&[MetaBits::client]);
const ARGUMENTS: u32 = ParamsBits::set(&[ParamsBits::arguments, ParamsBits::meta]);

impl Envelope {
    /// The request as it may go on: without the members that neither its method has nor the allowance names. Most have none
    /// and are given back as they are.
    #[must_use]
    pub fn narrowed(&self, allowance: &Allowance<'_>) -> Self {
        let Some(method) = self.method() else { return self.clone() };
        let allowed = parts_of(method, allowance.era).filter(|_| !allowance.unknown);
        let (params, metas) = self.found();
        let known = allowed.is_none_or(|allowed| !params.others && params.known & !allowed == 0)
            && !metas.others
            && (allowance.unknown || !self.has_others());
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
                    name if allowed.is_some() => plain_param(name, raw)?,
                    _ => Cow::Borrowed(raw),
                };
                Some(format!("{}:{value}", Value::from(&*name)))
            });
            format!(",\"params\":{{{}}}", kept.collect::<Vec<_>>().join(","))
        });
        let id = self.id().map(|id| format!("\"id\":{},", id.to_json())).unwrap_or_default();
        let others = if allowance.unknown { self.others() } else { Vec::new() };
        let others: String =
            others.iter().map(|(name, raw)| format!(",{}:{raw}", Value::from(&**name))).collect();
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",{id}\"method\":{}{}{others}}}",
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
        let own = self.method().and_then(|method| parts_of(method, Era::New).zip(parts_of(method, Era::Old)));
        // The arguments are recorded by themselves, whatever the method.
        let plain_parts = match own {
            Some((new, old)) => PLAIN_PARAMS & (new | old) | ARGUMENTS,
            None => ARGUMENTS,
        };
        let is_plain = !params.others
            && params.known & !plain_parts == 0
            && !metas.others
            && metas.known & !PLAIN_META == 0
            && !self.has_others();
        let names_itself_alone = || metas.known & CLIENT == 0 || self.meta().client.is_none_or(is_name_alone);
        if is_plain && self.values_are_plain() && names_itself_alone() {
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
        let says_more = |name: &str, raw: &str| name == meta::CLIENT && !is_name_alone(raw);
        let is_said = |bit: Option<u32>, plain: u32, value: Option<Cow<'_, str>>, raw: &str| {
            bit.is_none_or(|bit| plain & (1 << bit) == 0) || value.is_none_or(|value| value != raw)
        };
        let of_params = crate::params::members(self.params().unwrap_or("{}")).into_iter();
        add(
            "params",
            of_params
                .filter(|(name, raw)| is_said(ParamsBits::of(name), plain_parts, plain_param(name, raw), raw))
                .collect(),
        );
        let of_meta = crate::params::members(self.peek().meta.unwrap_or("{}")).into_iter();
        add(
            "_meta",
            of_meta
                .filter(|(name, raw)| {
                    says_more(name, raw)
                        || is_said(MetaBits::of(name), PLAIN_META, plain_meta(name, raw), raw)
                })
                .collect(),
        );
        if self.has_others() {
            add("message", self.others());
        }
        (!all.is_empty()).then(|| format!("{{{}}}", all.join(",")))
    }

    /// Whether the known members that a client could fill with anything hold only what they are for.
    fn values_are_plain(&self) -> bool {
        let (params, metas) = self.found();
        (params.known & FORMED_PARAMS == 0 && metas.known == 0)
            || *self.plain_values().get_or_init(|| self.have_their_forms())
    }

    fn have_their_forms(&self) -> bool {
        let (params, metas) = (self.peek(), self.meta());
        let param = |name, raw: Option<&str>| {
            raw.is_none_or(|raw| plain_param(name, raw).is_some_and(|it| it == raw))
        };
        let meta =
            |name, raw: Option<&str>| raw.is_none_or(|raw| plain_meta(name, raw).is_some_and(|it| it == raw));
        param("task", params.task)
            && param("level", params.level)
            && meta("progressToken", metas.progress_token)
            && meta(meta::VERSION, metas.version)
            && meta(meta::CAPABILITIES, metas.capabilities)
            && meta(meta::CLIENT, metas.client)
            && meta(meta::LOG_LEVEL, metas.log_level)
            && metas.related_task.is_none()
            && meta("traceparent", metas.traceparent)
            && meta("tracestate", metas.tracestate)
            && meta("baggage", metas.baggage)
    }
}

/// Whether a JSON text is a list as `tracestate` and `baggage` are: `name=value` between commas, of ASCII signs that are seen.
fn is_list(raw: &str, most: usize) -> bool {
    let inside = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).filter(|it| it.len() <= most);
    inside.is_some_and(|inside| {
        // No escape either: none of its signs needs one.
        inside.bytes().all(|sign| matches!(sign, b' '..=b'~') && sign != b'\\')
            && inside.split(',').all(|item| item.trim().is_empty() || item.contains('='))
    })
}

/// Whether a text has the form of a `traceparent`: hexadecimal digits and `-`, of bounded length.
#[must_use]
pub fn is_trace_parent(text: &str) -> bool {
    text.len() <= TRACE_PARENT && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// A known member of `params` in the form that the protocol has for it; `None` where it has not that form.
fn plain_param<'a>(name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
    match name {
        "task" => Some(task(raw)),
        "level" => LOG_LEVELS.contains(&raw).then_some(Cow::Borrowed(raw)),
        _ => Some(Cow::Borrowed(raw)),
    }
}

/// A member of `_meta` in the form that the protocol has for it; `None` where it has not that form, or is not of the protocol.
fn plain_meta<'a>(name: &str, raw: &'a str) -> Option<Cow<'a, str>> {
    let plain = match name {
        // The gate puts its own in its place.
        "progressToken" | meta::VERSION => true,
        meta::CAPABILITIES => return Some(known_capabilities(raw)),
        meta::CLIENT => return Some(known_client(raw)),
        meta::LOG_LEVEL => LOG_LEVELS.contains(&raw),
        "traceparent" => {
            raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).is_some_and(is_trace_parent)
        }
        "tracestate" => is_list(raw, TRACE_STATE),
        "baggage" => is_list(raw, BAGGAGE),
        _ => false,
    };
    plain.then_some(Cow::Borrowed(raw))
}

fn narrow_meta(raw: &str, allowance: &Allowance<'_>) -> String {
    let kept = crate::params::members(raw).into_iter().filter_map(|(name, raw)| {
        let named = allowance.meta.iter().any(|named| *named == name);
        // A capability that no version of the protocol has is a member like any other.
        let whole = named || (allowance.unknown && name == meta::CAPABILITIES);
        let value = if whole { Cow::Borrowed(raw) } else { plain_meta(&name, raw)? };
        Some(format!("{}:{value}", Value::from(&*name)))
    });
    format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
}

/// That a call is to become a task, and how long that is to be kept: `{}` or `{"ttl":N}`.
fn task(raw: &str) -> Cow<'_, str> {
    let digits = |ttl: &&str| ttl.len() <= 16 && ttl.bytes().all(|b| b.is_ascii_digit());
    same_or(
        raw,
        crate::member(raw, "ttl").filter(digits).map_or("{}".into(), |ttl| format!("{{\"ttl\":{ttl}}}")),
    )
}

/// The plain text, borrowed where it is what came.
fn same_or(raw: &str, plain: String) -> Cow<'_, str> {
    if raw == plain { Cow::Borrowed(raw) } else { Cow::Owned(plain) }
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

/// Whether a client says no more of itself than its name and its version, which the record has by themselves.
fn is_name_alone(raw: &str) -> bool {
    crate::params::keys(raw).iter().all(|name| matches!(&**name, "name" | "version"))
}

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
        // Where unknown members pass, they are part of what is judged, and `_meta` is as narrow as ever.
        let whole = read(text).narrowed(&Allowance { unknown: true, ..NOTHING });
        let extra = whole.extra().unwrap();
        for side in 1..=8 {
            let passes = whole.bytes().windows(2).any(|it| it == format!("S{side}").as_bytes());
            assert_eq!(passes, ![3, 7].contains(&side), "S{side}");
            assert_eq!(extra.contains(&format!("S{side}")), passes, "S{side} {extra}");
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
        /// Whatever a client puts anywhere but into its arguments and the places that the protocol has for it: it stays behind,
        /// and where a policy lets it pass, it is part of what is judged.
        #[test]
        fn nothing_of_the_clients_own_making_goes_on_unseen(
            method in proptest::sample::select(vec!["tools/call", "prompts/get", "resources/read", "completion/complete",
                "logging/setLevel", "tasks/get", "tasks/update", "subscriptions/listen", "vendor/x"]),
            put in proptest::sample::select(vec![None, Some("name"), Some("uri"), Some("taskId"), Some("level"), Some("task"),
                Some("cursor"), Some("ref"), Some("requestState"), Some("traceparent"), Some("tracestate"), Some("progress"),
                Some("io.modelcontextprotocol/logLevel"), Some("io.modelcontextprotocol/related-task"),
                Some("io.modelcontextprotocol/clientInfo"), Some("io.modelcontextprotocol/clientCapabilities")]),
            own in "x[a-z]{3,9}",
            place in 0usize..7,
            deep in any::<bool>(),
            named in any::<bool>(),
            unknown in any::<bool>(),
            era in proptest::sample::select(vec![Era::Old, Era::New])
        ) {
            let name = put.map_or(own, str::to_owned);
            let side = if deep { json!({"a": ["SIDE"], "ttl": 1}) } else { json!("SIDE") };
            let mut message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"arguments": {}, "task": {"ttl": 1},
                "_meta": {meta::CLIENT: {}, meta::CAPABILITIES: {"sampling": {}}, meta::RELATED_TASK: {"taskId": "t"}}}});
            let at = ["", "/params", "/params/_meta", "/params/task", "/params/_meta/io.modelcontextprotocol~1clientInfo",
                "/params/_meta/io.modelcontextprotocol~1clientCapabilities/sampling", "/params/_meta/io.modelcontextprotocol~1related-task"];
            message.pointer_mut(at[place]).unwrap().as_object_mut().unwrap().insert(name.clone(), side);
            let names = if named { vec![name.clone()] } else { Vec::new() };
            let narrowed = read(&message.to_string()).narrowed(&Allowance { era, unknown, meta: &names });
            let text = String::from_utf8(narrowed.bytes().to_vec()).unwrap();
            let goes_on = text.contains("SIDE");
            let extra = narrowed.extra().unwrap_or_default();
            // What a request is for is recorded as its name.
            let subject = match method {
                "tools/call" | "prompts/get" => "name",
                "resources/read" => "uri",
                "tasks/get" | "tasks/update" => "taskId",
                _ => "",
            };
            if place == 1 && name == subject {
                prop_assert!(goes_on && !extra.contains("SIDE"), "{text} {extra}");
            } else if method == "vendor/x" && matches!(place, 1 | 3) {
                prop_assert!(goes_on && extra.contains("SIDE"), "{text} {extra}");
            } else {
                let is_words_of_itself = place == 4 && known_client(&format!("{{\"{name}\":\"\"}}")).contains(&name);
                prop_assert_eq!(goes_on && !is_words_of_itself, extra.contains("SIDE"), "{} {}", text, extra);
            }
            if put.is_none() && method != "vendor/x" && !unknown && !(named && place == 2) {
                prop_assert!(!goes_on && !text.contains(&name), "{text}");
            }
            if place == 2 && put.is_none() {
                prop_assert_eq!(goes_on, named, "{}", text);
            }
        }
    }
}
