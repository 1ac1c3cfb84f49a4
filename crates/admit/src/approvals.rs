//! Calls that wait for a person.
//!
//! An approval is bound to one call: who asks, for which tool of which server, with which arguments, under which policies and by which
//! definition. It passes that call once. What waits, was approved or refused is kept, and goes on when the gate is started again.

mod kept;

use crate::limits::{Exceeded, Places, Reservation};
use crate::view::View;
use parking_lot::Mutex;
use portcullis_ledger::{ApprovalRow, CounterRow, Grant, time_text};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How many calls of one grant may wait at a time: more would be for nobody to read.
const WAITING: usize = 20;
/// How many that are over are still shown.
const SHOWN: usize = 500;

/// How long calls wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long the caller's request stays open. Longer than a client waits, and it hears nothing at all.
    pub wait: Duration,
    /// After which nobody can decide any more, where the policy says nothing else.
    pub timeout: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { wait: Duration::from_secs(45), timeout: Duration::from_secs(30 * 60) }
    }
}

/// What an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    pub grant: Arc<Grant>,
    pub upstream: String,
    pub tool: String,
    /// Of the arguments, whatever the order of their keys.
    pub digest: String,
    /// The policies that judged, by their digests.
    pub policies: String,
    /// Of the tool's definition.
    pub fingerprint: String,
}

/// What a person is to decide, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Approval {
    /// Its name.
    pub id: String,
    /// Who asks.
    pub grant: String,
    /// The server.
    pub upstream: String,
    /// Its tool.
    pub tool: String,
    /// What the client that asks calls itself.
    pub client: String,
    /// How much can go wrong with the tool, as its definition says.
    pub risk: String,
    /// The arguments, without what looks like a secret where the configuration says so, and without the middle of long texts.
    pub args: Option<Box<RawValue>>,
    /// How many parts of the arguments are covered, because they look like secrets.
    pub covered: usize,
    /// How many parts of the arguments are cut, because they are too long to read.
    pub cut: usize,
    /// Who had all of the arguments shown to them.
    pub revealed_to: Vec<String>,
    /// The rule that leaves it to a person.
    pub rule: String,
    /// What the caller was told.
    pub message: String,
    /// Labels that a person who decides must have one of, of each list.
    pub approvers: Vec<Vec<String>>,
    /// When it was asked for, in milliseconds since 1970.
    #[serde(serialize_with = "as_text")]
    pub created: i64,
    /// After which nobody decides it any more, and it passes nothing.
    #[serde(serialize_with = "as_text")]
    pub expires: i64,
    /// How far it came.
    pub state: State,
    /// Who decided.
    pub decided_by: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl Approval {
    /// How many parts of the arguments somebody who decides has not seen.
    #[must_use]
    pub fn unseen_by(&self, by: &Decider<'_>) -> usize {
        if self.revealed_to.contains(&by.name()) { 0 } else { self.covered + self.cut }
    }

    /// Whether the user of the client that calls may decide.
    #[must_use]
    pub fn asks_client(&self) -> bool {
        let named = |wanted: &Vec<String>| wanted.iter().any(|label| label == CLIENT);
        !self.approvers.is_empty() && self.approvers.iter().all(named)
    }
}

fn as_text<S: Serializer>(time: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*time))
}

/// How far an approval came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody has decided.
    Waiting,
    /// A person said yes, and the call was not made again yet.
    Approved,
    /// A person said no.
    Denied,
    /// Its time is up.
    Expired,
    /// The call was made.
    Used,
    /// A policy that judged the call is another now.
    Void,
}

impl State {
    /// As tables spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Used => "used",
            Self::Void => "void",
        }
    }
}

/// What becomes of a yes to a call of which not all was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {
    /// It does not count.
    Refuse,
    /// It counts, and the record says so.
    Accept,
}

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub enum Decider<'a> {
    /// The operator of the gate, by the name of the user.
    Operator(&'a str),
    /// Whoever has a grant's token.
    Grant(&'a Grant),
    /// The user of the very client that calls, by what the client calls itself; only where the rule says so.
    Client(&'a str),
}

/// What a rule names as an approver to leave a call to the user of the client that makes it.
pub(crate) const CLIENT: &str = "client";

impl Decider<'_> {
    /// What the record calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Operator(user) => (*user).to_owned(),
            Self::Grant(grant) => format!("grant:{}", grant.name),
            Self::Client(name) => format!("client:{name}"),
        }
    }

    /// Why they may not decide one; `None` where they may.
    #[must_use]
    pub fn objection(&self, approval: &Approval, now_ms: i64) -> Option<String> {
        let grant = match self {
            Self::Grant(grant) => grant,
            Self::Client(_) => {
                return (!approval.asks_client())
                    .then(|| format!("{} is not left to the user of the client", approval.id));
            }
            Self::Operator(_) => {
                let wanted = approval.approvers.first()?;
                return Some(match wanted.as_slice() {
                    [only] if only == CLIENT => {
                        format!("{} is decided by the user of the client that calls", approval.id)
                    }
                    _ => format!(
                        "{} is decided by a grant with the label {}; put its token into PORTCULLIS_TOKEN",
                        approval.id,
                        wanted.join(" or ")
                    ),
                });
            }
        };
        if grant.expires.is_some_and(|end| now_ms >= end) {
            return Some(format!("the grant {} has expired", grant.name));
        }
        if !grant.approver {
            return Some(format!("the grant {} decides nothing; one made with --approver does", grant.name));
        }
        if grant.policy_for(&approval.upstream).is_none() {
            let (name, upstream) = (&grant.name, &approval.upstream);
            return Some(format!("the grant {name} does not cover the server {upstream}"));
        }
        if grant.name == approval.grant {
            return Some(format!("{} is a call of the grant {} itself", approval.id, grant.name));
        }
        if approval.approvers.is_empty() {
            return Some(format!("{} is decided by the operator: its rule names no approvers", approval.id));
        }
        let has = |label: &String| {
            label
                .split_once('=')
                .is_some_and(|(key, value)| grant.labels.get(key).is_some_and(|own| own == value))
        };
        let missing = approval.approvers.iter().find(|wanted| !wanted.iter().any(has))?;
        Some(format!("the grant {} has no label {}", grant.name, missing.join(" or ")))
    }
}

/// Why nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDecided {
    /// There is none of that name.
    #[error("nothing that waits or waited is named `{0}`; `portcullis approvals` shows what waits")]
    Unknown(String),
    /// It is over.
    #[error("{0} is {1} already")]
    Over(String, &'static str),
    /// The policy is another than the one that held the call.
    #[error("{0} was held by a policy that is another now; the call must be made again")]
    Void(String),
    /// Somebody else must.
    #[error("{0}")]
    NotYou(String),
    /// They have not seen all of it.
    #[error(
        "{0} of the arguments {1} not shown: have them revealed first, or say that you decide about what you did not see"
    )]
    NotSeen(String, &'static str),
    /// Nothing more of it is kept than is shown.
    #[error(
        "nothing more of {0} can be shown: all of its arguments are, or they are too long to be kept, or it is over"
    )]
    NothingMore(String),
    /// It could not be recorded.
    #[error("nothing is decided while it cannot be recorded: {0}")]
    NotRecorded(String),
}

#[derive(Debug)]
struct Entry {
    approval: Approval,
    /// Grows with every change, so that an older row of it that comes late changes nothing.
    version: i64,
    bound: Bound,
    /// All of the arguments, sealed with the key of the gate, where not all are shown; until somebody decides.
    sealed: Option<String>,
    /// What the call is charged, from when it began to wait.
    reserved: Reservation,
}

impl Entry {
    fn become_settled(&mut self, state: State, by: Option<&Decider<'_>>, reason: Option<&str>) {
        self.approval.state = state;
        self.version += 1;
        self.sealed = None;
        self.approval.decided_by = by.map(Decider::name).or(self.approval.decided_by.take());
        self.approval.reason = reason.map(str::to_owned).or(self.approval.reason.take());
    }
}

/// All of them, the newest last. Clones share them.
#[derive(Debug, Clone)]
pub struct Approvals {
    table: Arc<Mutex<VecDeque<Entry>>>,
    changed: watch::Sender<()>,
}

/// A call that is to wait.
pub(crate) struct ToWait<'a> {
    /// What it is called if nobody was asked about it yet.
    pub id: String,
    pub bound: Bound,
    pub rule: &'a str,
    pub message: &'a str,
    pub approvers: Vec<Vec<String>>,
    pub client: &'a str,
    pub risk: &'static str,
    pub view: View<'a>,
    pub sealed: Option<String>,
    pub timeout_ms: i64,
}

/// How a call stands that a policy leaves to a person.
pub(crate) enum Standing {
    /// A person said yes: who, and what it is charged already.
    Approved { id: String, by: String, reserved: Reservation },
    /// It waits; the counters as they stand, where it only began to.
    Waits { id: String, began: bool, rows: Vec<CounterRow> },
    /// A person said no.
    Refused { by: String, reason: Option<String> },
    /// Too many wait already.
    Full,
    /// A limit is used up.
    Exceeded(Exceeded),
}

impl Default for Approvals {
    fn default() -> Self {
        Self { table: Arc::default(), changed: watch::Sender::new(()) }
    }
}

impl Approvals {
    /// Goes on with what was kept, of what is not over. Gives the names of those that are to expire, with the time.
    pub(crate) fn resume(&self, rows: &[ApprovalRow]) -> Vec<(String, i64)> {
        let mut entries: Vec<Entry> = rows.iter().filter_map(kept::read).collect();
        entries.sort_by_key(|entry| entry.approval.created);
        let expiring =
            entries.iter().map(|entry| (entry.approval.id.clone(), entry.approval.expires)).collect();
        self.table.lock().extend(entries);
        expiring
    }

    /// One of them as it is to be kept now. `None` for one that is not there any more, and was kept as over before.
    pub(crate) fn row(&self, id: &str) -> Option<ApprovalRow> {
        self.table.lock().iter().find(|entry| entry.approval.id == id).map(kept::row)
    }

    /// One of them as it is to be kept where it is settled so: what it is settled as is kept before anybody hears of it.
    pub(crate) fn row_if(
        &self,
        id: &str,
        state: State,
        by: Option<&Decider<'_>>,
        reason: Option<&str>,
    ) -> Option<ApprovalRow> {
        let table = self.table.lock();
        let entry = table.iter().find(|entry| entry.approval.id == id)?;
        let mut then = Entry {
            approval: entry.approval.clone(),
            bound: entry.bound.clone(),
            sealed: entry.sealed.clone(),
            version: entry.version,
            reserved: Reservation { drawn: entry.reserved.drawn.clone(), ..Reservation::default() },
        };
        then.become_settled(state, by, reason);
        Some(kept::row(&then))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Approval> {
        self.table.lock().iter().find(|entry| entry.approval.id == id).map(|entry| entry.approval.clone())
    }

    /// Tells of every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How a call stands. One that nobody was asked about begins to wait, if its limits can be reserved; one that was approved passes,
    /// if there is a place for it among those that run.
    pub(crate) fn stand(
        &self,
        call: ToWait<'_>,
        now_ms: i64,
        reserve: impl FnOnce() -> Result<(Reservation, Vec<CounterRow>), Exceeded>,
        take: impl FnOnce() -> Result<Option<Arc<Places>>, Exceeded>,
    ) -> Standing {
        let mut table = self.table.lock();
        let is_it = |entry: &&mut Entry| entry.bound == call.bound && entry.approval.expires > now_ms;
        for entry in table.iter_mut().filter(is_it) {
            let id = entry.approval.id.clone();
            let by = entry.approval.decided_by.clone().unwrap_or_default();
            match entry.approval.state {
                State::Waiting => return Standing::Waits { id, began: false, rows: Vec::new() },
                State::Approved => {
                    let places = match take() {
                        Ok(places) => places,
                        Err(exceeded) => return Standing::Exceeded(exceeded),
                    };
                    entry.approval.state = State::Used;
                    entry.version += 1;
                    let reserved = Reservation { places, ..std::mem::take(&mut entry.reserved) };
                    self.changed.send_replace(());
                    return Standing::Approved { id, by, reserved };
                }
                State::Denied => return Standing::Refused { by, reason: entry.approval.reason.clone() },
                State::Expired | State::Used | State::Void => {}
            }
        }
        let waits = |entry: &&Entry| {
            entry.approval.state == State::Waiting && entry.bound.grant.name == call.bound.grant.name
        };
        if table.iter().filter(waits).count() >= WAITING {
            return Standing::Full;
        }
        let (reserved, rows) = match reserve() {
            Ok(reserved) => reserved,
            Err(exceeded) => return Standing::Exceeded(exceeded),
        };
        let id = call.id;
        let approval = Approval {
            id: id.clone(),
            grant: call.bound.grant.name.clone(),
            upstream: call.bound.upstream.clone(),
            tool: call.bound.tool.clone(),
            client: call.client.to_owned(),
            risk: call.risk.to_owned(),
            args: RawValue::from_string(call.view.args.into_owned()).ok(),
            covered: call.view.covered,
            cut: call.view.cut,
            revealed_to: Vec::new(),
            rule: call.rule.to_owned(),
            message: call.message.to_owned(),
            approvers: call.approvers,
            created: now_ms,
            expires: now_ms.saturating_add(call.timeout_ms),
            state: State::Waiting,
            decided_by: None,
            reason: None,
        };
        table.push_back(Entry { approval, version: 1, bound: call.bound, sealed: call.sealed, reserved });
        let over = |entry: &Entry| !matches!(entry.approval.state, State::Waiting | State::Approved);
        if table.len() > SHOWN
            && let Some(oldest) = table.iter().position(over)
        {
            table.remove(oldest);
        }
        drop(table);
        self.changed.send_replace(());
        Standing::Waits { id, began: true, rows }
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Approval> {
        self.table.lock().iter().map(|entry| entry.approval.clone()).collect()
    }

    /// Waits until nobody needs to decide one any more.
    pub async fn settled(&self, id: &str) {
        let mut changed = self.changed.subscribe();
        let waits =
            || self.table.lock().iter().any(|it| it.approval.id == id && it.approval.state == State::Waiting);
        while waits() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }

    /// What would be decided, if this one may.
    pub(crate) fn deciding(
        &self,
        id: &str,
        by: &Decider<'_>,
        now_ms: i64,
    ) -> Result<(Approval, Bound), NotDecided> {
        let table = self.table.lock();
        let entry = table.iter().find(|entry| entry.approval.id == id);
        let entry = entry.ok_or_else(|| NotDecided::Unknown(id.to_owned()))?;
        if entry.approval.state != State::Waiting {
            return Err(NotDecided::Over(id.to_owned(), entry.approval.state.as_str()));
        }
        match by.objection(&entry.approval, now_ms) {
            Some(why) => Err(NotDecided::NotYou(why)),
            None => Ok((entry.approval.clone(), entry.bound.clone())),
        }
    }

    /// All of the arguments of one that waits, sealed, where not all are shown.
    pub(crate) fn sealed(&self, id: &str) -> Option<String> {
        self.table.lock().iter().find(|entry| entry.approval.id == id)?.sealed.clone()
    }

    /// Notes that somebody had all of the arguments shown to them.
    pub(crate) fn note_revealed(&self, id: &str, to: String) {
        let mut table = self.table.lock();
        let entry = table.iter_mut().find(|entry| entry.approval.id == id);
        if let Some(entry) = entry.filter(|entry| !entry.approval.revealed_to.contains(&to)) {
            entry.approval.revealed_to.push(to);
            entry.version += 1;
        }
    }

    /// Settles one that waits, or one that was approved and never used where its time is up. Gives it as it is then, and what is to be
    /// given back.
    pub(crate) fn settle(
        &self,
        id: &str,
        state: State,
        by: Option<&Decider<'_>>,
        reason: Option<&str>,
    ) -> Option<(Approval, Reservation)> {
        let mut table = self.table.lock();
        let entry = table.iter_mut().find(|entry| entry.approval.id == id)?;
        let open = match state {
            State::Expired if entry.approval.state == State::Denied => {
                return Some((entry.approval.clone(), Reservation::default()));
            }
            State::Expired => matches!(entry.approval.state, State::Waiting | State::Approved),
            _ => entry.approval.state == State::Waiting,
        };
        if !open {
            return None;
        }
        entry.become_settled(state, by, reason);
        let reserved = if state == State::Approved {
            Reservation::default()
        } else {
            std::mem::take(&mut entry.reserved)
        };
        let approval = entry.approval.clone();
        drop(table);
        self.changed.send_replace(());
        Some((approval, reserved))
    }
}
