//! A call that is entered among those in flight, until it is judged: its server is waited for, its tool looked up.
//!
//! All of this belongs to the call itself. In the old era it goes on when the client's connection closes, and
//! whatever ends it here is recorded.

use crate::asker::Asker;
use crate::call::{About, Call, as_task, denial, with_tasks};
use crate::gate::Gate;
use crate::headers;
use crate::links::{self, Chosen};
use crate::outlet::{Outlet, left, saying};
use crate::rewrite::{Known, with_meta, without_modern_meta};
use crate::tasks::Task;
use http::StatusCode;
use portcullis_admit::{Message, Stopping};
use portcullis_catalogue::{List, ListKind};
use portcullis_runs::OpenRun;
use portcullis_upstreams::{ListFailed, Upstream};
use portcullis_wire::{
    Envelope, Era, HEADER_MISMATCH, MODERN, STOPPED, Splice, UPSTREAM_FAILED, error_response, meta,
};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// A call that a cancellation finds.
pub(crate) struct Entered {
    pub gate: Arc<Gate>,
    pub asker: Arc<Asker>,
    pub upstream: Arc<Upstream>,
    pub message: Envelope,
    /// The tool, prompt or resource in the upstream's own name.
    pub name: String,
    pub calls_a_tool: bool,
    /// The task that it is about.
    pub task: Option<Arc<Task>>,
    pub open: OpenRun,
    pub known: Known,
    pub outlet: Outlet,
}

/// Why a call came no further than here.
enum Stopped {
    Dropped(String),
    Unreached(String),
    Cancelled(String),
}

impl Entered {
    /// Takes the call all the way.
    pub(crate) async fn run(self) {
        // Also while its stream is read, and when the connection that brought it has closed.
        let _in_use = self.asker.session.as_ref().map(|session| session.enter());
        if let Some(mut call) = self.prepared().await {
            call.run().await;
        }
    }

    /// The call as it can be judged; `None` where it is over.
    async fn prepared(mut self) -> Option<Call> {
        let (chosen, list) = match self.reach().await {
            Ok(reached) => reached,
            Err(stopped) => {
                Box::pin(self.stopped(stopped)).await;
                return None;
            }
        };
        let about = match list {
            Some(list) => About::Tool(list, self.name),
            None if self.calls_a_tool => About::UnknownTool(self.name),
            None => About::Other(self.name),
        };
        let headers = match outgoing_headers(&self.asker, &self.upstream, &chosen, &about, &self.message) {
            Ok(headers) => headers,
            Err(why) => {
                let (who, id) = (&self.asker.principal, &self.known.id);
                self.gate.admit.refused(who, Some(self.upstream.name()), Some(id), &why).await;
                let text = error_response(Some(id), HEADER_MISMATCH, &why, &Value::Null);
                self.open.over();
                self.outlet.finish(StatusCode::BAD_REQUEST, saying(text));
                return None;
            }
        };
        let list = match &about {
            About::Tool(list, _) => Some(&**list),
            _ => None,
        };
        let (message, waits) = match self.calls_a_tool {
            true => as_task(&self.asker, &chosen.link, list, about.name(), self.message),
            false => (self.message, false),
        };
        let message = match (self.asker.era, chosen.link.era()) {
            (Era::Old, Era::New) => modernised(&self.gate, &self.asker, &self.upstream, &chosen, &message),
            (Era::New, Era::New) => with_what_may_be_asked(&self.gate, &self.asker, &self.upstream, message),
            (Era::New, Era::Old) => without_modern_meta(&message),
            (Era::Old, Era::Old) => message,
        };
        Some(Call {
            gate: self.gate,
            asker: self.asker,
            upstream: self.upstream,
            chosen,
            message: Message { envelope: message, headers },
            about,
            task: self.task,
            waits,
            waits_for: None,
            open: self.open,
            known: self.known,
            outlet: Some(self.outlet),
            stopping: Stopping::default(),
            asked_user: false,
            as_task: None,
            elsewhere: None,
        })
    }

    /// The link to the server and, for a tool that it lists, the list. Waits no longer than anybody wants it.
    async fn reach(&mut self) -> Result<(Chosen, Option<Arc<List>>), Stopped> {
        let Self { gate, asker, upstream, open, outlet, task, .. } = self;
        let limits = &upstream.spec().limits;
        let patience = limits.first_connect + limits.call;
        // Its server may be stopped, and is not waited for.
        if let Some(why) = gate.admit.drops().holds(asker.principal.name(), upstream.name()) {
            return Err(Stopped::Dropped(why));
        }
        let reached = async {
            let chosen = match task {
                Some(task) => links::of_task_for(gate, asker, upstream, task).await,
                None => links::choose(gate, asker, upstream).await,
            };
            let chosen = chosen.map_err(|unavailable| Stopped::Unreached(unavailable.to_string()))?;
            if !self.calls_a_tool {
                return Ok((chosen, None));
            }
            let list = look_up(upstream, &chosen, &self.name).await;
            let list = list.map_err(|failed| Stopped::Unreached(no_list(upstream, &failed)))?;
            Ok((chosen, list))
        };
        tokio::select! {
            biased;
            reached = reached => reached,
            () = open.cancelled().cancelled() => Err(Stopped::Cancelled(open.reason().to_owned())),
            () = left(Some(outlet), asker.era) => Err(Stopped::Cancelled("the client closed the stream".into())),
            () = tokio::time::sleep(patience) => Err(Stopped::Unreached(format!(
                "the upstream `{}` was not ready for the call within {} s",
                upstream.name(),
                patience.as_secs_f64()
            ))),
        }
    }

    /// Records why the call was not even judged, and says so to a client that wants to know.
    async fn stopped(self, stopped: Stopped) {
        let (who, id, upstream) = (&self.asker.principal, &self.known.id, self.upstream.name());
        match stopped {
            Stopped::Dropped(message) => {
                let denied = self.gate.admit.dropped(who, upstream, &self.name, id, message).await;
                let text = denial(id, self.asker.era, self.calls_a_tool, &denied);
                self.open.over();
                self.outlet.finish(StatusCode::OK, saying(text));
            }
            Stopped::Cancelled(why) => {
                let run = self.open.run().id.as_str();
                self.gate.admit.cancelled(who, upstream, &self.name, id, run, &why).await;
                // A client that asked for it gets no answer any more.
                if self.open.by_operator() {
                    let text = error_response(Some(id), STOPPED, &why, &Value::Null);
                    self.open.over();
                    self.outlet.finish(StatusCode::OK, saying(text));
                }
            }
            Stopped::Unreached(why) => {
                self.gate.admit.unavailable(who, upstream, &self.name, id, &why).await;
                let text = error_response(Some(id), UPSTREAM_FAILED, &why, &Value::Null);
                self.open.over();
                self.outlet.finish(StatusCode::OK, saying(text));
            }
        }
    }
}

/// The list that has a tool. Where none does, the server is asked for it once more.
///
/// # Errors
/// There is no list: whether the tool is there cannot be told.
pub(crate) async fn look_up(
    upstream: &Upstream,
    chosen: &Chosen,
    name: &str,
) -> Result<Option<Arc<List>>, ListFailed> {
    let has = |list: &Arc<List>| list.get(name).is_some();
    let known = upstream.list(ListKind::Tools, &chosen.link).await;
    if let Ok(list) = &known
        && has(list)
    {
        return Ok(Some(list.clone()));
    }
    match (upstream.list_again(ListKind::Tools, &chosen.link).await, known) {
        (Ok(list), _) => Ok(Some(list).filter(has)),
        (Err(_), Ok(_)) => Ok(None),
        (Err(failed), Err(_)) => Err(failed),
    }
}

/// What is said of a server that offers tools and gives no list of them.
fn no_list(upstream: &Upstream, failed: &ListFailed) -> String {
    format!("the tools of the upstream `{}` are unavailable: {failed}", upstream.name())
}

/// Headers that go with a call: those that the configuration passes on, and the mirrored arguments.
fn outgoing_headers(
    asker: &Asker,
    upstream: &Upstream,
    chosen: &Chosen,
    about: &About,
    message: &Envelope,
) -> Result<Vec<(String, String)>, String> {
    let mut out: Vec<(String, String)> = upstream
        .spec()
        .forward_headers
        .iter()
        .filter_map(|name| Some((name.clone(), asker.headers.get(name)?.to_str().ok()?.to_owned())))
        .collect();
    let tool = match about {
        About::Tool(list, name) => list.get(name).and_then(|item| item.tool()),
        _ => None,
    };
    let arguments = message.peek().arguments.unwrap_or("{}");
    if asker.era == Era::New && !asker.is_stdio {
        if let Some(tool) = tool {
            headers::check(tool, arguments, &asker.headers)?;
            out.extend(headers::forwarded(tool, &asker.headers));
        }
    } else if let (Some(tool), Era::New) = (tool, chosen.link.era()) {
        out.extend(headers::mirrored(tool, arguments));
    }
    Ok(out)
}

/// A request of the new era as its server may have it: it asks its client for nothing that the policy does not let it ask for.
fn with_what_may_be_asked(gate: &Gate, asker: &Asker, upstream: &Upstream, message: Envelope) -> Envelope {
    let declared = message.meta().capabilities.unwrap_or("{}");
    match links::asked_for(gate, asker, upstream, declared) {
        Cow::Borrowed(_) => message,
        Cow::Owned(offered) => {
            let mut splice = Splice::new(message.bytes());
            splice.replace(message.span_of(declared), offered);
            Envelope::reply(splice.finish()).unwrap_or_else(|_| Envelope::nothing())
        }
    }
}

/// A request of the old era as the new one writes it.
fn modernised(
    gate: &Gate,
    asker: &Asker,
    upstream: &Upstream,
    chosen: &Chosen,
    message: &Envelope,
) -> Envelope {
    let level = asker.session.as_ref().and_then(|session| session.log_level.lock().clone());
    let version = format!("\"{MODERN}\"");
    let offered = match chosen.link.is_shared() {
        // A shared link was opened with no client features, but each request of the new era brings its own.
        true => links::routable(&asker.capabilities),
        false => chosen.link.offered().to_owned(),
    };
    let offered = links::asked_for(gate, asker, upstream, &offered);
    // The gate waits for tasks in the client's place.
    let offered = if chosen.link.declares_tasks() { with_tasks(&offered) } else { offered.into_owned() };
    let mut members = vec![
        (meta::VERSION, version.as_str()),
        (meta::CAPABILITIES, offered.as_str()),
        (meta::CLIENT, &asker.client_info),
    ];
    if let Some(level) = &level {
        members.push((meta::LOG_LEVEL, level));
    }
    with_meta(message, &members)
}
