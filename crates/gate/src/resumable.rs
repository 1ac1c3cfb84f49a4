//! Calls whose stream a client of the old era can come back to, after the last event that it saw.
//!
//! The server sends the rest on the stream that the client opens next. There a call is found under the id that
//! the server knows it by, for as long as the client may come back: also when it is over, because its answer
//! may have gone to a connection that was lost.

use crate::rewrite::Known;
use parking_lot::Mutex;
use portcullis_admit::End;
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
    ) -> Option<oneshot::Receiver<End>> {
        let mut all = self.0.lock();
        if all.len() >= KEPT {
            let over = all.iter().position(Entry::is_over)?;
            all.remove(over);
        }
        let (tell, elsewhere) = oneshot::channel();
        let entry = Entry { upstream: upstream.clone(), id, known: known.clone(), elsewhere: Some(tell) };
        all.push_back(entry);
        Some(elsewhere)
    }

    /// What the client knows a call by.
    pub(crate) fn known(&self, upstream: &Arc<str>, id: u64) -> Option<Known> {
        self.find(upstream, id, |entry| entry.known.clone())
    }

    /// The answer of a call goes out on another stream than its own. Gives what the client knows it by.
    pub(crate) fn answered(&self, upstream: &Arc<str>, id: u64, end: End) -> Option<Known> {
        self.find(upstream, id, |entry| {
            if let Some(elsewhere) = entry.elsewhere.take() {
                let _ = elsewhere.send(end);
            }
            entry.known.clone()
        })
    }

    fn find<T>(&self, upstream: &Arc<str>, id: u64, take: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let mut all = self.0.lock();
        all.iter_mut().find(|entry| entry.id == id && entry.upstream == *upstream).map(take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_wire::Id;

    #[test]
    fn a_call_in_flight_is_never_forgotten_and_one_that_is_over_only_for_want_of_room() {
        let (all, upstream) = (Resumable::default(), Arc::from("u"));
        let known = |id: u64| Known { id: Id::from(id), progress: None, prefix: None };
        let mut waiting: Vec<_> =
            (0..KEPT as u64).map(|id| all.enter(&upstream, id, &known(id)).unwrap()).collect();
        assert!(all.enter(&upstream, 999, &known(999)).is_none(), "all are in flight");
        drop(waiting.remove(7));
        assert!(all.known(&upstream, 7).is_some(), "over, and there is room");
        assert!(all.enter(&upstream, 999, &known(999)).is_some());
        assert!(all.known(&upstream, 7).is_none() && all.known(&upstream, 8).is_some());
        assert!(all.answered(&upstream, 8, End::Answered { error: false }).is_some());
        assert_eq!(waiting[7].try_recv(), Ok(End::Answered { error: false }));
        assert!(all.known(&Arc::from("other"), 8).is_none());
    }
}
