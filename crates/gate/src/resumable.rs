//! Calls whose stream a client of the old era can come back to, after the last event that it saw.
//!
//! The server sends the rest on the stream that the client opens next. There a call is found under the id that
//! the server knows it by, for as long as the client may come back: also when it is over, because its answer
//! may have gone to a connection that was lost.

use crate::rewrite::Known;
use parking_lot::Mutex;
use portcullis_admit::{Authority, End};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// Calls kept at most for one session. Those that are over are forgotten first, the oldest before all.
const KEPT: usize = 256;

/// See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Resumable(Mutex<VecDeque<Entry>>);

#[derive(Debug)]
struct Entry {
    upstream: Arc<str>,
    id: u64,
    known: Known,
    authority: Authority,
    /// Where the call waits for its end, while it is in flight.
    elsewhere: Option<oneshot::Sender<End>>,
}

impl Entry {
    fn is_over(&self) -> bool {
        self.elsewhere.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl Resumable {
    /// Enters a call in flight. Gives where it hears that its answer has gone out on another stream; `None`
    /// where too many are in flight.
    pub(crate) fn enter(
        &self,
        upstream: &Arc<str>,
        id: u64,
        known: &Known,
        authority: &Authority,
    ) -> Option<oneshot::Receiver<End>> {
        let mut all = self.0.lock();
        if all.len() >= KEPT {
            let over = all.iter().position(Entry::is_over)?;
            all.remove(over);
        }
        let (tell, elsewhere) = oneshot::channel();
        all.push_back(Entry {
            upstream: upstream.clone(),
            id,
            known: known.clone(),
            authority: authority.clone(),
            elsewhere: Some(tell),
        });
        Some(elsewhere)
    }

    /// What the client knows a call by, and by what it sees what is said of it.
    pub(crate) fn known(&self, upstream: &Arc<str>, id: u64) -> Option<(Known, Authority)> {
        self.find(upstream, id, |entry| (entry.known.clone(), entry.authority.clone()))
    }

    /// The answer of a call goes out on another stream than its own.
    pub(crate) fn answered(&self, upstream: &Arc<str>, id: u64, end: End) {
        self.find(upstream, id, |entry| {
            if let Some(elsewhere) = entry.elsewhere.take() {
                let _ = elsewhere.send(end);
            }
        });
    }

    fn find<T>(&self, upstream: &Arc<str>, id: u64, take: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut all = self.0.lock();
        all.iter_mut().find(|entry| entry.id == id && entry.upstream == *upstream).map(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_admit::{Admit, Rules};
    use portcullis_ledger::{Grant, Ledger};
    use portcullis_runs::Drops;
    use portcullis_wire::Id;

    #[test]
    fn a_call_in_flight_is_never_forgotten_and_one_that_is_over_only_for_want_of_room() {
        let (all, upstream) = (Resumable::default(), Arc::from("u"));
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let admit = Admit::new(ledger, Rules::default(), Drops::of(folder.path())).unwrap();
        let grant = Grant {
            name: "me".into(),
            upstreams: [("*".to_owned(), "p".to_owned())].into(),
            labels: Default::default(),
            expires: None,
            created: 0,
            approver: false,
            shadow: false,
        };
        let by = admit.session_authority(grant.into(), &upstream);
        let known = |id: u64| Known { id: Id::from(id), progress: None, prefix: None };
        let mut waiting: Vec<_> =
            (0..KEPT as u64).map(|id| all.enter(&upstream, id, &known(id), &by).unwrap()).collect();
        assert!(all.enter(&upstream, 999, &known(999), &by).is_none(), "all are in flight");
        drop(waiting.remove(7));
        assert!(all.known(&upstream, 7).is_some(), "over, and there is room");
        assert!(all.enter(&upstream, 999, &known(999), &by).is_some());
        assert!(all.known(&upstream, 7).is_none() && all.known(&upstream, 8).is_some());
        all.answered(&upstream, 8, End::Answered { error: false });
        assert_eq!(waiting[7].try_recv(), Ok(End::Answered { error: false }));
        assert!(all.known(&Arc::from("other"), 8).is_none());
    }
}
