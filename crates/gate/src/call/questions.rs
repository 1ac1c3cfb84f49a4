//! What a server asks in the middle of a call, and what a client of the other era is asked in its place.

use super::Call;
use crate::asked::Asking;
use crate::mrtr;
use crate::outlet::{Outlet, carrying, saying};
use crate::session::Asked;
use crate::tasks::message::{Shown, shown};
use futures_util::future::join_all;
use http::StatusCode;
use portcullis_admit::{AnswerText, ClientAnswers, End, FollowUp, InputRequest, Message, Ticket};
use portcullis_upstreams::Reply;
use portcullis_wire::{Envelope, Era, INTERNAL_ERROR, Id};
use tokio::time::Instant;

impl Call {
    /// A question of an old server on the call's own stream.
    pub(super) async fn question(&mut self, message: &Envelope, deadline: Instant) -> Option<End> {
        let link = self.chosen.link.clone();
        let method = message.method().unwrap_or_default();
        let id = message.id().cloned()?;
        if method == "ping" {
            let _ = link.follow(FollowUp::gate_answer(&id, "{}")).await;
            return None;
        }
        if let Some(roots) = crate::inbox::fixed_roots(&self.upstream, method) {
            let _ = link.follow(FollowUp::gate_answer(&id, &roots)).await;
            return None;
        }
        let question = match self.asking().judge(&link, message).await {
            Ok(question) => question,
            Err(denied) => {
                let why = format!("{method} is not permitted: {}", denied.message);
                let _ = link.follow(FollowUp::refusal(&id, &why)).await;
                return None;
            }
        };
        let (owner, known) = (self.asker.principal.name(), Some(&link));
        let Shown::Message(message) = shown(&self.gate.tasks, self.upstream.name(), owner, known, message)
        else {
            question.give_up("it belongs to a task that is not known here").await;
            return None;
        };
        let message = &message;
        if let Some(as_task) = &self.as_task {
            let asked = (method, message.params().unwrap_or("{}"));
            let until = tokio::time::sleep_until(deadline);
            match self.ask_through_the_task(&as_task.task, asked, until).await {
                Some(answer) => question.answer(AnswerText::Result(&answer)).await,
                None => question.give_up("the client brought no answer").await,
            }
            return None;
        }
        match &self.asker.session {
            Some(session) => {
                if !self.outlet.as_ref().is_some_and(Outlet::takes_events) {
                    question.give_up("the client cannot be asked now").await;
                    return None;
                }
                if let Some(release) = question.put(session, message).await {
                    self.say(carrying(release), deadline).await;
                }
                None
            }
            None => self.park(question, message, deadline).await,
        }
    }

    fn asking(&self) -> Asking<'_> {
        let run = self.open.run().id.as_str();
        Asking { gate: &self.gate, who: &self.asker.principal, upstream: self.upstream.name(), run }
    }

    /// Judges what a server of the new era wants to know before it goes on. Gives the end where the client may not be asked.
    pub(super) async fn judge_inputs(&mut self, inputs: &mrtr::Inputs) -> Result<Vec<(String, Ticket)>, End> {
        let mut asked = Vec::new();
        for InputRequest { key, method, params } in &inputs.requests {
            let told = self.asker.era == Era::New;
            match self.asking().judge_input(method, params, told).await {
                Ok(ticket) => asked.push((key.clone(), ticket)),
                Err(denied) => {
                    self.deny(&denied).await;
                    return Err(End::Broken(format!("the upstream asks for {method}: {}", denied.message)));
                }
            }
        }
        Ok(asked)
    }

    /// Asks a client of the old era what a server of the new era wants to know, then goes on with the call.
    pub(super) async fn answer_inputs(
        &mut self,
        inputs: &mrtr::Inputs,
        asked: Vec<(String, Ticket)>,
        reply: &mut Reply,
        ticket: &Ticket,
        deadline: Instant,
    ) -> Option<End> {
        let answers = self.ask_client(inputs, deadline).await.and_then(|raw| answers_of(asked, &raw));
        let answers = match answers {
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
        let Some(permit) = ticket.again(next, self.chosen.link.era()) else {
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

    /// Puts questions to the client. Gives its answers by their keys, JSON.
    pub(super) async fn ask_client(
        &mut self,
        inputs: &mrtr::Inputs,
        deadline: Instant,
    ) -> Result<Vec<(String, String)>, String> {
        let this = &*self;
        if let Some(as_task) = &this.as_task {
            let asked = inputs.requests.iter().map(|InputRequest { key, method, params }| async move {
                let until = tokio::time::sleep_until(deadline);
                let answer = this.ask_through_the_task(&as_task.task, (method, params), until).await;
                answer
                    .map(|answer| (key.clone(), answer))
                    .ok_or(format!("the client did not answer {method}"))
            });
            return join_all(asked).await.into_iter().collect();
        }
        let Some(session) = self.asker.session.clone() else { return Err("no session to ask in".into()) };
        let mut answers = Vec::new();
        for InputRequest { key, method, params } in &inputs.requests {
            let (tell, answer) = tokio::sync::oneshot::channel();
            let id = session
                .ask(Asked::Call(tell))
                .map_err(|_| "too many questions are open in this session".to_owned())?;
            let text = portcullis_wire::request(&Id::from(id), method, params);
            if !self.outlet.as_ref().is_some_and(Outlet::takes_events) {
                return Err(format!("the upstream asks for {method} and the client takes no stream"));
            }
            self.say(saying(text), deadline).await;
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
        Ok(answers)
    }
}

/// The client's answers as its server may have them: each belongs to a question that was judged.
pub(super) fn answers_of(
    asked: Vec<(String, Ticket)>,
    raw: &[(String, String)],
) -> Result<ClientAnswers, String> {
    let mut answers = Vec::new();
    for (key, ticket) in asked {
        let Some((_, answer)) = raw.iter().find(|(of, _)| *of == key) else { continue };
        answers.push((key, ticket.answer(AnswerText::Result(answer))?));
    }
    ClientAnswers::of(&answers)
}
