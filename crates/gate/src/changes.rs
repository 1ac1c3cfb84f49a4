//! Lists that change: who hears of it.

use crate::gate::Gate;
use crate::listing::sees;
use crate::names::expose_uri;
use crate::outlet::{carrying, saying};
use crate::session::{Route, Session};
use crate::streams::tell_listeners;
use crate::tasks::message::{Shown, shown};
use portcullis_admit::{Principal, Questions};
use portcullis_catalogue::{List, ListKind};
use portcullis_upstreams::{Change, Upstream};
use portcullis_wire::{Envelope, notification, text};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Changes that come within this time are one.
const TOGETHER: Duration = Duration::from_millis(50);
/// The same for a server that says without end that something changed: it must not keep the gate busy with its lists.
const AT_MOST: Duration = Duration::from_secs(5);

/// The list that a notification says has changed.
pub(crate) fn kind_of(notice: &Envelope) -> Option<ListKind> {
    let method = notice.method().filter(|method| method.ends_with("list_changed"))?;
    ListKind::ALL.into_iter().find(|kind| kind.changed() == method)
}

/// Follows an upstream for as long as it is one of the gate's.
pub(crate) fn watch(gate: &Arc<Gate>, upstream: &Arc<Upstream>) {
    tokio::spawn(watch_lists(Arc::downgrade(gate), Arc::downgrade(upstream)));
    tokio::spawn(watch_notices(Arc::downgrade(gate), Arc::downgrade(upstream)));
}

async fn watch_lists(gate: std::sync::Weak<Gate>, upstream: std::sync::Weak<Upstream>) {
    let Some(mut changes) = upstream.upgrade().map(|upstream| upstream.watch_lists()) else { return };
    let mut seen = Seen::default();
    let (mut together, mut told) = (TOGETHER, None);
    loop {
        let mut which: HashMap<&'static str, Change> = HashMap::new();
        let mut note = |change: Change| {
            // Resources and templates share one notification.
            let entry = which.entry(change.kind.changed()).or_insert(change);
            entry.said |= change.said;
        };
        match changes.recv().await {
            Ok(change) => note(change),
            Err(RecvError::Lagged(_)) => {
                ListKind::ALL.into_iter().for_each(|kind| note(Change { kind, said: true }));
            }
            Err(RecvError::Closed) => return,
        }
        let is_again = told.is_some_and(|told: Instant| told.elapsed() < together * 4);
        together = if is_again { (together * 2).min(AT_MOST) } else { TOGETHER };
        tokio::time::sleep(together).await;
        while let Ok(change) = changes.try_recv() {
            note(change);
        }
        let (Some(gate), Some(upstream)) = (gate.upgrade(), upstream.upgrade()) else { return };
        for change in which.into_values() {
            announce(&gate, &upstream, change, &mut seen).await;
        }
        told = Some(Instant::now());
    }
}

/// What each grant's view of each list looked like when it was last compared.
#[derive(Default)]
struct Seen(HashMap<(String, ListKind), Option<u64>>);

/// Tells everyone whose own view of the list differs from before.
async fn announce(gate: &Arc<Gate>, upstream: &Arc<Upstream>, change: Change, seen: &mut Seen) {
    let kind = change.kind;
    let list = match upstream.status().state {
        portcullis_upstreams::State::Ready => match upstream.ready().await {
            Ok(link) => upstream.list(kind, &link).await.ok(),
            Err(_) => None,
        },
        _ => None,
    };
    for grant in gate.grants().all() {
        let who = Principal { grant: grant.clone(), client: Arc::default(), history: None };
        let view = list.as_ref().map(|list| View::of(gate, &who, upstream, kind, list));
        let whole = view.as_ref().is_some_and(|view| view.whole);
        let view = view.map(|view| view.hash);
        let before = seen.0.insert((grant.name.clone(), kind), view);
        // Whoever sees everything hears what the server says; whoever sees a part only what shows there, where
        // that can be compared. The first look at the tools is nobody's change unless somebody says so, other
        // lists may have been told before it.
        let changed = if change.said && whole {
            true
        } else {
            before.map_or(change.said || kind != ListKind::Tools, |before| before != view)
        };
        if changed {
            tell(gate, &grant.name, upstream, kind);
        }
    }
}

/// What one grant sees of a list.
struct View {
    hash: u64,
    /// Whether it sees all of it.
    whole: bool,
}

impl View {
    fn of(gate: &Gate, who: &Principal, upstream: &Upstream, kind: ListKind, list: &List) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut whole = true;
        for item in list.items() {
            let visible = sees(gate, who, upstream, kind, item);
            if visible {
                item.raw().hash(&mut hasher);
            }
            whole &= visible;
        }
        Self { hash: hasher.finish(), whole }
    }
}

fn tell(gate: &Gate, grant: &str, upstream: &Upstream, kind: ListKind) {
    let notice = notification(kind.changed(), "{}");
    for session in gate.sessions.all() {
        if session.grant == grant && concerns(&session, upstream.name()) {
            session.push(&saying(notice.clone()));
        }
    }
    tell_listeners(gate, grant, upstream.name(), kind);
}

fn concerns(session: &Session, upstream: &Arc<str>) -> bool {
    match &session.route {
        Route::All => true,
        Route::One(name) => name == upstream,
    }
}

/// Passes what a server says of a task on a shared link to the sessions of whoever owns the task.
fn tell_of_task(gate: &Gate, upstream: &Upstream, notice: &Envelope) {
    let Some(theirs) = notice.peek().task_id.and_then(text) else { return };
    for task in gate.tasks.all_of(upstream.name(), &theirs) {
        let Shown::Message(notice) = shown(&gate.tasks, upstream.name(), &task.owner, None, notice) else {
            continue;
        };
        let Some(authority) = task.authority(gate) else { continue };
        let released = authority.release(&notice, Questions::None, |notice| Some(notice.bytes().clone()));
        let Ok(Some(release)) = released else { continue };
        for session in gate.sessions.all() {
            if *session.grant == *task.owner && concerns(&session, upstream.name()) {
                session.push(&carrying(release.clone()));
            }
        }
    }
}

/// Passes notifications of the shared link to the sessions that watch what they are about.
async fn watch_notices(gate: std::sync::Weak<Gate>, upstream: std::sync::Weak<Upstream>) {
    let Some(mut notices) = upstream.upgrade().map(|upstream| upstream.watch_notices()) else { return };
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(
                    missed,
                    "notices of a shared upstream came faster than they could be passed on"
                );
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let (Some(gate), Some(upstream)) = (gate.upgrade(), upstream.upgrade()) else { return };
        if notice.method() == Some("notifications/tasks/status") {
            tell_of_task(&gate, &upstream, &notice);
            continue;
        }
        // On a shared line only what was subscribed to by URI has a known addressee.
        if notice.method() != Some("notifications/resources/updated") {
            continue;
        }
        let Some(uri) = notice.peek().uri.and_then(text).map(|uri| uri.into_owned()) else {
            continue;
        };
        let watched = (upstream.name().clone(), uri);
        for session in gate.sessions.all() {
            let silent = gate.admit.drops().holds(&session.grant, upstream.name()).is_some();
            if silent || !session.watched.lock().contains(&watched) {
                continue;
            }
            let shown = match session.route {
                Route::All => expose_uri(upstream.name(), &watched.1),
                Route::One(_) => watched.1.clone(),
            };
            let params = serde_json::json!({ "uri": shown }).to_string();
            let text = notification("notifications/resources/updated", &params);
            session.push(&saying(text));
        }
    }
}
