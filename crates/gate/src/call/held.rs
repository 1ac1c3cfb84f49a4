//! A held call of a client that speaks tasks: it goes on as a task, for as long as a person may decide.

use super::refusals::{decision, waits_for};
use super::waiting::task_support;
use super::{About, Call};
use crate::asker::Asker;
use crate::outlet::{Inlet, outlet, saying};
use crate::rewrite::without_task;
use crate::tasks::ours::{Ours, ends, goes_on};
use crate::tasks::target::declares_tasks;
use crate::tasks::{NewTask, Task};
use http::StatusCode;
use portcullis_admit::Denied;
use portcullis_ledger::{now_ms, time_text};
use portcullis_wire::{Envelope, Era, result_response};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// What a client of the core design may show to its model before there is a result (2025-11-25, "Creating Tasks").
const AT_ONCE: &str = "io.modelcontextprotocol/model-immediate-response";
/// How long an answer is kept for its client at least, after the last that the call can take.
const KEPT: Duration = Duration::from_mins(10);

/// The task that a call goes on as, and where its answer comes out.
pub(crate) struct AsTask {
    pub task: Arc<Task>,
    answer: Inlet,
}

impl Call {
    /// Whether its client can be answered with a task: in the old era it asked for one, in the new it said that it knows them.
    fn may_be_a_task(&self) -> bool {
        let asked = match self.asker.era {
            // The gate itself asks for one where its client waits for the result.
            Era::Old => self.message.envelope.peek().task.is_some() && !self.waits,
            Era::New => declares_tasks(&self.asker.capabilities),
        };
        asked && matches!(self.about, About::Tool(..)) && !self.open.cancelled().is_cancelled()
    }

    /// Goes on as a task, where the client speaks tasks, and says for what it waits. Where none can be kept it goes on as a request.
    pub(super) async fn goes_on_as_a_task(&mut self, denied: &Denied, approval: &str) {
        let why = waits_for(denied, approval);
        if let Some(as_task) = &self.as_task {
            return goes_on(&self.gate, &as_task.task, Some(why)).await;
        }
        if !self.may_be_a_task() {
            return;
        }
        let (gate, cap) = (self.gate.clone(), self.gate.options().tasks);
        let new = self.new_task(approval, Ours::new(self.open.run().clone()));
        let task = match gate.tasks.adopt(gate.ledger(), cap, new).await {
            Ok(task) => task,
            Err(why) => {
                tracing::debug!(%why, "a held call waits as a request, because no task of it can be kept");
                return;
            }
        };
        goes_on(&gate, &task, Some(why.clone())).await;
        let mut meta = json!({ "portcullis/decision": decision(denied) });
        if let (Era::Old, Some(members)) = (self.asker.era, meta.as_object_mut()) {
            members.insert(AT_ONCE.into(), format!("[APPROVAL NEEDED] {why}").into());
        }
        // From here on neither the request's cancellation nor the end of its session ends it.
        self.open.give_to(gate.next_caller());
        if let Some(outlet) = self.outlet.take() {
            let text = result_response(&self.known.id, &task.made(&meta));
            outlet.finish(StatusCode::OK, saying(text));
        }
        self.asker = Arc::new(Asker { session: None, takes_events: false, ..(*self.asker).clone() });
        let (outlet, answer) = outlet(false, &self.asker.rooms);
        self.outlet = Some(outlet);
        self.as_task = Some(AsTask { task, answer });
        // A task that the server makes of it is the gate's to wait for.
        self.waits = true;
        if !self.may_be_the_servers_task() {
            self.message.envelope = without_task(&self.message.envelope);
        }
    }

    /// Whether its server takes the wish for a task: others refuse the call (2025-11-25, "Tool-Level Negotiation").
    fn may_be_the_servers_task(&self) -> bool {
        let About::Tool(list, name) = &self.about else { return false };
        self.asker.era == Era::New
            || matches!(task_support(list, name), Some("\"optional\"" | "\"required\""))
    }

    fn new_task(&self, approval: &str, ours: Ours) -> NewTask {
        let now = now_ms();
        let expires = self.gate.admit.approvals().get(approval).map_or(now, |approval| approval.expires);
        let call = self.upstream.spec().limits.call + KEPT;
        let ttl =
            expires.saturating_sub(now).saturating_add(i64::try_from(call.as_millis()).unwrap_or(i64::MAX));
        let name = if self.asker.era == Era::Old { "ttl" } else { "ttlMs" };
        let arguments = self.message.envelope.peek().arguments.unwrap_or("{}");
        NewTask {
            owner: self.asker.principal.name().into(),
            upstream: self.upstream.name().clone(),
            tool: self.about.name().into(),
            theirs: "".into(),
            design: self.asker.era,
            digest: self.gate.ledger().arguments_digest(arguments).into(),
            said: json!({ "status": "working", "createdAt": time_text(now), name: ttl }).to_string(),
            // The conversation is held for it where the session ends.
            link: Some(self.chosen.link.clone()),
            places: None,
            ours: Some(ours),
        }
    }

    /// Asks the client through the task; gives its answer, JSON. `None` where there is none until then, or the call was stopped.
    pub(super) async fn ask_through_the_task(
        &self,
        task: &Arc<Task>,
        (method, params): (&str, &str),
        until: impl Future<Output = ()>,
    ) -> Option<String> {
        let (key, answer) = task.ask(method, params)?;
        goes_on(&self.gate, task, task.why()).await;
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            () = self.open.cancelled().cancelled() => None,
            () = until => None,
        };
        task.answered(&key, None);
        goes_on(&self.gate, task, task.why()).await;
        answer
    }

    /// The call is over, and the task with it.
    pub(super) async fn end_task(&mut self) {
        let Some(AsTask { task, answer }) = self.as_task.take() else { return };
        let answer = answer.whole().and_then(|text| Envelope::reply(text).ok());
        ends(&self.gate, &task, answer, self.open.reason()).await;
    }
}
