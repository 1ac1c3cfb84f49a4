//! One request on its way through: judged, sent, its answer passed on, its end recorded.

mod approver;
mod held;
mod questions;
mod refusals;
mod resumption;
mod tasks;
mod waiting;

pub(crate) use held::AsTask;
pub(crate) use refusals::{denial, withheld_answer};
pub(crate) use tasks::about_lost;
pub(crate) use waiting::{as_task, with_tasks};

use crate::asked::with_own_question;
use crate::asker::Asker;
use crate::gate::Gate;
use crate::links::{self, Chosen};
use crate::mrtr;
use crate::outlet::{Outgoing, Outlet, Place, carrying, left, saying};
use crate::rewrite::{Known, is_error, with_result_type};
use crate::tasks::message::{Shown, mentions, shown};
use crate::tasks::{Task, look};
use http::StatusCode;
use portcullis_admit::{Ask, Denied, End, Message, Permit, Questions, Recipient, Stopping, Subject, Ticket};
use portcullis_catalogue::{List, ListKind};
use portcullis_runs::OpenRun;
use portcullis_upstreams::{Broken, Heard, Reply, SendFailed, Unavailable, Upstream};
use portcullis_wire::{Envelope, Era, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// After this long without a word a stream is begun, so that it can be kept alive.
pub(crate) const QUIET: Duration = Duration::from_secs(15);

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

impl About {
    /// The tool, prompt or resource in the upstream's own name.
    pub(crate) fn name(&self) -> &str {
        let (Self::Tool(_, name) | Self::UnknownTool(name) | Self::Other(name)) = self;
        name
    }
}

/// One request of a client that goes to an upstream.
pub(crate) struct Call {
    pub gate: Arc<Gate>,
    pub asker: Arc<Asker>,
    pub upstream: Arc<Upstream>,
    pub chosen: Chosen,
    pub message: Message,
    pub about: About,
    /// The task that it is about.
    pub task: Option<Arc<Task>>,
    /// The result of a task is waited for here: the client knows no tasks, or was answered with one of the gate's own.
    pub waits: bool,
    /// The task whose result it waits for.
    pub waits_for: Option<Arc<Task>>,
    pub open: OpenRun,
    pub known: Known,
    pub outlet: Option<Outlet>,
    /// When and how the policy ends it.
    pub stopping: Stopping,
    /// Whether the client's user was asked to approve it.
    pub asked_user: bool,
    /// The task that it goes on as, where its client was answered with one.
    pub as_task: Option<AsTask>,
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
    pub(crate) async fn run(&mut self) {
        self.go().await;
        if self.as_task.is_some() {
            Box::pin(self.end_task()).await;
        }
    }

    async fn go(&mut self) {
        let mut until = None;
        loop {
            let denied = match self.judge().await {
                Ok((permit, ticket)) => {
                    let end = self.carry(permit, &ticket).await;
                    self.waited(&end);
                    return ticket.close(&end);
                }
                Err(denied) => denied,
            };
            let Some(denied) = Box::pin(self.is_left_to_a_person(denied, &mut until)).await else {
                // A person decided. Everything is judged again: the policy may be another by then.
                continue;
            };
            if self.open.cancelled().is_cancelled() {
                self.cancelled_before().await;
                return;
            }
            return self.deny(&denied).await;
        }
    }

    async fn judge(&self) -> Result<(Permit, Ticket), Denied> {
        let made_by: Option<Arc<List>>;
        let subject = match &self.about {
            About::Tool(list, name) => {
                let tool = list.get(name).and_then(|item| item.tool());
                tool.map_or(Subject::UnknownTool(name), |tool| Subject::Tool(name, tool))
            }
            About::UnknownTool(name) => Subject::UnknownTool(name),
            About::Other(name) if self.task.is_some() => {
                made_by = self
                    .upstream
                    .known_lists(ListKind::Tools)
                    .into_iter()
                    .find(|list| list.get(name).is_some());
                Subject::Task(name, made_by.as_ref().and_then(|list| list.get(name)?.tool()))
            }
            About::Other(name) => Subject::Other(name),
        };
        let ask = Ask {
            who: &self.asker.principal,
            upstream: self.upstream.name(),
            run: self.open.run().id.as_str(),
            request: &self.known.id,
            message: self.message.clone(),
            subject,
            to: Recipient {
                era: self.chosen.link.era(),
                forward_meta: &self.upstream.spec().forward_meta,
                entry: Some(self.chosen.link.entry()),
            },
        };
        self.gate.admit.judge(ask, portcullis_ledger::now_ms()).await
    }

    /// Sends the request and passes on what comes back, to the end.
    async fn carry(&mut self, permit: Permit, ticket: &Ticket) -> End {
        self.stopping = ticket.stopping().clone();
        let latest = Instant::now() + self.upstream.spec().limits.call;
        let mut deadline = self.stops_at(latest);
        if self.task.is_some()
            && let Some(end) = Box::pin(self.is_another_task()).await
        {
            return end;
        }
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
                        self.let_resume(reply.id, ticket);
                    }
                    last_event = heard.event_id.clone().or(last_event);
                    pause = heard.retry.or(pause);
                    if self.stopping.extend_on_progress && is_progress(&heard) {
                        deadline = self.stops_at(latest);
                    }
                    match self.pass(heard, &mut reply, ticket, deadline).await {
                        Some(end) => return end,
                        // What a server says without end must not hold off what ends the call.
                        None if self.open.cancelled().is_cancelled() => {
                            return self.cancelled(reply.id).await;
                        }
                        None if Instant::now() >= deadline => return self.timed_out(reply.id).await,
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
                    self.upstream.suspect(&self.chosen.link);
                    return self.broken(&why).await;
                }
                Woke::Elsewhere(end) => return end,
                Woke::Cancelled => return self.cancelled(reply.id).await,
                Woke::Gone => return self.left(reply.id),
                Woke::Deadline => return self.timed_out(reply.id).await,
                Woke::Quiet => {
                    if let Some(outlet) = &mut self.outlet {
                        outlet.begin();
                    }
                }
            }
        }
    }

    /// When the policy ends the call, where it goes on as it does now; at the latest when the upstream's own time is up.
    fn stops_at(&self, latest: Instant) -> Instant {
        let after = self.stopping.after_ms.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
        after.map_or(latest, |after| latest.min(Instant::now() + after))
    }

    /// Sends the request; once more on a new link where the upstream had ended the session, because then it
    /// did not act on it.
    async fn send(&mut self, permit: Permit, ticket: &Ticket, deadline: Instant) -> Result<Reply, End> {
        let mut permit = permit;
        let mut again = true;
        loop {
            if self.open.cancelled().is_cancelled() {
                return Err(self.cancelled_before().await);
            }
            let link = self.chosen.link.clone();
            let id = link.next_id();
            let cancelled = self.open.cancelled().clone();
            let gone = left(self.outlet.as_mut(), self.asker.era);
            let sent = tokio::select! {
                biased;
                sent = link.send_as(id, permit) => sent,
                () = cancelled.cancelled() => return Err(self.cancelled(id).await),
                () = gone => return Err(self.left(id)),
                () = tokio::time::sleep_until(deadline) => return Err(self.timed_out(id).await),
            };
            match sent {
                Ok(reply) => return Ok(reply),
                Err(SendFailed::SessionLost) if std::mem::take(&mut again) => {
                    match Box::pin(self.choose_again()).await {
                        Ok(chosen) => self.chosen = chosen,
                        Err(why) => return Err(self.not_reached(&why.to_string()).await),
                    }
                    match ticket.again(self.message.clone(), self.chosen.link.era()) {
                        Some(next) => permit = next,
                        None => {
                            let why = "what was judged may not be used any more: its server or its definition became another";
                            return Err(self.not_reached(why).await);
                        }
                    }
                }
                Err(error) => {
                    self.upstream.suspect(&self.chosen.link);
                    // A session that is lost twice running says nothing of what became of the call.
                    let is_known = again || error != SendFailed::SessionLost;
                    // Words in place of a result are not recorded, as results are not.
                    let shown = match ticket.authority().covers_results() {
                        true => error.without_words(),
                        false => error.to_string(),
                    };
                    let (told, end) = match End::from(&error) {
                        end @ End::NotReached(_) if is_known => (self.not_reached(&shown).await, end),
                        _ => (self.broken(&shown).await, End::Broken(error.without_words())),
                    };
                    return Err(if matches!(told, End::Cancelled(_)) { told } else { end });
                }
            }
        }
    }

    /// Another link in place of one whose session the upstream has ended.
    async fn choose_again(&mut self) -> Result<Chosen, Unavailable> {
        links::forget(&self.gate, &self.asker, &self.upstream, &self.chosen);
        match &self.task {
            Some(task) => {
                links::forget_of_task(&self.gate, task, &self.chosen);
                links::of_task_for(&self.gate, &self.asker, &self.upstream, task).await
            }
            None => links::choose(&self.gate, &self.asker, &self.upstream).await,
        }
    }

    /// Waits for the next word, or for a reason to stop waiting.
    async fn next(&mut self, reply: &mut Reply, deadline: Instant) -> Woke {
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
        let gone = left(gone, self.asker.era);
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

    /// Says something to the client before the answer. Waits for one that does not read until something ends the call.
    async fn say(&mut self, event: Outgoing, deadline: Instant) {
        let Some(outlet) = &mut self.outlet else { return };
        tokio::select! {
            biased;
            () = outlet.event(event) => {}
            () = self.open.cancelled().cancelled() => {}
            () = tokio::time::sleep_until(deadline) => {}
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
        let place = || Place {
            id: heard.event_id.clone().filter(|_| resumable),
            retry: heard.retry.filter(|_| resumable),
        };
        let mut judged: Vec<String> = Vec::new();
        let Some(message) = &heard.message else {
            if resumable {
                self.say(Outgoing::primer(place()), deadline).await;
            }
            return None;
        };
        match message.kind() {
            Kind::Response => {
                if mrtr::asks_for_input(message) {
                    // Rare and large: it must not make every call's state larger.
                    let inputs = Box::new(mrtr::Inputs::of(message));
                    let asked = match Box::pin(self.judge_inputs(&inputs)).await {
                        Ok(asked) => asked,
                        Err(end) => return Some(end),
                    };
                    if self.asker.era == Era::Old || self.as_task.is_some() {
                        return Box::pin(self.answer_inputs(&inputs, asked, reply, ticket, deadline)).await;
                    }
                    // The client's retry brings the answers, and is judged with them.
                    for (key, asked) in asked {
                        asked.close(&End::Answered { error: false });
                        judged.push(key);
                    }
                }
                if let Some(task) = &self.task {
                    judged = Box::pin(look::judge_inputs(&self.gate, task, message)).await;
                }
                let on_tasks;
                let message = if self.task.is_some() || mentions(message) {
                    // Rare, and it waits for the disk.
                    match Box::pin(self.response_on_tasks(message, reply, ticket, deadline)).await {
                        Ok(Some(message)) => on_tasks = message,
                        Ok(None) => return None,
                        Err(end) => return Some(end),
                    }
                    &on_tasks
                } else {
                    message
                };
                let end = End::Answered { error: is_error(message) };
                let bridged = self.asker.era == Era::New && self.chosen.link.era() == Era::Old;
                let message = if bridged || (self.waits && self.asker.era == Era::New) {
                    &with_result_type(message)
                } else {
                    message
                };
                let seen_as = |message: &Envelope| Some(self.known.response(message));
                let released = ticket.authority().release(message, Questions::Keys(&judged), seen_as);
                let (event, end) = match released {
                    Ok(release) => (release.map(|release| carrying(release).at(place())), end),
                    Err(why) => (Some(saying(self.withheld(&why)).at(place())), End::Broken(why.recorded())),
                };
                let status = match self.asker.era {
                    Era::New => StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK),
                    Era::Old => StatusCode::OK,
                };
                if let (Some(outlet), Some(event)) = (self.outlet.take(), event) {
                    self.open.over();
                    outlet.finish(status, event);
                }
                Some(end)
            }
            Kind::Notification => {
                let session = self.asker.session.as_deref();
                let message = with_own_question(session, &self.chosen.link, message)?;
                let message = &*message;
                if let Some(kind) = crate::changes::kind_of(message) {
                    // Each client hears of what changed in its own view of the list, from one place.
                    self.upstream.list_changed(kind);
                } else if let Shown::Message(message) = shown(
                    &self.gate.tasks,
                    self.upstream.name(),
                    self.asker.principal.name(),
                    Some(&self.chosen.link),
                    message,
                ) {
                    let released = ticket
                        .authority()
                        .release(&message, Questions::None, |message| self.known.notice(message));
                    if let Ok(Some(release)) = released {
                        self.say(carrying(release).at(place()), deadline).await;
                    }
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
}

fn is_progress(heard: &Heard) -> bool {
    heard.message.as_ref().and_then(|message| message.method()) == Some("notifications/progress")
}
