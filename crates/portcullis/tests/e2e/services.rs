//! Local services and commands: the built-in server, as an agent uses it.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, Session, TOKEN, text};
use portcullis_runs::Process;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

/// A server that answers GET with 200, with 404 below /missing, and has a child of its own.
const WEB: &str = r#"
import http.server, os, subprocess, sys
subprocess.Popen(["sleep", "1000"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.end_headers()
        self.wfile.write(b"web")
    def log_message(self, *ignored): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
print("listening on", sys.argv[1], flush=True)
server.serve_forever()
"#;

const MORE: &str = "ledger: { durability: process }";

/// A gate with these services.
fn house(services: &str) -> House {
    let mut house = planned(services, "");
    house.up();
    house
}

fn planned(services: &str, more: &str) -> House {
    let upstreams = "  services: { builtin: services, config: services.yaml }";
    let house = House::plan(&Plan { upstreams, policy: ALLOW_ALL, more: &format!("{MORE}\n{more}") });
    std::fs::write(house.folder.path().join("services.yaml"), format!("services:\n{services}")).unwrap();
    std::fs::write(house.folder.path().join("web.py"), WEB).unwrap();
    house
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Calls a tool; gives what the answer's structured content is, its text, and whether it is an error.
async fn call(session: &Session<'_>, tool: &str, arguments: Value) -> (Value, String, bool) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static IDS: AtomicU64 = AtomicU64::new(1000);
    let answer = session.call(IDS.fetch_add(1, Ordering::Relaxed), tool, arguments).await;
    let result = &answer["result"];
    assert!(result.is_object(), "{answer}");
    (result["structuredContent"].clone(), text(&answer).to_owned(), result["isError"] == true)
}

fn process(content: &Value) -> Process {
    Process::of(i32::try_from(content["pid"].as_i64().unwrap_or_else(|| panic!("{content}"))).unwrap())
        .unwrap()
}

/// What a process and its children were.
fn family(of: &Process) -> Vec<Process> {
    let all = portcullis_runs::processes();
    all.into_iter().filter(|it| it.pid == of.pid || it.kin.session == of.pid).collect()
}

async fn until(session: &Session<'_>, id: &str, what: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, ..) = call(session, "get_server_status", json!({ "server_id": id })).await;
        if what(&status) {
            return status;
        }
        assert!(Instant::now() < until, "{status}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_service_is_started_known_to_be_ready_read_and_stopped_with_a_proof() {
    let house = house(
        "  web: { command: [python3, web.py, \"${port}\"], port: auto, ready: { http: /, timeout: 20s }, description: the web }\n",
    );
    let session = house.session("/mcp/services").await;
    let (tools, _) = session.ask(1, "tools/list", json!({})).await;
    let names = crate::house::names(&tools, "tools");
    for name in [
        "start_server",
        "stop_server",
        "get_server_status",
        "list_servers",
        "start_all_servers",
        "stop_all_servers",
        "restart_server",
        "read_server_logs",
        "wait_for_server",
        "run_command",
        "list_runs",
        "read_run",
        "write_run",
        "stop_run",
        "stop_all_runs",
    ] {
        assert!(names.iter().any(|it| it == name), "{name} of {names:?}");
    }
    for tool in tools["result"]["tools"].as_array().unwrap() {
        let words = tool["description"].as_str().unwrap().split_whitespace().count();
        assert!(words <= 60, "{}: {words} words", tool["name"]);
        assert_eq!(tool["annotations"].as_object().unwrap().len(), 4, "{tool}");
        let properties = tool["inputSchema"]["properties"].as_object().unwrap();
        assert!(properties.values().all(|it| it["description"].is_string()), "{tool}");
        assert!(tool["outputSchema"].is_object(), "{tool}");
    }

    let (started, said, failed) = call(&session, "start_server", json!({ "server_id": "web" })).await;
    assert!(!failed, "{said}");
    assert_eq!((&started["state"], &started["server_id"]), (&json!("running"), &json!("web")), "{started}");
    let port = started["ports"][0].as_u64().unwrap();
    assert_eq!(started["url"], format!("http://127.0.0.1:{port}"));
    let members = family(&process(&started));
    assert_eq!(members.len(), 2, "{members:?}");

    // Once more is once.
    let (again, said, failed) = call(&session, "start_server", json!({ "server_id": "web" })).await;
    assert!(!failed && said.contains("running already"), "{said}");
    assert_eq!((&again["run"], &again["pid"]), (&started["run"], &started["pid"]));
    let (status, ..) = call(&session, "get_server_status", json!({ "server_id": "web" })).await;
    assert_eq!((&status["ready"], &status["ports"]), (&json!(true), &json!([port])), "{status}");
    assert!(status["memory_bytes"].as_u64().unwrap() > 0 && status["description"] == "the web", "{status}");
    let (logs, said, _) = call(&session, "read_server_logs", json!({ "server_id": "web" })).await;
    assert!(said.contains(&format!("listening on {port}")), "{said}");
    assert_eq!(
        (&logs["dropped_bytes"], &logs["lines"][0]["stream"]),
        (&json!(0), &json!("stdout")),
        "{logs}"
    );
    let (_, list, _) = house.run(&["runs", "list", "--json"]);
    assert!(list.contains("\"kind\":\"service\"") && list.contains("\"tool\":\"web\""), "{list}");

    let (stopped, said, failed) = call(&session, "stop_server", json!({ "server_id": "web" })).await;
    assert!(!failed, "{said}");
    assert!(members.iter().all(|it| !it.lives()), "{members:?} live");
    assert_eq!((&stopped["verdict"], &stopped["survivors"]), (&json!("stopped"), &json!([])), "{stopped}");
    assert!(stopped["before"].as_array().unwrap().len() == 2 && stopped["proof"]["passes"] == 2, "{stopped}");
    let (stopped, _, failed) = call(&session, "stop_server", json!({ "server_id": "web" })).await;
    assert!(!failed && stopped["verdict"] == "already_ended", "{stopped}");
    let (list, ..) = call(&session, "list_servers", json!({})).await;
    assert_eq!(list["servers"][0]["state"], "stopped", "{list}");

    // What is asked for wrongly is said to be.
    for (tool, arguments, part) in [
        ("start_server", json!({}), "missing field `server_id`"),
        ("start_server", json!({ "server_id": "" }), "is empty"),
        ("start_server", json!({ "server_id": "x".repeat(65) }), "cannot be a server_id"),
        ("start_server", json!({ "server_id": "we b" }), "cannot be a server_id"),
        ("start_server", json!({ "server_id": "wbe" }), "There is no service `wbe`"),
        ("start_server", json!({ "server_id": 5 }), "server_id: invalid type"),
        ("start_server", json!({ "server_id": "web", "wait": "soon" }), "wait: invalid value"),
        ("stop_server", json!({ "server_id": "web", "force": true }), "unknown field `force`"),
        ("read_server_logs", json!({ "server_id": "web", "grep": "(" }), "regular expression"),
    ] {
        let (_, said, failed) = call(&session, tool, arguments.clone()).await;
        assert!(failed && said.contains(part), "{tool} {arguments}: {said}");
    }
}

/// Answers every request on a port with that status line until it is dropped.
fn stranger(status: &'static str) -> (u16, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let end = ended.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if end.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    (port, ended)
}

/// What another orchestrator gets wrong, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn every_start_is_what_it_is_said_to_be() {
    let (healthy, healthy_end) = stranger("200 OK");
    let (missing, missing_end) = stranger("404 Not Found");
    let late = free_port();
    let house = house(&format!(
        "  healthy: {{ command: [python3, web.py, \"{healthy}\"], port: {healthy}, ready: {{ http: / }} }}\n  \
           missing: {{ command: [python3, web.py, \"{missing}\"], port: {missing}, ready: {{ http: / }} }}\n  \
           late: {{ command: \"echo no port today >&2; sleep 0.3; exit 7\", port: {late}, ready: {{ http: / }} }}\n  \
           away: {{ command: [python3, web.py, \"${{port}}\"], port: auto, ready: {{ http: /missing, timeout: 1500ms }} }}\n  \
           twice: {{ command: [python3, web.py, \"${{port}}\"], port: auto, ready: {{ http: / }} }}\n  \
           crash: {{ command: [python3, web.py, \"${{port}}\"], port: auto, ready: {{ http: / }} }}\n  \
           folder: {{ command: sleep 1000, cwd: not/there }}\n  \
           program: {{ command: [not-a-program] }}\n"
    ));
    let session = house.session("/mcp/services").await;
    let start = async |id: &str| call(&session, "start_server", json!({ "server_id": id })).await;

    // A stranger on the port, whatever it answers, is named at once, and nothing was started.
    for (id, port) in [("healthy", healthy), ("missing", missing)] {
        let began = Instant::now();
        let (_, said, failed) = start(id).await;
        let holder = format!("port {port} is held by pid {}", std::process::id());
        assert!(failed && said.contains(&holder), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let (status, ..) = call(&session, "get_server_status", json!({ "server_id": id })).await;
        assert_eq!((&status["state"], &status["pid"]), (&json!("failed"), &Value::Null), "{status}");
    }

    // A stranger comes while ours dies: its answer is nobody's success.
    let (answer, ()) = tokio::join!(start("late"), async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        tokio::task::spawn_blocking(move || {
            let listener = TcpListener::bind(("127.0.0.1", late)).unwrap();
            std::thread::spawn(move || {
                for stream in listener.incoming().take(3) {
                    let _ = write!(stream.unwrap(), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                }
            });
        })
        .await
        .unwrap();
    });
    let (_, said, failed) = answer;
    let names_it = said.contains(&format!("port {late} is held by pid {}", std::process::id()));
    assert!(failed && (said.contains("exited with code 7") || names_it), "{said}");
    assert!(said.contains("no port today"), "{said}");

    // A health path that is not there: it fails after its time, says so, and leaves nothing.
    let (_, said, failed) = start("away").await;
    assert!(failed && said.contains("answered with 404") && said.contains("within 1.5 s"), "{said}");
    let (_, all, _) = house.run(&["runs", "list", "--all", "--json"]);
    let away: Value = all
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .find(|run: &Value| run["tool"] == "away")
        .unwrap();
    assert_eq!((&away["state"], &away["verdict"]), (&json!("ended"), &json!("stopped")), "{away}");

    // Two starts at once: one server, which both name, and which can be stopped.
    let other = house.session("/mcp/services").await;
    let (one, two) =
        tokio::join!(start("twice"), call(&other, "start_server", json!({ "server_id": "twice" })));
    assert!(!one.2 && !two.2, "{one:?} {two:?}");
    assert_eq!((&one.0["run"], &one.0["pid"]), (&two.0["run"], &two.0["pid"]));
    let members = family(&process(&one.0));
    let (stopped, ..) = call(&session, "stop_server", json!({ "server_id": "twice" })).await;
    assert_eq!(stopped["verdict"], "stopped", "{stopped}");
    assert!(members.iter().all(|it| !it.lives()), "{members:?}");

    // A crash after the start is seen, what it left is stopped, and it can be started again.
    let (started, ..) = start("crash").await;
    let server = process(&started);
    let members = family(&server);
    let pid = rustix::process::Pid::from_raw(server.pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::SEGV).unwrap();
    let status = until(&session, "crash", |status| status["state"] == "failed").await;
    assert!(status["reason"].as_str().unwrap().contains("ended by signal 11"), "{status}");
    let (stopped, _, failed) = call(&session, "stop_server", json!({ "server_id": "crash" })).await;
    assert!(
        !failed && ["already_ended", "stopped"].contains(&stopped["verdict"].as_str().unwrap()),
        "{stopped}"
    );
    assert!(members.iter().all(|it| !it.lives()), "{members:?}");
    let (again, said, failed) = start("crash").await;
    assert!(!failed && again["pid"] != started["pid"], "{said}");

    let (_, said, failed) = start("folder").await;
    assert!(failed && said.contains("not/there does not exist"), "{said}");
    let (_, said, failed) = start("program").await;
    assert!(failed && said.contains("`not-a-program` was not found"), "{said}");
    // And the orchestrator lives.
    assert_eq!(call(&session, "list_servers", json!({})).await.0["servers"].as_array().unwrap().len(), 8);
    for (port, end) in [(healthy, healthy_end), (missing, missing_end)] {
        end.store(true, std::sync::atomic::Ordering::Relaxed);
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
    }
}

#[tokio::test]
async fn services_start_in_their_order_and_stop_in_the_other() {
    let house = house(
        "  schema: { command: \"sleep 0.2; echo schema >>order\" }\n  \
           db: { command: \"echo db >>order; sleep 0.2; echo up; trap 'echo db-down >>order; exit' TERM; sleep 1000 & wait\", ready: { log: ^up$ }, depends_on: { schema: exited_ok } }\n  \
           api: { command: \"echo api >>order; trap 'echo api-down >>order; exit' TERM; sleep 1000 & wait\", depends_on: { db: ready }, tags: [front] }\n  \
           lost: { command: sleep 1000, depends_on: { broken: exited_ok } }\n  broken: { command: exit 4 }\n",
    );
    let session = house.session("/mcp/services").await;
    let (content, said, failed) = call(&session, "start_server", json!({ "server_id": "api" })).await;
    assert!(!failed && content["state"] == "running", "{said}");
    let order = || std::fs::read_to_string(house.folder.path().join("order")).unwrap_or_default();
    let until = Instant::now() + PATIENCE;
    while order() != "schema\ndb\napi\n" {
        assert!(Instant::now() < until, "{}", order());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (_, said, failed) = call(&session, "start_server", json!({ "server_id": "lost" })).await;
    assert!(failed && said.contains("`broken`, which it depends on, exited with code 4"), "{said}");

    let (content, said, failed) = call(&session, "stop_all_servers", json!({ "grace": 3 })).await;
    assert!(!failed, "{said}");
    assert_eq!(content["counts"], json!({ "stopped": 2 }), "{content}");
    assert_eq!(order(), "schema\ndb\napi\napi-down\ndb-down\n");
    let (content, ..) = call(&session, "start_all_servers", json!({ "tags": ["front"] })).await;
    assert_eq!(content["results"][0]["server_id"], "api", "{content}");
}

#[tokio::test]
async fn a_service_that_ends_is_started_again_as_it_says_and_not_after_a_stop() {
    let house = house(
        "  flaky: { command: \"echo run >>runs; sleep 0.1; exit 3\", restart: { policy: on_failure, backoff: 20ms, max: 2 } }\n  \
           steady: { command: \"echo again; sleep 1000\", restart: always }\n",
    );
    let session = house.session("/mcp/services").await;
    let (_, said, failed) = call(&session, "start_server", json!({ "server_id": "flaky" })).await;
    assert!(!failed, "{said}");
    let status = until(&session, "flaky", |status| status["state"] == "failed").await;
    assert!(status["reason"].as_str().unwrap().contains("started again 2 times in a row"), "{status}");
    assert_eq!(status["restarts"].as_array().unwrap().len(), 2, "{status}");
    let runs = std::fs::read_to_string(house.folder.path().join("runs")).unwrap();
    assert_eq!(runs.lines().count(), 3);

    let said_again = async |times: usize| {
        let end = Instant::now() + PATIENCE;
        loop {
            let grep = json!({ "server_id": "steady", "grep": "again" });
            let (logs, ..) = call(&session, "read_server_logs", grep).await;
            if logs["lines"].as_array().unwrap().len() == times {
                return;
            }
            assert!(Instant::now() < end, "{logs}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (started, ..) = call(&session, "start_server", json!({ "server_id": "steady" })).await;
    let first = process(&started);
    said_again(1).await;
    let kill = |process: &Process| {
        let pid = rustix::process::Pid::from_raw(process.pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    };
    kill(&first);
    let status =
        until(&session, "steady", |status| status["state"] == "running" && status["pid"] != first.pid).await;
    assert!(status["restarts"][0]["reason"].as_str().unwrap().contains("ended by signal 9"), "{status}");
    // The log is that of both.
    said_again(2).await;
    // Stopped by the agent, and then by the operator: it stays down.
    let (stopped, ..) = call(&session, "stop_server", json!({ "server_id": "steady" })).await;
    assert_eq!(stopped["verdict"], "stopped");
    call(&session, "start_server", json!({ "server_id": "steady" })).await;
    let (code, said, _) = house.run(&["runs", "stop", "--kind", "service", "--grace", "1s"]);
    assert_eq!(code, 0, "{said}");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (status, ..) = call(&session, "get_server_status", json!({ "server_id": "steady" })).await;
    assert_eq!((&status["state"], &status["pid"]), (&json!("stopped"), &Value::Null), "{status}");
}

/// SIGKILL of the gate: what is to be kept goes on and is the next gate's; the rest ends by itself after its time. SIGTERM
/// leaves what is kept, too.
#[tokio::test]
async fn what_is_kept_outlives_the_gate_and_is_the_next_ones() {
    let mut house = house(
        "  kept: { command: [python3, web.py, \"${port}\"], port: auto, ready: { http: / }, on_loss: keep }\n  \
           soon: { command: sleep 1000, on_loss: { stop_after: 200ms } }\n  \
           adopted: { command: \"while :; do echo tick; sleep 0.1; done\", on_loss: { stop_after: 30s } }\n",
    );
    let mut all = Vec::new();
    {
        let session = house.session("/mcp/services").await;
        for id in ["kept", "soon", "adopted"] {
            let (started, said, failed) = call(&session, "start_server", json!({ "server_id": id })).await;
            assert!(!failed, "{said}");
            all.push((process(&started), started));
        }
    }
    house.gate.as_mut().unwrap().kill();
    let until_gone = Instant::now() + PATIENCE;
    while all[1].0.lives() {
        assert!(Instant::now() < until_gone);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(all[0].0.lives() && all[2].0.lives());
    house.up();
    {
        let session = house.session("/mcp/services").await;
        for (at, id) in [(0, "kept"), (2, "adopted")] {
            let status = until(&session, id, |status| status["state"] == "running").await;
            assert_eq!((&status["run"], &status["pid"]), (&all[at].1["run"], &all[at].1["pid"]), "{status}");
            assert_eq!(status["url"], all[at].1["url"], "{status}");
        }
        let (again, said, _) = call(&session, "start_server", json!({ "server_id": "kept" })).await;
        assert!(said.contains("running already") && again["run"] == all[0].1["run"], "{said}");
        let (page, ..) =
            call(&session, "read_server_logs", json!({ "server_id": "adopted", "tail": 1 })).await;
        let cursor = page["next_cursor"].as_u64().unwrap();
        let (met, ..) = call(
            &session,
            "wait_for_server",
            json!({ "server_id": "adopted", "condition": "log", "log": "tick", "timeout": 5 }),
        )
        .await;
        assert_eq!(met["met"], true, "{met}");
        let (page, ..) =
            call(&session, "read_server_logs", json!({ "server_id": "adopted", "cursor": cursor })).await;
        assert!(!page["lines"].as_array().unwrap().is_empty(), "{page}");
    }
    house.gate.as_mut().unwrap().terminate();
    assert!(all[0].0.lives() && !all[2].0.lives());
    // No gate: the emergency stop ends what is kept, and says so.
    let members = family(&all[0].0);
    let (code, said, err) = house.run(&["drop", "--reason", "night"]);
    assert!(code == 0 && said.contains("stopped"), "{said}{err}");
    assert!(members.iter().all(|it| !it.lives()), "{members:?}");
    assert_eq!(house.run(&["raise"]).0, 0);
    house.up();
    let session = house.session("/mcp/services").await;
    let (status, ..) = call(&session, "get_server_status", json!({ "server_id": "kept" })).await;
    assert_eq!(status["state"], "stopped", "{status}");
}

#[tokio::test]
async fn commands_are_runs_of_the_grant_that_asked_for_them() {
    let mut house = planned("  none: { command: \"true\" }\n", "");
    house.configure(
        "grants:\n",
        "grants:\n  other: { token: \"${env:OTHER_TOKEN}\", upstreams: { \"*\": p } }\n",
    );
    let other_token = TOKEN.chars().rev().collect::<String>();
    house.env.push(("OTHER_TOKEN", other_token.clone()));
    house.up();
    let session = house.session("/mcp/services").await;
    let (content, said, failed) = call(
        &session,
        "run_command",
        json!({ "argv": ["sh", "-c", "echo out; echo err >&2; echo $A"], "env": { "A": "b" } }),
    )
    .await;
    assert!(!failed && said.contains("out") && said.contains("err") && said.contains('b'), "{said}");
    assert_eq!((&content["exit_code"], &content["state"]), (&json!(0), &json!("ended")), "{content}");
    let (content, said, failed) =
        call(&session, "run_command", json!({ "command": "echo no; exit 5" })).await;
    assert!(failed && said.contains("exited with code 5") && content["exit_code"] == 5, "{said}");
    let (content, said, _) =
        call(&session, "run_command", json!({ "argv": ["cat"], "stdin": "given" })).await;
    assert!(said.contains("given") && content["exit_code"] == 0, "{said}");
    let (content, said, failed) =
        call(&session, "run_command", json!({ "command": "sleep 1000 & sleep 1000", "timeout": "300ms" }))
            .await;
    assert!(failed && said.contains("it ran for 0.3 s, which is its limit"), "{said}");
    assert_eq!(content["verdict"], "stopped", "{content}");

    // In the background, with its stdin.
    let (started, said, failed) = call(
        &session,
        "run_command",
        json!({ "command": "while read line; do echo got $line; done; sleep 1000", "open_stdin": true, "wait": 0.1 }),
    )
    .await;
    assert!(!failed && said.contains("goes on in the background"), "{said}");
    let run = started["run"].as_str().unwrap();
    call(&session, "write_run", json!({ "run": run, "text": "this\n" })).await;
    let (page, said, _) = call(&session, "read_run", json!({ "run": run, "wait": 5 })).await;
    assert!(said.contains("got this"), "{said}");
    let cursor = page["next_cursor"].as_u64().unwrap();
    let (written, ..) =
        call(&session, "write_run", json!({ "run": run, "text": "that\n", "close": true })).await;
    assert_eq!(written["written"], 5);
    let (_, said, _) = call(&session, "read_run", json!({ "run": run, "cursor": cursor, "wait": 5 })).await;
    assert!(said.contains("got that") && !said.contains("this"), "{said}");
    let (_, said, failed) = call(&session, "write_run", json!({ "run": run, "text": "x" })).await;
    assert!(failed && said.contains("is closed"), "{said}");

    // Another grant does not know it: as one that never was.
    {
        let other = house.session_of(&other_token, "/mcp/services").await;
        assert_eq!(call(&other, "list_runs", json!({})).await.0["runs"], json!([]));
        for tool in ["read_run", "stop_run"] {
            let (_, foreign, failed) = call(&other, tool, json!({ "run": run })).await;
            let (_, unknown, _) = call(&other, tool, json!({ "run": "r_aaaaaaaaaaaaaaaaaaaa" })).await;
            assert!(failed, "{foreign}");
            assert_eq!(foreign.replace(run, "ID"), unknown.replace("r_aaaaaaaaaaaaaaaaaaaa", "ID"));
        }
        assert_eq!(call(&other, "stop_all_runs", json!({})).await.0["results"], json!([]));
    }
    let (stopped, said, failed) = call(&session, "stop_run", json!({ "run": run, "grace": 1 })).await;
    assert!(!failed && stopped["verdict"] == "stopped", "{said}");
    let (stopped, ..) = call(&session, "stop_run", json!({ "run": run })).await;
    assert_eq!(stopped["verdict"], "already_ended", "{stopped}");
    let (list, ..) = call(&session, "list_runs", json!({})).await;
    assert_eq!(list["runs"].as_array().unwrap().len(), 5, "{list}");

    // A command whose call is cancelled is gone.
    let params =
        json!({ "name": "run_command", "arguments": { "command": "echo $$ >pid; sleep 1000", "wait": 600 } });
    let request = json!({ "jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params });
    let asking = session.post(request.to_string());
    let cancelling = async {
        let until = Instant::now() + PATIENCE;
        let pid = loop {
            let text = std::fs::read_to_string(house.folder.path().join("pid")).unwrap_or_default();
            if let Ok(pid) = text.trim().parse::<i32>() {
                break pid;
            }
            assert!(Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let process = Process::of(pid).unwrap();
        let notice =
            json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 77 } });
        session.post(notice.to_string()).await;
        while process.lives() {
            assert!(Instant::now() < until);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // A call that is cancelled has no answer, and its stream ends.
    tokio::join!(asking, cancelling);
}

#[tokio::test]
async fn what_other_tools_know_as_services_can_be_imported() {
    let house = planned("  own: { command: \"true\" }\n", "");
    let folder = house.folder.path();
    std::fs::write(
        folder.join("services.yaml"),
        "import: [Procfile, package.json, process-compose.yaml]\nservices:\n  own: { command: \"true\" }\n",
    )
    .unwrap();
    std::fs::write(folder.join("Procfile"), "# all\nworker: echo worker $PORT; sleep 1000\n").unwrap();
    std::fs::write(
        folder.join("package.json"),
        r#"{"name":"x","scripts":{"dev":"node x.js","build:all":"true"}}"#,
    )
    .unwrap();
    std::fs::write(
        folder.join("process-compose.yaml"),
        "processes:\n  migrate: { command: \"true\" }\n  queue:\n    command: echo queue is up; sleep 1000\n    ready_log_line: queue is up\n    \
         environment: [\"A=b\"]\n    depends_on: { migrate: { condition: process_completed_successfully } }\n    \
         availability: { restart: on_failure, max_restarts: 2 }\n    shutdown: { signal: 2, timeout_seconds: 3 }\n",
    )
    .unwrap();
    let mut house = house;
    house.up();
    let session = house.session("/mcp/services").await;
    let (list, ..) = call(&session, "list_servers", json!({})).await;
    let names: Vec<&str> =
        list["servers"].as_array().unwrap().iter().map(|it| it["server_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["build:all", "dev", "migrate", "own", "queue", "worker"]);
    let (started, said, failed) = call(&session, "start_server", json!({ "server_id": "queue" })).await;
    assert!(!failed && started["state"] == "running", "{said}");
    let (started, said, failed) =
        call(&session, "start_server", json!({ "server_id": "worker", "port": free_port() })).await;
    assert!(!failed && started["state"] == "running", "{said}");

    // A file with mistakes: the services stay, and it is said what is wrong.
    std::fs::write(house.folder.path().join("services.yaml"), "services:\n  own: { comand: x }\n").unwrap();
    house.run(&["reload"]);
    let (list, said, _) = call(&session, "list_servers", json!({})).await;
    assert_eq!(list["servers"].as_array().unwrap().len(), 6);
    assert!(said.contains("did you mean `command`?") || said.contains("looks like it"), "{said}");
    std::fs::write(house.folder.path().join("services.yaml"), "services:\n  own: { command: \"true\" }\n")
        .unwrap();
    house.run(&["reload"]);
    // What runs can still be stopped; what was at its end is known until it has reached it.
    let began = Instant::now();
    loop {
        let (list, ..) = call(&session, "list_servers", json!({})).await;
        let names: Vec<_> = list["servers"].as_array().unwrap().iter().map(|it| &it["server_id"]).collect();
        if names == ["own", "queue", "worker"] {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (content, ..) = call(&session, "stop_all_servers", json!({})).await;
    assert_eq!(content["counts"]["stopped"], 2, "{content}");
}

/// The page on services: its file is taken as it stands, and what it says comes.
#[tokio::test]
async fn the_page_shows_what_comes() {
    let [entry, services] = &crate::documents::of("services.md", "yaml")[..] else { panic!("other blocks") };
    let entry = entry.split_once("upstreams:\n").unwrap().1;
    let mut house = House::plan(&Plan { upstreams: entry, policy: ALLOW_ALL, more: MORE });
    std::fs::write(house.folder.path().join("services.yaml"), services).unwrap();
    house.up();
    let session = house.session("/mcp/services").await;
    let (started, said, failed) = call(&session, "start_server", json!({ "server_id": "web" })).await;
    assert!(!failed && started["state"] == "running" && started["ports"][0].is_u64(), "{said}");
    let (list, ..) = call(&session, "list_servers", json!({})).await;
    let states: Vec<&Value> = list["servers"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["running", "running"], "{list}");
    let shown: Value = serde_json::from_str(&crate::documents::of("services.md", "json")[0]).unwrap();
    let (stopped, ..) = call(&session, "stop_server", json!({ "server_id": "web" })).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&shown), keys(&stopped));
    assert_eq!(keys(&shown["proof"]), keys(&stopped["proof"]));
    for key in ["server_id", "verdict", "survivors"] {
        assert_eq!(shown[key], stopped[key]);
    }

    // Dropped, they end, and none is started until the drop is raised.
    let (code, said, _) =
        house.run(&["drop", "--upstream", "services", "--reason", "night", "--grace", "1s"]);
    assert!(code == 0 && said.contains("1 stopped"), "{said}");
    let answer = session.call(9, "start_server", json!({ "server_id": "db" })).await;
    assert!(text(&answer).contains("night"), "{answer}");
    assert_eq!(house.run(&["raise", "--upstream", "services"]).0, 0);
    let (started, said, failed) = call(&session, "start_server", json!({ "server_id": "db" })).await;
    assert!(!failed && started["state"] == "running", "{said}");
}

/// Without a gate: the same server, for a client that starts it itself. What it started ends with it.
#[test]
fn the_built_in_server_speaks_on_stdin_and_stdout_too() {
    use std::io::{BufRead, BufReader};
    let house = House::empty();
    let services = "services:\n  web: { command: \"echo up; sleep 1000\", ready: { log: up } }\n";
    std::fs::write(house.folder.path().join("services.yaml"), services).unwrap();
    let mut command = house.command(&["mcp", "services", "--data", "data"]);
    command.stdin(std::process::Stdio::piped());
    #[allow(clippy::disallowed_methods, reason = "the program itself")]
    let mut server = command.spawn().unwrap();
    let (mut stdin, stdout) = (server.stdin.take().unwrap(), server.stdout.take().unwrap());
    let mut lines = BufReader::new(stdout).lines();
    let mut ask = |message: Value| -> Value {
        writeln!(stdin, "{message}").unwrap();
        serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap()
    };
    let hello = ask(json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
        { "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } }));
    assert_eq!(hello["result"]["serverInfo"]["name"], "portcullis-services", "{hello}");
    let started = ask(json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params":
        { "name": "start_server", "arguments": { "server_id": "web" } } }));
    let content = &started["result"]["structuredContent"];
    assert_eq!(content["state"], "running", "{started}");
    let members = family(&process(content));
    let unknown =
        ask(json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "no" } }));
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
    drop(stdin);
    assert!(server.wait().unwrap().success());
    assert!(members.iter().all(|it| !it.lives()), "{members:?}");
    let (code, _, err) = house.run(&["mcp", "services", "--file", "nowhere.yaml", "--data", "data"]);
    assert!(code == 2 && err.contains("nowhere.yaml is not there"), "{err}");
}

/// Each bound ends all of a run, and says which it was.
#[tokio::test]
async fn a_limit_ends_all_that_a_service_started() {
    let burn = "while :; do :; done";
    let grow = "import time\\nx = []\\nwhile True:\\n    x.append(bytearray(1 << 20)); time.sleep(0.01)";
    let house = house(&format!(
        "  wall: {{ command: \"sleep 1000 & sleep 1000\", limits: {{ wall: 400ms }} }}\n  \
           idle: {{ command: \"echo once; (trap '' TERM; sleep 1000) & sleep 1000\", limits: {{ idle: 400ms }}, stop: {{ grace: 300ms }} }}\n  \
           cpu: {{ command: \"({burn}) & {burn}\", limits: {{ cpu: 800ms }} }}\n  \
           memory: {{ command: [python3, -c, \"{grow}\"], limits: {{ memory: 40MiB }} }}\n"
    ));
    let session = house.session("/mcp/services").await;
    for (id, said) in [
        ("wall", "it ran for 0.4 s, which is its limit"),
        ("idle", "it said nothing for 0.4 s, which is its limit"),
        ("cpu", "it used 0.8 s of processor time, which is its limit"),
        ("memory", "of memory, and its limit is 40 MiB"),
    ] {
        let (started, why, failed) = call(&session, "start_server", json!({ "server_id": id })).await;
        assert!(!failed, "{why}");
        let members = family(&process(&started));
        let status = until(&session, id, |status| status["state"] == "failed").await;
        assert!(status["reason"].as_str().unwrap().contains(said), "{status}");
        let run = started["run"].as_str().unwrap();
        assert_eq!(house.run(&["runs", "wait", run]).0, 0);
        assert!(members.iter().all(|it| !it.lives()), "{id}: {members:?}");
    }
}
