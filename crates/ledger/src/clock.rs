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

/// What has passed since the machine started, also while it slept, in milliseconds.
fn passed() -> i64 {
    let passed = clock_gettime(ClockId::Boottime);
    passed.tv_sec.saturating_mul(1000).saturating_add(passed.tv_nsec / 1_000_000)
}

/// The times of rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    /// The time of the last row, in milliseconds since 1970.
    last: i64,
    /// A moment of this process: by the clock, and by what had passed since the machine started.
    anchor: (i64, i64),
}

impl Clock {
    /// Goes on after a row of that time, in milliseconds since 1970; 0 for none.
    pub(crate) fn after(last: i64) -> Self {
        Self { last, anchor: (now_ms(), passed()) }
    }

    /// The time for the next rows, and whether the clock was set since the last one.
    pub(crate) fn read(&mut self) -> (i64, Option<Jump>) {
        self.read_at(now_ms(), passed)
    }

    /// Another clock is asked only where this one says that more than a moment has passed: on many machines each look at one takes
    /// a call of the system.
    fn read_at(&mut self, now: i64, passed: impl FnOnce() -> i64) -> (i64, Option<Jump>) {
        let step = now.saturating_sub(self.last);
        if step.abs() < SET {
            self.last = now.max(self.last);
            return (self.last, None);
        }
        let passed = passed();
        let ahead = (now - self.anchor.0) - (passed - self.anchor.1);
        let jump = (step < 0 || ahead >= SET).then_some(Jump { from: self.last, to: now });
        (self.last, self.anchor) = (now, (now, passed));
        (now, jump)
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
        Self(Mutex::new(Clock::after(now_ms())))
    }
}

impl ClockWatch {
    /// How it was set since the last look, where it was. `now` is what it says, in milliseconds since 1970.
    #[must_use]
    pub fn look(&self, now: i64) -> Option<Jump> {
        self.0.lock().read_at(now, passed).1
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
        let year = 365 * 86_400_000;
        for (last, anchor, now, passed, time, jumps) in [
            // It goes on, a little behind, a little ahead.
            (1_000, (1_000, 0), 2_000, 1_000, 2_000, false),
            (50_000, (50_000, 0), 40_000, 1_000, 50_000, false),
            (1_000, (1_000, 0), 50_000, 1_000, 50_000, false),
            // Nobody asked anything for a while, the machine slept, or there was no gate.
            (1_000, (1_000, 0), year, year, year, false),
            (1_000, (year, 5), year, 5, year, false),
            // It was set.
            (1_000, (1_000, 0), year, 1_000, year, true),
            (year, (year, 0), 1_000, 1_000, 1_000, true),
            (year, (1_000, 5), 1_000, 5, 1_000, true),
        ] {
            let (read, jump) = Clock { last, anchor }.read_at(now, || passed);
            assert_eq!((read, jump.is_some()), (time, jumps), "{last} {now}");
            assert_eq!(jump.is_some_and(Jump::is_back), jumps && now < last);
        }
    }
}
