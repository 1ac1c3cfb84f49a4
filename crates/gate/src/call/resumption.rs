//! Streams that end before their answer: clients of the old era come back to them.

use super::Call;
use super::refusals::TOO_LONG;
use crate::outlet::left;
use portcullis_admit::{End, Ticket};
use portcullis_upstreams::Reply;
use portcullis_wire::Era;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

impl Call {
    /// Whether the client itself comes back for the rest of a stream: same era, same names, event ids as they
    /// are.
    pub(super) fn resumes_itself(&self) -> bool {
        self.asker.era == Era::Old
            && !self.asker.aggregated()
            && self.chosen.link.era() == Era::Old
            && !self.chosen.link.is_shared()
    }

    /// Goes back to a stream that the server closed to go on later, for a client that cannot do so itself.
    pub(super) async fn resume(
        &mut self,
        reply: &mut Reply,
        event: &str,
        pause: Duration,
        deadline: Instant,
    ) -> Option<End> {
        let link = self.chosen.link.clone();
        let resumed = async {
            tokio::time::sleep(pause).await;
            link.listen(Some(event)).await
        };
        let gone = left(self.outlet.as_mut(), self.asker.era);
        tokio::select! {
            resumed = resumed => match resumed {
                Ok(mut stream) => {
                    stream.id = reply.id;
                    *reply = stream;
                    None
                }
                Err(error) => Some(self.broken(&error.to_string()).await),
            },
            () = self.open.cancelled().cancelled() => Some(self.cancelled(reply.id).await),
            () = gone => Some(self.left(reply.id)),
            () = tokio::time::sleep_until(deadline) => Some(self.timed_out(reply.id).await),
        }
    }

    /// Enters the call among those that the client can come back to, where it can.
    pub(super) fn let_resume(&mut self, id: u64, ticket: &Ticket) {
        if self.resumes_itself()
            && self.elsewhere.is_none()
            && let Some(session) = &self.asker.session
        {
            self.elsewhere =
                session.resumable.enter(self.upstream.name(), id, &self.known, ticket.authority());
        }
    }

    /// Ends the client's stream as the upstream did and waits until the answer has gone out on the stream that
    /// the client opens next.
    pub(super) async fn wait_for_resumption(
        &mut self,
        reply: &Reply,
        elsewhere: oneshot::Receiver<End>,
        deadline: Instant,
    ) -> End {
        self.outlet = None;
        tokio::select! {
            end = elsewhere => end.unwrap_or_else(|_| End::Broken("the session ended".into())),
            () = self.open.cancelled().cancelled() => self.cancelled(reply.id).await,
            () = tokio::time::sleep_until(deadline) => {
                self.chosen.link.cancel(reply.id, TOO_LONG);
                End::Broken("the client did not come back for the answer in time".into())
            }
        }
    }
}
