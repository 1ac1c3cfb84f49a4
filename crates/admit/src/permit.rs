//! The key to the way out.

use bytes::Bytes;
use portcullis_wire::{Envelope, Id, Splice, is_trace_parent};
use serde_json::{Map, Value};

/// A message for an upstream, in the very bytes that were judged.
#[derive(Debug, Clone)]
pub struct Message {
    /// The message; its id and progress token are still the client's.
    pub envelope: Envelope,
    /// Headers that go with it where the upstream is reached by HTTP: name in lower case, value.
    pub headers: Vec<(String, String)>,
}

impl Message {
    /// What of the client's choosing goes along beside the name and the arguments, by place, JSON; `None` where that is nothing.
    pub(crate) fn extra(&self) -> Option<String> {
        // Arguments that headers repeat were held against the arguments.
        let is_plain = |name: &str, value: &str| {
            name.starts_with("mcp-param-") || (name == "traceparent" && is_trace_parent(value))
        };
        let extra = self.envelope.extra();
        let mut told = self.headers.iter().filter(|(name, value)| !is_plain(name, value)).peekable();
        if told.peek().is_none() {
            return extra;
        }
        let headers = told.map(|(name, value)| (name.clone(), value.as_str().into()));
        let headers = Value::Object(headers.collect::<Map<_, _>>());
        Some(match extra.as_deref().and_then(|extra| extra.strip_prefix('{')) {
            Some(rest) => format!("{{\"headers\":{headers},{rest}"),
            None => format!("{{\"headers\":{headers}}}"),
        })
    }

    /// The message as it goes out: under our own id, with our own progress token where the client gave one,
    /// every other byte as it was judged.
    #[must_use]
    pub fn rendered(&self, id: u64) -> Bytes {
        let mut splice = Splice::new(self.envelope.bytes());
        if let Some(span) = self.envelope.id_span() {
            splice.replace(span, id.to_string());
        }
        if let Some(token) = self.envelope.meta().progress_token {
            splice.replace(self.envelope.span_of(token), id.to_string());
        }
        splice.finish()
    }
}

/// The only thing that sending takes. It exists only where a call was judged, its limits were reserved and the
/// decision was kept ([`Admit::judge`](crate::Admit::judge)), or for the gate's own housekeeping.
#[derive(Debug)]
pub struct Permit {
    message: Message,
}

impl Permit {
    pub(crate) fn new(message: Message) -> Self {
        Self { message }
    }

    /// A permit for what the gate says on its own behalf: opening, probing, listing, ending.
    #[must_use]
    pub fn housekeeping(what: Housekeeping, params: &str) -> Self {
        let bytes = portcullis_wire::request(&Id::from(0), what.method(), params);
        // The text was just written from a method and an object; a reply reader takes any such message.
        let envelope = Envelope::reply(bytes).unwrap_or_else(|_| Envelope::nothing());
        Self { message: Message { envelope, headers: Vec::new() } }
    }

    /// What may be sent.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.message
    }
}

/// What the gate asks of an upstream on its own behalf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Housekeeping {
    /// `initialize`
    Initialize,
    /// `server/discover`
    Discover,
    /// `ping`
    Ping,
    /// `tools/list`
    Tools,
    /// `resources/list`
    Resources,
    /// `resources/templates/list`
    Templates,
    /// `prompts/list`
    Prompts,
    /// `subscriptions/listen`
    Listen,
    /// `tasks/get`
    TaskGet,
    /// `tasks/cancel`
    TaskCancel,
    /// `tasks/result`
    TaskResult,
    /// `tasks/update`
    TaskUpdate,
}

impl Housekeeping {
    /// The method.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Initialize => "initialize",
            Self::Discover => "server/discover",
            Self::Ping => "ping",
            Self::Tools => "tools/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
            Self::Prompts => "prompts/list",
            Self::Listen => "subscriptions/listen",
            Self::TaskGet => "tasks/get",
            Self::TaskCancel => "tasks/cancel",
            Self::TaskResult => "tasks/result",
            Self::TaskUpdate => "tasks/update",
        }
    }
}
