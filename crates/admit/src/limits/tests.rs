use super::*;
use portcullis_policy::{Call, Facts, Judgement, Policy, Target};

fn policy() -> Policy {
    Policy::parse(
        "p.json",
        r#"{"version":"1","default":"deny","tools":{"a":{"limits":[
            {"counter":"shared","window":"minute","max":3,"scope":"grant"},
            {"counter":"own","window":"hour","max":2,"scope":"grant"}]},
          "b":{"limits":[{"counter":"shared","window":"minute","max":3,"scope":"grant"}]}}}"#,
    )
    .unwrap()
}

fn draws<'p>(policy: &'p Policy, counters: &[&str]) -> Vec<Draw<'p>> {
    let draw = |name: &&str| Draw {
        policy: "p",
        scope: "me".into(),
        limit: policy.limits().find(|limit| limit.counter == **name).unwrap(),
        amount: Decimal::ONE,
        mode: Mode::Enforced,
    };
    counters.iter().map(draw).collect()
}

#[test]
fn all_limits_are_reserved_or_none() {
    let (policy, counters) = (policy(), Counters::default());
    for _ in 0..2 {
        counters.reserve(&draws(&policy, &["shared", "own"]), &[], 1000).unwrap();
    }
    let exceeded = counters.reserve(&draws(&policy, &["shared", "own"]), &[], 1000).unwrap_err();
    assert_eq!(exceeded.resets_at, Some(3_600_000));
    assert!(exceeded.message.contains("2 per hour (own)"), "{}", exceeded.message);
    // The refused call drew nothing from the shared counter: one is left, then none.
    counters.reserve(&draws(&policy, &["shared"]), &[], 1000).unwrap();
    assert!(counters.reserve(&draws(&policy, &["shared"]), &[], 1000).is_err());
}

#[test]
fn a_counter_that_two_limits_name_counts_a_call_once() {
    let text = r#"{"version":"1","default":"allow",
        "all_tools":{"limits":[{"counter":"all","window":"minute","max":3,"scope":"grant"}]},
        "tools":{"a":{"limits":[{"counter":"all","window":"minute","max":2,"scope":"grant","refund":"on_error"}]}}}"#;
    let (policy, counters) = (Policy::parse("p.json", text).unwrap(), Counters::default());
    let draw =
        |limit| Draw { policy: "p", scope: "me".into(), limit, amount: Decimal::ONE, mode: Mode::Enforced };
    let both: Vec<_> = policy.limits().map(draw).collect();
    for used in ["1", "2"] {
        let (reserved, rows) = counters.reserve(&both, &[], 1000).unwrap();
        assert_eq!(rows.iter().map(|row| &*row.used).collect::<Vec<_>>(), [used]);
        // One of the two limits keeps what ends in an error.
        assert!(counters.refund(&reserved.drawn, true).is_empty());
    }
    assert_eq!(counters.reserve(&both, &[], 1000).unwrap_err().rule, "/tools/a/limits/0");
    let one: Vec<_> = policy.limits().take(1).map(draw).collect();
    assert_eq!(counters.reserve(&one, &[], 1000).unwrap().1.first().unwrap().used, "3");
}

#[test]
fn windows_survive_a_clock_that_is_set_by_a_year_in_either_direction() {
    const NOW: i64 = 1_796_083_200_000;
    const YEAR: i64 = 365 * 86_400_000;
    let policy = policy();
    let uses = |counters: &Counters, now| {
        (0..9).take_while(|_| counters.reserve(&draws(&policy, &["shared"]), &[], now).is_ok()).count()
    };
    // Back: no window is opened anew, and none stays used up for a year.
    let counters = Counters::default();
    counters.reserve(&draws(&policy, &["shared"]), &[], NOW).unwrap();
    counters.clock_was_set(Jump { from: NOW, to: NOW - YEAR });
    assert_eq!(uses(&counters, NOW - YEAR), 2);
    assert_eq!(uses(&counters, NOW - YEAR + 60_000), 3);
    // Ahead for a while: what was used before is still used, what was used in that time is not.
    let counters = Counters::default();
    counters.reserve(&draws(&policy, &["shared"]), &[], NOW).unwrap();
    counters.clock_was_set(Jump { from: NOW, to: NOW + YEAR });
    assert_eq!((uses(&counters, NOW + YEAR), uses(&counters, NOW + YEAR + 60_000)), (3, 3));
    counters.clock_was_set(Jump { from: NOW + YEAR + 60_000, to: NOW + 1000 });
    assert_eq!(uses(&counters, NOW + 1000), 2);
    assert_eq!(uses(&counters, NOW + 60_000), 3);
    // A restart in that time: what is kept says more than is true, and not for longer than a window.
    let rows = vec![CounterRow {
        key: draws(&policy, &["shared"])[0].key(),
        window_start: NOW + YEAR,
        used: "3".into(),
        version: 1,
    }];
    let counters = Counters::new(rows, NOW).unwrap();
    assert_eq!((uses(&counters, NOW), uses(&counters, NOW + 60_000)), (0, 3));
}

#[test]
fn a_window_begins_anew_and_a_refund_stays_in_its_own() {
    let (policy, counters) = (policy(), Counters::default());
    let (reserved, _) = counters.reserve(&draws(&policy, &["shared"]), &[], 59_000).unwrap();
    let (_, rows) = counters.reserve(&draws(&policy, &["shared"]), &[], 61_000).unwrap();
    assert_eq!(rows.first().unwrap().used, "1");
    assert!(counters.refund(&reserved.drawn, false).is_empty());
}

#[test]
fn a_clock_set_back_opens_no_window() {
    let (policy, counters) = (policy(), Counters::default());
    for _ in 0..3 {
        counters.reserve(&draws(&policy, &["shared"]), &[], 125_000).unwrap();
    }
    assert!(counters.reserve(&draws(&policy, &["shared"]), &[], 59_000).is_err());
}

#[test]
fn counters_go_on_where_they_were_kept() {
    let (policy, counters) = (policy(), Counters::default());
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept = counters.reserve(&draws(&policy, &["shared"]), &[], 1000).unwrap().1;
    }
    let again = Counters::new(kept, 2000).unwrap();
    assert!(again.reserve(&draws(&policy, &["shared"]), &[], 2000).is_err());
    assert!(again.reserve(&draws(&policy, &["shared"]), &[], 61_000).is_ok());
}

/// Two calls at a time, and three a day.
fn two_at_a_time() -> Policy {
    let text = r#"{"version":"2","default":"deny","tools":{"a":{"limits":[
        {"concurrent":2,"scope":"everyone"},{"counter":"c","window":"day","max":3,"scope":"grant"}]}}}"#;
    Policy::parse("p.json", text).unwrap()
}

fn places(policy: &Policy) -> Vec<Place<'_>> {
    let call =
        Call { tool: Target::named("a"), arguments: "{}", properties: &[""; 0], facts: Facts::default() };
    let Judgement::Allow(due) = policy.judge(&call) else { panic!("it is denied") };
    let limits = due.concurrent().collect::<Vec<_>>();
    limits.into_iter().map(|limit| Place { policy: "p", scope: "*".into(), limit }).collect()
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_given_up_counts_beside_those_that_run_for_a_minute() {
    let (policy, counters) = (two_at_a_time(), Counters::default());
    let take = || counters.reserve(&[], &places(&policy), 1000).map(|it| it.0.places.unwrap());
    for round in ["first", "second"] {
        // Four in all: two were given up, and two run.
        for _ in 0..2 {
            take().unwrap().linger();
        }
        let run = [take().unwrap(), take().unwrap()];
        let full = take().unwrap_err();
        assert!(!full.message.contains("given up"), "{}", full.message);
        drop(run);
        let run = [take().unwrap(), take().unwrap()];
        run[0].clone().linger();
        // One that is given up frees no place beyond those.
        let over = take().unwrap_err();
        assert!(over.message.contains("3 were given up a moment ago"), "{round}: {}", over.message);
        drop(run);
        tokio::time::sleep(LINGERS + Duration::from_secs(1)).await;
        let table = counters.table.lock();
        assert!(table.running.is_empty() && table.lingering.is_empty(), "{round}: {table:?}");
    }
}

#[test]
fn places_are_free_again_when_the_last_who_holds_them_is_gone() {
    let (policy, counters) = (two_at_a_time(), Counters::default());
    let take = || counters.reserve(&draws(&policy, &["c"]), &places(&policy), 1000);
    let (first, second) = (take().unwrap().0, take().unwrap().0);
    let full = take().unwrap_err();
    assert_eq!((full.rule.as_str(), full.resets_at), ("/tools/a/limits/0", None));
    let held = first.places.clone();
    drop(first);
    // A refused call draws nothing from the counter beside it.
    assert!(take().is_err());
    drop(held);
    assert_eq!(take().unwrap().1.first().unwrap().used, "3");
    drop(second);
}

#[test]
fn counters_of_windows_that_are_over_are_let_go_of() {
    let (policy, counters) = (policy(), Counters::default());
    for n in 0..3000 {
        let mut wants = draws(&policy, &["shared"]);
        wants.first_mut().unwrap().scope = format!("{n}").into();
        counters.reserve(&wants, &[], 10_000_000 + n * 60_000).unwrap();
    }
    assert!(counters.table.lock().counted.len() < 1100, "{}", counters.table.lock().counted.len());
}
