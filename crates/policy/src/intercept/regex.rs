//! Regular expressions of Go in the words of Rust's.
//!
//! Both search in linear time and have nearly one syntax. `\d`, `\w`, `\s` and `\b` know ASCII alone in Go and all of
//! Unicode in Rust, and inside brackets Rust has operators (`&&`, `--`, `~~`, inner brackets) where Go has characters.

use crate::pattern::compiled;

/// The same expression here; `None` where there is none.
pub(super) fn translated(pattern: &str) -> Option<String> {
    let mut out = String::new();
    let mut signs = pattern.chars().peekable();
    // Inside brackets, and how many signs stand in them so far.
    let mut inside: Option<usize> = None;
    while let Some(sign) = signs.next() {
        if let Some(count) = &mut inside {
            *count += 1;
        }
        match (sign, inside) {
            ('\\', _) => out.push_str(&escape(signs.next()?, inside.is_some())),
            ('[', None) => {
                inside = Some(0);
                out.push('[');
                if signs.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            // `[:alpha:]` means the same in both.
            ('[', Some(_)) if signs.peek() == Some(&':') => {
                out.push('[');
                loop {
                    let sign = signs.next()?;
                    out.push(sign);
                    if sign == ']' {
                        break;
                    }
                }
            }
            // The first sign is a character, whatever it is.
            (']', Some(1)) => out.push_str("\\]"),
            (']', Some(_)) => {
                inside = None;
                out.push(']');
            }
            ('-', Some(_)) if signs.peek() == Some(&'-') => return None,
            ('[' | '&' | '~', Some(_)) => {
                out.push('\\');
                out.push(sign);
            }
            _ => out.push(sign),
        }
    }
    compiled(&out).is_ok().then_some(out)
}

fn escape(sign: char, inside: bool) -> String {
    let (digits, words, blanks) = ("0-9", "0-9A-Za-z_", "\\t\\n\\f\\r ");
    match (sign, inside) {
        ('d', true) => digits.into(),
        ('w', true) => words.into(),
        ('s', true) => blanks.into(),
        ('d', false) => format!("[{digits}]"),
        ('w', false) => format!("[{words}]"),
        ('s', false) => format!("[{blanks}]"),
        ('D', _) => format!("[^{digits}]"),
        ('W', _) => format!("[^{words}]"),
        ('S', _) => format!("[^{blanks}]"),
        ('b' | 'B', false) => format!("(?-u:\\{sign})"),
        (sign, _) => format!("\\{sign}"),
    }
}

#[cfg(test)]
mod tests {
    use super::translated;
    use regex::Regex;

    #[test]
    fn classes_know_ascii_alone() {
        let found =
            |pattern: &str, text: &str| Regex::new(&translated(pattern).unwrap()).unwrap().is_match(text);
        assert!(found(r"^\d+$", "123") && !found(r"^\d+$", "१२३"));
        assert!(found(r"^\w+$", "a_1") && !found(r"^\w+$", "é"));
        assert!(found(r"^[\w.-]+$", "a.b-c") && !found(r"^[\w.-]+$", "é"));
        assert!(found(r"^\S+$", "\u{a0}") && !found(r"\s", "\u{a0}\u{b}"));
        assert!(found(r"^[^\s]+$", "\u{b}") && found(r"^[\D]+$", "é") && !found(r"^[\D]+$", "1"));
        assert!(found(r"\bno\b", "é no") && found(r"\bno\b", "éno") && !found(r"\bno\b", "ano"));
        assert!(found(r"(?i)^drop\b", "DROP TABLE"));
    }

    #[test]
    fn what_is_an_operator_here_is_a_character_there() {
        let found =
            |pattern: &str, text: &str| Regex::new(&translated(pattern).unwrap()).unwrap().is_match(text);
        assert!(found("^[a&&b]$", "&") && found("^[a&&b]$", "a"));
        assert!(
            found("^[a[b]$", "[") && found("^[]a]$", "]") && found("^[^]a]$", "b") && !found("^[^]a]$", "]")
        );
        assert!(found("^[[:alpha:]_]+$", "a_") && found("^[a~~b]$", "~") && found(r"^[\]]$", "]"));
        assert!(
            translated(r"\Qa\E").is_none() && translated("[a--b]").is_none() && translated("(?=a)").is_none()
        );
        assert!(translated("[a").is_none() && translated("a\\").is_none());
    }
}
