//! The first checks: Host and Origin, size, one strict message, its era, its headers against its body.

use crate::answer::{Answer, plain, rpc_error};
use crate::asker::Asker;
use crate::gate::{Gate, Options};
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_ledger::Grant;
use portcullis_upstreams::{Room, Uncollected};
use portcullis_wire::{
    Envelope, Era, HEADER_MISMATCH, INVALID_PARAMS, Id, Kind, MODERN, OLD_VERSIONS, UNSUPPORTED_VERSION,
    decode_value, error_response, known_old_version, text,
};
use serde_json::json;
use std::sync::Arc;

/// Refuses a request that comes under a foreign name: a page in a browser whose name was pointed here, or a
/// page of another origin (specification, "Security & Endpoint").
pub(crate) fn check_host_and_origin(options: &Options, uri: &Uri, headers: &HeaderMap) -> Result<(), Answer> {
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| headers.get(HOST).and_then(|host| host.to_str().ok()));
    let Some(host) = host else {
        return Err(plain(StatusCode::BAD_REQUEST, "expected a Host header, found none"));
    };
    if headers.get_all(HOST).iter().count() > 1 || !is_ours(options, host) {
        return Err(plain(
            StatusCode::FORBIDDEN,
            "this gate is not called by that Host; add it to `hosts` in portcullis.yaml if it should be",
        ));
    }
    for origin in headers.get_all(ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        let same = origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
        if !same {
            return Err(plain(
                StatusCode::FORBIDDEN,
                "requests from web pages of another origin are refused",
            ));
        }
    }
    Ok(())
}

fn is_ours(options: &Options, authority: &str) -> bool {
    let name = match authority.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => authority,
    };
    options.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
}

/// The grant of the bearer token. A request without one is not recorded, only counted.
pub(crate) fn authenticate(gate: &Gate, uri: &Uri, headers: &HeaderMap) -> Result<Arc<Grant>, Answer> {
    let query = uri.query().unwrap_or_default();
    if query.split('&').any(|pair| matches!(pair.split('=').next(), Some("token" | "access_token" | "key"))) {
        return Err(plain(
            StatusCode::BAD_REQUEST,
            "a token in the address ends up in logs: send it as `Authorization: Bearer <token>`",
        ));
    }
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let token = match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => value
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, token)| token.trim()),
        _ => None,
    };
    let unknown = |text: &str| {
        gate.count_unknown_token();
        let mut answer = plain(StatusCode::UNAUTHORIZED, text);
        answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        answer
    };
    let token = token.ok_or_else(|| unknown("expected `Authorization: Bearer <grant token>`"))?;
    gate.grant_of(token).ok_or_else(|| {
        unknown("this token belongs to no grant; `portcullis grant list` shows the grants, `rotate` gives a new token")
    })
}

/// Reads the body of a POST, within size and time.
pub(crate) async fn read_body(
    options: &Options,
    room: &Room,
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Bytes, Answer> {
    if headers.get(CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "compressed requests are not accepted"));
    }
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
    if !kind.eq_ignore_ascii_case(b"application/json") {
        return Err(plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "expected `Content-Type: application/json`"));
    }
    let mut body = body;
    let collected = tokio::time::timeout(options.read, room.collect(&mut body, options.message)).await;
    // A client that is answered while it still sends takes the broken connection for the answer.
    if let Ok(Err(Uncollected::TooLong | Uncollected::Full(_))) = &collected {
        let _ = tokio::time::timeout(options.read, async {
            while body.frame().await.is_some_and(|it| it.is_ok()) {}
        })
        .await;
    }
    match collected {
        Ok(Ok(body)) => Ok(body),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the request did not arrive in time")),
        Ok(Err(Uncollected::TooLong)) => {
            let text = format!("a message may have {} bytes (limits.message)", options.message);
            Err(plain(StatusCode::PAYLOAD_TOO_LARGE, &text))
        }
        Ok(Err(Uncollected::Full(full))) => {
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, &full.to_string());
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            Err(answer)
        }
        Ok(Err(Uncollected::Broken(_))) => Err(plain(StatusCode::BAD_REQUEST, "the request broke off")),
    }
}

/// One header's text; `None` where it is absent, an error where it stands more than once or is not ASCII.
fn single<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, String> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| format!("{name} is not plain text")),
        _ => Err(format!("{name} stands more than once")),
    }
}

/// Which era a message belongs to: the new one where its `_meta` or its version header says so.
///
/// # Errors
/// The answer, where headers and body disagree or the version is not spoken.
pub(crate) fn era(asker: &Asker, message: &Envelope) -> Result<Era, Answer> {
    let id = message.id();
    let mismatch = |why: &str| rpc_error(StatusCode::BAD_REQUEST, id, HEADER_MISMATCH, why);
    let meta = message.meta();
    let body = meta.version.and_then(text);
    let header = match &body {
        Some(body) if asker.is_stdio => Some(&**body),
        _ => single(&asker.headers, "mcp-protocol-version").map_err(|why| mismatch(&why))?,
    };
    match (header, body.as_deref()) {
        (None, None) => Ok(Era::Old),
        (Some(version), None) if known_old_version(version) => Ok(Era::Old),
        (Some(MODERN), None) if message.kind() == Kind::Request => Err(rpc_error(
            StatusCode::BAD_REQUEST,
            id,
            INVALID_PARAMS,
            "`params._meta` must carry io.modelcontextprotocol/protocolVersion and /clientCapabilities",
        )),
        (Some(MODERN), None) => Ok(Era::New),
        (Some(version), None) => Err(unsupported(id, version)),
        (None, Some(_)) => Err(mismatch("MCP-Protocol-Version header is missing")),
        (Some(header), Some(body)) if header != body => Err(mismatch(&format!(
            "MCP-Protocol-Version header `{}` does not match the body's `{}`",
            header.escape_default(),
            body.escape_default()
        ))),
        (Some(_), Some(MODERN)) => Ok(Era::New),
        (Some(version), Some(_)) => Err(unsupported(id, version)),
    }
}

fn unsupported(id: Option<&Id>, version: &str) -> Answer {
    let mut supported = vec![MODERN];
    supported.extend(OLD_VERSIONS.iter().rev());
    let data = json!({ "supported": supported, "requested": version });
    let body = error_response(id, UNSUPPORTED_VERSION, "Unsupported protocol version", &data);
    crate::answer::json(StatusCode::BAD_REQUEST, body)
}

/// The new era's checks: routing headers equal the body, required metadata is there.
pub(crate) fn check_modern(asker: &Asker, message: &Envelope) -> Result<(), Answer> {
    if !asker.is_stdio {
        check_routing(&asker.headers, message)?;
    }
    let meta = message.meta();
    if message.kind() == Kind::Request && !meta.capabilities.is_some_and(|raw| raw.starts_with('{')) {
        return Err(rpc_error(
            StatusCode::BAD_REQUEST,
            message.id(),
            INVALID_PARAMS,
            "`params._meta` must carry io.modelcontextprotocol/clientCapabilities, an object",
        ));
    }
    Ok(())
}

/// Whether the headers that route a request say what its body says.
fn check_routing(headers: &HeaderMap, message: &Envelope) -> Result<(), Answer> {
    let id = message.id();
    let mismatch = |why: String| rpc_error(StatusCode::BAD_REQUEST, id, HEADER_MISMATCH, &why);
    let method = message.method().unwrap_or_default();
    let peek = message.peek();
    let found = single(headers, "mcp-method").map_err(mismatch)?;
    if found != Some(method) && message.kind() == Kind::Request {
        return Err(mismatch(match found {
            None => "Mcp-Method header is missing".into(),
            Some(found) => {
                format!("Mcp-Method header `{}` does not match the body's `{method}`", found.escape_default())
            }
        }));
    }
    let named = match method {
        "tools/call" | "prompts/get" => Some(peek.name),
        "resources/read" => Some(peek.uri),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some(peek.task_id),
        _ => None,
    };
    if let Some(named) = named {
        let value = named.and_then(text);
        let found = single(headers, "mcp-name").map_err(mismatch)?.map(decode_value);
        let same = match (&found, &value) {
            (Some(Some(found)), Some(value)) => found == value,
            _ => false,
        };
        if !same {
            return Err(mismatch(match found {
                None => "Mcp-Name header is missing".into(),
                Some(None) => "Mcp-Name header is marked as base64 and is not".into(),
                Some(Some(found)) => format!(
                    "Mcp-Name header `{}` does not match the body's `{}`",
                    found.escape_default(),
                    value.unwrap_or_default().escape_default()
                ),
            }));
        }
    }
    Ok(())
}
