//! What a run found, held against the bars.

use serde::Serialize;

use crate::{
    compare::{Blocks, Figures},
    machine::Machine,
    memory::Growth,
};

/// The whole result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// What was measured as the gate.
    pub gate: &'static str,
    /// How.
    pub blocks: Blocks,
    /// The era that was spoken.
    pub era: &'static str,
    /// Latency, throughput and cost, side by side.
    pub comparisons: Vec<Comparison>,
    /// Memory before and after, by what was done.
    pub memory: Vec<Memory>,
    /// The judged and the merely reported values.
    pub checks: Vec<Check>,
}

/// Sides that were given blocks in turn.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// What is compared.
    pub what: &'static str,
    /// Each side at each level of concurrency.
    pub figures: Vec<Figures>,
}

/// What was done many times, and the gate's memory before and after.
#[derive(Debug, Serialize)]
pub struct Memory {
    /// What was done.
    pub what: &'static str,
    /// How often, and what memory did.
    #[serde(flatten)]
    pub growth: Growth,
}

/// One value and its bar.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was measured.
    pub what: String,
    /// The value; nothing where it could not be had (a pass-through that added no time).
    pub value: Option<f64>,
    /// Its unit; empty for a ratio.
    pub unit: &'static str,
    /// The bar; nothing where the value is only reported.
    pub bar: Option<Bar>,
    /// Whether the bar holds; a value that could not be had does not hold it.
    pub holds: Option<bool>,
}

/// What a value has to be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// More than this.
    Above(f64),
    /// This and nothing else.
    Exactly(f64),
}

impl Bar {
    /// Whether a value holds the bar.
    pub fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
            Self::Above(bar) => value > bar,
            Self::Exactly(bar) => value == bar,
        }
    }
}

impl Check {
    /// A value with a bar. A value that is not a finite number counts as not had.
    pub fn judged(what: impl Into<String>, value: f64, unit: &'static str, bar: Bar) -> Self {
        let value = value.is_finite().then_some(value);
        let holds = Some(value.is_some_and(|value| bar.holds(value)));
        Self { what: what.into(), value, unit, bar: Some(bar), holds }
    }

    /// A value without a bar.
    pub fn reported(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value: value.is_finite().then_some(value), unit, bar: None, holds: None }
    }
}

impl Report {
    /// Whether every bar holds.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds != Some(false))
    }
}

impl Comparison {
    /// A figure of a side at a level of concurrency; not a number where it was not measured.
    pub fn figure(&self, side: &str, in_flight: usize, of: impl Fn(&Figures) -> Option<f64>) -> f64 {
        let mut figures = self.figures.iter();
        figures.find(|f| f.side == side && f.in_flight == in_flight).and_then(of).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::{Bar, Check};

    #[test]
    fn a_value_that_could_not_be_had_does_not_hold_its_bar() {
        assert_eq!(Check::judged("a ratio", f64::NAN, "", Bar::AtMost(3.0)).holds, Some(false));
        assert_eq!(Check::judged("a ratio", 3.0, "", Bar::AtMost(3.0)).holds, Some(true));
        assert_eq!(Check::judged("rows", 1.0, "", Bar::Above(1.0)).holds, Some(false));
    }
}
