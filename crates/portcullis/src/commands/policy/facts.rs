//! What surrounds a call, as files of calls and cases say it.

use jiff::Timestamp;
use portcullis_document::{Fields, Value};
use portcullis_policy::{Calls, Mode};
use serde_json::{Map, json};
use std::collections::BTreeMap;

/// What is true beside the call.
#[derive(Clone, Default)]
pub(super) struct Facts {
    pub(super) grant: Option<Grant>,
    client: Option<String>,
    pub(super) time: Option<Timestamp>,
    session: Option<Session>,
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
}

/// What was called before, as often as that.
#[derive(Clone)]
struct Session(BTreeMap<String, u64>);

impl Calls for Session {
    fn of(&self, tool: &str) -> u64 {
        self.0.get(tool).copied().unwrap_or(0)
    }
}

impl Facts {
    /// Reads what is said there; where nothing is, `otherwise` holds.
    pub(super) fn read(fields: &mut Fields<'_>, otherwise: Self) -> Self {
        let grant = fields.optional("grant").and_then(|value| Grant::read(&value));
        let client = fields.optional("client").and_then(|value| {
            let mut fields = value.fields()?;
            let name = fields.required("name").and_then(|value| value.text());
            fields.finish();
            name.map(Into::into)
        });
        let time = fields.optional("time").and_then(|value| {
            let time = value.text()?.parse().ok();
            if time.is_none() {
                value.mismatch("a moment such as \"2026-11-30T12:00:00Z\"", None);
            }
            time
        });
        let session = fields.optional("session").and_then(|value| Session::read(&value));
        Self {
            grant: grant.or(otherwise.grant),
            client: client.or(otherwise.client),
            time: time.or(otherwise.time),
            session: session.or(otherwise.session),
        }
    }

    /// As a policy sees them, of a tool of that risk.
    pub(super) fn of<'a>(&'a self, risk: &'a str) -> portcullis_policy::Facts<'a> {
        portcullis_policy::Facts {
            risk,
            grant: self.grant.as_ref().map_or("", |grant| &grant.name),
            labels: self.grant.as_ref().map(|grant| &grant.labels),
            client: self.client.as_deref().unwrap_or(""),
            unix_ms: self.time.map(Timestamp::as_millisecond),
            calls: self.session.as_ref().map(|session| session as &dyn Calls),
            mode: Mode::Enforced,
        }
    }

    pub(super) fn json(&self) -> Map<String, serde_json::Value> {
        let grant = self.grant.as_ref().map(|grant| json!({ "name": grant.name, "labels": grant.labels }));
        let client = self.client.as_ref().map(|name| json!({ "name": name }));
        let time = self.time.map(|time| json!(time.to_string()));
        let session = self.session.as_ref().map(|session| json!({ "calls": session.0 }));
        let all = [("grant", grant), ("client", client), ("time", time), ("session", session)];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    pub(super) fn line(&self) -> String {
        let grant = self.grant.as_ref().map(|grant| {
            let labels: String = grant.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            format!("grant {}{labels}", grant.name)
        });
        let client = self.client.as_ref().map(|name| format!("client {name}"));
        let time = self.time.map(|time| format!("at {time}"));
        let session = self.session.as_ref().map(|Session(calls)| {
            let calls: Vec<_> = calls.iter().map(|(tool, times)| format!("{tool} {times} times")).collect();
            format!("after {}", calls.join(", "))
        });
        [grant, client, time, session].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

impl Grant {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let name = fields.required("name").and_then(|value| value.text());
        let labels = fields.optional("labels").and_then(|value| {
            let labels = value
                .entries()?
                .filter_map(|(entry, value)| Some((entry.key.clone(), value.text()?.to_owned())));
            Some(labels.collect())
        });
        fields.finish();
        Some(Self { name: name?.into(), labels: labels.unwrap_or_default() })
    }
}

impl Session {
    fn read(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let calls = fields.required("calls");
        fields.finish();
        let calls = calls?.entries()?.filter_map(|(entry, value)| {
            let times = value.number()?.parse().ok();
            if times.is_none() {
                value.mismatch("how often the tool was called before", None);
            }
            Some((entry.key.clone(), times?))
        });
        Some(Self(calls.collect()))
    }
}
