//! Keys that look alike.
//!
//! A gate and a server that disagree on which key is meant judge and run two different calls. Some readers of JSON match
//! keys without regard to case (Go's does, with Unicode folding: `ſ` is an `s`), others normalise. So a key that is not
//! the judged one, but would be after folding, is a doubt.

use unicode_normalization::UnicodeNormalization;

/// Whether two different keys are one after folding: compatibility normalisation and full case folding by way of upper
/// case. The same key is not its own look-alike.
#[inline]
pub(crate) fn is_look_alike(left: &str, right: &str) -> bool {
    // Nearly every pair of keys differs in its first letter, and no folding makes one ASCII letter another.
    match (left.as_bytes(), right.as_bytes()) {
        ([first, ..], [second, ..])
            if first.is_ascii() && second.is_ascii() && !first.eq_ignore_ascii_case(second) =>
        {
            false
        }
        _ => left != right && fold_to_one(left, right),
    }
}

fn fold_to_one(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    folded(left).eq(folded(right))
}

fn folded(text: &str) -> impl Iterator<Item = char> {
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc()
}

#[cfg(test)]
mod tests {
    use super::is_look_alike;

    #[test]
    fn case_and_unicode_forms_do_not_make_another_key() {
        for (left, right) in [
            ("amount", "Amount"),
            ("params", "param\u{17f}"),
            ("key", "\u{212a}ey"),
            ("amount", "\u{ff41}mount"),
            ("straße", "STRASSE"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("id", "\u{131}d"),
        ] {
            assert!(is_look_alike(left, right) && is_look_alike(right, left), "{left} {right}");
        }
    }

    #[test]
    fn other_keys_are_other_keys() {
        for (left, right) in [("amount", "amount"), ("amount", "amounts"), ("a", "b"), ("é", "e"), ("", "a")]
        {
            assert!(!is_look_alike(left, right), "{left} {right}");
        }
    }
}
