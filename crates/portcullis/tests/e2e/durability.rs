//! `ledger.durability` and `ledger.values`: each does what the documentation says.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture_http, text};
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// For each number that it reads, waits until a server has seen more calls than that, and prints how many pages of a file
/// are then not on the disk (Linux 6.5, `cachestat`). First it tries whether that can be told where the file is: what was
/// written is not on the disk before it is synced, and is then.
const UNWRITTEN: &str = r#"
import ctypes, json, os, sys, urllib.request
libc = ctypes.CDLL(None, use_errno=True)
def unwritten(handle):
    span, counts = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    if libc.syscall(451, handle, span, counts, 0):
        sys.exit("cachestat: " + os.strerror(ctypes.get_errno()))
    return counts[1] + counts[2]
log, server = sys.argv[1:]
probe = os.open(os.path.join(os.path.dirname(log), "probe"), os.O_RDWR | os.O_CREAT)
os.write(probe, b"x" * 9000)
before = unwritten(probe)
os.fsync(probe)
if before == 0 or unwritten(probe) != 0:
    sys.exit("this file system does not tell")
log = os.open(log, os.O_RDONLY)
local = urllib.request.build_opener(urllib.request.ProxyHandler({}))
print("ready", flush=True)
for line in sys.stdin:
    while len(json.load(local.open(server))["calls"]) <= int(line):
        pass
    print(unwritten(log), flush=True)
"#;

/// The script above at work.
struct Watcher {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    #[expect(clippy::disallowed_methods, reason = "the test starts its own tools itself")]
    async fn start(log: &Path, server: &str) -> Result<Self, String> {
        let mut command = Command::new("python3");
        command.args(["-c", UNWRITTEN]).arg(log).arg(server.replace("/mcp", "/seen")).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("python3: {error}"))?;
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        if lines.next_line().await.unwrap().is_some() {
            return Ok(Self { child, lines });
        }
        Err(String::from_utf8_lossy(&child.wait_with_output().await.unwrap().stderr).into_owned())
    }

    /// Pages that are not on the disk once the server has seen more calls than that.
    async fn look(&mut self, calls: usize) -> u64 {
        let line = format!("{calls}\n");
        self.child.stdin.as_mut().unwrap().write_all(line.as_bytes()).await.unwrap();
        let pages = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
        pages.expect("the call did not reach the server").unwrap().unwrap().parse().unwrap()
    }
}

/// Looks at the log of the ledger while a call is at the server, some times; gives how much was not on the disk.
async fn on_the_way(durability: &str, looks: usize) -> Option<Vec<u64>> {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!("ledger: {{ durability: {durability} }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: &more });
    let log = house.folder.path().join("data/ledger.db-wal");
    let mut watcher = match Watcher::start(&log, &url).await {
        Ok(watcher) => watcher,
        Err(why) => {
            eprintln!("skipped: {why}");
            return None;
        }
    };
    let session = house.session("/mcp/fix").await;
    let mut found = Vec::new();
    for look in 0..looks {
        let call = json!({"jsonrpc": "2.0", "id": look, "method": "tools/call", "params":
            {"name": "delay", "arguments": {"ms": 60_000, "label": look.to_string()}}});
        tokio::select! {
            answer = session.post(call.to_string()) => panic!("it was to wait: {answer:?}"),
            pages = watcher.look(look) => found.push(pages),
        }
    }
    assert_eq!(house.rows(&["--tool", "delay", "--outcome", "allowed"]).len(), looks);
    Some(found)
}

#[tokio::test]
async fn with_every_and_risky_a_decision_is_on_the_disk_before_its_call_leaves() {
    for durability in ["every", "risky"] {
        let Some(found) = on_the_way(durability, 5).await else { return };
        assert!(found.iter().all(|pages| *pages == 0), "{durability}: {found:?}");
    }
}

#[tokio::test]
async fn with_process_a_call_does_not_wait_for_the_disk() {
    // The log is written to the disk from time to time all the same; it need only be seen once that a call left before.
    let Some(found) = on_the_way("process", 10).await else { return };
    assert!(found.iter().any(|pages| *pages > 0), "{found:?}");
}

#[tokio::test]
async fn of_arguments_the_record_keeps_what_the_configuration_says() {
    const SECRET: &str = "sk-proj-abcdefghijklmnop1234";
    const LONG: usize = 20_000;
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let mut digests = Vec::new();
    for values in ["keep", "redact", "digest"] {
        let more = format!("ledger: {{ durability: process, values: {values} }}");
        let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: &more });
        {
            let session = house.session("/mcp/fix").await;
            let said = format!("use {SECRET} now");
            assert_eq!(
                text(&session.call(1, "echo", json!({"message": said})).await),
                said,
                "the call is never changed"
            );
            let long = "x".repeat(LONG);
            assert_eq!(text(&session.call(2, "echo", json!({"message": long})).await), long);
            session.call(3, "echo", json!({"message": said})).await;
        }
        let rows = house.rows(&["--tool", "echo"]);
        let rows: Vec<_> = rows.iter().filter(|row| row["kind"] == "decision").collect();
        let kept = rows[0].get("args").map(|args| args["message"].as_str().unwrap());
        let expected = match values {
            "keep" => Some(format!("use {SECRET} now")),
            "redact" => Some("use [redacted] now".to_owned()),
            _ => None,
        };
        assert_eq!(kept, expected.as_deref(), "{values}");
        assert!(rows[1].get("args").is_none(), "over 16 KiB the digest alone is kept: {values}");
        digests
            .push(rows.iter().map(|row| row["args_digest"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
        house.gate.as_mut().unwrap().terminate();
        assert!(!house.folder.path().join("data/ledger.db-wal").exists(), "a gate that stopped left its log");
        let everything = std::fs::read(house.folder.path().join("data/ledger.db")).unwrap();
        let anywhere = everything.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert_eq!(anywhere, values == "keep", "{values}");
        assert_eq!(house.run(&["ledger", "verify"]).0, 0);
    }
    for of in &digests {
        assert!(of.iter().all(|digest| digest.len() == 64) && of[0] != of[1]);
        assert_eq!(of[0], of[2], "the same arguments have the same digest");
    }
    // Each gate has a key of its own: nobody else can test guesses.
    assert!(digests[0][0] != digests[1][0] && digests[1][0] != digests[2][0], "{digests:?}");
}
