//! Where ids of tasks stand in messages, and putting one in another's place. Every other byte stays as it came.

use super::{Task, Tasks};
use memchr::memmem::{self, Finder};
use portcullis_upstreams::Link;
use portcullis_wire::{Envelope, Era, Kind, Splice, member, meta, text};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The shortest id that is looked for in the text of an error: shorter ones are words and numbers of their own.
const WORD: usize = 4;

/// Whether a message may speak of a task. A search of the bytes: most do not, and need not be read for it.
pub(crate) fn mentions(message: &Envelope) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\"taskId\""));
    NAME.find(message.bytes()).is_some()
}

/// A task that is the answer to a call.
pub(crate) struct MadeTask<'a> {
    /// The design, by the era that has it.
    pub design: Era,
    /// Its id as the server wrote it, JSON.
    pub id: &'a str,
    /// The whole task object.
    pub object: &'a str,
}

/// The task that a server made of a call, where it answered with one: `task` in the result of the core design, the
/// result itself with `resultType` in the extension.
pub(crate) fn made(message: &Envelope) -> Option<MadeTask<'_>> {
    let result = message.result()?;
    if member(result, "resultType") == Some("\"task\"") {
        return Some(MadeTask { design: Era::New, id: member(result, "taskId")?, object: result });
    }
    let object = member(result, "task").filter(|task| task.starts_with('{'))?;
    if member(result, "content").is_some() {
        return None;
    }
    Some(MadeTask { design: Era::Old, id: member(object, "taskId")?, object })
}

/// The id in `_meta` of an object that belongs to a task.
fn related(object: &str) -> Option<&str> {
    member(member(member(object, "_meta")?, meta::RELATED_TASK)?, "taskId")
}

/// Every place in a message where the id of a server's task stands.
fn places(message: &Envelope) -> Vec<&str> {
    let mut found = Vec::new();
    match message.kind() {
        Kind::Response => {
            let result = message.result().unwrap_or("{}");
            found.extend(member(result, "taskId"));
            found.extend(member(result, "task").and_then(|task| member(task, "taskId")));
            found.extend(related(result));
            found.extend(member(result, "result").and_then(related));
            let asked =
                member(result, "inputRequests").map(serde_json::from_str::<BTreeMap<String, &RawValue>>);
            for question in asked.and_then(Result::ok).unwrap_or_default().into_values() {
                found.extend(member(question.get(), "params").and_then(related));
            }
        }
        // A server's own requests about tasks are about the client's.
        Kind::Request => found.extend(message.params().and_then(related)),
        Kind::Notification => {
            let params = message.params().unwrap_or("{}");
            if message.method().is_some_and(|method| method.starts_with("notifications/tasks")) {
                found.extend(member(params, "taskId"));
            }
            found.extend(related(params));
        }
    }
    found
}

fn replaced(message: &Envelope, edits: Vec<(&str, String)>) -> Envelope {
    let mut splice = Splice::new(message.bytes());
    for (place, text) in edits {
        splice.replace(message.span_of(place), text);
    }
    Envelope::reply(splice.finish()).unwrap_or_else(|_| message.clone())
}

fn quoted(id: &str) -> String {
    Value::from(id).to_string()
}

/// A server's answer about one task under the id that its client knows.
pub(crate) fn answer_about(task: &Task, message: &Envelope) -> Envelope {
    if let Some(error) = message.error() {
        let said = replace_word(error, &task.theirs, &task.id);
        return replaced(message, vec![(error, said)]);
    }
    let own = |place: &&str| text(place).is_some_and(|id| *id == *task.theirs);
    let ids = places(message).into_iter().filter(own).map(|place| (place, quoted(&task.id)));
    let result = message.result().unwrap_or("{}");
    let said = [Some(result), member(result, "task")].into_iter().flatten();
    let said = said.filter_map(|object| member(object, "statusMessage"));
    let said = said.map(|place| (place, replace_word(place, &task.theirs, &task.id)));
    replaced(message, ids.chain(said).collect())
}

/// Replaces a word wherever it stands alone.
pub(super) fn replace_word(json: &str, word: &str, by: &str) -> String {
    if word.len() < WORD {
        return json.to_owned();
    }
    let part_of_a_word = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let (bytes, mut out, mut at) = (json.as_bytes(), String::with_capacity(json.len()), 0);
    for found in memmem::find_iter(bytes, word.as_bytes()) {
        let before = found.checked_sub(1).and_then(|before| bytes.get(before));
        if found < at || part_of_a_word(before) || part_of_a_word(bytes.get(found + word.len())) {
            continue;
        }
        out.push_str(json.get(at..found).unwrap_or_default());
        out.push_str(by);
        at = found + word.len();
    }
    out.push_str(json.get(at..).unwrap_or_default());
    out
}

/// What a client may hear of something that a server said.
pub(crate) enum Shown {
    /// This.
    Message(Envelope),
    /// Nothing: it is about a task that is not known, or not this client's.
    Nothing,
}

/// What a server says, with the ids that this grant knows.
pub(crate) fn shown(
    tasks: &Tasks,
    upstream: &Arc<str>,
    owner: &str,
    link: Option<&Arc<Link>>,
    message: &Envelope,
) -> Shown {
    if !mentions(message) {
        return Shown::Message(message.clone());
    }
    let mut edits = Vec::new();
    for place in places(message) {
        let task = text(place).and_then(|id| tasks.theirs(upstream, owner, link, &id));
        match task {
            Some(task) => {
                // A change that the server tells of is looked at at once.
                if message.kind() == Kind::Notification {
                    task.nudged.notify_one();
                    let said = message.params().and_then(|params| member(params, "statusMessage"));
                    edits.extend(said.map(|place| (place, replace_word(place, &task.theirs, &task.id))));
                }
                edits.push((place, quoted(&task.id)));
            }
            None => return Shown::Nothing,
        }
    }
    Shown::Message(if edits.is_empty() { message.clone() } else { replaced(message, edits) })
}

/// What a client says, with the ids that the server knows: of tasks that are this grant's.
pub(crate) fn back(tasks: &Tasks, owner: &str, message: &Envelope) -> Envelope {
    let place = match message.kind() {
        Kind::Response => message.result().filter(|_| mentions(message)).and_then(related),
        Kind::Request | Kind::Notification => {
            message.meta().related_task.and_then(|object| member(object, "taskId"))
        }
    };
    let task = place.and_then(text).and_then(|id| tasks.find(owner, &id));
    match (place, task) {
        (Some(place), Some(task)) => replaced(message, vec![(place, quoted(&task.theirs))]),
        _ => message.clone(),
    }
}

/// A client's request about a task under the id that the server knows.
pub(crate) fn request_about(task: &Task, message: &Envelope) -> Envelope {
    match message.peek().task_id {
        Some(place) => replaced(message, vec![(place, quoted(&task.theirs))]),
        None => message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn read(text: &'static str) -> Envelope {
        Envelope::reply(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_task_is_known_by_the_form_of_either_design() {
        let core = read(r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"a","status":"working"}}}"#);
        let extension = read(r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"b"}}"#);
        assert_eq!(made(&core).map(|made| (made.design, made.id)), Some((Era::Old, "\"a\"")));
        assert_eq!(made(&extension).map(|made| (made.design, made.id)), Some((Era::New, "\"b\"")));
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"task":{"taskId":"a"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","taskId":"a"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"structuredContent":{"taskId":"a"},"content":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"taskId"}}"#,
        ] {
            assert!(made(&read(other)).is_none(), "{other}");
        }
    }

    #[test]
    fn every_place_where_the_id_of_a_task_stands_is_found_and_no_other() {
        let answer = read(
            r#"{"jsonrpc":"2.0","id":1,"result":{"taskId":"1","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"2"}},
            "result":{"structuredContent":{"taskId":"no"},"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"3"}}},
            "inputRequests":{"k":{"params":{"taskId":"no","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"4"}}}}}}}"#,
        );
        assert_eq!(places(&answer), ["\"1\"", "\"2\"", "\"3\"", "\"4\""]);
        let own = read(r#"{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"the client's"}}"#);
        assert_eq!(places(&own), [""; 0]);
        let notice =
            read(r#"{"jsonrpc":"2.0","method":"notifications/tasks/status","params":{"taskId":"5"}}"#);
        assert_eq!(places(&notice), ["\"5\""]);
    }

    #[test]
    fn an_id_in_a_text_is_replaced_where_it_stands_alone() {
        assert_eq!(replace_word("no task-1, task-11 or task-1", "task-1", "t_x"), "no t_x, task-11 or t_x");
        assert_eq!(replace_word("1 of 1", "1", "t_x"), "1 of 1");
    }
}
