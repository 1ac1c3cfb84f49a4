//! What a person who decides sees of a call's arguments.
//!
//! All of them, but for what looks like a secret, and for the middle of what is too long to read. Both are counted: what was not
//! seen is not approved without saying so.

use crate::redact::{Covers, Values};
use portcullis_ledger::bounds;
use serde_json::Value;
use std::borrow::Cow;

/// Characters of one text that are shown whole, and of the beginning and the end of one that is longer.
const TEXT: usize = 2048;
const HEAD: usize = 1024;
const TAIL: usize = 512;
/// A character that stands more often than that in a row is counted and not written out.
const RUN: usize = 32;
/// Bytes of all that is shown; of arguments that have more than that although their texts are cut, beginning and end are shown.
const ALL: usize = 64 * 1024;
/// Bytes of arguments that are kept whole for whoever asks to see them.
const KEPT: usize = 256 * 1024;
/// Characters of a secret that are shown at each end, to tell it from others, where it has so many that they help nobody.
const ENDS: usize = 4;
const LONG_SECRET: usize = 24;

/// Arguments as a person sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View<'a> {
    /// JSON.
    pub args: Cow<'a, str>,
    /// How many parts are covered, because they look like secrets.
    pub covered: usize,
    /// How many parts are cut, because they are too long.
    pub cut: usize,
    /// All of the arguments, where not all are shown and they are short enough to keep.
    pub whole: Option<&'a str>,
}

impl<'a> View<'a> {
    /// The view of arguments, of which a policy covers what is covered in `shown`.
    pub(crate) fn of(arguments: &'a str, shown: &'a str, values: Values) -> Self {
        let mut view = Self { args: Cow::Borrowed(shown), covered: 0, cut: 0, whole: None };
        view.covered = usize::from(arguments != shown);
        if values != Values::Keep {
            view.cover(shown);
        }
        if shown.len() > bounds::ARGUMENTS {
            view.shorten();
        }
        if view.covered + view.cut > 0 && arguments.len() <= KEPT {
            view.whole = Some(arguments);
        }
        view
    }

    fn cover(&mut self, shown: &str) {
        // Where the patterns or the JSON cannot be read nothing is shown.
        let (Some(covers), Ok(mut value)) = (Covers::get(), serde_json::from_str::<Value>(shown)) else {
            self.args = Cow::Borrowed("\"[not shown]\"");
            self.cut += 1;
            return;
        };
        let mut covered = 0;
        covers.value(&mut value, &mut |secret| {
            covered += 1;
            told(secret)
        });
        if covered > 0 {
            self.covered += covered;
            self.args = Cow::Owned(value.to_string());
        }
    }

    fn shorten(&mut self) {
        let Ok(mut value) = serde_json::from_str::<Value>(&self.args) else { return };
        let mut cut = 0;
        shorten(&mut value, &mut cut);
        let text = value.to_string();
        if text.len() > ALL {
            self.cut += cut + 1;
            self.args = Cow::Owned(Value::from(ends(&self.args, ALL / 2, ALL / 4)).to_string());
        } else {
            self.cut += cut;
            self.args = Cow::Owned(text);
        }
    }
}

fn shorten(value: &mut Value, cut: &mut usize) {
    match value {
        Value::String(text) if text.chars().count() > TEXT => {
            *text = folded(text);
            if text.chars().count() > TEXT {
                *cut += 1;
                *text = ends(text, HEAD, TAIL);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, cut)),
        Value::Object(members) => members.values_mut().for_each(|member| shorten(member, cut)),
        _ => {}
    }
}

/// A text in which one character that stands many times in a row is shown a few times, with the number: padding hides nothing so.
fn folded(text: &str) -> String {
    let mut out = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut count = 1;
        while letters.next_if_eq(&letter).is_some() {
            count += 1;
        }
        let shown = if count > RUN { RUN / 4 } else { count };
        out.extend(std::iter::repeat_n(letter, shown));
        if shown < count {
            out.push_str(&format!("…({count} times)"));
        }
    }
    out
}

/// Beginning, length and end of a text.
fn ends(text: &str, head: usize, tail: usize) -> String {
    let count = text.chars().count();
    let first: String = text.chars().take(head).collect();
    let last: String = text.chars().skip(count.saturating_sub(tail)).collect();
    let hidden = count.saturating_sub(head + tail);
    format!("{first} … ({hidden} of {count} characters not shown) … {last}")
}

/// What is said of a secret: enough to tell it from another, and never enough to use it.
fn told(secret: &str) -> String {
    let count = secret.chars().count();
    if count < LONG_SECRET {
        return format!("… ({count} characters covered)");
    }
    let first: String = secret.chars().take(ENDS).collect();
    let last: String = secret.chars().skip(count - ENDS).collect();
    format!("{first}…{last} ({count} characters covered)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_secret_is_told_by_its_ends_and_never_given_away() {
        let arguments =
            json!({ "a": "use ghp_abcdefghijklmnopqrstuvwxyz012345", "password": "hunter2" }).to_string();
        let view = View::of(&arguments, &arguments, Values::Redact);
        assert_eq!((view.covered, view.cut, view.whole), (2, 0, Some(&*arguments)));
        let shown: Value = serde_json::from_str(&view.args).unwrap();
        assert_eq!(
            shown,
            json!({ "a": "use ghp_…2345 (36 characters covered)", "password": "… (7 characters covered)" })
        );
        let all = View::of(&arguments, &arguments, Values::Keep);
        assert_eq!((&*all.args, all.covered, all.whole), (&*arguments, 0, None));
    }

    #[test]
    fn beside_a_long_text_everything_else_is_shown() {
        let pad: String = (0..8500).map(|n| char::from(b'a' + n as u8 % 26)).flat_map(|c| [c, ' ']).collect();
        let arguments = json!({ "command": "rm -rf /srv/x", "pad": pad }).to_string();
        let view = View::of(&arguments, &arguments, Values::Digest);
        assert_eq!((view.covered, view.cut, view.whole), (0, 1, Some(&*arguments)));
        assert!(
            view.args.contains("rm -rf /srv/x")
                && view.args.contains("(15464 of 17000 characters not shown)")
        );
        assert!(view.args.len() < 4096);
        // Many short texts.
        let many = json!(vec!["rm -rf /srv/x"; 100_000]).to_string();
        let view = View::of(&many, &many, Values::Redact);
        assert!(view.cut == 1 && view.whole.is_none() && view.args.len() < 2 * ALL, "{}", view.args.len());
    }

    #[test]
    fn padding_is_counted_and_what_stands_in_it_is_shown() {
        let text = format!("{} rm -rf /srv/x {}", "x".repeat(9_000), "\n".repeat(9_000));
        let arguments = json!({ "command": text }).to_string();
        let view = View::of(&arguments, &arguments, Values::Redact);
        assert_eq!((view.covered, view.cut, view.whole), (0, 0, None));
        let shown: Value = serde_json::from_str(&view.args).unwrap();
        let newlines = "\n".repeat(8);
        assert_eq!(shown["command"], format!("xxxxxxxx…(9000 times) rm -rf /srv/x {newlines}…(9000 times)"));
    }

    #[test]
    fn what_a_policy_covers_counts_as_not_seen() {
        let view = View::of("{\"a\":\"x\"}", "{\"a\":\"[redacted]\"}", Values::Redact);
        assert_eq!((view.covered, view.whole), (1, Some("{\"a\":\"x\"}")));
    }
}
