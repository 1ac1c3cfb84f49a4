//! Secrets that a client's file holds in clear: they are kept in files of their own, and the configuration
//! names those.

use super::server::Server;
use crate::config::fill;
use portcullis_admit::Values;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// A secret to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The name of its file.
    pub file: String,
    /// What stands in it.
    pub text: String,
}

/// Replaces the secrets of a server by references to files in `folder`, which is relative to the configuration.
/// `is_taken` says whether a file is there that holds another text.
pub(crate) fn take_out(
    name: &str,
    server: &mut Server,
    folder: &str,
    is_taken: &dyn Fn(&str, &str) -> bool,
) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let mut names = BTreeSet::new();
    let mut keep = |what: &str, text: &mut String| {
        let what: String = what
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let base = format!("{name}-{what}");
        // The text has no references, so nothing is looked up; it only loses its escapes.
        let Ok(value) = fill(text, Path::new("")) else { return };
        let numbered = (2u32..).map(|number| format!("{base}-{number}"));
        let free = |file: &String| !is_taken(file, &value) && !names.contains(file);
        let Some(file) = std::iter::once(base.clone()).chain(numbered).find(free) else { return };
        *text = format!("${{file:{folder}/{file}}}");
        names.insert(file.clone());
        secrets.push(Secret { file, text: value });
    };
    match server {
        Server::Command { args, env, .. } => {
            let mut flag = String::new();
            for (at, arg) in args.iter_mut().enumerate() {
                let (key, value) = arg.split_once('=').unwrap_or((&flag, arg));
                // What follows a flag may be the next one.
                let found = !value.starts_with('-') && is_secret(key, value);
                flag = if arg.starts_with('-') { arg.clone() } else { String::new() };
                if found {
                    keep(&format!("arg-{at}"), arg);
                }
            }
            for (key, value) in env {
                if is_secret(key, value) {
                    keep(key, value);
                }
            }
        }
        Server::Url { url, headers, .. } => {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            let in_query =
                |pair: &str| pair.split_once('=').is_some_and(|(key, value)| is_secret(key, value));
            if query.split('&').any(in_query) || is_secret("", url) {
                keep("url", url);
            }
            for (key, value) in headers {
                if is_secret(key, value) {
                    keep(key, value);
                }
            }
        }
    }
    secrets
}

/// Words of a name that make its value a secret, and beginnings of such words.
const WORDS: [&str; 12] =
    ["KEY", "APIKEY", "PAT", "PWD", "PW", "AUTH", "DSN", "JWT", "BEARER", "CREDS", "PASSCODE", "PIN"];
const STARTS: [&str; 6] = ["PASSWD", "PASSWORD", "PASSPHRASE", "SECRET", "CREDENTIAL", "PRIVATEKEY"];

/// `PASS`, alone or at the end of a word; `BYPASS` and `COMPASS` are others.
fn is_pass(word: &str) -> bool {
    word.ends_with("PASS") && !word.ends_with("BYPASS") && !word.ends_with("COMPASS")
}

/// Whether a text is a secret, by its name or by its looks: what the record would not keep either, and a few
/// names that only configurations use.
fn is_secret(name: &str, text: &str) -> bool {
    // A literal dollar is written twice; with any other a value is filled in.
    if text.is_empty() || text.replace("$$", "").contains("${") || matches!(text, "true" | "false") {
        return false;
    }
    let upper = name.to_ascii_uppercase();
    let mut words = upper.split(|c: char| !c.is_ascii_alphanumeric());
    if words.any(|word| {
        WORDS.contains(&word) || STARTS.iter().any(|start| word.starts_with(start)) || is_pass(word)
    }) {
        return true;
    }
    let plain = serde_json::json!({ name: text });
    let kept =
        Values::Redact.keep(&plain.to_string()).and_then(|kept| serde_json::from_str::<Value>(&kept).ok());
    kept.as_ref() != Some(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_their_names_and_by_their_looks() {
        for (name, text) in [
            ("GITHUB_TOKEN", "x1"),
            ("X-Api-Key", "abc"),
            ("OPENAI_KEY", "abc"),
            ("MY_PASS", "x"),
            ("DBPASS", "x"),
            ("PASSWD", "x"),
            ("GPG_PASSPHRASE", "x"),
            ("CREDENTIALS", "x"),
            ("AWS_CREDENTIAL", "x"),
            ("SECRETS_OF_MINE", "x"),
            ("--db-pass", "x"),
            ("MY_PASS", "-starts-like-a-flag"),
            ("MY_PASS", "a$${b"),
            ("HARMLESS", "ghp_0123456789abcdef0123"),
            ("DATABASE_URL", "postgres://u:p@host/db"),
        ] {
            assert!(is_secret(name, text), "{name}");
        }
        for (name, text) in [
            ("TOKEN", "${env:TOKEN}"),
            ("LOG_LEVEL", "debug"),
            ("KEYBOARD", "de"),
            ("TOKEN", ""),
            ("PROXY_BYPASS", "localhost"),
            ("PASSENGERS", "3"),
        ] {
            assert!(!is_secret(name, text), "{name}");
        }
    }

    #[test]
    fn a_secret_leaves_a_reference_behind() {
        let mut server = Server::Command {
            command: "x".into(),
            args: vec!["--api-key".into(), "s$$1".into(), "--verbose".into()],
            env: vec![("A_TOKEN".into(), "t1".into()), ("LEVEL".into(), "1".into())],
            cwd: None,
        };
        let secrets = take_out("srv", &mut server, ".portcullis/secrets", &|file, _| file == "srv-a-token");
        let Server::Command { args, env, .. } = server else { panic!() };
        assert_eq!(args, ["--api-key", "${file:.portcullis/secrets/srv-arg-1}", "--verbose"]);
        assert_eq!(env[0].1, "${file:.portcullis/secrets/srv-a-token-2}");
        assert_eq!(env[1].1, "1");
        let kept: Vec<(&str, &str)> = secrets.iter().map(|s| (s.file.as_str(), s.text.as_str())).collect();
        assert_eq!(kept, [("srv-arg-1", "s$1"), ("srv-a-token-2", "t1")]);
    }

    #[test]
    fn a_secret_in_an_address_takes_the_address_along() {
        let url = "https://a/mcp?api_key=12345".to_owned();
        let mut server = Server::Url { url, transport: None, headers: Vec::new() };
        assert_eq!(take_out("a", &mut server, "s", &|_, _| false).len(), 1);
        assert!(matches!(server, Server::Url { url, .. } if url == "${file:s/a-url}"));
    }
}
