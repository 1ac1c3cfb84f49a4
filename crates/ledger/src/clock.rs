//! The clock of the record.
//!
//! The times of rows go on, although a clock may be corrected by some seconds. One that is set by more than that, or that was
//! wrong when the gate was started, is followed, and a row says it: the record must not carry the year of a mistake until that year
//! comes.

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use std::fmt;

/// A clock that goes by so much more or less than the time that has passed was set, in milliseconds.
const SET: i64 = 60_000;

/// Now, in milliseconds since 1970.
#[must_use]
pub fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in milliseconds since 1970 as RFC 3339 with milliseconds.
#[must_use]
pub fn stamp(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.3}"))
}

/// A moment: by the clock, and by what has passed since the machine started, also while it slept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// Milliseconds since 1970.
    pub wall: i64,
    /// Milliseconds since the start of the machine; `None` for a moment of an earlier process.
    passed: Option<i64>,
}

impl Moment {
    fn now() -> Self {
        let passed = clock_gettime(ClockId::Boottime);
        let passed = passed.tv_sec.saturating_mul(1000).saturating_add(passed.tv_nsec / 1_000_000);
        Self { wall: now_ms(), passed: Some(passed) }
    }
}

/// The times of rows.
#[derive(Debug)]
pub(crate) struct Clock {
    /// When the last row was written.
    pub last: Moment,
}

impl Clock {
    /// Goes on after a row of that time, in milliseconds since 1970; 0 for none.
    pub(crate) fn after(wall: i64) -> Self {
        Self { last: Moment { wall, passed: None } }
    }

    /// The time for the next rows, and whether the clock was set since the last one.
    pub(crate) fn read(&self) -> (Moment, Option<Jump>) {
        self.read_at(Moment::now())
    }

    fn read_at(&self, now: Moment) -> (Moment, Option<Jump>) {
        let back = self.last.wall.saturating_sub(now.wall);
        let ahead = match (now.passed, self.last.passed) {
            (Some(now_passed), Some(passed)) => now.wall - self.last.wall - (now_passed - passed),
            _ => 0,
        };
        if back >= SET || ahead >= SET {
            return (now, Some(Jump { from: self.last.wall, to: now.wall }));
        }
        (Moment { wall: now.wall.max(self.last.wall), ..now }, None)
    }
}

/// The clock was set: what it said when it was looked at before, and what it says now, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Jump {
    /// What it said before.
    pub from: i64,
    /// What it says now.
    pub to: i64,
}

impl Jump {
    /// Whether it was set back.
    #[must_use]
    pub fn is_back(self) -> bool {
        self.to < self.from
    }
}

/// Looks whether the clock is set while the process runs.
#[derive(Debug)]
pub struct ClockWatch(Mutex<Clock>);

impl Default for ClockWatch {
    fn default() -> Self {
        Self(Mutex::new(Clock { last: Moment::now() }))
    }
}

impl ClockWatch {
    /// How it was set since the last look, where it was.
    #[must_use]
    pub fn look(&self) -> Option<Jump> {
        let mut clock = self.0.lock();
        let now = Moment::now();
        let (_, jump) = clock.read_at(now);
        clock.last = now;
        jump
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.is_back() { "back" } else { "ahead" };
        write!(
            f,
            "the clock was set {way}: the row before is of {}, this one of {}",
            stamp(self.from),
            stamp(self.to)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_unless_the_clock_was_set() {
        let at = |wall, passed| Moment { wall, passed };
        let year = 365 * 86_400_000;
        for (last, now, time, jumps) in [
            // It goes on, a little behind, a little ahead.
            (at(1_000, Some(0)), at(2_000, Some(1_000)), 2_000, false),
            (at(50_000, Some(0)), at(40_000, Some(1_000)), 50_000, false),
            (at(1_000, Some(0)), at(50_000, Some(1_000)), 50_000, false),
            // The gate was asleep with its machine, or not there.
            (at(1_000, Some(0)), at(year, Some(year)), year, false),
            (at(1_000, None), at(year, Some(5)), year, false),
            // It was set.
            (at(1_000, Some(0)), at(year, Some(1_000)), year, true),
            (at(year, Some(0)), at(1_000, Some(1_000)), 1_000, true),
            (at(year, None), at(1_000, Some(1_000)), 1_000, true),
        ] {
            let (read, jump) = Clock { last }.read_at(now);
            assert_eq!((read.wall, jump.is_some()), (time, jumps), "{last:?} {now:?}");
            assert_eq!(jump.is_some_and(Jump::is_back), jumps && now.wall < last.wall);
        }
    }
}
