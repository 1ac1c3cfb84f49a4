//! The grant `me`, for a gate that has none.

use crate::control;
use crate::failure::Failure;
use crate::running::Running;
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::sync::Arc;

/// Its name.
pub(super) const ME: &str = "me";

/// Makes it for all upstreams where there is no grant at all, or where the configuration is `fresh`. Gives its token.
pub(super) async fn mint_where_none(running: &Arc<Running>, fresh: bool) -> Result<Option<String>, Failure> {
    let grants = running.gate.grants();
    if !grants.all().is_empty() && (!fresh || grants.by_name(ME).is_some()) {
        return Ok(None);
    }
    let rules = running.gate.admit().rules();
    let policy = rules
        .policies
        .keys()
        .find(|name| *name == "careful")
        .or_else(|| rules.policies.keys().find(|name| *name != "everyone"))
        .cloned()
        .ok_or_else(|| Failure::usage("the configuration has no policy"))?;
    // As `grant add` makes it, so that there is one way.
    let body = json!({ "name": ME, "upstreams": { "*": policy } }).to_string();
    let mut request = Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/api/v1/grants");
    let answer = control::answer(running, request).await;
    let done = answer.status().is_success();
    let body = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let said: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if done { Ok(Some(text("token"))) } else { Err(Failure::usage(text("error"))) }
}
