//! What the gate itself asks of a server about a task.

use crate::link::{Link, SendFailed};
use crate::open::own_meta;
use crate::reply::Reply;
use portcullis_admit::{ClientAnswers, Housekeeping, Permit};
use portcullis_wire::{Envelope, Era, Kind};
use serde_json::Value;

/// The extension, as capabilities name it.
pub const TASKS: &str = "io.modelcontextprotocol/tasks";

impl Link {
    /// Whether the server declared tasks in the design of its era. Asked for every call, so it is found out once.
    #[must_use]
    pub fn declares_tasks(&self) -> bool {
        if self.hello.get().is_none() {
            return false;
        }
        *self.tasks.get_or_init(|| self.declared_tasks())
    }

    fn declared_tasks(&self) -> bool {
        match self.era() {
            Era::Old => self.declares("tasks"),
            Era::New => portcullis_wire::member(self.hello(), "capabilities")
                .and_then(|all| portcullis_wire::member(all, "extensions"))
                .and_then(|all| portcullis_wire::member(all, TASKS))
                .is_some_and(|it| it != "null"),
        }
    }

    /// Sends one request about a task, with the client's answers to what the task wants to know, where there are some.
    ///
    /// # Errors
    /// Where no answer can be expected.
    pub async fn send_about_task(
        &self,
        what: Housekeeping,
        task: &str,
        answers: Option<&ClientAnswers>,
    ) -> Result<Reply, SendFailed> {
        let answers = answers.map(|answers| format!(",\"inputResponses\":{}", answers.json()));
        let mut params = format!("{{\"taskId\":{}{}", Value::from(task), answers.unwrap_or_default());
        if self.era() == Era::New {
            params.push_str(",\"_meta\":");
            params.push_str(&own_meta(&format!(r#"{{"extensions":{{"{TASKS}":{{}}}}}}"#)));
        }
        params.push('}');
        self.send(Permit::housekeeping(what, &params)).await
    }

    /// The same, and gives the response: a result or an error of the protocol.
    ///
    /// # Errors
    /// Where none comes.
    pub async fn ask_about_task(
        &self,
        what: Housekeeping,
        task: &str,
        answers: Option<&ClientAnswers>,
    ) -> Result<Envelope, SendFailed> {
        let mut reply = self.send_about_task(what, task, answers).await?;
        loop {
            let heard = reply.next().await.map_err(|broken| SendFailed::Broken(broken.0))?;
            match heard.map(|heard| heard.message) {
                Some(Some(message)) if message.kind() == Kind::Response => return Ok(message),
                Some(_) => {}
                None => return Err(SendFailed::Broken(format!("no answer to {} came", what.method()))),
            }
        }
    }
}
