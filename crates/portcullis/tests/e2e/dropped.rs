//! The emergency stop and its end.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture, fixture_http, text};
use crate::stream::{modern, post_modern, until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A gate with a server of each kind: a process, and one over HTTP.
fn two_servers() -> (House, crate::house::Held) {
    let (server, url) = fixture_http(&["--extra", "--era", "old"]);
    let upstreams = format!(
        "  own: {{ command: {:?}, args: [stdio, --extra, --era, old] }}\n  far: {{ url: \"{url}\" }}",
        fixture()
    );
    let more = "ledger: { durability: process }";
    (House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more }), server)
}

async fn echoes(house: &House, upstream: &str) -> Value {
    let echo = json!({ "name": "echo", "arguments": { "message": "passes" } });
    ask(house, upstream, "tools/call", echo).await
}

/// Asks as a client without a session, which need not reach the server for anything else.
async fn ask(house: &House, upstream: &str, method: &str, params: Value) -> Value {
    post_modern(house, &format!("/mcp/{upstream}"), modern(1, method, params, json!({}))).await.whole().await
}

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{said}"))).collect()
}

fn runs(house: &House) -> Vec<Value> {
    lines(&house.run(&["runs", "--json"]).1)
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn from_a_drop_on_nothing_passes_until_it_is_raised_also_not_after_a_kill() {
    let (mut house, _far) = two_servers();
    for upstream in ["own", "far"] {
        assert_eq!(text(&echoes(&house, upstream).await), "passes");
    }
    let session = house.session("/mcp/own").await;
    let long = json!({ "name": "delay", "arguments": { "ms": 600_000, "label": "never" } });
    let drop = async {
        let until = Instant::now() + PATIENCE;
        while !runs(&house).iter().any(|run| run["kind"] == "call") {
            assert!(Instant::now() < until, "the call does not begin");
            tokio::task::yield_now().await;
        }
        house.run(&["drop", "--reason", "a fire", "--json"])
    };
    let ((answer, _), (code, said, err)) = tokio::join!(session.ask(7, "tools/call", long), drop);

    // What ran: the process is proved to be gone, and the call in it with it.
    let said = lines(&said);
    let (sum, results) = said.split_last().unwrap();
    assert_eq!(code, 0, "{said:?}{err}");
    assert_eq!((&sum["runs"], &sum["stopped"]), (&json!(2), &json!(2)), "{said:?}");
    assert!(results.iter().all(|result| result["verdict"] == "stopped"), "{said:?}");
    assert_eq!(answer["error"]["code"], -31410, "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("a fire"), "{answer}");

    for start in ["first", "again"] {
        // What comes: denied at once, with the reason, whether its server is up or not.
        for upstream in ["own", "far"] {
            let began = Instant::now();
            let denied = echoes(&house, upstream).await;
            assert!(began.elapsed() < Duration::from_secs(2), "{start}: {:?}", began.elapsed());
            assert!(
                text(&denied)
                    .starts_with("[POLICY DENIED] The operator stopped everything in the scope `all`"),
                "{denied}"
            );
            assert!(text(&denied).ends_with(": a fire."), "{denied}");
            assert_eq!(denied["result"]["_meta"]["portcullis/decision"]["rule"], "(dropped)", "{denied}");
            let other = ask(&house, upstream, "prompts/get", json!({ "name": "any" })).await;
            assert_eq!(other["error"]["code"], -31503, "{other}");
        }
        assert_eq!(house.ready().await, Ok(()));
        assert_eq!(runs(&house), Vec::<Value>::new(), "{start}");
        let drops = house.status()["drops"].clone();
        assert_eq!((&drops[0]["scope"], &drops[0]["reason"]), (&json!("all"), &json!("a fire")), "{drops}");
        assert!(house.run(&["status"]).1.contains("DROPPED `all`"));
        let rows = house.rows(&["--tool", "echo", "--limit", "1"]);
        assert_eq!((&rows[0]["outcome"], &rows[0]["rule"]), (&json!("denied"), &json!("(dropped)")));
        if start == "first" {
            house.gate.as_mut().unwrap().kill();
            house.up();
        }
    }

    let (code, said, err) = house.run(&["raise", "--json"]);
    assert_eq!(code, 0, "{err}");
    let raised = lines(&said);
    assert!(raised.len() == 1 && raised[0]["scope"] == "all" && raised[0]["by"].is_string(), "{said}");
    for upstream in ["own", "far"] {
        assert_eq!(text(&echoes(&house, upstream).await), "passes");
    }
    let (code, said, _) = house.run(&["raise"]);
    assert_eq!((code, said.trim()), (0, "nothing is dropped with the scope `all`"));
    let acts: Vec<String> =
        house.rows(&[]).iter().filter_map(|row| row["message"].as_str().map(str::to_owned)).collect();
    assert!(acts.iter().any(|act| act == "dropped all: a fire"), "{acts:?}");
    assert!(acts.iter().any(|act| act.starts_with("raised all, dropped since ")), "{acts:?}");
}

#[tokio::test]
async fn a_drop_reaches_no_further_than_its_scope() {
    let (house, _far) = two_servers();
    for upstream in ["own", "far"] {
        assert_eq!(text(&echoes(&house, upstream).await), "passes");
    }
    let (code, said, err) = house.run(&["drop", "--upstream", "far"]);
    assert!(
        code == 0 && said.contains("dropped `upstream:far`") && said.contains("nothing to stop"),
        "{said}{err}"
    );
    assert!(text(&echoes(&house, "far").await).contains("no reason was given"));
    assert_eq!(text(&echoes(&house, "own").await), "passes");
    assert_eq!(runs(&house).len(), 1);

    let (code, said, err) = house.run(&["drop", "--grant", "t", "--reason", "later"]);
    assert_eq!(code, 0, "{said}{err}");
    assert!(text(&echoes(&house, "own").await).contains("`grant:t`"));
    // The process serves all grants, so it stays.
    assert_eq!(runs(&house).len(), 1);

    let (code, said, _) = house.run(&["raise", "--grant", "t"]);
    assert!(code == 0 && said.starts_with("raised `grant:t`"), "{said}");
    assert_eq!(text(&echoes(&house, "own").await), "passes");
    assert!(text(&echoes(&house, "far").await).contains("`upstream:far`"));

    for wrong in [["--upstream", "fra"], ["--grant", "nobody"]] {
        let (code, _, err) = house.run(&[&["drop"][..], &wrong].concat());
        assert!(code == 2 && err.contains("there is no"), "{code} {err}");
    }
}

#[tokio::test]
async fn a_drop_needs_no_gate_and_reaches_one_that_cannot_be_asked() {
    let (mut house, _far) = two_servers();
    assert_eq!(text(&echoes(&house, "own").await), "passes");
    // The file alone.
    let data = house.folder.path().join("data");
    let drop = json!([{ "upstream": "own", "reason": "by hand", "since": "now", "by": "me" }]);
    std::fs::write(data.join("DROPPED"), drop.to_string()).unwrap();
    wait_until("the file is not seen", || runs(&house).is_empty());
    assert!(text(&echoes(&house, "own").await).contains("by hand"));
    // Taking the file away raises nothing.
    std::fs::remove_file(data.join("DROPPED")).unwrap();
    assert_eq!(house.run(&["raise"]).0, 0);
    assert_eq!(text(&echoes(&house, "own").await), "passes");

    // A gate that hangs: its keepers are told.
    let server =
        portcullis_runs::Process::of(runs(&house)[0]["pid"].as_i64().unwrap().try_into().unwrap()).unwrap();
    rustix::process::kill_process(house.pid(), rustix::process::Signal::STOP).unwrap();
    let (code, said, err) = house.run(&["drop", "--reason", "hung"]);
    assert!(code == 1 && err.contains("the gate did not answer within 2 s"), "{said}{err}");
    assert!(!server.lives(), "{said}{err}");
    rustix::process::kill_process(house.pid(), rustix::process::Signal::CONT).unwrap();
    wait_until("the file is not seen", || house.status()["drops"][0]["reason"] == "hung");
    assert!(text(&echoes(&house, "own").await).contains("hung"));
    assert_eq!(house.run(&["raise"]).0, 0);
    assert_eq!(text(&echoes(&house, "own").await), "passes");

    // A gate that was killed leaves nothing behind, and the next one starts dropped.
    house.gate.as_mut().unwrap().kill();
    let (code, said, err) = house.run(&["drop", "--reason", "night"]);
    assert!(code == 0 && said.contains("the next one starts so"), "{said}{err}");
    assert_eq!(portcullis_runs::keepers_of(&data), Vec::<i32>::new());
    house.up();
    assert!(text(&echoes(&house, "own").await).contains("night"));
    house.gate.as_mut().unwrap().terminate();
    let (code, said, err) = house.run(&["raise"]);
    assert!(code == 0 && said.contains("raised `all`") && said.contains("night"), "{said}{err}");
    house.up();
    assert_eq!(text(&echoes(&house, "own").await), "passes");

    // A file that says nothing readable drops everything.
    house.gate.as_mut().unwrap().terminate();
    std::fs::write(data.join("DROPPED"), "?").unwrap();
    house.up();
    assert!(text(&echoes(&house, "far").await).contains("cannot be read"));
}

/// A thousand runs at once: calls over HTTP and to a process, and the processes of as many sessions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drop_of_a_thousand_runs_denies_at_once_and_ends_them_all_in_time() {
    const CALLS: usize = 480;
    const SESSIONS: usize = 40;
    let (server, url) = fixture_http(&["--extra", "--era", "old"]);
    let own =
        |per: &str| format!("{{ command: {:?}, args: [stdio, --extra, --era, old], per: {per} }}", fixture());
    let upstreams =
        format!("  own: {}\n  each: {}\n  far: {{ url: \"{url}\" }}", own("gate"), own("session"));
    let more = "ledger: { durability: process }\nlimits: { sessions_per_grant: 2000 }";
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(house.session("/mcp/each").await);
    }
    let long = |n: usize| json!({ "name": "delay", "arguments": { "ms": 600_000, "label": n.to_string() } });
    let calls = futures_util::future::join_all((0..2 * CALLS).map(|n| {
        let house = &house;
        async move { ask(house, if n % 2 == 0 { "own" } else { "far" }, "tools/call", long(n)).await }
    }));
    let fire = async {
        let until = Instant::now() + PATIENCE;
        while runs(&house).len() < 2 * CALLS + SESSIONS {
            assert!(Instant::now() < until, "only {} runs", runs(&house).len());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut command = house.command(&["drop", "--reason", "all of it", "--grace", "2s", "--json"]);
        let began = Instant::now();
        let dropping = tokio::task::spawn_blocking(move || (command.output().unwrap(), began.elapsed()));
        // Calls go on coming all the while: the last that passes began before the drop.
        let mut passed = jiff::Timestamp::now();
        let denied = loop {
            let at = jiff::Timestamp::now();
            let answer = echoes(&house, "far").await;
            // One that was in flight at that instant was stopped, or its answer came too late to be shown.
            if answer["error"]["code"] == -31410 || answer["error"]["code"] == -31503 {
                continue;
            }
            if text(&answer) != "passes" {
                break answer;
            }
            passed = at;
        };
        let (output, took) = dropping.await.unwrap();
        (passed, denied, String::from_utf8(output.stdout).unwrap(), took)
    };
    let (answers, (passed, denied, said, took)) = tokio::join!(calls, fire);

    assert!(text(&denied).contains("all of it"), "{denied}");
    let since: jiff::Timestamp = house.status()["drops"][0]["since"].as_str().unwrap().parse().unwrap();
    let late = passed.as_millisecond() - since.as_millisecond();
    assert!(late < 50, "a call that began {late} ms after the drop passed");
    let said = lines(&said);
    let (sum, results) = said.split_last().unwrap();
    assert!(sum["runs"].as_u64().unwrap() >= 1000 && took < Duration::from_secs(10), "{took:?} {sum}");
    // The calls to a server elsewhere are all that nobody can vouch for.
    let unconfirmed = sum["unconfirmed"].as_u64().unwrap() as usize;
    assert!((CALLS..=CALLS + 1).contains(&unconfirmed) && sum["partial"] == 0, "{sum}");
    assert_eq!(results.len() as u64, sum["runs"].as_u64().unwrap());
    // Stopped, or denied where the drop found it before it was judged.
    let ended = |answer: &Value| {
        answer["error"]["code"] == -31410
            || answer["result"]["_meta"]["portcullis/decision"]["rule"] == "(dropped)"
    };
    let other: Vec<_> = answers.iter().filter(|answer| !ended(answer)).collect();
    assert!(other.is_empty(), "{} of {}: {:?}", other.len(), answers.len(), other.first());
    assert_eq!(runs(&house), Vec::<Value>::new());
    println!("{sum} in {took:?}; the last call that passed began {late} ms after the drop");

    drop(sessions);
    house.gate.as_mut().unwrap().kill();
    house.up();
    assert!(text(&echoes(&house, "far").await).contains("all of it"));
    drop(server);
}

/// A disk that takes nothing: the drop holds in the gate, and over a kill as soon as the disk takes it.
#[tokio::test]
async fn a_drop_that_could_not_be_written_is_written_when_it_can_be() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    // In the place of the file that is written first, which is there from the start: a full disk takes a drop.
    let in_the_way = house.folder.path().join("data").join("DROPPED.new");
    assert!(std::fs::metadata(&in_the_way).is_ok_and(|file| file.len() > 0));
    std::fs::remove_file(&in_the_way).unwrap();
    std::fs::create_dir(&in_the_way).unwrap();
    let (code, _, err) = house.run(&["drop", "--reason", "fire"]);
    assert!(
        code == 1 && err.contains("the file DROPPED cannot be written: ") && err.contains("tries again"),
        "{err}"
    );
    let status = || -> Value { serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap() };
    assert_eq!(status()["drops"][0]["kept"], false);
    assert!(house.run(&["status"]).1.contains("THE FILE CANNOT BE WRITTEN"));
    std::fs::remove_dir(&in_the_way).unwrap();
    let file = house.folder.path().join("data").join("DROPPED");
    let written = || async { (file.exists() && status()["drops"][0]["kept"] == true).then_some(()) };
    until("the file", written).await;
    // Whoever takes it away raises nothing, also not for the next gate.
    std::fs::remove_file(&file).unwrap();
    until("the file again", written).await;
    house.gate.take().unwrap().kill();
    house.up();
    let session = house.session("/mcp/fix").await;
    let denied = session.call(1, "echo", json!({ "message": "x" })).await;
    assert!(text(&denied).contains("fire"), "{denied}");
    let said = house.rows(&[]).into_iter().filter(|row| row["kind"] == "admin");
    assert!(
        said.filter(|row| row["message"].as_str().unwrap().contains("holds over a restart")).count() >= 1
    );
}
