//! How a task can stand.

/// The state of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is under way.
    Working,
    /// It waits for its client.
    InputRequired,
    /// It ended with a result.
    Completed,
    /// It ended with an error.
    Failed,
    /// It was cancelled.
    Cancelled,
    /// Its server does not know it any more: it ended with the server, or was let go.
    Lost,
}

impl State {
    /// As the record and lists spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// Whether nothing follows it.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Working | Self::InputRequired)
    }

    /// A state by its name. One that no design has is taken for work under way.
    pub(super) fn of(name: &str) -> Self {
        let all = [Self::InputRequired, Self::Completed, Self::Failed, Self::Cancelled, Self::Lost];
        all.into_iter().find(|state| state.as_str() == name).unwrap_or(Self::Working)
    }
}
