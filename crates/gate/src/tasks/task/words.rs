//! What is said of a task: to its client where the gate answers itself, and in the record.

use super::{State, Task};
use portcullis_ledger::{Draft, Kind, Outcome, Written, time_text};
use portcullis_wire::{Era, Splice, insert_member, member};
use serde_json::{Value, json};

impl Task {
    /// The task object of its design as the gate words it.
    fn object(&self) -> Value {
        let now = self.now.lock();
        let status = if now.state == State::Lost { State::Failed } else { now.state };
        let (ttl, poll) = match self.design {
            Era::Old => ("ttl", "pollInterval"),
            Era::New => ("ttlMs", "pollIntervalMs"),
        };
        let mut object = json!({
            "taskId": &*self.id, "status": status.as_str(), "createdAt": &*self.stamp,
            "lastUpdatedAt": time_text(now.looked), ttl: now.ttl_ms,
            poll: u64::try_from(now.poll.as_millis()).unwrap_or_default(),
        });
        if let (Some(why), Some(members)) = (&now.why, object.as_object_mut()) {
            members.insert("statusMessage".into(), why.as_str().into());
        }
        object
    }

    /// What a call is answered that has become a task of the gate's own, JSON.
    pub(crate) fn made(&self, meta: &Value) -> String {
        let mut object = self.object();
        if self.design == Era::Old {
            return json!({ "task": object, "_meta": meta }).to_string();
        }
        if let Some(members) = object.as_object_mut() {
            members.insert("resultType".into(), "task".into());
            members.insert("_meta".into(), meta.clone());
        }
        object.to_string()
    }

    /// What the gate answers to `tasks/get` of a task of its own, JSON: in the extension with what it asks, and with its answer.
    pub(crate) fn in_full(&self) -> String {
        let mut object = self.object();
        let (Era::New, Some(members)) = (self.design, object.as_object_mut()) else {
            return object.to_string();
        };
        members.insert("resultType".into(), "complete".into());
        let mut text = object.to_string();
        if let Some((name, value)) = self.part_of_its_state() {
            // The answer's bytes stay as they came.
            text.truncate(text.len() - 1);
            text.push_str(&format!(",\"{name}\":{value}}}"));
        }
        text
    }

    /// What the extension has beside the object in some states, JSON.
    fn part_of_its_state(&self) -> Option<(&'static str, String)> {
        let ours = self.ours()?;
        let answer = ours.answer();
        match self.state() {
            State::InputRequired => {
                let asked = ours.questions().into_iter().map(|(key, method, params)| {
                    format!("{}:{{\"method\":{},\"params\":{params}}}", Value::from(key), Value::from(method))
                });
                Some(("inputRequests", format!("{{{}}}", asked.collect::<Vec<_>>().join(","))))
            }
            State::Completed => Some(("result", answer.as_ref()?.result()?.to_owned())),
            State::Failed => Some(("error", answer.as_ref()?.error()?.to_owned())),
            State::Working | State::Cancelled | State::Lost => None,
        }
    }

    /// The core design's task object under the gate's own id.
    pub(crate) fn said(&self) -> String {
        if self.is_ours() {
            return self.object().to_string();
        }
        let now = self.now.lock();
        let mut splice = Splice::new(now.said.as_bytes());
        let ended = now.ended.map(time_text);
        let lost = [
            ("status", Some("failed")),
            ("statusMessage", now.why.as_deref()),
            ("lastUpdatedAt", ended.as_deref()),
        ];
        let lost = lost.into_iter().filter(|_| now.state == State::Lost);
        for (name, value) in [("taskId", Some(&*self.id))].into_iter().chain(lost) {
            let value = Value::from(value).to_string();
            match member(&now.said, name) {
                Some(old) => {
                    let start = (old.as_ptr() as usize).saturating_sub(now.said.as_ptr() as usize);
                    splice.replace(start..start + old.len(), value);
                }
                None => insert_member(&mut splice, &(0..now.said.len()), name, &value),
            }
        }
        String::from_utf8(splice.finish().to_vec()).unwrap_or_default()
    }

    /// What the gate itself answers to `tasks/get` of a task that is lost, JSON.
    pub(crate) fn lost(&self) -> String {
        if self.design == Era::Old {
            return self.said();
        }
        let why = self.why().unwrap_or_default();
        let (ttl, ended) = {
            let now = self.now.lock();
            (now.ttl_ms, now.ended.map(time_text))
        };
        let error = json!({ "code": portcullis_wire::UPSTREAM_FAILED, "message": why });
        json!({
            "resultType": "complete", "taskId": &*self.id, "status": "failed", "statusMessage": why,
            "createdAt": &*self.stamp, "lastUpdatedAt": ended, "ttlMs": ttl, "error": error,
        })
        .to_string()
    }

    /// What came of the wish to stop it, as the record has it; `None` where nobody wished it.
    fn verdict(&self) -> Option<String> {
        let now = self.now.lock();
        let stop = now.stop.as_ref()?;
        let verdict = if now.state.is_final() { "acknowledged" } else { "unconfirmed" };
        let late = matches!(now.state, State::Completed | State::Failed);
        Some(
            json!({
                "verdict": verdict, "asked_by": stop.by, "asked": time_text(stop.at), "told": stop.told,
                "state": now.state.as_str(), "too_late": late,
            })
            .to_string(),
        )
    }

    /// The row of the record on it: `message` says what happened.
    pub(crate) fn record(&self, message: &str) -> Written {
        let (state, ended) = {
            let now = self.now.lock();
            (now.state, now.ended)
        };
        let outcome = match state {
            State::Working | State::InputRequired => None,
            State::Completed => Some(Outcome::Allowed),
            State::Failed | State::Lost => Some(Outcome::Error),
            State::Cancelled => Some(Outcome::Cancelled),
        };
        #[expect(clippy::cast_precision_loss, reason = "no task takes 285,000 years")]
        let duration_ms = ended.map(|ended| ended.saturating_sub(self.created) as f64);
        let verdict = self.verdict();
        let draft = Draft {
            grant: Some(&self.owner),
            upstream: Some(&self.upstream),
            tool: Some(&self.tool),
            run: Some(&self.run),
            outcome,
            message: Some(message),
            args_digest: Some(&self.digest),
            duration_ms,
            verdict: verdict.as_deref(),
            ..Draft::of(Kind::Run)
        };
        draft.write()
    }

    /// In one line, how it stands.
    pub(crate) fn told(&self) -> String {
        let (state, stop) = (self.state(), self.stop());
        let mut line = format!("the task {} is {}", self.id, state.as_str());
        if let Some(why) = self.why() {
            line.push_str(&format!(": {why}"));
        }
        match (stop, state) {
            (Some(stop), State::Cancelled) => line.push_str(&format!(", as the {} asked", stop.by)),
            (Some(stop), State::Completed | State::Failed) => {
                line.push_str(&format!("; the {} asked to stop it, too late", stop.by));
            }
            _ => {}
        }
        line
    }
}
