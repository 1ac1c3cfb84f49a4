//! What a description says besides what the tool does, told by the words that people use for it.

use crate::classify::verb;
use crate::words::{first_sentence, in_text, of_name};
use aho_corasick::AhoCorasick;
use std::ops::Range;
use std::sync::LazyLock;

/// That what it does cannot be taken back.
const FOR_GOOD: &[&str] = &[
    "cannot be undone",
    "can't be undone",
    "can not be undone",
    "cannot be recovered",
    "cannot be reversed",
    "irreversible",
    "irreversibly",
    "permanent",
    "permanently",
    "for good",
    "no undo",
    "not reversible",
    "cannot be restored",
    "does not come back",
];
/// What is lost by it, or replaced.
const LOSES: &[&str] = &[
    "is lost",
    "are lost",
    "will be lost",
    "orphaned",
    "overwrites",
    "overwritten",
    "overwriting",
    "replaces",
    "replaced",
    "will remove",
    "also removes",
    "also deletes",
    "destroys",
    "revokes",
    "discards",
    "and all its",
    "and everything in it",
    "whatever it holds",
    "what was there",
    "is killed",
    "are killed",
];
/// What bounds it: who may, how much, how long.
const BOUNDS: &[&str] = &[
    "at most",
    "at least",
    "up to",
    "maximum",
    "limited to",
    "rate limit",
    "rate limited",
    "rate limits",
    "times out",
    "timeout",
    "requires",
    "must be",
    "must not be",
    "needs",
    "permission",
    "permissions",
    "authenticated",
    "authentication",
    "idempotent",
    "asynchronous",
    "asynchronously",
    "in the background",
    "blocks until",
    "waits until",
    "returns at once",
    "side effect",
    "side effects",
    "changes nothing",
    "does not change",
    "does not modify",
    "read only",
    "reads only",
    "atomic",
    "atomically",
    "only works within",
    "note",
    "can be repeated",
    "safe to repeat",
    "goes on",
    "survives",
    "is kept",
    "stays",
    "recorded",
    "cached",
    "is refused",
    "are refused",
];
/// Those of them that are nouns. The first sentence says what is done to what, and in it they may be the thing itself: `Create a rate
/// limit`.
const BOUND_NOUNS: [&str; 6] =
    ["authentication", "permission", "permissions", "rate limit", "rate limits", "note"];
/// When to use it.
const WHEN: &[&str] = &[
    "use this",
    "use it",
    "use when",
    "use one",
    "use for",
    "used when",
    "used for",
    "when you",
    "whenever you",
    "if you",
    "useful for",
    "useful when",
    "is useful",
    "helpful when",
    "helpful for",
    "ideal for",
    "best for",
    "call this",
    "call it",
    "requires",
    "for when",
];
/// When not, or what instead.
const WHEN_NOT: &[&str] = &[
    "instead",
    "instead of",
    "rather than",
    "do not use",
    "don't use",
    "not for",
    "not to",
    "unlike",
    "not suitable",
    "not intended",
    "prefer",
    "use one",
    "except for",
    "only when",
    "only if",
    "but not",
];
/// What lets one guess when.
const IMPLIES: &[&str] = &[
    "filtering by",
    "filter by",
    "filtered by",
    "optional filtering by",
    "optional pagination",
    "before",
    "after",
    "allows",
    "supports",
    "from one",
    "categorize",
    "in order to",
    "so that",
];
/// What comes back.
const RETURNS: &[&str] = &[
    "returns",
    "returning",
    "is returned",
    "are returned",
    "responds with",
    "the result",
    "the answer",
    "gives",
    "outputs",
    "yields",
    "the response",
];
/// What comes back, told in passing.
const SHOWS: &[&str] = &["including", "showing", "with their", "along with", "together with"];
/// What happens where it cannot be done.
const FAILS: &[&str] = &[
    "fails",
    "error",
    "errors",
    "not found",
    "if it does not exist",
    "if there is none",
    "is refused",
    "are refused",
    "is rejected",
    "otherwise",
    "where there is none",
    "where there is no",
];
/// What is so afterwards.
const BECOMES: &[&str] = &["making it", "becomes", "so it is", "from then on", "afterwards"];

/// What a list of phrases is about.
#[derive(Clone, Copy)]
enum What {
    ForGood,
    Loses,
    Bounds,
    When,
    WhenNot,
    Implies,
    Returns,
    Shows,
    Fails,
    Becomes,
}

/// All lists, in the order of [`What`].
const LISTS: [&[&str]; 10] =
    [FOR_GOOD, LOSES, BOUNDS, WHEN, WHEN_NOT, IMPLIES, RETURNS, SHOWS, FAILS, BECOMES];

/// What finds phrases, and for each of them the number of its list and it itself.
type Phrases = (AhoCorasick, Vec<(usize, &'static str)>);

static PHRASES: LazyLock<Option<Phrases>> = LazyLock::new(|| {
    let all =
        || LISTS.iter().enumerate().flat_map(|(list, phrases)| phrases.iter().map(move |it| (list, *it)));
    let words = AhoCorasick::new(all().map(|(_, phrase)| format!(" {phrase} "))).ok()?;
    Some((words, all().collect()))
});

fn singular(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

/// A description, ready to be asked what it says.
#[derive(Debug)]
pub(super) struct Said<'a> {
    text: &'a str,
    /// Its words in lower case, with a space around each.
    words: String,
    /// Where among them each sentence stands.
    sentences: Vec<Range<usize>>,
    /// The phrases of each list that stand in it.
    found: [Vec<&'static str>; LISTS.len()],
    pub(super) word_count: usize,
}

impl<'a> Said<'a> {
    pub(super) fn of(description: &'a str) -> Self {
        let (mut words, mut places, mut word_count) = (String::from(" "), Vec::new(), 0);
        for sentence in sentences(description) {
            let begins = words.len();
            for word in in_text(sentence) {
                words.extend(word.chars().flat_map(char::to_lowercase));
                words.push(' ');
                word_count += 1;
            }
            if words.len() > begins {
                places.push(begins..words.len());
            }
        }
        Self { text: description, found: phrases(&words), words, sentences: places, word_count }
    }

    pub(super) fn sentence_count(&self) -> usize {
        self.sentences.len()
    }

    /// The words of its first sentence.
    pub(super) fn begins(&self) -> impl Iterator<Item = &str> {
        let first = self.sentences.first().and_then(|place| self.words.get(place.clone()));
        first.unwrap_or_default().split(' ').filter(|word| !word.is_empty())
    }

    /// The word of a tool's name that its second and last sentence explains, in place of saying more of the tool: `Labels can
    /// have colours.`
    pub(super) fn explains(&self, name: &str) -> Option<&str> {
        let [_, second] = self.sentences.as_slice() else { return None };
        let words =
            || self.words.get(second.clone()).unwrap_or_default().split(' ').filter(|word| !word.is_empty());
        let things = of_name(name);
        let is_thing = |word: &&str| things.iter().skip(1).any(|thing| singular(thing) == singular(word));
        // What begins with a verb says more of the tool.
        let is_about_things = words().next().is_some_and(|first| is_thing(&first) || verb(first).is_none());
        words().take(3).find(is_thing).filter(|_| is_about_things)
    }

    fn says(&self, what: What) -> Option<&'static str> {
        self.found.get(what as usize)?.first().copied()
    }

    pub(super) fn is_for_good(&self) -> Option<&'static str> {
        self.says(What::ForGood)
    }

    pub(super) fn loses(&self) -> Option<&'static str> {
        self.says(What::Loses)
    }

    /// The bounds that it names, of a tool of that name.
    pub(super) fn bounds(&self, name: &str) -> Vec<&'static str> {
        let things = of_name(name);
        let is_thing = |word: &str| things.iter().any(|thing| singular(thing) == singular(word));
        // Each word has a space before it too.
        let rest = self.sentences.first().and_then(|first| self.words.get(first.end.saturating_sub(1)..));
        let behind = |phrase: &str| rest.is_some_and(|rest| rest.contains(&format!(" {phrase} ")));
        let opens = |phrase: &str| phrase == "note" && self.begins().next() == Some(phrase);
        let bounds = |phrase: &&&'static str| {
            !BOUND_NOUNS.contains(*phrase)
                || opens(phrase)
                || (behind(phrase) && !phrase.split(' ').all(is_thing))
        };
        self.found.get(What::Bounds as usize).into_iter().flatten().filter(bounds).copied().collect()
    }

    pub(super) fn when(&self) -> Option<&'static str> {
        self.says(What::When)
    }

    /// When not to use it, or what it leaves out: `without executing` too.
    pub(super) fn when_not(&self) -> Option<&'static str> {
        let leaves_out = || {
            self.words.match_indices(" without ").any(|(at, found)| {
                let rest = self.words.get(at + found.len()..).unwrap_or_default();
                rest.split(' ').next().is_some_and(|next| next.ends_with("ing"))
            })
        };
        self.says(What::WhenNot).or_else(|| leaves_out().then_some("without"))
    }

    pub(super) fn implies_when(&self) -> Option<&'static str> {
        self.says(What::Implies)
    }

    pub(super) fn returns(&self) -> Option<&'static str> {
        self.says(What::Returns)
    }

    pub(super) fn shows(&self) -> Option<&'static str> {
        self.says(What::Shows)
    }

    pub(super) fn fails(&self) -> Option<&'static str> {
        self.says(What::Fails)
    }

    pub(super) fn becomes(&self) -> Option<&'static str> {
        self.says(What::Becomes)
    }

    /// Whether it names an argument. One whose name is a word like any other has to stand in quotes.
    pub(super) fn names(&self, argument: &str) -> bool {
        let is_part = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == '-';
        let is_plain = argument.chars().all(|letter| letter.is_lowercase());
        self.text.match_indices(argument).any(|(at, _)| {
            let before = self.text.get(..at).and_then(|text| text.chars().next_back());
            let after = self.text.get(at + argument.len()..).and_then(|text| text.chars().next());
            let quoted = |letter: Option<char>| letter.is_some_and(|letter| "`'\"".contains(letter));
            if is_plain {
                quoted(before) && quoted(after)
            } else {
                ![before, after].into_iter().flatten().any(is_part)
            }
        })
    }

    /// Sentences that say what another one says.
    pub(super) fn repeated(&self) -> usize {
        let mut all: Vec<&str> =
            self.sentences.iter().filter_map(|place| self.words.get(place.clone())).collect();
        all.sort_unstable();
        all.windows(2).filter(|pair| matches!(pair, [one, other] if one == other)).count()
    }
}

/// The phrases of each list that stand in a text, which has a space around each word.
fn phrases(text: &str) -> [Vec<&'static str>; LISTS.len()] {
    let mut found: [Vec<&'static str>; LISTS.len()] = std::array::from_fn(|_| Vec::new());
    let Some((words, phrases)) = &*PHRASES else { return found };
    for hit in words.find_overlapping_iter(text) {
        let Some((list, phrase)) = phrases.get(hit.pattern().as_usize()) else { continue };
        if let Some(list) = found.get_mut(*list).filter(|list| !list.contains(phrase)) {
            list.push(phrase);
        }
    }
    found
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || ".!?;".contains(letter));
        let found = first_sentence(rest);
        rest = rest.get(found.len()..).unwrap_or_default();
        (!found.is_empty()).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phrases_are_found_as_words() {
        let said =
            Said::of("Deletes it. This CANNOT be undone!\n\nUse `read_file` instead; unused orders stay.");
        assert_eq!(
            (said.sentence_count(), said.begins().collect::<Vec<_>>().join(" ")),
            (3, "deletes it".into())
        );
        assert_eq!((said.is_for_good(), said.when_not()), (Some("cannot be undone"), Some("instead")));
        assert!(said.names("read_file") && !said.names("read") && !said.names("unused"));
        assert!(
            Said::of("As `run`, but later").names("run")
                && !Said::of("Gets read_file_list").names("read_file")
        );
        assert_eq!((said.when(), said.implies_when()), (None, None));
        assert_eq!(Said::of("Renders it without sending").when_not(), Some("without"));
        assert_eq!(Said::of("A b. A b. C d.").repeated(), 1);
        assert_eq!(Said::of("  \n").word_count, 0);
        let explains = |text: &'static str| Said::of(text).explains("create_prompt_label").map(str::to_owned);
        assert_eq!(explains("Creates a label. Prompt labels can have colours.").as_deref(), Some("prompt"));
        assert_eq!(explains("Creates a label. Labels can have colours.").as_deref(), Some("labels"));
        for text in [
            "Creates a label.",
            "Creates a label. Updates prompt caches.",
            "Makes one. Labels are. Prompts too.",
        ] {
            assert_eq!(explains(text), None, "{text}");
        }
    }
}
