//! Messages that the gate itself says.

use crate::Id;
use bytes::Bytes;
use serde_json::Value;

fn id_json(id: Option<&Id>) -> std::borrow::Cow<'_, str> {
    id.map_or(std::borrow::Cow::Borrowed("null"), Id::to_json)
}

/// An error response. `data` is left out where it is null.
#[must_use]
pub fn error_response(id: Option<&Id>, code: i32, message: &str, data: &Value) -> Bytes {
    let message = Value::from(message);
    let data = if data.is_null() { String::new() } else { format!(",\"data\":{data}") };
    let id = id_json(id);
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":{message}{data}}}}}"#
    ))
}

/// A response whose result is the given JSON text.
#[must_use]
pub fn result_response(id: &Id, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

/// A request with the given JSON text as parameters.
#[must_use]
pub fn request(id: &Id, method: &str, params: &str) -> Bytes {
    let method = Value::from(method);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":{method},"params":{params}}}"#))
}

/// A notification with the given JSON text as parameters.
#[must_use]
pub fn notification(method: &str, params: &str) -> Bytes {
    let method = Value::from(method);
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":{method},"params":{params}}}"#))
}
