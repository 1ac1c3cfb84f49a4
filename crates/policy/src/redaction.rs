//! What is not to be seen of a call.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::arguments::Type;
use crate::fold::is_look_alike;
use crate::path::Step;
use crate::pattern::Pattern;
use portcullis_json::text;
use portcullis_json::{elements, members};

/// What stands in place of what is covered.
const GONE: &str = "[redacted]";

/// One place of arguments or results.
#[derive(Debug)]
pub(crate) struct Redaction {
    /// As it is written.
    pub(crate) text: Box<str>,
    pub(crate) of: Of,
    pub(crate) steps: Box<[Step]>,
    /// What of a text is covered; all of the value where it is `None`.
    pub(crate) pattern: Option<Arc<Pattern>>,
}

/// Where a path begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Arguments,
    Result,
}

/// All that a policy covers of a call.
#[derive(Debug, Default)]
pub struct Redactions<'p> {
    pub(crate) all: Vec<&'p Redaction>,
    /// Those of rules that keep it from the caller too.
    pub(crate) for_caller: Vec<&'p Redaction>,
}

impl Redactions<'_> {
    /// Whether it covers nothing.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Arguments as they may be kept.
    pub fn arguments<'a>(&self, arguments: &'a str) -> Cow<'a, str> {
        let covered = covered(self.all.iter().filter(|one| one.of == Of::Arguments), arguments);
        // What cannot be read is not shown.
        covered.unwrap_or_else(|| Cow::Owned(format!("\"{GONE}\"")))
    }

    /// A result as its caller gets it; `None` where it cannot be read, so that nobody could tell what to cover.
    pub fn result<'a>(&self, result: &'a str) -> Option<Cow<'a, str>> {
        covered(self.for_caller.iter().filter(|one| one.of == Of::Result), result)
    }

    /// Whether results are changed at all.
    pub fn covers_results(&self) -> bool {
        self.for_caller.iter().any(|one| one.of == Of::Result)
    }
}

/// A JSON text with other texts in some places; every other byte stays. `None` where it cannot be read.
fn covered<'a, 'p>(all: impl Iterator<Item = &'p &'p Redaction>, text: &'a str) -> Option<Cow<'a, str>> {
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    for redaction in all {
        redaction.walk(text, text, &redaction.steps, &mut edits)?;
    }
    if edits.is_empty() {
        return Some(Cow::Borrowed(text));
    }
    // Of two that cover the same place the larger one comes first, and then the smaller one lies behind `at`.
    edits.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (place, with) in edits {
        let Some(before) = text.get(at..place.start) else { continue };
        out.push_str(before);
        out.push_str(&with);
        at = place.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Some(Cow::Owned(out))
}

impl Redaction {
    /// Notes what is to stand in place of what. `None` where the text is no JSON.
    fn walk(
        &self,
        whole: &str,
        here: &str,
        steps: &[Step],
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Option<()> {
        let Some((step, rest)) = steps.split_first() else {
            return self.cover(whole, here, edits);
        };
        let mut read = Some(());
        match (step, Type::of(here)) {
            (Step::Key(name), Type::Object) => members(here, &mut |key, value| {
                if **name == *key || is_look_alike(name, &key) {
                    read = read.and(self.walk(whole, value, rest, edits));
                }
            })?,
            (Step::Index(_) | Step::Each, Type::Array) => {
                let mut at = 0;
                elements(here, &mut |value| {
                    if matches!(step, Step::Each) || matches!(step, Step::Index(index) if *index == at) {
                        read = read.and(self.walk(whole, value, rest, edits));
                    }
                    at += 1;
                })?;
            }
            _ => {}
        }
        read
    }

    fn cover(&self, whole: &str, here: &str, edits: &mut Vec<(Range<usize>, String)>) -> Option<()> {
        let start = (here.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        let place = start..start + here.len();
        let Some(pattern) = &self.pattern else {
            edits.push((place, format!("\"{GONE}\"")));
            return Some(());
        };
        let mut read = Some(());
        match Type::of(here) {
            Type::String => {
                let text = text(here)?;
                if let Some(text) = pattern.replaced(&text, GONE) {
                    edits.push((place, serde_json::Value::from(text).to_string()));
                }
            }
            Type::Object => members(here, &mut |_, value| read = read.and(self.cover(whole, value, edits)))?,
            Type::Array => elements(here, &mut |value| read = read.and(self.cover(whole, value, edits)))?,
            Type::Null | Type::Boolean | Type::Number => {}
        }
        read
    }
}
