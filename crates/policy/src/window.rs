//! When a limit begins anew.

use std::fmt;

/// A fixed stretch of time, aligned in UTC: minutes begin at second 0, days at midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl Window {
    /// The one of that name, as it is displayed.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Minute, Self::Hour, Self::Day].into_iter().find(|window| window.as_str() == name)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// How long it lasts in milliseconds.
    pub fn millis(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// When the window around a moment began; both in milliseconds since 1970 (UTC).
    pub fn start(self, unix_ms: i64) -> i64 {
        unix_ms.saturating_sub(unix_ms.rem_euclid(self.millis()))
    }

    /// When the next one begins; both in milliseconds since 1970 (UTC).
    pub fn resets_at(self, unix_ms: i64) -> i64 {
        self.start(unix_ms).saturating_add(self.millis())
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn windows_begin_on_the_minute_the_hour_and_the_day_in_utc() {
        let moment = 1_763_689_330_123; // 2025-11-21 01:42:10.123
        assert_eq!(Window::Minute.start(moment), 1_763_689_320_000);
        assert_eq!(Window::Hour.start(moment), 1_763_686_800_000);
        assert_eq!(Window::Day.resets_at(moment), 1_763_769_600_000);
    }

    #[test]
    fn a_window_is_left_at_its_reset_and_not_before() {
        for window in [Window::Minute, Window::Hour, Window::Day] {
            for moment in [-1, 0, 59_999, 1_763_689_330_123] {
                let reset = window.resets_at(moment);
                assert_eq!(window.start(reset - 1), window.start(moment));
                assert_eq!(window.start(reset), reset);
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for window in [Window::Minute, Window::Hour, Window::Day] {
            assert_eq!(window.resets_at(i64::MAX), i64::MAX);
            assert!(window.start(i64::MIN) <= i64::MIN + window.millis());
        }
    }
}
