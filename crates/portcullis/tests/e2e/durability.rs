//! `ledger.durability` and `ledger.values`: each does what the documentation says.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture_http, seen, text};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Prints how many pages of a file are not on the disk yet (Linux 6.5, `cachestat`). First it tries whether that can
/// be told where the file is: what was written is not on the disk before it is synced, and is then.
const UNWRITTEN: &str = r#"
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def unwritten(handle):
    span, counts = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
    if libc.syscall(451, handle, span, counts, 0):
        sys.exit("cachestat: " + os.strerror(ctypes.get_errno()))
    return counts[1] + counts[2]
probe = os.open(os.path.join(os.path.dirname(sys.argv[1]), "probe"), os.O_RDWR | os.O_CREAT)
os.write(probe, b"x" * 9000)
before = unwritten(probe)
os.fsync(probe)
if before == 0 or unwritten(probe) != 0:
    sys.exit("this file system does not tell")
print(unwritten(os.open(sys.argv[1], os.O_RDONLY)))
"#;

fn unwritten(file: &Path) -> Result<u64, String> {
    let output = Command::new("python3").args(["-c", UNWRITTEN]).arg(file).output().unwrap();
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse().unwrap())
}

/// Looks at the log of the ledger while a call is at the server, some times; gives how much was not on the disk.
async fn on_the_way(durability: &str, looks: usize) -> Option<Vec<u64>> {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!("ledger: {{ durability: {durability} }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: &more });
    let log = house.folder.path().join("data/ledger.db-wal");
    let session = house.session("/mcp/fix").await;
    let mut found = Vec::new();
    for look in 0..looks {
        let call = json!({"jsonrpc": "2.0", "id": look, "method": "tools/call", "params":
            {"name": "delay", "arguments": {"ms": 60_000, "label": look.to_string()}}});
        let call = session.post(call.to_string());
        let looked = async {
            let until = Instant::now() + PATIENCE;
            while seen(&house, &url).await["calls"].as_array().unwrap().len() <= look {
                assert!(Instant::now() < until, "the call did not reach the server");
            }
            unwritten(&log)
        };
        tokio::select! {
            answer = call => panic!("it was to wait: {answer:?}"),
            looked = looked => match looked {
                Ok(pages) => found.push(pages),
                Err(why) => {
                    eprintln!("skipped: {why}");
                    return None;
                }
            },
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
        let everything = std::fs::read(house.folder.path().join("data/ledger.db")).unwrap();
        let anywhere = everything.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert_eq!(anywhere, values == "keep", "{values}");
        assert_eq!(house.run(&["ledger", "verify"]).0, 0);
    }
    assert!(digests[0].iter().all(|digest| digest.len() == 64) && digests[0][0] != digests[0][1]);
    assert!(
        digests.iter().all(|of| *of == digests[0]),
        "the same arguments have the same digest: {digests:?}"
    );
}
