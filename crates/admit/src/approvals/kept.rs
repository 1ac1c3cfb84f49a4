//! Approvals as they are kept.

use super::{Approval, Bound, Entry, State};
use crate::limits::{Reservation, Reserved};
use portcullis_ledger::{ApprovalRow, CounterKey, Grant};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
struct Kept {
    id: String,
    grant: Arc<Grant>,
    upstream: String,
    tool: String,
    digest: String,
    policies: String,
    fingerprint: String,
    args: Option<Box<RawValue>>,
    #[serde(default)]
    client: String,
    #[serde(default)]
    risk: String,
    #[serde(default)]
    covered: usize,
    #[serde(default)]
    cut: usize,
    #[serde(default)]
    revealed_to: Vec<String>,
    #[serde(default)]
    sealed: Option<String>,
    rule: String,
    message: String,
    approvers: Vec<Vec<String>>,
    created: i64,
    expires: i64,
    state: State,
    decided_by: Option<String>,
    reason: Option<String>,
    charged: Vec<Charge>,
}

#[derive(Serialize, Deserialize)]
struct Charge {
    policy: String,
    counter: String,
    window: String,
    scope: String,
    window_start: i64,
    amount: String,
    on_error: bool,
}

/// As it is to be kept.
pub(super) fn row(entry: &Entry) -> ApprovalRow {
    ApprovalRow { id: entry.approval.id.clone(), version: entry.version, body: written(entry) }
}

/// `None` where it is over: there is nothing to go on with.
fn written(entry: &Entry) -> Option<String> {
    let (approval, bound) = (&entry.approval, &entry.bound);
    if !matches!(approval.state, State::Waiting | State::Approved | State::Denied) {
        return None;
    }
    let charge = |one: &Reserved| Charge {
        policy: one.key.policy.clone(),
        counter: one.key.counter.clone(),
        window: one.key.window.clone(),
        scope: one.key.scope.clone(),
        window_start: one.window_start,
        amount: one.amount.to_string(),
        on_error: one.on_error,
    };
    let kept = Kept {
        id: approval.id.clone(),
        grant: bound.grant.clone(),
        upstream: bound.upstream.clone(),
        tool: bound.tool.clone(),
        digest: bound.digest.clone(),
        policies: bound.policies.clone(),
        fingerprint: bound.fingerprint.clone(),
        args: approval.args.clone(),
        client: approval.client.clone(),
        risk: approval.risk.clone(),
        covered: approval.covered,
        cut: approval.cut,
        revealed_to: approval.revealed_to.clone(),
        sealed: entry.sealed.clone(),
        rule: approval.rule.clone(),
        message: approval.message.clone(),
        approvers: approval.approvers.clone(),
        created: approval.created,
        expires: approval.expires,
        state: approval.state,
        decided_by: approval.decided_by.clone(),
        reason: approval.reason.clone(),
        charged: entry.reserved.drawn.iter().map(charge).collect(),
    };
    serde_json::to_string(&kept).ok()
}

/// `None` for what another version kept in a form that is not known here.
pub(super) fn read(row: &ApprovalRow) -> Option<Entry> {
    let kept: Kept = serde_json::from_str(row.body.as_deref()?).ok()?;
    let drawn: Option<Vec<Reserved>> = kept
        .charged
        .into_iter()
        .map(|charge| {
            let Charge { policy, counter, window, scope, window_start, amount, on_error } = charge;
            let key = CounterKey { policy, counter, window, scope };
            Some(Reserved { key, window_start, amount: amount.parse().ok()?, on_error })
        })
        .collect();
    Some(Entry {
        version: row.version,
        approval: Approval {
            id: kept.id,
            grant: kept.grant.name.clone(),
            upstream: kept.upstream.clone(),
            tool: kept.tool.clone(),
            args: kept.args,
            client: kept.client,
            risk: kept.risk,
            covered: kept.covered,
            cut: kept.cut,
            revealed_to: kept.revealed_to,
            rule: kept.rule,
            message: kept.message,
            approvers: kept.approvers,
            created: kept.created,
            expires: kept.expires,
            state: kept.state,
            decided_by: kept.decided_by,
            reason: kept.reason,
        },
        bound: Bound {
            grant: kept.grant,
            upstream: kept.upstream,
            tool: kept.tool,
            digest: kept.digest,
            policies: kept.policies,
            fingerprint: kept.fingerprint,
        },
        sealed: kept.sealed,
        reserved: Reservation { drawn: drawn?, ..Reservation::default() },
    })
}
