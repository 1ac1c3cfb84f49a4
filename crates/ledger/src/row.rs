//! One row of the record, as it is written.

use std::borrow::Cow;

/// Bytes of the texts of a row that a client or a server chooses. A longer text is kept by its beginning, its length and its
/// digest: [`bounded`]. Most are far shorter; the bounds keep one message of some MiB from growing the record by as much.
pub mod bounds {
    /// A name of the gate's own (grant, upstream, run, policy), and what a client calls itself.
    pub const NAME: usize = 256;
    /// A method.
    pub const METHOD: usize = 256;
    /// A tool, a prompt, or the URI of a resource.
    pub const TOOL: usize = 1024;
    /// The client's request id.
    pub const REQUEST: usize = 256;
    /// The rule that decided: a pointer into a policy.
    pub const RULE: usize = 1024;
    /// Why, for a person.
    pub const MESSAGE: usize = 4096;
    /// Arguments; longer ones are kept by their digest alone.
    pub const ARGUMENTS: usize = 16 * 1024;
    /// What stopping a run came to; a longer one is left out.
    pub const VERDICT: usize = 256 * 1024;
}

/// A text of at most about `most` bytes: where it is longer, its beginning, its length, and a digest that tells it from others.
#[must_use]
pub fn bounded(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let head = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    let digest = blake3::hash(text.as_bytes()).to_hex();
    let digest = digest.get(..32).unwrap_or_default();
    Cow::Owned(format!("{head}… ({} bytes, blake3 {digest})", text.len()))
}

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call was judged.
    Decision,
    /// A call that was let through has ended.
    Outcome,
    /// An operator changed something, or the gate started or stopped.
    Admin,
    /// A process was started for an upstream, or is over.
    Run,
    /// What a server is, or one of its tools, was accepted or became another.
    Pin,
    /// A person decided whether a call passes, or nobody did in time.
    Approval,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Decision => "decision",
            Self::Outcome => "outcome",
            Self::Admin => "admin",
            Self::Run => "run",
            Self::Pin => "pin",
            Self::Approval => "approval",
        }
    }
}

/// How a call was judged, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It may pass; as the end of a call: the upstream answered.
    Allowed,
    /// The policy says no.
    Denied,
    /// A person has to decide.
    Held,
    /// It was not acceptable at all.
    Refused,
    /// It failed on the way, or the upstream answered with an error.
    Error,
    /// The caller cancelled it.
    Cancelled,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Allowed, Self::Denied, Self::Held, Self::Refused, Self::Error, Self::Cancelled];

    /// As the record spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Held => "held",
            Self::Refused => "refused",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A row before it has a number. Absent members are left out of the record.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    /// What the row is about.
    pub kind: Kind,
    /// Name of the grant.
    pub grant: Option<&'a str>,
    /// What the client calls itself.
    pub client: Option<&'a str>,
    /// Name of the upstream.
    pub upstream: Option<&'a str>,
    /// The MCP method, where it is not `tools/call`.
    pub method: Option<&'a str>,
    /// The tool, or what else the method names (prompt, resource).
    pub tool: Option<&'a str>,
    /// The client's request id as JSON text.
    pub request: Option<&'a str>,
    /// The run.
    pub run: Option<&'a str>,
    /// How it was judged or ended.
    pub outcome: Option<Outcome>,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// Why, for a person.
    pub message: Option<&'a str>,
    /// The number of what was in force when it was judged.
    pub generation: Option<u64>,
    /// Name and digest of the policy.
    pub policy: Option<&'a str>,
    /// Digest of the arguments as they were judged.
    pub args_digest: Option<&'a str>,
    /// The arguments as far as the configuration keeps them: JSON text, which is written as it is.
    pub args: Option<&'a str>,
    /// What else of the client's choosing goes with them, by place, as far as the configuration keeps it: JSON text.
    pub extra: Option<&'a str>,
    /// How long the call took or the process ran, in milliseconds.
    pub duration_ms: Option<f64>,
    /// What stopping a run came to: JSON text, which is written as it is.
    pub verdict: Option<&'a str>,
}

/// A member's name as it stands in a row, with the comma before it and the colon behind it.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

impl Draft<'_> {
    /// An empty row of that kind.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        Draft {
            kind,
            grant: None,
            client: None,
            upstream: None,
            method: None,
            tool: None,
            request: None,
            run: None,
            outcome: None,
            rule: None,
            message: None,
            generation: None,
            policy: None,
            args_digest: None,
            args: None,
            extra: None,
            duration_ms: None,
            verdict: None,
        }
    }

    /// The row's text, ready for the writer. Texts are cut to their [bounds].
    #[must_use]
    pub fn write(&self) -> Written {
        self.write_covered(Cow::Borrowed)
    }

    /// The same, where `cover` replaces secrets in the texts that a client or a server chose.
    #[must_use]
    pub fn write_covered<'t>(&'t self, cover: impl Fn(&'t str) -> Cow<'t, str>) -> Written {
        let mut text = String::with_capacity(512 + self.args.map_or(0, str::len));
        let duration = self.duration_ms.map(|ms| serde_json::Number::from_f64(ms).unwrap_or(0.into()));
        let own = |value: Option<&'t str>, most| value.map(|value| bounded(value, most));
        let chosen = |value: Option<&'t str>, most| {
            value.map(|value| match cover(value) {
                Cow::Borrowed(value) => bounded(value, most),
                Cow::Owned(value) => Cow::Owned(bounded(&value, most).into_owned()),
            })
        };
        push(&mut text, name!("kind"), Some(self.kind.name()));
        push(&mut text, name!("grant"), own(self.grant, bounds::NAME).as_deref());
        push(&mut text, name!("client"), chosen(self.client, bounds::NAME).as_deref());
        push(&mut text, name!("upstream"), own(self.upstream, bounds::NAME).as_deref());
        push(&mut text, name!("method"), chosen(self.method, bounds::METHOD).as_deref());
        push(&mut text, name!("tool"), chosen(self.tool, bounds::TOOL).as_deref());
        push(&mut text, name!("request"), chosen(self.request, bounds::REQUEST).as_deref());
        push(&mut text, name!("run"), own(self.run, bounds::NAME).as_deref());
        push(&mut text, name!("outcome"), self.outcome.map(Outcome::name));
        push(&mut text, name!("rule"), own(self.rule, bounds::RULE).as_deref());
        push(&mut text, name!("message"), chosen(self.message, bounds::MESSAGE).as_deref());
        push(&mut text, name!("policy"), own(self.policy, bounds::NAME).as_deref());
        push(&mut text, name!("args_digest"), self.args_digest);
        push_json(&mut text, name!("generation"), self.generation.map(|it| it.to_string()).as_deref());
        push_json(&mut text, name!("duration_ms"), duration.map(|ms| ms.to_string()).as_deref());
        push_json(&mut text, name!("args"), self.args.filter(|args| args.len() <= bounds::ARGUMENTS));
        push_json(&mut text, name!("extra"), self.extra.filter(|extra| extra.len() <= bounds::ARGUMENTS));
        push_json(
            &mut text,
            name!("verdict"),
            self.verdict.filter(|verdict| verdict.len() <= bounds::VERDICT),
        );
        text.push('}');
        Written(text)
    }
}

/// Adds a member whose value is a text, behind its name. Written by hand, because most texts need no escapes,
/// and rows are made for every call.
fn push(text: &mut String, name: &str, value: Option<&str>) {
    let Some(value) = value else { return };
    if value.bytes().fold(false, |odd, byte| odd | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
        return push_json(text, name, Some(&serde_json::Value::from(value).to_string()));
    }
    text.push_str(name);
    text.push('"');
    text.push_str(value);
    text.push('"');
}

/// Adds a member whose value is JSON.
fn push_json(text: &mut String, name: &str, json: Option<&str>) {
    if let Some(json) = json {
        text.push_str(name);
        text.push_str(json);
    }
}

/// A row's text from the comma behind its number and time on, which the writer puts in front.
#[derive(Debug, Clone)]
pub struct Written(String);

impl Written {
    /// The row's text with its number and time (RFC 3339, UTC).
    pub(crate) fn numbered(&self, n: u64, time: &str) -> String {
        let mut text = String::with_capacity(self.0.len() + time.len() + 40);
        text.push_str("{\"n\":");
        text.push_str(&n.to_string());
        push(&mut text, name!("time"), Some(time));
        text.push_str(&self.0);
        text
    }
}

/// When a row was written, as its text says it, in milliseconds since 1970. The column beside it is for searching and is no part of
/// the chain. `None` where the text does not begin as that row's does.
pub(crate) fn time_of(n: u64, text: &str) -> Option<i64> {
    let rest = text.strip_prefix("{\"n\":")?.strip_prefix(&*n.to_string())?;
    let (time, _) = rest.strip_prefix(",\"time\":\"")?.split_once('"')?;
    time.parse().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_same_json_whatever_stands_in_it() {
        for odd in ["plain", "", "\"quoted\" \\ \n\u{1}\u{7f}\u{2028} é 🦀"] {
            let draft = Draft {
                tool: Some(odd),
                outcome: Some(Outcome::Allowed),
                args: Some(r#"{"a": 1.0}"#),
                duration_ms: Some(0.25),
                ..Draft::of(Kind::Outcome)
            };
            let row: serde_json::Value = serde_json::from_str(&draft.write().numbered(7, "t")).unwrap();
            let wanted = serde_json::json!({"n": 7, "time": "t", "kind": "outcome", "tool": odd,
                "outcome": "allowed", "duration_ms": 0.25, "args": {"a": 1.0}});
            assert_eq!(row, wanted);
        }
    }

    #[test]
    fn no_text_grows_a_row_without_bound_and_two_long_ones_stay_different() {
        let long = |end: &str| format!("{}{end}", "é".repeat(4 << 20));
        let (one, other) = (long("1"), long("2"));
        let row = |text: &str| {
            let draft = Draft {
                grant: Some(text),
                client: Some(text),
                upstream: Some(text),
                method: Some(text),
                tool: Some(text),
                request: Some(text),
                run: Some(text),
                rule: Some(text),
                message: Some(text),
                policy: Some(text),
                args: Some(text),
                verdict: Some(text),
                ..Draft::of(Kind::Decision)
            };
            draft.write().numbered(1, "t")
        };
        assert!(row(&one).len() < 16 << 10, "{}", row(&one).len());
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(&row(text)).unwrap();
        let (one, other) = (read(&one), read(&other));
        for member in ["grant", "client", "upstream", "method", "tool", "request", "message"] {
            assert_ne!(one[member], other[member], "{member}");
            assert!(one[member].as_str().unwrap().contains("… (8388609 bytes, blake3 "), "{member}");
        }
    }

    #[test]
    fn what_a_client_chose_is_covered_before_it_is_cut() {
        let secret = format!("{}secret{}", "x".repeat(bounds::TOOL - 3), "y".repeat(9));
        let draft = Draft { tool: Some(&secret), ..Draft::of(Kind::Decision) };
        let written = draft.write_covered(|text| text.replace("secret", "[redacted]").into());
        assert!(!written.numbered(1, "t").contains("sec"), "{written:?}");
    }
}
