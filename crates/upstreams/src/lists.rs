//! What a server lists, drained once and kept until it says that it changed.

use crate::cells::{Cells, Opened};
use crate::link::{Link, SendFailed};
use crate::open::{ask, own_meta};
use crate::{How, Spec};
use parking_lot::Mutex;
use portcullis_admit::{Housekeeping, Identity, PinRules, Pins, Sight};
use portcullis_catalogue::{List, ListKind, Reading};
use portcullis_wire::{Era, canonical, check_strictly, folds_to, known_capabilities, member, meta, text};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Pages at most of one list.
const PAGES: usize = 200;
/// Items at most of one list.
const ITEMS: usize = 20_000;
/// Lists kept at most for one upstream: one for each grant and set of capabilities that clients come with.
const KEPT: usize = 256;
/// How long a server may take to give a list again that is known.
const SOON: Duration = Duration::from_secs(3);
/// How long a list may say that it stays as it is.
const LONGEST: Duration = Duration::from_hours(1);

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFailed {
    /// The server could not be asked or refused.
    #[error(transparent)]
    Send(#[from] SendFailed),
    /// The answer is no list, or too long a one.
    #[error("{0}")]
    Shape(String),
    /// What it lists cannot be held against what was accepted.
    #[error("its tools cannot be held against what was accepted of it: {0}")]
    Pins(String),
}

/// A server's lists depend on what the client can do, so they are kept by that.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    kind: ListKind,
    era: Era,
    offered: Box<str>,
    /// Whose conversation it was given in, where not all share it: a server may list to each what is theirs.
    owner: Box<str>,
}

impl Key {
    fn of(kind: ListKind, link: &Link) -> Self {
        Self { kind, era: link.era(), offered: link.offered().into(), owner: link.owner().into() }
    }

    fn is_for(&self, kind: ListKind, link: &Link) -> bool {
        self.kind == kind
            && self.era == link.era()
            && *self.offered == *link.offered()
            && *self.owner == *link.owner()
    }
}

#[derive(Debug)]
struct Kept {
    key: Key,
    list: Arc<List>,
    /// When it was asked for.
    asked: Instant,
}

#[derive(Debug)]
pub(crate) struct Lists {
    upstream: Arc<str>,
    /// Few: they are looked through.
    kept: Mutex<Vec<Kept>>,
    /// Those that are asked for at present.
    draining: Cells<Key, Arc<List>>,
    /// How long a server may take to give a list.
    wait: Duration,
    /// Told whenever a list was drained.
    drained: watch::Sender<()>,
    /// What the server listed when it was up last.
    before: Before,
    /// Lists of then that were shown in place of lists of now.
    shown: Mutex<BTreeSet<ListKind>>,
    /// What is told of every list before anything of it is used; nothing of what is built in, which is ours.
    pinned: Option<Pinned>,
}

#[derive(Debug)]
struct Pinned {
    pins: Pins,
    upstream: Arc<str>,
    entry: String,
    rules: PinRules,
}

impl Pinned {
    fn of(pins: Pins, spec: &Spec) -> Option<Self> {
        let entry = pins.digest(&spec.entry());
        let built_in = matches!(spec.how, How::Builtin(_));
        (!built_in).then(|| Self { pins, upstream: spec.name.clone(), entry, rules: spec.pins })
    }

    async fn see(&self, list: &List, link: &Link) -> Result<(), ListFailed> {
        let with_answer = list.member("_meta").and_then(|it| member(it, meta::SERVER)).map(identity);
        let sight = Sight {
            upstream: &self.upstream,
            entry: &self.entry,
            rules: self.rules,
            identity: with_answer.or_else(|| introduced(link.hello())).unwrap_or_default(),
            variant: &variant(link),
            list,
        };
        self.pins.see(sight).await.map_err(|failure| ListFailed::Pins(failure.to_string()))
    }
}

/// What of a client's capabilities a server's lists may depend on: those that the gate knows how to offer. What a client makes
/// up by itself is none of them, or it could have every new tool taken for one that only it sees.
const OFFERED: [&str; 4] = ["elicitation", "extensions", "roots", "sampling"];

/// The kind of asker that a link belongs to.
fn variant(link: &Link) -> String {
    kind_of_asker(link.era(), link.offered())
}

fn kind_of_asker(era: Era, capabilities: &str) -> String {
    let known = known_capabilities(capabilities);
    let offered = OFFERED.into_iter().filter(|name| member(&known, name).is_some_and(|it| it != "null"));
    format!("{era:?} {}", offered.collect::<Vec<_>>().join(" "))
}

fn identity(info: &str) -> Identity {
    let said = |name: &str| member(info, name).and_then(text).map(std::borrow::Cow::into_owned);
    Identity { name: said("name"), version: said("version") }
}

/// What a server says that it is in the result of `initialize` or `server/discover`.
fn introduced(hello: &str) -> Option<Identity> {
    let of_meta = || member(hello, "_meta").and_then(|it| member(it, meta::SERVER));
    member(hello, "serverInfo").or_else(of_meta).map(identity)
}

/// What a server listed when it was up last.
pub type Before = HashMap<ListKind, Arc<List>>;

impl Lists {
    pub(crate) fn new(before: Before, pins: Pins, spec: &Spec) -> Self {
        Self {
            upstream: spec.name.clone(),
            pinned: Pinned::of(pins, spec),
            kept: Mutex::default(),
            draining: Cells::default(),
            wait: spec.limits.first_connect,
            drained: watch::Sender::new(()),
            before,
            shown: Mutex::default(),
        }
    }

    /// The list of a server that has not answered yet, as it was last. `Some(None)` where such a server had no
    /// list of that kind, `None` where nothing is known of it.
    pub(crate) fn before(&self, kind: ListKind) -> Option<Option<Arc<List>>> {
        if self.before.is_empty() {
            return None;
        }
        self.shown.lock().insert(kind);
        Some(self.before.get(&kind).cloned())
    }

    /// The lists that were shown as they were last, and may be others now.
    pub(crate) fn take_shown(&self) -> BTreeSet<ListKind> {
        std::mem::take(&mut *self.shown.lock())
    }

    /// Follows what is drained.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.drained.subscribe()
    }

    /// Compares what a server says that it is, at the beginning of a conversation, with what it was accepted as.
    pub(crate) async fn meet(&self, hello: &str) -> Result<(), ListFailed> {
        let (Some(pinned), Some(identity)) = (&self.pinned, introduced(hello)) else { return Ok(()) };
        let met = pinned.pins.meet(&pinned.upstream, &pinned.entry, &identity).await;
        met.map_err(|failure| ListFailed::Pins(failure.to_string()))
    }

    /// Whether nobody of this kind has asked for the server's tools yet.
    pub(crate) fn is_new_kind(&self, link: &Link) -> bool {
        self.pinned.as_ref().is_some_and(|pinned| !pinned.pins.has_variant(&pinned.upstream, &variant(link)))
    }

    /// The list as it is known, without asking.
    pub(crate) fn known(&self, kind: ListKind, link: &Link) -> Option<Arc<List>> {
        self.kept.lock().iter().find(|kept| kept.key.is_for(kind, link)).map(|kept| kept.list.clone())
    }

    /// Any known list of that kind: for looking up what a name stands for.
    pub(crate) fn any(&self, kind: ListKind) -> Vec<Arc<List>> {
        self.kept.lock().iter().filter(|kept| kept.key.kind == kind).map(|kept| kept.list.clone()).collect()
    }

    /// The list, drained from the server where it is not known.
    pub(crate) async fn get(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        if let Some(list) = self.known(kind, link) {
            return Ok(list);
        }
        self.fetch(kind, link).await.map(Opened::into_inner)
    }

    /// The list as whoever asks the server for it now gets it: one asks for all that want it meanwhile.
    async fn fetch(&self, kind: ListKind, link: &Link) -> Result<Opened<Arc<List>>, ListFailed> {
        let key = Key::of(kind, link);
        let opened = self.draining.open(&key, |_| false, async || Box::pin(self.refresh(kind, link)).await);
        let opened = tokio::time::timeout(self.wait, opened).await.unwrap_or_else(|_| Err(self.late(kind)));
        if let Ok(Opened::Now(list)) = &opened {
            self.draining.take_if(&key, |known| Arc::ptr_eq(known, list));
        }
        opened
    }

    fn late(&self, kind: ListKind) -> ListFailed {
        let wait = self.wait.as_secs_f64();
        let why = format!("it did not answer {} within {wait} s (`limits.first_connect`)", kind.method());
        ListFailed::Send(SendFailed::Broken(why))
    }

    /// The list as the server gives it now, or gave it within the time that it said it would stay so. Where it does not
    /// answer soon, the list as it is known.
    pub(crate) async fn now(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        let Some(known) = self.known(kind, link) else { return self.get(kind, link).await };
        let asked = Instant::now();
        let anew = async {
            loop {
                if let Some(list) = self.since(kind, link, asked) {
                    return Ok(list);
                }
                // One that was asked for earlier may not show what whoever asks now knows of.
                match self.fetch(kind, link).await? {
                    Opened::There(_) => {}
                    Opened::Now(list) | Opened::TakenOut(list) => return Ok(list),
                }
            }
        };
        match tokio::time::timeout(SOON, anew).await {
            Ok(Err(failed @ (ListFailed::Pins(_) | ListFailed::Send(SendFailed::SessionLost)))) => {
                Err(failed)
            }
            Ok(Ok(list)) => Ok(list),
            Ok(Err(_)) | Err(_) => Ok(known),
        }
    }

    /// The list, where it was asked for no earlier than this, or is to stay as it is for longer.
    fn since(&self, kind: ListKind, link: &Link, asked: Instant) -> Option<Arc<List>> {
        let kept = self.kept.lock();
        let kept = kept.iter().find(|kept| kept.key.is_for(kind, link))?;
        let stays = kept
            .list
            .member("ttlMs")
            .and_then(|ms| ms.parse().ok())
            .map_or(Duration::ZERO, Duration::from_millis);
        (kept.asked + stays.min(LONGEST) >= asked).then(|| kept.list.clone())
    }

    /// The list as the server gives it now.
    pub(crate) async fn refresh(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        let asked = Instant::now();
        let drained = tokio::time::timeout(self.wait, drain(&self.upstream, kind, link)).await;
        let list = Arc::new(drained.unwrap_or_else(|_| Err(self.late(kind)))?);
        if let Some(pinned) = self.pinned.as_ref().filter(|_| kind == ListKind::Tools) {
            pinned.see(&list, link).await?;
        }
        for item in list.items().iter().filter(|item| item.blocks()) {
            let why = item.fault().unwrap_or("it speaks to the model behind its user's back");
            tracing::warn!(upstream = &*self.upstream, item = item.key(), "not listed: {why}");
        }
        let mut kept = self.kept.lock();
        if kept.len() >= KEPT {
            // The one that was asked for longest ago stands first.
            kept.remove(0);
        }
        kept.retain(|kept| !kept.key.is_for(kind, link));
        kept.push(Kept { key: Key::of(kind, link), list: list.clone(), asked });
        drop(kept);
        self.drained.send_replace(());
        Ok(list)
    }

    /// Forgets lists that changed.
    pub(crate) fn forget(&self, kind: ListKind) {
        self.kept.lock().retain(|kept| kept.key.kind != kind);
    }

    pub(crate) fn forget_all(&self) {
        self.kept.lock().clear();
    }
}

/// The members of definitions (schemas up to 2026-07-28: `Tool`, `Prompt`, `Resource`, `ResourceTemplate`).
const DEFINED: [&str; 14] = [
    "_meta",
    "annotations",
    "arguments",
    "description",
    "execution",
    "icons",
    "inputSchema",
    "mimeType",
    "name",
    "outputSchema",
    "size",
    "title",
    "uri",
    "uriTemplate",
];

/// How a definition reads: as strictly as calls are read.
pub fn reading(raw: &str) -> Reading {
    if let Err(fault) = check_strictly(raw) {
        return Reading::Faulty(fault.what);
    }
    let keys = portcullis_wire::keys(raw);
    let twin = keys.iter().find_map(|found| {
        let known = DEFINED.iter().find(|known| folds_to(found, known))?;
        Some(format!("`{}` could be read as `{known}`", found.escape_default()))
    });
    if let Some(why) = twin {
        return Reading::Faulty(why);
    }
    let exact = canonical(raw);
    let as_double = serde_json::from_str::<Value>(raw).map(|value| value.to_string()).unwrap_or_default();
    if exact == canonical(&as_double) { Reading::Plain } else { Reading::Exact(exact.into_owned()) }
}

async fn drain(upstream: &str, kind: ListKind, link: &Link) -> Result<List, ListFailed> {
    let what = match kind {
        ListKind::Tools => Housekeeping::Tools,
        ListKind::Resources => Housekeeping::Resources,
        ListKind::Templates => Housekeeping::Templates,
        ListKind::Prompts => Housekeeping::Prompts,
    };
    let mut pages: Vec<String> = Vec::new();
    let mut cursors: Vec<String> = Vec::new();
    loop {
        let mut members = Vec::new();
        if let Some(cursor) = cursors.last() {
            members.push(format!("\"cursor\":{}", Value::from(cursor.as_str())));
        }
        if link.era() == Era::New {
            members.push(format!("\"_meta\":{}", own_meta(link.offered())));
        }
        let page = ask(link, what, &format!("{{{}}}", members.join(","))).await?;
        let next = member(&page, "nextCursor").and_then(text).map(std::borrow::Cow::into_owned);
        pages.push(page);
        match next.filter(|next| !next.is_empty()) {
            None => break,
            // Some servers give the cursor of their only page, or of the first: what is there was listed.
            Some(again) if cursors.contains(&again) => {
                tracing::debug!(upstream, method = kind.method(), "a cursor came again and ends the list");
                break;
            }
            Some(_) if pages.len() >= PAGES => {
                return Err(ListFailed::Shape(format!("{} has more than {PAGES} pages", kind.method())));
            }
            Some(next) => cursors.push(next),
        }
    }
    let pages: Vec<&str> = pages.iter().map(String::as_str).collect();
    let list = List::from_pages(upstream, kind, &pages, reading)
        .map_err(|error| ListFailed::Shape(error.to_string()))?;
    if list.items().len() > ITEMS {
        return Err(ListFailed::Shape(format!("{} has more than {ITEMS} items", kind.method())));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, json};

    fn capabilities() -> impl Strategy<Value = Value> {
        let names =
            prop_oneof!["[a-z]{1,8}", "(sampling|roots|elicitation|extensions|experimental|Sampling|tasks)"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u32>().prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(3, 16, 4, move |inner| {
            proptest::collection::vec((names.clone(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>()))
        });
        any.prop_map(|it| if it.is_object() { it } else { json!({ "sampling": it }) })
    }

    /// A definition, and the same with a member that stands twice somewhere in it.
    fn twice() -> impl Strategy<Value = (String, String)> {
        let places = (0..4_usize, any::<bool>(), "[a-z ]{0,8}");
        places.prop_map(|(place, escaped, other)| {
            let member = ["description", "default", "title", "x"][place];
            let again = match escaped {
                true => format!("\\u{:04x}{}", u32::from(member.as_bytes()[0]), &member[1..]),
                false => member.to_owned(),
            };
            let one = format!(r#""{member}":"said""#);
            let both = format!(r#"{one},"{again}":{}"#, Value::from(other));
            let within = |members: &str| match place {
                0 => format!(r#"{{"name":"t",{members},"inputSchema":{{"type":"object"}}}}"#),
                1 => format!(
                    r#"{{"name":"t","inputSchema":{{"type":"object","properties":{{"p":{{{members}}}}}}}}}"#
                ),
                2 => format!(r#"{{"name":"t","annotations":{{{members}}},"inputSchema":{{}}}}"#),
                _ => format!(r#"{{"name":"t","_meta":{{"a":[{{{members}}}]}},"inputSchema":{{}}}}"#),
            };
            (within(&one), within(&both))
        })
    }

    fn listed(definition: &str) -> List {
        let page = format!(r#"{{"tools":[{definition}]}}"#);
        List::from_pages("s", ListKind::Tools, &[&page], reading).unwrap()
    }

    proptest! {
        #[test]
        fn a_client_chooses_among_a_fixed_number_of_kinds(said in capabilities(), new in any::<bool>()) {
            let era = if new { Era::New } else { Era::Old };
            let kind = kind_of_asker(era, &said.to_string());
            let (named, offered) = kind.split_once(' ').unwrap();
            prop_assert_eq!(named, format!("{era:?}"));
            let offered: Vec<&str> = offered.split_whitespace().collect();
            let of_those: Vec<&str> = OFFERED.into_iter().filter(|name| offered.contains(name)).collect();
            prop_assert_eq!(offered, of_those);
        }

        #[test]
        fn a_member_that_stands_twice_is_a_fault_and_another_definition((clear, unclear) in twice()) {
            let (clear, unclear) = (listed(&clear), listed(&unclear));
            let (clear, unclear) = (&clear.items()[0], &unclear.items()[0]);
            prop_assert!(clear.fault().is_none());
            prop_assert!(unclear.fault().is_some(), "{}", unclear.raw());
            prop_assert_ne!(clear.fingerprint(), unclear.fingerprint());
        }

        #[test]
        fn a_definition_with_another_number_is_another_one(whole in any::<i64>(), digits in "[0-9]{1,30}", other in "[0-9]{1,30}") {
            let with = |digits: &str| listed(&format!(r#"{{"name":"t","inputSchema":{{"maximum":{whole}.{digits}}}}}"#));
            let (one, two) = (with(&digits), with(&other));
            let is_same = digits.trim_end_matches('0') == other.trim_end_matches('0');
            prop_assert_eq!(one.items()[0].fingerprint() == two.items()[0].fingerprint(), is_same);
        }

        #[test]
        fn a_member_that_could_be_read_as_another_is_a_fault(known in proptest::sample::select(DEFINED.to_vec()), upper in 1u32..255) {
            let twin: String = known.chars().enumerate()
                .map(|(at, letter)| if upper >> (at % 8) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }).collect();
            prop_assume!(twin != known);
            let list = listed(&format!(r#"{{"name":"t","{twin}":"other","inputSchema":{{"type":"object"}}}}"#));
            prop_assert!(list.items()[0].fault().is_some(), "{}", list.items()[0].raw());
        }
    }
}
