//! One HTTP request, from the first check to its answer.

use crate::answer::{Answer, empty, json, plain, rpc_error};
use crate::asker::Asker;
use crate::gate::Gate;
use crate::session::Route;
use crate::{approvals, edge, expiry, modern, old, registry};
use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use portcullis_admit::Principal;
use portcullis_ledger::Grant;
use portcullis_wire::{Envelope, Era, MODERN};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a request came in.
#[derive(Debug, Clone)]
pub enum Via {
    /// The listener, from that address: whoever it is shows a token.
    Listener(IpAddr),
    /// The control socket: `portcullis stdio`, which speaks for this grant.
    Socket(Arc<Grant>),
}

impl Gate {
    /// Answers one HTTP request.
    pub async fn handle(self: &Arc<Self>, request: Request<Incoming>, via: Via) -> Answer {
        let (head, body) = request.into_parts();
        let options = self.options();
        if let Via::Listener(from) = via {
            if let Err(answer) = edge::check_host_and_origin(&options, &head.uri, &head.headers) {
                return answer;
            }
            if approvals::is_here(head.uri.path()) {
                return approvals::answer(self, &head, body, from).await;
            }
        }
        let route = match head.uri.path() {
            "/healthz" => return plain(StatusCode::OK, "ok"),
            "/readyz" => return self.readiness(),
            "/mcp" | "/mcp/" => Route::All,
            path if is_of_oauth(path) => return no_oauth(),
            // Whoever asks for what is there asks about all of it.
            path if registry::is_here(path) => Route::All,
            path => match path.strip_prefix("/mcp/").map(|name| name.trim_end_matches('/')) {
                Some(name) if !name.is_empty() => Route::One(name.into()),
                _ => {
                    return plain(
                        StatusCode::NOT_FOUND,
                        "there is nothing here; MCP is at /mcp and /mcp/<upstream>, the list of servers at /v0.1/servers",
                    );
                }
            },
        };
        let in_force = self.admit().in_force_now();
        let (grant, is_stdio) = match via {
            Via::Socket(grant) => (grant, true),
            Via::Listener(_) => match edge::authenticate(self, &head.uri, &head.headers) {
                Ok(grant) => (grant, false),
                Err(answer) => return answer,
            },
        };
        let principal = Principal { grant, client: Arc::default(), history: None };
        if let Err(answer) = expiry::check(self, &principal, &route).await {
            return answer;
        }
        // What the grant does not cover is not told apart from what does not exist.
        if let Route::One(name) = &route
            && (self.upstream(name).is_none() || !self.admit().covers(&principal, name))
        {
            return plain(StatusCode::NOT_FOUND, "there is no upstream of that name for this grant");
        }
        if registry::is_here(head.uri.path()) {
            return registry::answer(self, &principal, &head);
        }
        let mut asker = Asker {
            rooms: self.rooms_of(principal.name()),
            principal,
            route,
            era: Era::Old,
            session: None,
            caller: self.next_caller(),
            takes_events: accepts(&head.headers, "text/event-stream"),
            headers: head.headers,
            is_stdio,
            capabilities: "{}".into(),
            client_info: "{}".into(),
        };
        let modern = asker.headers.get("mcp-protocol-version").is_some_and(|version| version == MODERN);
        match head.method {
            Method::POST => {
                match edge::read_body(&options, &asker.rooms.requests, &asker.headers, body).await {
                    Ok(body) => {
                        // What the token stood for may have changed while the body was on its way.
                        if !asker.is_stdio && self.admit().in_force_now() != in_force {
                            match edge::authenticate(self, &head.uri, &asker.headers) {
                                Ok(grant) => asker.principal.grant = grant,
                                Err(answer) => return answer,
                            }
                        }
                        self.post(asker, body).await
                    }
                    Err(answer) => answer,
                }
            }
            Method::GET if !modern => old::get(self, asker).await,
            Method::DELETE if !modern => old::delete(self, &asker).await,
            _ => {
                let mut answer = empty(StatusCode::METHOD_NOT_ALLOWED);
                let allow = if modern { "POST" } else { "GET, POST, DELETE" };
                answer.headers_mut().insert("allow", HeaderValue::from_static(allow));
                answer
            }
        }
    }

    async fn post(self: &Arc<Self>, mut asker: Asker, body: Bytes) -> Answer {
        let read = if body.trim_ascii_start().starts_with(b"[") {
            match old::batch(self, asker.clone(), &body).await {
                Ok(answer) => return answer,
                Err(refused) => Err(refused),
            }
        } else {
            Envelope::request(body)
        };
        let message = match read {
            Ok(message) => message,
            Err(refused) => {
                let upstream = match &asker.route {
                    Route::One(name) => Some(&**name),
                    Route::All => None,
                };
                self.admit().refused(&asker.principal, upstream, refused.id.as_ref(), &refused.message).await;
                return rpc_error(
                    StatusCode::BAD_REQUEST,
                    refused.id.as_ref(),
                    refused.code,
                    &refused.message,
                );
            }
        };
        match edge::era(&asker, &message) {
            Ok(Era::New) => {
                asker.era = Era::New;
                modern::post(self, asker, message).await
            }
            Ok(Era::Old) => old::post(self, asker, message).await,
            Err(answer) => {
                let why = "its protocol version is not spoken here or not told consistently";
                self.admit().refused(&asker.principal, None, message.id(), why).await;
                answer
            }
        }
    }

    /// 200 where calls can pass: the listener answers, so what remains is the record and the policies.
    fn readiness(&self) -> Answer {
        match self.ledger().trouble() {
            // Calls pass and are recorded; what was recorded before is no longer whole.
            None => match self.ledger().checked().damage {
                None => plain(StatusCode::OK, "ready"),
                Some(damage) => {
                    let warnings = [format!("the ledger is damaged: {damage}")];
                    let text = serde_json::json!({ "ready": true, "warnings": warnings }).to_string();
                    json(StatusCode::OK, text)
                }
            },
            Some(why) => {
                let text =
                    serde_json::json!({ "ready": false, "reasons": [format!("ledger: {why}")] }).to_string();
                json(StatusCode::SERVICE_UNAVAILABLE, text)
            }
        }
    }
}

/// Where clients look that want to sign their user in: in metadata (RFC 8414, RFC 9728), else at the addresses of the specification of
/// 2025-03-26 ("Fallbacks for Servers without Metadata Discovery").
fn is_of_oauth(path: &str) -> bool {
    matches!(path, "/register" | "/authorize" | "/token")
        || path.starts_with("/.well-known/oauth-")
        || path.starts_with("/.well-known/openid-configuration")
}

/// They show what an error of OAuth says (RFC 6749, section 5.2), and nothing else.
fn no_oauth() -> Answer {
    let text = serde_json::json!({
        "error": "access_denied",
        "error_description": "This gate does not sign users in: it wants the token of a grant in each request, as the header             `Authorization: Bearer <token>`. `portcullis grant add NAME` on the gate's machine makes one.",
    });
    json(StatusCode::NOT_FOUND, text.to_string())
}

fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| {
            let kind = part.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case(wanted) || kind == "*/*" || kind == "text/*"
        })
}
