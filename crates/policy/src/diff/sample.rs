//! A text in which a regular expression is found.

use regex_syntax::hir::{Class, Hir, HirKind};

/// One text for each of its outermost alternatives, the first few of them. Where what stands around a text decides
/// (`\b`, `^` in the middle), it may be none after all.
pub(super) fn samples(pattern: &str) -> Vec<String> {
    const ALTERNATIVES: usize = 8;
    let Ok(hir) = regex_syntax::parse(pattern) else { return Vec::new() };
    let whole = match hir.kind() {
        HirKind::Alternation(parts) => parts.iter().collect(),
        _ => vec![&hir],
    };
    whole.into_iter().take(ALTERNATIVES).filter_map(sample).collect()
}

fn sample(hir: &Hir) -> Option<String> {
    // Repetitions multiply: this is more than a probe needs.
    const LONGEST: usize = 1000;
    let text = match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => String::new(),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok()?,
        HirKind::Class(Class::Unicode(class)) => {
            class.ranges().iter().map(|range| range.start()).max()?.into()
        }
        HirKind::Class(Class::Bytes(class)) => char::from(class.ranges().first()?.start()).into(),
        HirKind::Repetition(repetition) => {
            let times = usize::try_from(repetition.min).ok()?;
            let part = sample(&repetition.sub)?;
            if part.len().saturating_mul(times) > LONGEST {
                return None;
            }
            part.repeat(times)
        }
        HirKind::Capture(capture) => sample(&capture.sub)?,
        HirKind::Concat(parts) => parts.iter().map(sample).collect::<Option<_>>()?,
        HirKind::Alternation(parts) => sample(parts.first()?)?,
    };
    (text.len() <= LONGEST).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::samples;

    #[test]
    fn a_sample_is_found_by_its_expression() {
        for pattern in [
            "^/srv/[a-z0-9_/]+\\.md$",
            "(?i)\\b(drop|truncate)\\b",
            "^prod",
            "a{3}|[^x]?y|z+",
            "@example\\.com$",
            "^.{2,5}$",
        ] {
            let regex = regex::Regex::new(pattern).unwrap();
            let found = samples(pattern);
            assert!(
                !found.is_empty() && found.iter().all(|text| regex.is_match(text)),
                "{pattern} {found:?}"
            );
        }
        assert!(samples("(a{900}){900}").is_empty());
    }
}
