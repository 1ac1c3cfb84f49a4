//! The other tools of a server: which one is likest, and which one a description names.

use crate::classify::verb;
use crate::words::{names_in, of_name};
use std::collections::HashMap;

/// Tools that share a word of their name, above which the word tells nothing about any of them.
const COMMON: usize = 64;

/// The names of all tools of a server.
#[derive(Debug, Default)]
pub struct Siblings<'a> {
    names: HashMap<&'a str, Vec<String>>,
    by_word: HashMap<String, Vec<&'a str>>,
}

impl<'a> Siblings<'a> {
    /// Those with these names.
    pub fn of(names: impl Iterator<Item = &'a str>) -> Self {
        let names: HashMap<&str, Vec<String>> = names.map(|name| (name, words(name))).collect();
        let mut by_word: HashMap<String, Vec<&str>> = HashMap::new();
        for (name, words) in &names {
            for word in words {
                by_word.entry(word.clone()).or_default().push(name);
            }
        }
        Self { names, by_word }
    }

    /// The one whose name shares the most words with this one, things before verbs; of several the shortest, and of those
    /// the first.
    pub(super) fn nearest(&self, name: &str) -> Option<&'a str> {
        let mut shared: HashMap<&str, usize> = HashMap::new();
        for word in self.names.get(name)? {
            let others = self.by_word.get(word).filter(|others| others.len() <= COMMON);
            for other in others.into_iter().flatten().filter(|other| **other != name) {
                *shared.entry(other).or_default() += if verb(word).is_some() { 1 } else { 2 };
            }
        }
        let likest = shared.into_iter().max_by(|(a, one), (b, two)| {
            one.cmp(two).then_with(|| b.len().cmp(&a.len())).then_with(|| b.cmp(a))
        });
        likest.map(|(other, _)| other)
    }

    /// The first one that a text names. One whose name is a word like any other has to stand in quotes there.
    pub(super) fn named_in(&self, text: &str, by: &str) -> Option<&'a str> {
        let is_other = |word: &str| word != by && self.names.contains_key(word);
        let (_, word) = names_in(text, is_other).next()?;
        self.names.get_key_value(word).map(|(name, _)| *name)
    }
}

/// The words of a name, each as if there were one of it.
fn words(name: &str) -> Vec<String> {
    let mut words = of_name(name);
    for word in &mut words {
        if word.len() > 3 && word.ends_with('s') && !word.ends_with("ss") {
            word.pop();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_is_found_and_whoever_is_named() {
        let all =
            Siblings::of(["ssh_cancel", "ssh_cancel_async_task", "ssh_run", "files", "read"].into_iter());
        assert_eq!(all.nearest("ssh_cancel"), Some("ssh_cancel_async_task"));
        assert_eq!(all.nearest("ssh_run"), Some("ssh_cancel"));
        assert_eq!((all.nearest("files"), all.nearest("unknown")), (None, None));
        let github = Siblings::of(["list_issues", "get_issue", "list_commits"].into_iter());
        assert_eq!(github.nearest("list_issues"), Some("get_issue"));
        let named = |text| all.named_in(text, "ssh_run");
        assert_eq!(named("Runs it; for a task use ssh_cancel_async_task."), Some("ssh_cancel_async_task"));
        assert_eq!(named("As ssh_run, but read the files"), None);
        assert_eq!(named("Gives what `read` gives"), Some("read"));
        assert_eq!(named("ssh_cancelled — über 'files'"), Some("files"));
    }
}
