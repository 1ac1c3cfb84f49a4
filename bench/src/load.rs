//! The load generator: a closed loop of workers, each with its own connection and MCP session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{task::JoinSet, time::sleep};

use crate::{
    error::Result,
    messages::Messages,
    peer::{Peer, SessionId},
    target::Target,
};

/// How long an endpoint may take until its first call is answered.
const SETTLE: Duration = Duration::from_secs(10);

/// When a block ends. Calls in flight are finished and counted.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After this time.
    Time(Duration),
    /// After this many calls, all workers together.
    Calls(u64),
}

/// Workers that are connected and have a session, ready to call.
#[derive(Debug)]
pub struct Fleet(Vec<Worker>);

/// What one block measured.
#[derive(Debug)]
pub struct Block {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

#[derive(Debug)]
struct Worker {
    peer: Peer,
    session: SessionId,
    messages: Messages,
}

/// Waits until an endpoint lists the tool and answers a call: a gate may be ready before its upstream is.
///
/// # Errors
/// The last failure, when it does not come true in ten seconds.
pub async fn settle(target: &Target) -> Result<()> {
    let start = Instant::now();
    loop {
        let failure = match first_call(target).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        if start.elapsed() > SETTLE {
            return Err(failure);
        }
        sleep(Duration::from_millis(50)).await;
    }
}

async fn first_call(target: &Target) -> Result<()> {
    let mut worker = Worker::open(target, 0).await?;
    worker.peer.list(&worker.session).await?;
    worker.call().await.map(drop)
}

impl Fleet {
    /// Opens a connection and a session for each worker.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub async fn open(target: &Target, in_flight: usize) -> Result<Self> {
        let mut workers = Vec::with_capacity(in_flight);
        for number in 0..in_flight {
            workers.push(Worker::open(target, number).await?);
        }
        Ok(Self(workers))
    }

    /// Lets all workers call, each as soon as its last answer is there.
    ///
    /// # Errors
    /// The first call that failed: a measurement with failures measures something else.
    pub async fn run(&mut self, until: Until) -> Result<Block> {
        let start = Instant::now();
        let budget = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        for worker in self.0.drain(..) {
            running.spawn(worker.run(start, until, Arc::clone(&budget)));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (worker, of_worker) = ended??;
            self.0.push(worker);
            latencies.extend(of_worker);
        }
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        Ok(Block { latencies, elapsed })
    }
}

impl Worker {
    async fn open(target: &Target, number: usize) -> Result<Self> {
        let mut peer = Peer::connect(target).await?;
        let session = peer.open().await?;
        Ok(Self { peer, session, messages: Messages::new(number) })
    }

    async fn call(&mut self) -> Result<Duration> {
        let (id, message) = self.messages.next_message();
        let start = Instant::now();
        self.peer.call(&self.session, id, message).await?;
        Ok(start.elapsed())
    }

    async fn run(
        mut self,
        start: Instant,
        until: Until,
        begun: Arc<AtomicU64>,
    ) -> Result<(Self, Vec<Duration>)> {
        let mut latencies = Vec::new();
        loop {
            let go_on = match until {
                Until::Time(time) => start.elapsed() < time,
                Until::Calls(calls) => begun.fetch_add(1, Ordering::Relaxed) < calls,
            };
            if !go_on {
                return Ok((self, latencies));
            }
            latencies.push(self.call().await?);
        }
    }
}

impl Block {
    /// Calls answered.
    pub fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls answered in a second.
    pub fn per_second(&self) -> f64 {
        self.calls() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency below which this share (0 to 1) of the calls lies, in microseconds; 0 without calls.
    pub fn quantile(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let rank = (last as f64 * share).round() as usize;
        self.latencies.get(rank).map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
    }
}
