//! Compiled regular expressions: each once, however many rules and policies have it.

use crate::runs::Runs;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The most memory that one compiled regular expression may take.
pub(crate) const REGEX_BYTES: usize = 1024 * 1024;

/// A compiled one takes up to 100 KiB, and policies repeat the same few for many tools.
static KNOWN: Mutex<BTreeMap<String, Weak<Pattern>>> = Mutex::new(BTreeMap::new());

/// A compiled regular expression.
#[derive(Debug)]
pub(crate) enum Pattern {
    Runs(Runs),
    Search(Regex),
}

impl Pattern {
    /// A text with something else wherever it is found; `None` where it is not.
    pub(crate) fn replaced(&self, text: &str, with: &str) -> Option<String> {
        match self {
            Self::Search(regex) if regex.is_match(text) => {
                Some(regex.replace_all(text, regex::NoExpand(with)).into_owned())
            }
            // It begins where the text does, and how far it goes is not told: nothing of the text stays.
            Self::Runs(runs) if runs.is_match(text) => Some(with.to_owned()),
            Self::Search(_) | Self::Runs(_) => None,
        }
    }

    /// Whether it is found in a text.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Runs(runs) => runs.is_match(text),
            Self::Search(regex) => regex.is_match(text),
        }
    }
}

/// Compiles a regular expression, or gives the one that is in use already.
///
/// # Errors
/// Where it has a mistake or takes more than [`REGEX_BYTES`].
pub(crate) fn compiled(pattern: &str) -> Result<Arc<Pattern>, regex::Error> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(built) = known.get(pattern).and_then(Weak::upgrade) {
        return Ok(built);
    }
    let built = Arc::new(match Runs::of(pattern) {
        Some(runs) => Pattern::Runs(runs),
        None => Pattern::Search(
            RegexBuilder::new(pattern).size_limit(REGEX_BYTES).dfa_size_limit(REGEX_BYTES).build()?,
        ),
    });
    known.retain(|_, built| built.strong_count() > 0);
    known.insert(pattern.to_owned(), Arc::downgrade(&built));
    Ok(built)
}

/// Compiles a text with `*` for any characters, also none, and `?` for one; it must be all of what it is held against.
///
/// # Errors
/// Where it takes more than [`REGEX_BYTES`].
pub(crate) fn glob(text: &str) -> Result<Arc<Pattern>, regex::Error> {
    let mut pattern = String::from("(?s)^");
    for sign in text.chars() {
        match sign {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            sign => pattern.push_str(&regex::escape(sign.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push('$');
    compiled(&pattern)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pattern_is_compiled_once_while_it_is_in_use() {
        let first = compiled("^once$").unwrap();
        assert!(Arc::ptr_eq(&first, &compiled("^once$").unwrap()));
        assert!(compiled("(").is_err());
        drop(first);
        assert!(compiled("^other$").is_ok());
        assert!(!KNOWN.lock().unwrap().contains_key("^once$"));
    }
}
