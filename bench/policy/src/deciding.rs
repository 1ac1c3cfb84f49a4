//! What one decision takes.

use std::hint::black_box;
use std::time::Duration;

use serde::Serialize;

use crate::agreement::{Agreement, agree, answer};
use crate::allocations::{Allocations, counted};
use crate::calls;
use crate::cedar::Cedar;
use crate::cel::Cel;
use crate::engine::Engine;
use crate::error::Error;
use crate::ours::Ours;
use crate::policies::{self, Regex};
use crate::rounds::{Lane, in_turn};

/// How many blocks each decision gets, and how long one takes at least.
const ROUNDS: usize = 31;
const BLOCK: Duration = Duration::from_millis(3);

/// Calls over which the engines must agree.
const CALLS: usize = 400;

/// One engine's decision about one call.
#[derive(Debug, Serialize)]
pub struct Deciding {
    /// Rules in the policy, one for each tool.
    pub rules: usize,
    /// Whether the answer is to allow.
    pub allows: bool,
    /// The engine.
    pub engine: &'static str,
    /// From the arguments as JSON text.
    pub from_text: Time,
    /// From what the engine can be given instead; nothing where it takes the text.
    pub prepared: Option<Time>,
    /// Of a decision from JSON text.
    pub allocations: Allocations,
}

/// A time beside ours.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Time {
    /// The median.
    pub nanoseconds: f64,
    /// How many times ours from JSON text.
    pub times_ours: f64,
}

/// Measures all engines with so many rules.
///
/// # Errors
/// Where the engines do not agree.
pub fn deciding(rules: usize) -> Result<(Agreement, Vec<Deciding>), Error> {
    let said = policies::whole_rules(rules);
    let cedars = policies::cedar(&said);
    let ours = Ours::read("policy.yaml", &policies::yaml(&said))?;
    let all = Cedar::all(&cedars)?;
    let sliced = Cedar::sliced(&cedars)?;
    let prefix = Cel::compile(&policies::cel(&said, Regex::Prefix), Regex::Prefix)?;
    let matches = Cel::compile(&policies::cel(&said, Regex::Matches), Regex::Matches)?;
    let engines: [&dyn Engine; 5] = [&ours, &sliced, &all, &prefix, &matches];

    let tool = format!("tool_{}", rules / 2);
    let agreement = agree(&engines, &tool, &calls::grid(CALLS))?;
    let mut measured = measure(&engines, rules, &tool, calls::ALLOWED)?;
    measured.extend(measure(&engines, rules, &tool, calls::DENIED)?);
    Ok((agreement, measured))
}

fn measure(
    engines: &[&dyn Engine],
    rules: usize,
    tool: &str,
    arguments: &str,
) -> Result<Vec<Deciding>, Error> {
    let allows = answer(engines, tool, arguments)?;
    let mut lanes = Vec::new();
    for engine in engines {
        lanes.push(Lane::new(BLOCK, move || {
            black_box(engine.allows(black_box(tool), black_box(arguments)));
            Ok(())
        })?);
    }
    let mut prepared = Vec::new();
    for (at, engine) in engines.iter().enumerate() {
        if let Some(decision) = engine.prepared(tool, arguments)? {
            prepared.push((at, lanes.len()));
            lanes.push(Lane::new(BLOCK, move || {
                black_box(decision());
                Ok(())
            })?);
        }
    }
    in_turn(ROUNDS, &mut lanes)?;

    let time = |at: usize| {
        let (lane, ours) = lanes.get(at).zip(lanes.first())?;
        Some(Time { nanoseconds: lane.median(), times_ours: lane.times(ours) })
    };
    let rows = engines.iter().enumerate().filter_map(|(at, engine)| {
        let ready = prepared.iter().find(|(own, _)| *own == at).and_then(|(_, lane)| time(*lane));
        let (_, allocations) = counted(|| black_box(engine.allows(tool, arguments)));
        Some(Deciding {
            rules,
            allows,
            engine: engine.name(),
            from_text: time(at)?,
            prepared: ready,
            allocations,
        })
    });
    Ok(rows.collect())
}
