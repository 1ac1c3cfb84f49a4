//! Which argument is meant.

use std::fmt;

use crate::facts::Fact;

/// A path into the arguments of a call: `args.a.b`, `args.items[0].id`, `args.items[*].id`, `args["odd.key"]`; or to what
/// surrounds it: `call.category`, `grant.labels.team`, `time.hour`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: Box<str>,
    pub(crate) root: Root,
    /// Empty for a fact.
    pub(crate) steps: Box<[Step]>,
}

/// Where a path begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Root {
    /// At the argument of this name; arguments are an object, so the first step is always a key.
    Argument(Box<str>),
    Fact(Fact),
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

    /// Reads a path of version 1, which is one into the arguments; the error says what was expected, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, Option<&'static str>)> {
        const SPELLING: &str = "write args.name, args.list[0], args.list[*] or args[\"odd.key\"]";
        let expected = |what: &str, hint| Err((format!("expected {what}, found {text:?}"), Some(hint)));
        let Some(rest) = text.strip_prefix("args") else {
            return match head(text) {
                "call" | "grant" | "client" | "time" | "session" => {
                    expected("a path that begins with `args`", "paths to anything else need version \"2\"")
                }
                "state" => expected("a path that begins with `args`", "limits are written under `limits`"),
                _ => expected("a path that begins with `args`", SPELLING),
            };
        };
        let Some(steps) = steps(rest) else { return expected("a path", SPELLING) };
        let mut steps = steps.into_iter();
        match steps.next() {
            Some(Step::Key(name)) => {
                Ok(Self { text: text.into(), root: Root::Argument(name), steps: steps.collect() })
            }
            Some(_) => expected("the name of an argument after `args`", SPELLING),
            None => expected("a path to one argument", SPELLING),
        }
    }

    /// Reads a path of version 2, which may also lead to a fact.
    pub(crate) fn parse_any(text: &str) -> Result<Self, (String, Option<&'static str>)> {
        const FACTS: &str = "the facts are call.upstream, call.tool, call.category, call.risk, grant.name, grant.labels.KEY, \
                             grant.calls.TOOL, client.name, time.hour, time.weekday and session.calls.TOOL";
        let head = head(text);
        if !matches!(head, "call" | "grant" | "client" | "time" | "session") {
            return Self::parse(text);
        }
        let unknown = || (format!("expected the path of a fact, found {text:?}"), Some(FACTS));
        let steps = steps(text.get(head.len()..).unwrap_or_default()).ok_or_else(unknown)?;
        let names: Option<Vec<&str>> = steps
            .iter()
            .map(|step| match step {
                Step::Key(name) => Some(&**name),
                Step::Index(_) | Step::Each => None,
            })
            .collect();
        let fact = match (head, names.as_deref()) {
            ("call", Some(["upstream"])) => Fact::Upstream,
            ("call", Some(["tool"])) => Fact::Tool,
            ("call", Some(["category"])) => Fact::Category,
            ("call", Some(["risk"])) => Fact::Risk,
            ("grant", Some(["name"])) => Fact::Grant,
            ("grant", Some(["labels", key])) => Fact::Label((*key).into()),
            ("client", Some(["name"])) => Fact::Client,
            ("time", Some(["hour"])) => Fact::Hour,
            ("time", Some(["weekday"])) => Fact::Weekday,
            ("session", Some(["calls", tool])) => Fact::SessionCalls((*tool).into()),
            ("grant", Some(["calls", tool])) => Fact::GrantCalls((*tool).into()),
            _ => return Err(unknown()),
        };
        Ok(Self { text: text.into(), root: Root::Fact(fact), steps: Box::default() })
    }

    /// The argument that it leads into; `None` for a fact.
    pub(crate) fn argument(&self) -> Option<&str> {
        match &self.root {
            Root::Argument(name) => Some(name),
            Root::Fact(_) => None,
        }
    }
}

/// The word before the first step.
fn head(text: &str) -> &str {
    text.split(['.', '[']).next().unwrap_or_default()
}

/// The steps behind the first word of a path.
pub(crate) fn steps(mut rest: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = next_step(rest)?;
        steps.push(step);
        rest = after;
    }
    Some(steps)
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
    use super::{Fact, Path, Root, Step};

    #[test]
    fn every_kind_of_step_is_read() {
        let path = Path::parse(r#"args.items[0]["odd.key \"x\""][*].id-ß"#).unwrap();
        assert_eq!(path.argument(), Some("items"));
        let key = |key: &str| Step::Key(key.into());
        assert_eq!(*path.steps, [Step::Index(0), key("odd.key \"x\""), Step::Each, key("id-ß")]);
    }

    #[test]
    fn every_fact_is_read() {
        for (text, fact) in [
            ("call.upstream", Fact::Upstream),
            ("call.tool", Fact::Tool),
            ("call.category", Fact::Category),
            ("call.risk", Fact::Risk),
            ("grant.name", Fact::Grant),
            ("grant.labels.team", Fact::Label("team".into())),
            ("grant.labels[\"a.b\"]", Fact::Label("a.b".into())),
            ("client.name", Fact::Client),
            ("time.hour", Fact::Hour),
            ("time.weekday", Fact::Weekday),
            ("session.calls.read_file", Fact::SessionCalls("read_file".into())),
            ("session.calls[\"mail/send.it\"]", Fact::SessionCalls("mail/send.it".into())),
            ("grant.calls.read_file", Fact::GrantCalls("read_file".into())),
            ("grant.calls[\"mail/send.it\"]", Fact::GrantCalls("mail/send.it".into())),
        ] {
            assert_eq!(Path::parse_any(text).unwrap().root, Root::Fact(fact), "{text}");
            assert!(Path::parse(text).is_err(), "{text}");
        }
        for text in [
            "call",
            "call.",
            "call.tools",
            "call[0]",
            "grant.labels",
            "grant.labels.a.b",
            "time.hour.x",
            "session.calls",
            "grant.calls",
        ] {
            assert!(Path::parse_any(text).is_err(), "{text}");
        }
        assert_eq!(Path::parse_any("args.a").unwrap().argument(), Some("a"));
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
