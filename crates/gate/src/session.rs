//! Sessions of the old era.

use crate::asked::Question;
use crate::outlet::Outgoing;
use crate::resumable::Resumable;
use bytes::Bytes;
use data_encoding::BASE32_NOPAD;
use parking_lot::Mutex;
use portcullis_admit::{Grants, History, Principal};
use portcullis_runs::Caller;
use portcullis_upstreams::{Cells, Link, Room, Sender};
use portcullis_wire::Id;
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Messages kept for a client that has no stream open at the moment.
const KEPT: usize = 64;
/// A client that asks a server's question is given this long, then the server is told that nobody answered.
const ASKED_AT_MOST: usize = 1024;

/// Where a client came in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    /// `/mcp`: everything that the grant may use.
    All,
    /// `/mcp/<upstream>`: one upstream as it is.
    One(Arc<str>),
}

/// One session of the old era.
#[derive(Debug)]
pub(crate) struct Session {
    /// Its id, 128 random bits.
    pub id: String,
    /// Its number in the table of runs.
    pub caller: Caller,
    /// The grant that made it; nobody else can use it.
    pub grant: String,
    /// Where it came in.
    pub route: Route,
    /// The version agreed on.
    pub version: String,
    /// Name and version of the client, JSON.
    pub client: Arc<str>,
    /// The same for people.
    pub client_name: Arc<str>,
    /// The client's capabilities, JSON.
    pub capabilities: Arc<str>,
    /// Links of its own or shared ones, by upstream.
    pub links: Cells<Arc<str>, Arc<Link>>,
    /// Resources that it watches: upstream and the upstream's own URI.
    pub watched: Mutex<HashSet<(Arc<str>, String)>>,
    /// Fires when it ends; its streams end with it.
    pub ended: CancellationToken,
    /// The log level that it asked for, JSON.
    pub log_level: Mutex<Option<String>>,
    /// What it called, for policies that ask.
    pub history: Arc<History>,
    /// Calls whose stream the client can come back to.
    pub resumable: Resumable,
    began: Instant,
    used_ms: AtomicU64,
    busy: AtomicUsize,
    out: Mutex<Out>,
    /// Where messages have their place that are kept while no stream is open.
    kept: Room,
    asked: Mutex<HashMap<u64, Asked>>,
    next_ask: AtomicU64,
}

#[derive(Debug, Default)]
struct Out {
    stream: Option<(u64, Sender)>,
    streams: u64,
    waiting: VecDeque<Bytes>,
}

/// A question of a server that the client has been asked.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Answer it at its server.
    Server(Box<Question>),
    /// Hand it to the call that waits for it.
    Call(oneshot::Sender<Bytes>),
}

impl Asked {
    /// Tells whoever asked that nobody answers.
    pub(crate) async fn give_up(self, why: &str) {
        if let Self::Server(question) = self {
            question.give_up(why).await;
        }
    }
}

/// What a new session is made of.
pub(crate) struct NewSession {
    /// See [`Session::grant`].
    pub grant: String,
    /// See [`Session::route`].
    pub route: Route,
    /// See [`Session::version`].
    pub version: String,
    /// See [`Session::client`].
    pub client: Arc<str>,
    /// See [`Session::client_name`].
    pub client_name: Arc<str>,
    /// See [`Session::capabilities`].
    pub capabilities: Arc<str>,
    /// That of its grant.
    pub room: Room,
}

impl Session {
    fn new(new: NewSession, id: String, caller: Caller) -> Self {
        Self {
            history: History::of_session(&id),
            id,
            caller,
            grant: new.grant,
            route: new.route,
            version: new.version,
            client: new.client,
            client_name: new.client_name,
            capabilities: new.capabilities,
            links: Cells::default(),
            watched: Mutex::default(),
            ended: CancellationToken::new(),
            log_level: Mutex::default(),
            began: Instant::now(),
            used_ms: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            out: Mutex::default(),
            kept: new.room.queue(),
            asked: Mutex::default(),
            resumable: Resumable::default(),
            next_ask: AtomicU64::new(1),
        }
    }

    /// Marks it as in use until the guard is dropped.
    pub(crate) fn enter(self: &Arc<Self>) -> InUse {
        self.busy.fetch_add(1, Ordering::Relaxed);
        InUse(self.clone())
    }

    /// Who speaks in it, by the grants that are in force.
    pub(crate) fn principal(&self, grants: &Grants) -> Option<Principal> {
        let grant = grants.by_name(&self.grant).cloned()?;
        Some(Principal { grant, client: self.client_name.clone(), history: Some(self.history.clone()) })
    }

    fn touch(&self) {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.used_ms.store(ms, Ordering::Relaxed);
    }

    fn idle(&self) -> Duration {
        if self.busy.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        self.began.elapsed().saturating_sub(Duration::from_millis(self.used_ms.load(Ordering::Relaxed)))
    }

    /// Whether it has been idle or alive for too long.
    fn is_over(&self, limits: &SessionLimits) -> bool {
        self.idle() > limits.idle || self.began.elapsed() > limits.age
    }

    /// Opens the client's own stream. An earlier one ends: each message goes to one stream only.
    pub(crate) fn open_stream(&self, sender: Sender) -> u64 {
        let mut out = self.out.lock();
        while let Some(message) = out.waiting.pop_front() {
            if sender.try_send(message).is_err() {
                break;
            }
        }
        out.streams += 1;
        let number = out.streams;
        out.stream = Some((number, sender));
        number
    }

    /// The client's own stream, where it is open.
    pub(crate) fn own_stream(&self) -> Option<Sender> {
        self.out.lock().stream.as_ref().map(|(_, stream)| stream.clone())
    }

    /// The stream of that number has ended.
    pub(crate) fn close_stream(&self, number: u64) {
        let mut out = self.out.lock();
        if out.stream.as_ref().is_some_and(|(open, _)| *open == number) {
            out.stream = None;
        }
    }

    /// Sends an event to the client: on its own stream, else it is kept until one is opened; the oldest of too many, or too
    /// large ones, are dropped.
    pub(crate) fn push(&self, event: &Outgoing) {
        let event = event.encoded();
        let mut out = self.out.lock();
        if let Some((_, stream)) = &out.stream
            && stream.try_send(event.clone()).is_ok()
        {
            return;
        }
        if out.waiting.contains(&event) {
            return;
        }
        if out.waiting.len() == KEPT {
            out.waiting.pop_front();
        }
        loop {
            match self.kept.hold(event.clone()) {
                Ok(event) => return out.waiting.push_back(event),
                Err(_) if out.waiting.pop_front().is_some() => {}
                Err(_) => return,
            }
        }
    }

    /// Remembers a question that the client is asked; gives the id to ask under, or the question back where too many are
    /// open already.
    pub(crate) fn ask(&self, asked: Asked) -> Result<u64, Asked> {
        let id = self.next_question();
        self.ask_as(id, asked).map(|()| id)
    }

    /// The same under an id that was taken before.
    pub(crate) fn ask_as(&self, id: u64, asked: Asked) -> Result<(), Asked> {
        let mut open = self.asked.lock();
        if open.len() >= ASKED_AT_MOST {
            return Err(asked);
        }
        open.insert(id, asked);
        Ok(())
    }

    /// A fresh id for a question.
    pub(crate) fn next_question(&self) -> u64 {
        self.next_ask.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes out the one open question whose server wants to hear of progress under that token (JSON), with its number.
    pub(crate) fn take_by_token(&self, token: &str) -> Option<(u64, Box<Question>)> {
        self.take_question(|question| question.has_token(token))
    }

    /// Takes out the one open question of a server of which that is so, with its number.
    pub(crate) fn take_question(&self, is_it: impl Fn(&Question) -> bool) -> Option<(u64, Box<Question>)> {
        let mut open = self.asked.lock();
        let has = |asked: &Asked| matches!(asked, Asked::Server(question) if is_it(question));
        let mut found = open.iter().filter(|(_, asked)| has(asked)).map(|(id, _)| *id);
        let (id, None) = (found.next()?, found.next()) else { return None };
        match open.remove(&id)? {
            Asked::Server(question) => Some((id, question)),
            Asked::Call(_) => None,
        }
    }

    /// Puts a question back that was taken out.
    pub(crate) fn put_back(&self, id: u64, question: Box<Question>) {
        self.asked.lock().insert(id, Asked::Server(question));
    }

    /// The question that an answer of the client belongs to.
    pub(crate) fn answered(&self, id: &Id) -> Option<Asked> {
        self.asked.lock().remove(&id.as_u64()?)
    }
}

/// A session in use: it is not swept and its idle time starts when this is dropped.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Session>);

impl std::ops::Deref for InUse {
    type Target = Arc<Session>;

    fn deref(&self) -> &Arc<Session> {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.touch();
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bounds on sessions.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// How many one grant may have; one more ends the one idle longest.
    pub per_grant: usize,
    /// How long one may be idle.
    pub idle: Duration,
    /// How long one may live.
    pub age: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { per_grant: 64, idle: Duration::from_mins(30), age: Duration::from_hours(24) }
    }
}

/// All sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    table: Mutex<HashMap<String, Arc<Session>>>,
}

/// What there is under the id of a session.
#[derive(Debug)]
pub(crate) enum Found {
    /// One that is open.
    Open(InUse),
    /// One whose time is over. It was taken out and is to be ended.
    Over(Arc<Session>),
    /// None, or none for who asked.
    Nothing,
}

/// No session can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoSession {
    /// All of the grant's sessions have calls or streams open.
    #[error("this grant has {0} sessions with calls or streams open, the most it may have")]
    AllBusy(usize),
    /// The system gives no random bytes.
    #[error("no random bytes for a session id")]
    NoRandom,
}

impl Sessions {
    /// Makes a session. Gives it and the ones that had to end for it.
    ///
    /// # Errors
    /// Where the grant has its fill and none is idle.
    pub(crate) fn open(
        &self,
        new: NewSession,
        caller: Caller,
        limits: &SessionLimits,
    ) -> Result<(Arc<Session>, Vec<Arc<Session>>), NoSession> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|_| NoSession::NoRandom)?;
        let id = BASE32_NOPAD.encode(&random).to_ascii_lowercase();
        let mut table = self.table.lock();
        let mut own: Vec<Arc<Session>> =
            table.values().filter(|session| session.grant == new.grant).cloned().collect();
        let mut ended = Vec::new();
        if own.len() >= limits.per_grant {
            own.retain(|session| session.busy.load(Ordering::Relaxed) == 0);
            let idlest = own.into_iter().max_by_key(|session| session.idle());
            let idlest = idlest.ok_or(NoSession::AllBusy(limits.per_grant))?;
            table.remove(&idlest.id);
            ended.push(idlest);
        }
        let session = Arc::new(Session::new(new, id.clone(), caller));
        table.insert(id, session.clone());
        Ok((session, ended))
    }

    /// The session of that id, where it is this grant's and came in on this route. One whose time is over does
    /// not live on until it is swept.
    pub(crate) fn get(&self, id: &str, grant: &str, route: &Route, limits: &SessionLimits) -> Found {
        let mut table = self.table.lock();
        match table.get(id) {
            Some(session) if session.grant != grant || session.route != *route => Found::Nothing,
            // Before the table is let go of, so that no sweep finds it idle.
            Some(session) if !session.is_over(limits) => Found::Open(session.enter()),
            _ => table.remove(id).map_or(Found::Nothing, Found::Over),
        }
    }

    /// Takes a session out.
    pub(crate) fn remove(&self, id: &str) -> Option<Arc<Session>> {
        self.table.lock().remove(id)
    }

    /// Takes out what has been idle or alive for too long, and what `gone` names.
    pub(crate) fn sweep(&self, limits: &SessionLimits, gone: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut table = self.table.lock();
        let over: Vec<String> = table
            .values()
            .filter(|it| it.is_over(limits) || gone(it))
            .map(|session| session.id.clone())
            .collect();
        over.iter().filter_map(|id| table.remove(id)).collect()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        self.table.lock().values().cloned().collect()
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.table.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> NewSession {
        NewSession {
            grant: "t".into(),
            route: Route::All,
            version: "2025-11-25".into(),
            client: "{}".into(),
            client_name: "c".into(),
            capabilities: "{}".into(),
            room: Room::of_answers(),
        }
    }

    /// A session that is found.
    fn found(sessions: &Sessions, id: &str, limits: &SessionLimits) -> Option<InUse> {
        match sessions.get(id, "t", &Route::All, limits) {
            Found::Open(session) => Some(session),
            Found::Over(_) | Found::Nothing => None,
        }
    }

    #[test]
    fn age_ends_a_session_that_is_in_use_and_idleness_does_not() {
        let sessions = Sessions::default();
        let limits = SessionLimits { idle: Duration::ZERO, ..SessionLimits::default() };
        let (session, _) = sessions.open(new(), Caller(1), &limits).unwrap();
        let in_use = found(&sessions, &session.id, &SessionLimits::default()).unwrap();
        assert!(sessions.sweep(&limits, |_| false).is_empty());
        assert!(found(&sessions, &session.id, &limits).is_some());
        let aged = SessionLimits { age: Duration::ZERO, ..limits };
        assert_eq!(sessions.sweep(&aged, |_| false).len(), 1);
        assert!(found(&sessions, &session.id, &limits).is_none());
        drop(in_use);
    }

    #[test]
    fn one_whose_time_is_over_is_taken_out_by_the_first_who_may_use_it() {
        let sessions = Sessions::default();
        let limits = SessionLimits::default();
        for over in [
            SessionLimits { idle: Duration::ZERO, ..limits },
            SessionLimits { age: Duration::ZERO, ..limits },
        ] {
            let (session, _) = sessions.open(new(), Caller(1), &limits).unwrap();
            assert!(matches!(sessions.get(&session.id, "other", &Route::All, &over), Found::Nothing));
            assert_eq!(sessions.count(), 1);
            assert!(matches!(sessions.get(&session.id, "t", &Route::All, &over), Found::Over(_)));
            assert_eq!(sessions.count(), 0);
        }
    }
}
