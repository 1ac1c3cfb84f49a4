//! `portcullis stdio`, and servers on stdio behind the gate.

use crate::house::{ALLOW_ALL, House, Plan, fixture, text};
use crate::stream::modern;
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{BufRead, Write};
use std::process::{Command, Stdio};

/// Speaks these lines to `portcullis stdio`; gives its exit code, what it answered, and what it said on stderr.
pub fn converse(house: &House, arguments: &[&str], lines: &[impl Display]) -> (i32, Vec<Value>, String) {
    converse_with(&mut house.command(&[&["stdio"], arguments].concat()), lines)
}

#[expect(clippy::disallowed_methods, reason = "a client starts this command itself")]
fn converse_with(command: &mut Command, lines: &[impl Display]) -> (i32, Vec<Value>, String) {
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in lines {
        // One that ends at once reads nothing.
        let _ = writeln!(stdin, "{line}");
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let answers = String::from_utf8(output.stdout).unwrap();
    let answers = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap_or(-1), answers, String::from_utf8(output.stderr).unwrap())
}

/// The answer to a request.
fn find(answers: &[Value], id: u64) -> &Value {
    answers.iter().find(|answer| answer["id"] == json!(id)).unwrap_or_else(|| panic!("{answers:?}"))
}

fn conversation() -> Vec<Value> {
    vec![
        json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params":
            {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}}),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "fix__echo", "arguments": {"message": "over stdio"}}}),
    ]
}

fn plan() -> (String, &'static str) {
    (
        format!("  fix: {{ command: \"{}\", args: [stdio, --extra] }}", fixture().display()),
        "ledger: { durability: process }",
    )
}

#[tokio::test]
async fn stdio_attaches_to_the_running_gate_and_runs_one_of_its_own_without() {
    let (upstreams, more) = plan();
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for attached in [true, false] {
        if !attached {
            house.gate.as_mut().unwrap().terminate();
        }
        let (code, answers, err) = converse(&house, &["--grant", "t"], &conversation());
        assert_eq!(code, 0, "{err}");
        assert_eq!(find(&answers, 1)["result"]["protocolVersion"], "2025-06-18");
        assert_eq!(text(find(&answers, 2)), "over stdio");
    }
    let rows = house.rows(&["--tool", "echo"]);
    assert_eq!(rows.iter().filter(|row| row["kind"] == "decision").count(), 2);
}

#[tokio::test]
async fn stdio_works_on_a_fresh_data_folder_as_up_does() {
    let house = House::empty();
    let config = format!(
        "upstreams:\n  fix: {{ command: \"{}\", args: [stdio, --extra] }}\npolicies: {{ p: policy.yaml }}\n",
        fixture().display()
    );
    std::fs::write(house.folder.path().join("portcullis.yaml"), config).unwrap();
    std::fs::write(house.folder.path().join("policy.yaml"), ALLOW_ALL).unwrap();
    for start in ["first", "second"] {
        let (code, answers, err) = converse(&house, &[], &conversation());
        assert_eq!((code, text(find(&answers, 2))), (0, "over stdio"), "{start}: {err}");
        assert_eq!(err.contains("made the grant `me`"), start == "first", "{err}");
        assert!(!err.contains("pcl_"), "a token that nobody asked for is shown: {err}");
    }
}

/// Stdio has no headers: what HTTP clients of the new era mirror into them stands in the message alone.
#[tokio::test]
async fn no_request_of_the_new_era_is_refused_for_headers_that_stdio_has_not() {
    let (upstreams, more) = plan();
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for (more, prefix) in [(&["--grant", "t"][..], "fix__"), (&["--grant", "t", "--upstream", "fix"], "")] {
        let tool = |tool: &str| format!("{prefix}{tool}");
        let asked = [
            ("tools/list", json!({})),
            (
                "tools/call",
                json!({"name": tool("test_custom_header"), "arguments": {"value": "e\u{301}u \n"}}),
            ),
            ("tools/call", json!({"name": tool("test_custom_header"), "arguments": {"value": null}})),
            ("prompts/get", json!({"name": tool("none")})),
            ("resources/read", json!({"uri": "none://ü"})),
            ("tasks/get", json!({"taskId": "t_none"})),
            ("tasks/update", json!({"taskId": "t_none"})),
            ("tasks/cancel", json!({"taskId": "t_none"})),
        ];
        let lines: Vec<String> = (1..)
            .zip(asked.clone())
            .map(|(id, (method, params))| modern(id, method, params, json!({})).1)
            .collect();
        let (code, answers, err) = converse(&house, more, &lines);
        assert_eq!((code, answers.len()), (0, lines.len()), "{err} {answers:?}");
        for (id, (method, _)) in (1..).zip(&asked) {
            assert_ne!(find(&answers, id)["error"]["code"], -32020, "{method}: {answers:?}");
        }
        assert_eq!(text(find(&answers, 2)), "value=e\u{301}u \n");
    }
}

#[tokio::test]
async fn stdio_works_where_there_is_no_configuration() {
    let house = House::empty();
    // Without `npx` nothing is installed: the gate that is made has no upstreams.
    let (code, answers, err) = converse_with(house.command(&["stdio"]).env("PATH", ""), &conversation());
    assert_eq!(code, 0, "{err}");
    assert_eq!(find(&answers, 1)["result"]["protocolVersion"], "2025-06-18", "{err}");
    assert!(house.folder.path().join("portcullis.yaml").is_file());
}

#[tokio::test]
async fn a_stdio_that_cannot_speak_for_its_grant_says_so_and_fails() {
    let (upstreams, more) = plan();
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    for attached in [true, false] {
        if !attached {
            house.gate.as_mut().unwrap().terminate();
        }
        let (code, answers, err) = converse(&house, &["--grant", "nobody"], &conversation());
        assert!(code == 2 && answers.is_empty(), "{code} {answers:?}");
        assert!(err.contains("there is no grant named `nobody`: there are t"), "{err}");
        let (code, answers, err) = converse(&house, &["--grant", "t", "--upstream", "nope"], &conversation());
        assert!(code == 2 && find(&answers, 1).get("error").is_some(), "{code} {answers:?}");
        assert!(err.contains("there is no upstream of that name"), "{err}");
    }
}

#[tokio::test]
async fn a_server_that_crashes_fails_its_calls_at_once_with_its_last_words_and_comes_back() {
    let (upstreams, more) = plan();
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({"message": "a"})).await), "a");
    let crashed = session.call(2, "crash", json!({})).await;
    let said = crashed["error"]["message"].as_str().unwrap_or_else(|| panic!("{crashed}"));
    assert!(said.contains("code 3") && said.contains("crashing on request"), "{said}");
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        let answer = session.call(3, "echo", json!({"message": "b"})).await;
        if answer.pointer("/result/content/0/text") == Some(&json!("b")) {
            break;
        }
        assert!(std::time::Instant::now() < until, "it did not come back: {answer}");
    }
}

#[tokio::test]
async fn what_is_said_of_a_server_on_stdio_is_true_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("server.sh");
    let refuse = "while read -r line; do id=$(printf '%s' \"$line\" | sed 's/.*\"id\":\\([0-9]*\\).*/\\1/')\n\
                  echo '{\"jsonrpc\":\"2.0\",\"id\":'$id',\"error\":{\"code\":-32000,\"message\":\"no licence\"}}'; done\n";
    std::fs::write(&script, refuse).unwrap();
    let upstreams = format!(
        "  no: {{ command: sh, args: [\"{}\"] }}\n  slow: {{ command: \"{}\", args: [stdio, --extra], timeout: 100ms }}",
        script.display(),
        fixture().display()
    );
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let session = house.session("/mcp/slow").await;
    let late = session.call(1, "delay", json!({"ms": 20_000, "label": "x"})).await;
    assert_eq!(late["error"]["message"], "no answer within 0.1 s (upstreams.slow.timeout)");
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        if let Some(reason) = status["upstreams"][0]["reason"].as_str() {
            assert!(reason.contains("no licence") && !reason.contains("HTTP"), "{reason}");
            return;
        }
        assert!(std::time::Instant::now() < until, "{status}");
    }
}

#[tokio::test]
async fn an_answer_over_the_limit_fails_its_own_call_alone() {
    let (upstreams, _) = plan();
    let house =
        House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "limits: { message: 64KiB }" });
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "flood", json!({"bytes": 500_000})).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("limit of 65536"), "{answer}");
    assert_eq!(text(&session.call(2, "echo", json!({"message": "still here"})).await), "still here");
}

/// A client on `portcullis stdio` that stays while its gate comes and goes.
struct Bridge {
    child: std::process::Child,
    out: std::io::BufReader<std::process::ChildStdout>,
    /// Answers that nobody asked after yet.
    read: Vec<Value>,
}

impl Bridge {
    #[expect(clippy::disallowed_methods, reason = "a client starts this command itself")]
    fn start(house: &House) -> Self {
        let mut command = house.command(&["stdio", "--grant", "t"]);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let out = std::io::BufReader::new(child.stdout.take().unwrap());
        Self { child, out, read: Vec::new() }
    }

    fn say(&mut self, message: &Value) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{message}").unwrap();
    }

    fn answer(&mut self, id: u64) -> Value {
        loop {
            if let Some(at) = self.read.iter().position(|message| message["id"] == json!(id)) {
                return self.read.swap_remove(at);
            }
            let mut line = String::new();
            assert!(self.out.read_line(&mut line).unwrap() > 0, "it ended before it answered {id}");
            let message: Value = serde_json::from_str(&line).unwrap();
            assert!(message.get("id").is_none_or(|id| !id.is_null()), "{message}");
            if message.get("method").is_none() {
                self.read.push(message);
            }
        }
    }
}

impl Bridge {
    /// Its exit code once the client has nothing more to say.
    fn end(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn a_client_on_stdio_goes_on_where_its_gate_was_started_anew() {
    let (upstreams, more) = plan();
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let mut bridge = Bridge::start(&house);
    let early = json!({"jsonrpc": "2.0", "id": 90, "method": "tools/list"});
    bridge.say(&early);
    assert!(bridge.answer(90).get("error").is_some());
    let [opening, initialized, call] = <[Value; 3]>::try_from(conversation()).unwrap();
    bridge.say(&opening);
    bridge.answer(1);
    bridge.say(&initialized);
    // Several at once: one of them opens the session again, and all go on.
    let several = |bridge: &mut Bridge| {
        for id in 10..15 {
            let mut call = call.clone();
            call["id"] = json!(id);
            bridge.say(&call);
        }
        for id in 10..15 {
            assert_eq!(text(&bridge.answer(id)), "over stdio");
        }
    };
    several(&mut bridge);
    house.gate.as_mut().unwrap().kill();
    house.up();
    several(&mut bridge);
    house.gate.as_mut().unwrap().terminate();
    house.up();
    several(&mut bridge);
}

#[tokio::test]
async fn a_restart_that_stdio_got_over_is_no_failure_and_a_gate_that_stays_away_is() {
    let (upstreams, more) = plan();
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let [opening, initialized, mut call] = <[Value; 3]>::try_from(conversation()).unwrap();
    for comes_back in [true, false] {
        let mut bridge = Bridge::start(&house);
        bridge.say(&opening);
        bridge.answer(1);
        bridge.say(&initialized);
        call["id"] = json!(9);
        bridge.say(&call);
        bridge.answer(9);
        house.gate.as_mut().unwrap().terminate();
        call["id"] = json!(10);
        bridge.say(&call);
        let answer = bridge.answer(10);
        let said = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}"));
        assert!(
            said.starts_with("no gate runs on ") && said.ends_with("`portcullis up` starts it"),
            "{said}"
        );
        if comes_back {
            house.up();
            call["id"] = json!(11);
            bridge.say(&call);
            assert_eq!(text(&bridge.answer(11)), "over stdio");
        }
        assert_eq!(bridge.end(), Some(if comes_back { 0 } else { 3 }));
    }
}
