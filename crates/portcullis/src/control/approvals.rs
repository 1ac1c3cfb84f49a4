//! Calls that wait for a person.

use super::api::No;
use super::runs::own_user;
use crate::running::Running;
use http::StatusCode;
use portcullis_admit::{Decider, NotDecided, Unseen};
use portcullis_ledger::Grant;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// What a person says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    reason: Option<String>,
    /// Whether a yes counts also where not all was shown.
    #[serde(default)]
    unseen: bool,
    /// Of the grant that decides; without one, the operator does.
    token: Option<String>,
}

/// The oldest first: all that is known for the operator, and for a grant what it may decide.
pub(super) fn list(running: &Running, body: &[u8]) -> Result<Value, No> {
    let said = if body.is_empty() { Said::default() } else { read(body)? };
    let mut known = running.gate.admit().approvals().list();
    if let (_, Some(grant)) = who(running, said.token.as_deref())? {
        let now_ms = portcullis_ledger::now_ms();
        known.retain(|one| Decider::Grant(&grant).objection(one, now_ms).is_none());
    }
    written(&known)
}

/// Lets a call pass once, or refuses it.
pub(super) async fn decide(running: &Running, id: &str, yes: bool, body: &[u8]) -> Result<Value, No> {
    let Said { reason, unseen, token } = read(body)?;
    let (user, grant) = who(running, token.as_deref())?;
    let by = grant.as_deref().map_or(Decider::Operator(&user), Decider::Grant);
    let unseen = if unseen { Unseen::Accept } else { Unseen::Refuse };
    written(
        &running
            .gate
            .admit()
            .decide(id, by, yes, reason.as_deref(), unseen)
            .await
            .map_err(|why| refused(id, &why))?,
    )
}

/// All of the arguments of a call that waits, where not all are shown.
pub(super) async fn reveal(running: &Running, id: &str, body: &[u8]) -> Result<Value, No> {
    let Said { token, .. } = read(body)?;
    let (user, grant) = who(running, token.as_deref())?;
    let by = grant.as_deref().map_or(Decider::Operator(&user), Decider::Grant);
    let whole = running.gate.admit().reveal(id, by).await.map_err(|why| refused(id, &why))?;
    let arguments: Value = serde_json::from_str(&whole).unwrap_or(Value::String(whole));
    Ok(json!({ "id": id, "args": arguments }))
}

fn read(body: &[u8]) -> Result<Said, No> {
    serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))
}

/// The operator's name, and the grant that decides in their place where a token says so.
fn who(running: &Running, token: Option<&str>) -> Result<(String, Option<Arc<Grant>>), No> {
    Ok((own_user(), token.map(|token| grant_of(running, token)).transpose()?))
}

fn refused(id: &str, why: &NotDecided) -> No {
    let (status, code) = match why {
        NotDecided::Unknown(_) => (StatusCode::NOT_FOUND, 2),
        NotDecided::Over(..) | NotDecided::Void(_) | NotDecided::NotSeen(..) | NotDecided::NothingMore(_) => {
            (StatusCode::CONFLICT, 1)
        }
        NotDecided::NotYou(_) => (StatusCode::FORBIDDEN, 4),
        NotDecided::NotRecorded(_) => (StatusCode::INTERNAL_SERVER_ERROR, 1),
    };
    let hint = match why {
        NotDecided::NotSeen(..) => format!(
            "; `portcullis approvals show {id} --reveal` shows everything, `approve {id} --unseen` approves without it"
        ),
        _ => String::new(),
    };
    No(status, code, format!("{why}{hint}"))
}

fn grant_of(running: &Running, token: &str) -> Result<Arc<Grant>, No> {
    let hash = running.gate.admit().ledger().token_hash(token);
    let found = running.gate.grants().by_token(&hash).cloned();
    found.ok_or_else(|| {
        No(
            StatusCode::FORBIDDEN,
            4,
            "the token in PORTCULLIS_TOKEN is of no grant; without it, the operator decides".into(),
        )
    })
}

fn written<T: serde::Serialize>(what: &T) -> Result<Value, No> {
    serde_json::to_value(what).map_err(|error| No(StatusCode::INTERNAL_SERVER_ERROR, 70, error.to_string()))
}
