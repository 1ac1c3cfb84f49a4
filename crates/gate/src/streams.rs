//! Streams that a client holds open to hear what changes: GET in the old era, `subscriptions/listen` in the
//! new one.

use crate::answer::{Answer, empty, events, rpc_error};
use crate::asked::{Asking, with_own_question};
use crate::asker::Asker;
use crate::call::withheld_answer;
use crate::gate::Gate;
use crate::inbox::fixed_roots;
use crate::links;
use crate::names::{expose_uri, split_uri};
use crate::outlet::{Outgoing, Place, carrying, saying};
use crate::rewrite::stray_notice;
use crate::session::{Route, Session};
use crate::tasks::Task;
use crate::tasks::message::{Shown, shown};
use crate::tasks::target::{declares_tasks, undeclared};
use http::StatusCode;
use parking_lot::Mutex;
use portcullis_admit::{Ask, End, FollowUp, Message, Questions, Recipient, Release, Subject, What};
use portcullis_catalogue::ListKind;
use portcullis_ledger::now_ms;
use portcullis_runs::NewRun;
use portcullis_upstreams::{Heard, Link, Sender, Upstream, queue};
use portcullis_wire::{
    Envelope, Era, INVALID_PARAMS, INVALID_REQUEST, Id, Kind, member, meta, notification, result_response,
};
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Opens the client's stream of the old era.
pub(crate) async fn open(gate: &Arc<Gate>, asker: &Asker, session: &Arc<Session>) -> Answer {
    let (sender, queue) = queue(&gate.rooms_of(&session.grant).answers);
    let number = session.open_stream(sender.clone());
    match &asker.route {
        Route::One(name) => {
            let last = asker.headers.get("last-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
            let link = session.links.get(name);
            if let (Some(link), Some(upstream)) = (link, gate.upstream(name))
                && link.era() == Era::Old
                && !link.is_shared()
                && !link.is_line()
            {
                let (gate, session, sender) = (Arc::downgrade(gate), session.clone(), sender.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = sender.closed() => {}
                        () = session.ended.cancelled() => {}
                        () = pump(&gate, &session, &upstream, &link, last.as_deref(), Some(&sender)) => {}
                    }
                });
            }
        }
        Route::All => {
            for (name, link) in session.links.all() {
                if let Some(upstream) = gate.upstream(&name) {
                    attach(gate, session, &upstream, &link);
                }
            }
        }
    }
    let held = session.enter();
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = held.ended.cancelled() => {}
        }
        held.close_stream(number);
    });
    events(queue)
}

/// On the aggregated route, hears a session's own link at a server for as long as the client's stream is open.
pub(crate) fn attach(gate: &Arc<Gate>, session: &Arc<Session>, upstream: &Arc<Upstream>, link: &Arc<Link>) {
    let own = session.route == Route::All && link.era() == Era::Old && !link.is_shared() && !link.is_line();
    let Some(stream) = session.own_stream().filter(|_| own) else { return };
    let (gate, session) = (Arc::downgrade(gate), session.clone());
    let (upstream, link) = (upstream.clone(), link.clone());
    tokio::spawn(async move {
        tokio::select! {
            () = stream.closed() => {}
            () = session.ended.cancelled() => {}
            () = pump(&gate, &session, &upstream, &link, None, None) => {}
        }
    });
}

/// Passes a server's own stream on to the client. With `stream`, events go there under their own ids, so that
/// the client can come back after the last one it saw.
async fn pump(
    gate: &Weak<Gate>,
    session: &Arc<Session>,
    upstream: &Arc<Upstream>,
    link: &Arc<Link>,
    last_event: Option<&str>,
    stream: Option<&Sender>,
) {
    let mut heard = match link.listen(last_event).await {
        Ok(reply) => reply,
        Err(error) => {
            tracing::debug!(upstream = %upstream.name(), %error, "no stream of its own");
            return;
        }
    };
    while let Ok(Some(heard)) = heard.next().await {
        let Some(gate) = gate.upgrade() else { return };
        let place = Place { id: heard.event_id.clone(), retry: heard.retry };
        let event = match &heard.message {
            None => Some(Outgoing::primer(place)).filter(|_| stream.is_some()),
            Some(message) => translate(&gate, session, upstream, link, message).await.map(|release| {
                if stream.is_some() { carrying(release).at(place) } else { carrying(release) }
            }),
        };
        match (stream, event) {
            (_, None) => {}
            (Some(stream), Some(event)) => {
                if stream.send(event.encoded()).await.is_err() {
                    return;
                }
            }
            (None, Some(event)) => session.push(&event),
        }
    }
}

/// What the client sees of something heard outside of a call; `None` where it sees nothing.
async fn translate(
    gate: &Gate,
    session: &Arc<Session>,
    upstream: &Arc<Upstream>,
    link: &Arc<Link>,
    message: &Envelope,
) -> Option<Release> {
    let Shown::Message(message) = shown(&gate.tasks, upstream.name(), &session.grant, Some(link), message)
    else {
        if message.kind() == Kind::Request {
            link.refuse(message);
        }
        return None;
    };
    let message = &message;
    match message.kind() {
        Kind::Response => {
            let id = message.id()?.as_u64()?;
            let (known, authority) = session.resumable.known(upstream.name(), id)?;
            let released =
                authority.release(message, Questions::None, |message| Some(known.response(message)));
            let (release, end) = match released {
                Ok(release) => (release, End::Answered { error: crate::rewrite::is_error(message) }),
                Err(why) => {
                    let answer = Release::own(withheld_answer(&known.id, &why));
                    (Some(answer), End::Broken(why.recorded()))
                }
            };
            session.resumable.answered(upstream.name(), id, end);
            release
        }
        Kind::Notification => {
            if let Some(kind) = crate::changes::kind_of(message) {
                upstream.list_changed(kind);
                return None;
            }
            let message = with_own_question(Some(session), link, message)?;
            let message = &*message;
            if let Some(token) = message.peek().progress_token {
                let id = Id::from_json(token)?.as_u64()?;
                let (known, authority) = session.resumable.known(upstream.name(), id)?;
                return authority.release(message, Questions::None, |message| known.notice(message)).ok()?;
            }
            let prefix = (session.route == Route::All).then(|| &**upstream.name());
            let grant = gate.grants().by_name(&session.grant).cloned()?;
            let authority = gate.admit.session_authority(grant, upstream.name());
            authority.release(message, Questions::None, |message| Some(stray_notice(message, prefix))).ok()?
        }
        Kind::Request => {
            let method = message.method().unwrap_or_default();
            if let Some(roots) = fixed_roots(upstream, method) {
                link.follow_soon(FollowUp::gate_answer(message.id()?, &roots));
                return None;
            }
            let who = session.principal(&gate.grants()).filter(|_| method != "ping");
            let Some(who) = who else {
                link.refuse(message);
                return None;
            };
            let asking = Asking { gate, who: &who, upstream: upstream.name(), run: "" };
            let Ok(question) = asking.judge(link, message).await else {
                link.refuse(message);
                return None;
            };
            question.put(session, message).await
        }
    }
}

/// Everyone who listens in the new era.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    open: Mutex<Vec<Listener>>,
    numbers: AtomicU64,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    grant: String,
    route: Route,
    id: Id,
    kinds: Vec<ListKind>,
    /// Ids of tasks, the gate's own.
    tasks: Vec<String>,
    stream: Sender,
    /// Ends the stream when the listener is forgotten.
    _ended: DropGuard,
}

/// Tells those who listen for it that a list changed.
pub(crate) fn tell_listeners(gate: &Gate, grant: &str, upstream: &Arc<str>, kind: ListKind) {
    gate.listeners.open.lock().retain(|listener| {
        let concerned = listener.grant == grant
            && listener.kinds.iter().any(|wanted| wanted.changed() == kind.changed())
            && match &listener.route {
                Route::All => true,
                Route::One(name) => name == upstream,
            };
        if !concerned {
            return !listener.stream.is_closed();
        }
        let params = json!({ "_meta": { meta::SUBSCRIPTION: id_value(&listener.id) } }).to_string();
        let notice = notification(kind.changed(), &params);
        listener.stream.try_send(saying(notice).encoded()).is_ok()
    });
}

fn id_value(id: &Id) -> Value {
    serde_json::from_str(&id.to_json()).unwrap_or_default()
}

/// Answers `subscriptions/listen`: lists are the gate's own to watch; resources are watched at the upstream.
pub(crate) async fn listen(gate: &Arc<Gate>, asker: &Asker, message: &Envelope) -> Answer {
    let Some(id) = message.id().cloned() else { return empty(StatusCode::BAD_REQUEST) };
    if !asker.takes_events {
        let why = "`Accept: text/event-stream` is needed to listen";
        return rpc_error(StatusCode::NOT_ACCEPTABLE, Some(&id), INVALID_REQUEST, why);
    }
    let filter =
        message.peek().notifications.and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw).ok());
    let Some(filter) = filter else {
        let why = "`params.notifications` must say what to listen for";
        return rpc_error(StatusCode::BAD_REQUEST, Some(&id), INVALID_PARAMS, why);
    };
    let wants = |name: &str| filter.get(name) == Some(&Value::Bool(true));
    let mut honoured = Map::new();
    let mut kinds = Vec::new();
    for (name, kind, allowed) in [
        ("toolsListChanged", ListKind::Tools, true),
        ("promptsListChanged", ListKind::Prompts, may_somewhere(gate, asker, What::Prompt)),
        ("resourcesListChanged", ListKind::Resources, may_somewhere(gate, asker, What::Resource)),
    ] {
        if wants(name) && allowed {
            honoured.insert(name.into(), true.into());
            kinds.push(kind);
        }
    }
    if filter.contains_key("taskIds") && !declares_tasks(&asker.capabilities) {
        return undeclared(&id);
    }
    let (stream, queue) = queue(&asker.rooms.answers);
    let uris: Vec<String> = filter
        .get("resourceSubscriptions")
        .and_then(Value::as_array)
        .map(|uris| uris.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let watched = watch_resources(gate, asker, message, &id, uris, &stream).await;
    if !watched.is_empty() {
        honoured.insert("resourceSubscriptions".into(), watched.into());
    }
    let tasks: Vec<String> = own_tasks(gate, asker, filter.get("taskIds"));
    if !tasks.is_empty() {
        honoured.insert("taskIds".into(), tasks.clone().into());
    }
    let params =
        json!({ "_meta": { meta::SUBSCRIPTION: id_value(&id) }, "notifications": honoured }).to_string();
    let first = notification("notifications/subscriptions/acknowledged", &params);
    let _ = stream.try_send(saying(first).encoded());
    let number = gate.listeners.numbers.fetch_add(1, Ordering::Relaxed);
    let ended = CancellationToken::new();
    let listener = Listener {
        number,
        grant: asker.principal.name().to_owned(),
        route: asker.route.clone(),
        id: id.clone(),
        kinds,
        tasks,
        stream: stream.clone(),
        _ended: ended.clone().drop_guard(),
    };
    gate.listeners.open.lock().push(listener);
    let gate = Arc::downgrade(gate);
    tokio::spawn(async move {
        tokio::select! {
            () = stream.closed() => {}
            () = ended.cancelled() => {}
        }
        if let Some(gate) = gate.upgrade() {
            gate.listeners.open.lock().retain(|listener| listener.number != number);
        }
    });
    events(queue)
}

/// Those of the tasks that a client wants to hear of that are its own.
fn own_tasks(gate: &Gate, asker: &Asker, wanted: Option<&Value>) -> Vec<String> {
    let wanted = wanted.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let own = |id: &&str| {
        let task = gate.tasks.find(asker.principal.name(), id);
        task.is_some_and(|task| match &asker.route {
            Route::All => task.design == Era::New,
            Route::One(name) => task.design == Era::New && *name == task.upstream,
        })
    };
    wanted.filter(own).map(str::to_owned).collect()
}

/// Whether anybody listens for how a task stands.
pub(crate) fn has_listener(gate: &Gate, task: &Task) -> bool {
    let open = gate.listeners.open.lock();
    open.iter().any(|one| *one.grant == *task.owner && one.tasks.iter().any(|id| **id == *task.id))
}

/// Tells those who listen for it how a task stands now. The gate looks after the task anyway, so it tells also where its
/// server would not. `said` is what `tasks/get` would answer, JSON.
pub(crate) fn tell_of_task(gate: &Gate, task: &Task, said: &str, judged: &[String]) {
    let mut open = gate.listeners.open.lock();
    let concerned = |listener: &Listener| {
        *listener.grant == *task.owner && listener.tasks.iter().any(|id| **id == *task.id)
    };
    if !open.iter().any(concerned) {
        return;
    }
    let Some(authority) = task.authority(gate) else { return };
    let Ok(Value::Object(mut params)) = serde_json::from_str(said) else { return };
    params.remove("resultType");
    open.retain(|listener| {
        if !concerned(listener) {
            return !listener.stream.is_closed();
        }
        params.insert("_meta".into(), json!({ meta::SUBSCRIPTION: id_value(&listener.id) }));
        let notice = notification("notifications/tasks", &Value::Object(params.clone()).to_string());
        let Ok(notice) = Envelope::reply(notice) else { return true };
        match authority.release(&notice, Questions::Keys(judged), |notice| Some(notice.bytes().clone())) {
            Ok(Some(release)) => listener.stream.try_send(carrying(release).encoded()).is_ok(),
            Ok(None) | Err(_) => true,
        }
    });
}

/// Ends the listening of some grants: each stream gets its final result first (specification, "Graceful Closure").
pub(crate) fn end_listeners(gate: &Gate, of: &dyn Fn(&str) -> bool) {
    for listener in gate.listeners.open.lock().extract_if(.., |listener| of(&listener.grant)) {
        let result =
            json!({ "resultType": "complete", "_meta": { meta::SUBSCRIPTION: id_value(&listener.id) } });
        let last = result_response(&listener.id, &result.to_string());
        let _ = listener.stream.try_send(saying(last).encoded());
    }
}

fn may_somewhere(gate: &Gate, asker: &Asker, what: What) -> bool {
    match &asker.route {
        Route::One(name) => gate.admit.may(&asker.principal, name, what),
        Route::All => gate.upstreams().keys().any(|name| gate.admit.may(&asker.principal, name, what)),
    }
}

/// Subscribes to resources at the upstreams that have them. Gives those that are watched.
async fn watch_resources(
    gate: &Arc<Gate>,
    asker: &Asker,
    message: &Envelope,
    id: &Id,
    uris: Vec<String>,
    stream: &Sender,
) -> Vec<String> {
    let mut watched = Vec::new();
    for shown in uris {
        let (upstream, own) = match &asker.route {
            Route::One(name) => (gate.upstream(name), shown.clone()),
            Route::All => match split_uri(&shown) {
                Some((name, own)) => (gate.upstream(name), own.into_owned()),
                None => continue,
            },
        };
        let Some(upstream) = upstream else { continue };
        let Ok(chosen) = links::choose(gate, asker, &upstream).await else { continue };
        // An old server tells on a stream that many calls share; only a new one tells this listener alone.
        if chosen.link.era() != Era::New {
            continue;
        }
        let filter = json!({ "resourceSubscriptions": [own] }).to_string();
        let envelope = crate::rewrite::with_params(message, &[("notifications", &filter)]);
        let call = NewRun {
            caller: gate.next_caller(),
            request: id.clone(),
            owner: asker.principal.name().into(),
            upstream: upstream.name().clone(),
            method: "subscriptions/listen".into(),
            name: own.clone().into(),
        };
        let Ok(open) = gate.runs.open(call) else { continue };
        let ask = Ask {
            who: &asker.principal,
            upstream: upstream.name(),
            run: open.run().id.as_str(),
            request: id,
            message: Message { envelope, headers: Vec::new() },
            subject: Subject::Other(&own),
            to: Recipient {
                era: chosen.link.era(),
                forward_meta: &upstream.spec().forward_meta,
                entry: Some(chosen.link.entry()),
            },
        };
        let Ok((permit, ticket)) = gate.admit.judge(ask, now_ms()).await else { continue };
        let mut reply = match chosen.link.send(permit).await {
            Ok(reply) => reply,
            Err(error) => {
                ticket.close(&End::from(&error));
                continue;
            }
        };
        // The server's own acknowledgement says whether it watches the resource.
        let first = reply.next().await;
        let agreed = matches!(&first, Ok(Some(heard)) if acknowledges(heard));
        if !agreed {
            ticket.close(&End::Answered { error: true });
            continue;
        }
        let known = crate::rewrite::Known {
            id: id.clone(),
            progress: None,
            prefix: asker.aggregated().then(|| upstream.name().to_string()),
        };
        let stream = stream.clone();
        watched.push(match &known.prefix {
            Some(prefix) => expose_uri(prefix, &own),
            None => own,
        });
        tokio::spawn(async move {
            let open = open;
            let end = loop {
                let heard = tokio::select! {
                    heard = reply.next() => heard,
                    () = stream.closed() => break End::Cancelled("the client closed the stream".into()),
                    () = open.cancelled().cancelled() => break End::Cancelled(open.reason().to_owned()),
                };
                match heard {
                    Ok(Some(Heard { message: Some(message), .. }))
                        if message.kind() == Kind::Notification =>
                    {
                        // A server of this era asks nothing that it could take back.
                        if with_own_question(None, &chosen.link, &message).is_none() {
                            continue;
                        }
                        let released = ticket
                            .authority()
                            .release(&message, Questions::None, |message| known.notice(message));
                        if let Ok(Some(release)) = released
                            && stream.send(carrying(release).encoded()).await.is_err()
                        {
                            break End::Cancelled("the client closed the stream".into());
                        }
                    }
                    Ok(Some(heard)) if heard.is_final() => break End::Answered { error: false },
                    Ok(Some(_)) => {}
                    Ok(None) => break End::Answered { error: false },
                    Err(broken) => break End::Broken(broken.0),
                }
            };
            if matches!(end, End::Cancelled(_)) {
                chosen.link.cancel(reply.id, "the client closed the stream");
            }
            ticket.close(&end);
        });
    }
    watched
}

fn acknowledges(heard: &Heard) -> bool {
    let Some(message) = &heard.message else { return false };
    let agreed = message.peek().notifications.and_then(|raw| member(raw, "resourceSubscriptions"));
    message.method() == Some("notifications/subscriptions/acknowledged")
        && agreed
            .is_some_and(|raw| serde_json::from_str::<Vec<Value>>(raw).is_ok_and(|uris| !uris.is_empty()))
}
