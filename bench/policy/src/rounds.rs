//! Timing in turn, so that a slow moment of the machine meets all.

use std::time::{Duration, Instant};

use crate::error::Error;

/// Something that is timed.
pub struct Lane<'a> {
    action: Box<dyn FnMut() -> Result<(), Error> + 'a>,
    /// How often it is done in a block.
    times: u32,
    nanoseconds: Vec<f64>,
}

impl<'a> Lane<'a> {
    /// An action that is done so often in each block that a block takes some `block` at least; once where that is zero.
    ///
    /// # Errors
    /// What the action says.
    pub fn new(block: Duration, action: impl FnMut() -> Result<(), Error> + 'a) -> Result<Self, Error> {
        let mut lane = Self { action: Box::new(action), times: 1, nanoseconds: Vec::new() };
        while lane.block()? < block {
            lane.times *= 2;
        }
        Ok(lane)
    }

    fn block(&mut self) -> Result<Duration, Error> {
        let start = Instant::now();
        for _ in 0..self.times {
            (self.action)()?;
        }
        Ok(start.elapsed())
    }

    /// Nanoseconds for doing it once, the median over the blocks.
    pub fn median(&self) -> f64 {
        median(self.nanoseconds.clone())
    }

    /// How many times as long it takes as another, the median over pairs of blocks of one round.
    pub fn times(&self, other: &Self) -> f64 {
        median(self.nanoseconds.iter().zip(&other.nanoseconds).map(|(own, other)| own / other).collect())
    }
}

/// Gives each a block in turn, again and again.
///
/// # Errors
/// What an action says.
pub fn in_turn(rounds: usize, lanes: &mut [Lane<'_>]) -> Result<(), Error> {
    for _ in 0..rounds {
        for lane in &mut *lanes {
            let took = lane.block()?.as_secs_f64() * 1e9 / f64::from(lane.times);
            lane.nanoseconds.push(took);
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
