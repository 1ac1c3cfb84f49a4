//! What a request means: which upstream, and what it is called there.

use crate::asker::Asker;
use crate::gate::Gate;
use crate::names::{Names, is_exposed_as_is, split_name, split_uri};
use crate::session::Route;
use crate::tasks::target::is_about_a_task;
use crate::tasks::{self, Task};
use portcullis_catalogue::{List, ListKind};
use portcullis_upstreams::Upstream;
use portcullis_wire::{Envelope, Splice, member, text};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A request with its upstream, in the upstream's own names.
#[derive(Debug)]
pub(crate) struct Target {
    pub upstream: Arc<Upstream>,
    pub message: Envelope,
    /// The tool, prompt or resource in the upstream's own name; empty where the method names nothing.
    pub name: String,
    /// The task that it is about.
    pub task: Option<Arc<Task>>,
}

/// What the client asked for is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoTarget {
    /// The method is not one that this route can send anywhere.
    Method,
    /// The thing named is not there.
    Name(String),
    /// The task is not there, or not for this client.
    Task,
    /// The client did not declare that it knows tasks.
    Undeclared,
}

/// Finds the upstream that a request is for.
pub(crate) fn find(gate: &Gate, asker: &Asker, message: Envelope) -> Result<Target, NoTarget> {
    if is_about_a_task(&message) {
        return tasks::target::find(gate, asker, &message);
    }
    match &asker.route {
        Route::One(upstream) => {
            let name = named(&message).into_owned();
            let upstream = gate.upstream(upstream).ok_or_else(|| NoTarget::Name(upstream.to_string()))?;
            Ok(Target { upstream, message, name, task: None })
        }
        Route::All => aggregated(gate, asker, &message),
    }
}

/// What a request names, by its method.
pub(crate) fn named(message: &Envelope) -> Cow<'_, str> {
    let peek = message.peek();
    let raw = match message.method().unwrap_or_default() {
        "tools/call" | "prompts/get" => peek.name,
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => peek.uri,
        "completion/complete" => {
            let part = peek.reference.and_then(|raw| member(raw, "name").or_else(|| member(raw, "uri")));
            return part.and_then(text).unwrap_or_default();
        }
        _ => None,
    };
    raw.and_then(text).unwrap_or_default()
}

fn aggregated(gate: &Gate, asker: &Asker, message: &Envelope) -> Result<Target, NoTarget> {
    let peek = message.peek();
    let (raw, kind) = match message.method().unwrap_or_default() {
        "tools/call" => (peek.name, ListKind::Tools),
        "prompts/get" => (peek.name, ListKind::Prompts),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => (peek.uri, ListKind::Resources),
        "completion/complete" => {
            let reference = peek.reference.unwrap_or("{}");
            match member(reference, "name") {
                Some(name) => (Some(name), ListKind::Prompts),
                None => (member(reference, "uri"), ListKind::Resources),
            }
        }
        _ => return Err(NoTarget::Method),
    };
    let raw = raw.ok_or_else(|| NoTarget::Name(String::new()))?;
    let exposed = text(raw).ok_or_else(|| NoTarget::Name(raw.to_owned()))?;
    let missing = || NoTarget::Name(exposed.clone().into_owned());
    let (upstream, rest) = match kind {
        ListKind::Tools | ListKind::Prompts => {
            split_name(&exposed).map(|(upstream, rest)| (upstream, rest.into()))
        }
        ListKind::Resources | ListKind::Templates => split_uri(&exposed),
    }
    .ok_or_else(missing)?;
    let upstream = gate.upstream(upstream).ok_or_else(missing)?;
    if !gate.admit.covers(&asker.principal, upstream.name()) {
        return Err(missing());
    }
    let own = match kind {
        ListKind::Tools | ListKind::Prompts => own_name(&upstream, kind, &exposed, &rest),
        ListKind::Resources | ListKind::Templates => rest.into_owned(),
    };
    let mut splice = Splice::new(message.bytes());
    splice.replace(message.span_of(raw), Value::from(own.as_str()).to_string());
    // The strict walk was made on the same bytes but for this one string.
    let message = Envelope::reply(splice.finish()).map_err(|_| missing())?;
    Ok(Target { upstream, message, name: own, task: None })
}

/// The upstream's own name of what is exposed as `exposed`. A name that no list knows stands for itself, so
/// that the upstream is asked once more before it is refused.
fn own_name(upstream: &Upstream, kind: ListKind, exposed: &str, rest: &str) -> String {
    let lists: Vec<Arc<List>> = upstream.known_lists(kind);
    if is_exposed_as_is(upstream.name(), rest) && lists.iter().any(|list| list.get(rest).is_some()) {
        return rest.to_owned();
    }
    for list in lists {
        if let Some(item) =
            Names::of(upstream.name(), &list).find(exposed).and_then(|place| list.items().get(place))
        {
            return item.key().to_owned();
        }
    }
    rest.to_owned()
}
