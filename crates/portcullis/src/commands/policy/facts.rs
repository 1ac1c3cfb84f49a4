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
    session: Option<CallsBefore>,
}

/// Who calls.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    /// What it called in the last day.
    pub(super) calls: Option<CallsBefore>,
}

/// What was called before, as often as that.
#[derive(Clone)]
pub(super) struct CallsBefore(BTreeMap<String, u64>);

impl Calls for CallsBefore {
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
        let session = fields.optional("session").and_then(|value| CallsBefore::of_session(&value));
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
            calls: self.session.as_ref().map(|calls| calls as &dyn Calls),
            grant_calls: self.grant.as_ref().and_then(|grant| Some(grant.calls.as_ref()? as &dyn Calls)),
            mode: Mode::Enforced,
        }
    }

    pub(super) fn json(&self) -> Map<String, serde_json::Value> {
        let grant = self.grant.as_ref().map(|grant| match &grant.calls {
            None => json!({ "name": grant.name, "labels": grant.labels }),
            Some(calls) => json!({ "name": grant.name, "labels": grant.labels, "calls": calls.0 }),
        });
        let client = self.client.as_ref().map(|name| json!({ "name": name }));
        let time = self.time.map(|time| json!(time.to_string()));
        let session = self.session.as_ref().map(|session| json!({ "calls": session.0 }));
        let all = [("grant", grant), ("client", client), ("time", time), ("session", session)];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    pub(super) fn line(&self) -> String {
        let grant = self.grant.as_ref().map(|grant| {
            let labels: String = grant.labels.iter().map(|(key, value)| format!(" {key}={value}")).collect();
            let calls = grant.calls.iter().map(|calls| format!(" that called {}", calls.line()));
            format!("grant {}{labels}{}", grant.name, calls.collect::<String>())
        });
        let client = self.client.as_ref().map(|name| format!("client {name}"));
        let time = self.time.map(|time| format!("at {time}"));
        let session = self.session.as_ref().map(|calls| format!("after {}", calls.line()));
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
        let calls = fields.optional("calls").and_then(|value| CallsBefore::read(&value));
        fields.finish();
        Some(Self { name: name?.into(), labels: labels.unwrap_or_default(), calls })
    }
}

impl CallsBefore {
    fn of_session(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let calls = fields.required("calls");
        fields.finish();
        Self::read(&calls?)
    }

    fn line(&self) -> String {
        let calls: Vec<_> = self.0.iter().map(|(tool, times)| format!("{tool} {times} times")).collect();
        calls.join(", ")
    }

    fn read(value: &Value<'_>) -> Option<Self> {
        let calls = value.entries()?.filter_map(|(entry, value)| {
            let times = value.number()?.parse().ok();
            if times.is_none() {
                value.mismatch("how often the tool was called before", None);
            }
            Some((entry.key.clone(), times?))
        });
        Some(Self(calls.collect()))
    }
}
