//! What counts as a number in every format.

/// Whether a text is a number as JSON writes it (RFC 8259, section 6).
pub(crate) fn is_json_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match digits.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (digits, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    all_digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(all_digits)
        && exponent.is_none_or(|exponent| all_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::is_json_number;

    #[test]
    fn only_what_json_calls_a_number_is_one() {
        for number in ["0", "-0", "10", "1.5", "-1.50", "1e9", "1E+9", "0.1e-400"] {
            assert!(is_json_number(number), "{number}");
            assert!(serde_json::from_str::<&serde_json::value::RawValue>(number).is_ok(), "{number}");
        }
        for other in
            ["", "-", "+1", "01", ".5", "5.", "0x1F", "1_000", "1e", "1e+", "NaN", ".inf", "1.2.3", "１"]
        {
            assert!(!is_json_number(other), "{other}");
        }
    }
}
