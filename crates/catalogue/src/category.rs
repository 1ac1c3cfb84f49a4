//! What a tool does to the world, in one of five words, and how grave that is.

use serde::{Deserialize, Serialize};

/// What a tool does. The order is that of gravity: of several that apply, the last one here is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Category {
    /// Looks, and changes nothing.
    Read,
    /// Makes or changes something, or sends a message. Overwriting is writing.
    Write,
    /// Makes something run, or stops it.
    Execute,
    /// Takes something away that does not come back by itself.
    Destructive,
    /// Moves money or assets, or binds somebody to.
    Financial,
}

/// How much can go wrong, which follows from the category alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Risk {
    /// Of reading.
    Low,
    /// Of writing.
    Medium,
    /// Of executing.
    High,
    /// Of destroying, and of moving money.
    Critical,
}

impl Category {
    /// All of them, the least grave first.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Execute, Self::Destructive, Self::Financial];

    /// Its risk.
    #[must_use]
    pub const fn risk(self) -> Risk {
        match self {
            Self::Read => Risk::Low,
            Self::Write => Risk::Medium,
            Self::Execute => Risk::High,
            Self::Destructive | Self::Financial => Risk::Critical,
        }
    }

    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "Read",
            Self::Write => "Write",
            Self::Execute => "Execute",
            Self::Destructive => "Destructive",
            Self::Financial => "Financial",
        }
    }
}

impl Risk {
    /// As tables and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
            Self::Critical => "Critical",
        }
    }
}
