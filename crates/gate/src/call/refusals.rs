//! The ends that the gate itself puts to a call, and the answers that it gives.

use super::{About, Call};
use crate::outlet::saying;
use bytes::Bytes;
use http::StatusCode;
use portcullis_admit::{Answer as Answered, Denied, End, NotReleased};
use portcullis_wire::{
    DENIED, DROPPED, Era, HELD, INVALID_PARAMS, Id, LIMITED, NOT_RECORDED, STOPPED, TIMED_OUT,
    UPSTREAM_FAILED, error_response, result_response,
};
use serde_json::{Value, json};

/// What a server hears of a call whose time is up.
pub(super) const TOO_LONG: &str = "the call took too long";

/// What was decided, for programs.
pub(super) fn decision(denied: &Denied) -> Value {
    let held = denied.approval.as_deref();
    let outcome = if held.is_some() { "held" } else { "denied" };
    let mut decision = json!({ "outcome": outcome, "rule": denied.rule, "ledger": denied.row });
    if let Some(members) = decision.as_object_mut() {
        members.extend(denied.retry_after_ms.map(|retry| ("retryAfterMs".to_owned(), retry.into())));
        members.extend(held.map(|id| ("approval".to_owned(), id.into())));
    }
    decision
}

/// Why a call is held, and under which name it waits.
pub(super) fn waits_for(denied: &Denied, approval: &str) -> String {
    format!("{} It waits for a person as {approval}.", denied.message)
}

/// What a denied agent reads: a result where it called a tool, so that its model sees the reason, else an error.
pub(crate) fn denial(id: &Id, era: Era, is_tool: bool, denied: &Denied) -> Bytes {
    let decision = decision(denied);
    let message = match &denied.approval {
        None => format!("[POLICY DENIED] {}", denied.message),
        Some(id) => format!(
            "[APPROVAL NEEDED] {} Once it is approved, the same call with the same arguments passes, once.",
            waits_for(denied, id)
        ),
    };
    if !is_tool {
        let code = match denied.answer {
            Answered::Dropped => DROPPED,
            Answered::Held => HELD,
            Answered::Limited => LIMITED,
            _ => DENIED,
        };
        return error_response(Some(id), code, &message, &json!({ "portcullis/decision": decision }));
    }
    let mut result = json!({
        "content": [{ "type": "text", "text": message }],
        "isError": true,
        "_meta": { "portcullis/decision": decision },
    });
    if let (Era::New, Some(members)) = (era, result.as_object_mut()) {
        members.insert("resultType".into(), "complete".into());
    }
    result_response(id, &result.to_string())
}

/// What a client is answered in place of an answer that it does not see.
pub(crate) fn withheld_answer(id: &Id, why: &NotReleased) -> Bytes {
    let (code, why) = match why {
        NotReleased::Dropped(why) => (DROPPED, why.clone()),
        NotReleased::Unreadable | NotReleased::Unjudged => {
            (DENIED, format!("The answer is withheld: {why}."))
        }
    };
    error_response(Some(id), code, &why, &Value::Null)
}

impl Call {
    pub(super) fn withheld(&self, why: &NotReleased) -> Bytes {
        withheld_answer(&self.known.id, why)
    }

    pub(super) async fn deny(&mut self, denied: &Denied) {
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
            Answered::Denied | Answered::Limited | Answered::Held | Answered::Dropped => {
                denial(&id, self.asker.era, is_tool, denied)
            }
        };
        if let Some(outlet) = self.outlet.take() {
            self.open.over();
            outlet.finish(StatusCode::OK, saying(text));
        }
    }

    pub(super) async fn fail(&mut self, status: StatusCode, code: i32, why: &str) {
        if let Some(outlet) = self.outlet.take() {
            let text = error_response(Some(&self.known.id), code, why, &Value::Null);
            self.open.over();
            outlet.finish(status, saying(text));
        }
    }

    pub(super) async fn broken(&mut self, why: &str) -> End {
        // Its server may have been stopped together with it.
        if self.open.by_operator() {
            return self.cancelled_before().await;
        }
        self.fail(StatusCode::OK, UPSTREAM_FAILED, &format!("upstream `{}`: {why}", self.upstream.name()))
            .await;
        End::Broken(why.to_owned())
    }

    pub(super) async fn not_reached(&mut self, why: &str) -> End {
        if self.open.by_operator() {
            return self.cancelled_before().await;
        }
        self.fail(StatusCode::OK, UPSTREAM_FAILED, &format!("upstream `{}`: {why}", self.upstream.name()))
            .await;
        End::NotReached(why.to_owned())
    }

    /// The call was cancelled: the server hears of it. A client that asked for it gets no answer any more, and one that did
    /// not is told.
    pub(super) async fn cancelled(&mut self, id: u64) -> End {
        self.chosen.link.cancel(id, self.open.reason());
        self.end_process();
        self.cancelled_before().await
    }

    /// Ends the server's process with the call where the policy says so, and nobody else uses it.
    fn end_process(&self) {
        if !self.stopping.process {
            return;
        }
        let (link, name) = (&self.chosen.link, self.upstream.name());
        let covers = |grant: &&std::sync::Arc<portcullis_ledger::Grant>| grant.policy_for(name).is_some();
        let alone = !link.is_shared() || self.gate.grants().all().iter().filter(covers).count() == 1;
        match link.run() {
            Some(run) if alone => {
                let run = run.clone();
                tokio::spawn(async move { run.stop(portcullis_runs::GRACE).await });
            }
            _ => {
                tracing::debug!(upstream = %name, "the policy would end its process, but others use it or it has none")
            }
        }
    }

    /// The call was cancelled before its server can have heard of it.
    pub(super) async fn cancelled_before(&mut self) -> End {
        let why = self.open.reason().to_owned();
        if self.open.by_operator() {
            self.fail(StatusCode::OK, STOPPED, &why).await;
        }
        self.outlet = None;
        End::Cancelled(why)
    }

    /// The client closed the stream, which in the new era cancels the call.
    pub(super) fn left(&mut self, id: u64) -> End {
        let why = "the client closed the stream";
        self.chosen.link.cancel(id, why);
        self.end_process();
        End::Cancelled(why.into())
    }

    /// Nobody waits any longer for the answer.
    pub(super) async fn timed_out(&mut self, id: u64) -> End {
        self.chosen.link.cancel(id, TOO_LONG);
        self.upstream.suspect_silence(&self.chosen.link);
        self.end_process();
        let limits = &self.upstream.spec().limits;
        let why = match self.stopping.after_ms {
            Some(ms) if u128::try_from(ms).is_ok_and(|ms| ms < limits.call.as_millis()) => {
                let what = if self.stopping.extend_on_progress { "word" } else { "answer" };
                format!("no {what} within {} s ({})", ms as f64 / 1e3, self.stopping.rule)
            }
            _ => format!("no answer within {} s ({})", limits.call.as_secs_f64(), limits.call_key),
        };
        self.fail(StatusCode::OK, TIMED_OUT, &why).await;
        End::Broken(why)
    }
}
