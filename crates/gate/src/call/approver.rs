//! A call that a policy leaves to a person: who is asked, and how long the caller waits.

use super::refusals::waits_for;
use super::{About, Call, QUIET};
use crate::entered::look_up;
use crate::links;
use crate::mrtr::Inputs;
use crate::outlet::left;
use crate::tasks::ours::goes_on;
use portcullis_admit::{Answer, Decider, Denied, State, Unseen};
use portcullis_wire::{Era, member, text};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// When whoever wants progress hears first that a call waits.
const AT_FIRST: Duration = Duration::from_millis(100);
/// How far a call comes with each notice that it waits: progress must increase, and its server's own is still to come.
const WAITED: f64 = 1e-6;
/// Longer than any approval waits.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);
/// The question's name where several can be put at once.
const KEY: &str = "approval";

impl Call {
    /// Waits for whoever decides about the call. Gives `None` where somebody has, else why it does not pass.
    pub(super) async fn is_left_to_a_person(
        &mut self,
        denied: Denied,
        until: &mut Option<Instant>,
    ) -> Option<Denied> {
        let Some(approval) = denied.approval.clone() else { return Some(denied) };
        self.goes_on_as_a_task(&denied, &approval).await;
        let until = match self.as_task {
            // Nobody waits for its answer: it ends with the time for the approval.
            Some(_) => Instant::now() + FOR_EVER,
            None => *until.get_or_insert_with(|| Instant::now() + self.gate.admit.rules().patience.wait),
        };
        let why = waits_for(&denied, &approval);
        if !self.user_decides(&approval, until).await && !self.is_decided(&approval, &why, until).await {
            return Some(denied);
        }
        let state = self.gate.admit.approvals().get(&approval).map(|approval| approval.state);
        if state == Some(State::Expired) {
            let message = format!("{} Nobody decided in time ({approval}).", denied.message);
            return Some(Denied { answer: Answer::Denied, message, approval: None, ..denied });
        }
        self.look_again().await;
        if let Some(as_task) = &self.as_task {
            goes_on(&self.gate, &as_task.task, None).await;
        }
        None
    }

    /// Time has passed: the server may have been started anew, and its tool be another one.
    async fn look_again(&mut self) {
        if self.chosen.link.closed().is_some()
            && let Ok(chosen) = links::choose(&self.gate, &self.asker, &self.upstream).await
        {
            self.chosen = chosen;
        }
        if let About::Tool(list, name) = &mut self.about
            && let Ok(Some(now)) = look_up(&self.upstream, &self.chosen, name).await
        {
            *list = now;
        }
    }

    /// Asks the user of the client that calls, where the rule leaves it to them and the client can ask. Whether they decided.
    async fn user_decides(&mut self, approval: &str, until: Instant) -> bool {
        let gate = self.gate.clone();
        let Some(held) = gate.admit.approvals().get(approval).filter(|held| held.asks_client()) else {
            return false;
        };
        let asked_before = std::mem::replace(&mut self.asked_user, true);
        if asked_before || member(&self.asker.capabilities, "elicitation").is_none() {
            return false;
        }
        let arguments = held.args.as_ref().map_or("arguments that are too long to show", |args| args.get());
        let params = json!({
            "mode": "form",
            "message": format!("{} May {} be called on {} with {arguments}?", held.message, held.tool, held.upstream),
            "requestedSchema": {
                "type": "object",
                "properties": {
                    "approve": { "type": "boolean", "title": "Approve", "description": "Let this one call pass, once" },
                    "reason": { "type": "string", "title": "Reason", "description": "For the record" },
                },
                "required": ["approve"],
            },
        });
        self.open.run().set_waits(true);
        let answer = match &self.as_task {
            Some(as_task) => {
                // Somebody else may decide first.
                let decided = gate.admit.approvals().settled(approval);
                let question = ("elicitation/create", &*params.to_string());
                self.ask_through_the_task(&as_task.task, question, decided).await
            }
            None => self.ask_user("elicitation/create", &params, until).await,
        };
        self.open.run().set_waits(false);
        let Some(answer) = answer else { return false };
        let approved =
            member(&answer, "content").and_then(|content| member(content, "approve")) == Some("true");
        let yes = match member(&answer, "action").and_then(text).as_deref() {
            Some("accept") => approved,
            Some("decline") => false,
            // They closed the question: somebody else may decide, or nobody.
            _ => return false,
        };
        let reason = member(&answer, "content").and_then(|content| member(content, "reason")).and_then(text);
        let reason = reason.as_deref().filter(|reason| !reason.is_empty());
        let client = self.asker.principal.client.clone();
        match gate.admit.decide(approval, Decider::Client(&client), yes, reason, Unseen::Accept).await {
            Ok(_) => true,
            Err(why) => {
                tracing::debug!(%why, "what the user of a client decided does not count");
                // Somebody else was quicker, or the policy is another now: it is judged again.
                true
            }
        }
    }

    /// The client's answer to a question of the gate itself, JSON.
    async fn ask_user(&mut self, method: &str, params: &Value, until: Instant) -> Option<String> {
        if self.asker.era == Era::New {
            return self.ask_and_park(method, params, until).await;
        }
        let inputs = Inputs::one(KEY, method, params.to_string());
        let answers = self.ask_client(&inputs, until).await.ok()?;
        answers.into_iter().find(|(key, _)| key == KEY).map(|(_, answer)| answer)
    }

    /// Waits for a person, as long as the caller does and at most until then; a caller that wants progress hears for what. Whether one
    /// decided, or nobody can any more.
    async fn is_decided(&mut self, approval: &str, why: &str, until: Instant) -> bool {
        let gate = self.gate.clone();
        self.open.run().set_waits(true);
        let mut settled = std::pin::pin!(gate.admit.approvals().settled(approval));
        for notices in 1.. {
            let cancelled = self.open.cancelled().clone();
            // Not for what is decided already.
            let soon = if notices == 1 { AT_FIRST } else { QUIET };
            tokio::select! {
                biased;
                () = &mut settled => break,
                () = cancelled.cancelled() => return false,
                () = left(self.outlet.as_mut(), self.asker.era) => return false,
                () = tokio::time::sleep_until(until) => return false,
                () = tokio::time::sleep(soon) => {}
            }
            let progress = WAITED * f64::from(notices);
            self.tell_progress(progress, Some(&Value::from(why).to_string())).await;
            // So that it is kept alive.
            if let Some(outlet) = self.outlet.as_mut().filter(|_| notices > 1) {
                outlet.begin();
            }
        }
        self.open.run().set_waits(false);
        true
    }
}
