//! Calls that become tasks, and requests about tasks.

use super::Call;
use crate::outlet::saying;
use crate::rewrite::with_uris;
use crate::tasks::message::{MadeTask, Shown, answer_about, made, shown};
use crate::tasks::target::NOT_FOUND;
use crate::tasks::{NewTask, NotKept, State, Task, look};
use http::StatusCode;
use portcullis_admit::{End, Housekeeping, Ticket};
use portcullis_upstreams::Reply;
use portcullis_wire::{
    Envelope, Era, INTERNAL_ERROR, INVALID_PARAMS, LIMITED, NOT_RECORDED, UPSTREAM_FAILED, error_response,
    result_response, text,
};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a server may take to hear that a task is not wanted.
const HEARS: Duration = Duration::from_secs(10);

impl Call {
    /// A response that may speak of a task, as the client is to see it.
    /// `None` where the client waits for the result of one, which `reply` then brings.
    pub(super) async fn response_on_tasks(
        &mut self,
        message: &Envelope,
        reply: &mut Reply,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Result<Option<Envelope>, End> {
        if let Some(task) = self.task.clone() {
            return Ok(Some(self.answer_on(&task, message).await));
        }
        if let Some(made) = made(message) {
            let task = self.adopt(&made, ticket).await?;
            if !self.waits && self.asker.era == made.design {
                return Ok(Some(answer_about(&task, message)));
            }
            if self.as_task.is_some() {
                task.stays_behind();
            }
            self.waits_for = Some(task.clone());
            return match made.design {
                Era::Old => self.ask_for_result(&task, reply).await.map(|()| None),
                Era::New => self.wait_for_task(&task, message, deadline).await.map(Some),
            };
        }
        let (owner, link) = (self.asker.principal.name(), Some(&self.chosen.link));
        Ok(Some(match shown(&self.gate.tasks, self.upstream.name(), owner, link, message) {
            Shown::Message(message) => message,
            Shown::Nothing => message.clone(),
        }))
    }

    /// Before anything is done to a task: whether its server still means this one by its id. Gives the end where it does
    /// not. `tasks/get` itself tells.
    pub(super) async fn is_another_task(&mut self) -> Option<End> {
        let task = self.task.clone()?;
        let method = self.message.envelope.method().unwrap_or_default().to_owned();
        if method == "tasks/get" {
            return None;
        }
        match look::verify(&self.gate, &task, &self.chosen.link).await {
            // What cannot be asked now may be when the request itself is sent, on another link.
            look::Looked::Heard | look::Looked::Unreached(_) => None,
            look::Looked::Unknown => {
                let answer = about_lost(&task, &method, &self.message.envelope);
                if let Some(outlet) = self.outlet.take() {
                    self.open.over();
                    outlet.finish(StatusCode::OK, saying(self.known.response(&answer)));
                }
                Some(End::Answered { error: true })
            }
        }
    }

    /// A server's answer to a request about a task.
    async fn answer_on(&mut self, task: &Arc<Task>, message: &Envelope) -> Envelope {
        let method = self.message.envelope.method().unwrap_or_default().to_owned();
        match &*method {
            "tasks/get" => {
                if look::note(&self.gate, task, message).await == look::Looked::Unknown {
                    return about_lost(task, &method, message);
                }
            }
            "tasks/cancel" if message.error().is_none() => {
                task.want_stopped("client", portcullis_ledger::now_ms());
                look::asked_to_stop(&self.gate, task, message).await;
            }
            _ => task.nudged.notify_one(),
        }
        let message = answer_about(task, message);
        match &self.known.prefix {
            Some(prefix) => with_uris(&message, prefix),
            None => message,
        }
    }

    /// A task that a server has just made: it is kept, and looked after, before its client hears of it.
    async fn adopt(&mut self, made: &MadeTask<'_>, ticket: &Ticket) -> Result<Arc<Task>, End> {
        let theirs = text(made.id).filter(|id| !id.is_empty());
        let Some(theirs) = theirs.filter(|_| made.design == self.chosen.link.era()) else {
            return Err(self
                .broken("it answered with a task that is none in its version of the protocol")
                .await);
        };
        let arguments = self.message.envelope.peek().arguments.unwrap_or("{}");
        let new = NewTask {
            owner: self.asker.principal.name().into(),
            upstream: self.upstream.name().clone(),
            tool: self.about.name().into(),
            theirs: theirs.as_ref().into(),
            design: made.design,
            digest: self.gate.ledger().arguments_digest(arguments).into(),
            said: made.object.to_owned(),
            link: (made.design == Era::Old).then(|| self.chosen.link.clone()),
            places: ticket.places(),
            ours: None,
        };
        let cap = self.gate.options().tasks;
        match self.gate.tasks.adopt(self.gate.ledger(), cap, new).await {
            Ok(task) => {
                look::follow(&self.gate, &task);
                Ok(task)
            }
            Err(why) => {
                let (link, theirs) = (self.chosen.link.clone(), theirs.into_owned());
                tokio::spawn(async move {
                    let told = link.ask_about_task(Housekeeping::TaskCancel, &theirs, None);
                    let _ = tokio::time::timeout(HEARS, told).await;
                });
                let (code, said) = (code_of(&why), format!("{why}; the server was asked to cancel the task"));
                self.fail(StatusCode::OK, code, &said).await;
                Err(End::Broken(said))
            }
        }
    }
}

fn code_of(why: &NotKept) -> i32 {
    match why {
        NotKept::Full(_) => LIMITED,
        NotKept::NoRandom => INTERNAL_ERROR,
        NotKept::Failed(_) => NOT_RECORDED,
    }
}

/// What is answered, in place of a server that knows it no more, about a task that is lost or over.
pub(crate) fn about_lost(task: &Task, method: &str, message: &Envelope) -> Envelope {
    let id = message.id();
    let why = task.why().unwrap_or_default();
    let answer = match (task.state(), method, id) {
        (State::Lost, "tasks/get", Some(id)) => result_response(id, &task.lost()),
        (State::Lost, "tasks/cancel", _) => {
            let said = format!("Cannot cancel the task: it is lost ({why})");
            error_response(id, INVALID_PARAMS, &said, &Value::Null)
        }
        (State::Lost, _, _) => {
            error_response(id, UPSTREAM_FAILED, &format!("the task is lost: {why}"), &Value::Null)
        }
        _ => error_response(id, INVALID_PARAMS, NOT_FOUND, &Value::Null),
    };
    Envelope::reply(answer).unwrap_or_else(|_| message.clone())
}
