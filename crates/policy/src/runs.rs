//! Regular expressions that ask one set of characters after another of a text, from its start: `^[a-z0-9_/]+\.md$`.
//! Most of those in policies do. Each byte is looked up once, on its own; a general search takes them one by one from
//! state to state, which costs several times as much and needs some 50 KiB.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Parts of a text, one after the other.
#[derive(Debug)]
pub(crate) struct Runs {
    parts: Box<[Part]>,
    /// Nothing may follow the last part.
    to_the_end: bool,
}

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Run(Box<Run>),
}

/// As many bytes of a set as there are, `least` to `most`.
#[derive(Debug)]
struct Run {
    set: [bool; 256],
    least: usize,
    most: usize,
}

impl Runs {
    /// Reads an expression as runs. `None` where it is something else or has a mistake: then the general search has it.
    pub(crate) fn of(pattern: &str) -> Option<Self> {
        let hir = regex_syntax::parse(pattern).ok()?;
        let HirKind::Concat(inside) = hir.kind() else { return None };
        let (first, rest) = inside.split_first()?;
        if *first.kind() != HirKind::Look(Look::Start) {
            return None;
        }
        let to_the_end = rest.last().is_some_and(|last| *last.kind() == HirKind::Look(Look::End));
        let rest = rest.get(..rest.len() - usize::from(to_the_end))?;
        let mut parts = Vec::with_capacity(rest.len());
        for hir in rest {
            add(hir, &mut parts)?;
        }
        let parts = parts.into_boxed_slice();
        // A run takes all that it can get, so nothing in it may be what the next one needs.
        let only_way = (0..parts.len()).all(|n| parts.get(n..).is_none_or(takes_no_others));
        only_way.then_some(Self { parts, to_the_end })
    }

    pub(crate) fn is_match(&self, text: &str) -> bool {
        let mut rest = text.as_bytes();
        for part in &self.parts {
            let after = match part {
                Part::Text(text) => rest.strip_prefix(&**text),
                Part::Run(run) => {
                    let longest = rest.get(..run.most).unwrap_or(rest);
                    let outside = longest.iter().position(|byte| !run.has(*byte));
                    let length = outside.unwrap_or(longest.len());
                    rest.get(length..).filter(|_| length >= run.least)
                }
            };
            let Some(after) = after else { return false };
            rest = after;
        }
        rest.is_empty() || !self.to_the_end
    }
}

impl Run {
    fn has(&self, byte: u8) -> bool {
        self.set.get(usize::from(byte)).is_some_and(|within| *within)
    }
}

/// Whether the first part leaves to the others what they need.
fn takes_no_others(parts: &[Part]) -> bool {
    let Some((Part::Run(run), others)) = parts.split_first() else { return true };
    if run.least == run.most {
        return true;
    }
    for other in others {
        match other {
            Part::Text(text) => return text.first().is_none_or(|byte| !run.has(*byte)),
            Part::Run(other) => {
                if run.set.iter().zip(&other.set).any(|(one, other)| *one && *other) {
                    return false;
                }
                if other.least > 0 {
                    return true;
                }
            }
        }
    }
    true
}

fn add(hir: &Hir, parts: &mut Vec<Part>) -> Option<()> {
    match hir.kind() {
        HirKind::Capture(group) => add(&group.sub, parts)?,
        HirKind::Concat(inside) => inside.iter().try_for_each(|hir| add(hir, parts))?,
        HirKind::Literal(text) => parts.push(Part::Text(text.0.clone())),
        HirKind::Class(_) => parts.push(run(hir, 1, Some(1))?),
        HirKind::Repetition(repeated) => parts.push(run(&repeated.sub, repeated.min, repeated.max)?),
        HirKind::Empty => {}
        HirKind::Look(_) | HirKind::Alternation(_) => return None,
    }
    Some(())
}

fn run(hir: &Hir, least: u32, most: Option<u32>) -> Option<Part> {
    let mut set = [false; 256];
    let mut wide = false;
    let mut add = |first: u32, last: u32| {
        wide |= last > 0x7f;
        // Of what is not ASCII all or nothing: that can be told by single bytes.
        let last = match last {
            0..=0x7f => last,
            0x10_ffff if first <= 0x80 => 0xff,
            _ => return None,
        };
        set.get_mut(first as usize..=last as usize)?.fill(true);
        Some(())
    };
    match hir.kind() {
        HirKind::Capture(group) => return run(&group.sub, least, most),
        HirKind::Literal(text) => match *text.0 {
            [byte @ 0..=0x7f] => add(byte.into(), byte.into())?,
            _ => return None,
        },
        HirKind::Class(Class::Unicode(class)) => {
            class.iter().try_for_each(|range| add(range.start().into(), range.end().into()))?;
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.iter().try_for_each(|range| add(range.start().into(), range.end().into()))?;
        }
        _ => return None,
    }
    // Where a character can be several bytes, these cannot be counted.
    if wide && (least > 1 || most.is_some()) {
        return None;
    }
    let most = most.map_or(Some(usize::MAX), |most| most.try_into().ok())?;
    Some(Part::Run(Box::new(Run { set, least: least.try_into().ok()?, most })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex::Regex;

    #[test]
    fn usual_expressions_are_runs_and_those_with_several_ways_are_not() {
        for pattern in [
            "^w[0-9]+ c[0-9]+ [a-p]+$",
            "^/srv/project/",
            r"^/srv/project/[a-z0-9_/]+\.md$",
            "^[A-Za-z_][A-Za-z0-9_]{0,63}$",
            r"^[^;|&$`\n]+$",
            "^(?i:drop) [a-z0-9]*$",
            "^([a-z]+):(//)([^/]*)/",
            "^a*b*c+$",
        ] {
            assert!(Runs::of(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            "[a-z]+$",
            "^a|b$",
            "^[a-z]+[a-z0-9]$",
            "^a*b*a$",
            r"^\d+$",
            "^[é-ü]+$",
            "^.{1,8}$",
            "^a$\n",
            "(",
            r"^[a-z]+\b",
            "^(ab)+$",
            "^é+$",
            "^[^a]{2}$",
            "^[^a]+é$",
            "(?m)^a$",
            "^(?i)s$",
            "^[^a]?$",
            "a",
            "",
        ] {
            assert!(Runs::of(pattern).is_none(), "{pattern}");
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let set = prop_oneof![
            Just("[ab]"),
            Just("[bc]"),
            Just("[0-9]"),
            Just("[^a]"),
            Just("[^0b]"),
            Just("a"),
            Just("b"),
            Just("é"),
            Just("-b"),
            Just("."),
            Just("(c)"),
            Just("(?i)[a]"),
            Just("(?-u:[b-c])"),
            Just("(ab)"),
            Just("(?:a|b)"),
        ];
        let times =
            prop_oneof![Just(""), Just("+"), Just("*"), Just("?"), Just("{2}"), Just("{1,2}"), Just("{2,}")];
        let parts =
            proptest::collection::vec((set, times).prop_map(|(set, times)| format!("{set}{times}")), 1..5);
        (parts, any::<bool>())
            .prop_map(|(parts, end)| format!("^{}{}", parts.concat(), if end { "$" } else { "" }))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]
        #[test]
        fn runs_say_what_the_general_search_says(pattern in pattern(), text in "[abc0é\\-\\n]{0,8}") {
            if let Some(runs) = Runs::of(&pattern) {
                prop_assert_eq!(runs.is_match(&text), Regex::new(&pattern).unwrap().is_match(&text));
            }
        }
    }
}
