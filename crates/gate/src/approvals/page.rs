//! The page on which a person decides. The link to it tells nothing and does nothing: the token goes into a field, and only a POST of
//! the page itself decides.

use super::{decide, found, is_open, status_of};
use crate::answer::Answer;
use crate::body::Body;
use crate::gate::Gate;
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::percent_decode_str;
use portcullis_admit::Approval;
use portcullis_ledger::time_text;
use std::borrow::Cow;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #b42318 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem }
dl { display: grid; grid-template-columns: 7rem 1fr; gap: .4rem 1rem }
dt { opacity: .7 } dd { margin: 0; overflow-wrap: anywhere }
pre { border: 1px solid var(--line); border-radius: .4rem; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
label { display: block; margin: .8rem 0 .2rem }
input { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; border: 1px solid var(--line); border-radius: .4rem }
button { font: inherit; padding: .5rem 1.2rem; margin: 1rem .6rem 0 0; border: 0; border-radius: .4rem; color: white; background: #475467 }
button[value=approve] { background: var(--good) } button[value=deny] { background: var(--bad) }
.said { border-left: .3rem solid var(--line); padding-left: .8rem }
";

/// Answers what a browser asks.
pub(super) async fn answer(gate: &Gate, head: &Parts, id: &str, body: &Bytes) -> Answer {
    match head.method {
        Method::GET => page(StatusCode::OK, &ask(id, None)),
        Method::POST => posted(gate, id, body).await,
        _ => page(
            StatusCode::METHOD_NOT_ALLOWED,
            &ask(id, Some("This page is opened and sent, nothing else.")),
        ),
    }
}

async fn posted(gate: &Gate, id: &str, body: &Bytes) -> Answer {
    let field = |name: &str| field(body, name);
    let token = field("token").unwrap_or_default();
    let Some(grant) = gate.grant_of(&token) else {
        gate.count_unknown_token();
        return page(StatusCode::FORBIDDEN, &ask(id, Some("This token belongs to no grant.")));
    };
    let unknown = "There is no call of that name that this grant decides about.";
    let Some(approval) = found(gate, id, &grant) else {
        return page(StatusCode::NOT_FOUND, &ask(id, Some(unknown)));
    };
    let yes = match field("do").as_deref() {
        Some("approve") => true,
        Some("deny") => false,
        _ => return page(StatusCode::OK, &shown(&approval, &token, None)),
    };
    let reason = field("reason").filter(|reason| !reason.trim().is_empty());
    match decide(gate, id, &grant, yes, reason.as_deref()).await {
        Ok(approval) => page(StatusCode::OK, &shown(&approval, &token, None)),
        Err(why) => page(status_of(&why), &shown(&approval, &token, Some(&why.to_string()))),
    }
}

/// A field of a form.
fn field(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, value) = text.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8().ok().map(Cow::into_owned)
}

fn ask(id: &str, said: Option<&str>) -> Markup {
    html! {
        h1 { "A call waits for a person" }
        @if let Some(said) = said { p.said { (said) } }
        p { "It waits as " code { (id) } ". To see it, give the token of a grant that may decide." }
        form method="post" {
            label for="token" { "Token" }
            input #token name="token" type="password" autocomplete="off" required;
            button name="do" value="show" { "Show the call" }
        }
    }
}

fn shown(approval: &Approval, token: &str, said: Option<&str>) -> Markup {
    let arguments = approval.args.as_ref().map_or("too long to show", |args| args.get());
    html! {
        h1 { (approval.tool) " on " (approval.upstream) }
        @if let Some(said) = said { p.said { (said) } }
        p { (approval.message) }
        dl {
            dt { "asked by" } dd { (approval.grant) }
            dt { "rule" } dd { code { (approval.rule) } }
            dt { "asked" } dd { (time_text(approval.created)) }
            dt { "until" } dd { (time_text(approval.expires)) }
            dt { "state" } dd { strong { (approval.state.as_str()) } }
            @if let Some(by) = &approval.decided_by { dt { "decided by" } dd { (by) } }
            @if let Some(reason) = &approval.reason { dt { "reason" } dd { (reason) } }
        }
        pre { (arguments) }
        @if is_open(approval) {
            form method="post" {
                input name="token" type="hidden" value=(token);
                label for="reason" { "Reason, for the record and for the agent" }
                input #reason name="reason" autocomplete="off";
                button name="do" value="approve" { "Approve, once" }
                button name="do" value="deny" { "Deny" }
            }
        }
    }
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
            body { (inside) }
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
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
