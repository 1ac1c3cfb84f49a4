//! Exact decimal numbers.
//!
//! Money and identifiers are compared digit for digit. A float would not do (0.1 is none), a 128-bit decimal is too
//! narrow for what JSON may carry, and a general big number allocates and can be made to grow: `1e400` is six bytes. So:
//! at most 64 significant digits and powers of ten up to ±400, in place, and a clear no to everything else.

use std::cmp::Ordering;
use std::fmt;

const DIGITS: usize = 64;
const EXPONENT: i32 = 400;

/// A number of at most 64 significant digits and an exponent within ±400. Equal values are equal whatever their notation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Decimal {
    negative: bool,
    /// Significant digits, the first and the last not 0, the rest of the array 0. None for zero.
    digits: [u8; DIGITS],
    length: u8,
    /// The power of ten of the first digit.
    exponent: i32,
}

/// The number needs more than 64 digits or an exponent beyond ±400, or is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotExact;

impl fmt::Display for NotExact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a number of at most 64 digits and an exponent within ±400")
    }
}

impl std::error::Error for NotExact {}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self { negative: false, digits: [0; DIGITS], length: 0, exponent: 0 };

    /// One call.
    pub const ONE: Self = {
        let mut digits = [0; DIGITS];
        let [first, ..] = &mut digits;
        *first = 1;
        Self { negative: false, digits, length: 1, exponent: 0 }
    };

    /// Whether it is less than zero.
    pub fn is_negative(&self) -> bool {
        self.negative
    }

    /// Whether nothing stands behind the decimal point.
    pub fn is_whole(&self) -> bool {
        self.exponent + 1 >= i32::from(self.length)
    }

    /// The exact sum.
    ///
    /// # Errors
    /// When the sum does not fit. A counter that would have to be rounded must not be.
    pub fn checked_add(&self, other: &Self) -> Result<Self, NotExact> {
        if self.length == 0 {
            return Ok(*other);
        }
        if other.length == 0 {
            return Ok(*self);
        }
        let lowest = self.lowest().min(other.lowest());
        let highest = self.exponent.max(other.exponent) + 1;
        let mut sum = [0i8; DIGITS + 2];
        let width = usize::try_from(highest - lowest + 1).map_err(|_| NotExact)?;
        let places = sum.get_mut(..width).ok_or(NotExact)?;
        for number in [self, other] {
            for (at, digit) in (0i32..).zip(number.significant()) {
                let place = usize::try_from(highest - number.exponent + at).map_err(|_| NotExact)?;
                let digit = i8::try_from(*digit).map_err(|_| NotExact)?;
                *places.get_mut(place).ok_or(NotExact)? += if number.negative { -digit } else { digit };
            }
        }
        let negative = places.iter().find(|digit| **digit != 0).is_some_and(|digit| *digit < 0);
        let mut carry = 0;
        for digit in places.iter_mut().rev() {
            let value = if negative { -*digit } else { *digit } + carry;
            carry = value.div_euclid(10);
            *digit = value.rem_euclid(10);
        }
        let digits = places.iter().map(|digit| digit.unsigned_abs());
        Self::build(negative, digits, highest)
    }

    /// The exact difference.
    ///
    /// # Errors
    /// When the difference does not fit.
    pub fn checked_sub(&self, other: &Self) -> Result<Self, NotExact> {
        self.checked_add(&Self { negative: !other.negative && other.length > 0, ..*other })
    }

    /// From digits, of which the first has the power of ten `exponent`.
    fn build(negative: bool, digits: impl Iterator<Item = u8>, exponent: i32) -> Result<Self, NotExact> {
        let mut built = Self::ZERO;
        let mut significant = 0;
        for (at, digit) in (0i32..).zip(digits) {
            if digit == 0 && built.length == 0 {
                continue;
            }
            if built.length == 0 {
                built.exponent = exponent.checked_sub(at).ok_or(NotExact)?;
            }
            // Zeros count only when another digit follows them.
            match built.digits.get_mut(significant) {
                Some(place) => *place = digit,
                None if digit == 0 => {}
                None => return Err(NotExact),
            }
            significant += 1;
            if digit != 0 {
                built.length = u8::try_from(significant).map_err(|_| NotExact)?;
            }
        }
        if built.exponent.abs() > EXPONENT {
            return Err(NotExact);
        }
        built.negative = negative && built.length > 0;
        Ok(built)
    }

    fn significant(&self) -> &[u8] {
        self.digits.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn lowest(&self) -> i32 {
        self.exponent + 1 - i32::from(self.length)
    }
}

impl std::str::FromStr for Decimal {
    type Err = NotExact;

    /// Reads JSON's notation of a number.
    fn from_str(text: &str) -> Result<Self, NotExact> {
        let unsigned = text.strip_prefix('-');
        let negative = unsigned.is_some();
        let (mantissa, exponent) = match unsigned.unwrap_or(text).split_once(['e', 'E']) {
            // Text longer than any exponent we take fails to parse, which is what we want of it.
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().map_err(|_| NotExact)?),
            None => (unsigned.unwrap_or(text), 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(NotExact);
        }
        if exponent.abs() > EXPONENT {
            return Err(NotExact);
        }
        let digits = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0');
        let first = i32::try_from(whole.len()).map_err(|_| NotExact)? - 1 + exponent;
        Self::build(negative, digits, first)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| match (number.length, number.negative) {
            (0, _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        let magnitude =
            || self.exponent.cmp(&other.exponent).then_with(|| self.significant().cmp(other.significant()));
        match (sign(self), sign(other)) {
            (1, 1) => magnitude(),
            (-1, -1) => magnitude().reverse(),
            (left, right) => left.cmp(&right),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// One text for one value, which [`Decimal::from_str`](std::str::FromStr) reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Beyond this, zeros say less than an exponent.
        const WRITTEN_OUT: i32 = 63;
        if self.length == 0 {
            return f.write_str("0");
        }
        if self.negative {
            f.write_str("-")?;
        }
        let plain = self.exponent <= WRITTEN_OUT && self.lowest() >= -WRITTEN_OUT;
        let (first, last) = if plain {
            (self.exponent.max(0), self.lowest().min(0))
        } else {
            (0, 1 - i32::from(self.length))
        };
        let top = if plain { self.exponent } else { 0 };
        for place in (last..=first).rev() {
            if place == -1 {
                f.write_str(".")?;
            }
            let digit = usize::try_from(top - place).ok().and_then(|at| self.significant().get(at));
            write!(f, "{}", digit.copied().unwrap_or(0))?;
        }
        if !plain {
            write!(f, "e{}", self.exponent)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::{Decimal, NotExact};
    use proptest::prelude::*;

    fn read(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn one_value_in_many_notations_is_one_number() {
        for (left, right) in [
            ("1", "1.0"),
            ("100", "1e2"),
            ("0", "-0"),
            ("0", "0.000e-9"),
            ("1e0", "10E-1"),
            ("-2.50", "-25e-1"),
        ] {
            assert_eq!(read(left), read(right), "{left} {right}");
        }
        assert_eq!(Decimal::ONE, read("1"));
    }

    #[test]
    fn neighbours_that_a_float_takes_for_one_are_told_apart() {
        assert!(read("9007199254740993") > read("9007199254740992"));
        assert!(read("0.1000000000000000000000000000000001") > read("0.1"));
        assert!(read("-1e400") < read("-1e399"));
        assert!(read("1e-400") > read("0"));
    }

    #[test]
    fn what_is_too_long_or_too_large_is_not_a_number_to_us() {
        let seventy = "1".repeat(70);
        for text in [
            seventy.as_str(),
            "1e401",
            "1e-401",
            "0e401",
            "10e400",
            "1e99999999999",
            "",
            "-",
            "1e",
            "x",
            "1.2.3",
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(NotExact), "{text}");
        }
        let zeros = format!("1{}", "0".repeat(300));
        assert_eq!(read(&zeros), read("1e300"));
        assert_eq!(read(&format!("1.{}", "0".repeat(300))), Decimal::ONE);
        assert!(format!("0.{}1", "0".repeat(400)).parse::<Decimal>().is_err());
    }

    #[test]
    fn sums_are_exact_or_refused() {
        assert_eq!(read("0.1").checked_add(&read("0.2")).unwrap(), read("0.3"));
        assert_eq!(read("999.99").checked_add(&read("0.01")).unwrap(), read("1000"));
        assert_eq!(read("1").checked_sub(&read("1")).unwrap(), Decimal::ZERO);
        assert_eq!(read("1").checked_sub(&read("3.5")).unwrap(), read("-2.5"));
        assert_eq!(read("1e70").checked_add(&read("1")), Err(NotExact));
        assert_eq!(read("9e400").checked_add(&read("1e400")), Err(NotExact));
        let nines = "9".repeat(64);
        assert_eq!(read(&nines).checked_add(&Decimal::ONE).unwrap(), read("1e64"));
    }

    proptest! {
        #[test]
        fn order_and_sum_agree_with_integers(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000_000i64..1_000_000_000, shift in 0i32..6) {
            let scaled = |n: i64| read(&format!("{n}e-{shift}"));
            prop_assert_eq!(scaled(a).cmp(&scaled(b)), a.cmp(&b));
            prop_assert_eq!(scaled(a).checked_add(&scaled(b)).unwrap(), scaled(a + b));
            prop_assert_eq!(scaled(a).checked_sub(&scaled(b)).unwrap(), scaled(a - b));
        }

        #[test]
        fn what_is_printed_reads_back(digits in "[1-9][0-9]{0,40}(\\.[0-9]{1,20})?", exponent in -300i32..300) {
            let number = read(&format!("{digits}e{exponent}"));
            prop_assert_eq!(read(&number.to_string()), number);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,80}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
