//! What servers listed, kept for the next start: nobody then waits for a slow server to see what it had.

use portcullis_catalogue::{List, ListKind};
use portcullis_ledger::Ledger;
use portcullis_upstreams::{Before, Spec, Upstream, definition_reading};
use serde_json::value::RawValue;
use serde_json::{from_str, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Lists that change within this time are kept once.
const TOGETHER: Duration = Duration::from_millis(200);
/// Longer lists are not kept, in bytes.
const LONGEST: usize = 8 * 1024 * 1024;

/// What all servers listed when they were up last.
pub(crate) struct Kept(Vec<(String, String, String)>);

impl Kept {
    /// Reads it from the store.
    pub(crate) fn read(ledger: &Ledger) -> Self {
        Self(ledger.definitions().unwrap_or_else(|failure| {
            tracing::warn!(%failure, "what servers listed last cannot be read");
            Vec::new()
        }))
    }

    /// What one of them listed. Nothing, where its entry was another then.
    pub(crate) fn of(&self, ledger: &Ledger, spec: &Spec) -> Before {
        let entry = entry(ledger, spec);
        self.0
            .iter()
            .filter(|(upstream, _, _)| *upstream == *spec.name)
            .filter_map(|(_, method, body)| {
                let kind = ListKind::of_method(method)?;
                let body: HashMap<&str, &RawValue> = from_str(body).ok()?;
                let same = body.get("entry")?.get() == format!("\"{entry}\"");
                let list = List::from_pages(&spec.name, kind, &[body.get("list")?.get()], definition_reading)
                    .ok()?;
                same.then(|| (kind, Arc::new(list)))
            })
            .collect()
    }
}

/// Keeps what a server lists, for as long as it is one of the gate's. `kept` is what is kept already.
pub(crate) fn follow(ledger: &Ledger, upstream: &Arc<Upstream>, mut kept: Before) {
    let (ledger, mut drained) = (ledger.clone(), upstream.watch_drained());
    let upstream = Arc::downgrade(upstream);
    tokio::spawn(async move {
        while drained.changed().await.is_ok() {
            let Some(upstream) = upstream.upgrade() else { return };
            for kind in ListKind::ALL {
                let Some(list) = upstream.own_list(kind).filter(|list| kept.get(&kind) != Some(list)) else {
                    continue;
                };
                kept.insert(kind, list.clone());
                keep(&ledger, upstream.spec(), kind, &list).await;
            }
            drop(upstream);
            tokio::time::sleep(TOGETHER).await;
        }
    });
}

async fn keep(ledger: &Ledger, spec: &Spec, kind: ListKind, list: &List) {
    let text = list.write(list.items().iter(), None, &[]);
    if text.len() > LONGEST {
        return;
    }
    let body = format!("{{\"entry\":{},\"list\":{text}}}", json!(entry(ledger, spec)));
    if let Err(failure) = ledger.keep_definitions(spec.name.to_string(), kind.method().into(), body).await {
        tracing::warn!(%failure, upstream = %spec.name, "what it lists could not be kept");
    }
}

/// Tells one way to reach a server from another. Keyed, because it may have secrets in it.
fn entry(ledger: &Ledger, spec: &Spec) -> String {
    ledger.arguments_digest(&format!("{:?}", spec.how))
}
