//! `/api/v1`.

use super::{approvals, catalogue, runs, said};
use crate::running::Running;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use portcullis_admit::Loaded;
use portcullis_catalogue::ListKind;
use portcullis_gate::{Body, TaskCounts};
use portcullis_ledger::{Draft, Grant, Kind, new_token};
use portcullis_runs::{Dropped, Drops};
use portcullis_upstreams::{How, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a request's body.
const BODY: usize = 1 << 20;

/// A failed request: status, exit code and text.
pub(super) struct No(pub(super) StatusCode, pub(super) u8, pub(super) String);

impl No {
    pub(super) fn usage(text: impl Into<String>) -> Self {
        Self(StatusCode::BAD_REQUEST, 2, text.into())
    }
}

impl From<portcullis_ledger::Failure> for No {
    fn from(failure: portcullis_ledger::Failure) -> Self {
        use portcullis_ledger::Failure as Ledger;
        match failure {
            Ledger::GrantExists(_) | Ledger::NoGrant(_) => Self::usage(failure.to_string()),
            _ => Self(StatusCode::INTERNAL_SERVER_ERROR, 1, failure.to_string()),
        }
    }
}

pub(super) async fn answer(running: &Arc<Running>, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return said(StatusCode::BAD_REQUEST, 2, &error.to_string()),
    };
    let path = head.uri.path().strip_prefix("/api/v1/").unwrap_or_default().to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let result = match (&head.method, &parts[..]) {
        (&Method::GET, ["status"]) => Ok(status(running)),
        (&Method::GET, ["runs"]) => Ok(runs::list(running).await),
        (&Method::POST, ["runs", "stop"]) => runs::stop(running, &body).await,
        (&Method::POST, ["drop"]) => runs::drop(running, &body).await,
        (&Method::POST, ["raise"]) => runs::raise(running, &body).await,
        (&Method::GET, ["grants"]) => Ok(grants(running)),
        (&Method::POST, ["grants"]) => add_grant(running, &body).await,
        (&Method::POST, ["grants", name, "rotate"]) => rotate_grant(running, name).await,
        (&Method::DELETE, ["grants", name]) => revoke_grant(running, name).await,
        (&Method::POST, ["reload"]) => match running.reload().await {
            Ok(said) => Ok(json!({ "reloaded": said })),
            Err(failure) => {
                // Whoever asked is told why; the log of the gate says that it was asked.
                tracing::warn!("a reload was asked for and changed nothing");
                Err(No::usage(failure.bare()))
            }
        },
        (&Method::GET, ["upstreams", name, "tools"]) => tools(running, name).await,
        (&Method::GET, ["approvals"]) => approvals::list(running, &body),
        (&Method::POST, ["approvals", id, "approve"]) => approvals::decide(running, id, true, &body).await,
        (&Method::POST, ["approvals", id, "deny"]) => approvals::decide(running, id, false, &body).await,
        (&Method::POST, ["approvals", id, "reveal"]) => approvals::reveal(running, id, &body).await,
        (&Method::GET, ["catalogue"]) => catalogue::list(running, None),
        (&Method::GET, ["catalogue", upstream]) => catalogue::list(running, Some(upstream)),
        (&Method::POST, ["catalogue", "accept"]) => catalogue::accept(running, &body).await,
        _ => Err(No(StatusCode::NOT_FOUND, 2, format!("{} {} is not offered", head.method, head.uri.path()))),
    };
    match result {
        Ok(value) => Response::new(Body::whole(value.to_string())),
        Err(No(code, exit, text)) => said(code, exit, &text),
    }
}

fn status(running: &Running) -> Value {
    let gate = &running.gate;
    let upstreams: Vec<Value> = gate
        .upstreams()
        .values()
        .map(|upstream| {
            let status = upstream.status();
            let (state, reason) = match status.state {
                State::Starting => ("starting", None),
                State::Ready => ("ready", None),
                State::Down(why) => ("down", Some(why)),
            };
            let kind = match upstream.spec().how {
                How::Command(_) => "stdio",
                How::Url(_) => "http",
                How::Builtin(_) => "builtin",
            };
            let run = status.run.as_deref();
            json!({
                "name": &**upstream.name(), "kind": kind, "state": state, "reason": reason, "tools": status.tools,
                "pid": run.map(|run| run.started.process.pid), "containment": run.map(|run| run.started.containment),
                "run": run.map(|run| run.about.id.as_str()),
                "era": status.era.map(|era| match era {
                    portcullis_wire::Era::Old => "old",
                    portcullis_wire::Era::New => "new",
                }),
            })
        })
        .collect();
    let rules = gate.admit().rules();
    let troubles = running.troubles();
    let policies: Vec<Value> = rules
        .policies
        .iter()
        .map(|(name, loaded)| match loaded {
            Loaded::Good(policy) => {
                json!({ "name": name, "digest": policy.digest(), "loaded": true, "error": troubles.get(name) })
            }
            Loaded::Bad(why) => {
                json!({ "name": name, "digest": null, "loaded": false, "error": troubles.get(name).unwrap_or(why) })
            }
        })
        .collect();
    let (head, checked) = (gate.ledger().signed_head(), gate.ledger().checked());
    let waiting = running.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": gate.uptime().as_secs(),
        "listen": running.own.address.map(|address| address.to_string()),
        "pid": std::process::id(),
        "upstreams": upstreams,
        "grants": grants(running),
        "policies": policies,
        "drops": shown_drops(gate.admit().drops()),
        "ledger": {
            "rows": head.rows, "head": head.head, "trouble": gate.ledger().trouble(),
            "signature": head.signature, "key": head.key, "time": head.time,
            "checked": checked.whole.map(|(rows, at)| json!({ "rows": rows, "time": portcullis_ledger::time_text(at) })),
            "damage": checked.damage,
        },
        "sessions": gate.session_count(),
        "runs": gate.runs().count(),
        "tasks": tasks(gate.tasks().counts()),
        "unknown_tokens": gate.unknown_tokens(),
        "expired_tokens": gate.expired_tokens(),
        "waiting": waiting,
    })
}

/// What is dropped, and whether that holds over a restart.
fn shown_drops(drops: &Drops) -> Value {
    let kept = drops.is_kept();
    let shown = |dropped: &Dropped| {
        let mut shown = dropped.shown();
        if let Some(members) = shown.as_object_mut() {
            members.insert("kept".into(), kept.into());
        }
        shown
    };
    drops.list().iter().map(shown).collect()
}

fn tasks(counts: TaskCounts) -> Value {
    let TaskCounts { live, kept, evicted, expired, lost } = counts;
    json!({ "live": live, "kept": kept, "evicted": evicted, "expired": expired, "lost": lost })
}

fn shown_grant(grant: &Grant) -> Value {
    json!({
        "name": grant.name, "upstreams": grant.upstreams, "labels": grant.labels,
        "expires": grant.expires.map(portcullis_ledger::time_text), "approver": grant.approver, "shadow": grant.shadow,
    })
}

fn grants(running: &Running) -> Value {
    running.gate.grants().all().iter().map(|grant| shown_grant(grant)).collect()
}

/// A grant to be made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewGrant {
    name: String,
    upstreams: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    expires: Option<i64>,
    #[serde(default)]
    approver: bool,
    #[serde(default)]
    shadow: bool,
}

fn note(message: &str) -> portcullis_ledger::Written {
    Draft { message: Some(message), ..Draft::of(Kind::Admin) }.write()
}

pub(super) async fn add_grant(running: &Running, body: &[u8]) -> Result<Value, No> {
    let new: NewGrant = serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))?;
    let good = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if new.name.is_empty() || new.name.len() > 64 || !new.name.chars().all(good) {
        return Err(No::usage("a grant's name has 1 to 64 of the characters A-Z a-z 0-9 - _ . @"));
    }
    if running.gate.grants().by_name(&new.name).is_some() {
        return Err(No::usage(format!("a grant named `{}` exists already", new.name)));
    }
    let rules = running.gate.admit().rules();
    for (upstream, policy) in &new.upstreams {
        if upstream != "*" && running.gate.upstream(upstream).is_none() {
            return Err(No::usage(format!("the configuration has no upstream named `{upstream}`")));
        }
        if !rules.policies.contains_key(policy) {
            let known: Vec<&str> = rules.policies.keys().map(String::as_str).collect();
            let text =
                format!("the configuration has no policy named `{policy}`; it has {}", known.join(", "));
            return Err(No::usage(text));
        }
    }
    let grant = Grant {
        name: new.name,
        upstreams: new.upstreams,
        labels: new.labels,
        expires: new.expires,
        created: jiff::Timestamp::now().as_millisecond(),
        approver: new.approver,
        shadow: new.shadow,
    };
    let token = new_token().map_err(|error| No(StatusCode::INTERNAL_SERVER_ERROR, 70, error.to_string()))?;
    let row = note(&format!("the grant {} was added: {}", grant.name, json!(grant.upstreams)));
    running.gate.ledger().add_grant(grant.clone(), &token, row).await?;
    running.refresh_grants().await.map_err(|failure| No::usage(failure.to_string()))?;
    Ok(with_token(&grant, &token))
}

fn with_token(grant: &Grant, token: &str) -> Value {
    json!({
        "name": grant.name, "token": token, "expires": grant.expires.map(portcullis_ledger::time_text),
        "upstreams": grant.upstreams,
    })
}

/// Refuses to change a grant that stands in the configuration; says where that is done.
async fn must_be_stored(running: &Running, name: &str, what: &str) -> Result<(), No> {
    let config = running.config.lock().await;
    if !config.grants.iter().any(|grant| grant.name == name) {
        return Ok(());
    }
    let file = std::path::absolute(&config.file).unwrap_or_else(|_| config.file.clone());
    Err(No::usage(format!(
        "the grant `{name}` stands in the configuration: {what} in {}, then `portcullis reload`",
        file.display()
    )))
}

async fn rotate_grant(running: &Running, name: &str) -> Result<Value, No> {
    let what = format!("change what `grants.{name}.token` names");
    must_be_stored(running, name, &what).await?;
    let token = new_token().map_err(|error| No(StatusCode::INTERNAL_SERVER_ERROR, 70, error.to_string()))?;
    let row = note(&format!("the grant {name} got a new token"));
    running.gate.ledger().rotate_grant(name.to_owned(), &token, row).await?;
    let grant = running.gate.grants().by_name(name).cloned();
    running.refresh_grants().await.map_err(|failure| No::usage(failure.to_string()))?;
    // Its sessions were opened with the old token.
    running.gate.end_what_is_of(|grant| grant == name, "its grant got a new token");
    Ok(grant.map_or(Value::Null, |grant| with_token(&grant, &token)))
}

async fn revoke_grant(running: &Running, name: &str) -> Result<Value, No> {
    must_be_stored(running, name, "take it out").await?;
    let row = note(&format!("the grant {name} was revoked"));
    running.shut_out(name).await;
    let revoked = running.gate.ledger().revoke_grant(name.to_owned(), row).await;
    // One that could not be taken out is there again.
    running.refresh_grants().await.map_err(|failure| No::usage(failure.to_string()))?;
    revoked?;
    Ok(json!({ "name": name, "revoked": true }))
}

/// An upstream's tools as it lists them to the gate itself.
async fn tools(running: &Running, name: &str) -> Result<Value, No> {
    let upstream = running
        .gate
        .upstream(name)
        .ok_or_else(|| No::usage(format!("the configuration has no upstream named `{name}`")))?;
    let down = |why: String| No(StatusCode::SERVICE_UNAVAILABLE, 3, why);
    let link = upstream.ready().await.map_err(|why| down(why.to_string()))?;
    let list = upstream.list(ListKind::Tools, &link).await.map_err(|why| down(why.to_string()))?;
    let tools: Vec<Value> =
        list.items().iter().filter_map(|item| serde_json::from_str(item.raw()).ok()).collect();
    Ok(json!({ "tools": tools }))
}
