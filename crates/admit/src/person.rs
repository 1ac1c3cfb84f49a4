//! What a policy leaves to a person: asked, decided or not, and recorded.

use crate::Rules;
use crate::admit::{Admit, Passed, whole_call};
use crate::approvals::{Approval, Bound, Decider, NotDecided, Standing, State, ToWait, Unseen};
use crate::ask::{Answer, No};
use crate::limits::Wants;
use crate::points::point;
use crate::view::View;
use portcullis_ledger::{ApprovalRow, Beside, Draft, Failure, Kind, Outcome, now_ms};
use portcullis_runs::RunId;
use portcullis_wire::canonical;
use std::sync::Arc;
use std::time::Duration;

/// A person has to say so first.
pub(crate) struct Hold {
    pub bound: Bound,
    pub rule: String,
    pub message: String,
    pub approvers: Vec<Vec<String>>,
    pub timeout_ms: Option<i64>,
}

/// What a call that is left to a person would send.
pub(crate) struct HeldCall<'a> {
    pub arguments: &'a str,
    /// The arguments without what the policy covers.
    pub shown: &'a str,
    /// What else of the client's choosing goes with it, JSON.
    pub extra: Option<&'a str>,
    /// What the client calls itself.
    pub client: &'a str,
    /// How grave the tool is.
    pub risk: &'static str,
}

impl Admit {
    /// What becomes of a call that a policy leaves to a person, who sees of its arguments what is shown.
    pub(crate) fn ask_a_person(
        &self,
        rules: &Rules,
        hold: Hold,
        asked: &HeldCall<'_>,
        now_ms: i64,
        wants: &Wants<'_>,
    ) -> Result<Passed, No> {
        let Ok(id) = RunId::fresh() else {
            return Err(No::new(Answer::NotRecorded, "(not recorded)", "The system gives no random bytes."));
        };
        let timeout_ms = i64::try_from(rules.patience.timeout.as_millis()).unwrap_or(i64::MAX);
        let timeout_ms = hold.timeout_ms.unwrap_or(timeout_ms);
        // Whoever decides sees all that would be sent.
        let all = |arguments: &'_ str| asked.extra.map(|extra| whole_call(arguments, extra));
        let (whole, shown) = (all(asked.arguments), all(asked.shown));
        let (whole, shown) =
            (whole.as_deref().unwrap_or(asked.arguments), shown.as_deref().unwrap_or(asked.shown));
        let view = View::of(whole, shown, rules.values);
        let sealed = match view.whole.map(|whole| self.0.ledger.seal(whole)).transpose() {
            Ok(sealed) => sealed,
            Err(failure) => return Err(No::new(Answer::NotRecorded, "(not recorded)", failure.to_string())),
        };
        let call = ToWait {
            id: format!("a_{}", id.as_str().trim_start_matches("r_")),
            bound: Bound { digest: self.0.ledger.arguments_digest(&canonical(whole)), ..hold.bound },
            rule: &hold.rule,
            message: &hold.message,
            approvers: hold.approvers,
            client: asked.client,
            risk: asked.risk,
            view,
            sealed,
            timeout_ms,
        };
        let denied = |message: String| Err(No::new(Answer::Denied, &hold.rule, message));
        // What waits does not run: it takes its place among those that may run at once when it passes.
        let (counters, places) = (&self.0.counters, &wants.places);
        let reserve = || counters.reserve(&wants.draws, &[], now_ms);
        match self.0.approvals.stand(call, now_ms, reserve, || counters.take(places)) {
            Standing::Approved { id, by, reserved } => Ok(Passed {
                reserved,
                rows: Vec::new(),
                said: Some((hold.rule, format!("approved by {by} ({id})"))),
                approved: Some(id),
            }),
            Standing::Waits { id, began, rows } => {
                if began {
                    self.expires_later(id.clone(), timeout_ms);
                }
                Err(No { approval: Some(id), rows, ..No::new(Answer::Held, &hold.rule, hold.message) })
            }
            Standing::Refused { by, reason } => denied(match reason {
                Some(reason) => format!("{by} refused this call: {reason}"),
                None => format!("{by} refused this call."),
            }),
            Standing::Full => denied(format!(
                "{} And more calls of the grant wait for a person than one can read; try again when some are decided.",
                hold.message
            )),
            Standing::Exceeded(exceeded) => Err(No::over(exceeded, now_ms)),
        }
    }

    /// Goes on with what waited, was approved or refused when the gate ended. To be called once, where tasks can be started.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn resume_approvals(&self) -> Result<(), Failure> {
        for (id, expires) in self.0.approvals.resume(&self.0.ledger.approvals()?) {
            self.expires_later(id, expires.saturating_sub(now_ms()));
        }
        Ok(())
    }

    fn expires_later(&self, id: String, timeout_ms: i64) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))).await;
            if let Some(inner) = inner.upgrade() {
                Self(inner).expire(&id).await;
            }
        });
    }

    async fn expire(&self, id: &str) {
        let _one = self.0.deciding.lock().await;
        let Some((approval, reserved)) = self.0.approvals.settle(id, State::Expired, None, None) else {
            return;
        };
        // A refusal ends when its time is up, and that is no news.
        let recorded = match approval.state {
            State::Denied => match self.0.approvals.row(id) {
                Some(row) => {
                    self.0
                        .ledger
                        .keep_approval(ApprovalRow { body: None, version: row.version + 1, ..row })
                        .await
                }
                None => Ok(()),
            },
            _ => {
                let beside = Beside {
                    counters: self.give_back(&reserved.drawn, false),
                    approval: self.0.approvals.row(id),
                };
                self.record_settled(&approval, State::Expired, None, beside).await
            }
        };
        if let Err(failure) = recorded {
            tracing::error!(%failure, %id, "that nobody decided a call in time could not be recorded");
        }
    }

    /// Decides a call that waits, and records who did before it passes. One whose policy is another now is void.
    ///
    /// # Errors
    /// Where it is not there or over, somebody else must decide, they have not seen all of what they approve, or it cannot be
    /// recorded.
    pub async fn decide(
        &self,
        id: &str,
        by: Decider<'_>,
        yes: bool,
        reason: Option<&str>,
        unseen: Unseen,
    ) -> Result<Approval, NotDecided> {
        let _one = self.0.deciding.lock().await;
        point("about to decide").await;
        let (approval, bound) = self.0.approvals.deciding(id, &by, now_ms())?;
        let not_seen = if yes { approval.unseen_by(&by) } else { 0 };
        if not_seen > 0 && unseen == Unseen::Refuse {
            let (parts, are) = if not_seen == 1 { ("part", "is") } else { ("parts", "are") };
            return Err(NotDecided::NotSeen(format!("{not_seen} {parts}"), are));
        }
        let rules = self.rules();
        let in_force = rules.in_force(&bound.grant, &bound.upstream);
        let state = match (in_force.is_ok_and(|in_force| in_force.stamp() == bound.policies), yes) {
            (false, _) => State::Void,
            (true, true) => State::Approved,
            (true, false) => State::Denied,
        };
        let not_recorded = |failure: Failure| NotDecided::NotRecorded(failure.to_string());
        let who = match not_seen {
            0 => by.name(),
            1 => format!("{}, who did not see 1 part of it", by.name()),
            parts => format!("{}, who did not see {parts} parts of it", by.name()),
        };
        let said = Some((who.as_str(), reason));
        if state == State::Approved {
            // Kept before whoever waits hears of it and uses it up.
            let approval_row = self.0.approvals.row_if(id, state, Some(&by), reason);
            point("decided, not kept yet").await;
            let beside = Beside { counters: Vec::new(), approval: approval_row };
            self.record_settled(&approval, state, said, beside).await.map_err(not_recorded)?;
        }
        point("decided, not told yet").await;
        let over = || NotDecided::Over(id.to_owned(), "over");
        let (approval, reserved) = self.0.approvals.settle(id, state, Some(&by), reason).ok_or_else(over)?;
        if state != State::Approved {
            let counters = self.give_back(&reserved.drawn, false);
            let beside = Beside { counters, approval: self.0.approvals.row(id) };
            self.record_settled(&approval, state, said, beside).await.map_err(not_recorded)?;
        }
        match state {
            State::Void => Err(NotDecided::Void(id.to_owned())),
            _ => Ok(approval),
        }
    }

    /// All of the arguments of a call that waits, for somebody who decides about it and asks to see what is covered or cut. That
    /// they did is recorded before they see it.
    ///
    /// # Errors
    /// Where it is not there or over, somebody else must decide, nothing more of it is kept, or it cannot be recorded.
    pub async fn reveal(&self, id: &str, by: Decider<'_>) -> Result<String, NotDecided> {
        let _one = self.0.deciding.lock().await;
        let (approval, _) = self.0.approvals.deciding(id, &by, now_ms())?;
        let sealed = self.0.approvals.sealed(id).ok_or_else(|| NotDecided::NothingMore(id.to_owned()))?;
        let not_recorded = |failure: Failure| NotDecided::NotRecorded(failure.to_string());
        let whole = self.0.ledger.unseal(&sealed).map_err(not_recorded)?;
        let who = by.name();
        let message = format!("all of its arguments were shown to {who} ({id})");
        self.0.approvals.note_revealed(id, who);
        let draft = Draft { message: Some(&message), ..about(&approval) };
        let beside = Beside { counters: Vec::new(), approval: self.0.approvals.row(id) };
        let row = draft.write_covered(|text| self.kept_text(text));
        self.0.ledger.append(row, beside, portcullis_ledger::Keep::Disk).await.map_err(not_recorded)?;
        Ok(whole)
    }

    async fn record_settled(
        &self,
        approval: &Approval,
        state: State,
        said: Option<(&str, Option<&str>)>,
        beside: Beside,
    ) -> Result<(), Failure> {
        let by = said.map_or(String::new(), |(by, _)| format!(" by {by}"));
        let why = said.and_then(|(_, reason)| reason).map_or(String::new(), |reason| format!(": {reason}"));
        let message = format!("{}{by} ({}){why}", state.as_str(), approval.id);
        let outcome = if state == State::Approved { Outcome::Allowed } else { Outcome::Denied };
        let draft = Draft { outcome: Some(outcome), message: Some(&message), ..about(approval) };
        let row = draft.write_covered(|text| self.kept_text(text));
        self.0.ledger.append(row, beside, portcullis_ledger::Keep::Disk).await.map(drop)
    }
}

/// The row of what becomes of an approval.
fn about(approval: &Approval) -> Draft<'_> {
    Draft {
        grant: Some(&approval.grant),
        upstream: Some(&approval.upstream),
        tool: Some(&approval.tool),
        rule: Some(&approval.rule),
        ..Draft::of(Kind::Approval)
    }
}
