//! The decision: what the grant, the pins and the policies say together. Limits are not reserved yet.

use crate::History;
use crate::admit::Inner;
use crate::approvals::Bound;
use crate::ask::{Answer, Ask, No, Subject};
use crate::history::Seen;
use crate::limits::{Draw, Place, Wants};
use crate::person::Hold;
use crate::pins::Withheld;
use crate::rules::InForce;
use portcullis_catalogue::Tool;
use portcullis_ledger::Ledger;
use portcullis_policy::{
    Call, Counts, Facts, Judgement, Kind as What, Limit, Mode, Outcome as Would, Redactions, Scope, Stopping,
    Target,
};
use portcullis_wire::canonical;
use std::borrow::Cow;

/// What a server may ask a model (schemas of 2025-11-25 and 2026-07-28, `CreateMessageRequestParams`).
const SAMPLING: [&str; 12] = [
    "_meta",
    "includeContext",
    "maxTokens",
    "messages",
    "metadata",
    "modelPreferences",
    "stopSequences",
    "systemPrompt",
    "task",
    "temperature",
    "toolChoice",
    "tools",
];
/// What a server may ask a user (`ElicitRequestParams`).
const ELICITATION: [&str; 7] =
    ["_meta", "elicitationId", "message", "mode", "requestedSchema", "task", "url"];

/// What passes if its limits can be reserved.
#[derive(Default)]
pub(crate) struct Passing<'r> {
    pub(crate) wants: Wants<'r>,
    pub(crate) hold: Option<Hold>,
    pub(crate) tried: Option<(String, String)>,
    pub(crate) stopping: Stopping,
}

/// What was decided.
pub(crate) struct Judged<'r> {
    pub(crate) outcome: Result<Passing<'r>, No>,
    pub(crate) policy: Option<String>,
    /// What is not to be seen of it.
    pub(crate) redactions: Vec<Redactions<'r>>,
}

/// The decision, in the order that the policy language fixes.
pub(crate) fn judge<'r>(
    inner: &Inner,
    in_force: Result<InForce<'r>, String>,
    ask: &'r Ask<'_>,
    history: &'r History,
    arguments: &str,
    now_ms: i64,
) -> Judged<'r> {
    let deny = |rule: &str, message: String| Err(No::new(Answer::Denied, rule, message));
    if ask.who.expired(now_ms) {
        let message = format!("The grant {} has expired.", ask.who.name());
        return Judged { outcome: deny("(no policy)", message), policy: None, redactions: Vec::new() };
    }
    let in_force = match in_force {
        Ok(in_force) => in_force,
        Err(message) => {
            return Judged { outcome: deny("(no policy)", message), policy: None, redactions: Vec::new() };
        }
    };
    let digest = in_force.policy.digest();
    let policy = Some([in_force.name, "@", digest.get(..12).unwrap_or(digest)].concat());
    let seen = Seen { history, upstream: ask.upstream };
    let of_grant = inner.grant_calls.of(ask.who.name(), ask.upstream, now_ms);
    let facts = Facts {
        risk: "",
        grant: ask.who.name(),
        labels: Some(&ask.who.grant.labels),
        client: ask.who.client_name(),
        unix_ms: Some(now_ms),
        calls: Some(&seen),
        grant_calls: Some(&of_grant),
        mode: in_force.mode,
    };
    let redactions = in_force.redactions(&ask.target());
    let outcome = match ask.subject {
        Subject::UnknownTool(name) => {
            Err(No::new(Answer::UnknownTool, "(unknown tool)", format!("Unknown tool: {name}")))
        }
        // What the policy shows to nobody is not told of either.
        Subject::Tool(tool, known)
            if let Some(withheld) = inner.pins.withholds(ask.upstream, tool, &known.fingerprint)
                && in_force.visible(&target(ask.upstream, tool, known)) =>
        {
            Err(match withheld {
                Withheld::Hidden => No::new(Answer::UnknownTool, "(hidden)", format!("Unknown tool: {tool}")),
                Withheld::Quarantined(why) => No::new(Answer::Denied, "(quarantined)", why),
                Withheld::Changed(why) => No::new(Answer::Denied, "(definition changed)", why),
            })
        }
        Subject::Task(..) => Ok(Passing::default()),
        Subject::Tool(_, known) => {
            let tool = ask.target();
            let facts = Facts { risk: known.risk.as_str(), ..facts };
            let call = Call { tool, arguments, properties: &known.properties, facts };
            judge_call(&inner.ledger, &in_force, ask, history, &known.fingerprint, &call)
        }
        Subject::Question(_, Some((rule, why))) => deny(rule, why.to_owned()),
        Subject::Other(_) | Subject::Question(..) => {
            let tool = ask.target();
            let params = ask.message.envelope.params().unwrap_or("{}");
            let arguments = if tool.kind == What::Prompt { arguments } else { params };
            let properties: &[&str] = match ask.subject {
                Subject::Question("sampling", _) => &SAMPLING,
                Subject::Question("elicitation", _) => &ELICITATION,
                _ => &[],
            };
            let call = Call { tool, arguments, properties, facts };
            judge_call(&inner.ledger, &in_force, ask, history, "", &call)
        }
    };
    Judged { outcome, policy, redactions }
}

pub(crate) fn target<'a>(upstream: &'a str, name: &'a str, tool: &Tool) -> Target<'a> {
    Target { kind: What::Tool, upstream, name, category: tool.category.as_str() }
}

fn judge_call<'r>(
    ledger: &Ledger,
    in_force: &InForce<'r>,
    ask: &'r Ask<'_>,
    history: &'r History,
    fingerprint: &str,
    call: &Call<'_, impl AsRef<str>>,
) -> Result<Passing<'r>, No> {
    let mut wants = Wants::default();
    let mut hold: Option<Hold> = None;
    let (mut tried, mut stopping) = (None, Stopping::default());
    let policies = in_force.everyone.iter().map(|policy| ("everyone", *policy));
    for (policy_name, policy) in policies.chain([(in_force.name, in_force.policy)]) {
        let due = match policy.judge(call) {
            Judgement::Deny(denial) => {
                let answer = if denial.hidden { Answer::UnknownTool } else { Answer::Denied };
                return Err(No::new(answer, denial.rule, denial.message));
            }
            Judgement::Allow(due) => due,
            Judgement::Hold(held) => {
                let hold = hold.get_or_insert_with(|| Hold {
                    bound: Bound {
                        grant: ask.who.grant.clone(),
                        upstream: ask.upstream.to_owned(),
                        tool: call.tool.name.to_owned(),
                        digest: String::new(),
                        policies: in_force.stamp(),
                        fingerprint: fingerprint.to_owned(),
                    },
                    rule: held.rule.to_owned(),
                    message: held.message.clone().into_owned(),
                    approvers: Vec::new(),
                    timeout_ms: None,
                });
                hold.approvers.extend(held.approvers().map(<[String]>::to_vec));
                hold.timeout_ms = hold.timeout_ms.into_iter().chain(held.timeout_ms()).min();
                held.due
            }
        };
        let scope = |limit: &Limit| match limit.counts {
            Counts::Identical => {
                // Whatever the order of its keys.
                let digest = ledger.arguments_digest(&canonical(call.arguments));
                format!("{} {}/{} {digest}", ask.who.name(), ask.upstream, call.tool.name).into()
            }
            Counts::Calls | Counts::Amount(_) => scope_of(limit.scope, ask, history),
        };
        for (mode, (limit, amount)) in due
            .iter()
            .map(|one| (Mode::Enforced, one))
            .chain(due.tried_limits().map(|one| (Mode::Shadow, one)))
        {
            wants.draws.push(Draw { policy: policy_name, scope: scope(limit), limit, amount, mode });
        }
        if let (Some(would), None) = (due.tried(), &tried) {
            let word = if would.outcome == Would::Held { "held for a person" } else { "denied" };
            tried = Some((would.rule.to_owned(), format!("would be {word}: {}", would.message)));
        }
        let of_policy = due.stopping();
        let sooner = match (of_policy.after_ms, stopping.after_ms) {
            (Some(own), Some(other)) => own < other,
            (own, _) => own.is_some(),
        };
        let process = stopping.process || of_policy.process;
        stopping = Stopping { process, ..if sooner { of_policy } else { stopping } };
        wants.places.extend(due.concurrent().map(|limit| Place {
            policy: policy_name,
            scope: scope_of(limit.scope, ask, history),
            limit,
        }));
    }
    Ok(Passing { wants, hold, tried, stopping })
}

/// Whose calls a limit counts together.
fn scope_of<'r>(scope: Scope, ask: &'r Ask<'_>, history: &'r History) -> Cow<'r, str> {
    match scope {
        Scope::Grant => ask.who.name().into(),
        Scope::Session => history.scope().into(),
        Scope::Upstream => format!("upstream:{}", ask.upstream).into(),
        Scope::Everyone => "*".into(),
    }
}
