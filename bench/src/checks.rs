//! The bars: what the gate may cost beside a bare hop on the same machine in the same run.

use std::time::Duration;

use crate::{
    compare::Figures,
    disk::Disk,
    memory::Growth,
    report::{Bar, Check, Comparison},
};

/// Names of the sides.
pub const DIRECT: &str = "direct";
/// The yardstick.
pub const PASS: &str = "pass-through";
/// The gate.
pub const GATE: &str = "gate";
/// The gate with a policy without rules.
pub const NO_RULES: &str = "gate, no rules";
/// An earlier gate.
pub const BEFORE: &str = "gate, before";

/// Many calls in flight.
pub const MANY: usize = 32;

const MEGABYTE_KIB: f64 = 1_000_000.0 / 1024.0;

/// What the gate adds to a call.
pub fn traffic(all: &Comparison) -> Vec<Check> {
    let times_pass = |in_flight| ratio(all.figure(GATE, in_flight, cpu), all.figure(PASS, in_flight, cpu));
    let per_call = |in_flight| all.figure(GATE, in_flight, |figures| figures.upstream_requests_per_call);
    let share = ratio(all.figure(GATE, MANY, rate), all.figure(DIRECT, MANY, rate));
    let slowest = ratio(all.figure(GATE, MANY, p99), all.figure(DIRECT, MANY, p99));
    vec![
        Check::judged(
            "median time added, 1 in flight, times pass-through",
            ratio(added(all, GATE), added(all, PASS)),
            "",
            Bar::AtMost(3.0),
        ),
        Check::judged("CPU per call, 1 in flight, times pass-through", times_pass(1), "", Bar::AtMost(3.0)),
        Check::judged(
            "CPU per call, 32 in flight, times pass-through",
            times_pass(MANY),
            "",
            Bar::AtMost(3.0),
        ),
        Check::judged("throughput, 32 in flight, share of direct", share, "", Bar::AtLeast(0.20)),
        Check::judged("p99, 32 in flight, times direct", slowest, "", Bar::AtMost(4.5)),
        Check::judged("upstream requests per call, 1 in flight", per_call(1), "", Bar::Exactly(1.0)),
        Check::judged("upstream requests per call, 32 in flight", per_call(MANY), "", Bar::Exactly(1.0)),
    ]
}

/// What it costs more when every row has to be on the disk before its call leaves.
pub fn durable(all: &Comparison, disk: &Disk) -> Vec<Check> {
    let sync_us = disk.sync.as_secs_f64() * 1e6;
    let bar = 3.0 * added(all, PASS) + 1.3 * sync_us;
    let flushes = |in_flight| all.figure(GATE, in_flight, |figures| figures.disk_flushes_per_call);
    // A disk that does not count its flushes makes at most 1/sync of them in a second.
    let calls_per_sync = match disk.flushes() {
        Some(_) => ratio(1.0, flushes(MANY)),
        None => all.figure(GATE, MANY, rate) * disk.sync.as_secs_f64(),
    };
    vec![
        Check::reported("this disk: 4 KiB written and synced", sync_us, "µs"),
        Check::judged(
            "every row on disk: median time added, 1 in flight (bar: 3 × pass-through + 1.3 × sync)",
            added(all, GATE),
            "µs",
            Bar::AtMost(bar),
        ),
        Check::reported("every row on disk: disk flushes per call, 1 in flight", flushes(1), ""),
        Check::judged("every row on disk: calls per sync, 32 in flight", calls_per_sync, "", Bar::Above(1.0)),
    ]
}

/// What a hundred rules cost.
pub fn rules(all: &Comparison) -> Vec<Check> {
    let more = 100.0 * (ratio(all.figure(GATE, MANY, cpu), all.figure(NO_RULES, MANY, cpu)) - 1.0);
    vec![Check::judged("a hundred rules: more CPU per call, 32 in flight", more, "%", Bar::AtMost(5.0))]
}

/// What a call costs more, or less, than through an earlier gate.
pub fn before(all: &Comparison) -> Vec<Check> {
    let times = |in_flight| ratio(all.figure(GATE, in_flight, cpu), all.figure(BEFORE, in_flight, cpu));
    [1, MANY]
        .map(|in_flight| {
            let what = format!("CPU per call, {in_flight} in flight, times before");
            Check::judged(what, times(in_flight), "", Bar::AtMost(1.03))
        })
        .into()
}

/// How soon the gate is ready, and how small it is then.
pub fn idle(ready: Duration, resident_kib: u64) -> Vec<Check> {
    let megabytes = resident_kib as f64 / MEGABYTE_KIB;
    vec![
        Check::judged(
            "from start to ready, median of starts",
            ready.as_secs_f64() * 1e3,
            "ms",
            Bar::AtMost(50.0),
        ),
        Check::judged("memory, idle", megabytes, "MB", Bar::AtMost(15.0)),
    ]
}

/// What a session costs that is left open.
pub fn per_session(growth: Growth) -> Check {
    let opened = growth.times.saturating_sub(growth.refused) as f64;
    Check::judged("memory per open session", ratio(growth.kib(), opened), "KiB", Bar::AtMost(16.0))
}

/// Memory grown; judged by nobody yet.
pub fn grown(what: &str, growth: Growth) -> Check {
    Check::reported(format!("memory grown: {what}"), growth.kib() / 1024.0, "MiB")
}

/// Median time that a side adds to a direct call, one in flight, in microseconds.
fn added(all: &Comparison, side: &str) -> f64 {
    all.figure(side, 1, p50) - all.figure(DIRECT, 1, p50)
}

fn ratio(value: f64, of: f64) -> f64 {
    if of > 0.0 { value / of } else { f64::NAN }
}

fn p50(figures: &Figures) -> Option<f64> {
    Some(figures.p50_us)
}

fn p99(figures: &Figures) -> Option<f64> {
    Some(figures.p99_us)
}

fn rate(figures: &Figures) -> Option<f64> {
    Some(figures.calls_per_second)
}

fn cpu(figures: &Figures) -> Option<f64> {
    figures.cpu_us_per_call
}

#[cfg(test)]
mod tests {
    use super::{BEFORE, DIRECT, GATE, PASS, before, traffic};
    use crate::{compare::Figures, report::Comparison};

    fn side(side: &'static str, p50_us: f64, cpu: Option<f64>) -> [Figures; 2] {
        [1, 32].map(|in_flight| Figures {
            side,
            in_flight,
            calls: 1000,
            calls_per_second: 1e6 / p50_us,
            p50_us,
            p99_us: 2.0 * p50_us,
            cpu_us_per_call: cpu,
            upstream_requests_per_call: cpu.map(|_| 1.0),
            disk_flushes_per_call: None,
        })
    }

    #[test]
    fn ratios_are_taken_of_the_time_added_and_of_the_pass_through() {
        let figures =
            [side(DIRECT, 100.0, None), side(PASS, 150.0, Some(20.0)), side(GATE, 250.0, Some(50.0))]
                .concat();
        let checks = traffic(&Comparison { what: "test", figures });
        let values: Vec<_> = checks.iter().map(|check| check.value).collect();
        assert_eq!(values, [3.0, 2.5, 2.5, 0.4, 2.5, 1.0, 1.0].map(Some));
        assert!(checks.iter().all(|check| check.holds == Some(true)), "{checks:?}");
    }

    #[test]
    fn a_gate_may_cost_little_more_than_the_one_before() {
        let held = |now: f64| {
            let figures = [side(BEFORE, 200.0, Some(100.0)), side(GATE, 200.0, Some(now))].concat();
            before(&Comparison { what: "test", figures }).iter().all(|check| check.holds == Some(true))
        };
        assert!(held(90.0) && held(103.0) && !held(104.0));
    }
}
