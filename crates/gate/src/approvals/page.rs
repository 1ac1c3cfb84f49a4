//! The page on which a person decides. The link to it tells nothing and does nothing: the token goes into a field, and only a POST of
//! the page itself decides.

mod view;

use super::{Decision, decide, found, reveal, status_of};
use crate::answer::{Answer, plain};
use crate::body::Body;
use crate::gate::Gate;
use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::percent_decode_str;
use portcullis_admit::Unseen;
use portcullis_ledger::Grant;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Instant;
use view::{Shown, ask};

const STYLE: &str = include_str!("style.css");
/// A mark for browsers from which a right token came.
const MARK: &str = "portcullis-approver";

/// Answers what a browser asks.
pub(super) async fn answer(gate: &Gate, head: &Parts, id: &str, body: &Bytes, from: IpAddr) -> Answer {
    match head.method {
        Method::GET => page(StatusCode::OK, &ask(id, None)),
        Method::POST if !is_of_this_page(&head.headers) => {
            plain(StatusCode::FORBIDDEN, "only the page itself decides: open it, and send its form")
        }
        Method::POST => posted(gate, head, id, body, from).await,
        _ => page(
            StatusCode::METHOD_NOT_ALLOWED,
            &ask(id, Some("This page is opened and sent, nothing else.")),
        ),
    }
}

/// Browsers say where a request comes from. Another page of theirs could know neither a token nor what waits; it has no business here
/// all the same.
fn is_of_this_page(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_none_or(|site| site == "same-origin")
}

async fn posted(gate: &Gate, head: &Parts, id: &str, body: &Bytes, from: IpAddr) -> Answer {
    let field = |name: &str| field(body, name);
    let token = field("token").unwrap_or_default();
    // Whoever gave a right token here before is not kept out by others who try tokens from the same address.
    let source = match marked(gate, &head.headers) {
        Some(grant) => (Some(grant), None),
        None => (None, Some(from)),
    };
    if let Some(wait) = gate.guesses.wait(&source, Instant::now()) {
        return slow_down(id, wait.as_secs() + 1);
    }
    let Some(grant) = gate.grant_of(&token) else {
        gate.count_unknown_token();
        gate.guesses.note(&source, Instant::now());
        return page(StatusCode::FORBIDDEN, &ask(id, Some("This token belongs to no grant.")));
    };
    let mut answer = decided(gate, id, &grant, &token, &field).await;
    let mark = format!(
        "{MARK}={}; Path=/approvals; HttpOnly; SameSite=Strict; Max-Age=7776000",
        mark_of(gate, &grant)
    );
    if let Ok(mark) = HeaderValue::from_str(&mark) {
        answer.headers_mut().append(SET_COOKIE, mark);
    }
    answer
}

async fn decided(
    gate: &Gate,
    id: &str,
    grant: &Grant,
    token: &str,
    field: &impl Fn(&str) -> Option<String>,
) -> Answer {
    let unknown = "There is no call of that name that this grant decides about.";
    let Some(approval) = found(gate, id, grant) else {
        return page(StatusCode::NOT_FOUND, &ask(id, Some(unknown)));
    };
    let reason = field("reason").filter(|reason| !reason.trim().is_empty());
    let unseen = if field("unseen").is_some() { Unseen::Accept } else { Unseen::Refuse };
    let yes = match field("do").as_deref() {
        Some("approve") => true,
        Some("deny") => false,
        Some("reveal") => {
            return match reveal(gate, id, grant).await {
                Ok(whole) => {
                    let approval = found(gate, id, grant).unwrap_or(approval);
                    page(StatusCode::OK, &Shown::of(gate, &approval, grant, token).whole(&whole).markup(None))
                }
                Err(why) => page(
                    status_of(&why),
                    &Shown::of(gate, &approval, grant, token).markup(Some(&why.to_string())),
                ),
            };
        }
        _ => return page(StatusCode::OK, &Shown::of(gate, &approval, grant, token).markup(None)),
    };
    match decide(gate, id, grant, Decision { yes, reason, unseen }).await {
        Ok(approval) => page(StatusCode::OK, &Shown::of(gate, &approval, grant, token).markup(None)),
        Err(why) => {
            page(status_of(&why), &Shown::of(gate, &approval, grant, token).markup(Some(&why.to_string())))
        }
    }
}

fn slow_down(id: &str, seconds: u64) -> Answer {
    let said = format!(
        "Too many wrong tokens came from your address. Try again in {seconds} s, or decide with `portcullis approvals` on the \
         machine of the gate."
    );
    let mut answer = page(StatusCode::TOO_MANY_REQUESTS, &ask(id, Some(&said)));
    answer.headers_mut().insert(RETRY_AFTER, seconds.into());
    answer
}

/// A mark that only the gate can make.
fn mark_of(gate: &Gate, grant: &Grant) -> String {
    let hash = gate.ledger().token_hash(&format!("a browser that {} decided in", grant.name));
    format!("{}.{}", HEXLOWER.encode(grant.name.as_bytes()), HEXLOWER.encode(&hash))
}

/// The name of the grant whose mark a browser has.
fn marked(gate: &Gate, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|cookies| cookies.to_str().ok());
    let mut cookies =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|one| one.trim().split_once('='));
    let (_, mark) = cookies.find(|(name, _)| *name == MARK)?;
    let name = HEXLOWER.decode(mark.split_once('.')?.0.as_bytes()).ok()?;
    let name = String::from_utf8(name).ok()?;
    let grant = gate.grants().by_name(&name).cloned()?;
    (mark_of(gate, &grant) == mark).then_some(name)
}

/// A field of a form.
fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, value) = text.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8().ok().map(Cow::into_owned)
}

fn page(status: StatusCode, inside: &Markup) -> Answer {
    let mut random = [0; 16];
    // Without random bytes there is no style, and nothing else of harm.
    let nonce = getrandom::fill(&mut random).map(|()| BASE64.encode(&random)).unwrap_or_default();
    let text = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Portcullis: approval" }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body { main { p.brand { "PORTCULLIS" } div.card { (inside) } } }
        }
    };
    let mut answer = Response::new(Body::whole(text.into_string()));
    *answer.status_mut() = status;
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Not `no-referrer`: under that, browsers send the page's own form with `Origin: null`, which is what a foreign page could send.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
