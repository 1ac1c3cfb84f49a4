//! A task as it is kept on the disk.

use super::{Now, POLL, State, Stop, string};
use crate::tasks::Task;
use parking_lot::Mutex;
use portcullis_admit::Places;
use portcullis_ledger::TaskRow;
use portcullis_wire::{Era, member};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::{Notify, watch};

impl Task {
    /// A task as it was kept.
    pub(crate) fn kept(row: TaskRow, places: Option<Arc<Places>>) -> Self {
        let design = if row.design == "core" { Era::Old } else { Era::New };
        let kept = State::of(&row.state);
        // The call that one of our own stands for went with the gate, and so did its answer.
        let state = if row.theirs.is_empty() && kept != State::Cancelled { State::Lost } else { kept };
        let why = if state == kept { row.why } else { Some(went_with_the_gate(kept, row.why.as_deref())) };
        let stop = row.stop.as_deref().map(|stop| Stop {
            by: string(stop, "by").unwrap_or_default(),
            at: member(stop, "at").and_then(|at| at.parse().ok()).unwrap_or_default(),
            told: member(stop, "told") == Some("true"),
        });
        let now = Now {
            state,
            why,
            ttl_ms: row.ttl_ms,
            poll: POLL,
            looked: row.looked,
            ended: state.is_final().then_some(row.looked),
            stop,
            said: row.said.into(),
            places: places.filter(|_| !state.is_final()),
            // Only the first row of all may enter it anew.
            version: row.version.max(1),
        };
        Self {
            id: row.id.into(),
            run: row.run.into(),
            owner: row.owner.into(),
            upstream: row.upstream.into(),
            tool: row.tool.into(),
            created: row.created,
            theirs: row.theirs.into(),
            design,
            digest: row.digest.into(),
            stamp: row.stamp.into(),
            now: Mutex::new(now),
            ours: None,
            link: Mutex::default(),
            nudged: Notify::new(),
            changed: watch::Sender::new(()),
            kept_end: AtomicBool::new(kept.is_final()),
            behind: AtomicBool::new(false),
            judged: Mutex::default(),
        }
    }

    /// Whether it has ended and that is not on the disk yet: a client that hears of it must find it so after a restart.
    pub(crate) fn is_end_to_be_kept(&self) -> bool {
        self.state().is_final() && !self.kept_end.load(Ordering::Relaxed)
    }

    /// What was kept of it said so.
    pub(crate) fn end_is_kept(&self) {
        self.kept_end.store(true, Ordering::Relaxed);
    }

    /// As it is kept.
    pub(crate) fn row(&self) -> TaskRow {
        let mut now = self.now.lock();
        now.version += 1;
        let stop = now.stop.as_ref();
        TaskRow {
            id: self.id.to_string(),
            run: self.run.to_string(),
            owner: self.owner.to_string(),
            upstream: self.upstream.to_string(),
            theirs: self.theirs.to_string(),
            tool: self.tool.to_string(),
            digest: self.digest.to_string(),
            design: if self.design == Era::Old { "core" } else { "extension" }.into(),
            state: now.state.as_str().into(),
            why: now.why.clone(),
            ttl_ms: now.ttl_ms,
            created: self.created,
            stamp: self.stamp.to_string(),
            looked: now.looked,
            stop: stop.map(|stop| json!({ "by": stop.by, "at": stop.at, "told": stop.told }).to_string()),
            said: now.said.to_string(),
            places: now.places.as_ref().map(|places| places.written()),
            version: now.version,
        }
    }
}

/// Why a task of the gate's own is lost when the gate is started anew.
fn went_with_the_gate(kept: State, why: Option<&str>) -> String {
    match (kept.is_final(), why) {
        (true, _) => {
            format!(
                "the call was {}, and its answer went with the gate, which was started anew",
                kept.as_str()
            )
        }
        (false, Some(why)) => format!("the gate was started anew, and nobody makes this call now. {why}"),
        (false, None) => "the gate was started anew while the call was under way".into(),
    }
}
