//! How long a text or a list is.

use crate::Decimal;
use crate::arguments::Type;
use crate::literal::Equal;
use crate::truth::Why;
use portcullis_json::{elements, text};
use std::cmp::Ordering;

/// How a length is to compare with a number; all of them hold.
#[derive(Debug)]
pub(crate) struct Length(pub(crate) Vec<(Comparison, Decimal)>);

/// The words of comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Eq,
    Lt,
    Lte,
    Gt,
    Gte,
}

impl Comparison {
    /// By their words.
    pub(crate) const ALL: [(&'static str, Self); 5] =
        [("eq", Self::Eq), ("lt", Self::Lt), ("lte", Self::Lte), ("gt", Self::Gt), ("gte", Self::Gte)];

    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Lt => order.is_lt(),
            Self::Lte => order.is_le(),
            Self::Gt => order.is_gt(),
            Self::Gte => order.is_ge(),
        }
    }
}

impl Length {
    /// Judges the characters of a text, or the elements of a list.
    pub(crate) fn holds(&self, raw: &str) -> Equal {
        let length = match Type::of(raw) {
            Type::String => text(raw).ok_or(Why::Malformed)?.chars().count(),
            Type::Array => {
                let mut count = 0;
                elements(raw, &mut |_| count += 1).ok_or(Why::Malformed)?;
                count
            }
            found => return Err(Why::Type { expected: "a string or an array", found }),
        };
        let length: Decimal = length.to_string().parse().map_err(|_| Why::Number)?;
        Ok(self.0.iter().all(|(comparison, bound)| comparison.holds(length.cmp(bound))))
    }
}
