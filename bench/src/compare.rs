//! Short blocks of load on several endpoints in turn, so that a noisy moment hits all of them.

use std::time::Duration;

use serde::Serialize;
use tokio::time::sleep;

use crate::{
    counts,
    disk::Disk,
    error::Result,
    load::{Block, Fleet, Until},
    target::Target,
    usage,
};

/// A pause after each block: work that a gate does behind its answers is still its own,
/// and does not disturb the next block.
const AFTERGLOW: Duration = Duration::from_millis(50);

/// How long new connections call before a block is measured.
const SETTLED: Until = Until::Time(Duration::from_millis(200));

/// One of the endpoints compared.
#[derive(Clone, Debug)]
pub struct Side {
    /// What it is called in the results.
    pub name: &'static str,
    /// Where it is.
    pub target: Target,
    /// The process in the middle, whose processor time is taken.
    pub middle: Option<u32>,
    /// The echo server behind the middle, whose requests are counted.
    pub upstream: Option<Target>,
    /// The disk that the middle writes to, whose flushes are counted.
    pub disk: Option<Disk>,
}

/// How long the blocks are, and how many each side gets.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Blocks {
    /// Length of a block in seconds.
    pub seconds: f64,
    /// Blocks for each side.
    pub rounds: usize,
}

/// What a side did at one level of concurrency: medians over its blocks, except sums where named.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The side.
    pub side: &'static str,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls answered, all blocks together.
    pub calls: u64,
    /// Calls answered in a second.
    pub calls_per_second: f64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// Processor time of the middle process over calls, in microseconds, all blocks together.
    pub cpu_us_per_call: Option<f64>,
    /// Requests that the upstream saw over calls, all blocks together.
    pub upstream_requests_per_call: Option<f64>,
    /// Flushes of the disk, for whomever, over calls, all blocks together.
    pub disk_flushes_per_call: Option<f64>,
}

struct Running<'a> {
    side: &'a Side,
    in_flight: usize,
    blocks: Vec<Block>,
    cpu: Duration,
    requests: u64,
    flushes: u64,
}

/// Runs the blocks: one unmeasured for each side, then the rounds, every second one in reverse order
/// so that no side always follows the same other. Sides of one name are several processes of the same kind; their
/// blocks are counted together.
///
/// # Errors
/// The first call that failed, or a process that ended.
pub async fn compare(sides: &[Side], in_flight: usize, blocks: Blocks) -> Result<Vec<Figures>> {
    let length = Until::Time(Duration::from_secs_f64(blocks.seconds));
    let mut running = Vec::with_capacity(sides.len());
    for side in sides {
        let mut fleet = Fleet::open(&side.target, in_flight).await?;
        fleet.run(Until::Time(Duration::from_secs_f64(blocks.seconds / 2.0))).await?;
        running.push(Running {
            side,
            in_flight,
            blocks: Vec::new(),
            cpu: Duration::ZERO,
            requests: 0,
            flushes: 0,
        });
    }
    for round in 0..blocks.rounds {
        for running in &mut running {
            running.block(length).await?;
        }
        // The next round starts where this one ended; the last leaves the order as it was read.
        if round + 1 < blocks.rounds {
            running.reverse();
        }
    }
    running.sort_by_key(|running| sides.iter().position(|side| side.name == running.side.name));
    running.dedup_by(|next, first| {
        let same = next.side.name == first.side.name;
        if same {
            first.take_in(next);
        }
        same
    });
    Ok(running.into_iter().map(Running::figures).collect())
}

impl Running<'_> {
    /// Every block has connections of its own: on which threads of the middle they come to lie stays as it is while they
    /// live, and makes up to a fifth of what a call costs a thin one.
    async fn block(&mut self, length: Until) -> Result<()> {
        let mut fleet = Fleet::open(&self.side.target, self.in_flight).await?;
        fleet.run(SETTLED).await?;
        let (cpu, requests) = (self.cpu_so_far()?, self.requests_so_far().await?);
        let flushes = self.flushes_so_far();
        let block = fleet.run(length).await?;
        sleep(AFTERGLOW).await;
        self.flushes += self.flushes_so_far().unwrap_or(0).saturating_sub(flushes.unwrap_or(0));
        self.cpu += self.cpu_so_far()?.saturating_sub(cpu);
        self.requests += self.requests_so_far().await?.saturating_sub(requests);
        self.blocks.push(block);
        Ok(())
    }

    /// Counts the blocks of another process of the same kind as this one's.
    fn take_in(&mut self, other: &mut Self) {
        self.blocks.append(&mut other.blocks);
        self.cpu += other.cpu;
        self.requests += other.requests;
        self.flushes += other.flushes;
    }

    fn cpu_so_far(&self) -> Result<Duration> {
        self.side.middle.map_or(Ok(Duration::ZERO), usage::cpu)
    }

    async fn requests_so_far(&self) -> Result<u64> {
        match &self.side.upstream {
            Some(upstream) => Ok(counts::total(&counts::read(upstream).await?)),
            None => Ok(0),
        }
    }

    fn flushes_so_far(&self) -> Option<u64> {
        self.side.disk.as_ref()?.flushes()
    }

    fn figures(self) -> Figures {
        let calls: u64 = self.blocks.iter().map(Block::calls).sum();
        let of = |what: fn(&Block) -> f64| median(self.blocks.iter().map(what));
        let per_call = |sum: f64| sum / calls.max(1) as f64;
        Figures {
            side: self.side.name,
            in_flight: self.in_flight,
            calls,
            calls_per_second: of(Block::per_second),
            p50_us: of(|block| block.quantile(0.50)),
            p99_us: of(|block| block.quantile(0.99)),
            cpu_us_per_call: self.side.middle.map(|_| per_call(self.cpu.as_secs_f64() * 1e6)),
            upstream_requests_per_call: self.side.upstream.as_ref().map(|_| per_call(self.requests as f64)),
            disk_flushes_per_call: self.flushes_so_far().map(|_| per_call(self.flushes as f64)),
        }
    }
}

/// The middle value; the mean of the two middle ones where their number is even; 0 of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    match (values.get(lower), values.get(upper)) {
        (Some(lower), Some(upper)) => f64::midpoint(*lower, *upper),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_does_not_depend_on_order() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
