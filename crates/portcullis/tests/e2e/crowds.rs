//! Many at once: fifty services, a hundred calls again and again, a flood of output. The short forms run always; the long
//! ones are what the bars are measured with.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, Session, fixture, messages, text};
use portcullis_runs::Process;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static IDS: AtomicU64 = AtomicU64::new(10_000);

fn with_services(services: &str, more: &str) -> House {
    let upstreams = format!(
        "  services: {{ builtin: services, config: services.yaml }}\n  own: {{ command: {:?}, args: [stdio, --extra, --era, old] }}",
        fixture()
    );
    let house = House::plan(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    std::fs::write(house.folder.path().join("services.yaml"), format!("services:\n{services}")).unwrap();
    house
}

async fn call(session: &Session<'_>, tool: &str, arguments: Value) -> Value {
    let answer = session.call(IDS.fetch_add(1, Ordering::Relaxed), tool, arguments).await;
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"]["structuredContent"].clone()
}

/// Three processes each: one that ends when it is asked, one that ignores that, and one in a session of its own.
async fn fifty_services() -> Duration {
    let services: String = (0..50)
        .map(|n| {
            format!(
                "  s{n}: {{ command: \"(trap '' TERM HUP INT; exec sleep 1000) & setsid sleep 1000 & exec sleep 1000\" }}\n"
            )
        })
        .collect();
    let mut house = with_services(&services, "ledger: { durability: process }");
    house.up();
    let session = house.session("/mcp/services").await;
    let started = call(&session, "start_all_servers", json!({ "wait": 60 })).await;
    assert_eq!(started["counts"], json!({ "running": 50 }), "{started}");
    let until = Instant::now() + PATIENCE;
    let members = loop {
        let all = portcullis_runs::processes();
        let own: Vec<Process> = all
            .into_iter()
            .filter(|it| it.environment("PORTCULLIS_RUN").is_some())
            .filter_map(|it| Process::of(it.pid))
            .filter(|it| it.command == "sleep 1000")
            .collect();
        if own.len() >= 150 {
            break own;
        }
        assert!(Instant::now() < until, "only {}", own.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let ran = |result: &Value| Process::of(i32::try_from(result["pid"].as_i64().unwrap()).unwrap()).unwrap();
    let leaders: Vec<Process> = started["results"].as_array().unwrap().iter().map(ran).collect();
    // Other tests of this machine have such processes too: only those whose session or parent is one of ours count.
    let ours: Vec<&Process> = members
        .iter()
        .filter(|it| leaders.iter().any(|leader| it.kin.session == leader.pid || it.kin.parent == leader.pid))
        .collect();
    assert_eq!(ours.len(), 150, "{ours:?}");

    let began = Instant::now();
    let stopped = call(&session, "stop_all_servers", json!({ "grace": 2 })).await;
    let took = began.elapsed();
    let living: Vec<_> = ours.iter().filter(|it| it.lives()).collect();
    assert!(living.is_empty(), "{living:?} live, although {}", stopped["counts"]);
    assert_eq!(stopped["counts"], json!({ "stopped": 50 }), "{stopped}");
    for result in stopped["results"].as_array().unwrap() {
        assert_eq!(result["before"].as_array().unwrap().len(), 3, "{result}");
    }
    took
}

#[tokio::test]
async fn fifty_services_of_three_processes_are_stopped_with_a_verdict_each() {
    println!("{:?}", fifty_services().await);
}

#[tokio::test]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn fifty_services_are_stopped_within_the_grace_and_two_seconds() {
    for _ in 0..10 {
        let took = fifty_services().await;
        println!("{took:?}");
        assert!(took <= Duration::from_secs(4), "{took:?}");
    }
}

/// With a hundred calls in flight at one server and some at others: whatever ends them ends exactly those.
async fn a_hundred_calls(rounds: usize) {
    let server = format!("{{ command: {:?}, args: [stdio, --extra, --era, old] }}", fixture());
    let upstreams = format!("  a: {server}\n  b: {server}");
    let more = "ledger: { durability: process }\nlimits: { sessions_per_grant: 1000 }";
    let mut house = House::plan(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    house.up();
    let (a, b, other) =
        tokio::join!(house.session("/mcp/a"), house.session("/mcp/b"), house.session("/mcp/a"));
    let (house, a, b, other) = (&house, &a, &b, &other);
    let delay = |id: u64, ms: u64| {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": { "name": "delay", "arguments": { "ms": ms, "label": id.to_string() } } })
    };
    // These see all rounds go by.
    let pid = rustix::process::Pid::as_raw_nonzero(house.pid());
    let watching: Vec<u64> = (0..5).map(|_| IDS.fetch_add(1, Ordering::Relaxed)).collect();
    let unharmed =
        futures_util::future::join_all(watching.iter().map(|id| b.post(delay(*id, 3_600_000).to_string())));
    let work = async {
        for round in 0..rounds {
            let ids: Vec<u64> = (0..100).map(|_| IDS.fetch_add(1, Ordering::Relaxed)).collect();
            let calls =
                futures_util::future::join_all(ids.iter().map(|id| async move {
                    messages(&a.post(delay(*id, 3_600_000).to_string()).await.1).pop()
                }));
            let ends = async {
                let until = Instant::now() + PATIENCE;
                while house.status()["runs"] != 100 + watching.len() {
                    assert!(Instant::now() < until, "{}", house.status()["runs"]);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                match round % 4 {
                    // Each by its client.
                    0 | 1 => {
                        let each = ids.iter().map(|id| async move {
                            let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
                            assert_eq!(a.post(note.to_string()).await.0, 202);
                        });
                        futures_util::future::join_all(each).await;
                        None
                    }
                    // All of them by the operator.
                    2 => {
                        let (code, said, err) =
                            house.run(&["runs", "stop", "--kind", "call", "--upstream", "a", "--json"]);
                        assert!(code == 1 && said.lines().count() == 101, "{said}{err}");
                        Some("-31410")
                    }
                    // By force: the server itself goes.
                    _ => {
                        let (code, said, err) =
                            house.run(&["runs", "stop", "--upstream", "a", "--grace", "1s", "--json"]);
                        assert!(code == 0 && said.lines().count() == 102, "{said}{err}");
                        Some("-31410")
                    }
                }
            };
            let (answers, expected) = tokio::join!(calls, ends);
            for answer in answers {
                let code = answer.as_ref().map(|answer| answer["error"]["code"].to_string());
                assert_eq!(code.as_deref(), expected, "round {round}: {answer:?}");
            }
            // The others work, also those of the same server.
            let until = Instant::now() + PATIENCE;
            for session in [b, other] {
                let id = IDS.fetch_add(1, Ordering::Relaxed);
                loop {
                    let answer = session.call(id, "echo", json!({ "message": "well" })).await;
                    if answer["result"].is_object() && text(&answer) == "well" {
                        break;
                    }
                    // After a stop by force it is just being started again.
                    assert!(round % 4 == 3 && Instant::now() < until, "round {round}: {answer}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        }
        assert_eq!(house.status()["runs"], watching.len());
        assert_eq!(house.status()["pid"], pid.get());
        assert!(house.gate.as_ref().is_some());
        house.run(&["drop", "--reason", "done", "--grace", "1s"]);
    };
    let (answers, ()) = tokio::join!(unharmed, work);
    for (_, body) in answers {
        assert_eq!(messages(&body).pop().unwrap()["error"]["code"], -31410);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_calls_exactly_those_end_that_are_ended() {
    a_hundred_calls(8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a thousand rounds"]
async fn of_a_hundred_calls_exactly_those_end_that_are_ended_a_thousand_times() {
    a_hundred_calls(1000).await;
}

/// Writes numbered lines of 100 bytes, so many MB a second, for so long.
const FLOOD: &str = r#"
import sys, time
rate, seconds = float(sys.argv[1]) * 1e6, float(sys.argv[2])
began, n = time.monotonic(), 0
while time.monotonic() - began < seconds:
    due = (time.monotonic() - began) * rate
    while n * 100 < due:
        sys.stdout.write("".join("%010d %s\n" % (n + k, "x" * 88) for k in range(1000)))
        n += 1000
    sys.stdout.flush()
    time.sleep(0.005)
sys.stdout.flush()
print("the last of", n, file=sys.stderr, flush=True)
time.sleep(1000)
"#;

const RING: u64 = 16 << 20;

/// A service that floods its log: whoever reads pays for the page, nobody else is slowed, memory is flat, the disk is
/// bounded, and what is not kept is counted to the byte.
async fn flood(seconds: u64) {
    let mut house = with_services(
        &format!(
            "  flood: {{ command: [python3, flood.py, \"10\", \"{seconds}\"], logs: {{ size: 16MiB }} }}\n"
        ),
        "ledger: { durability: process }",
    );
    std::fs::write(house.folder.path().join("flood.py"), FLOOD).unwrap();
    house.up();
    let session = house.session("/mcp/services").await;
    let own = house.session("/mcp/own").await;
    let echo = async || {
        let began = Instant::now();
        assert_eq!(
            text(&own.call(IDS.fetch_add(1, Ordering::Relaxed), "echo", json!({ "message": "well" })).await),
            "well"
        );
        began.elapsed()
    };
    let quiet = median(&echo).await;
    let started = call(&session, "start_server", json!({ "server_id": "flood" })).await;
    let server = i32::try_from(started["pid"].as_i64().unwrap()).unwrap();
    let keeper = portcullis_runs::parent_of(server).unwrap();
    let memory = |pid: i32| Process::of(pid).unwrap().usage().1;
    let gate = i32::try_from(house.status()["pid"].as_i64().unwrap()).unwrap();
    let log = house.folder.path().join("data/services/services/flood");
    let mut before = (0, 0);
    let (mut cursor, mut read, mut dropped, mut next) = (0, 0, 0, 0_u64);
    let (began, mut largest, mut pages) = (Instant::now(), 0, 0);
    loop {
        let (page, over) = {
            let page = call(
                &session,
                "read_server_logs",
                json!({ "server_id": "flood", "cursor": cursor, "max_bytes": 65536, "stream": "stdout" }),
            )
            .await;
            let over = began.elapsed() > Duration::from_secs(seconds + 2) && page["more"] == false;
            (page, over)
        };
        let lines = page["lines"].as_array().unwrap();
        let text = |line: &Value| line["text"].as_str().unwrap().len() as u64 + 1;
        let (gone, here) = (page["dropped_bytes"].as_u64().unwrap(), lines.iter().map(text).sum::<u64>());
        assert!(here <= 66_000, "{here}");
        for line in lines {
            let number: u64 = line["text"].as_str().unwrap()[..10].parse().unwrap();
            // What is missing is what was said to be missing, to the byte.
            assert!(number == next || gone > 0, "{next} is missing, and {number} comes");
            next = number + 1;
        }
        (read, dropped) = (read + here, dropped + gone);
        cursor = page["next_cursor"].as_u64().unwrap();
        pages += 1;
        let size: u64 =
            std::fs::read_dir(&log).unwrap().flatten().map(|it| it.metadata().map_or(0, |it| it.len())).sum();
        largest = largest.max(size);
        if before == (0, 0) && began.elapsed() > Duration::from_secs(1) {
            before = (memory(gate), memory(keeper));
        }
        if over {
            break;
        }
        // A reader that is slower than the writer.
        let flooding = began.elapsed() < Duration::from_secs(seconds);
        tokio::time::sleep(Duration::from_millis(if flooding && pages % 4 == 0 { 400 } else { 5 })).await;
    }
    let (page, ..) =
        (call(&session, "read_server_logs", json!({ "server_id": "flood", "stream": "stderr", "tail": 1 }))
            .await,);
    let last = page["lines"][0]["text"].as_str().unwrap().to_owned();
    let written: u64 = last.rsplit(' ').next().unwrap().parse().unwrap();
    let said = last.len() as u64 + 1;
    assert_eq!(read + dropped, written * 100, "{read} read and {dropped} dropped of {}", written * 100);
    assert_eq!(cursor, written * 100 + said);
    assert!(written * 100 >= seconds * 9_000_000, "only {written} lines");
    assert!(largest <= RING + RING / 8, "{largest} bytes on the disk");
    let after = (memory(gate), memory(keeper));
    let busy = median(&echo).await;
    println!(
        "{} MB written, {} MB read in {pages} pages, {} MB dropped, {} MB on the disk at most; memory of the gate {} to {} KiB, \
         of the keeper {} to {} KiB; an echo {quiet:?}, after it {busy:?}",
        written / 10_000,
        read / 1_000_000,
        dropped / 1_000_000,
        largest / 1_000_000,
        before.0 >> 10,
        after.0 >> 10,
        before.1 >> 10,
        after.1 >> 10,
    );
    assert!(after.1 < before.1 + (1 << 20), "the keeper grew");
    assert!(after.0 < before.0 + (16 << 20), "the gate grew");
    let stopped = call(&session, "stop_server", json!({ "server_id": "flood", "grace": 1 })).await;
    assert_eq!(stopped["verdict"], "stopped", "{stopped}");
}

async fn median(echo: &impl AsyncFn() -> Duration) -> Duration {
    let mut times = Vec::new();
    for _ in 0..51 {
        times.push(echo().await);
    }
    times.sort();
    times[25]
}

#[tokio::test]
async fn a_flood_of_output_is_read_by_the_page_and_bounded_on_the_disk() {
    flood(3).await;
}

#[tokio::test]
#[ignore = "a minute of 10 MB/s"]
async fn a_flood_of_output_for_a_minute() {
    flood(60).await;
}
