//! Judge, reserve, record, and only then a permit.

use crate::Principal;
use crate::approvals::{Approvals, Bound, State};
use crate::limits::{Counters, Draw, Exceeded, Reserved};
use crate::permit::{Message, Permit};
use crate::person::Hold;
use crate::pins::{Pins, Withheld};
use crate::rules::{InForce, Rules};
use crate::ticket::Ticket;
use arc_swap::ArcSwap;
use portcullis_catalogue::{Risk, Tool};
use portcullis_ledger::{CounterRow, Draft, Failure, Kind, Ledger, Outcome};
use portcullis_policy::{Call, Judgement, Target};
use portcullis_runs::Drops;
use portcullis_wire::Id;
use std::sync::Arc;

const DECISION: Draft<'static> = Draft::of(Kind::Decision);

/// The judge. Clones share everything.
#[derive(Debug, Clone)]
pub struct Admit(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ledger: Ledger,
    counters: Counters,
    pub(crate) rules: ArcSwap<Rules>,
    drops: Drops,
    pins: Pins,
    pub(crate) approvals: Approvals,
    /// One decision at a time.
    pub(crate) deciding: tokio::sync::Mutex<()>,
}

/// A request to be judged.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub who: &'a Principal,
    /// For which upstream.
    pub upstream: &'a str,
    /// As which run.
    pub run: &'a str,
    /// The client's request id.
    pub request: &'a Id,
    /// What would be sent, under the upstream's own names.
    pub message: Message,
    /// What it is about.
    pub subject: Subject<'a>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A tool that the upstream lists.
    Tool(&'a str, &'a Tool),
    /// A tool that the upstream does not list.
    UnknownTool(&'a str),
    /// A task that the asker owns, by the tool that made it. The call that made it was judged; to look after it
    /// is part of that.
    Task(&'a str),
    /// Anything else: the prompt, the resource, or nothing.
    Other(&'a str),
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// How it is to be answered.
    pub answer: Answer,
    /// The rule that decided.
    pub rule: String,
    /// Why, for the agent.
    pub message: String,
    /// Number of the row; absent where none could be written.
    pub row: Option<u64>,
    /// When trying again may help, in milliseconds from now.
    pub retry_after_ms: Option<i64>,
    /// What a person has to decide, where that is why.
    pub approval: Option<String>,
}

/// How a request that does not pass is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The policy denies it.
    Denied,
    /// A person has to decide.
    Held,
    /// Byte for byte as if the tool did not exist.
    UnknownTool,
    /// The operator dropped it.
    Dropped,
    /// The gate cannot record, so nothing passes.
    NotRecorded,
}

/// Why a request does not pass, before it is recorded.
pub(crate) struct No {
    pub(crate) answer: Answer,
    pub(crate) rule: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<i64>,
    pub(crate) approval: Option<String>,
    /// Counters that moved although it does not pass: what waits is charged already.
    pub(crate) rows: Vec<CounterRow>,
}

impl No {
    pub(crate) fn new(answer: Answer, rule: &str, message: impl Into<String>) -> Self {
        let (rule, message) = (rule.to_owned(), message.into());
        Self { answer, rule, message, retry_after_ms: None, approval: None, rows: Vec::new() }
    }

    pub(crate) fn over(exceeded: Exceeded, now_ms: i64) -> Self {
        let retry_after_ms = Some(exceeded.resets_at.saturating_sub(now_ms));
        Self { retry_after_ms, ..Self::new(Answer::Denied, &exceeded.rule, exceeded.message) }
    }
}

/// What passes if its limits can be reserved.
struct Passing<'r> {
    draws: Vec<Draw<'r>>,
    hold: Option<Hold>,
}

/// What passes, and who said so where somebody had to.
pub(crate) struct Passed {
    pub(crate) reserved: Vec<Reserved>,
    pub(crate) rows: Vec<CounterRow>,
    /// The rule, and what a person said.
    pub(crate) said: Option<(String, String)>,
}

struct Judged<'r> {
    outcome: Result<Passing<'r>, No>,
    policy: Option<String>,
}

impl Admit {
    /// A judge over a ledger. Counters go on where they were kept. What `drops` holds is denied whatever the policy says.
    ///
    /// # Errors
    /// Where the counters cannot be read.
    pub fn new(ledger: Ledger, rules: Rules, drops: Drops) -> Result<Self, Failure> {
        let counters = Counters::new(ledger.counters()?).map_err(Failure::Read)?;
        let pins = Pins::of(ledger.clone())?;
        Ok(Self(Arc::new(Inner {
            ledger,
            counters,
            rules: ArcSwap::from_pointee(rules),
            drops,
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

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Arc<Rules> {
        self.0.rules.load_full()
    }

    /// Puts other rules in force, for every request from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.0.rules.store(Arc::new(rules));
    }

    /// Whether a principal may see a tool in lists. The same rule as for calling it: what could never be
    /// called is never listed, nor what waits for a person.
    #[must_use]
    pub fn lists(&self, who: &Principal, upstream: &str, name: &str, tool: &Tool) -> bool {
        let rules = self.0.rules.load();
        let target = target(upstream, name, tool);
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.visible(&target))
            && self.0.pins.withholds(upstream, name, &tool.fingerprint).is_none()
    }

    /// Whether what is not a tool call passes for a principal at an upstream: version 1 of the policy
    /// language has no words for it and follows its default.
    #[must_use]
    pub fn passes_other(&self, who: &Principal, upstream: &str) -> bool {
        let rules = self.0.rules.load();
        rules.in_force(&who.grant, upstream).is_ok_and(|in_force| in_force.default_allows())
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
        let rules = self.0.rules.load_full();
        let message = ask.message.clone();
        let arguments = message.envelope.peek().arguments.unwrap_or("{}");
        let mut judged = judge(&rules, &self.0.pins, &ask, arguments, now_ms);
        if let Some(why) = self.0.drops.holds(ask.who.name(), ask.upstream) {
            judged.outcome = Err(No::new(Answer::Dropped, "(dropped)", why));
        }
        let digest = self.0.ledger.arguments_digest(arguments);
        let kept = rules.values.keep(arguments);
        let request = ask.request.to_json();
        let (name, is_tool) = match ask.subject {
            Subject::Tool(name, ..) | Subject::UnknownTool(name) => (name, true),
            Subject::Task(name) | Subject::Other(name) => (name, false),
        };
        let method = ask.message.envelope.method().filter(|_| !is_tool);
        let draft = Draft {
            grant: Some(ask.who.name()),
            client: (!ask.who.client.is_empty()).then_some(&*ask.who.client),
            upstream: Some(ask.upstream),
            method,
            tool: (!name.is_empty()).then_some(name),
            request: Some(&request),
            run: Some(ask.run),
            policy: judged.policy.as_deref(),
            args_digest: Some(&digest),
            args: kept.as_deref(),
            ..Draft::of(Kind::Decision)
        };
        let outcome = judged.outcome.and_then(|Passing { draws, hold }| {
            let reserve = || self.0.counters.reserve(&draws, now_ms);
            match hold {
                Some(hold) => self.ask_a_person(&rules, hold, arguments, now_ms, reserve),
                None => reserve()
                    .map(|(reserved, rows)| Passed { reserved, rows, said: None })
                    .map_err(|exceeded| No::over(exceeded, now_ms)),
            }
        });
        match outcome {
            Ok(Passed { reserved, rows, said }) => {
                let (rule, message) = said.as_ref().map(|(rule, message)| (&**rule, &**message)).unzip();
                let draft = Draft { outcome: Some(Outcome::Allowed), rule, message, ..draft };
                let row = draft.write();
                let risk = match ask.subject {
                    Subject::Tool(_, tool) => tool.risk,
                    Subject::UnknownTool(_) | Subject::Task(_) | Subject::Other(_) => Risk::High,
                };
                match self.0.ledger.append(row, rows, rules.durability.keep(risk)).await {
                    Ok(row) => {
                        let about = crate::ticket::About {
                            grant: ask.who.name().to_owned(),
                            upstream: ask.upstream.to_owned(),
                            method: method.map(str::to_owned),
                            name: name.to_owned(),
                            run: ask.run.to_owned(),
                            request: request.into_owned(),
                            digest,
                        };
                        let ticket = Ticket::new(self.clone(), row, reserved, about);
                        Ok((Permit::new(ask.message), ticket))
                    }
                    Err(failure) => {
                        self.give_back(&reserved, false);
                        Err(not_recorded(&failure))
                    }
                }
            }
            Err(No { answer, rule, message, retry_after_ms, approval, rows }) => {
                let outcome = if answer == Answer::Held { Outcome::Held } else { Outcome::Denied };
                let row =
                    Draft { outcome: Some(outcome), rule: Some(&rule), message: Some(&message), ..draft };
                // A denial sends nothing out, so it need not be on the disk before it is answered.
                let row = self.0.ledger.append(row.write(), rows, portcullis_ledger::Keep::Process).await;
                if let (Some(id), Err(failure)) = (&approval, &row) {
                    // What nobody could see in the record is not decided either.
                    if let Some((_, reserved)) = self.0.approvals.settle(id, State::Void, None, None) {
                        self.give_back(&reserved, false);
                    }
                    return Err(not_recorded(failure));
                }
                Err(Denied { answer, rule, message, row: row.ok(), retry_after_ms, approval })
            }
        }
    }

    /// Records a request that was not acceptable at all.
    pub async fn refused(
        &self,
        who: &Principal,
        upstream: Option<&str>,
        request: Option<&Id>,
        message: &str,
    ) {
        self.turned_away(who, upstream, request, "(malformed)", message).await;
    }

    /// Records a request that something else than the policy turned away before it was judged: `rule` names it.
    pub async fn turned_away(
        &self,
        who: &Principal,
        upstream: Option<&str>,
        request: Option<&Id>,
        rule: &str,
        message: &str,
    ) {
        let draft = Draft { upstream, outcome: Some(Outcome::Refused), rule: Some(rule), ..DECISION };
        self.record(who, request, message, draft).await;
    }

    /// Records a request for something that no upstream has.
    pub async fn unknown(&self, who: &Principal, method: &str, name: &str, request: &Id, message: &str) {
        let (method, rule) = match method {
            "tools/call" => (None, "(unknown tool)"),
            other => (Some(other), "(unknown)"),
        };
        let tool = (!name.is_empty()).then_some(name);
        let draft = Draft { method, tool, outcome: Some(Outcome::Denied), rule: Some(rule), ..DECISION };
        self.record(who, Some(request), message, draft).await;
    }

    /// Records a request whose upstream cannot be used at present.
    pub async fn unavailable(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        message: &str,
    ) {
        let draft = unjudged(upstream, name, Outcome::Error, "(upstream down)");
        self.record(who, Some(request), message, draft).await;
    }

    /// Records a request that is dropped before its upstream was even looked for. Gives the number of the row.
    pub async fn dropped(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        message: &str,
    ) -> Option<u64> {
        let draft = unjudged(upstream, name, Outcome::Denied, "(dropped)");
        self.record(who, Some(request), message, draft).await
    }

    /// Records a request that was cancelled before it was judged. Whoever stopped it knows it by its run.
    pub async fn cancelled(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        run: &str,
        message: &str,
    ) {
        let draft = Draft { run: Some(run), ..unjudged(upstream, name, Outcome::Cancelled, "(cancelled)") };
        self.record(who, Some(request), message, draft).await;
    }

    async fn record(
        &self,
        who: &Principal,
        request: Option<&Id>,
        message: &str,
        draft: Draft<'_>,
    ) -> Option<u64> {
        let request = request.map(Id::to_json);
        let draft = Draft {
            grant: Some(who.name()),
            client: (!who.client.is_empty()).then_some(&*who.client),
            request: request.as_deref(),
            message: Some(message),
            ..draft
        };
        // Where it cannot be written nothing passes anyway, and the writer has said so.
        self.0.ledger.append(draft.write(), Vec::new(), portcullis_ledger::Keep::Process).await.ok()
    }

    /// Gives reservations back. The counters' rows travel with the row that the caller writes.
    pub(crate) fn give_back(&self, reserved: &[Reserved], only_on_error: bool) -> Vec<CounterRow> {
        if reserved.is_empty() { Vec::new() } else { self.0.counters.refund(reserved, only_on_error) }
    }
}

/// The row of a request that came to a known upstream and was never judged.
fn unjudged<'a>(upstream: &'a str, name: &'a str, outcome: Outcome, rule: &'a str) -> Draft<'a> {
    let tool = (!name.is_empty()).then_some(name);
    Draft { upstream: Some(upstream), tool, outcome: Some(outcome), rule: Some(rule), ..DECISION }
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

/// The decision, in the order that the policy language fixes.
fn judge<'r>(rules: &'r Rules, pins: &Pins, ask: &'r Ask<'_>, arguments: &str, now_ms: i64) -> Judged<'r> {
    let deny = |rule: &str, message: String| Err(No::new(Answer::Denied, rule, message));
    if ask.who.expired(now_ms) {
        let message = format!("The grant {} has expired.", ask.who.name());
        return Judged { outcome: deny("(no policy)", message), policy: None };
    }
    let in_force = match rules.in_force(&ask.who.grant, ask.upstream) {
        Ok(in_force) => in_force,
        Err(message) => return Judged { outcome: deny("(no policy)", message), policy: None },
    };
    let digest = in_force.policy.digest();
    let policy = Some(format!("{}@{}", in_force.name, digest.get(..12).unwrap_or(digest)));
    let outcome = match ask.subject {
        Subject::UnknownTool(name) => {
            Err(No::new(Answer::UnknownTool, "(unknown tool)", format!("Unknown tool: {name}")))
        }
        // What the policy shows to nobody is not told of either.
        Subject::Tool(tool, known)
            if in_force.visible(&target(ask.upstream, tool, known))
                && let Some(withheld) = pins.withholds(ask.upstream, tool, &known.fingerprint) =>
        {
            Err(match withheld {
                Withheld::Hidden => No::new(Answer::UnknownTool, "(hidden)", format!("Unknown tool: {tool}")),
                Withheld::Quarantined(why) => No::new(Answer::Denied, "(quarantined)", why),
                Withheld::Changed(why) => No::new(Answer::Denied, "(definition changed)", why),
            })
        }
        Subject::Tool(tool, known) => judge_tool(&in_force, ask, tool, known, arguments),
        Subject::Task(_) => Ok(Passing { draws: Vec::new(), hold: None }),
        Subject::Other(_) if in_force.default_allows() => Ok(Passing { draws: Vec::new(), hold: None }),
        Subject::Other(_) => {
            let method = ask.message.envelope.method().unwrap_or_default();
            deny("(default deny)", format!("The method {method} is not permitted by policy."))
        }
    };
    Judged { outcome, policy }
}

fn target<'a>(upstream: &'a str, name: &'a str, tool: &Tool) -> Target<'a> {
    Target { upstream, name, category: tool.category.as_str() }
}

fn judge_tool<'r>(
    in_force: &InForce<'r>,
    ask: &'r Ask<'_>,
    tool: &str,
    known: &Tool,
    arguments: &str,
) -> Result<Passing<'r>, No> {
    let call = Call { tool: target(ask.upstream, tool, known), arguments, properties: &known.properties };
    let mut draws = Vec::new();
    let mut hold: Option<Hold> = None;
    let policies = in_force.everyone.iter().map(|policy| ("everyone", *policy));
    for (name, policy) in policies.chain([(in_force.name, in_force.policy)]) {
        let due = match policy.judge(&call) {
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
                        tool: tool.to_owned(),
                        digest: String::new(),
                        policies: in_force.stamp(),
                        fingerprint: known.fingerprint.clone(),
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
        let scope = ask.who.name();
        draws.extend(due.iter().map(|(limit, amount)| Draw { policy: name, scope, limit, amount }));
    }
    Ok(Passing { draws, hold })
}
