//! What a predicate can be.

use std::fmt;

use crate::Path;
use crate::arguments::Type;

/// True, false, or neither, and then why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth<'p> {
    True,
    False,
    /// There is nothing at the path.
    Missing(&'p Path),
    /// There is something that cannot be judged.
    Unjudged(&'p Path, Why),
}

/// Why something cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    Malformed,
    LookAlike,
    PropertyLookAlike,
    Twice,
    Null,
    Type {
        expected: &'static str,
        found: Type,
    },
    Number,
    /// Another session of the grant called what this one did not.
    AnotherSession,
    /// A text that is not written as the operator needs it, and in which way.
    Form(&'static str),
}

impl Truth<'_> {
    pub(crate) fn of(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }

    pub(crate) fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            other => other,
        }
    }

    /// False if one is, else the first doubt, else missing if one is. A doubt outweighs what is missing: it denies under
    /// `deny_if` too.
    pub(crate) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut sum = Self::True;
        for part in parts {
            match part {
                Self::False => return part,
                Self::Unjudged(..) if !matches!(sum, Self::Unjudged(..)) => sum = part,
                Self::Missing(_) if matches!(sum, Self::True) => sum = part,
                _ => {}
            }
        }
        sum
    }

    /// True if one is, else the first doubt, else missing if one is.
    pub(crate) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        Self::all(parts.into_iter().map(Self::not)).not()
    }

    /// The word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Missing(_) => "missing",
            Self::Unjudged(..) => "unjudged",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the arguments are not a JSON object"),
            Self::LookAlike => {
                f.write_str("a key of the arguments differs from it only by case or Unicode form")
            }
            Self::PropertyLookAlike => {
                f.write_str("an argument differs from a property of the tool only by case or Unicode form")
            }
            Self::Twice => f.write_str("its key is there twice"),
            Self::AnotherSession => f.write_str(
                "another session of the grant called it in the last day, and a client begins sessions as it likes; `grant.calls` counts them all",
            ),
            Self::Null => f.write_str("it is null"),
            Self::Type { expected, found } => write!(f, "expected {expected}, found {found}"),
            Self::Number => f.write_str("the number has more than 64 digits or an exponent beyond ±400"),
            Self::Form(how) => f.write_str(how),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Truth, Why};
    use crate::Path;

    #[test]
    fn neither_true_nor_false_is_carried_as_in_three_valued_logic() {
        let path = Path::parse("args.a").unwrap();
        let (t, f, m, u) =
            (Truth::True, Truth::False, Truth::Missing(&path), Truth::Unjudged(&path, Why::Null));
        let all = [
            (t, t, t),
            (t, f, f),
            (t, m, m),
            (t, u, u),
            (f, m, f),
            (f, u, f),
            (m, u, u),
            (m, m, m),
            (u, u, u),
        ];
        for (left, right, both) in all {
            assert_eq!(Truth::all([left, right]), both);
            assert_eq!(Truth::all([right, left]), both);
            assert_eq!(Truth::any([left.not(), right.not()]), both.not());
        }
        assert_eq!((m.not(), u.not(), t.not()), (m, u, f));
    }
}
