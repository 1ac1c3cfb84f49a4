//! People who decide about calls that wait, over HTTP: `/api/v1/approvals` for programs, `/approvals/ID` for a browser. Whoever decides
//! shows the token of a grant that may.

mod guesses;
mod page;

pub(crate) use guesses::Guesses;

use crate::answer::{Answer, json, plain};
use crate::edge;
use crate::gate::Gate;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use portcullis_admit::{Approval, Decider, NotDecided, Unseen};
use portcullis_ledger::Grant;
use serde_json::{Value, json};
use std::net::IpAddr;
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
pub(crate) async fn answer(gate: &Arc<Gate>, head: &Parts, body: Incoming, from: IpAddr) -> Answer {
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
        return page::answer(gate, head, id, &body, from).await;
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
            let decision = match Decision::read(&body, *word == "approve") {
                Ok(decision) => decision,
                Err(why) => return no(StatusCode::BAD_REQUEST, &why),
            };
            match decide(gate, id, &grant, decision).await {
                Ok(approval) => json(StatusCode::OK, json!(approval).to_string()),
                Err(why) => no(status_of(&why), &why.to_string()),
            }
        }
        (&Method::POST, [id, "reveal"]) => match reveal(gate, id, &grant).await {
            Ok(arguments) => json(StatusCode::OK, json!({ "id": id, "args": arguments }).to_string()),
            Err(why) => no(status_of(&why), &why.to_string()),
        },
        _ => no(
            StatusCode::NOT_FOUND,
            "there is GET /api/v1/approvals, GET /api/v1/approvals/ID, and POST to its /approve, /deny and /reveal",
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

/// What somebody decides.
struct Decision {
    yes: bool,
    reason: Option<String>,
    unseen: Unseen,
}

impl Decision {
    fn read(body: &Bytes, yes: bool) -> Result<Self, String> {
        let mut decision = Self { yes, reason: None, unseen: Unseen::Refuse };
        if body.is_empty() {
            return Ok(decision);
        }
        let expected = || "expected {\"reason\": …, \"unseen\": true or false} or nothing".to_owned();
        let value: Value = serde_json::from_slice(body).map_err(|_| expected())?;
        for (name, member) in value.as_object().ok_or_else(expected)? {
            match (name.as_str(), member) {
                ("reason", Value::Null) | ("unseen", Value::Bool(false)) => {}
                ("reason", Value::String(reason)) => decision.reason = Some(reason.clone()),
                ("unseen", Value::Bool(true)) => decision.unseen = Unseen::Accept,
                _ => return Err(expected()),
            }
        }
        Ok(decision)
    }
}

/// What cannot be seen is not told apart from what is not there.
async fn decide(gate: &Gate, id: &str, grant: &Grant, decision: Decision) -> Result<Approval, NotDecided> {
    found(gate, id, grant).ok_or_else(|| NotDecided::Unknown(id.to_owned()))?;
    let Decision { yes, reason, unseen } = decision;
    gate.admit.decide(id, Decider::Grant(grant), yes, reason.as_deref(), unseen).await
}

/// All of the arguments, where not all are shown.
async fn reveal(gate: &Gate, id: &str, grant: &Grant) -> Result<Value, NotDecided> {
    found(gate, id, grant).ok_or_else(|| NotDecided::Unknown(id.to_owned()))?;
    let whole = gate.admit.reveal(id, Decider::Grant(grant)).await?;
    Ok(serde_json::from_str(&whole).unwrap_or(Value::String(whole)))
}

fn status_of(why: &NotDecided) -> StatusCode {
    match why {
        NotDecided::Unknown(_) => StatusCode::NOT_FOUND,
        NotDecided::Over(..) | NotDecided::Void(_) | NotDecided::NotSeen(..) | NotDecided::NothingMore(_) => {
            StatusCode::CONFLICT
        }
        NotDecided::NotYou(_) => StatusCode::FORBIDDEN,
        NotDecided::NotRecorded(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn no(status: StatusCode, why: &str) -> Answer {
    json(status, json!({ "error": why }).to_string())
}
