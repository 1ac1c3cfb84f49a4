//! Which argument is meant.

use std::fmt;

/// A path into the arguments of a call: `args.a.b`, `args.items[0].id`, `args.items[*].id`, `args["odd.key"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: Box<str>,
    /// The argument's name; arguments are an object, so the first step is always a key.
    pub(crate) root: Box<str>,
    pub(crate) steps: Box<[Step]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(Box<str>),
    Index(usize),
    /// `[*]`: every element.
    Each,
}

impl Path {
    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Reads a path; the error says what was expected, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<&'static str>)> {
        const SPELLING: &str = "write args.name, args.list[0], args.list[*] or args[\"odd.key\"]";
        let expected = |what: &str, hint| Err((format!("expected {what}, found {text:?}"), Some(hint)));
        let Some(mut rest) = text.strip_prefix("args") else {
            let head = text.split(['.', '[']).next().unwrap_or_default();
            return match head {
                "call" | "grant" | "client" | "time" | "session" => {
                    expected("a path that begins with `args`", "paths to anything else need version \"2\"")
                }
                "state" => expected("a path that begins with `args`", "limits are written under `limits`"),
                _ => expected("a path that begins with `args`", SPELLING),
            };
        };
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let Some((step, after)) = next_step(rest) else {
                return expected("a path", SPELLING);
            };
            steps.push(step);
            rest = after;
        }
        let mut steps = steps.into_iter();
        match steps.next() {
            Some(Step::Key(root)) => Ok(Self { text: text.into(), root, steps: steps.collect() }),
            Some(_) => expected("the name of an argument after `args`", SPELLING),
            None => expected("a path to one argument", SPELLING),
        }
    }
}

fn next_step(rest: &str) -> Option<(Step, &str)> {
    if let Some(rest) = rest.strip_prefix('.') {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at_checked(end)?;
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ']' | '"' | '\'' | '*');
        return (!key.is_empty() && !key.contains(odd)).then(|| (Step::Key(key.into()), after));
    }
    let inside = rest.strip_prefix('[')?;
    if inside.starts_with('"') {
        // A JSON string, so that every key can be written.
        let mut keys = serde_json::Deserializer::from_str(inside).into_iter::<String>();
        let key = keys.next()?.ok()?;
        let after = inside.get(keys.byte_offset()..)?.strip_prefix(']')?;
        return Some((Step::Key(key.into()), after));
    }
    let (index, after) = inside.split_once(']')?;
    if index == "*" {
        return Some((Step::Each, after));
    }
    let plain = index.bytes().all(|byte| byte.is_ascii_digit()) && (index == "0" || !index.starts_with('0'));
    let index = plain.then(|| index.parse::<u32>().ok())??;
    Some((Step::Index(usize::try_from(index).ok()?), after))
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, Step};

    #[test]
    fn every_kind_of_step_is_read() {
        let path = Path::parse(r#"args.items[0]["odd.key \"x\""][*].id-ß"#).unwrap();
        assert_eq!(&*path.root, "items");
        let key = |key: &str| Step::Key(key.into());
        assert_eq!(*path.steps, [Step::Index(0), key("odd.key \"x\""), Step::Each, key("id-ß")]);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "args",
            "args.",
            "args..a",
            "args[0]",
            "args[*]",
            "args.a[",
            "args.a[-1]",
            "args.a[01]",
            "args.a[x]",
            "args.a[]",
            "args.a b",
            "amount",
            "arguments.a",
            "argsx",
            "args.a]",
            "args[\"a\"",
            "args.a.*",
            "args.a[99999999999]",
            "args['a']",
            "call.tool",
            "state.a.b",
            " args.a",
            "args.a ",
        ] {
            assert!(Path::parse(text).is_err(), "{text}");
        }
    }
}
