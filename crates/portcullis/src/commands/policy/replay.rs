//! `portcullis policy replay`: what was recorded, judged by another policy.

mod budget;

use super::text;
use crate::cli::{PlaceArgs, ReplayArgs};
use crate::commands::ledger::time;
use crate::failure::Failure;
use crate::out::{counted, say};
use crate::place;
use budget::Budget;
use portcullis_admit::GrantCalls;
use portcullis_catalogue::{List, ListKind, Tool};
use portcullis_ledger::{Filter, query};
use portcullis_policy::{Answer, Call, Facts, Judgement, Kind, Mode, Policy, Target};
use portcullis_upstreams::definition_reading;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, from_str};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::ExitCode;

/// Judges what was recorded by another policy, and says what would have come of it.
pub(super) fn replay(place: &PlaceArgs, args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let policy = text::policy(&args.file)?;
    let data = place::data_folder(place)?;
    if !data.join(portcullis_ledger::FILE).is_file() {
        return Err(Failure::usage(format!("there is no ledger in {}", data.display())));
    }
    let filter = Filter {
        since: Some(time(&args.since)?),
        kind: Some("decision".into()),
        upstream: args.upstream.clone(),
        grant: args.grant.clone(),
        ..Filter::default()
    };
    let mut replayed = Replayed::new(&policy, Known::read(&data)?);
    query(&data, &filter, |row| {
        replayed.judge(&row);
        true
    })?;
    let Replayed { counts, changes, .. } = replayed;
    let changes: Vec<Change> = changes.into_values().collect();
    if args.json {
        let said =
            Said { policy: policy.file(), digest: policy.digest(), since: &args.since, counts, changes };
        say!("{}", serde_json::to_string(&said).map_err(|error| Failure::bug(error.to_string()))?);
    } else {
        print(&counts, &changes);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is known beside the record.
struct Known {
    tools: HashMap<(String, String), Tool>,
    labels: HashMap<String, BTreeMap<String, String>>,
}

impl Known {
    fn read(data: &Path) -> Result<Self, Failure> {
        let mut tools = HashMap::new();
        for (upstream, method, body) in portcullis_ledger::definitions(data)? {
            let list = from_str::<HashMap<&str, &RawValue>>(&body).ok().and_then(|body| {
                List::from_pages(
                    &upstream,
                    ListKind::of_method(&method)?,
                    &[body.get("list")?.get()],
                    definition_reading,
                )
                .ok()
            });
            for item in list.iter().flat_map(|list| list.items()) {
                if let Some(tool) = item.tool() {
                    tools.insert((upstream.clone(), item.key().to_owned()), tool.clone());
                }
            }
        }
        let grants = portcullis_ledger::grants(data)?.into_iter();
        Ok(Self { tools, labels: grants.map(|(_, grant)| (grant.name, grant.labels)).collect() })
    }
}

/// How many calls came out how.
#[derive(Default, Serialize)]
struct Counts {
    /// Decisions in that time.
    calls: usize,
    /// Those that come out as they did.
    same: usize,
    /// Those that do not.
    changed: usize,
    /// Those of which the record does not keep what they were called with, where it matters.
    unknown: usize,
    /// Those that no policy decided: an unknown tool, a drop, a changed definition, a look at a task.
    others: usize,
}

/// Calls that come out otherwise in the same way.
#[derive(Serialize)]
struct Change {
    from: Answer,
    to: Answer,
    rule_from: String,
    rule_to: String,
    upstream: String,
    tool: String,
    count: usize,
    /// The first of them.
    example: Example,
}

#[derive(Serialize)]
struct Example {
    n: u64,
    time: String,
    grant: String,
    args: Value,
}

#[derive(Serialize)]
struct Said<'s> {
    policy: &'s str,
    digest: &'s str,
    since: &'s str,
    #[serde(flatten)]
    counts: Counts,
    changes: Vec<Change>,
}

struct Replayed<'p> {
    policy: &'p Policy,
    known: Known,
    budget: Budget,
    /// What passes under the policy.
    grant_calls: GrantCalls,
    counts: Counts,
    changes: BTreeMap<(String, String, String, String, &'static str), Change>,
}

impl<'p> Replayed<'p> {
    fn new(policy: &'p Policy, known: Known) -> Self {
        Self {
            policy,
            known,
            budget: Budget::default(),
            grant_calls: GrantCalls::default(),
            counts: Counts::default(),
            changes: BTreeMap::new(),
        }
    }

    fn judge(&mut self, row: &Map<String, Value>) {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        self.counts.calls += 1;
        let (rule, outcome, method) = (text("rule"), text("outcome"), text("method"));
        // Whoever owns a task looks after it: that was decided with the call that made it.
        let decided = decided(outcome, rule).filter(|_| !method.starts_with("tasks/"));
        let Some(from) = decided else {
            self.counts.others += 1;
            return;
        };
        let (upstream, name, grant) = (text("upstream"), text("tool"), text("grant"));
        let kind = match method {
            // The record does not repeat it.
            "" => Kind::Tool,
            "sampling/createMessage" | "elicitation/create" | "roots/list" => Kind::ServerRequest,
            method => Kind::of_request(method, name),
        };
        let name = match kind {
            Kind::Method => method,
            Kind::ServerRequest => method.split('/').next().unwrap_or_default(),
            Kind::Tool | Kind::Resource | Kind::Prompt => name,
        };
        let known = self.known.tools.get(&(upstream.to_owned(), name.to_owned()));
        let kept = row.get("args").filter(|args| args.is_object());
        let time = text("time").parse::<jiff::Timestamp>().ok();
        let unix_ms = time.map(jiff::Timestamp::as_millisecond);
        let of_grant = self.grant_calls.of(grant, upstream, unix_ms.unwrap_or(0));
        let facts = Facts {
            risk: known.map_or("", |tool| tool.risk.as_str()),
            grant,
            labels: self.known.labels.get(grant),
            client: portcullis_admit::client_name(text("client")),
            unix_ms,
            calls: None,
            grant_calls: Some(&of_grant),
            mode: Mode::Enforced,
        };
        let category = known.map_or("", |tool| tool.category.as_str());
        let arguments = kept.map_or_else(|| "{}".to_owned(), Value::to_string);
        let properties = known.map_or(&[][..], |tool| &tool.properties);
        let tool = Target { kind, upstream, name, category };
        let call = Call { tool, arguments: &arguments, properties, facts };
        let judgement = self.policy.judge(&call);
        let used_up = match &judgement {
            Judgement::Allow(due) => self.budget.draw(due, &call, facts.unix_ms.unwrap_or(0)),
            Judgement::Hold(_) | Judgement::Deny(_) => None,
        };
        let judged_at = facts.unix_ms.unwrap_or(0);
        let (to, rule_to) = used_up.map_or_else(|| Answer::of(&judgement), |rule| (Answer::Denied, rule));
        // What a person let pass then, a person lets pass again.
        let passes = to == Answer::Allowed || (to == Answer::Held && outcome == "allowed");
        if passes && kind == Kind::Tool {
            self.grant_calls.note(grant, upstream, name, judged_at);
        }
        // What was covered or not kept may be what the rule judged.
        let covered = kept.is_none_or(|_| arguments.contains("[redacted]"));
        if covered && kind != Kind::Method && self.policy.judges_arguments(&tool) {
            self.counts.unknown += 1;
            return;
        }
        if from == to {
            self.counts.same += 1;
            return;
        }
        self.counts.changed += 1;
        let rule_from = if rule.starts_with("(shadow)") { "" } else { rule };
        let key = (upstream.to_owned(), name.to_owned(), rule_from.to_owned(), rule_to.clone(), to.as_str());
        let change = self.changes.entry(key).or_insert_with(|| Change {
            from,
            to,
            rule_from: rule_from.to_owned(),
            rule_to,
            upstream: upstream.to_owned(),
            tool: name.to_owned(),
            count: 0,
            example: Example {
                n: row.get("n").and_then(Value::as_u64).unwrap_or(0),
                time: text("time").to_owned(),
                grant: grant.to_owned(),
                args: row.get("args").cloned().unwrap_or(Value::Null),
            },
        });
        change.count += 1;
    }
}

/// What a policy decided then; `None` where something else did.
fn decided(outcome: &str, rule: &str) -> Option<Answer> {
    match (outcome, rule) {
        ("denied", "(hidden)") => Some(Answer::Hidden),
        ("denied", "(default deny)" | "(unclear address)") => Some(Answer::Denied),
        // A person refused it: the policy left it to one.
        ("denied", rule) if rule.contains("/hold_if") => Some(Answer::Held),
        ("denied", rule) if rule.starts_with('/') => Some(Answer::Denied),
        ("held", _) => Some(Answer::Held),
        // One that a person approved was held before.
        ("allowed", rule) if rule.starts_with('/') => Some(Answer::Held),
        ("allowed", _) => Some(Answer::Allowed),
        _ => None,
    }
}

fn print(counts: &Counts, changes: &[Change]) {
    for change in changes {
        let rule = |rule: &str| if rule.is_empty() { String::new() } else { format!(" by {rule}") };
        say!(
            "{} {}: {}{} → {}{}, {}",
            change.upstream,
            change.tool,
            change.from.as_str(),
            rule(&change.rule_from),
            change.to.as_str(),
            rule(&change.rule_to),
            counted(change.count, "call", "calls")
        );
        let Example { n, time, grant, args } = &change.example;
        say!("  {n}  {time}  {grant}  {args}");
    }
    let calls = counted(counts.calls, "decision", "decisions");
    say!("{calls}: {} the same, {} otherwise", counts.same, counts.changed);
    if counts.unknown > 0 {
        say!("{} cannot be told: the record does not keep what they were called with", counts.unknown);
    }
    if counts.others > 0 {
        say!(
            "{} were no policy's: unknown tools, changed definitions, drops, looks at tasks and the like",
            counts.others
        );
    }
}
