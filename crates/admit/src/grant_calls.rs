//! What grants called in the last day, whatever their sessions.
//!
//! A session is the client's to end and to begin anew, so what must not be forgotten is counted for the grant. The counts are kept
//! with the decisions that they belong to, as rows beside those of limits, and go on after a restart.

use parking_lot::Mutex;
use portcullis_ledger::{CounterKey, CounterRow};
use portcullis_policy::Calls;
use std::collections::HashMap;

/// In place of a policy's name, which no policy can have.
const OWNER: &str = "(grant calls)";
/// One count is of one hour, in milliseconds.
const HOUR: i64 = 3_600_000;
/// The current hour and the 24 before it, so that a whole day is always in them.
const HOURS: i64 = 25;
/// Fewer tools of grants than this are not worth a sweep.
const SWEPT: usize = 1024;

/// How often each grant called each tool, hour by hour. It holds at most 25 numbers for each
/// tool that a grant called in the last day.
#[derive(Debug, Default)]
pub struct GrantCalls(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// By grant, then by `SERVER/TOOL`.
    grants: HashMap<String, HashMap<String, Hours>>,
    /// How many tools of grants there are.
    tools: usize,
    /// How many there were after the last sweep.
    swept: usize,
}

/// The hours in which a tool was called, each with how often: the oldest first.
type Hours = Vec<(i64, u64)>;

impl GrantCalls {
    /// Those that were kept, and the rows that are not of this kind.
    pub(crate) fn restore(rows: Vec<CounterRow>, now_ms: i64) -> (Self, Vec<CounterRow>) {
        let (own, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.key.policy == OWNER);
        let mut table = Table::default();
        for row in own {
            // A count that cannot be read is one that was there.
            let count = row.used.parse().unwrap_or(u64::MAX);
            table.hours(&row.key.scope, &row.key.counter).push((row.window_start.div_euclid(HOUR), count));
        }
        table.grants.values_mut().flat_map(HashMap::values_mut).for_each(|hours| hours.sort_unstable());
        table.sweep(now_ms);
        (Self(Mutex::new(table)), others)
    }

    /// Counts a call, and gives the row that keeps the count.
    pub fn note(&self, grant: &str, upstream: &str, tool: &str, now_ms: i64) -> CounterRow {
        let mut table = self.0.lock();
        if table.tools >= SWEPT.max(table.swept.saturating_mul(2)) {
            table.sweep(now_ms);
        }
        let counter = format!("{upstream}/{tool}");
        let hours = table.hours(grant, &counter);
        hours.retain(|(hour, _)| is_recent(*hour, now_ms));
        // A clock that was set back counts on in the hour that it was in; one that was set back by more than a day takes along
        // what was called.
        let now_hour = now_ms.div_euclid(HOUR);
        if hours.last().is_some_and(|(hour, _)| hour.saturating_sub(now_hour) > HOURS) {
            let count = hours.drain(..).fold(0, |sum: u64, (_, count)| sum.saturating_add(count));
            hours.push((now_hour, count));
        }
        let hour = hours.last().map_or(i64::MIN, |(hour, _)| *hour).max(now_ms.div_euclid(HOUR));
        match hours.last_mut() {
            Some((last, count)) if *last == hour => *count = count.saturating_add(1),
            _ => hours.push((hour, 1)),
        }
        let count = hours.last().map_or(1, |(_, count)| *count);
        CounterRow {
            key: CounterKey {
                policy: OWNER.into(),
                counter,
                // A row of an hour that is over is written over.
                window: format!("hour {}", hour.rem_euclid(HOURS)),
                scope: grant.into(),
            },
            window_start: hour.saturating_mul(HOUR),
            used: count.to_string(),
            version: hour
                .saturating_mul(HOUR)
                .saturating_mul(1000)
                .saturating_add(i64::try_from(count).unwrap_or(i64::MAX)),
        }
    }

    /// The counts of a grant, as a call to one server sees them.
    #[must_use]
    pub fn of<'a>(&'a self, grant: &'a str, upstream: &'a str, now_ms: i64) -> impl Calls + 'a {
        OfGrant { all: self, grant, upstream, now_ms }
    }
}

impl Table {
    fn hours(&mut self, grant: &str, counter: &str) -> &mut Hours {
        if !self.grants.contains_key(grant) {
            self.grants.insert(grant.to_owned(), HashMap::new());
        }
        let tools = self.grants.entry(grant.to_owned()).or_default();
        if !tools.contains_key(counter) {
            self.tools += 1;
        }
        tools.entry(counter.to_owned()).or_default()
    }

    /// Lets go of what was called longer ago than a day.
    fn sweep(&mut self, now_ms: i64) {
        for tools in self.grants.values_mut() {
            tools.retain(|_, hours| {
                hours.retain(|(hour, _)| is_recent(*hour, now_ms));
                !hours.is_empty()
            });
        }
        self.grants.retain(|_, tools| !tools.is_empty());
        self.tools = self.grants.values().map(HashMap::len).sum();
        self.swept = self.tools;
    }
}

fn is_recent(hour: i64, now_ms: i64) -> bool {
    hour > now_ms.div_euclid(HOUR).saturating_sub(HOURS)
}

struct OfGrant<'a> {
    all: &'a GrantCalls,
    grant: &'a str,
    upstream: &'a str,
    now_ms: i64,
}

impl Calls for OfGrant<'_> {
    fn of(&self, tool: &str) -> u64 {
        let table = self.all.0.lock();
        let Some(tools) = table.grants.get(self.grant) else { return 0 };
        // A tool of this server may have a slash in its own name.
        let hours = tools.get(&format!("{}/{tool}", self.upstream)).or_else(|| tools.get(tool));
        let recent = hours.into_iter().flatten().filter(|(hour, _)| is_recent(*hour, self.now_ms));
        recent.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::{GrantCalls, HOUR, SWEPT};
    use portcullis_policy::Calls;

    const NOW: i64 = 1_796_083_200_000;

    #[test]
    fn calls_are_counted_for_the_grant_by_server_and_tool() {
        let calls = GrantCalls::default();
        calls.note("ci", "web", "fetch", NOW);
        calls.note("ci", "web", "fetch", NOW + 1);
        let of = |grant: &str, upstream: &str, tool: &str| calls.of(grant, upstream, NOW).of(tool);
        assert_eq!(of("ci", "web", "fetch"), 2);
        assert_eq!(of("ci", "mail", "web/fetch"), 2);
        assert_eq!((of("ci", "mail", "fetch"), of("other", "web", "fetch"), of("ci", "web", "x")), (0, 0, 0));
    }

    #[test]
    fn a_call_counts_for_a_whole_day_and_not_longer_than_an_hour_more() {
        let calls = GrantCalls::default();
        for minutes in [0, 17, 59] {
            let made = NOW + minutes * 60_000;
            let grant = format!("g{minutes}");
            calls.note(&grant, "web", "fetch", made);
            let after = |ms: i64| calls.of(&grant, "web", made + ms).of("fetch");
            assert_eq!(
                (after(0), after(12 * HOUR), after(24 * HOUR), after(25 * HOUR)),
                (1, 1, 1, 0),
                "{minutes}"
            );
        }
    }

    #[test]
    fn a_restart_and_a_clock_that_is_set_back_forget_nothing() {
        let calls = GrantCalls::default();
        let mut kept = std::collections::BTreeMap::new();
        for ms in [0, 5, HOUR, -HOUR, 30 * HOUR, 31 * HOUR] {
            let row = calls.note("ci", "web", "fetch", NOW + ms);
            let last: Option<&portcullis_ledger::CounterRow> = kept.get(&row.key);
            assert!(last.is_none_or(|last| last.version < row.version), "{ms}");
            kept.insert(row.key.clone(), row);
        }
        let (again, others) = GrantCalls::restore(kept.into_values().collect(), NOW + 31 * HOUR);
        assert!(others.is_empty());
        for ms in [31 * HOUR, 40 * HOUR, 20 * HOUR] {
            let count = |calls: &GrantCalls| calls.of("ci", "web", NOW + ms).of("fetch");
            assert_eq!(count(&again), count(&calls), "{ms}");
        }
        assert_eq!(again.of("ci", "web", NOW + 31 * HOUR).of("fetch"), 2);
    }

    #[test]
    fn what_is_over_is_let_go_of() {
        let calls = GrantCalls::default();
        for n in 0..3 * SWEPT {
            calls.note("ci", "web", &n.to_string(), NOW);
        }
        for n in 0..6 * SWEPT {
            calls.note("ci", "web", &n.to_string(), NOW + 26 * HOUR);
        }
        let table = calls.0.lock();
        assert_eq!(table.tools, table.grants.values().map(|tools| tools.len()).sum::<usize>());
        assert!(table.tools <= 6 * SWEPT && table.grants["ci"].values().all(|hours| hours.len() == 1));
    }
}
