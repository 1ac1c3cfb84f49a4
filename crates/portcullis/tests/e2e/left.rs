//! What a run leaves: its output, its outcome, and, where nobody was there to stop it, itself.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture, text};
use portcullis_runs::Process;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn lines(said: &str) -> Vec<Value> {
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn runs(house: &House, arguments: &[&str]) -> Vec<Value> {
    let (_, said, _) = house.run(&[&["runs", "list", "--json"], arguments].concat());
    lines(&said)
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "{what}");
        #[allow(clippy::disallowed_methods, reason = "what other programs do can only be looked at again")]
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server that says something on stderr and starts a process that ignores what asks it to end.
fn talkative() -> House {
    let script = format!(
        "printf 'one\\ntwo of Bearer abcdefghijklmnopqrstuvwxyz0123456789\\nprompt: ' >&2; \
         (trap '' TERM HUP; exec sleep 1000) >/dev/null 2>&1 & exec {} stdio --extra --era old",
        fixture().display()
    );
    let upstreams = format!("  fix: {{ command: sh, args: [-c, {script:?}] }}");
    House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" })
}

#[tokio::test]
async fn what_a_server_writes_can_be_read_while_it_runs_and_after_it_and_its_gate_ended() {
    let mut house = talkative();
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "there" })).await), "there");
    let run = runs(&house, &[]).remove(0);
    let id = run["id"].as_str().unwrap();
    // The prompt has no end of line, and is there all the same.
    let said = until("the prompt does not come", || {
        let (code, said, err) = house.run(&["runs", "logs", id]);
        assert_eq!(code, 0, "{err}");
        said.contains("prompt:").then_some(said)
    });
    assert!(said.contains(" stderr one\n") && said.contains(" stderr two of Bearer [redacted]"), "{said}");
    assert!(!said.contains("abcdefghijklmnopqrstuvwxyz0123456789"), "a secret is shown: {said}");

    // On from where a page ended; a part; nothing of a stream that is not kept.
    let (_, said, _) = house.run(&["runs", "logs", id, "--json", "--cursor", "4"]);
    let page = lines(&said);
    assert!(page[0]["text"].as_str().unwrap().starts_with("two") && page[0]["stream"] == "stderr", "{said}");
    assert!(page.last().unwrap()["cursor"].as_u64().unwrap() > 50, "{said}");
    let (_, said, _) = house.run(&["runs", "logs", id, "--grep", "^o"]);
    assert!(said.ends_with("one\n") && said.lines().count() == 1, "{said}");
    let (_, said, _) = house.run(&["runs", "logs", id, "--tail", "1"]);
    assert!(said.contains("prompt:") && said.lines().count() == 1, "{said}");
    assert_eq!(house.run(&["runs", "logs", id, "--stream", "stdout"]).1, "");
    let (code, _, err) = house.run(&["runs", "logs", id, "--grep", "("]);
    assert!(code == 2 && err.contains("--grep"), "{err}");
    let (code, _, err) = house.run(&["runs", "logs", "r_aaaaaaaaaaaaaaaaaaaa"]);
    assert!(code == 2 && err.contains("nothing is kept of a run `r_aaaaaaaaaaaaaaaaaaaa`"), "{err}");
    let (code, _, err) = house.run(&["runs", "wait", id, "--timeout", "300ms"]);
    assert!(code == 1 && err.contains("still runs"), "{err}");

    // Over the end of the gate, and its next start.
    house.gate.as_mut().unwrap().terminate();
    let (code, said, err) = house.run(&["runs", "logs", id]);
    assert!(code == 0 && said.contains(" stderr one\n"), "{said}{err}");
    house.up();
    let ended = until("the run is not listed any more", || {
        runs(&house, &["--all"]).into_iter().find(|run| run["id"] == id)
    });
    assert_eq!((&ended["state"], &ended["verdict"]), (&json!("ended"), &json!("stopped")), "{ended}");
    let (code, said, err) = house.run(&["runs", "wait", id]);
    assert!(code == 0 && said.contains("stopped"), "{said}{err}");
}

#[tokio::test]
async fn what_neither_gate_nor_keeper_was_left_to_stop_is_stopped_by_the_next_gate() {
    let mut house = talkative();
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "there" })).await), "there");
    let run = runs(&house, &[]).remove(0);
    let server = Process::of(i32::try_from(run["pid"].as_i64().unwrap()).unwrap()).unwrap();
    let keeper = Process::of(portcullis_runs::parent_of(server.pid).unwrap()).unwrap();
    let members: Vec<Process> = session_of(&server);
    assert_eq!(members.len(), 2, "{members:?}");
    // The keeper cannot act any more when the gate is killed, and is killed then.
    let pid = |process: &Process| rustix::process::Pid::from_raw(process.pid).unwrap();
    rustix::process::kill_process(pid(&keeper), rustix::process::Signal::STOP).unwrap();
    drop(session);
    house.gate.as_mut().unwrap().kill();
    rustix::process::kill_process(pid(&keeper), rustix::process::Signal::KILL).unwrap();
    until("the keeper lives", || (!keeper.lives()).then_some(()));
    assert!(members.iter().any(Process::lives));

    house.up();
    until("the next gate leaves it", || (!members.iter().any(Process::lives)).then_some(()));
    let id = run["id"].as_str().unwrap();
    let row = until("its end is not recorded", || {
        let rows = house.rows(&["--run", id]);
        rows.into_iter().find(|row| row["message"].as_str().is_some_and(|it| it.starts_with("over:")))
    });
    assert!(row["message"].as_str().unwrap().contains("its keeper was ended from outside"), "{row}");
    assert_eq!(row["verdict"]["verdict"], "stopped", "{row}");
}

/// Whatever runs through the gate can stop the keepers, which belong to the same user. A stop does not wait for them.
#[tokio::test]
async fn a_keeper_that_was_stopped_delays_no_stop() {
    let house = talkative();
    let started = || async {
        let session = house.session("/mcp/fix").await;
        let answer = session.call(1, "echo", json!({ "message": "there" })).await;
        (answer.pointer("/result/content/0/text") == Some(&json!("there"))).then_some(())
    };
    for again in [false, true] {
        crate::stream::until("an answer of the server", started).await;
        let run = runs(&house, &[]).remove(0);
        let server = Process::of(i32::try_from(run["pid"].as_i64().unwrap()).unwrap()).unwrap();
        let keeper = Process::of(portcullis_runs::parent_of(server.pid).unwrap()).unwrap();
        let members = session_of(&server);
        let pid = rustix::process::Pid::from_raw(keeper.pid).unwrap();
        let stop = || rustix::process::kill_process(pid, rustix::process::Signal::STOP);
        stop().unwrap();
        // One that is stopped once is woken and does its work; one that is stopped again and again is killed.
        let done = std::sync::atomic::AtomicBool::new(!again);
        let (code, said, err) = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) && keeper.lives() {
                    let _ = stop();
                }
            });
            let all = house.run(&["drop", "--grace", "1s", "--json"]);
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            all
        });
        assert_eq!(code, 0, "{said}{err}");
        assert!(!members.iter().any(Process::lives) && !keeper.lives(), "{said}");
        let rows = house.rows(&["--run", run["id"].as_str().unwrap()]);
        let over = rows
            .iter()
            .find(|row| row["message"].as_str().is_some_and(|it| it.starts_with("over:")))
            .unwrap();
        assert_eq!(over["verdict"]["verdict"], "stopped", "{over}");
        let killed = over["message"].as_str().unwrap().contains("did not answer, and was killed");
        assert_eq!(killed, again, "{over}");
        assert_eq!(house.run(&["raise"]).0, 0);
    }
}

/// The server and those of its session.
fn session_of(server: &Process) -> Vec<Process> {
    let of = |process: Process| Process::of(process.pid);
    portcullis_runs::processes()
        .into_iter()
        .filter(|process| process.kin.session == server.pid)
        .filter_map(of)
        .collect()
}

/// Processes that look like those of a run and are none: the same command line, the same folder, the same name, the same
/// environment but for the mark; one with the mark's name and another value; and one that is recorded under a pid that has
/// gone to another.
#[tokio::test]
async fn nothing_is_signalled_that_was_not_started_here() {
    let mut house = talkative();
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "there" })).await), "there");
    let run = runs(&house, &[]).remove(0);
    let server = Process::of(i32::try_from(run["pid"].as_i64().unwrap()).unwrap()).unwrap();
    let line = std::fs::read(format!("/proc/{}/cmdline", server.pid)).unwrap();
    let argv: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8(word.to_vec()).unwrap())
        .collect();
    let alike = |mark: Option<&str>| {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(house.folder.path());
        if let Some(mark) = mark {
            command.env("PORTCULLIS_RUN", mark);
        }
        #[allow(clippy::disallowed_methods, reason = "strangers, which the test ends itself")]
        command.spawn().unwrap()
    };
    let id = run["id"].as_str().unwrap().to_owned();
    let mut strangers = vec![
        alike(None),
        alike(Some("r_aaaaaaaaaaaaaaaaaaaa")),
        // What begins or ends as the mark does is not the mark.
        alike(Some(&format!("{id}x"))),
        alike(Some(&id[..id.len() - 1])),
    ];
    // A run whose keeper and command are recorded with the pids of strangers and other start times: their pids were used
    // again. The next gate finds the record.
    let forged = house.folder.path().join("data/runs/r_bbbbbbbbbbbbbbbbbbbb");
    let real = house.folder.path().join("data/runs").join(&id);
    std::fs::create_dir_all(&forged).unwrap();
    let mut record: Value = serde_json::from_slice(&std::fs::read(real.join("run.json")).unwrap()).unwrap();
    for (of, stranger) in [("keeper", &strangers[0]), ("process", &strangers[1])] {
        let process = match of {
            "keeper" => &mut record["keeper"],
            _ => &mut record["started"]["process"],
        };
        process["pid"] = json!(stranger.id());
    }
    record["started"]["cgroup"] = Value::Null;
    std::fs::write(forged.join("run.json"), record.to_string()).unwrap();

    let (code, said, err) = house.run(&["runs", "stop", &id, "--grace", "200ms"]);
    assert_eq!(code, 0, "{said}{err}");
    drop(session);
    house.gate.as_mut().unwrap().kill();
    house.up();
    until("the forged record is not taken", || {
        runs(&house, &["--all"]).into_iter().find(|run| {
            run["id"] == "r_bbbbbbbbbbbbbbbbbbbb"
                && run["state"] == "ended"
                && run["verdict"] == "already_ended"
        })
    });
    let (_, said, err) = house.run(&["drop", "--reason", "all", "--grace", "200ms"]);
    assert!(err.is_empty(), "{said}{err}");
    house.gate.as_mut().unwrap().terminate();
    for stranger in &mut strangers {
        assert_eq!(stranger.try_wait().unwrap(), None, "a stranger was ended");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }
}
