//! Scores, the tiers that they fall into, and how several become one. All of it in integers: a tie is rounded up, and a
//! double that lies just below one would not be.

use serde::{Serialize, Serializer};
use std::fmt;

/// A score in tenths, from 1.0 to 5.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(u64);

impl Score {
    /// `over / under`, rounded to a tenth, ties up. `under` is never 0.
    pub(super) const fn ratio(over: u64, under: u64) -> Self {
        Self((20 * over + under) / (2 * under))
    }

    pub(super) const fn tenths(self) -> u64 {
        self.0
    }

    /// The tier that it falls into.
    #[must_use]
    pub const fn tier(self) -> Tier {
        match self.0 {
            35.. => Tier::A,
            30.. => Tier::B,
            20.. => Tier::C,
            _ => Tier::D,
        }
    }
}

impl fmt::Display for Score {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.0 / 10, self.0 % 10)
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[allow(clippy::cast_precision_loss, reason = "two digits")]
        to.serialize_f64(self.0 as f64 / 10.0)
    }
}

/// A letter for a score. A and B pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Tier {
    /// 3.5 and above.
    A,
    /// 3.0 and above.
    B,
    /// 2.0 and above.
    C,
    /// Below 2.0.
    D,
}

impl Tier {
    /// All of them, the best first.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_is_rounded_up() {
        assert_eq!(Score::ratio(295, 100).to_string(), "3.0");
        assert_eq!(Score::ratio(294, 100).to_string(), "2.9");
        assert_eq!((Score::ratio(349, 100).tier(), Score::ratio(344, 100).tier()), (Tier::A, Tier::B));
        assert_eq!((Score::ratio(2, 1).tier(), Score::ratio(194, 100).tier()), (Tier::C, Tier::D));
        assert_eq!(serde_json::to_string(&Score::ratio(245, 100)).unwrap(), "2.5");
    }
}
