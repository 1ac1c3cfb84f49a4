//! Judge, reserve, record, and only then a permit.

use crate::approvals::{Approvals, State};
use crate::ask::{Answer, Ask, Denied, No, Subject};
use crate::decide::{Passing, judge, target};
use crate::grant_calls::GrantCalls;
use crate::history::Histories;
use crate::limits::{Counters, Places, Reservation, Reserved};
use crate::permit::Permit;
use crate::person::HeldCall;
use crate::pins::Pins;
use crate::points::point;
use crate::rules::Rules;
use crate::ticket::{PassRules, ResultRules, Ticket};
use crate::{Authority, Generation, Grants, Principal};
use arc_swap::ArcSwap;
use portcullis_catalogue::{Risk, Tool};
use portcullis_ledger::{Beside, ClockWatch, CounterRow, Draft, Failure, Grant, Keep, Kind, Ledger, Outcome};
use portcullis_policy::{Kind as What, Redactions, Target};
use portcullis_runs::Drops;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a change waits for what is still judged by what was in force before it.
const OVER: Duration = Duration::from_secs(2);

/// The judge. Clones share everything.
#[derive(Debug, Clone)]
pub struct Admit(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ledger: Ledger,
    pub(crate) counters: Counters,
    histories: Histories,
    pub(crate) grant_calls: GrantCalls,
    /// Whether a policy asks what sessions called before.
    counts_sessions: AtomicBool,
    /// Whether a policy asks what grants called in the last day.
    counts_grants: AtomicBool,
    in_force: ArcSwap<Generation>,
    /// One change of it at a time.
    changing: parking_lot::Mutex<()>,
    drops: Drops,
    clock: ClockWatch,
    pub(crate) pins: Pins,
    pub(crate) approvals: Approvals,
    /// One decision at a time.
    pub(crate) deciding: tokio::sync::Mutex<()>,
}

/// What passes, and who said so where somebody had to.
pub(crate) struct Passed {
    pub(crate) reserved: Reservation,
    pub(crate) rows: Vec<CounterRow>,
    /// The rule, and what a person said.
    pub(crate) said: Option<(String, String)>,
    /// The approval that is used up by it.
    pub(crate) approved: Option<String>,
}

impl Admit {
    /// A judge over a ledger. Counters go on where they were kept. What `drops` holds is denied whatever the policy says.
    ///
    /// # Errors
    /// Where the counters cannot be read.
    pub fn new(ledger: Ledger, rules: Rules, drops: Drops) -> Result<Self, Failure> {
        // A clock that is wrong at the start must not take the windows away that are in use.
        let now = ledger.trusted_now().unwrap_or_else(|_| portcullis_ledger::now_ms());
        let (grant_calls, counters) = GrantCalls::restore(ledger.counters()?, now);
        let counters = Counters::new(counters, now).map_err(Failure::Read)?;
        let pins = Pins::of(ledger.clone())?;
        Ok(Self(Arc::new(Inner {
            ledger,
            counters,
            histories: Histories::default(),
            grant_calls,
            counts_sessions: AtomicBool::new(rules.ask_for_session_calls()),
            counts_grants: AtomicBool::new(rules.ask_for_grant_calls()),
            in_force: ArcSwap::from_pointee(Generation { rules: rules.into(), ..Generation::default() }),
            changing: parking_lot::Mutex::default(),
            drops,
            clock: ClockWatch::default(),
            pins,
            approvals: Approvals::default(),
            deciding: tokio::sync::Mutex::default(),
        })))
    }

    /// The record.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.0.ledger
    }

    /// What is dropped at present.
    #[must_use]
    pub fn drops(&self) -> &Drops {
        &self.0.drops
    }

    /// What was accepted of servers.
    #[must_use]
    pub fn pins(&self) -> &Pins {
        &self.0.pins
    }

    /// Calls that wait for a person.
    #[must_use]
    pub fn approvals(&self) -> &Approvals {
        &self.0.approvals
    }

    /// The places among what may run at once of something that goes on since before the gate was started, as they were kept.
    #[must_use]
    pub fn places(&self, written: &str) -> Option<Arc<Places>> {
        self.0.counters.take_again(written)
    }

    /// The number of what is in force now.
    #[must_use]
    pub fn in_force_now(&self) -> u64 {
        self.0.in_force.load().number
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.0.in_force.load().rules.clone()
    }

    /// The grants in force.
    #[must_use]
    pub fn grants(&self) -> Arc<Grants> {
        self.0.in_force.load().grants.clone()
    }

    /// Puts something else in force, at once and for every request from now on. Gives what was in force before.
    pub fn put_in_force(&self, change: impl FnOnce(&mut Generation)) -> Arc<Generation> {
        let _one = self.0.changing.lock();
        let before = self.0.in_force.load_full();
        let mut next = Generation::clone(&before);
        change(&mut next);
        next.number = (before.number + 1).max(self.0.ledger.head().rows + 1);
        self.0.counts_sessions.store(next.rules.ask_for_session_calls(), Ordering::Relaxed);
        self.0.counts_grants.store(next.rules.ask_for_grant_calls(), Ordering::Relaxed);
        self.0.in_force.swap(Arc::new(next))
    }

    /// Waits until no request is judged any more by what was in force before: what passed by it is in the record then. Gives up after
    /// a while, as a store that is slow delays nothing that tightens.
    pub async fn is_over(before: Arc<Generation>) {
        let until = tokio::time::Instant::now() + OVER;
        while Arc::strong_count(&before) > 1 && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Whether a principal may see a tool in lists. The same rule as for calling it: what could never be
    /// called is never listed, nor what waits for a person.
    #[must_use]
    pub fn lists(&self, who: &Principal, upstream: &str, name: &str, tool: &Tool) -> bool {
        let rules = self.rules();
        let target = target(upstream, name, tool);
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.visible(&target))
            && self.0.pins.withholds(upstream, name, &tool.fingerprint).is_none()
    }

    /// Whether anything of a kind might pass for a principal at an upstream.
    #[must_use]
    pub fn may(&self, who: &Principal, upstream: &str, kind: What) -> bool {
        let rules = self.rules();
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.may(kind))
    }

    /// Whether something else than a tool might pass for a principal at an upstream.
    #[must_use]
    pub fn may_ask_for(&self, who: &Principal, upstream: &str, kind: What, name: &str) -> bool {
        let rules = self.rules();
        let target = Target { kind, upstream, name, category: "" };
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.visible(&target))
    }

    /// Whether some call of a tool of an upstream might be left to a person.
    #[must_use]
    pub fn holds_calls(&self, who: &Principal, upstream: &str) -> bool {
        let rules = self.rules();
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.holds_calls())
    }

    /// Whether what no rule names passes for a grant at an upstream.
    #[must_use]
    pub fn default_allows(&self, grant: &Grant, upstream: &str) -> bool {
        let rules = self.rules();
        rules.in_force(grant, upstream).is_ok_and(|in_force| in_force.default_allows())
    }

    /// Whether the principal's grant covers an upstream at all.
    #[must_use]
    pub fn covers(&self, who: &Principal, upstream: &str) -> bool {
        who.grant.policy_for(upstream).is_some()
    }

    /// Judges a request, reserves its limits, records the decision, waits until the record is kept, and then
    /// gives the permit. The [`Ticket`] stays with the call and records how it ended.
    ///
    /// # Errors
    /// Where the request does not pass; that is recorded too.
    pub async fn judge(&self, ask: Ask<'_>, now_ms: i64) -> Result<(Permit, Ticket), Denied> {
        if let Some(jump) = self.0.clock.look(now_ms) {
            self.0.counters.clock_was_set(jump);
        }
        let now = self.0.in_force.load_full();
        let rules = &now.rules;
        let standing = now.standing(&ask);
        let (who, gone) = match standing {
            Ok(grant) if Arc::ptr_eq(grant, &ask.who.grant) => (Cow::Borrowed(ask.who), None),
            Ok(grant) => (Cow::Owned(Principal { grant: grant.clone(), ..ask.who.clone() }), None),
            Err(gone) => (Cow::Borrowed(ask.who), Some(gone)),
        };
        let mut ask = Ask { who: &who, ..ask };
        let in_force = rules.in_force(&who.grant, ask.upstream);
        let passing = PassRules {
            era: ask.to.era,
            unknown: in_force.as_ref().is_ok_and(|in_force| in_force.default_allows()),
            meta: ask.to.forward_meta.clone(),
        };
        // What a server asks goes to nobody but its client.
        let is_question = matches!(ask.subject, Subject::Question(..));
        if !is_question {
            ask.message.envelope = ask.message.envelope.narrowed(&passing.allowance());
        }
        let envelope = ask.message.envelope.clone();
        let arguments = envelope.peek().arguments.unwrap_or("{}");
        let extra = if is_question { envelope.params().map(str::to_owned) } else { ask.message.extra() };
        let history = match &ask.who.history {
            Some(history) => history.clone(),
            None => self.0.histories.of_grant(ask.who.name()),
        };
        let mut judged = judge(&self.0, in_force, &ask, &history, arguments, now_ms);
        if let Some(gone) = gone {
            judged.outcome = Err(No::new(Answer::Denied, gone.rule, gone.why));
        }
        if let Some(why) = self.0.drops.holds(ask.who.name(), ask.upstream) {
            judged.outcome = Err(No::new(Answer::Dropped, "(dropped)", why));
        }
        let digest = self.0.ledger.arguments_digest(arguments);
        let whole_digest =
            extra.as_deref().map(|extra| self.0.ledger.arguments_digest(&whole_call(arguments, extra)));
        let kept_extra = extra.as_deref().and_then(|extra| rules.values.keep(extra));
        let mut shown = Cow::Borrowed(arguments);
        for redactions in &judged.redactions {
            if let Cow::Owned(covered) = redactions.arguments(&shown) {
                shown = Cow::Owned(covered);
            }
        }
        let kept = rules.values.keep(&shown);
        let request = ask.request.to_json();
        let (name, is_tool) = match ask.subject {
            Subject::Tool(name, ..) | Subject::UnknownTool(name) => (name, true),
            Subject::Task(name, _) | Subject::Other(name) => (name, false),
            Subject::Question(..) => ("", false),
        };
        let method = envelope.method().filter(|_| !is_tool);
        let draft = Draft {
            grant: Some(ask.who.name()),
            client: (!ask.who.client.is_empty()).then_some(&*ask.who.client),
            upstream: Some(ask.upstream),
            method,
            tool: (!name.is_empty()).then_some(name),
            request: Some(&request),
            run: Some(ask.run),
            generation: Some(now.number),
            policy: judged.policy.as_deref(),
            args_digest: Some(whole_digest.as_ref().unwrap_or(&digest)),
            args: kept.as_deref(),
            extra: kept_extra.as_deref(),
            ..Draft::of(Kind::Decision)
        };
        let outcome = judged.outcome.and_then(|Passing { wants, hold, tried, stopping }| {
            match hold {
                Some(hold) => {
                    let risk = match ask.subject {
                        Subject::Tool(_, tool) => tool.risk.as_str(),
                        _ => "",
                    };
                    let (client, extra) = (&*ask.who.client, extra.as_deref());
                    let call = HeldCall { arguments, shown: &shown, extra, client, risk };
                    self.ask_a_person(rules, hold, &call, now_ms, &wants)
                }
                None => self
                    .0
                    .counters
                    .reserve(&wants.draws, &wants.places, now_ms)
                    .map(|(reserved, rows)| Passed { reserved, rows, said: None, approved: None })
                    .map_err(|exceeded| No::over(exceeded, now_ms)),
            }
            .map(|passed| (passed, tried, stopping))
        });
        match outcome {
            Ok((Passed { reserved, mut rows, said, approved }, tried, stopping)) => {
                if let Subject::Tool(name, _) = ask.subject
                    && self.0.counts_grants.load(Ordering::Relaxed)
                {
                    rows.push(self.0.grant_calls.note(ask.who.name(), ask.upstream, name, now_ms));
                }
                let over = reserved.tried.as_ref();
                let over = over.map(|over| (over.rule.clone(), format!("would be denied: {}", over.message)));
                let tried = tried.or(over).map(|(rule, message)| (format!("(shadow) {rule}"), message));
                let said = said.or(tried);
                let (rule, message) = said.as_ref().map(|(rule, message)| (&**rule, &**message)).unzip();
                let draft = Draft { outcome: Some(Outcome::Allowed), rule, message, ..draft };
                let row = draft.write_covered(|text| rules.values.text(text));
                let used = approved.as_ref().and_then(|id| self.0.approvals.row(id));
                let risk = match ask.subject {
                    Subject::Tool(_, tool) => tool.risk,
                    Subject::UnknownTool(_)
                    | Subject::Task(..)
                    | Subject::Other(_)
                    | Subject::Question(..) => Risk::High,
                };
                // What a person approved passes once, also when the power fails.
                let keep = if used.is_some() { Keep::Disk } else { rules.durability.keep(risk) };
                point("judged, not kept yet").await;
                match self.0.ledger.append(row, Beside { counters: rows, approval: used }, keep).await {
                    Ok(row) => {
                        let about = crate::ticket::About {
                            method: method.map(str::to_owned),
                            name: name.to_owned(),
                            run: ask.run.to_owned(),
                            request: request.into_owned(),
                            digest,
                            fingerprint: match ask.subject {
                                Subject::Tool(_, tool) => Some(tool.fingerprint.clone()),
                                _ => None,
                            },
                            passing,
                        };
                        if let Subject::Tool(name, _) = ask.subject
                            && self.0.counts_sessions.load(Ordering::Relaxed)
                        {
                            history.note(ask.upstream, name);
                        }
                        let covers_results = judged.redactions.iter().any(Redactions::covers_results);
                        let results = covers_results
                            .then(|| Arc::new(ResultRules::new(rules, &ask.who.grant, &ask.target())));
                        let (grant, upstream) = (ask.who.grant.clone(), ask.upstream.into());
                        let authority = Authority::new(self.clone(), grant, upstream, results);
                        let ticket = Ticket::new(self.clone(), row, reserved, about, authority, stopping);
                        Ok((Permit::new(ask.message), ticket))
                    }
                    Err(failure) => {
                        self.give_back(&reserved.drawn, false);
                        Err(not_recorded(&failure))
                    }
                }
            }
            Err(No { answer, rule, message, retry_after_ms, approval, rows }) => {
                let outcome = if answer == Answer::Held { Outcome::Held } else { Outcome::Denied };
                let row =
                    Draft { outcome: Some(outcome), rule: Some(&rule), message: Some(&message), ..draft };
                // A denial sends nothing out, so it need not be on the disk before it is answered.
                let waits = approval.as_ref().and_then(|id| self.0.approvals.row(id));
                let beside = Beside { counters: rows, approval: waits };
                let row = row.write_covered(|text| rules.values.text(text));
                point("held or denied, not kept yet").await;
                let row = self.0.ledger.append(row, beside, Keep::Process).await;
                if let (Some(id), Err(failure)) = (&approval, &row) {
                    // What nobody could see in the record is not decided either.
                    if let Some((_, reserved)) = self.0.approvals.settle(id, State::Void, None, None) {
                        self.give_back(&reserved.drawn, false);
                    }
                    return Err(not_recorded(failure));
                }
                Err(Denied { answer, rule, message, row: row.ok(), retry_after_ms, approval })
            }
        }
    }

    /// A text that a client or a server chose, as the record keeps it.
    pub(crate) fn kept_text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.0.in_force.load().rules.values.text(text)
    }

    /// Gives reservations back. The counters' rows travel with the row that the caller writes.
    pub(crate) fn give_back(&self, reserved: &[Reserved], only_on_error: bool) -> Vec<CounterRow> {
        if reserved.is_empty() { Vec::new() } else { self.0.counters.refund(reserved, only_on_error) }
    }
}

/// All that is sent of a call, as one text to take a digest of.
pub(crate) fn whole_call(arguments: &str, extra: &str) -> String {
    format!("{{\"arguments\":{arguments},\"extra\":{extra}}}")
}

fn not_recorded(failure: &Failure) -> Denied {
    Denied {
        answer: Answer::NotRecorded,
        rule: "(not recorded)".into(),
        message: format!("Nothing passes while it cannot be recorded: {failure}."),
        row: None,
        retry_after_ms: None,
        approval: None,
    }
}
