//! One row of the record, as it is written.

use serde::Serialize;

/// What a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A call was judged.
    Decision,
    /// A call that was let through has ended.
    Outcome,
    /// An operator changed something, or the gate started or stopped.
    Admin,
}

/// How a call was judged, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It may pass; as the end of a call: the upstream answered.
    Allowed,
    /// The policy says no.
    Denied,
    /// It was not acceptable at all.
    Refused,
    /// It failed on the way, or the upstream answered with an error.
    Error,
    /// The caller cancelled it.
    Cancelled,
}

/// A row before it has a number. Absent members are left out of the record.
#[derive(Debug, Clone, Serialize)]
pub struct Draft<'a> {
    /// What the row is about.
    pub kind: Kind,
    /// Name of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<&'a str>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<&'a str>,
    /// Name of the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<&'a str>,
    /// The MCP method, where it is not `tools/call`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<&'a str>,
    /// The tool, or what else the method names (prompt, resource).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<&'a str>,
    /// The client's request id as JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<&'a str>,
    /// The run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<&'a str>,
    /// How it was judged or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'a str>,
    /// Why, for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'a str>,
    /// Name and digest of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'a str>,
    /// Digest of the arguments as they were judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<&'a str>,
    /// The arguments as far as the configuration keeps them: JSON text, which is written as it is.
    #[serde(skip)]
    pub args: Option<&'a str>,
    /// How long the call took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<f64>,
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
            policy: None,
            args_digest: None,
            args: None,
            duration_ms: None,
        }
    }

    /// The row's text, ready for the writer.
    #[must_use]
    pub fn write(&self) -> Written {
        let mut text = Vec::with_capacity(512 + self.args.map_or(0, str::len));
        // A struct of strings and numbers always serialises; an empty object would still be a row.
        if serde_json::to_writer(&mut text, self).is_err() {
            return Written("{}".into());
        }
        if let Some(args) = self.args {
            text.pop();
            text.extend_from_slice(b",\"args\":");
            text.extend_from_slice(args.as_bytes());
            text.push(b'}');
        }
        Written(String::from_utf8(text).unwrap_or_else(|_| "{}".into()))
    }
}

/// A row's text without number and time, which the writer adds.
#[derive(Debug, Clone)]
pub struct Written(String);

impl Written {
    /// The row's text with its number and time (RFC 3339, UTC).
    pub(crate) fn numbered(&self, n: u64, time: &str) -> String {
        let rest = self.0.strip_prefix('{').unwrap_or(&self.0);
        let comma = if rest == "}" { "" } else { "," };
        format!("{{\"n\":{n},\"time\":\"{time}\"{comma}{rest}")
    }
}
