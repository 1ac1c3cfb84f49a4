//! What the gate's memory does: idle, with sessions left open, and over many calls.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::{
    error::{Error, Result},
    gate::Gate,
    load::{Fleet, Until},
    messages::Messages,
    peer::Peer,
    usage::resident_kib,
};

/// Calls in flight while memory is watched.
const IN_FLIGHT: usize = 32;
/// How long a gate rests before its memory is read.
const REST: Duration = Duration::from_millis(500);

/// Resident memory before and after something was done many times.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Growth {
    /// How often it was done.
    pub times: u64,
    /// How often the gate refused it.
    pub refused: u64,
    /// KiB before.
    pub before_kib: u64,
    /// KiB after.
    pub after_kib: u64,
}

impl Growth {
    /// KiB grown; 0 where it shrank.
    pub fn kib(&self) -> f64 {
        self.after_kib.saturating_sub(self.before_kib) as f64
    }
}

/// Memory at rest in KiB.
///
/// # Errors
/// When the gate ended.
pub async fn at_rest(gate: &Gate) -> Result<u64> {
    sleep(REST).await;
    resident_kib(gate.process.pid)
}

/// Opens `warm_up` sessions, then `times` more, with one call in each, over one connection, and leaves them all open.
///
/// # Errors
/// When the connection breaks. A session that the gate refuses is counted instead.
pub async fn over_sessions(gate: &Gate, warm_up: u64, times: u64) -> Result<Growth> {
    let mut peer = Peer::connect(&gate.target).await?;
    let mut messages = Messages::new(0);
    for _ in 0..warm_up {
        let _ = session(&mut peer, &mut messages).await?;
    }
    let before_kib = at_rest(gate).await?;
    let mut refused = 0;
    for _ in 0..times {
        refused += u64::from(session(&mut peer, &mut messages).await?.is_err());
    }
    Ok(Growth { times, refused, before_kib, after_kib: at_rest(gate).await? })
}

/// Opens one session and makes a call in it; the inner result is the gate's refusal.
async fn session(peer: &mut Peer, messages: &mut Messages) -> Result<std::result::Result<(), Error>> {
    let done = async {
        let session = peer.open().await?;
        let (id, message) = messages.next_message();
        peer.call(&session, id, message).await
    };
    match done.await {
        Ok(()) => Ok(Ok(())),
        Err(refusal @ Error::Answer { .. }) => Ok(Err(refusal)),
        Err(failure) => Err(failure),
    }
}

/// Makes a fifth of the calls to warm up, then `times` calls, 32 in flight.
///
/// # Errors
/// The first call that failed.
pub async fn over_calls(gate: &Gate, times: u64) -> Result<Growth> {
    let mut fleet = Fleet::open(&gate.target, IN_FLIGHT).await?;
    fleet.run(Until::Calls(times / 5)).await?;
    let before_kib = at_rest(gate).await?;
    fleet.run(Until::Calls(times)).await?;
    Ok(Growth { times, refused: 0, before_kib, after_kib: at_rest(gate).await? })
}
