//! A server that hangs, or is slow to come up, costs nobody anything who wants something else.

use crate::house::{ALLOW_ALL, House, Plan, names, text};
use crate::scripted::{Reply, Scripted};
use crate::stream::{modern, post_modern, until};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// More than anything may take that waits for no server that hangs, on a busy machine; less than `WAIT`.
const SOON: Duration = Duration::from_secs(5);
/// What `limits.first_connect` says.
const WAIT: Duration = Duration::from_secs(8);

/// Two servers: one hangs at a method from the moment on that the flag is set, the other is well.
async fn two(method: &'static str) -> (House, Arc<AtomicBool>, [Scripted; 2]) {
    let hangs = Arc::new(AtomicBool::new(false));
    let flag = hangs.clone();
    let bad = Scripted::start(&["echo"], move |message, _| {
        (message["method"] == method && flag.load(Ordering::Relaxed)).then_some(Reply::Never)
    })
    .await;
    let good = Scripted::start(&["echo"], |_, _| None).await;
    let upstreams = format!("  bad: {{ url: \"{}\" }}\n  good: {{ url: \"{}\" }}", bad.url, good.url);
    let more = format!("limits: {{ first_connect: {}s }}\nledger: {{ durability: process }}", WAIT.as_secs());
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: &more });
    ready(&house, 2).await;
    (house, hangs, [bad, good])
}

async fn ready(house: &House, servers: usize) {
    until("the servers", || async {
        let status = house.status();
        let all = status["upstreams"].as_array().unwrap();
        (all.iter().filter(|one| one["state"] == "ready").count() == servers).then_some(())
    })
    .await;
}

async fn soon<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, it).await.unwrap_or_else(|_| panic!("{what} waited for the server that hangs"))
}

/// What an aggregated list says of a server that is not in it.
fn named(list: &Value, server: &str) -> Value {
    let named = list["result"]["_meta"]["portcullis/upstreams"].as_array().cloned().unwrap_or_default();
    named.into_iter().find(|one| one["name"] == server).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_opens_no_session_keeps_nobody_else_waiting() {
    let (mut house, hangs, servers) = two("initialize").await;
    hangs.store(true, Ordering::Relaxed);
    let bad_opened = || async { (servers[0].of("initialize").len() >= 3).then_some(()) };
    {
        let session = house.session("/mcp").await;
        let waiting = async {
            let asked = Instant::now();
            let (list, _) = session.ask(1, "tools/list", json!({})).await;
            (list, asked.elapsed())
        };
        let call = modern(1, "tools/call", json!({"name": "echo", "arguments": {}}), json!({}));
        let waiting_too = async { post_modern(&house, "/mcp/bad", call).await.whole().await };
        let others = async {
            until("the openings", bad_opened).await;
            // In the same session, and by a client of the new era, whose sessions are pooled.
            let answer = soon("a call in the session", session.call(2, "good__echo", json!({"n": 1}))).await;
            assert_eq!(text(&answer), r#"{"n":1}"#);
            let call = modern(3, "tools/call", json!({"name": "echo", "arguments": {"n": 2}}), json!({}));
            let call = async { post_modern(&house, "/mcp/good", call).await.whole().await };
            assert_eq!(text(&soon("a call of the new era", call).await), r#"{"n":2}"#);
        };
        let ((list, took), refused, ()) = tokio::join!(waiting, waiting_too, others);
        assert_eq!(names(&list, "tools"), ["good__echo"], "{list}");
        assert!(named(&list, "bad")["reason"].as_str().unwrap().contains("opened no session"), "{list}");
        assert!(took < WAIT + SOON, "{took:?}");
        assert!(refused["error"]["message"].as_str().unwrap().contains("opened no session"), "{refused}");
    }
    // Whoever ends something does not wait either.
    let session = house.session("/mcp").await;
    let waiting = async {
        tokio::time::timeout(Duration::from_millis(300), session.ask(1, "tools/list", json!({}))).await
    };
    let _ = waiting.await;
    let began = Instant::now();
    assert_eq!(house.run(&["grant", "add", "other", "--upstream", "*=p"]).0, 0);
    assert_eq!(house.run(&["grant", "revoke", "other"]).0, 0);
    assert_eq!(house.run(&["reload"]).0, 0);
    assert!(house.gate.as_mut().unwrap().terminate().success());
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[tokio::test]
async fn one_that_gives_no_list_keeps_nobody_else_waiting() {
    let (house, hangs, _servers) = two("tools/list").await;
    let session = house.session("/mcp").await;
    hangs.store(true, Ordering::Relaxed);
    // What is known of it is listed where it says nothing new.
    let asked = Instant::now();
    let waiting = session.ask(1, "tools/list", json!({}));
    let other = soon("a call", session.call(2, "good__echo", json!({"n": 1})));
    let ((list, _), answer) = tokio::join!(waiting, other);
    assert_eq!(text(&answer), r#"{"n":1}"#);
    assert!(names(&list, "tools").contains(&"good__echo".to_owned()), "{list}");
    assert!(asked.elapsed() < WAIT + SOON, "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_first_question_is_asked_the_other() {
    let silent = |reply: fn() -> Reply| {
        Scripted::start(&["echo"], move |message, _| (message["method"] == "server/discover").then(reply))
    };
    let servers =
        [silent(|| Reply::Never).await, silent(|| Reply::Open(vec![": still here\n\n".into()])).await];
    let upstreams =
        format!("  never: {{ url: \"{}\" }}\n  open: {{ url: \"{}\" }}", servers[0].url, servers[1].url);
    let house = House::build(&Plan {
        upstreams: &upstreams,
        policy: ALLOW_ALL,
        more: "ledger: { durability: process }",
    });
    // A client that asks once, at once.
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&list, "tools"), ["never__echo", "open__echo"], "{list}");
    assert_eq!(text(&session.call(2, "open__echo", json!({"n": 1})).await), r#"{"n":1}"#);
}

/// Answers after so many seconds in the era of the first question that it reads, and refuses the other. It speaks `eras`.
const SLOW: &str = r#"
import json, sys, time
wait, eras = float(sys.argv[1]), sys.argv[2]
time.sleep(wait)
spoken = None
META = "io.modelcontextprotocol/"
for line in sys.stdin:
    m = json.loads(line)
    if "id" not in m: continue
    p, r, e = m.get("params") or {}, None, {"code": -32601, "message": "no such method"}
    if m["method"] == "server/discover" and "new" in eras and spoken != "old":
        spoken, r = "new", {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}, "resultType": "complete"}
    elif m["method"] == "initialize" and "old" in eras and spoken != "new":
        spoken, r = "old", {"protocolVersion": p["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}}
    elif m["method"] == "initialize":
        e = {"code": -32022, "message": "this connection serves 2026-07-28"}
    elif m["method"] == "tools/list": r = {"tools": [{"name": "now", "inputSchema": {"type": "object"}}], "resultType": "complete"}
    elif m["method"] == "tools/call": r = {"content": [{"type": "text", "text": spoken}], "resultType": "complete"}
    print(json.dumps({"jsonrpc": "2.0", "id": m["id"], **({"result": r} if r is not None else {"error": e})}), flush=True)
"#;

/// The program in a folder that goes with what is given first.
fn slow() -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("slow.py");
    std::fs::write(&script, SLOW).unwrap();
    (folder, script.display().to_string())
}

#[tokio::test]
async fn a_program_that_is_slow_to_start_is_listed_to_who_asks_once() {
    let (_folder, script) = slow();
    // More than the time after which it is asked the second question, too.
    let entry = |eras: &str| {
        format!(
            "  {}: {{ command: python3, args: [\"{}\", \"4\", \"{eras}\"] }}\n",
            eras.replace('-', ""),
            script
        )
    };
    let upstreams: String = ["new", "old", "new-old"].iter().map(|eras| entry(eras)).collect();
    let house = House::build(&Plan {
        upstreams: &upstreams,
        policy: ALLOW_ALL,
        more: "ledger: { durability: process }",
    });
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&list, "tools"), ["new__now", "newold__now", "old__now"], "{list}");
    // For a client of the old era a server that speaks both is spoken to in that one.
    for (tool, era) in [("new__now", "new"), ("newold__now", "old"), ("old__now", "old")] {
        assert_eq!(text(&session.call(2, tool, json!({})).await), era);
    }
}

#[tokio::test]
async fn one_that_does_not_come_up_is_waited_for_once() {
    let more = "limits: { first_connect: 2s }\nledger: { durability: process }";
    let (_folder, script) = slow();
    let good = Scripted::start(&["echo"], |_, _| None).await;
    let upstreams = format!(
        "  slow: {{ command: python3, args: [\"{}\", \"600\", old] }}\n  good: {{ url: \"{}\" }}",
        script, good.url
    );
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more });
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&list, "tools"), ["good__echo"], "{list}");
    assert_eq!(named(&list, "slow")["state"], "starting", "{list}");
    let asked = Instant::now();
    for id in 2..7 {
        session.ask(id, "tools/list", json!({})).await;
    }
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

/// A server that does one thing after the other, until `wedge` is called: then it does what it is to do.
const WEDGED: &str = r#"
import json, os, signal, sys, time
out = os.fdopen(os.dup(1), "wb", 0)
def say(message):
    out.write(json.dumps(message).encode() + b"\n")
for line in sys.stdin.buffer:
    message = json.loads(line)
    if "id" not in message:
        continue
    params, result = message.get("params") or {}, {}
    if message["method"] == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "w", "version": "1"}}
    elif message["method"] == "tools/list":
        result = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ("wedge", "quiet")]}
    elif message["method"] == "tools/call":
        if params["name"] == "wedge":
            if sys.argv[1] == "busy":
                time.sleep(24)
            if sys.argv[1] == "stops":
                os.kill(os.getpid(), signal.SIGSTOP)
            if sys.argv[1] == "closes":
                os.close(1), out.close(), time.sleep(1000)
            if sys.argv[1] == "reads_no_more":
                time.sleep(1000)
        result = {"content": [{"type": "text", "text": str(os.getpid())}]}
    elif message["method"] != "ping":
        say({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}})
        continue
    say({"jsonrpc": "2.0", "id": message["id"], "result": result})
"#;

/// Its process lives, and nothing comes of it any more: it is found out, and started anew, for whomever it is kept. One that is only
/// busy with a call whose time is not over is left alone, however many others give up meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_answers_no_more_is_started_anew_and_one_that_is_busy_is_not() {
    let folder = TempDir::new().unwrap();
    let script = folder.path().join("server.py");
    std::fs::write(&script, WEDGED).unwrap();
    let (mut upstreams, mut kinds) = (String::new(), Vec::new());
    for mode in ["busy", "stops", "closes", "reads_no_more"] {
        for per in ["gate", "grant"] {
            let name = format!("{mode}-{per}").replace('_', "-");
            let args = format!("[-u, {script:?}, {mode}]");
            upstreams.push_str(&format!("  {name}: {{ command: python3, args: {args}, per: {per} }}\n"));
            kinds.push((mode, name));
        }
    }
    let policy =
        "version: \"2\"\ndefault: allow\ntools:\n  quiet: { stop_after: 2s }\n  wedge: { stop_after: 26s }\n";
    let house =
        House::build(&Plan { upstreams: &upstreams, policy, more: "ledger: { durability: process }" });
    ready(&house, kinds.len()).await;
    let house = &house;
    let each = kinds.iter().map(|(mode, name)| async move {
        let session = house.session(&format!("/mcp/{name}")).await;
        let first = text(&session.call(1, "quiet", json!({})).await).to_owned();
        let began = Instant::now();
        let wedge = async { session.call(2, "wedge", json!({})).await };
        let quiet = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let other = house.session(&format!("/mcp/{name}")).await;
            loop {
                let answer = other.call(3, "quiet", json!({})).await;
                if let Some(pid) = answer.pointer("/result/content/0/text") {
                    return (pid.as_str().unwrap().to_owned(), began.elapsed());
                }
                assert!(began.elapsed() < Duration::from_secs(90), "{name}: {answer}");
            }
        };
        let (wedge, (pid, took)) = tokio::join!(wedge, quiet);
        if *mode == "busy" {
            assert_eq!((text(&wedge), &*pid), (&*first, &*first), "{name} was started anew after {took:?}");
        } else {
            assert_ne!(first, pid, "{name}");
            assert!(wedge.get("error").is_some(), "{name}: {wedge}");
        }
    });
    futures_util::future::join_all(each).await;
}
