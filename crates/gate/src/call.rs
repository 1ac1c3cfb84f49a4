//! One request on its way through: judged, sent, its answer passed on, its end recorded.

use crate::asker::Asker;
use crate::gate::Gate;
use crate::links::{self, Chosen};
use crate::mrtr;
use crate::outlet::{Outlet, carrying};
use crate::rewrite::{Known, is_error, with_result_type};
use crate::session::Asked;
use http::StatusCode;
use portcullis_admit::{Answer as Answered, Ask, Denied, End, Message, Permit, Subject, Ticket};
use portcullis_catalogue::List;
use portcullis_runs::OpenRun;
use portcullis_upstreams::{Broken, Heard, Reply, SendFailed, Upstream};
use portcullis_wire::{
    DENIED, Envelope, Era, Event, INTERNAL_ERROR, INVALID_PARAMS, Id, Kind, METHOD_NOT_FOUND, NOT_RECORDED,
    TIMED_OUT, UPSTREAM_FAILED, error_response, result_response,
};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// After this long without a word a stream is begun, so that it can be kept alive.
const QUIET: Duration = Duration::from_secs(15);

/// What a request is about, as far as the lists know.
#[derive(Debug)]
pub(crate) enum About {
    /// A tool in a list.
    Tool(Arc<List>, String),
    /// A tool in no list.
    UnknownTool(String),
    /// Anything else.
    Other(String),
}

/// One request of a client that goes to an upstream.
pub(crate) struct Call {
    pub gate: Arc<Gate>,
    pub asker: Arc<Asker>,
    pub upstream: Arc<Upstream>,
    pub chosen: Chosen,
    pub message: Message,
    pub about: About,
    pub open: OpenRun,
    pub known: Known,
    pub outlet: Option<Outlet>,
    /// Told when the answer went out on another stream, where the client can come back to this one.
    pub elsewhere: Option<oneshot::Receiver<End>>,
}

/// Why the wait for the next word ended.
enum Woke {
    Heard(Result<Option<Heard>, Broken>),
    /// The answer went out on a stream that the client came back on.
    Elsewhere(End),
    Cancelled,
    Gone,
    Deadline,
    Quiet,
}

impl Call {
    /// Takes the request all the way.
    pub(crate) async fn run(mut self) {
        let now = now_ms();
        let subject = match &self.about {
            About::Tool(list, name) => {
                let properties = list.get(name).and_then(|item| item.tool()).map(|tool| &tool.properties[..]);
                Subject::Tool(name, properties.unwrap_or_default())
            }
            About::UnknownTool(name) => Subject::UnknownTool(name),
            About::Other(name) => Subject::Other(name),
        };
        let ask = Ask {
            who: &self.asker.principal,
            upstream: self.upstream.name(),
            run: self.open.run().id.as_str(),
            request: &self.known.id,
            message: self.message.clone(),
            subject,
        };
        match self.gate.admit.judge(ask, now).await {
            Err(denied) => self.deny(&denied).await,
            Ok((permit, ticket)) => {
                let end = self.carry(permit, &ticket).await;
                ticket.close(&end);
            }
        }
    }

    /// Sends the request and passes on what comes back, to the end.
    async fn carry(&mut self, permit: Permit, ticket: &Ticket) -> End {
        let deadline = Instant::now() + self.upstream.spec().limits.call;
        let mut reply = match self.send(permit, ticket, deadline).await {
            Ok(reply) => reply,
            Err(end) => return end,
        };
        // On the transparent route a client gets a stream where the server chose one.
        if reply.is_events()
            && !self.asker.aggregated()
            && let Some(outlet) = &mut self.outlet
        {
            outlet.begin();
        }
        let mut last_event: Option<String> = None;
        let mut pause: Option<u64> = None;
        loop {
            match self.next(&mut reply, deadline).await {
                Woke::Heard(Ok(Some(heard))) => {
                    if heard.event_id.is_some() && last_event.is_none() {
                        self.let_resume(reply.id);
                    }
                    last_event = heard.event_id.clone().or(last_event);
                    pause = heard.retry.or(pause);
                    match self.pass(heard, &mut reply, ticket, deadline).await {
                        Some(end) => return end,
                        None => continue,
                    }
                }
                Woke::Heard(Ok(None)) => {
                    let Some(event) = last_event.take() else {
                        return self.broken("the upstream ended its stream without an answer").await;
                    };
                    // The server will go on when it is asked again (specification, "Resumability").
                    if let Some(elsewhere) = self.elsewhere.take() {
                        return self.wait_for_resumption(&reply, elsewhere, deadline).await;
                    }
                    let pause = Duration::from_millis(pause.unwrap_or(0).min(10_000));
                    if let Some(end) = Box::pin(self.resume(&mut reply, &event, pause, deadline)).await {
                        return end;
                    }
                }
                Woke::Heard(Err(Broken(why))) => {
                    self.upstream.suspect();
                    return self.broken(&why).await;
                }
                Woke::Elsewhere(end) => return end,
                Woke::Cancelled => {
                    let why = self.open.reason().to_owned();
                    self.chosen.link.cancel(reply.id, &why);
                    self.outlet = None;
                    return End::Cancelled(why);
                }
                Woke::Gone => {
                    let why = "the client closed the stream";
                    self.chosen.link.cancel(reply.id, why);
                    return End::Cancelled(why.into());
                }
                Woke::Deadline => {
                    self.chosen.link.cancel(reply.id, "the call took too long");
                    return self.timed_out().await;
                }
                Woke::Quiet => {
                    if let Some(outlet) = &mut self.outlet {
                        outlet.begin();
                    }
                }
            }
        }
    }

    /// Sends the request; once more on a new link where the upstream had ended the session, because then it
    /// did not act on it.
    async fn send(&mut self, permit: Permit, ticket: &Ticket, deadline: Instant) -> Result<Reply, End> {
        let mut permit = permit;
        let mut again = true;
        loop {
            if self.open.cancelled().is_cancelled() {
                self.outlet = None;
                return Err(End::Cancelled(self.open.reason().to_owned()));
            }
            let link = self.chosen.link.clone();
            let id = link.next_id();
            let cancelled = self.open.cancelled().clone();
            let new_era = self.asker.era == Era::New;
            let gone = async {
                match (&mut self.outlet, new_era) {
                    (Some(outlet), true) => outlet.gone().await,
                    _ => std::future::pending().await,
                }
            };
            let sent = tokio::select! {
                biased;
                sent = link.send_as(id, permit) => sent,
                () = cancelled.cancelled() => {
                    let why = self.open.reason().to_owned();
                    link.cancel(id, &why);
                    self.outlet = None;
                    return Err(End::Cancelled(why));
                }
                () = gone => {
                    let why = "the client closed the stream";
                    link.cancel(id, why);
                    return Err(End::Cancelled(why.into()));
                }
                () = tokio::time::sleep_until(deadline) => {
                    link.cancel(id, "the call took too long");
                    return Err(self.timed_out().await);
                }
            };
            match sent {
                Ok(reply) => return Ok(reply),
                Err(SendFailed::SessionLost) if std::mem::take(&mut again) => {
                    links::forget(&self.gate, &self.asker, &self.upstream, &self.chosen).await;
                    match links::choose(&self.gate, &self.asker, &self.upstream).await {
                        Ok(chosen) => self.chosen = chosen,
                        Err(why) => return Err(self.not_reached(&why.to_string()).await),
                    }
                    match ticket.again(self.message.clone()) {
                        Some(next) => permit = next,
                        None => return Err(self.broken("the call changed while it was judged").await),
                    }
                }
                Err(error) => {
                    self.upstream.suspect();
                    let why = error.to_string();
                    let acted = !error.not_acted_on();
                    return Err(if acted { self.broken(&why).await } else { self.not_reached(&why).await });
                }
            }
        }
    }

    /// Waits for the next word, or for a reason to stop waiting.
    async fn next(&mut self, reply: &mut Reply, deadline: Instant) -> Woke {
        let new_era = self.asker.era == Era::New;
        let (waits_quietly, gone) = match &mut self.outlet {
            Some(outlet) => (outlet.takes_events() && !outlet.is_stream(), Some(outlet)),
            None => (false, None),
        };
        let elsewhere = async {
            if let Some(elsewhere) = &mut self.elsewhere {
                match elsewhere.await {
                    Ok(end) => return end,
                    Err(_) => self.elsewhere = None,
                }
            }
            std::future::pending().await
        };
        let gone = async {
            match gone {
                // In the old era a closed connection is not a cancellation (specification, "Transports").
                Some(outlet) if new_era => outlet.gone().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            heard = reply.next() => Woke::Heard(heard),
            end = elsewhere => Woke::Elsewhere(end),
            () = self.open.cancelled().cancelled() => Woke::Cancelled,
            () = gone => Woke::Gone,
            () = tokio::time::sleep_until(deadline) => Woke::Deadline,
            () = tokio::time::sleep(QUIET), if waits_quietly => Woke::Quiet,
        }
    }

    /// Passes one thing on. Gives the end where it was the answer.
    async fn pass(
        &mut self,
        heard: Heard,
        reply: &mut Reply,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Option<End> {
        let resumable = self.resumes_itself();
        let event = |data| Event {
            name: String::new(),
            id: heard.event_id.clone().filter(|_| resumable),
            retry: heard.retry.filter(|_| resumable),
            data,
        };
        let Some(message) = &heard.message else {
            if resumable && let Some(outlet) = &mut self.outlet {
                outlet.event(&event(bytes::Bytes::new())).await;
            }
            return None;
        };
        match message.kind() {
            Kind::Response => {
                if mrtr::asks_for_input(message) && self.asker.era == Era::Old {
                    // Rare and large: it must not make every call's state larger.
                    return Box::pin(self.answer_inputs(message, reply, ticket, deadline)).await;
                }
                let end = End::Answered { error: is_error(message) };
                let bridged = self.asker.era == Era::New && self.chosen.link.era() == Era::Old;
                let message = if bridged { &with_result_type(message) } else { message };
                let status = match self.asker.era {
                    Era::New => StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK),
                    Era::Old => StatusCode::OK,
                };
                if let Some(outlet) = self.outlet.take() {
                    self.open.over();
                    outlet.finish(status, event(self.known.response(message))).await;
                }
                Some(end)
            }
            Kind::Notification => {
                if let Some(kind) = crate::changes::kind_of(message) {
                    // Each client hears of what changed in its own view of the list, from one place.
                    self.upstream.list_changed(kind);
                } else if let (Some(outlet), Some(text)) = (&mut self.outlet, self.known.notice(message)) {
                    outlet.event(&event(text)).await;
                }
                None
            }
            Kind::Request => {
                let end = Box::pin(self.question(message, deadline)).await;
                // Nobody waits any more for what the server does with the refusal of its question.
                if let Some(End::Cancelled(why)) = &end {
                    self.chosen.link.cancel(reply.id, why);
                }
                end
            }
        }
    }

    /// A question of an old server on the call's own stream.
    async fn question(&mut self, message: &Envelope, deadline: Instant) -> Option<End> {
        let link = self.chosen.link.clone();
        let allowed = self.gate.admit.passes_other(&self.asker.principal, self.upstream.name());
        let method = message.method().unwrap_or_default();
        let id = message.id().cloned()?;
        if method == "ping" {
            let _ = link.answer(result_response(&id, "{}")).await;
            return None;
        }
        if let Some(roots) = crate::inbox::fixed_roots(&self.upstream, method) {
            let _ = link.answer(result_response(&id, &roots)).await;
            return None;
        }
        let refuse = |why: &str| error_response(Some(&id), METHOD_NOT_FOUND, why, &Value::Null);
        if !allowed {
            let _ = link.answer(refuse(&format!("{method} is not permitted by policy"))).await;
            return None;
        }
        match &self.asker.session {
            Some(session) => {
                let asked = session.ask(Asked::Server(link.clone(), id.clone()));
                match (asked, &mut self.outlet) {
                    (Some(ours), Some(outlet)) if outlet.takes_events() => {
                        let text = message.with_id(&ours.to_string());
                        outlet.event(&carrying(text)).await;
                    }
                    _ => drop(link.answer(refuse("the client cannot be asked now")).await),
                }
                None
            }
            None => self.park(message, deadline).await,
        }
    }

    /// Asks a client of the old era what a server of the new era wants to know, then goes on with the call.
    async fn answer_inputs(
        &mut self,
        message: &Envelope,
        reply: &mut Reply,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Option<End> {
        let inputs = mrtr::Inputs::of(message);
        let answers = match self.ask_client(&inputs, deadline).await {
            Ok(answers) => answers,
            Err(_) if self.open.cancelled().is_cancelled() => {
                self.outlet = None;
                return Some(End::Cancelled(self.open.reason().to_owned()));
            }
            Err(why) => {
                self.fail(StatusCode::OK, INTERNAL_ERROR, &why).await;
                return Some(End::Broken(why));
            }
        };
        let next =
            Message { envelope: inputs.retry(&self.message.envelope, &answers), ..self.message.clone() };
        let Some(permit) = ticket.again(next) else {
            return Some(self.broken("the call changed while it was judged").await);
        };
        match self.send(permit, ticket, deadline).await {
            Ok(next) => {
                *reply = next;
                None
            }
            Err(end) => Some(end),
        }
    }

    async fn ask_client(&mut self, inputs: &mrtr::Inputs, deadline: Instant) -> Result<String, String> {
        let Some(session) = self.asker.session.clone() else { return Err("no session to ask in".into()) };
        let mut answers = Vec::new();
        for (key, method, params) in &inputs.requests {
            let (tell, answer) = tokio::sync::oneshot::channel();
            let id = session.ask(Asked::Call(tell)).ok_or("too many questions are open in this session")?;
            let text = portcullis_wire::request(&Id::from(id), method, params);
            match &mut self.outlet {
                Some(outlet) if outlet.takes_events() => outlet.event(&carrying(text)).await,
                _ => return Err(format!("the upstream asks for {method} and the client takes no stream")),
            }
            let answer = tokio::select! {
                answer = answer => answer.map_err(|_| "the client did not answer")?,
                () = self.open.cancelled().cancelled() => return Err("cancelled".into()),
                () = tokio::time::sleep_until(deadline) => return Err("the client did not answer in time".into()),
            };
            let answer = Envelope::reply(answer).map_err(|refused| refused.message)?;
            match answer.result() {
                Some(result) => answers.push((key.clone(), result.to_owned())),
                None => {
                    return Err(format!(
                        "the client refused {method}: {}",
                        answer.error().unwrap_or_default()
                    ));
                }
            }
        }
        Ok(mrtr::answers_json(&answers))
    }

    /// Whether the client itself comes back for the rest of a stream: same era, same names, event ids as they
    /// are.
    fn resumes_itself(&self) -> bool {
        self.asker.era == Era::Old
            && !self.asker.aggregated()
            && self.chosen.link.era() == Era::Old
            && !self.chosen.link.is_shared()
    }

    /// Goes back to a stream that the server closed to go on later, for a client that cannot do so itself.
    async fn resume(
        &mut self,
        reply: &mut Reply,
        event: &str,
        pause: Duration,
        deadline: Instant,
    ) -> Option<End> {
        let link = self.chosen.link.clone();
        let resumed = async {
            tokio::time::sleep(pause).await;
            link.listen(Some(event)).await
        };
        let new_era = self.asker.era == Era::New;
        let gone = async {
            match &mut self.outlet {
                Some(outlet) if new_era => outlet.gone().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            resumed = resumed => match resumed {
                Ok(mut stream) => {
                    stream.id = reply.id;
                    *reply = stream;
                    None
                }
                Err(error) => Some(self.broken(&error.to_string()).await),
            },
            () = self.open.cancelled().cancelled() => {
                let why = self.open.reason().to_owned();
                link.cancel(reply.id, &why);
                self.outlet = None;
                Some(End::Cancelled(why))
            }
            () = gone => {
                let why = "the client closed the stream";
                link.cancel(reply.id, why);
                Some(End::Cancelled(why.into()))
            }
            () = tokio::time::sleep_until(deadline) => {
                link.cancel(reply.id, "the call took too long");
                Some(self.timed_out().await)
            }
        }
    }

    /// Enters the call among those that the client can come back to, where it can.
    fn let_resume(&mut self, id: u64) {
        if self.resumes_itself()
            && self.elsewhere.is_none()
            && let Some(session) = &self.asker.session
        {
            self.elsewhere = session.resumable.enter(self.upstream.name(), id, &self.known);
        }
    }

    /// Ends the client's stream as the upstream did and waits until the answer has gone out on the stream that
    /// the client opens next.
    async fn wait_for_resumption(
        &mut self,
        reply: &Reply,
        elsewhere: oneshot::Receiver<End>,
        deadline: Instant,
    ) -> End {
        self.outlet = None;
        tokio::select! {
            end = elsewhere => end.unwrap_or_else(|_| End::Broken("the session ended".into())),
            () = self.open.cancelled().cancelled() => {
                let why = self.open.reason().to_owned();
                self.chosen.link.cancel(reply.id, &why);
                End::Cancelled(why)
            }
            () = tokio::time::sleep_until(deadline) => {
                self.chosen.link.cancel(reply.id, "the call took too long");
                End::Broken("the client did not come back for the answer in time".into())
            }
        }
    }

    async fn deny(&mut self, denied: &Denied) {
        let is_tool = !matches!(self.about, About::Other(_));
        let id = self.known.id.clone();
        let text = match denied.answer {
            Answered::UnknownTool => {
                let shown = self.gate.shown_name(&self.asker, &self.upstream, &self.about);
                error_response(Some(&id), INVALID_PARAMS, &format!("Unknown tool: {shown}"), &Value::Null)
            }
            Answered::NotRecorded => {
                error_response(Some(&id), NOT_RECORDED, &denied.message, &json!({ "rule": denied.rule }))
            }
            Answered::Denied => {
                let mut decision = json!({ "outcome": "denied", "rule": denied.rule, "ledger": denied.row });
                if let (Some(retry), Some(members)) = (denied.retry_after_ms, decision.as_object_mut()) {
                    members.insert("retryAfterMs".into(), retry.into());
                }
                if is_tool {
                    let mut result = json!({
                        "content": [{ "type": "text", "text": format!("[POLICY DENIED] {}", denied.message) }],
                        "isError": true,
                        "_meta": { "portcullis/decision": decision },
                    });
                    if let (Era::New, Some(members)) = (self.asker.era, result.as_object_mut()) {
                        members.insert("resultType".into(), "complete".into());
                    }
                    result_response(&id, &result.to_string())
                } else {
                    let message = format!("[POLICY DENIED] {}", denied.message);
                    error_response(Some(&id), DENIED, &message, &json!({ "portcullis/decision": decision }))
                }
            }
        };
        if let Some(outlet) = self.outlet.take() {
            self.open.over();
            outlet.finish(StatusCode::OK, carrying(text)).await;
        }
    }

    async fn fail(&mut self, status: StatusCode, code: i32, why: &str) {
        if let Some(outlet) = self.outlet.take() {
            let text = error_response(Some(&self.known.id), code, why, &Value::Null);
            self.open.over();
            outlet.finish(status, carrying(text)).await;
        }
    }

    async fn broken(&mut self, why: &str) -> End {
        self.fail(StatusCode::OK, UPSTREAM_FAILED, &format!("upstream `{}`: {why}", self.upstream.name()))
            .await;
        End::Broken(why.to_owned())
    }

    async fn not_reached(&mut self, why: &str) -> End {
        self.fail(StatusCode::OK, UPSTREAM_FAILED, &format!("upstream `{}`: {why}", self.upstream.name()))
            .await;
        End::NotReached(why.to_owned())
    }

    async fn timed_out(&mut self) -> End {
        let limits = &self.upstream.spec().limits;
        let why = format!("no answer within {} s ({})", limits.call.as_secs_f64(), limits.call_key);
        self.fail(StatusCode::OK, TIMED_OUT, &why).await;
        End::Broken(why)
    }
}

/// Now, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
