//! Approvals, revocations and the record, in orders that a seed decides: whatever comes between what, a person's yes lets one call
//! pass, no call passes for a grant after its revocation, and limits count what passed. Also over gates that are ended at any place
//! and started again.

use crate::points::seeded::{begin, choose, trace};
use crate::{
    Admit, Ask, Decider, End, Entries, Grants, Loaded, Message, Principal, Recipient, Rules, State, Subject,
    Unseen,
};
use portcullis_catalogue::Tool;
use portcullis_ledger::{Draft, Grant, Keep, Kind, Ledger, audit, now_ms};
use portcullis_policy::Policy;
use portcullis_runs::Drops;
use portcullis_wire::{Envelope, Era, Id};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::JoinSet;

const POLICY: &str = "version: \"2\"\ndefault: deny\ntools:\n  pay:\n    hold_if: [{ conditions: [{ path: args.to, op: exists, value: true }], on_hold: ask }]\n    limits: [{ counter: paid, window: day, max: 1000, scope: grant }]\n";

fn grant(name: &str) -> Grant {
    Grant {
        name: name.into(),
        upstreams: [("*".to_owned(), "p".to_owned())].into(),
        labels: BTreeMap::default(),
        expires: None,
        created: 0,
        approver: false,
        shadow: false,
    }
}

fn grants(names: &[&str]) -> Grants {
    Grants::new((0u8..).zip(names).map(|(n, name)| ([n; 32], grant(name))))
}

fn said(message: &str) -> portcullis_ledger::Written {
    Draft { message: Some(message), ..Draft::of(Kind::Admin) }.write()
}

async fn open(folder: &Path, names: &[&str]) -> Admit {
    let policy = Policy::parse("p.yaml", POLICY).unwrap();
    let policies = [("p".to_owned(), Loaded::Good(policy.into()))].into();
    let ledger = Ledger::open(folder).unwrap();
    let admit = Admit::new(ledger, Rules { policies, ..Rules::default() }, Drops::of(folder)).unwrap();
    let entries: Entries = [("bank".into(), 1)].into();
    let now = grants(names);
    admit.put_in_force(|it| (it.grants, it.entries) = (now.into(), entries.into()));
    admit.resume_approvals().unwrap();
    admit.ledger().append(said("the gate started"), Vec::new(), Keep::Process).await.unwrap();
    admit
}

/// Makes the same call a few times, as agents do that are told to wait.
async fn pay(admit: Admit, name: &'static str, to: u64, runs: Arc<AtomicU64>) {
    let tool = Tool::read(r#"{"name":"pay"}"#, &Default::default());
    let who = Principal { grant: grant(name).into(), client: "".into(), history: None };
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"pay","arguments":{{"to":{to}}}}}}}"#
    );
    for _ in 0..4 {
        let run = format!("r_{}", runs.fetch_add(1, Ordering::Relaxed));
        let ask = Ask {
            who: &who,
            upstream: "bank",
            run: &run,
            request: &Id::from(1),
            message: Message {
                envelope: Envelope::request(text.clone().into()).unwrap(),
                headers: Vec::new(),
            },
            subject: Subject::Tool("pay", &tool),
            to: Recipient { era: Era::Old, forward_meta: &Default::default(), entry: Some(1) },
        };
        if let Ok((_, ticket)) = admit.judge(ask, now_ms()).await {
            ticket.close(&End::Answered { error: false });
        }
        tokio::task::yield_now().await;
    }
}

/// Decides whatever waits.
async fn decide(admit: Admit) {
    for _ in 0..12 {
        let waiting: Vec<String> = admit
            .approvals()
            .list()
            .into_iter()
            .filter(|it| it.state == State::Waiting)
            .map(|it| it.id)
            .collect();
        if let Some(id) = waiting.get(usize::try_from(choose(3)).unwrap()) {
            let yes = choose(4) > 0;
            let _ = admit.decide(id, Decider::Operator("me"), yes, None, Unseen::Accept).await;
        }
        tokio::task::yield_now().await;
    }
}

/// Takes a grant away, as the gate does: out of what is in force, and in the record when nobody is judged by it any more.
async fn revoke(admit: Admit) {
    for _ in 0..choose(30) {
        tokio::task::yield_now().await;
    }
    let rest = grants(&["a"]);
    let before = admit.put_in_force(|it| it.grants = rest.into());
    Admit::is_over(before).await;
    admit.ledger().append(said("the grant b was revoked"), Vec::new(), Keep::Disk).await.unwrap();
}

/// One schedule: three gates one after the other, each ended at any place.
async fn schedule(seed: u64) {
    begin(seed);
    let folder = tempfile::tempdir().unwrap();
    let runs = Arc::new(AtomicU64::new(0));
    let mut names: &[&str] = &["a", "b"];
    for life in 0..3 {
        let admit = open(folder.path(), names).await;
        let mut tasks = JoinSet::new();
        for (name, to) in [("a", 1), ("a", 1), ("a", 2), ("b", 1), ("b", 1)] {
            tasks.spawn(pay(admit.clone(), name, to, runs.clone()));
        }
        tasks.spawn(decide(admit.clone()));
        tasks.spawn(decide(admit.clone()));
        if life == 1 {
            tasks.spawn(revoke(admit.clone()));
            names = &["a"];
        }
        // The last one may finish.
        let turns = if life == 2 { 100_000 } else { choose(400) };
        for _ in 0..turns {
            if tasks.is_empty() {
                break;
            }
            while tasks.try_join_next().is_some() {}
            tokio::task::yield_now().await;
        }
        tasks.shutdown().await;
        // What was revoked is out of force before it is recorded, so it must be in the record before the next gate starts.
        if life == 1 {
            revoke(admit.clone()).await;
        }
        admit.ledger().close().await;
    }
    let found = audit(folder.path()).unwrap();
    assert!(found.ok, "seed {seed}: {:?}\n{:?}", found.findings, trace());
    assert!(found.approved <= found.calls, "seed {seed}");
    let ledger = Ledger::open(folder.path()).unwrap();
    let counted: u64 = ledger.counters().unwrap().iter().filter_map(|row| row.used.parse::<u64>().ok()).sum();
    assert!(
        counted >= found.calls,
        "seed {seed}: {} passed, {counted} are counted\n{:?}",
        found.calls,
        trace()
    );
    ledger.close().await;
}

fn schedules(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(schedule(seed));
    }
}

#[test]
fn a_yes_lets_one_call_pass_in_whatever_order_things_happen() {
    schedules(1..60);
}

#[test]
#[ignore = "runs for minutes"]
fn a_yes_lets_one_call_pass_in_many_orders() {
    schedules(1..3000);
}
