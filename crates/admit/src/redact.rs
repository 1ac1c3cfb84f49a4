//! What the record keeps of arguments and other texts that a client or a server chose.
//!
//! Whoever is judged writes these texts. So a pattern covers only what has the length and the letters of a secret: the rest of a
//! command, an address or a comment stays readable, whatever stands around it.

use aho_corasick::packed::Searcher;
use portcullis_ledger::bounds;
use regex::{Captures, Regex};
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What stands in the record in place of what is covered.
const GONE: &str = "[redacted]";

/// Bytes of a secret at most; nothing that is longer is taken for one.
const LONGEST: usize = 8192;
/// Characters at least of a token that stands in a list of such a name: a list of words is no list of secrets.
const LISTED: usize = 8;
/// Letters at least of a block that is taken for the body of a private key.
const KEY_BODY: usize = 40;

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
const NAME: &str =
    r"passw(?:or)?d|passphrase|secret|token|api[_-]?key|authorization|credential|private[_-]?key|cookie";

static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i){NAME}")).ok());

/// Texts that are secrets wherever they stand. What is covered is the one group of the alternative that matches.
static TEXTS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let alternatives = [
        r"(?:(?i:bearer|basic) (?<scheme>[A-Za-z0-9._~+/=-]{8,}))",
        r"(?-u:\b)((?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,})",
        r"(?-u:\b)((?:ghp|gho|ghs|ghr|github_pat|glpat|xox[abprs]|pcl|npm|hf)[-_][A-Za-z0-9_-]{16,})",
        r"(?-u:\b)(A(?:KIA|SIA)[A-Z0-9]{16})(?-u:\b)",
        r"(?-u:\b)(AIza[A-Za-z0-9_-]{30,})",
        r"(?-u:\b)(eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)",
        // Lines of base64 of the length that keys are written in, and the rest of the last one.
        concat!(
            r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:\s|\\r|\\n)*(?:[A-Z][A-Za-z-]{1,20}: [A-Za-z0-9,-]{1,80}\r?\n)*\s*",
            r"(?<key>(?:[A-Za-z0-9+/]{32,76}(?:\r?\n|\\r\\n|\\n| ))*[A-Za-z0-9+/]{1,76}={0,2})",
        ),
        r"[A-Za-z][A-Za-z0-9+.-]{1,30}://([A-Za-z0-9._~%+-]{1,128}:[A-Za-z0-9._~%!*+,=-]{1,128})@[A-Za-z0-9\[]",
        &format!(
            r"[?&;][A-Za-z0-9_.~-]{{0,40}}(?i:{NAME})[A-Za-z0-9_.~-]{{0,40}}=([A-Za-z0-9._~%+/:=-]{{1,}})"
        ),
    ];
    Regex::new(&alternatives.join("|")).ok()
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

/// Whether a text has one of the signs that every secret has which [`TEXTS`] covers: most names and ids have none, and are not
/// looked at further.
fn marked(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b' ' | b'-' | b'_' | b':' | b'=' | b'A' | b'J'))
}

/// Whether a secret could stand in these arguments.
fn hinted(arguments: &str) -> bool {
    let Some(hints) = &*HINTS else { return true };
    // Escapes could hide a secret from a search of the raw text, so they are hints too.
    let escaped = |at: usize| matches!(arguments.as_bytes().get(at + 1), Some(b'u' | b'/'));
    if memchr::memchr_iter(b'\\', arguments.as_bytes()).any(escaped) {
        return true;
    }
    let small = match arguments.bytes().fold(false, |found, byte| found | byte.is_ascii_uppercase()) {
        true => Cow::Owned(arguments.to_ascii_lowercase()),
        false => Cow::Borrowed(arguments),
    };
    let marked = |at: usize| {
        let before = small.as_bytes().get(..at).unwrap_or_default();
        BEFORE_A_DASH.iter().any(|mark| before.ends_with(mark))
    };
    hints.find(&*small).is_some() || memchr::memchr2_iter(b'-', b'_', small.as_bytes()).any(marked)
}

impl Values {
    /// The arguments as they are kept, JSON; `None` where only the digest is.
    #[must_use]
    pub fn keep<'a>(self, arguments: &'a str) -> Option<Cow<'a, str>> {
        if self == Self::Digest || arguments.len() > bounds::ARGUMENTS {
            return None;
        }
        if self == Self::Keep || !hinted(arguments) {
            return Some(Cow::Borrowed(arguments));
        }
        let covers = Covers::get()?;
        let mut value: Value = serde_json::from_str(arguments).ok()?;
        covers.value(&mut value, &mut |_| GONE.into());
        Some(Cow::Owned(value.to_string()))
    }

    /// Another text that a client or a server chose as it is kept: a name, an address, a reason. It says what a row is about, so
    /// it is kept where arguments are kept by their digest alone, without what looks like a secret.
    #[must_use]
    pub fn text<'a>(self, text: &'a str) -> Cow<'a, str> {
        if self == Self::Keep || !marked(text) || !hinted(text) {
            return Cow::Borrowed(text);
        }
        match Covers::get() {
            None => Cow::Borrowed(GONE),
            Some(covers) => covers.text(text, &mut |_| GONE.into()),
        }
    }
}

/// A command line without what looks like a secret in it: by its own shape, or as the value of an option or a variable
/// whose name says so. Nothing of it where the patterns are not to be had.
#[must_use]
pub fn covered_line(line: &str) -> String {
    let Some(covers) = Covers::get() else { return GONE.into() };
    let plain = covers.text(line, &mut |_| GONE.into());
    let mut value_follows = false;
    let words = plain.split(' ').map(|word| match word.split_once('=') {
        _ if std::mem::take(&mut value_follows) => GONE.into(),
        Some((name, _)) if covers.names.is_match(name) && !name.contains("://") => {
            Cow::Owned(format!("{name}={GONE}"))
        }
        _ => {
            value_follows = word.starts_with('-') && !word.contains('=') && covers.names.is_match(word);
            Cow::Borrowed(word)
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What gives the text that stands in place of a secret.
pub(crate) type InPlace<'f> = &'f mut dyn FnMut(&str) -> String;

/// The patterns. Without them nothing can be told from a secret.
pub(crate) struct Covers {
    names: &'static Regex,
    texts: &'static Regex,
}

impl Covers {
    pub(crate) fn get() -> Option<Self> {
        Some(Self { names: NAMES.as_ref()?, texts: TEXTS.as_ref()? })
    }

    /// Covers the secrets in a JSON value.
    pub(crate) fn value(&self, value: &mut Value, in_place: InPlace<'_>) {
        match value {
            Value::String(text) => {
                if let Cow::Owned(covered) = self.text(text, in_place) {
                    *text = covered;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, in_place)),
            Value::Object(members) => {
                for (name, member) in members {
                    if self.names.is_match(name) {
                        self.named(member, 1, in_place);
                    } else {
                        self.value(member, in_place);
                    }
                }
            }
            _ => {}
        }
    }

    /// Covers a member whose name is that of a secret: one word, behind the name of a scheme or not. A text of several words, an
    /// object and a number are no secret, and are looked at like any other.
    fn named(&self, member: &mut Value, at_least: usize, in_place: InPlace<'_>) {
        match member {
            Value::String(text) => {
                let (scheme, word) = match text.split_once(' ') {
                    Some((scheme, word)) if is_scheme(scheme) => (Some(scheme), word),
                    _ => (None, &**text),
                };
                if is_word(word) && word.chars().count() >= at_least {
                    let covered = in_place(word);
                    *text = scheme.map_or(covered.clone(), |scheme| format!("{scheme} {covered}"));
                } else {
                    self.value(member, in_place);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| match item {
                Value::String(_) => self.named(item, LISTED, in_place),
                _ => self.value(item, in_place),
            }),
            _ => self.value(member, in_place),
        }
    }

    /// Covers the secrets in a text.
    pub(crate) fn text<'a>(&self, text: &'a str, in_place: InPlace<'_>) -> Cow<'a, str> {
        self.texts.replace_all(text, |found: &Captures<'_>| {
            let whole = found.get(0).map_or("", |whole| whole.as_str());
            let start = found.get(0).map_or(0, |whole| whole.start());
            let secret = found.iter().skip(1).flatten().next();
            let Some(secret) = secret.filter(|secret| {
                secret.len() <= LONGEST
                    && (found.name("scheme").is_none() || is_random(secret.as_str()))
                    && (found.name("key").is_none() || letters(secret.as_str()) >= KEY_BODY)
            }) else {
                return whole.to_owned();
            };
            let before = whole.get(..secret.start() - start).unwrap_or_default();
            let after = whole.get(secret.end() - start..).unwrap_or_default();
            format!("{before}{}{after}", in_place(secret.as_str()))
        })
    }
}

/// Whether a text could be one secret: one word, in characters that are seen.
fn is_word(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len()) && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "token", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

/// Whether a word is more like random letters than like one of a language.
fn is_random(word: &str) -> bool {
    let digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let capital_inside = word.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let mixed = capital_inside && word.bytes().any(|byte| byte.is_ascii_lowercase());
    digit || mixed || word.len() >= 24
}

fn letters(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_alphanumeric).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(arguments: &str) -> String {
        Values::Redact.keep(arguments).unwrap().into_owned()
    }

    /// One for each of the patterns.
    const SECRETS: [&str; 13] = [
        "Bearer abcdefgh12345678",
        "sk-proj-abcdefghijklmnop1234",
        "pk-abcdefghijklmnop1234",
        "ghp_abcdefghijklmnopqrst",
        "github_pat_abcdefghijklmnopqrst",
        "npm_abcdefghijklmnopqrst",
        "xoxb-abcdefghijklmnopqrst",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIiOiIx.sig",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEAx1x2x3x4x5x6x7x8x9y1y2y3y4y5y6y7\nMIIE==\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\\nMIIEowIBAAKCAQEAx1x2x3x4x5x6x7x8x9y1y2y3y4y5y6y7\\nMIIE\\n-----END PRIVATE KEY-----",
        "postgres://me:hunter2@db/x",
        "https://h/?a=1&access_token=abc123&b=2",
    ];

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
        assert_eq!(kept(r#"{"apiKey":["abcdefgh","rm","-rf"]}"#), r#"{"apiKey":["[redacted]","rm","-rf"]}"#);
        assert_eq!(kept(r#"{"Authorization":"Basic bWU6eA=="}"#), r#"{"Authorization":"Basic [redacted]"}"#);
        assert_eq!(kept(r#"{"X-API-Key":"a"}"#), r#"{"X-API-Key":"[redacted]"}"#);
        assert_eq!(kept(r#"{"\u0074oken":"x"}"#), r#"{"token":"[redacted]"}"#);
        for secret in SECRETS {
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
    fn a_text_that_is_not_looked_at_further_has_no_secret() {
        let covers = Covers::get().unwrap();
        for secret in
            SECRETS.into_iter().chain(["http://me:pw@h", "?token=x", "basic abcdefg1", "BEARER ABCDEFG1"])
        {
            for part in
                (0..secret.len()).flat_map(|from| (from..=secret.len()).map(move |to| &secret[from..to]))
            {
                let covered = covers.text(part, &mut |_| GONE.into());
                assert_eq!(Values::Redact.text(part), covered, "{part:?}");
            }
        }
    }

    #[test]
    fn secrets_in_a_command_line_go_by_their_option_or_shape() {
        assert_eq!(
            covered_line("srv --api-key k1 -v --token=k2 DB_PASSWORD=k3 a=b postgres://me:k4@db/x --port 1"),
            "srv --api-key [redacted] -v --token=[redacted] DB_PASSWORD=[redacted] a=b postgres://[redacted]@db/x --port 1"
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

    /// Whoever writes the arguments cannot have a pattern hide what they say.
    #[test]
    fn what_has_not_the_shape_of_a_secret_is_never_covered() {
        for (hides, what) in [
            (
                serde_json::json!({ "command": "ls # -----BEGIN PRIVATE KEY-----\nrm -rf /srv/x" }),
                "rm -rf /srv/x",
            ),
            (
                serde_json::json!({ "command": "# -----BEGIN PRIVATE KEY-----\nrm\n-rf\nreboot\n-----END PRIVATE KEY-----" }),
                "reboot",
            ),
            (serde_json::json!({ "env_token": { "then": "rm -rf /srv/x" } }), "rm -rf /srv/x"),
            (serde_json::json!({ "secret": "rm -rf /srv/x" }), "rm -rf /srv/x"),
            (serde_json::json!({ "token_args": ["rm", "-rf", "/srv/x"] }), "/srv/x"),
            (serde_json::json!({ "cookie": "a\nreboot" }), "reboot"),
            (serde_json::json!({ "command": "ls ://x:;rm$IFS-rf$IFS'/srv/x'@" }), "/srv/x"),
            (serde_json::json!({ "command": "a://x:;rm$IFS-rf$IFS'/srv/x'@b" }), "/srv/x"),
            (serde_json::json!({ "command": "basic instructions and bearer certificates" }), "instructions"),
            (serde_json::json!({ "command": "curl 'h/?token=;rm$IFS-rf$IFS/srv/x'" }), "/srv/x"),
            (serde_json::json!({ "max_tokens": 4096 }), "4096"),
        ] {
            assert!(kept(&hides.to_string()).contains(what), "{} of {hides}", kept(&hides.to_string()));
        }
    }

    #[test]
    fn names_addresses_and_reasons_lose_their_secrets_whatever_is_kept_of_arguments() {
        let text = "https://me:hunter2pw@h/?token=ghp_abcdefghijklmnopqrstuvwx";
        for values in [Values::Redact, Values::Digest] {
            assert_eq!(values.text(text), "https://[redacted]@h/?token=[redacted]");
            assert_eq!(values.text("because ghp_abcdefghijklmnopqrstuvwx."), "because [redacted].");
            assert_eq!(values.text("file:///etc/hosts"), "file:///etc/hosts");
        }
        assert_eq!(Values::Keep.text(text), text);
    }
}
