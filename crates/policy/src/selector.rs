//! Which tools a rule is for.

use crate::Target;
use crate::pattern::{Pattern, glob};
use portcullis_document::nearest;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What a tool can be called for what it does.
pub(crate) const CATEGORIES: [&str; 5] = ["read", "write", "execute", "destructive", "financial"];

/// One that is more than an exact name.
#[derive(Debug)]
pub(crate) struct Selector {
    upstream: Option<Name>,
    tools: Tools,
}

#[derive(Debug)]
enum Tools {
    Named(Name),
    Category(&'static str),
}

#[derive(Debug)]
enum Name {
    Exact(Box<str>),
    Like(Arc<Pattern>),
}

impl Selector {
    /// Reads a selector of version 2: `None` for the exact name of a tool.
    ///
    /// # Errors
    /// What was expected, and what may help.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, (String, Option<String>)> {
        let (upstream, tools) = match text.split_once('/') {
            Some((upstream, tools)) => (Some(name(upstream)?), tools),
            None => (None, text),
        };
        let tools = match tools.strip_prefix('@') {
            Some(word) => Tools::Category(category(word)?),
            None => Tools::Named(name(tools)?),
        };
        match (upstream, tools) {
            (None, Tools::Named(Name::Exact(_))) => Ok(None),
            (upstream, tools) => Ok(Some(Self { upstream, tools })),
        }
    }

    /// Reads a selector of something else than tools, whose names may have slashes: `None` for an exact one.
    ///
    /// # Errors
    /// What was expected, and what may help.
    pub(crate) fn parse_whole(text: &str) -> Result<Option<Self>, (String, Option<String>)> {
        Ok(match name(text)? {
            Name::Exact(_) => None,
            like @ Name::Like(_) => Some(Self { upstream: None, tools: Tools::Named(like) }),
        })
    }

    /// Whether it is for every tool of that name, or for none; `None` where the name alone does not tell.
    pub(crate) fn is_for_name(&self, name: &str) -> Option<bool> {
        match (&self.tools, &self.upstream) {
            (Tools::Named(own), _) if !own.is(name) => Some(false),
            (Tools::Named(_), None) => Some(true),
            (Tools::Named(_), Some(_)) | (Tools::Category(_), _) => None,
        }
    }

    /// The server and the name of the one tool that it is for; `None` where it may be for several.
    pub(crate) fn one(&self) -> Option<(&str, &str)> {
        match (&self.upstream, &self.tools) {
            (Some(Name::Exact(upstream)), Tools::Named(Name::Exact(name))) => Some((upstream, name)),
            _ => None,
        }
    }

    fn is_for(&self, tool: &Target<'_>) -> bool {
        self.upstream.as_ref().is_none_or(|name| name.is(tool.upstream))
            && match &self.tools {
                Tools::Named(name) => name.is(tool.name),
                Tools::Category(word) => word.eq_ignore_ascii_case(tool.category),
            }
    }
}

impl Name {
    fn is(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => **own == *name,
            Self::Like(pattern) => pattern.is_match(name),
        }
    }
}

fn name(text: &str) -> Result<Name, (String, Option<String>)> {
    if text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@') {
        let hint = "write name, create_*, @destructive or UPSTREAM/name; a name with a slash is */its/name"
            .to_owned();
        return Err((format!("expected the name of a tool or a pattern, found {text:?}"), Some(hint)));
    }
    if !text.contains(['*', '?']) {
        return Ok(Name::Exact(text.into()));
    }
    let pattern = glob(text).map_err(|_| (format!("expected a shorter pattern, found {text:?}"), None))?;
    Ok(Name::Like(pattern))
}

fn category(word: &str) -> Result<&'static str, (String, Option<String>)> {
    CATEGORIES.into_iter().find(|known| *known == word).ok_or_else(|| {
        let hint = match nearest(word, CATEGORIES) {
            Some(near) => format!("did you mean @{near}?"),
            None => format!("the categories are @{}", CATEGORIES.join(", @")),
        };
        (format!("expected a category of tools, found \"@{word}\""), Some(hint))
    })
}

/// Something that is said of the tools that a text chooses.
#[derive(Debug)]
pub(crate) struct Choice<T> {
    pub(crate) text: Box<str>,
    /// What the text was read as; `None` where it is an exact name.
    pub(crate) selector: Option<Selector>,
    pub(crate) said: T,
}

/// All that is said of tools.
#[derive(Debug)]
pub(crate) struct Selected<T> {
    /// Sorted by their texts.
    all: Vec<Choice<T>>,
    exact: HashMap<Box<str>, usize>,
    known: Known,
}

/// What was found for tools before, so that a pattern is held against a name once.
#[derive(Debug, Default)]
struct Known(RwLock<HashMap<Box<str>, Vec<Found>>>);

#[derive(Debug)]
struct Found {
    upstream: Box<str>,
    category: Box<str>,
    rules: Arc<[usize]>,
}

/// More names than all servers of a gate have; beyond it, what was found is forgotten.
const NAMES: usize = 10_000;

impl<T> Default for Selected<T> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<T> Selected<T> {
    pub(crate) fn new(mut all: Vec<Choice<T>>) -> Self {
        all.sort_by(|left, right| left.text.cmp(&right.text));
        let exact = all.iter().enumerate().filter(|(_, choice)| choice.selector.is_none());
        let exact = exact.map(|(index, choice)| (choice.text.clone(), index)).collect();
        Self { all, exact, known: Known::default() }
    }

    /// All that is said of a tool or something else, in the order of the texts.
    pub(crate) fn of(&self, tool: &Target<'_>) -> SmallVec<[&T; 4]> {
        let at = |index: &usize| self.all.get(*index).map(|choice| &choice.said);
        if self.exact.len() == self.all.len() {
            return self.exact.get(tool.name).and_then(at).into_iter().collect();
        }
        let found = self.known.find(tool).unwrap_or_else(|| self.known.keep(tool, self.search(tool)));
        found.iter().filter_map(at).collect()
    }

    /// Whether something is said of exactly that name.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.exact.contains_key(name)
    }

    fn search(&self, tool: &Target<'_>) -> Arc<[usize]> {
        let exact = self.exact.get(tool.name);
        let is_for = |(index, choice): &(usize, &Choice<T>)| match &choice.selector {
            Some(selector) => selector.is_for(tool),
            None => exact == Some(index),
        };
        self.all.iter().enumerate().filter(is_for).map(|(index, _)| index).collect()
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Choice<T>> {
        self.all.iter()
    }

    /// All of them, each with the indices of those tools that it is for.
    pub(crate) fn each(&self, tools: &[Target<'_>]) -> impl Iterator<Item = (&Choice<T>, Vec<usize>)> {
        let found: Vec<_> = tools.iter().map(|tool| self.search(tool)).collect();
        self.all.iter().enumerate().map(move |(index, choice)| {
            let chosen = found.iter().enumerate().filter(|(_, rules)| rules.contains(&index));
            (choice, chosen.map(|(tool, _)| tool).collect())
        })
    }
}

impl Known {
    fn find(&self, tool: &Target<'_>) -> Option<Arc<[usize]>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let same = |found: &&Found| *found.upstream == *tool.upstream && *found.category == *tool.category;
        Some(known.get(tool.name)?.iter().find(same)?.rules.clone())
    }

    fn keep(&self, tool: &Target<'_>, rules: Arc<[usize]>) -> Arc<[usize]> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= NAMES {
            known.clear();
        }
        let of_name = known.entry(tool.name.into()).or_default();
        of_name.push(Found {
            upstream: tool.upstream.into(),
            category: tool.category.into(),
            rules: rules.clone(),
        });
        rules
    }
}
