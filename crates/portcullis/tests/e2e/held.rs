//! Servers that start more than themselves, and their end.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture, text};
use portcullis_runs::Process;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// A server with company. Each of them writes its pid to a file, and most would outlive any signal to the server alone:
/// one that ignores what asks it to end, one in the background of a shell that is gone, one in a session of its own, one
/// that has lost its environment too, two behind a double fork, one that holds the server's stdout, and one that is
/// started again whenever it ends.
const SERVER: &str = r#"
here=$1 fixture=$2 containment=$3
say='echo $$ >>"$0/pids"; exec sleep 1000'
( trap "" TERM HUP INT; exec sh -c "$say" "$here" ) >/dev/null 2>&1 &
( sh -c "$say" "$here" >/dev/null 2>&1 & )
setsid sh -c "$say" "$here" >/dev/null 2>&1 &
[ $containment = group ] || setsid env -i sh -c "$say" "$here" >/dev/null 2>&1 &
sh -c '(setsid sh -c "sh -c \"\$1\" \"\$0\" & sh -c \"\$1\" \"\$0\" & wait" "$0" "$1" &)' "$here" "$say" >/dev/null 2>&1
sh -c "$say" "$here" &
setsid sh -c 'while :; do sh -c "$1" "$0"; done' "$here" "$say" >/dev/null 2>&1 &
exec "$fixture" stdio --extra --era old
"#;

/// How many write their pid. The one that leaves its session and its environment too is out of the reach of a group, which
/// says so.
fn company(containment: &str) -> usize {
    if containment == "group" { 7 } else { 8 }
}

/// A gate with that server, held by one means.
struct Crowd {
    containment: &'static str,
    house: House,
    folder: tempfile::TempDir,
}

impl Crowd {
    fn held_by(containment: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("server.sh");
        std::fs::write(&script, SERVER).unwrap();
        let upstreams = format!(
            "  fix: {{ command: sh, args: [{script:?}, {:?}, {:?}, {containment}] }}",
            folder.path(),
            fixture()
        );
        let mut house = House::plan(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
        house.up_with(&["up", "--containment", containment]);
        Self { containment, house, folder }
    }

    /// Waits until all have come, and gives them and the server itself.
    async fn all(&self) -> Vec<Process> {
        let session = self.house.session("/mcp/fix").await;
        assert_eq!(text(&session.call(1, "echo", json!({ "message": "there" })).await), "there");
        let until = Instant::now() + PATIENCE;
        let mut found = loop {
            let found = pids(self.folder.path());
            if found.len() >= company(self.containment) {
                break found;
            }
            assert!(Instant::now() < until, "only {} have come", found.len());
            std::thread::yield_now();
        };
        let server = i32::try_from(self.run()["pid"].as_i64().unwrap()).unwrap();
        if self.containment == "namespace" {
            // They wrote the pids that they have in there. What loses its parent stays below the first process of it.
            found = below(server);
            assert!(found.len() > company(self.containment), "{found:?}");
        }
        found.push(server);
        found.into_iter().filter_map(Process::of).collect()
    }

    /// The server's run.
    fn run(&self) -> Value {
        let (_, said, err) = self.house.run(&["runs", "--json"]);
        let runs = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        runs.into_iter().find(|run| run["kind"] == "upstream").unwrap_or_else(|| panic!("no run: {err}"))
    }
}

/// All that descend from a process.
fn below(pid: i32) -> Vec<i32> {
    let all = portcullis_runs::processes();
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(parent) = found.get(at).copied() {
        found.extend(all.iter().filter(|process| process.kin.parent == parent).map(|process| process.pid));
        at += 1;
    }
    found.remove(0);
    found
}

fn pids(folder: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(folder.join("pids")).unwrap_or_default();
    text.lines().map(|pid| pid.parse().unwrap()).collect()
}

/// The means that this machine has. One that it has not is named, and not tested.
fn means() -> Vec<&'static str> {
    let mut house =
        House::plan(&Plan { upstreams: "  fix: { command: \"true\" }", policy: ALLOW_ALL, more: "" });
    house.up();
    let until = Instant::now() + PATIENCE;
    let containment = loop {
        let (_, said, _) = house.run(&["runs", "list", "--all", "--json"]);
        if let Some(run) = said.lines().next() {
            break serde_json::from_str::<Value>(run).unwrap()["containment"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "nothing was started");
    };
    let mut means = vec!["subreaper", "group"];
    match containment.as_str() {
        "cgroup" => means.push("cgroup"),
        best => println!(
            "skipped: containment cgroup, of which this machine lets this user make none (the best is {best})"
        ),
    }
    house.gate.as_mut().unwrap().terminate();
    house.up_with(&["up", "--containment", "namespace"]);
    let until = Instant::now() + PATIENCE;
    let reason = loop {
        let upstream = house.status()["upstreams"][0].clone();
        if upstream["state"] == "down" {
            break upstream["reason"].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < until, "{upstream}");
    };
    match reason.contains("containment `namespace` was asked for") {
        true => println!("skipped: {reason}"),
        false => means.push("namespace"),
    }
    means
}

fn living(all: &[Process]) -> Vec<&Process> {
    all.iter().filter(|process| process.lives()).collect()
}

fn gone_soon(all: &[Process], why: &str) {
    let until = Instant::now() + PATIENCE;
    while !living(all).is_empty() {
        assert!(Instant::now() < until, "{why}: {:?} live", living(all));
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_stop_ends_all_that_a_server_started_and_proves_it() {
    for containment in means() {
        let crowd = Crowd::held_by(containment);
        let all = crowd.all().await;
        let run = crowd.run();
        assert_eq!((&run["containment"], &run["state"]), (&json!(containment), &json!("running")));
        let id = run["id"].as_str().unwrap();

        let (code, said, err) = crowd.house.run(&["runs", "stop", id, "--grace", "300ms", "--json"]);
        let left = living(&all);
        assert!(left.is_empty(), "{containment}: {left:?} live, although: {said}");
        assert_eq!(code, 0, "{said}{err}");
        let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let [verdict, sum] = &lines[..] else { panic!("{said}") };
        assert_eq!((&verdict["id"], &verdict["verdict"]), (&json!(id), &json!("stopped")), "{said}");
        let scope = verdict["proof"]["scope"].as_str().unwrap();
        assert_eq!(scope.contains("is not seen"), containment == "group", "{scope}");
        assert_eq!((&verdict["survivors"], &verdict["proof"]["passes"]), (&json!([]), &json!(2)));
        assert_eq!((&sum["runs"], &sum["stopped"], &sum["partial"]), (&json!(1), &json!(1), &json!(0)));
        for process in &all {
            let before = verdict["before"].as_array().unwrap();
            let named = |one: &&Value| one["pid"] == process.pid && one["start_time"] == process.start_time;
            assert_eq!(before.iter().filter(named).count(), 1, "{containment}: {process:?} not in {said}");
        }

        let rows: Vec<Value> = crowd.house.rows(&["--run", id]);
        assert!(rows.iter().all(|row| row["kind"] == "run"), "{rows:?}");
        assert_eq!(rows.len(), 2, "{rows:?}");
        assert_eq!(rows[1]["verdict"]["verdict"], "stopped");

        let (code, said, _) = crowd.house.run(&["runs", "stop", id]);
        assert!(code == 0 && said.contains("already_ended"), "{code} {said}");
        let (_, said, _) = crowd.house.run(&["runs", "show", id]);
        assert!(said.contains("stopped") && said.contains(containment), "{said}");
    }
}

#[tokio::test]
async fn a_gate_that_ends_leaves_nothing_of_its_servers() {
    for containment in means() {
        let mut crowd = Crowd::held_by(containment);
        let all = crowd.all().await;
        assert!(crowd.house.gate.as_mut().unwrap().terminate().success());
        let left = living(&all);
        assert!(left.is_empty(), "{containment}: {left:?} live after the gate said that it ended");
    }
}

#[tokio::test]
async fn a_gate_that_is_killed_leaves_nothing_of_its_servers() {
    for containment in means() {
        let mut crowd = Crowd::held_by(containment);
        let all = crowd.all().await;
        crowd.house.gate.as_mut().unwrap().kill();
        gone_soon(&all, containment);
    }
}

#[tokio::test]
async fn a_keeper_that_is_killed_is_missed_and_its_work_is_done() {
    for containment in means() {
        let crowd = Crowd::held_by(containment);
        let all = crowd.all().await;
        let id = crowd.run()["id"].as_str().unwrap().to_owned();
        let server = all.last().unwrap();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(server.kin.parent).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        gone_soon(&all, containment);
        let until = Instant::now() + PATIENCE;
        while crowd.house.rows(&["--run", &id]).len() < 2 {
            assert!(Instant::now() < until, "its end is not recorded");
        }
        assert_eq!(crowd.house.rows(&["--run", &id])[1]["verdict"]["verdict"], "stopped", "{containment}");
    }
}

#[tokio::test]
async fn a_server_that_ends_by_a_signal_ends_at_once_and_without_force() {
    let upstreams = format!("  fix: {{ command: {:?}, args: [stdio, --extra] }}", fixture());
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "there" })).await), "there");
    let (code, said, err) = house.run(&["runs", "stop", "--upstream", "fix", "--json"]);
    assert_eq!(code, 0, "{err}");
    let verdict: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(verdict["proof"]["killed_by"], "SIGTERM", "{said}");
    let (code, said, _) = house.run(&["runs", "stop", "--upstream", "none"]);
    assert_eq!((code, said.trim()), (0, "nothing to stop"));
    let (code, _, err) = house.run(&["runs", "stop", "r_none"]);
    assert!(code == 2 && err.contains("no run has the id `r_none`"), "{code} {err}");
    let (code, _, err) = house.run(&["runs", "stop"]);
    assert!(code == 2 && err.contains("required"), "{code} {err}");
    let (code, _, err) = house.run(&["runs", "stop", "--all", "--grace", "soon"]);
    assert!(code == 2 && err.contains("5s, found `soon`"), "{code} {err}");
}

#[tokio::test]
async fn a_call_that_is_stopped_is_cancelled_at_its_server_and_the_verdict_does_not_say_more() {
    let (house, fixture) = House::fixture(ALLOW_ALL, &[]);
    let session = house.session("/mcp/fix").await;
    let long = json!({ "name": "delay", "arguments": { "ms": 600_000, "label": "never" } });
    let stop = async {
        let until = Instant::now() + PATIENCE;
        let id = loop {
            let (_, said, _) = house.run(&["runs", "list", "--json"]);
            let mut runs = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            if let Some(run) = runs.find(|run| run["kind"] == "call") {
                break run["id"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < until, "the call does not begin");
            tokio::task::yield_now().await;
        };
        let (code, said, _) = house.run(&["runs", "stop", &id]);
        assert!(code == 1 && said.contains("unconfirmed"), "{code} {said}");
        // The verdict does not wait for the record.
        let until = Instant::now() + PATIENCE;
        while house.rows(&["--run", &id]).last().is_none_or(|row| row["outcome"] != "cancelled") {
            assert!(Instant::now() < until, "{:?}", house.rows(&["--run", &id]));
        }
    };
    let ((answer, _), ()) = tokio::join!(session.ask(7, "tools/call", long), stop);
    assert_eq!(answer["error"]["code"], -31410, "{answer}");
    assert_eq!(answer["error"]["message"], "The operator stopped this call.");
    drop(fixture);
}
