//! What surrounds a call: which tool, who asks, with which client, when.

use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::fmt;

use crate::Target;

/// What is known of a call beside its arguments. A fact that is not known is missing, as an argument may be.
#[derive(Clone, Copy, Default)]
pub struct Facts<'a> {
    /// How grave the tool is: `low`, `medium`, `high` or `critical`, in any case.
    pub risk: &'a str,
    /// The name of the grant that calls; empty where it is not known.
    pub grant: &'a str,
    /// The grant's labels.
    pub labels: Option<&'a BTreeMap<String, String>>,
    /// What the client calls itself; unproved, and empty where it said nothing.
    pub client: &'a str,
    /// When, in milliseconds since 1970 (UTC).
    pub unix_ms: Option<i64>,
    /// What the session called before.
    pub calls: Option<&'a dyn Calls>,
    /// What the grant called in the last day, whatever its sessions.
    pub grant_calls: Option<&'a dyn Calls>,
    /// Whether the grant's rules are enforced.
    pub mode: Mode,
}

/// Whether rules are enforced, or only tried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    #[default]
    Enforced,
    /// They are judged and recorded, and absent for the outcome.
    Shadow,
}

/// How often a session or a grant called a tool.
pub trait Calls {
    /// The calls of `tool` that passed; a name with a slash is `SERVER/TOOL`, and one without is of the server that is called now.
    fn of(&self, tool: &str) -> u64;
}

impl fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Facts")
            .field("risk", &self.risk)
            .field("grant", &self.grant)
            .field("labels", &self.labels)
            .field("client", &self.client)
            .field("unix_ms", &self.unix_ms)
            .field("calls", &self.calls.is_some())
            .field("grant_calls", &self.grant_calls.is_some())
            .field("mode", &self.mode)
            .finish()
    }
}

/// One of them, as a path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// `call.upstream`
    Upstream,
    /// `call.tool`
    Tool,
    /// `call.category`
    Category,
    /// `call.risk`
    Risk,
    /// `grant.name`
    Grant,
    /// `grant.labels.<k>`
    Label(Box<str>),
    /// `client.name`
    Client,
    /// `time.hour`
    Hour,
    /// `time.weekday`
    Weekday,
    /// `session.calls.<tool>`
    SessionCalls(Box<str>),
    /// `grant.calls.<tool>`
    GrantCalls(Box<str>),
    /// How often a tool was called in this session or, in the last day, in any of the grant's: whichever is more.
    AnySessionCalls(Box<str>),
}

/// What a fact can be compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactKind {
    Text,
    /// One of these.
    Word(&'static [&'static str]),
    Number,
}

const CATEGORIES: &[&str] = &crate::selector::CATEGORIES;
const RISKS: &[&str] = &["low", "medium", "high", "critical"];
const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
/// The first of January 1970 was a Thursday.
const FIRST_DAY: i64 = 3;

/// JSON text, on the stack where it is short.
pub(crate) type Json = SmallVec<[u8; 128]>;

impl Fact {
    pub(crate) fn kind(&self) -> FactKind {
        match self {
            Self::Upstream | Self::Tool | Self::Grant | Self::Label(_) | Self::Client => FactKind::Text,
            Self::Category => FactKind::Word(CATEGORIES),
            Self::Risk => FactKind::Word(RISKS),
            Self::Weekday => FactKind::Word(DAYS),
            Self::Hour | Self::SessionCalls(_) | Self::GrantCalls(_) | Self::AnySessionCalls(_) => {
                FactKind::Number
            }
        }
    }

    /// What says of the whole grant what this fact says of one session, where it does.
    pub(crate) fn for_the_grant(&self) -> Option<Self> {
        match self {
            Self::SessionCalls(tool) => Some(Self::AnySessionCalls(tool.clone())),
            _ => None,
        }
    }

    /// The fact as JSON text; `None` where it is not known.
    pub(crate) fn json(&self, tool: &Target<'_>, facts: &Facts<'_>) -> Option<Json> {
        match self {
            Self::Upstream => text(tool.upstream),
            Self::Tool => text(tool.name),
            Self::Category => text(word(CATEGORIES, tool.category)?),
            Self::Risk => text(word(RISKS, facts.risk)?),
            Self::Grant => text(facts.grant),
            Self::Label(key) => write(facts.labels?.get(&**key)?),
            Self::Client => text(facts.client),
            Self::Hour => write(&(facts.unix_ms?.div_euclid(3_600_000).rem_euclid(24))),
            Self::Weekday => {
                let day = (facts.unix_ms?.div_euclid(86_400_000) + FIRST_DAY).rem_euclid(7);
                text(DAYS.get(usize::try_from(day).ok()?)?)
            }
            Self::SessionCalls(tool) => write(&facts.calls?.of(tool)),
            Self::GrantCalls(tool) => write(&facts.grant_calls?.of(tool)),
            Self::AnySessionCalls(tool) => {
                let session = facts.calls.map_or(0, |calls| calls.of(tool));
                write(&facts.grant_calls?.of(tool).max(session))
            }
        }
    }
}

/// The word itself, whatever its case.
fn word(words: &'static [&'static str], found: &str) -> Option<&'static str> {
    words.iter().find(|word| word.eq_ignore_ascii_case(found)).copied()
}

fn text(text: &str) -> Option<Json> {
    (!text.is_empty()).then(|| write(text))?
}

fn write<T: serde::Serialize + ?Sized>(value: &T) -> Option<Json> {
    let mut out = Json::new();
    value.serialize(&mut serde_json::Serializer::new(&mut out)).ok()?;
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(fact: &Fact, unix_ms: i64) -> String {
        let facts = Facts { unix_ms: Some(unix_ms), ..Facts::default() };
        String::from_utf8(fact.json(&Target::default(), &facts).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn hours_and_days_are_those_of_utc() {
        for (unix_ms, hour, day) in [
            (0, "0", "\"thursday\""),
            (-1, "23", "\"wednesday\""),
            (1_796_083_199_999, "23", "\"monday\""), // 2026-11-30
            (1_796_083_200_000, "0", "\"tuesday\""),
        ] {
            assert_eq!(
                (at(&Fact::Hour, unix_ms).as_str(), at(&Fact::Weekday, unix_ms).as_str()),
                (hour, day)
            );
        }
    }

    #[test]
    fn what_is_not_known_is_no_fact() {
        for fact in
            [Fact::Upstream, Fact::Category, Fact::Risk, Fact::Grant, Fact::Client, Fact::Hour, Fact::Weekday]
        {
            assert_eq!(fact.json(&Target::named("t"), &Facts::default()), None, "{fact:?}");
        }
        assert_eq!(Fact::Label("a".into()).json(&Target::default(), &Facts::default()), None);
        for calls in [Fact::SessionCalls("a".into()), Fact::GrantCalls("a".into())] {
            assert_eq!(calls.json(&Target::default(), &Facts::default()), None);
        }
    }
}
