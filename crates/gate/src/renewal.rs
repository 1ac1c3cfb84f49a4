//! Resources that sessions watch at a server that all share: a server that was started anew has forgotten them, so
//! they are subscribed to again.
//!
//! Each grant asks once for each resource, under the policy that it has now.

use crate::aside::{self, Aside};
use crate::gate::Gate;
use crate::session::Session;
use portcullis_admit::{Answer, End, Principal};
use portcullis_upstreams::{How, Link, Need, Per, Quiet, State, Upstream};
use portcullis_wire::Era;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// What is watched, by grant and URI, and the sessions that do.
type Watched = BTreeMap<(String, String), Vec<Arc<Session>>>;

/// Follows an upstream for as long as it is one of the gate's.
pub(crate) fn watch(gate: &Arc<Gate>, upstream: &Arc<Upstream>) {
    // Over HTTP and with `per: session` each session has subscriptions of its own.
    let spec = upstream.spec();
    if matches!(spec.how, How::Command(_)) && spec.per == Per::Gate {
        tokio::spawn(follow(Arc::downgrade(gate), Arc::downgrade(upstream)));
    }
}

async fn follow(gate: Weak<Gate>, upstream: Weak<Upstream>) {
    let Some(mut state) = upstream.upgrade().map(|upstream| upstream.watch_state()) else { return };
    while state.changed().await.is_ok() {
        if *state.borrow_and_update() != State::Ready {
            continue;
        }
        let (Some(gate), Some(upstream)) = (gate.upgrade(), upstream.upgrade()) else { return };
        let watched = watched(&gate, upstream.name());
        if let Some(link) = shared(&upstream, &watched).await {
            renew(&gate, &upstream, &link, watched).await;
        }
    }
}

fn watched(gate: &Gate, upstream: &Arc<str>) -> Watched {
    let mut all = Watched::new();
    for session in gate.sessions.all() {
        for (_, uri) in session.watched.lock().iter().filter(|(name, _)| name == upstream) {
            all.entry((session.grant.clone(), uri.clone())).or_default().push(session.clone());
        }
    }
    all
}

/// The link of the old era that these sessions share; only there are resources subscribed to.
async fn shared(upstream: &Arc<Upstream>, watched: &Watched) -> Option<Arc<Link>> {
    let session = watched.values().flatten().next()?;
    let need = Need {
        grant: &session.grant,
        offered: "{}",
        client: &session.client,
        version: &session.version,
        inbox: Arc::new(Quiet),
    };
    let link = upstream.link_for(&need).await.ok()?;
    (link.is_shared() && link.era() == Era::Old).then_some(link)
}

async fn renew(gate: &Gate, upstream: &Upstream, link: &Link, watched: Watched) {
    for ((grant, uri), sessions) in watched {
        let (Some(grant), Some(first)) = (gate.grants().by_name(&grant).cloned(), sessions.first()) else {
            continue;
        };
        let who =
            Principal { grant, client: first.client_name.clone(), history: Some(first.history.clone()) };
        let params = json!({ "uri": uri }).to_string();
        let (upstream, method) = (upstream.name(), "resources/subscribe");
        let asked = Aside { who: &who, upstream, method, params: &params, name: &uri };
        let refused = match aside::send(gate, link, &asked).await {
            Ok(End::Answered { error }) => error,
            // The server is gone again, or hangs: the next start renews what is left.
            Ok(_) => return,
            Err(denied) => denied.answer != Answer::NotRecorded,
        };
        if refused {
            let one = (upstream.clone(), uri);
            for session in sessions {
                session.watched.lock().remove(&one);
            }
        }
    }
}
