//! Places at which another task can come between, each with a name.
//!
//! What is judged, decided and kept waits for the record in between, and while it waits anything else may happen. In the tests of
//! this crate a seeded schedule decides at each of these places who goes on; elsewhere they are nothing.

#[cfg(not(test))]
#[inline]
pub(crate) async fn point(_: &'static str) {}

#[cfg(test)]
pub(crate) use seeded::point;

#[cfg(test)]
pub(crate) mod seeded {
    use std::cell::RefCell;

    thread_local! {
        static SCHEDULE: RefCell<Schedule> = RefCell::default();
    }

    #[derive(Default)]
    struct Schedule {
        /// 0: nobody comes between.
        state: u64,
        passed: Vec<&'static str>,
    }

    /// Begins a schedule on this thread.
    pub(crate) fn begin(seed: u64) {
        SCHEDULE.with_borrow_mut(|it| {
            *it = Schedule { state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, ..Schedule::default() }
        });
    }

    /// The next number below `below` of the schedule.
    pub(crate) fn choose(below: u64) -> u64 {
        SCHEDULE.with_borrow_mut(|it| {
            // Marsaglia's xorshift.
            it.state ^= it.state << 13;
            it.state ^= it.state >> 7;
            it.state ^= it.state << 17;
            (it.state >> 11) % below
        })
    }

    /// The last places that were passed, for whoever reads why a schedule failed.
    pub(crate) fn trace() -> Vec<&'static str> {
        SCHEDULE.with_borrow(|it| it.passed.iter().rev().take(40).rev().copied().collect())
    }

    pub(crate) async fn point(name: &'static str) {
        if SCHEDULE.with_borrow(|it| it.state == 0) {
            return;
        }
        for _ in 0..choose(4) {
            tokio::task::yield_now().await;
        }
        SCHEDULE.with_borrow_mut(|it| it.passed.push(name));
    }
}
