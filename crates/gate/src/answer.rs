//! HTTP answers.

use crate::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use portcullis_upstreams::Receiver;
use portcullis_wire::{Id, error_response};
use serde_json::Value;

/// An answer.
pub type Answer = Response<Body>;

/// A JSON text.
#[must_use]
pub(crate) fn json(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Body::whole(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A JSON-RPC error.
#[must_use]
pub(crate) fn rpc_error(status: StatusCode, id: Option<&Id>, code: i32, message: &str) -> Answer {
    json(status, error_response(id, code, message, &Value::Null))
}

/// A status and a sentence, for what happens before any message is read.
#[must_use]
pub(crate) fn plain(status: StatusCode, text: &str) -> Answer {
    let mut response = Response::new(Body::whole(format!("{text}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Nothing but a status.
#[must_use]
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Body::Whole(None));
    *response.status_mut() = status;
    response
}

/// A stream of events.
#[must_use]
pub(crate) fn events(queue: Receiver) -> Answer {
    let mut response = Response::new(Body::events(queue));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Reverse proxies must not hold events back.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
