//! Reads `.env` files: `NAME=value` lines as foreman, honcho and godotenv agree on them.

/// Looks a variable up that the file itself does not set.
pub(super) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Read {
    /// The variables in the order of the file.
    pub(super) variables: Vec<(String, String)>,
    /// Numbers of the lines that are no assignments.
    pub(super) odd: Vec<usize>,
}

impl Read {
    /// The last value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads a text. With a `lookup`, `$NAME` and `${NAME}` are replaced outside of single quotes, as process-compose does;
/// without one they stay, as the programs for Procfiles have it.
pub(super) fn read(text: &str, lookup: Option<Lookup<'_>>) -> Read {
    let mut read = Read::default();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = rest.get(start..).unwrap_or_default();
        let number = text.get(..text.len() - rest.len()).unwrap_or_default().matches('\n').count() + 1;
        let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.starts_with('#') {
            rest = below;
            continue;
        }
        let assigned = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let name = assigned.map(|(name, _)| name.trim()).filter(|name| is_name(name));
        let Some((name, (_, value))) = name.zip(assigned) else {
            read.odd.push(number);
            rest = below;
            continue;
        };
        // A value between quotes may go on in the lines below.
        let from = rest.get(line.len() - value.trim_start().len()..).unwrap_or_default();
        let quoted = match from.chars().next() {
            Some('\'') => until_quote(from, '\''),
            Some('"') => until_quote(from, '"'),
            _ => None,
        };
        let known = |name: &str| read.get(name).map(str::to_owned).or_else(|| lookup?(name));
        let value = match quoted {
            Some((inside, after)) if from.starts_with('\'') => {
                rest = after;
                inside.to_owned()
            }
            Some((inside, after)) => {
                rest = after;
                filled(inside, lookup.is_some().then_some(&known), Escapes::All)
            }
            None => {
                rest = below;
                let bare = value.split_once(" #").map_or(value, |(value, _)| value).trim();
                filled(bare, lookup.is_some().then_some(&known), Escapes::Dollar)
            }
        };
        if quoted.is_some() {
            // Only a comment can stand behind a quote.
            rest = rest.split_once('\n').map_or("", |(_, below)| below);
        }
        read.variables.push((name.to_owned(), value));
    }
    read
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
}

/// What stands between a quote and the next of its kind, and what follows.
fn until_quote(text: &str, quote: char) -> Option<(&str, &str)> {
    let inside = text.get(1..)?;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            _ if c == quote => return Some((inside.get(..at)?, inside.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// What a backslash means.
#[derive(Clone, Copy, PartialEq)]
enum Escapes {
    /// `\n` is a new line, any other character stands for itself.
    All,
    /// Only `\$` is one.
    Dollar,
}

fn filled(text: &str, lookup: Option<Lookup<'_>>, escapes: Escapes) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match (c, rest.chars().next()) {
            ('\\', Some(next)) if escapes == Escapes::All || (next == '$' && lookup.is_some()) => {
                out.push(match next {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    other => other,
                });
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
            ('$', Some(_)) if lookup.is_some() => {
                let braced = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'));
                let bare = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let (name, after) = match braced {
                    Some(found) => found,
                    None => rest.split_at_checked(bare).unwrap_or((rest, "")),
                };
                if name.is_empty() {
                    out.push('$');
                    continue;
                }
                out.push_str(&lookup.and_then(|lookup| lookup(name)).unwrap_or_default());
                rest = after;
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_what_the_other_tools_make_of_them() {
        let outside = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        for (line, kept, expanded) in [
            ("A=b", "b", "b"),
            ("  A = b  ", "b", "b"),
            ("export A=b", "b", "b"),
            ("A=b # c", "b", "b"),
            ("A=b#c", "b#c", "b#c"),
            ("A=", "", ""),
            ("A='$HOME \\n #'", "$HOME \\n #", "$HOME \\n #"),
            ("A=\"x\\ny\\\"\" # c", "x\ny\"", "x\ny\""),
            ("A=\"two\nlines\"", "two\nlines", "two\nlines"),
            ("A=$HOME/x", "$HOME/x", "/home/me/x"),
            ("A=\"${HOME}\"", "${HOME}", "/home/me"),
            ("A=a\\$HOME", "a\\$HOME", "a$HOME"),
            ("A=$NONE.", "$NONE.", "."),
            ("A=5$", "5$", "5$"),
            ("A='open", "'open", "'open"),
            ("A=x=y", "x=y", "x=y"),
        ] {
            assert_eq!(read(line, None).get("A"), Some(kept), "{line}");
            assert_eq!(read(line, Some(&outside)).get("A"), Some(expanded), "{line}");
        }
    }

    #[test]
    fn lines_follow_each_other_and_odd_ones_are_counted() {
        let text = "# c\n\nA=1\r\nnonsense\nB=\"a\nb\"\nb ad=2\nC=$A$A\n";
        let read = read(text, Some(&|_| None));
        let pairs: Vec<(&str, &str)> =
            read.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "a\nb"), ("C", "11")]);
        assert_eq!(read.odd, [4, 7]);
    }
}
