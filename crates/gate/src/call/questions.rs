//! What a server asks in the middle of a call, and what a client of the other era is asked in its place.

use super::Call;
use crate::outlet::carrying;
use crate::session::Asked;
use crate::tasks::message::{Shown, shown};
use crate::{asked, mrtr};
use futures_util::future::join_all;
use http::StatusCode;
use portcullis_admit::{End, Message, Ticket};
use portcullis_upstreams::Reply;
use portcullis_wire::{Envelope, INTERNAL_ERROR, Id, METHOD_NOT_FOUND, error_response, result_response};
use serde_json::Value;
use tokio::time::Instant;

impl Call {
    /// A question of an old server on the call's own stream.
    pub(super) async fn question(&mut self, message: &Envelope, deadline: Instant) -> Option<End> {
        let link = self.chosen.link.clone();
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
        let run = self.open.run().id.as_str();
        let (who, upstream) = (&self.asker.principal, self.upstream.name());
        if let Err(denied) = asked::judge(&self.gate, who, upstream, run, message).await {
            let _ = link.answer(refuse(&format!("{method} is not permitted: {}", denied.message))).await;
            return None;
        }
        let (owner, known) = (self.asker.principal.name(), Some(&link));
        let Shown::Message(message) = shown(&self.gate.tasks, self.upstream.name(), owner, known, message)
        else {
            let _ = link.answer(refuse("it belongs to a task that is not known here")).await;
            return None;
        };
        let message = &message;
        if let Some(as_task) = &self.as_task {
            let question = (method, message.params().unwrap_or("{}"));
            let until = tokio::time::sleep_until(deadline);
            let answer = self.ask_through_the_task(&as_task.task, question, until).await;
            let answer = answer.map(|answer| result_response(&id, &answer));
            let _ = link.answer(answer.unwrap_or_else(|| refuse("the client brought no answer"))).await;
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

    /// Judges what a server of the new era wants to know before it goes on. Gives the end where the client may not be asked.
    pub(super) async fn judge_inputs(&mut self, message: &Envelope) -> Option<End> {
        for (_, method, params) in &mrtr::Inputs::of(message).requests {
            let run = self.open.run().id.as_str();
            let (who, upstream) = (&self.asker.principal, self.upstream.name());
            if let Err(denied) = asked::judge_input(&self.gate, who, upstream, run, method, params).await {
                self.deny(&denied).await;
                return Some(End::Broken(format!("the upstream asks for {method}: {}", denied.message)));
            }
        }
        None
    }

    /// Asks a client of the old era what a server of the new era wants to know, then goes on with the call.
    pub(super) async fn answer_inputs(
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

    pub(super) async fn ask_client(
        &mut self,
        inputs: &mrtr::Inputs,
        deadline: Instant,
    ) -> Result<String, String> {
        let this = &*self;
        if let Some(as_task) = &this.as_task {
            let asked = inputs.requests.iter().map(|(key, method, params)| async move {
                let until = tokio::time::sleep_until(deadline);
                let answer = this.ask_through_the_task(&as_task.task, (method, params), until).await;
                answer
                    .map(|answer| (key.clone(), answer))
                    .ok_or(format!("the client did not answer {method}"))
            });
            let answers: Result<Vec<_>, String> = join_all(asked).await.into_iter().collect();
            return answers.map(|answers| mrtr::answers_json(&answers));
        }
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
}
