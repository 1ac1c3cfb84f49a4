//! People who decide about calls that wait, over HTTP: `/api/v1/approvals` for programs, `/approvals/ID` for a browser. Whoever decides
//! shows the token of a grant that may.

mod page;

use crate::answer::{Answer, json, plain};
use crate::edge;
use crate::gate::Gate;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use portcullis_admit::{Approval, Decider, NotDecided, State};
use portcullis_ledger::Grant;
use serde_json::{Value, json};
use std::sync::Arc;

/// Bytes of a decision.
const BODY: usize = 64 << 10;
const API: &str = "/api/v1/approvals";
const PAGE: &str = "/approvals/";

/// Whether a path leads here.
pub(crate) fn is_here(path: &str) -> bool {
    path == API || path.starts_with(PAGE) || path.strip_prefix(API).is_some_and(|rest| rest.starts_with('/'))
}

/// Answers a request that came to the listener.
pub(crate) async fn answer(gate: &Arc<Gate>, head: &Parts, body: Incoming) -> Answer {
    let path = head.uri.path();
    let collected = tokio::time::timeout(gate.options().read, Limited::new(body, BODY).collect()).await;
    let Ok(Ok(body)) = collected else {
        return plain(
            StatusCode::BAD_REQUEST,
            "expected a short request, found one that is too long or broke off",
        );
    };
    let body = body.to_bytes();
    if let Some(id) = path.strip_prefix(PAGE) {
        return page::answer(gate, head, id, &body).await;
    }
    let grant = match edge::authenticate(gate, &head.uri, &head.headers) {
        Ok(grant) => grant,
        Err(answer) => return answer,
    };
    let parts: Vec<&str> = path.strip_prefix(API).unwrap_or_default().split('/').skip(1).collect();
    match (&head.method, &parts[..]) {
        (&Method::GET, []) => {
            let all = gate.admit.approvals().list();
            let own: Vec<Approval> = all.into_iter().filter(|one| may_decide(one, &grant)).collect();
            json(StatusCode::OK, json!(own).to_string())
        }
        (&Method::GET, [id]) => match found(gate, id, &grant) {
            Some(approval) => json(StatusCode::OK, json!(approval).to_string()),
            None => no(StatusCode::NOT_FOUND, &NotDecided::Unknown((*id).to_owned()).to_string()),
        },
        (&Method::POST, [id, word @ ("approve" | "deny")]) => {
            let reason = match reason(&body) {
                Ok(reason) => reason,
                Err(why) => return no(StatusCode::BAD_REQUEST, &why),
            };
            match decide(gate, id, &grant, *word == "approve", reason.as_deref()).await {
                Ok(approval) => json(StatusCode::OK, json!(approval).to_string()),
                Err(why) => no(status_of(&why), &why.to_string()),
            }
        }
        _ => no(
            StatusCode::NOT_FOUND,
            "there is GET /api/v1/approvals, GET /api/v1/approvals/ID, and POST to its /approve and /deny",
        ),
    }
}

/// One that a grant may decide, also where that is over.
fn found(gate: &Gate, id: &str, grant: &Grant) -> Option<Approval> {
    gate.admit.approvals().get(id).filter(|approval| may_decide(approval, grant))
}

fn may_decide(approval: &Approval, grant: &Grant) -> bool {
    Decider::Grant(grant).objection(approval, portcullis_ledger::now_ms()).is_none()
}

/// What cannot be seen is not told apart from what is not there.
async fn decide(
    gate: &Gate,
    id: &str,
    grant: &Grant,
    yes: bool,
    reason: Option<&str>,
) -> Result<Approval, NotDecided> {
    found(gate, id, grant).ok_or_else(|| NotDecided::Unknown(id.to_owned()))?;
    gate.admit.decide(id, Decider::Grant(grant), yes, reason).await
}

fn reason(body: &Bytes) -> Result<Option<String>, String> {
    if body.is_empty() {
        return Ok(None);
    }
    let expected = || "expected {\"reason\": …} or nothing".to_owned();
    let value: Value = serde_json::from_slice(body).map_err(|_| expected())?;
    let members = value.as_object().filter(|members| members.keys().all(|key| key == "reason"));
    match members.ok_or_else(expected)?.get("reason") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(reason)) => Ok(Some(reason.clone())),
        Some(_) => Err(expected()),
    }
}

fn status_of(why: &NotDecided) -> StatusCode {
    match why {
        NotDecided::Unknown(_) => StatusCode::NOT_FOUND,
        NotDecided::Over(..) | NotDecided::Void(_) => StatusCode::CONFLICT,
        NotDecided::NotYou(_) => StatusCode::FORBIDDEN,
        NotDecided::NotRecorded(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn no(status: StatusCode, why: &str) -> Answer {
    json(status, json!({ "error": why }).to_string())
}

/// Whether there is still something to decide.
fn is_open(approval: &Approval) -> bool {
    approval.state == State::Waiting
}
