//! Calls that wait for a person.

use super::api::No;
use super::runs::own_user;
use crate::running::Running;
use http::StatusCode;
use portcullis_admit::{Decider, NotDecided};
use serde::Deserialize;
use serde_json::Value;

/// What a person says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    reason: Option<String>,
    /// Of the grant that decides; without one, the operator does.
    token: Option<String>,
}

/// All that is known, the oldest first.
pub(super) fn list(running: &Running) -> Result<Value, No> {
    written(&running.gate.admit().approvals().list())
}

/// Lets a call pass once, or refuses it.
pub(super) async fn decide(running: &Running, id: &str, yes: bool, body: &[u8]) -> Result<Value, No> {
    let Said { reason, token } =
        serde_json::from_slice(body).map_err(|error| No::usage(error.to_string()))?;
    let admit = running.gate.admit();
    let user = own_user();
    let grant = match token {
        None => None,
        Some(token) => Some(grant_of(running, &token)?),
    };
    let by = grant.as_deref().map_or(Decider::Operator(&user), Decider::Grant);
    let decided = admit.decide(id, by, yes, reason.as_deref()).await.map_err(|why| {
        let (status, code) = match why {
            NotDecided::Unknown(_) => (StatusCode::NOT_FOUND, 2),
            NotDecided::Over(..) | NotDecided::Void(_) => (StatusCode::CONFLICT, 1),
            NotDecided::NotYou(_) => (StatusCode::FORBIDDEN, 4),
            NotDecided::NotRecorded(_) => (StatusCode::INTERNAL_SERVER_ERROR, 1),
        };
        No(status, code, why.to_string())
    })?;
    written(&decided)
}

fn grant_of(running: &Running, token: &str) -> Result<std::sync::Arc<portcullis_ledger::Grant>, No> {
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
