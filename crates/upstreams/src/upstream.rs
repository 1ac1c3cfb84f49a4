//! One configured server: kept connected in the background, its links given out.

mod connection;
mod doubt;

use crate::cells::{Cells, Opened};
use crate::link::{Link, SendFailed};
use crate::lists::{Before, ListFailed, Lists};
use crate::open::{Opener, Wish, is_notice};
use crate::room::{Room, Rooms};
use crate::{Builtins, How, HttpClient, Inbox, Per, Spec};
use parking_lot::Mutex;
use portcullis_admit::Pins;
use portcullis_catalogue::{List, ListKind, blocks};
use portcullis_runs::{Held, Keepers};
use portcullis_wire::{Envelope, Era};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How often a list is asked for anew because of names that it does not have.
const AGAIN: Duration = Duration::from_secs(2);
/// How long a server may take to list its tools for the gate itself.
const LOOKS: Duration = Duration::from_secs(5);
/// How long one that gave no list is waited for again by those who want many lists.
const SOON: Duration = Duration::from_secs(1);

/// Whether a server can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The first attempt is under way.
    Starting,
    /// It answers.
    Ready,
    /// It does not, and why; attempts go on.
    Down(String),
}

/// A list may look different from before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// Which list.
    pub kind: ListKind,
    /// Whether the server itself said so.
    pub said: bool,
}

/// What can be told of a server.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether it can be used.
    pub state: State,
    /// How many tools it lists, where that is known.
    pub tools: Option<usize>,
    /// Its process, where we started it.
    pub run: Option<Arc<Held>>,
    /// How it speaks, where that is known.
    pub era: Option<Era>,
}

/// A server cannot be used at present.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the upstream `{name}` is {}: {reason}", if *.starting { "still starting" } else { "down" })]
pub struct Unavailable {
    /// Its name.
    pub name: Arc<str>,
    /// Whether it has not come up yet.
    pub starting: bool,
    /// Why.
    pub reason: String,
}

/// How many there were so far.
static ENTRIES: AtomicU64 = AtomicU64::new(1);

/// One configured server.
#[derive(Debug)]
pub struct Upstream {
    entry: u64,
    spec: Spec,
    client: HttpClient,
    keepers: Keepers,
    builtins: Arc<dyn Builtins>,
    state: watch::Sender<State>,
    /// When it began to start.
    began: Mutex<Instant>,
    known: Mutex<Known>,
    /// Links of the old era that several sessions share, by grant; under [`ALL`] the one that all share, to a server that speaks
    /// both eras.
    old: Cells<Arc<str>, Arc<Link>>,
    lists: Arc<Lists>,
    changed: broadcast::Sender<Change>,
    notices: broadcast::Sender<Envelope>,
    rooms: Rooms,
    /// Somebody wants it, or is in doubt of it.
    wanted: Notify,
    /// What kept it down is over.
    again: Notify,
    /// When a list was last asked for anew because of a name that it did not have.
    asked_again: Mutex<Option<Instant>>,
    /// It gave no list when it was waited for last.
    gave_none: AtomicBool,
    ended: CancellationToken,
}

#[derive(Debug, Default)]
struct Known {
    /// The gate's own link, in the newest era that the server speaks.
    first: Option<Arc<Link>>,
    /// Why the server is known not to speak the old era.
    no_old: Option<String>,
}

/// Instead of a grant, none of which has this name: the link that all share.
const ALL: &str = "";

/// What a client needs a link of the old era for.
pub struct Need<'a> {
    /// The grant's name.
    pub grant: &'a str,
    /// The client's capabilities as they may be offered, JSON.
    pub offered: &'a str,
    /// Name and version of the client, JSON.
    pub client: &'a str,
    /// The version that the client asked for.
    pub version: &'a str,
    /// Who hears what belongs to no call.
    pub inbox: Arc<dyn Inbox>,
}

impl Upstream {
    /// Starts to connect and to stay connected. `before` is what it listed when it was up last; `pins` are told of what it lists.
    #[must_use]
    pub fn start(
        spec: Spec,
        client: HttpClient,
        keepers: Keepers,
        builtins: Arc<dyn Builtins>,
        before: Before,
        pins: Pins,
    ) -> Arc<Self> {
        let lists = Arc::new(Lists::new(before, pins, &spec));
        let upstream = Arc::new(Self {
            entry: ENTRIES.fetch_add(1, Ordering::Relaxed),
            spec,
            client,
            keepers,
            builtins,
            state: watch::Sender::new(State::Starting),
            began: Mutex::new(Instant::now()),
            known: Mutex::default(),
            old: Cells::default(),
            lists,
            changed: broadcast::Sender::new(64),
            notices: broadcast::Sender::new(256),
            rooms: Rooms::default(),
            wanted: Notify::new(),
            again: Notify::new(),
            asked_again: Mutex::default(),
            gave_none: AtomicBool::new(false),
            ended: CancellationToken::new(),
        });
        let running = Arc::downgrade(&upstream);
        let ended = upstream.ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = ended.cancelled() => {}
                () = connection::stay_connected(running) => {}
            }
        });
        upstream
    }

    /// Ends the gate's own links and all attempts to connect. See [`Link::end`].
    pub fn end(&self) -> Vec<JoinHandle<()>> {
        self.ended.cancel();
        let first = std::mem::take(&mut *self.known.lock()).first;
        let links = first.into_iter().chain(self.old.retain(|_, _| false));
        links.map(|link| link.end()).collect()
    }

    /// Its configuration.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Its number, which no other has, nor has had in this process: an entry of the same name that says something else is another.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    fn opener(&self) -> Opener<'_> {
        Opener {
            spec: &self.spec,
            client: &self.client,
            keepers: &self.keepers,
            builtins: &*self.builtins,
            rooms: &self.rooms,
            entry: self.entry,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.spec.name
    }

    /// What can be told of it now.
    #[must_use]
    pub fn status(&self) -> Status {
        let first = self.known.lock().first.clone();
        let tools = first.as_ref().and_then(|link| self.lists.known(ListKind::Tools, link));
        Status {
            state: self.state.borrow().clone(),
            tools: tools.map(|list| list.items().len()),
            run: first.as_ref().and_then(|link| link.run()).cloned(),
            era: first.as_ref().map(|link| link.era()),
        }
    }

    /// Its own words on how to use it, where it is up and has any. Those that speak to a model behind its user's back are
    /// kept back.
    #[must_use]
    pub fn instructions(&self) -> Option<String> {
        let first = self.first()?;
        let raw = portcullis_wire::member(first.hello(), "instructions")?;
        let text = portcullis_wire::text(raw).map(std::borrow::Cow::into_owned)?;
        (!blocks(&json!({ "instructions": text }))).then_some(text)
    }

    /// Whether it has tasks, as far as is known, in the design of that era. One that speaks both is spoken to in the new one, and
    /// says nothing there of the old design; its tools do.
    #[must_use]
    pub fn has_tasks(&self, era: Era) -> bool {
        // What a client that comes now may find is not known while it starts; its tools will say.
        let Some(first) = self.first() else { return *self.state.borrow() == State::Starting };
        let old = self.old.get(&ALL.into());
        let declared = first.declares_tasks() || old.is_some_and(|old| old.declares_tasks());
        declared && (first.era() == era || era == Era::Old)
    }

    /// Follows its state.
    #[must_use]
    pub fn watch_state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Follows which lists changed.
    #[must_use]
    pub fn watch_lists(&self) -> broadcast::Receiver<Change> {
        self.changed.subscribe()
    }

    /// Follows notifications on the link that all share.
    #[must_use]
    pub fn watch_notices(&self) -> broadcast::Receiver<Envelope> {
        self.notices.subscribe()
    }

    /// The gate's own link, in the newest era that the server speaks. Waits for a server that is starting,
    /// and nudges one that is down.
    ///
    /// # Errors
    /// Where it is not there in time.
    pub async fn ready(&self) -> Result<Arc<Link>, Unavailable> {
        if let Some(link) = self.first() {
            return Ok(link);
        }
        let mut state = self.state.subscribe();
        let starting = *state.borrow() == State::Starting;
        self.wanted.notify_one();
        // One that was down for a reason is given a moment for the attempt that was just nudged.
        let patience = if starting { self.spec.limits.first_connect } else { Duration::from_millis(500) };
        let _ = tokio::time::timeout(patience, state.wait_for(|state| *state == State::Ready)).await;
        self.first().ok_or_else(|| self.unavailable())
    }

    /// Waits for a server that is starting, for as long after its start as `limits.first_connect` says. Whether it starts still. Lists
    /// wait so: one that takes longer holds up none of those that are asked for later.
    pub async fn is_starting_still(&self) -> bool {
        let mut state = self.state.subscribe();
        let left = self.spec.limits.first_connect.saturating_sub(self.began.lock().elapsed());
        let _ = tokio::time::timeout(left, state.wait_for(|state| *state != State::Starting)).await;
        *self.state.borrow() == State::Starting
    }

    fn first(&self) -> Option<Arc<Link>> {
        self.known.lock().first.clone().filter(|link| link.closed().is_none())
    }

    fn unavailable(&self) -> Unavailable {
        let (starting, reason) = match &*self.state.borrow() {
            State::Down(why) => (false, why.clone()),
            State::Starting => (true, "it has not answered yet".to_owned()),
            State::Ready => (false, "its connection was just lost".to_owned()),
        };
        Unavailable { name: self.spec.name.clone(), starting, reason }
    }

    /// A link for a client of the old era: its own session where the server keeps one for each, else the one
    /// that is shared. Gives a link of the new era where the server speaks nothing else. Takes as long as the server does: how long
    /// somebody waits, for this or for another who opens it, is up to them ([`Upstream::too_late`]).
    ///
    /// # Errors
    /// Where the server cannot be used.
    pub async fn link_for(self: &Arc<Self>, need: &Need<'_>) -> Result<Arc<Link>, Unavailable> {
        let first = self.ready().await?;
        if self.known.lock().no_old.is_some() {
            return Ok(first);
        }
        let own = match &self.spec.how {
            How::Command(_) => self.spec.per,
            How::Url(_) => Per::Session,
            // It tells grants apart by their connections.
            How::Builtin(_) => Per::Grant,
        };
        let opener = self.opener();
        let wish = |shared: bool| Wish {
            offered: if shared { "{}".into() } else { need.offered.into() },
            client: need.client.into(),
            version: need.version.into(),
            shared,
            owner: if shared { "gate".into() } else { need.grant.into() },
            inbox: need.inbox.clone(),
        };
        let open = async |wish: Wish| self.or_new(opener.old(&wish).await, &first).await;
        let (whose, wish) = match own {
            Per::Gate if first.era() == Era::Old => return Ok(first),
            Per::Gate => (ALL, Wish { inbox: self.own_inbox(), ..wish(true) }),
            Per::Grant => (need.grant, wish(false)),
            Per::Session => return open(wish(false)).await,
        };
        let lives = |link: &Arc<Link>| link.closed().is_none();
        let whose = Arc::from(whose);
        match self.old.open(&whose, lives, async || open(wish).await).await? {
            Opened::There(link) | Opened::Now(link) | Opened::TakenOut(link) if link.era() == Era::Old => {
                Ok(link)
            }
            // It speaks nothing but the new era: nothing is kept.
            _ => {
                self.old.take(&whose);
                Ok(first)
            }
        }
    }

    /// It opened no session for somebody in the time that there is for that.
    #[must_use]
    pub fn too_late(&self) -> Unavailable {
        let wait = self.spec.limits.first_connect.as_secs_f64();
        let reason = format!("it opened no session within {wait} s (`limits.first_connect`)");
        Unavailable { name: self.spec.name.clone(), starting: false, reason }
    }

    /// What an attempt to open a link of the old era means. Whoever answers there must be whom the gate knows.
    async fn or_new(
        self: &Arc<Self>,
        opened: Result<Arc<Link>, SendFailed>,
        first: &Arc<Link>,
    ) -> Result<Arc<Link>, Unavailable> {
        let unavailable =
            |reason: String| Unavailable { name: self.spec.name.clone(), starting: false, reason };
        match opened {
            Ok(link) => {
                let met = self.lists.meet(link.hello()).await;
                met.map(|()| link).map_err(|failed| unavailable(failed.to_string()))
            }
            Err(SendFailed::Refused { why, .. }) if first.era() == Era::New => {
                self.known.lock().no_old = Some(why);
                Ok(first.clone())
            }
            Err(error) => {
                self.suspect(first);
                Err(unavailable(error.to_string()))
            }
        }
    }

    fn own_inbox(&self) -> Arc<dyn Inbox> {
        Arc::new(Own {
            lists: self.lists.clone(),
            changed: self.changed.clone(),
            notices: self.notices.clone(),
            room: self.rooms.answers.clone(),
        })
    }

    /// What kept it down is over: it starts anew, and whoever wants it waits as for one that does.
    pub fn try_again(&self) {
        self.state.send_if_modified(|state| {
            let down = matches!(state, State::Down(_));
            if down {
                *self.began.lock() = Instant::now();
                *state = State::Starting;
            }
            down
        });
        self.again.notify_one();
    }

    /// A list of the server, as far as a client with this link sees it.
    ///
    /// # Errors
    /// Where it has to be asked and cannot be.
    pub async fn list(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        if let Some(known) = self.lists.known(kind, link) {
            return Ok(known);
        }
        self.look_first(kind, link).await?;
        self.lists.get(kind, link).await
    }

    /// Before a list is taken for one that only clients see who can do what nobody before them could: what the gate itself is
    /// listed now. What is new there is new for all, and waits.
    async fn look_first(&self, kind: ListKind, link: &Link) -> Result<(), ListFailed> {
        if kind != ListKind::Tools || !self.lists.is_new_kind(link) {
            return Ok(());
        }
        let own = self.first().filter(|own| !std::ptr::eq(&**own, link) && own.declares("tools"));
        let Some(own) = own else { return Ok(()) };
        let late = || ListFailed::Pins("it does not list them for the gate itself".into());
        let looked = tokio::time::timeout(LOOKS, Box::pin(self.lists.refresh(kind, &own))).await;
        looked.map_err(|_| late())?.map(drop)
    }

    /// A list of the server for a client that asks for it: what a server does not say that it changed is seen then.
    ///
    /// # Errors
    /// Where it has to be asked and cannot be.
    pub async fn list_now(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        self.look_first(kind, link).await?;
        self.lists.now(kind, link).await
    }

    /// The list as the server gives it now: for a name that the known list does not have. Names that nobody has are for anybody to
    /// ask for, so it is asked for anew only now and then.
    ///
    /// # Errors
    /// Where it cannot be asked.
    pub async fn list_again(&self, kind: ListKind, link: &Link) -> Result<Arc<List>, ListFailed> {
        self.look_first(kind, link).await?;
        if !self.may_ask_again() {
            return self.lists.get(kind, link).await;
        }
        Box::pin(self.lists.refresh(kind, link)).await
    }

    fn may_ask_again(&self) -> bool {
        let (mut asked, now) = (self.asked_again.lock(), Instant::now());
        let may = asked.is_none_or(|last| now.duration_since(last) >= AGAIN);
        if may {
            *asked = Some(now);
        }
        may
    }

    /// How long whoever wants the lists of many servers waits for this one; `None`: as long as it takes, which has its own bounds. One
    /// that kept others waiting and gave nothing does so once, and not each time.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        self.gave_none.load(Ordering::Relaxed).then_some(SOON)
    }

    /// Whether it gave a list, and how long that took.
    pub fn took(&self, time: Duration, gave: bool) {
        if gave || time > SOON {
            self.gave_none.store(!gave, Ordering::Relaxed);
        }
    }

    /// The list of a server that is still starting, as it was when it was up last: nobody needs to wait for it.
    /// `Some(None)` where it had no list of that kind then, `None` where it is not known or not starting. Whoever
    /// may have seen it is told when the server is up.
    #[must_use]
    pub fn list_from_before(&self, kind: ListKind) -> Option<Option<Arc<List>>> {
        if *self.state.borrow() == State::Starting { self.lists.before(kind) } else { None }
    }

    /// The list that the gate itself sees, else any that a client saw.
    #[must_use]
    pub fn own_list(&self, kind: ListKind) -> Option<Arc<List>> {
        let first = self.known.lock().first.clone();
        let own = first.and_then(|link| self.lists.known(kind, &link));
        own.or_else(|| self.lists.any(kind).pop())
    }

    /// Follows which lists were asked for anew.
    #[must_use]
    pub fn watch_drained(&self) -> watch::Receiver<()> {
        self.lists.watch()
    }

    /// Every list of that kind that is known, whoever asked for it.
    #[must_use]
    pub fn known_lists(&self, kind: ListKind) -> Vec<Arc<List>> {
        self.lists.any(kind)
    }

    /// Something on our side changed that may change what clients see of its tools.
    pub fn look_again(&self) {
        let _ = self.changed.send(Change { kind: ListKind::Tools, said: false });
    }

    /// It does not start any more: what was shown of it from before may be different now.
    fn no_more_from_before(&self) {
        for kind in self.lists.take_shown() {
            let _ = self.changed.send(Change { kind, said: true });
        }
    }

    /// The server said that a list changed.
    pub fn list_changed(&self, kind: ListKind) {
        self.lists.forget(kind);
        let _ = self.changed.send(Change { kind, said: true });
    }
}

/// The inbox of links that the gate holds for itself or for everyone.
struct Own {
    lists: Arc<Lists>,
    changed: broadcast::Sender<Change>,
    notices: broadcast::Sender<Envelope>,
    room: Room,
}

impl Inbox for Own {
    fn notice(&self, _: &Arc<Link>, notice: Envelope) {
        let kinds = ListKind::ALL.into_iter().filter(|kind| is_notice(&notice, kind.changed()));
        let mut lists = false;
        for kind in kinds {
            lists = true;
            self.lists.forget(kind);
            let _ = self.changed.send(Change { kind, said: true });
        }
        if !lists && !self.room.is_crowded() {
            let _ = self.notices.send(notice);
        }
    }

    fn request(&self, link: &Arc<Link>, request: Envelope) {
        link.refuse(&request);
    }
}
