//! Tasks that the gate makes itself: of calls that wait for a person, for clients that speak tasks. The call goes on as the same call,
//! and what it would have been answered is the task's result. What it asks of its client on the way is asked through the task.

mod answers;

pub(crate) use answers::answer;

use super::look::keep;
use super::task::State;
use super::{Task, Tasks};
use crate::gate::Gate;
use crate::rewrite::{is_error, with_meta};
use crate::streams::tell_of_task;
use parking_lot::Mutex;
use portcullis_ledger::now_ms;
use portcullis_runs::Run;
use portcullis_wire::{Envelope, Era, Id, STOPPED, Splice, member, meta, request, text};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::Arc;
use tokio::sync::oneshot;

/// How much of a failed call's answer its task tells, in characters.
const WORDS: usize = 500;
/// How much the answers of ended tasks may take together, in bytes; beyond that the oldest are let go.
const ANSWERS: usize = 64 << 20;

/// What only the gate knows of a task that it made itself.
#[derive(Debug)]
pub(crate) struct Ours {
    /// The call.
    pub run: Arc<Run>,
    part: Mutex<Part>,
}

#[derive(Debug, Default)]
struct Part {
    /// What the client was not asked, or has not answered, in the order of asking.
    questions: Vec<Question>,
    asked: usize,
    /// What the call was answered.
    answer: Option<Envelope>,
}

#[derive(Debug)]
struct Question {
    key: String,
    method: String,
    /// JSON.
    params: String,
    /// Whether a stream carries it.
    sent: bool,
    tell: oneshot::Sender<String>,
}

impl Ours {
    pub(crate) fn new(run: Arc<Run>) -> Self {
        Self { run, part: Mutex::default() }
    }

    /// What the call was answered, once it is over.
    pub(super) fn answer(&self) -> Option<Envelope> {
        self.part.lock().answer.clone()
    }

    /// Key, method and parameters of every question that has no answer.
    pub(super) fn questions(&self) -> Vec<(String, String, String)> {
        let part = self.part.lock();
        part.questions.iter().map(|it| (it.key.clone(), it.method.clone(), it.params.clone())).collect()
    }
}

impl Task {
    /// Puts a question to the client. Gives its key and where the answer will come, JSON.
    pub(crate) fn ask(&self, method: &str, params: &str) -> Option<(String, oneshot::Receiver<String>)> {
        let (tell, answer) = oneshot::channel();
        let mut part = self.ours()?.part.lock();
        part.asked += 1;
        // No key is ever used twice (the extension's specification, "Task Update Requests").
        let key = format!("question-{}", part.asked);
        let (method, params) = (method.to_owned(), self.about(method, params));
        part.questions.push(Question { key: key.clone(), method, params, sent: false, tell });
        Some((key, answer))
    }

    /// A question's parameters, as those of one that belongs to this task: in the core design they say so, and what a server's own
    /// task was named is not the client's concern.
    fn about(&self, method: &str, params: &str) -> String {
        let related = json!({ "taskId": &*self.id }).to_string();
        let Ok(question) = Envelope::reply(request(&Id::from(0), method, params)) else {
            return params.to_owned();
        };
        let question = match question.meta().related_task {
            Some(other) => {
                let mut splice = Splice::new(question.bytes());
                splice.replace(question.span_of(other), related);
                Envelope::reply(splice.finish()).unwrap_or(question.clone())
            }
            None if self.design == Era::Old => with_meta(&question, &[(meta::RELATED_TASK, &related)]),
            None => question,
        };
        question.params().unwrap_or(params).to_owned()
    }

    /// Takes the answer to a question, or takes the question back where there is none. What is not asked is passed over.
    pub(crate) fn answered(&self, key: &str, answer: Option<String>) {
        let Some(ours) = self.ours() else { return };
        let question = {
            let mut part = ours.part.lock();
            let place = part.questions.iter().position(|question| question.key == key);
            place.map(|place| part.questions.remove(place))
        };
        let Some(question) = question else { return };
        if let Some(answer) = answer {
            let _ = question.tell.send(answer);
        }
        self.news();
    }

    /// A question that no stream carries yet; from now on one does.
    fn next_question(&self) -> Option<(String, String, String)> {
        let mut part = self.ours()?.part.lock();
        let question = part.questions.iter_mut().find(|question| !question.sent)?;
        question.sent = true;
        Some((question.key.clone(), question.method.clone(), question.params.clone()))
    }

    /// The keys of its questions: each was judged before it was put here.
    fn question_keys(&self) -> Vec<String> {
        let questions = self.ours().map(Ours::questions).unwrap_or_default();
        questions.into_iter().map(|(key, _, _)| key).collect()
    }

    /// The stream that carried a question has ended.
    fn not_sent(&self, key: &str) {
        let Some(ours) = self.ours() else { return };
        if let Some(question) = ours.part.lock().questions.iter_mut().find(|question| question.key == key) {
            question.sent = false;
        }
        self.news();
    }

    /// Whether such a question has no answer yet.
    fn asks(&self, such: impl Fn(&Question) -> bool) -> bool {
        self.ours().is_some_and(|ours| ours.part.lock().questions.iter().any(such))
    }

    fn size_of_answer(&self) -> usize {
        self.ours().and_then(Ours::answer).map_or(0, |answer| answer.bytes().len())
    }
}

/// A task of the gate's own goes on, or asks something else than before: `why` says what it waits for. Those who listen hear of it.
pub(crate) async fn goes_on(gate: &Arc<Gate>, task: &Arc<Task>, why: Option<String>) {
    if task.state().is_final() {
        return;
    }
    let state = if task.asks(|_| true) { State::InputRequired } else { State::Working };
    if task.turn(state, why, now_ms()) {
        keep(gate, task, None).await;
    }
    tell_of_task(gate, task, &task.in_full(), &task.question_keys());
}

/// The call is over: its answer is the task's. Without one it was ended before, `why` says by whom.
pub(crate) async fn ends(gate: &Arc<Gate>, task: &Arc<Task>, answer: Option<Envelope>, why: &str) {
    let code = answer.as_ref().and_then(Envelope::error).and_then(|error| member(error, "code"));
    let said = answer.as_ref().and_then(Envelope::error).and_then(|error| member(error, "message"));
    let said = said.and_then(text).map(std::borrow::Cow::into_owned);
    let (state, why) = match &answer {
        None => (State::Cancelled, Some(why.to_owned())),
        Some(_) if code == Some(STOPPED.to_string().as_str()) => (State::Cancelled, said),
        Some(answer) if answer.error().is_some() => (State::Failed, said),
        // There a result that is an error is a failure (2025-11-25, "Task Status"), in the extension it is not.
        Some(answer) if task.design == Era::Old && is_error(answer) => (State::Failed, first_words(answer)),
        Some(_) => (State::Completed, None),
    };
    if let Some(ours) = task.ours() {
        let mut part = ours.part.lock();
        part.questions.clear();
        part.answer = answer.filter(|_| state != State::Cancelled && !task.state().is_final());
    }
    end_as(gate, task, state, why).await;
    gate.tasks.bound_answers(gate).await;
}

/// The first text of a tool's result, as far as it is short: not every client asks for the result of what has failed.
fn first_words(answer: &Envelope) -> Option<String> {
    let content: Vec<&RawValue> = serde_json::from_str(member(answer.result()?, "content")?).ok()?;
    let words = content.iter().find_map(|block| member(block.get(), "text").and_then(text))?;
    Some(words.chars().take(WORDS).collect())
}

async fn end_as(gate: &Arc<Gate>, task: &Arc<Task>, state: State, why: Option<String>) {
    if task.turn(state, why, now_ms()) {
        keep(gate, task, Some(task.record(&task.told()))).await;
        tell_of_task(gate, task, &task.in_full(), &task.question_keys());
    }
}

impl Tasks {
    /// Lets the oldest answers go where there are too many bytes of them.
    async fn bound_answers(&self, gate: &Gate) {
        let mut ended = self.all();
        ended.retain(|task| task.state().is_final());
        let mut size: usize = ended.iter().map(|task| task.size_of_answer()).sum();
        for task in ended {
            if size <= ANSWERS {
                return;
            }
            size -= task.size_of_answer();
            self.let_go(gate.ledger(), &task).await;
        }
    }
}
