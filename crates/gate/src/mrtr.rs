//! Questions of servers across the eras.
//!
//! The old era asks while a call runs; the new era ends the call with what it wants to know and is called
//! again with the answers ("Multi Round-Trip Requests"). For a client of the new era at an old server the call
//! is parked: the client gets an input-required result whose `requestState` is a random handle of ours, and
//! its retry wakes the parked call. For a client of the old era at a new server the gate asks the client and
//! makes the retry itself.

use crate::asked::Question;
use crate::call::Call;
use crate::outlet::{Outlet, saying};
use data_encoding::BASE32_NOPAD;
use http::StatusCode;
use memchr::memmem::Finder;
use portcullis_admit::{AnswerText, ClientAnswers, End, InputRequest, InputRequests};
use portcullis_wire::{Envelope, Id, member, result_response, text};
use serde_json::{Value, json};
use std::sync::LazyLock;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The key of the one question that a parked call puts.
const KEY: &str = "question";

/// Whether an answer wants more input instead of being the result.
pub(crate) fn asks_for_input(message: &Envelope) -> bool {
    static NAME: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"input_required"));
    NAME.find(message.bytes()).is_some()
        && message.result().and_then(|result| member(result, "resultType")) == Some("\"input_required\"")
}

/// What a server of the new era wants to know.
#[derive(Debug)]
pub(crate) struct Inputs {
    pub requests: Vec<InputRequest>,
    /// What the retry must bring back, JSON.
    state: Option<String>,
}

impl Inputs {
    /// One question, under a key: its method and its parameters as JSON.
    pub(crate) fn one(key: &str, method: &str, params: String) -> Self {
        let request = InputRequest { key: key.to_owned(), method: method.to_owned(), params };
        Self { requests: vec![request], state: None }
    }

    pub(crate) fn of(message: &Envelope) -> Self {
        let result = message.result().unwrap_or("{}");
        Self {
            requests: InputRequests::of(message).plain(),
            state: member(result, "requestState").map(str::to_owned),
        }
    }

    /// The call once more, with the answers.
    pub(crate) fn retry(&self, call: &Envelope, answers: &ClientAnswers) -> Envelope {
        let mut members = vec![("inputResponses", answers.json())];
        if let Some(state) = &self.state {
            members.push(("requestState", state));
        }
        crate::rewrite::with_params(call, &members)
    }
}

/// A call that waits for its client to come back with an answer.
#[derive(Debug)]
pub(crate) struct Parked {
    grant: String,
    upstream: String,
    name: String,
    arguments: String,
    until: Instant,
    wake: oneshot::Sender<Woken>,
}

impl Parked {
    pub(crate) fn is_over(&self) -> bool {
        self.wake.is_closed() || Instant::now() >= self.until
    }
}

/// The client's retry.
#[derive(Debug)]
pub(crate) struct Woken {
    /// Its answer to the question, JSON; absent where it brought none.
    answer: Option<String>,
    id: Id,
    progress: Option<String>,
    outlet: Outlet,
}

impl Call {
    /// Hands an old server's question to a client of the new era and waits for its retry. Gives the end of
    /// the call where there is none.
    pub(crate) async fn park(
        &mut self,
        question: Question,
        message: &Envelope,
        deadline: Instant,
    ) -> Option<End> {
        let method = message.method().unwrap_or_default().to_owned();
        let params: Value =
            message.params().and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or(json!({}));
        let Some(answer) = self.retried(&method, &params, deadline).await else {
            let why = "the client did not come back with an answer";
            question.give_up(why).await;
            return Some(End::Cancelled(why.into()));
        };
        match answer {
            Some(answer) => question.answer(AnswerText::Result(&answer)).await,
            None => question.give_up("the client brought no answer").await,
        }
        None
    }

    /// The answer of a client of the new era to a question of the gate itself; `None` where it brings none.
    pub(crate) async fn ask_and_park(
        &mut self,
        method: &str,
        params: &Value,
        until: Instant,
    ) -> Option<String> {
        self.retried(method, params, until).await.flatten()
    }

    /// Ends the request with a question, and waits for the client to make it again with the answer, which it may leave out. From
    /// then on the call answers that request. `None` where the client does not come back.
    async fn retried(&mut self, method: &str, params: &Value, deadline: Instant) -> Option<Option<String>> {
        let mut random = [0; 20];
        getrandom::fill(&mut random).ok()?;
        let handle = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        let (wake, woken) = oneshot::channel();
        let parked = Parked {
            grant: self.asker.principal.name().to_owned(),
            upstream: self.upstream.name().to_string(),
            name: crate::target::named(&self.message.envelope).into_owned(),
            arguments: arguments_of(&self.message.envelope),
            until: deadline,
            wake,
        };
        self.gate.parked.lock().insert(handle.clone(), parked);
        let result = json!({
            "resultType": "input_required",
            "inputRequests": { KEY: { "method": method, "params": params } },
            "requestState": handle,
        });
        if let Some(outlet) = self.outlet.take() {
            let text = result_response(&self.known.id, &result.to_string());
            outlet.finish(StatusCode::OK, saying(text));
        }
        let woken = tokio::select! {
            woken = woken => woken.ok(),
            () = self.open.cancelled().cancelled() => None,
            () = tokio::time::sleep_until(deadline) => None,
        };
        self.gate.parked.lock().remove(&handle);
        let woken = woken?;
        self.known.id = woken.id;
        self.known.progress = woken.progress;
        self.outlet = Some(woken.outlet);
        Some(woken.answer)
    }
}

fn arguments_of(message: &Envelope) -> String {
    message.peek().arguments.unwrap_or("{}").to_owned()
}

/// Wakes the parked call that a retry belongs to. Gives the outlet back where there is none: the retry of
/// another grant, about other arguments, of an unknown or an old handle is no retry of ours.
pub(crate) fn wake(
    gate: &crate::gate::Gate,
    grant: &str,
    upstream: &str,
    message: &Envelope,
    progress: Option<String>,
    outlet: Outlet,
) -> Result<(), Outlet> {
    let peek = message.peek();
    let Some(state) = peek.request_state.and_then(text) else { return Err(outlet) };
    let Some(id) = message.id().cloned() else { return Err(outlet) };
    let name = crate::target::named(message);
    let mut parked = gate.parked.lock();
    let matches = parked.get(&*state).is_some_and(|parked| {
        parked.grant == grant
            && parked.upstream == upstream
            && parked.name == name
            && parked.arguments == arguments_of(message)
            && !parked.is_over()
    });
    if !matches {
        return Err(outlet);
    }
    let Some(call) = parked.remove(&*state) else { return Err(outlet) };
    let answer = peek.input_responses.and_then(|raw| member(raw, KEY)).map(str::to_owned);
    call.wake.send(Woken { answer, id, progress, outlet }).map_err(|woken| woken.outlet)
}
