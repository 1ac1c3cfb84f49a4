//! What the record keeps of arguments.

use aho_corasick::packed::Searcher;
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Arguments longer than this are kept by their digest alone, in bytes.
const KEPT: usize = 16 * 1024;

const GONE: &str = "[redacted]";

/// How much of the arguments is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Values {
    /// All but what looks like a secret.
    #[default]
    Redact,
    /// All of it.
    Keep,
    /// Their digest alone.
    Digest,
}

/// Names of members whose text is a secret.
static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)passw(or)?d|passphrase|secret|token|api[_-]?key|authorization|credential|private[_-]?key|cookie")
        .ok()
});

/// Texts that are secrets wherever they stand.
static TEXTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"(?i:bearer|basic) [A-Za-z0-9._~+/=-]{8,}",
        r"|(?-u:\b)(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}",
        r"|(?-u:\b)(?:ghp|gho|ghs|ghr|github_pat|glpat|xox[abprs]|pcl|npm|hf)[-_][A-Za-z0-9_-]{16,}",
        r"|(?-u:\b)A(?:KIA|SIA)[A-Z0-9]{16}(?-u:\b)",
        r"|(?-u:\b)AIza[A-Za-z0-9_-]{30,}",
        r"|(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.)*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)",
        r"|://[^/\s:@]+:[^/\s@]+@",
    ))
    .ok()
});

/// Every secret that the patterns know has one of these in it or in its name, in small letters, or one of
/// [`BEFORE_A_DASH`]: without any, which is the usual case, one pass over the bytes decides. `None` where the
/// processor has no fast search. That stays fast only while the words are few.
static HINTS: LazyLock<Option<Searcher>> = LazyLock::new(|| {
    Searcher::new([
        "passw",
        "passphrase",
        "secret",
        "token",
        "apikey",
        "authorization",
        "credential",
        "privatekey",
        "private key",
        "cookie",
        "bearer ",
        "basic ",
        "xox",
        "akia",
        "asia",
        "aiza",
        "eyj",
        "://",
    ])
});

/// What stands before a `-` or `_` in the other secrets.
const BEFORE_A_DASH: [&[u8]; 14] = [
    b"sk",
    b"pk",
    b"rk",
    b"ghp",
    b"gho",
    b"ghs",
    b"ghr",
    b"github_pat",
    b"glpat",
    b"pcl",
    b"npm",
    b"hf",
    b"api",
    b"private",
];

/// Whether a secret could stand in these arguments.
fn hinted(arguments: &str) -> bool {
    let Some(hints) = &*HINTS else { return true };
    // Escapes could hide a secret from a search of the raw text, so they are hints too.
    let escaped = |at: usize| matches!(arguments.as_bytes().get(at + 1), Some(b'u' | b'/'));
    if memchr::memchr_iter(b'\\', arguments.as_bytes()).any(escaped) {
        return true;
    }
    let small = arguments.to_ascii_lowercase();
    let marked = |at: usize| {
        let before = small.as_bytes().get(..at).unwrap_or_default();
        BEFORE_A_DASH.iter().any(|mark| before.ends_with(mark))
    };
    hints.find(&small).is_some() || memchr::memchr2_iter(b'-', b'_', small.as_bytes()).any(marked)
}

impl Values {
    /// The arguments as they are kept, JSON; `None` where only the digest is.
    #[must_use]
    pub fn keep<'a>(self, arguments: &'a str) -> Option<Cow<'a, str>> {
        if self == Self::Digest || arguments.len() > KEPT {
            return None;
        }
        if self == Self::Keep {
            return Some(Cow::Borrowed(arguments));
        }
        if !hinted(arguments) {
            return Some(Cow::Borrowed(arguments));
        }
        // Without its patterns nothing can be told from a secret.
        let (names, texts) = (NAMES.as_ref()?, TEXTS.as_ref()?);
        let mut value: Value = serde_json::from_str(arguments).ok()?;
        cover(&mut value, names, texts);
        Some(Cow::Owned(value.to_string()))
    }
}

/// A command line without what looks like a secret in it: by its own shape, or as the value of an option or a variable
/// whose name says so. Nothing of it where the patterns are not to be had.
#[must_use]
pub fn covered_line(line: &str) -> String {
    let (Some(names), Some(texts)) = (NAMES.as_ref(), TEXTS.as_ref()) else { return GONE.into() };
    let plain = texts.replace_all(line, GONE);
    let mut value_follows = false;
    let words = plain.split(' ').map(|word| match word.split_once('=') {
        _ if std::mem::take(&mut value_follows) => GONE.into(),
        Some((name, _)) if names.is_match(name) => Cow::Owned(format!("{name}={GONE}")),
        _ => {
            value_follows = word.starts_with('-') && !word.contains('=') && names.is_match(word);
            Cow::Borrowed(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn cover(value: &mut Value, names: &Regex, texts: &Regex) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(covered) = texts.replace_all(text, GONE) {
                *text = covered;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| cover(item, names, texts)),
        Value::Object(members) => {
            for (name, member) in members {
                if names.is_match(name) && !member.is_boolean() && !member.is_null() {
                    *member = Value::from(GONE);
                } else {
                    cover(member, names, texts);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(arguments: &str) -> String {
        Values::Redact.keep(arguments).unwrap().into_owned()
    }

    #[test]
    fn plain_arguments_stay_as_they_are() {
        let text = r#"{ "path":"/tmp/x", "n":1.0 }"#;
        assert_eq!(kept(text), text);
    }

    #[test]
    fn secrets_go_by_the_name_of_the_member_and_by_their_own_shape() {
        assert_eq!(
            kept(r#"{"db":{"Password":"x","port":1}}"#),
            r#"{"db":{"Password":"[redacted]","port":1}}"#
        );
        assert_eq!(kept(r#"{"apiKey":["a","b"]}"#), r#"{"apiKey":"[redacted]"}"#);
        assert_eq!(kept(r#"{"X-API-Key":"a"}"#), r#"{"X-API-Key":"[redacted]"}"#);
        assert_eq!(kept(r#"{"\u0074oken":"x"}"#), r#"{"token":"[redacted]"}"#);
        for secret in [
            "Bearer abcdefgh12345678",
            "sk-proj-abcdefghijklmnop1234",
            "pk-abcdefghijklmnop1234",
            "ghp_abcdefghijklmnopqrst",
            "github_pat_abcdefghijklmnopqrst",
            "npm_abcdefghijklmnopqrst",
            "xoxb-abcdefghijklmnopqrst",
            "AKIAABCDEFGHIJKLMNOP",
            "eyJhbGciOiJI.eyJzdWIiOiIx.sig",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
            "postgres://me:hunter2@db/x",
        ] {
            let text = serde_json::json!({ "text": format!("use {secret} now") }).to_string();
            let out = kept(&text);
            assert!(out.contains(GONE) && out.contains("use "), "{out}");
        }
    }

    #[test]
    fn what_only_looks_like_a_hint_stays_readable() {
        let text = r#"{"text":"the tokenizer reads https://example.org/basic and npm","key":"a\/b"}"#;
        let kept: Value = serde_json::from_str(&kept(text)).unwrap();
        assert_eq!(kept, serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn secrets_in_a_command_line_go_by_their_option_or_shape() {
        assert_eq!(
            covered_line("srv --api-key k1 -v --token=k2 DB_PASSWORD=k3 a=b postgres://me:k4@db/x --port 1"),
            "srv --api-key [redacted] -v --token=[redacted] DB_PASSWORD=[redacted] a=b postgres[redacted]db/x --port 1"
        );
        assert_eq!(
            covered_line("npx -y @modelcontextprotocol/server-filesystem ./work"),
            "npx -y @modelcontextprotocol/server-filesystem ./work"
        );
    }

    #[test]
    fn large_arguments_are_kept_by_digest_alone() {
        assert!(Values::Keep.keep(&format!("{{\"a\":\"{}\"}}", "x".repeat(20_000))).is_none());
        assert!(Values::Digest.keep("{}").is_none());
    }
}
