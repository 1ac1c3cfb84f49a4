//! Did you mean …?

/// The candidate that a misspelt word most likely stands for: the nearest one, if it is near at all. Differences of case
/// only are always near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    // A third of the word may be wrong, or one swap in a short one; a word longer than this is no misspelt name.
    const LONGEST: usize = 256;
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .filter(|candidate| candidate.len() <= 4 * LONGEST)
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= (length.max(candidate.chars().count()) / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_near_name_is_offered_and_a_far_one_is_not() {
        assert_eq!(nearest("defualt", ["tools", "default"]), Some("default"));
        assert_eq!(nearest("Amount", ["amount", "account"]), Some("amount"));
        assert_eq!(nearest("amount_cents", ["amount", "currency"]), None);
        assert_eq!(nearest("x", ["default"]), None);
    }
}
