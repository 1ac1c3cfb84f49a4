//! What goes to a server without being judged anew, because it follows something that was.
//!
//! None of it is a client's own text. Each message is built here from the members that it has, for a request or a question
//! that is known. So a client cannot put more beside a judged call than what the protocol has for it.

use crate::Ticket;
use crate::ticket::End;
use bytes::Bytes;
use portcullis_ledger::{Draft, Keep, Kind, Outcome};
use portcullis_wire::{
    Envelope, Id, METHOD_NOT_FOUND, error_response, member, notification, result_response, text,
};
use serde_json::Value;
use serde_json::value::RawValue;

/// Characters of the reason of a cancellation, of the words beside progress, and of the text of an error.
const WORDS: usize = 500;
/// Bytes of a number that tells progress, and of an error's code.
const NUMBER: usize = 32;

/// A message that may follow what was judged. A link takes nothing else beside permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUp(Bytes);

impl FollowUp {
    /// The end of the handshake.
    #[must_use]
    pub fn initialized() -> Self {
        Self(notification("notifications/initialized", "{}"))
    }

    /// The client's roots are others now.
    #[must_use]
    pub fn roots_changed() -> Self {
        Self(notification("notifications/roots/list_changed", "{}"))
    }

    /// The request that the server knows by that number is no longer wanted.
    #[must_use]
    pub fn cancelled(request: u64, reason: &str) -> Self {
        let reason = Value::from(bounded(reason));
        Self(notification(
            "notifications/cancelled",
            &format!("{{\"requestId\":{request},\"reason\":{reason}}}"),
        ))
    }

    /// The gate's own answer to a question, JSON: nothing of a client's.
    #[must_use]
    pub fn gate_answer(question: &Id, result: &str) -> Self {
        Self(result_response(question, result))
    }

    /// A question that is not answered here, and why.
    #[must_use]
    pub fn refusal(question: &Id, why: &str) -> Self {
        Self(error_response(Some(question), METHOD_NOT_FOUND, why, &Value::Null))
    }

    /// What the client answered to a question.
    #[must_use]
    pub fn answer(question: &Id, answer: &ClientAnswer) -> Self {
        Self(match &answer.said {
            Ok(result) => result_response(question, result),
            Err(error) => format!("{{\"jsonrpc\":\"2.0\",\"id\":{question},\"error\":{error}}}").into(),
        })
    }

    /// What is sent.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }
}

fn bounded(words: &str) -> String {
    words.chars().take(WORDS).collect()
}

/// A client's answer as it came, JSON.
#[derive(Debug, Clone, Copy)]
pub enum AnswerText<'a> {
    /// A result.
    Result(&'a str),
    /// An error object.
    Error(&'a str),
}

impl<'a> AnswerText<'a> {
    /// What a response says; an empty result where it says nothing.
    #[must_use]
    pub fn of(response: &'a Envelope) -> Self {
        match (response.result(), response.error()) {
            (_, Some(error)) => Self::Error(error),
            (result, None) => Self::Result(result.unwrap_or("{}")),
        }
    }
}

/// A client's answer to a question that it was asked: recorded, and made of the members that such an answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAnswer {
    said: Result<String, String>,
}

impl ClientAnswer {
    /// The result, JSON.
    ///
    /// # Errors
    /// The error object, JSON, where the client answered with one.
    pub fn result(&self) -> Result<&str, &str> {
        self.said.as_deref().map_err(String::as_str)
    }
}

/// A client's answers to all questions that were put at once, by their keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientAnswers(String);

impl ClientAnswers {
    /// Puts answers together.
    ///
    /// # Errors
    /// The error object, JSON, of the first question that the client answered with one.
    pub fn of<'a>(answers: impl IntoIterator<Item = &'a (String, ClientAnswer)>) -> Result<Self, String> {
        let members: Result<Vec<String>, String> = answers
            .into_iter()
            .map(|(key, answer)| Ok(format!("{}:{}", Value::from(key.as_str()), answer.said.as_ref()?)))
            .map(|member: Result<String, &String>| member.map_err(Clone::clone))
            .collect();
        members.map(|members| Self(format!("{{{}}}", members.join(","))))
    }

    /// A map of key to result, JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl Ticket {
    /// Takes the client's answer to the question that this is the ticket of, and records it.
    ///
    /// # Errors
    /// Why the server must not hear of it: a drop holds.
    pub fn answer(mut self, said: AnswerText<'_>) -> Result<ClientAnswer, String> {
        if let Some(why) = self.dropped() {
            self.record(&End::Cancelled(why.clone()), None);
            return Err(why);
        }
        let said = match said {
            AnswerText::Result(raw) if self.passes_unknown() => Ok(raw.to_owned()),
            AnswerText::Error(raw) if self.passes_unknown() => Err(raw.to_owned()),
            AnswerText::Result(raw) => Ok(known_result(self.method(), raw)),
            AnswerText::Error(raw) => Err(known_error(raw)),
        };
        let text = said.as_ref().unwrap_or_else(|error| error);
        self.record(&End::Answered { error: said.is_err() }, Some(text));
        Ok(ClientAnswer { said })
    }

    /// How far the client is with the question that this is the ticket of, under the server's own token (JSON). Its words are
    /// recorded.
    ///
    /// # Errors
    /// Why the server must not hear of it: a drop holds, or it tells no progress.
    pub async fn progress(&self, token: &str, notice: &Envelope) -> Result<FollowUp, String> {
        if let Some(why) = self.dropped() {
            return Err(why);
        }
        let params = notice.params().unwrap_or("{}");
        let number = |name: &str| member(params, name).filter(|raw| is_number(raw));
        let progress = number("progress").ok_or("`progress` is no number")?;
        let total = number("total").map(|total| format!(",\"total\":{total}")).unwrap_or_default();
        let words =
            member(params, "message").and_then(text).map(|words| Value::from(bounded(&words)).to_string());
        let told = words.as_ref().map(|words| format!(",\"message\":{words}")).unwrap_or_default();
        if let Some(words) = words {
            let args = format!("{{\"message\":{words}}}");
            let draft = Draft {
                method: Some("notifications/progress"),
                outcome: Some(Outcome::Allowed),
                ..self.draft(Kind::Decision)
            };
            let kept = self.admit().rules().values.keep(&args).map(std::borrow::Cow::into_owned);
            let draft = Draft { args: kept.as_deref(), ..draft };
            let recorded = self.admit().ledger().append(draft.write(), Vec::new(), Keep::Process).await;
            recorded.map_err(|failure| format!("it cannot be recorded: {failure}"))?;
        }
        let params = format!("{{\"progressToken\":{token},\"progress\":{progress}{total}{told}}}");
        Ok(FollowUp(notification("notifications/progress", &params)))
    }
}

fn is_number(raw: &str) -> bool {
    raw.len() <= NUMBER && raw.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

/// An answer with the members that answers to such a question have (schemas of 2024-11-05 to 2026-07-28).
fn known_result(method: &str, raw: &str) -> String {
    let names: &[&str] = match method {
        "sampling/createMessage" => &["role", "content", "model", "stopReason"],
        "elicitation/create" => &["action", "content"],
        "roots/list" => &["roots"],
        _ => &[],
    };
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        let Some(value) = member(raw, name) else { continue };
        match *name {
            "roots" => kept.push(format!("\"roots\":[{}]", roots(value).join(","))),
            name => kept.push(format!("\"{name}\":{value}")),
        }
    }
    let related = member(raw, "_meta").and_then(|it| member(it, portcullis_wire::meta::RELATED_TASK));
    let id = related.and_then(|it| member(it, "taskId")).filter(|id| id.starts_with('"'));
    kept.extend(
        id.map(|id| format!("\"_meta\":{{\"{}\":{{\"taskId\":{id}}}}}", portcullis_wire::meta::RELATED_TASK)),
    );
    format!("{{{}}}", kept.join(","))
}

fn roots(raw: &str) -> Vec<String> {
    let all: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
    let one = |root: &&RawValue| {
        let part = |name: &str| {
            let value = member(root.get(), name).filter(|value| value.starts_with('"'))?;
            Some(format!("\"{name}\":{value}"))
        };
        let parts: Vec<String> = [part("uri")?].into_iter().chain(part("name")).collect();
        Some(format!("{{{}}}", parts.join(",")))
    };
    all.iter().filter_map(one).collect()
}

fn known_error(raw: &str) -> String {
    let code = member(raw, "code").filter(|code| is_number(code)).unwrap_or("-32603");
    let message = member(raw, "message").and_then(text).unwrap_or_default();
    format!("{{\"code\":{code},\"message\":{}}}", Value::from(bounded(&message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_made_of_the_members_that_they_have() {
        let said = r#"{"role":"assistant","content":{"type":"text","text":"a"},"model":"m","vendor":"S1","_meta":{"x":"S2","io.modelcontextprotocol/related-task":{"taskId":"t","y":"S3"}}}"#;
        assert_eq!(
            known_result("sampling/createMessage", said),
            r#"{"role":"assistant","content":{"type":"text","text":"a"},"model":"m","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"}}}"#
        );
        let said = r#"{"roots":[{"uri":"file:///a","name":"a","x":"S1"},{"name":"S2"},"S3"],"more":"S4"}"#;
        assert_eq!(known_result("roots/list", said), r#"{"roots":[{"uri":"file:///a","name":"a"}]}"#);
        assert_eq!(known_result("vendor/ask", said), "{}");
        let said = format!(r#"{{"code":7,"message":"{}","data":"S1"}}"#, "x".repeat(5000));
        assert_eq!(known_error(&said), format!(r#"{{"code":7,"message":"{}"}}"#, "x".repeat(WORDS)));
    }

    #[test]
    fn a_cancellation_has_a_number_and_a_short_reason() {
        let told = FollowUp::cancelled(7, &"\"\n".repeat(5000));
        assert!(told.bytes().len() < 3 * WORDS && !told.bytes().contains(&b'\n'));
    }
}
