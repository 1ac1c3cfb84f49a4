//! The walk that refuses what two parsers could read in two ways.
//!
//! A server may take the first of two equal keys, the last, or match `Name` where `name` is meant; it may stop
//! at a NUL or run out of stack. Whatever could be read differently there than it was judged here does not
//! pass (`docs/decision.md`, "Strict where it judges").

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Why a text was refused: what was found and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Fault {
    /// One sentence for the caller.
    pub what: String,
}

/// Walks one JSON value: each member of every object once (compared after decoding escapes), no NUL in any
/// key or string, numbers that a double can hold, at most 127 levels deep.
///
/// # Errors
/// The first fault found.
pub fn check(json: &str) -> Result<(), Fault> {
    if portcullis_json::is_strict(json) { Ok(()) } else { slowly(json) }
}

/// The same, slower, and tells what is wrong.
fn slowly(json: &str) -> Result<(), Fault> {
    let mut reader = serde_json::Deserializer::from_str(json);
    Walk.deserialize(&mut reader).and_then(|()| reader.end()).map_err(|error| Fault { what: plain(&error) })
}

/// serde_json's message in our words, without its "at line 1" where the text is one line on the wire.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    match what {
        "recursion limit exceeded" => "nested deeper than 127 levels".into(),
        "number out of range" => "a number that no double can hold".into(),
        other => format!("{other} (byte {})", error.column()),
    }
}

/// Whether `found` would be read as `known` by a parser that ignores case or folds Unicode, without being it.
#[must_use]
pub fn folds_to(found: &str, known: &str) -> bool {
    if found == known {
        return false;
    }
    if found.is_ascii() && known.is_ascii() {
        return found.eq_ignore_ascii_case(known);
    }
    fold(found).eq(fold(known))
}

/// Whether some reader takes `found` for `known`: it is that, or folds to it.
#[must_use]
pub fn reads_as(found: &str, known: &str) -> bool {
    found == known || folds_to(found, known)
}

fn fold(text: &str) -> impl Iterator<Item = char> + '_ {
    // Up and down again also joins the long s, the Kelvin sign and the dotless i to their plain letters.
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

struct Walk;

impl<'de> DeserializeSeed<'de> for Walk {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        without_nul(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names: HashSet<Key<'de>> = HashSet::new();
        while let Some(key) = members.next_key::<Key<'de>>()? {
            without_nul(key.as_str())?;
            if names.contains(&key) {
                return Err(A::Error::custom(format!("the member `{}` stands twice", shown(key.as_str()))));
            }
            members.next_value_seed(Self)?;
            names.insert(key);
        }
        Ok(())
    }
}

fn without_nul<E: Error>(text: &str) -> Result<(), E> {
    if memchr::memchr(0, text.as_bytes()).is_some() {
        return Err(E::custom(format!("a NUL character in `{}`", shown(text))));
    }
    Ok(())
}

/// A name for an error message: printable and short.
fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_default).collect()
}

/// A decoded key that borrows where the text has no escapes (serde's own `Cow` always copies).
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Key<'de>(std::borrow::Cow<'de, str>);

impl<'de> Key<'de> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_text(self) -> std::borrow::Cow<'de, str> {
        self.0
    }
}

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn agree(text: &str) {
        assert_eq!(portcullis_json::is_strict(text), slowly(text).is_ok(), "{text:?}");
    }

    #[test]
    fn the_quick_look_takes_what_the_slow_one_takes() {
        let digits = |count| "9".repeat(count);
        let mut texts = vec![digits(298), digits(308), digits(309), digits(400), format!("-{}", digits(309))];
        texts.extend(
            [126, 127, 128, 129].map(|levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels))),
        );
        texts.extend(
            [126, 127, 128].map(|levels| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels))),
        );
        for text in [
            "1e308",
            "1e309",
            "-1E999",
            "1e-999",
            "0.1e400",
            "1.5e",
            r#""\u0000""#,
            "\"\0\"",
            r#""\ud800""#,
            r#""\ud83d\ude00""#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1},"b":{"b":1}}"#,
            r#"{"\u0000":1}"#,
            r#"{"\ud800":1}"#,
            "{} {}",
            "",
        ] {
            texts.push(text.to_owned());
        }
        texts.iter().for_each(|text| agree(text));
    }

    proptest! {
        #[test]
        fn the_quick_look_takes_what_the_slow_one_takes_of_any_signs(
            signs in proptest::collection::vec(
                proptest::sample::select(vec![
                    "{", "}", "[", "]", ",", "\"a\":", "\"\\u0061\":", "\"b\":", "{\"a\":1,", "\"\"", "\"\\u0000\"", "\"\\ud800\"",
                    "\"\\ud83d\\ude00\"", "1", "-0", "1e308", "9e999", "true", "null", " ", "é", "\"é\"",
                ]),
                0..24,
            )
        ) {
            let signs = signs.concat();
            for text in [&signs, &format!("[{signs}]"), &format!("{{\"a\":{signs}}}")] {
                agree(text);
            }
        }

        #[test]
        fn objects_of_any_size_are_looked_at_alike(names in proptest::collection::vec(0u8..40, 0..24), deep in any::<bool>()) {
            let members: Vec<String> = names.iter().map(|name| format!("\"k{name}\":{{\"k{name}\":0}}")).collect();
            let object = format!("{{{}}}", members.join(","));
            agree(&if deep { format!("[{object},{object}]") } else { object });
        }
    }

    #[test]
    fn a_member_may_stand_once_at_every_depth() {
        assert!(check(r#"{"a":{"b":[{"c":1},{"c":2}]}}"#).is_ok());
        let fault = check(r#"{"a":{"b":[{"c":1,"\u0063":2}]}}"#).unwrap_err();
        assert!(fault.what.contains("`c` stands twice"), "{fault}");
    }

    #[test]
    fn duplicates_are_found_in_large_objects_too() {
        let members: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
        assert!(check(&format!("{{{}}}", members.join(","))).is_ok());
        for twin in [0, 15, 16, 17, 39] {
            assert!(check(&format!("{{{},\"k{twin}\":0}}", members.join(","))).is_err(), "{twin}");
        }
    }

    #[test]
    fn nul_depth_and_endless_numbers_are_refused() {
        assert!(check(r#""a\u0000b""#).is_err());
        assert!(check(r#"{"a\u0000":1}"#).is_err());
        assert!(check(&"[".repeat(200)).unwrap_err().what.contains("127"));
        assert!(check("1e999").unwrap_err().what.contains("double"));
        assert!(check(&"9".repeat(400)).is_err());
        assert!(check("\"\\ud800\"").is_err());
        assert!(check("{} {}").is_err());
    }

    #[test]
    fn folding_joins_what_lenient_parsers_join() {
        assert!(folds_to("Method", "method"));
        assert!(folds_to("param\u{17f}", "params"));
        assert!(folds_to("to\u{212a}en", "token"));
        assert!(!folds_to("method", "method"));
        assert!(!folds_to("methods", "method"));
    }
}
