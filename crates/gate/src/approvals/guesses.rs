//! How many wrong tokens one source may try on the page and the API of approvals.
//!
//! A table of fixed size, by the hash of the source under a key of this process: sources that fall on the same place share it, and
//! nobody can tell which do. Whoever gave a right token before has a mark of the gate's own, and a place by that mark: others who try
//! tokens from the same address cannot keep them out.

use parking_lot::Mutex;
use std::hash::{BuildHasher, Hash, RandomState};
use std::time::{Duration, Instant};

/// Places in the table.
const PLACES: usize = 1024;
/// Wrong tokens at once.
const BURST: u32 = 10;
/// How long until one more may be tried.
const REFILL: Duration = Duration::from_secs(6);

#[derive(Debug, Clone, Copy)]
struct Place {
    tried: u32,
    since: Instant,
}

/// The wrong tokens that were tried lately.
#[derive(Debug)]
pub(crate) struct Guesses {
    places: Mutex<Box<[Place]>>,
    hasher: RandomState,
}

impl Default for Guesses {
    fn default() -> Self {
        let none = Place { tried: 0, since: Instant::now() };
        Self { places: Mutex::new(vec![none; PLACES].into()), hasher: RandomState::new() }
    }
}

impl Guesses {
    /// How long that source has to wait before a token of it is looked at; `None` where it has not to.
    pub(crate) fn wait(&self, source: impl Hash, now: Instant) -> Option<Duration> {
        self.at(source, now, |place| {
            (place.tried >= BURST).then(|| REFILL.saturating_sub(now.saturating_duration_since(place.since)))
        })
    }

    /// Notes that a token of that source was wrong.
    pub(crate) fn note(&self, source: impl Hash, now: Instant) {
        self.at(source, now, |place| {
            if place.tried == 0 {
                place.since = now;
            }
            place.tried += 1;
        });
    }

    fn at<T>(&self, source: impl Hash, now: Instant, what: impl FnOnce(&mut Place) -> T) -> T
    where
        T: Default,
    {
        let at = usize::try_from(self.hasher.hash_one(source)).unwrap_or_default() % PLACES;
        let mut places = self.places.lock();
        let Some(place) = places.get_mut(at) else { return T::default() };
        let passed = now.saturating_duration_since(place.since).as_secs() / REFILL.as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        if passed >= place.tried {
            place.tried = 0;
        } else if passed > 0 {
            place.tried -= passed;
            place.since += REFILL * passed;
        }
        what(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_source_is_slowed_down_and_never_for_ever() {
        let guesses = Guesses::default();
        let start = Instant::now();
        for _ in 0..BURST {
            assert_eq!(guesses.wait("a", start), None);
            guesses.note("a", start);
        }
        assert_eq!(guesses.wait("a", start), Some(REFILL));
        assert_eq!(guesses.wait("a", start + REFILL / 2), Some(REFILL / 2));
        assert_eq!(guesses.wait("a", start + REFILL), None);
        guesses.note("a", start + REFILL);
        assert_eq!(guesses.wait("a", start + REFILL), Some(REFILL));
        assert_eq!(guesses.wait("a", start + REFILL * (BURST + 2)), None);
        // Most other sources have another place.
        assert!((0..20).filter(|other| guesses.wait(other, start).is_none()).count() > 15);
    }
}
