//! Counters of limits: in memory for judging, handed to the record with every change.

use parking_lot::Mutex;
use portcullis_ledger::{CounterKey, CounterRow};
use portcullis_policy::{Decimal, Limit, Refund};
use std::collections::HashMap;

/// All counters. One lock: reserving several limits must be one step.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    table: Mutex<HashMap<CounterKey, State>>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    window_start: i64,
    used: Decimal,
    version: i64,
}

/// One limit that a call wants to draw on.
pub(crate) struct Draw<'p> {
    pub policy: &'p str,
    pub scope: &'p str,
    pub limit: &'p Limit,
    pub amount: Decimal,
}

impl Draw<'_> {
    fn key(&self) -> CounterKey {
        CounterKey {
            policy: self.policy.to_owned(),
            counter: self.limit.counter.clone(),
            window: self.limit.window.to_string(),
            scope: self.scope.to_owned(),
        }
    }
}

/// What was reserved, in which window, so that a refund never lands in a later one.
#[derive(Debug, Clone)]
pub(crate) struct Reserved {
    key: CounterKey,
    window_start: i64,
    amount: Decimal,
    on_error: bool,
}

/// A counter that a call draws on, as it was before.
struct Taken {
    state: State,
    reserved: Reserved,
}

/// A limit that is used up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exceeded {
    pub rule: String,
    pub message: String,
    pub resets_at: i64,
}

impl Counters {
    /// The counters as they were kept.
    pub(crate) fn new(rows: Vec<CounterRow>) -> Result<Self, String> {
        let mut table = HashMap::new();
        for row in rows {
            let used = row.used.parse().map_err(|_| {
                format!("the counter {} holds `{}`, which is no number", row.key.counter, row.used)
            })?;
            table.insert(row.key, State { window_start: row.window_start, used, version: row.version });
        }
        Ok(Self { table: Mutex::new(table) })
    }

    /// Reserves all draws or none. Gives what was reserved and the counters as they stand after it. A counter that several limits
    /// name is drawn from once, the most that one of them counts, and must stay within each of them.
    pub(crate) fn reserve(
        &self,
        draws: &[Draw<'_>],
        now_ms: i64,
    ) -> Result<(Vec<Reserved>, Vec<CounterRow>), Exceeded> {
        let mut table = self.table.lock();
        let mut taken: Vec<Taken> = Vec::with_capacity(draws.len());
        // Of each draw, which of them it draws on.
        let mut places = Vec::with_capacity(draws.len());
        for draw in draws {
            let key = draw.key();
            let on_error = draw.limit.refund == Refund::OnError;
            let place = taken.iter().position(|taken| taken.reserved.key == key).unwrap_or(taken.len());
            places.push(place);
            match taken.get_mut(place) {
                Some(taken) => {
                    taken.reserved.amount = taken.reserved.amount.max(draw.amount);
                    taken.reserved.on_error &= on_error;
                }
                None => {
                    let start = draw.limit.window.start(now_ms);
                    let fresh = State { window_start: start, used: Decimal::ZERO, version: 0 };
                    let kept = table.get(&key).copied().unwrap_or(fresh);
                    // A clock that was set back must not open a window anew.
                    let current = kept.window_start >= start;
                    let state = if current { kept } else { State { version: kept.version, ..fresh } };
                    let window_start = state.window_start;
                    taken.push(Taken {
                        state,
                        reserved: Reserved { key, window_start, amount: draw.amount, on_error },
                    });
                }
            }
        }
        for (draw, place) in draws.iter().zip(places) {
            let Some(taken) = taken.get(place) else { continue };
            let used = taken.state.used.checked_add(&taken.reserved.amount);
            if !used.is_ok_and(|used| used <= draw.limit.max) {
                let resets_at = draw.limit.window.resets_at(taken.state.window_start.max(now_ms));
                return Err(Exceeded {
                    rule: draw.limit.pointer().to_owned(),
                    message: exceeded_text(draw, resets_at),
                    resets_at,
                });
            }
        }
        let mut rows = Vec::with_capacity(taken.len());
        let mut reserved = Vec::with_capacity(taken.len());
        for Taken { mut state, reserved: one } in taken {
            state.used = state.used.checked_add(&one.amount).unwrap_or(state.used);
            state.version += 1;
            rows.push(row(&one.key, &state));
            table.insert(one.key.clone(), state);
            reserved.push(one);
        }
        Ok((reserved, rows))
    }

    /// Gives reservations back: all of them, or those that their limit refunds on an error. What belongs to
    /// a window that is over stays used.
    pub(crate) fn refund(&self, reserved: &[Reserved], only_on_error: bool) -> Vec<CounterRow> {
        let mut table = self.table.lock();
        let mut rows = Vec::new();
        for one in reserved.iter().filter(|one| one.on_error || !only_on_error) {
            let Some(state) = table.get_mut(&one.key) else { continue };
            if state.window_start != one.window_start {
                continue;
            }
            if let Ok(used) = state.used.checked_sub(&one.amount) {
                state.used = used;
                state.version += 1;
                rows.push(row(&one.key, state));
            }
        }
        rows
    }
}

fn exceeded_text(draw: &Draw<'_>, resets_at: i64) -> String {
    let time = portcullis_ledger::time_text(resets_at);
    let (max, window, counter) = (draw.limit.max, draw.limit.window, &draw.limit.counter);
    format!("The limit of {max} per {window} ({counter}) is used up. It resets at {time}.")
}

fn row(key: &CounterKey, state: &State) -> CounterRow {
    CounterRow {
        key: key.clone(),
        window_start: state.window_start,
        used: state.used.to_string(),
        version: state.version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_policy::Policy;

    fn policy() -> Policy {
        Policy::parse(
            "p.json",
            r#"{"version":"1","default":"deny","tools":{"a":{"limits":[
                {"counter":"shared","window":"minute","max":3,"scope":"grant"},
                {"counter":"own","window":"hour","max":2,"scope":"grant"}]},
              "b":{"limits":[{"counter":"shared","window":"minute","max":3,"scope":"grant"}]}}}"#,
        )
        .unwrap()
    }

    fn draws<'p>(policy: &'p Policy, counters: &[&str]) -> Vec<Draw<'p>> {
        counters
            .iter()
            .map(|name| Draw {
                policy: "p",
                scope: "me",
                limit: policy.limits().find(|limit| limit.counter == **name).unwrap(),
                amount: Decimal::ONE,
            })
            .collect()
    }

    #[test]
    fn all_limits_are_reserved_or_none() {
        let (policy, counters) = (policy(), Counters::default());
        for _ in 0..2 {
            counters.reserve(&draws(&policy, &["shared", "own"]), 1000).unwrap();
        }
        let exceeded = counters.reserve(&draws(&policy, &["shared", "own"]), 1000).unwrap_err();
        assert_eq!(exceeded.resets_at, 3_600_000);
        assert!(exceeded.message.contains("2 per hour (own)"), "{}", exceeded.message);
        // The refused call drew nothing from the shared counter: one is left, then none.
        counters.reserve(&draws(&policy, &["shared"]), 1000).unwrap();
        assert!(counters.reserve(&draws(&policy, &["shared"]), 1000).is_err());
    }

    #[test]
    fn a_counter_that_two_limits_name_counts_a_call_once() {
        let text = r#"{"version":"1","default":"allow",
            "all_tools":{"limits":[{"counter":"all","window":"minute","max":3,"scope":"grant"}]},
            "tools":{"a":{"limits":[{"counter":"all","window":"minute","max":2,"scope":"grant","refund":"on_error"}]}}}"#;
        let (policy, counters) = (Policy::parse("p.json", text).unwrap(), Counters::default());
        let draw = |limit| Draw { policy: "p", scope: "me", limit, amount: Decimal::ONE };
        let both: Vec<_> = policy.limits().map(draw).collect();
        for used in ["1", "2"] {
            let (reserved, rows) = counters.reserve(&both, 1000).unwrap();
            assert_eq!(rows.iter().map(|row| &*row.used).collect::<Vec<_>>(), [used]);
            // One of the two limits keeps what ends in an error.
            assert!(counters.refund(&reserved, true).is_empty());
        }
        assert_eq!(counters.reserve(&both, 1000).unwrap_err().rule, "/tools/a/limits/0");
        let one = policy.limits().take(1).map(draw).collect::<Vec<_>>();
        assert_eq!(counters.reserve(&one, 1000).unwrap().1.first().unwrap().used, "3");
    }

    #[test]
    fn a_window_begins_anew_and_a_refund_stays_in_its_own() {
        let (policy, counters) = (policy(), Counters::default());
        let (reserved, _) = counters.reserve(&draws(&policy, &["shared"]), 59_000).unwrap();
        let (_, rows) = counters.reserve(&draws(&policy, &["shared"]), 61_000).unwrap();
        assert_eq!(rows.first().unwrap().used, "1");
        assert!(counters.refund(&reserved, false).is_empty());
    }

    #[test]
    fn a_clock_set_back_opens_no_window() {
        let (policy, counters) = (policy(), Counters::default());
        for _ in 0..3 {
            counters.reserve(&draws(&policy, &["shared"]), 125_000).unwrap();
        }
        assert!(counters.reserve(&draws(&policy, &["shared"]), 59_000).is_err());
    }

    #[test]
    fn counters_go_on_where_they_were_kept() {
        let (policy, counters) = (policy(), Counters::default());
        let mut kept = Vec::new();
        for _ in 0..3 {
            kept = counters.reserve(&draws(&policy, &["shared"]), 1000).unwrap().1;
        }
        let again = Counters::new(kept).unwrap();
        assert!(again.reserve(&draws(&policy, &["shared"]), 2000).is_err());
        assert!(again.reserve(&draws(&policy, &["shared"]), 61_000).is_ok());
    }
}
