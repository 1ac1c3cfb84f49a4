//! The endpoint as clients of the old era use it: POST, GET and DELETE in a session.

use crate::answer::{Answer, empty, json, plain, rpc_error};
use crate::asker::Asker;
use crate::body::Body;
use crate::forward::forward;
use crate::gate::Gate;
use crate::session::{Asked, Found, InUse, Route, Session};
use crate::tasks::message::back;
use crate::{hello, listing, logging, streams};
use bytes::Bytes;
use http::StatusCode;
use portcullis_admit::{AnswerText, Ask, FollowUp, Message, Recipient, Subject};
use portcullis_catalogue::ListKind;
use portcullis_wire::{
    Envelope, Era, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, METHOD_NOT_FOUND, Refused, member,
    result_response, text,
};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The session that a request names.
pub(crate) fn session(gate: &Arc<Gate>, asker: &Asker, request: Option<&Id>) -> Result<InUse, Answer> {
    let id = match asker.headers.get("mcp-session-id").map(|id| id.to_str()) {
        Some(Ok(id)) => id,
        Some(Err(_)) => return Err(plain(StatusCode::BAD_REQUEST, "Mcp-Session-Id is not plain text")),
        None => {
            let why = "expected an Mcp-Session-Id header: open a session with `initialize` first";
            return Err(rpc_error(StatusCode::BAD_REQUEST, request, INVALID_REQUEST, why));
        }
    };
    match gate.sessions.get(id, asker.principal.name(), &asker.route, &gate.options().sessions) {
        Found::Open(session) => return Ok(session),
        Found::Over(session) => {
            drop(gate.end_sessions(vec![session], "its session ended"));
        }
        Found::Nothing => {}
    }
    let why = "this session is unknown or has ended: open a new one with `initialize`";
    Err(rpc_error(StatusCode::NOT_FOUND, request, INVALID_REQUEST, why))
}

/// Lets a request join its session.
pub(crate) fn join(asker: &mut Asker, session: &Arc<Session>) {
    asker.caller = session.caller;
    asker.capabilities.clone_from(&session.capabilities);
    asker.client_info.clone_from(&session.client);
    asker.principal.client = session.client_name.clone();
    asker.principal.history = Some(session.history.clone());
    asker.session = Some(session.clone());
}

/// One message of a client.
pub(crate) async fn post(gate: &Arc<Gate>, mut asker: Asker, message: Envelope) -> Answer {
    if message.method() == Some("initialize") {
        return hello::initialize(gate, asker, &message).await;
    }
    let session = match session(gate, &asker, message.id()) {
        Ok(session) => session,
        Err(answer) => return answer,
    };
    join(&mut asker, &session);
    in_session(gate, &Arc::new(asker), &session, message).await
}

/// A message in its session.
async fn in_session(
    gate: &Arc<Gate>,
    asker: &Arc<Asker>,
    session: &Arc<Session>,
    message: Envelope,
) -> Answer {
    match message.kind() {
        Kind::Request => request(gate, asker, session, message).await,
        Kind::Notification => {
            let message = back(&gate.tasks, &session.grant, &message);
            notification(gate, asker, session, &message).await;
            empty(StatusCode::ACCEPTED)
        }
        Kind::Response => {
            let message = back(&gate.tasks, &session.grant, &message);
            answered(session, &message).await;
            empty(StatusCode::ACCEPTED)
        }
    }
}

async fn request(gate: &Arc<Gate>, asker: &Arc<Asker>, session: &Arc<Session>, message: Envelope) -> Answer {
    let (Some(method), Some(id)) = (message.method(), message.id()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    if let Some(kind) = ListKind::of_method(method) {
        return listing::answer(gate, asker, &message, kind).await;
    }
    match method {
        "ping" => json(StatusCode::OK, result_response(id, "{}")),
        "server/discover" | "subscriptions/listen" => {
            rpc_error(StatusCode::OK, Some(id), METHOD_NOT_FOUND, &format!("Method not found: {method}"))
        }
        "logging/setLevel" => set_level(gate, asker, session, message).await,
        "tasks/list" => crate::tasks::list::answer(gate, asker, &message).await,
        "resources/subscribe" | "resources/unsubscribe" => subscription(gate, asker, session, message).await,
        _ => forward(gate, asker, message).await,
    }
}

/// Remembers a session's log level and tells it to servers: to the one of the route as it came, on the
/// aggregated route to all that the session has links of its own to, now and when they are opened.
async fn set_level(
    gate: &Arc<Gate>,
    asker: &Arc<Asker>,
    session: &Arc<Session>,
    message: Envelope,
) -> Answer {
    let Some(id) = message.id().cloned() else { return empty(StatusCode::BAD_REQUEST) };
    let level = message.peek().level.map(str::to_owned);
    let one = matches!(asker.route, Route::One(_));
    if one && crate::links::has_own_of_old(gate, asker).await {
        *session.log_level.lock() = level.filter(|level| logging::is_level(level));
        return forward(gate, asker, message).await;
    }
    let Some(level) = level.filter(|level| logging::is_level(level)) else {
        let why = "`params.level` must be a log level, such as \"info\"";
        return rpc_error(StatusCode::OK, Some(&id), INVALID_PARAMS, why);
    };
    *session.log_level.lock() = Some(level);
    if !one {
        Box::pin(logging::tell_all(gate, asker, session)).await;
    }
    json(StatusCode::OK, result_response(&id, "{}"))
}

/// Remembers what a session watches, so that notices on a shared link find it.
async fn subscription(
    gate: &Arc<Gate>,
    asker: &Arc<Asker>,
    session: &Arc<Session>,
    message: Envelope,
) -> Answer {
    let Some(watched) = crate::target::find(gate, asker, message.clone())
        .ok()
        .map(|target| (target.upstream.name().clone(), target.name))
    else {
        return forward(gate, asker, message).await;
    };
    if message.method() == Some("resources/subscribe") {
        // Before it is sent: the first notice may come before the answer.
        session.watched.lock().insert(watched.clone());
        let answer = forward(gate, asker, message).await;
        if is_refusal(answer.body()) {
            session.watched.lock().remove(&watched);
        }
        return answer;
    }
    let was_there = session.watched.lock().remove(&watched);
    // A server that all share has one subscription for all: the last one ends it, and nobody else does.
    let shared = session.links.get(&watched.0).is_none_or(|link| link.is_shared());
    let others = || gate.sessions.all().iter().any(|other| other.watched.lock().contains(&watched));
    match message.id() {
        Some(id) if shared && (!was_there || others()) => json(StatusCode::OK, result_response(id, "{}")),
        _ => forward(gate, asker, message).await,
    }
}

/// Whether an answer that came whole is an error.
fn is_refusal(body: &Body) -> bool {
    match body {
        Body::Whole(Some(text)) => {
            Envelope::reply(text.clone()).is_ok_and(|message| message.error().is_some())
        }
        _ => false,
    }
}

async fn notification(gate: &Arc<Gate>, asker: &Asker, session: &Arc<Session>, message: &Envelope) {
    let peek = message.peek();
    match message.method().unwrap_or_default() {
        "notifications/initialized" => {}
        "notifications/cancelled" => {
            let request = peek.request_id.and_then(Id::from_json);
            let reason = peek.reason.and_then(text).unwrap_or_default();
            if let Some(request) = request {
                // One that is unknown or over is passed over (specification, "Cancellation").
                let _ = gate.runs.cancel(session.caller, &request, &reason);
            }
        }
        "notifications/progress" => progress(session, message).await,
        "notifications/roots/list_changed" => roots_changed(gate, asker, session).await,
        _ => {
            let Route::One(name) = &asker.route else { return };
            let link = session.links.get(name);
            let Some(link) = link.filter(|link| !link.is_shared() && link.era() == portcullis_wire::Era::Old)
            else {
                return;
            };
            let ask = Ask {
                who: &asker.principal,
                upstream: name,
                run: "",
                request: &Id::Text("".into()),
                message: Message { envelope: message.clone(), headers: Vec::new() },
                subject: Subject::Other(""),
                to: Recipient {
                    era: link.era(),
                    forward_meta: &gate
                        .upstream(name)
                        .map(|it| it.spec().forward_meta.clone())
                        .unwrap_or_default(),
                    entry: Some(link.entry()),
                },
            };
            if let Ok((permit, ticket)) = gate.admit.judge(ask, portcullis_ledger::now_ms()).await {
                let end = match link.notify(permit).await {
                    Ok(()) => portcullis_admit::End::Answered { error: false },
                    Err(error) => portcullis_admit::End::from(&error),
                };
                ticket.close(&end);
            }
        }
    }
}

/// Progress on a question that a server asked belongs to that question: it goes to whoever asked it, and nowhere else.
async fn progress(session: &Session, notice: &Envelope) {
    let token = notice.peek().progress_token;
    let Some((number, question)) = token.and_then(|token| session.take_by_token(token)) else {
        tracing::debug!("a client tells of progress that nobody wants to hear of");
        return;
    };
    let told = question.progress(notice).await;
    session.put_back(number, question);
    match told {
        Ok((link, told)) => drop(link.follow(told).await),
        Err(why) => tracing::debug!(%why, "what a client tells of its progress is not passed on"),
    }
}

/// The client's roots are others now: each server hears of it that this session offers roots to.
async fn roots_changed(gate: &Gate, asker: &Asker, session: &Session) {
    for (name, link) in session.links.all() {
        let offered = member(link.offered(), "roots").is_some();
        let dropped = gate.admit.drops().holds(asker.principal.name(), &name).is_some();
        if offered && !dropped && !link.is_shared() && link.era() == Era::Old {
            let _ = link.follow(FollowUp::roots_changed()).await;
        }
    }
}

/// The client's answer to a server's question.
async fn answered(session: &Arc<Session>, message: &Envelope) {
    let Some(asked) = message.id().and_then(|id| session.answered(id)) else {
        tracing::debug!("a client answered a question that nobody asked");
        return;
    };
    match asked {
        Asked::Server(question) => question.answer(AnswerText::of(message)).await,
        Asked::Call(wait) => drop(wait.send(message.bytes().clone())),
    }
}

/// The client's own stream.
pub(crate) async fn get(gate: &Arc<Gate>, mut asker: Asker) -> Answer {
    if !asker.takes_events {
        return plain(StatusCode::NOT_ACCEPTABLE, "expected `Accept: text/event-stream`");
    }
    match session(gate, &asker, None) {
        Ok(session) => {
            join(&mut asker, &session);
            streams::open(gate, &asker, &session).await
        }
        Err(answer) => answer,
    }
}

/// The end of a session.
pub(crate) async fn delete(gate: &Arc<Gate>, asker: &Asker) -> Answer {
    match session(gate, asker, None) {
        Ok(session) => {
            if let Some(session) = gate.sessions.remove(&session.id) {
                drop(gate.end_sessions(vec![session], "its session was ended by the client"));
            }
            empty(StatusCode::OK)
        }
        Err(answer) => answer,
    }
}

/// A batch, which only 2025-03-26 has: every member is read and judged alone, the answers come together.
pub(crate) async fn batch(gate: &Arc<Gate>, mut asker: Asker, body: &Bytes) -> Result<Answer, Refused> {
    let refused = |message: &str| Refused { code: INVALID_REQUEST, message: message.into(), id: None };
    let session = match session(gate, &asker, None) {
        Ok(session) if session.version == "2025-03-26" => session,
        Ok(_) => return Err(refused("batches are not accepted in this version: send one message")),
        Err(answer) => return Ok(answer),
    };
    join(&mut asker, &session);
    asker.takes_events = false;
    let asker = Arc::new(asker);
    let members: Vec<&RawValue> = serde_json::from_slice(body)
        .map_err(|error| refused(&format!("not a batch of messages: {error}")))?;
    if members.is_empty() || members.len() > 100 {
        return Err(refused("a batch has 1 to 100 messages"));
    }
    let mut answers = Vec::new();
    for member in members {
        let text = match Envelope::request(Bytes::copy_from_slice(member.get().as_bytes())) {
            Ok(message) if message.method() == Some("initialize") => portcullis_wire::error_response(
                message.id(),
                INVALID_REQUEST,
                "`initialize` is not sent in a batch",
                &serde_json::Value::Null,
            ),
            Ok(message) => match in_session(gate, &asker, &session, message).await.into_body() {
                Body::Whole(Some(text)) => text,
                _ => continue,
            },
            Err(refused) => {
                gate.admit.refused(&asker.principal, None, refused.id.as_ref(), &refused.message).await;
                portcullis_wire::error_response(
                    refused.id.as_ref(),
                    refused.code,
                    &refused.message,
                    &serde_json::Value::Null,
                )
            }
        };
        answers.push(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(if answers.is_empty() {
        empty(StatusCode::ACCEPTED)
    } else {
        json(StatusCode::OK, format!("[{}]", answers.join(",")))
    })
}
