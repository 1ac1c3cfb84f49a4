//! One notation for each number.

use std::borrow::Cow;

/// A JSON number as its significant digits and the power of ten of the last of them: `100` is `1e2`, `-0.50` is `-5e-1`, `7.0` is
/// `7`, and every zero is `0`.
///
/// No digit is lost and none is added, so the text is never longer than what was read by more than an exponent. An exponent that
/// does not fit in 128 bits stays apart from the digits: such numbers are equal where their digits and exponents are, and no
/// program can hold one.
pub(super) fn canonical(text: &str) -> Cow<'_, str> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let sign = if unsigned.len() < text.len() { "-" } else { "" };
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_matches('0');
    if digits.is_empty() {
        return Cow::Borrowed("0");
    }
    let zeros = all.len() - all.trim_end_matches('0').len();
    let shift = i128::try_from(zeros).ok().zip(i128::try_from(fraction.len()).ok());
    let last = exponent
        .parse::<i128>()
        .ok()
        .zip(shift)
        .and_then(|(exponent, (zeros, fraction))| exponent.checked_add(zeros)?.checked_sub(fraction));
    Cow::Owned(match last {
        Some(0) => format!("{sign}{digits}"),
        Some(last) => format!("{sign}{digits}e{last}"),
        None => format!("{sign}{mantissa}e{}", plain_exponent(exponent)),
    })
}

/// An exponent without its plus and without zeros before it.
fn plain_exponent(exponent: &str) -> String {
    let unsigned = exponent.trim_start_matches(['+', '-']).trim_start_matches('0');
    format!("{}{unsigned}", if exponent.starts_with('-') { "-" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn one_value_has_one_notation() {
        for (notations, expected) in [
            (&["100", "100.0", "1e2", "1.0e2", "1000e-1", "1E+02", "0.1e3"][..], "1e2"),
            (&["0", "-0", "0.0", "0e9", "-0.00e-7", "0E99999999999999999999999999999999999999999999"], "0"),
            (&["-2.50", "-25e-1", "-0.25e1"], "-25e-1"),
            (&["9007199254740993", "9007199254740993.0"], "9007199254740993"),
            (&["1e400", "10e399"], "1e400"),
            (&["1e-0", "1", "1.000"], "1"),
            (
                &[
                    "7e99999999999999999999999999999999999999999999",
                    "7E+099999999999999999999999999999999999999999999",
                ],
                "7e99999999999999999999999999999999999999999999",
            ),
        ] {
            for notation in notations {
                assert_eq!(canonical(notation), expected, "{notation}");
            }
        }
    }
}
