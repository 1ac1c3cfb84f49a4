//! The record when it cannot be kept: then nothing passes, and nothing that was answered is lost.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, Session, fixture_http, seen, text};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Calls of four callers at once, and what became of them.
struct Load<'h> {
    session: Session<'h>,
    next: Cell<u64>,
    answered: RefCell<BTreeSet<String>>,
    refused: RefCell<Vec<String>>,
}

impl<'h> Load<'h> {
    fn new(session: Session<'h>) -> Self {
        Self { session, next: Cell::new(1), answered: RefCell::default(), refused: RefCell::default() }
    }

    async fn one(&self) {
        let id = self.next.replace(self.next.get() + 1);
        let message = format!("m{id}");
        let answer = self.session.call(id, "echo", json!({"message": message})).await;
        if answer.get("result").is_some() {
            assert_eq!(text(&answer), message);
            self.answered.borrow_mut().insert(message);
            return;
        }
        let why = answer["error"]["message"].as_str().unwrap_or_default();
        let begins = "Nothing passes while it cannot be recorded: the ledger cannot be written: ";
        assert!(answer["error"]["code"] == json!(-31507) && why.starts_with(begins), "{answer}");
        self.refused.borrow_mut().push(why.to_owned());
    }

    /// Goes on until so many more were answered and so many more were refused.
    async fn go_on(&self, answered: usize, refused: usize) {
        let answered = self.answered.borrow().len() + answered;
        let refused = self.refused.borrow().len() + refused;
        let until = Instant::now() + PATIENCE;
        let caller = async || {
            while self.answered.borrow().len() < answered || self.refused.borrow().len() < refused {
                assert!(Instant::now() < until, "{:?}", self.refused.borrow().last());
                self.one().await;
            }
        };
        tokio::join!(caller(), caller(), caller(), caller());
    }
}

async fn wait_until(house: &House, ready: bool) -> String {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = house.ready().await;
        if now.is_ok() == ready {
            return now.err().unwrap_or_default();
        }
        assert!(Instant::now() < until, "{now:?}");
        tokio::task::yield_now().await;
    }
}

/// Spoils the store under load and mends it again, all without a restart.
async fn spoil_and_mend(house: &House, url: &str, reason: &str, spoil: impl AsyncFn(), mend: impl AsyncFn()) {
    let load = Load::new(house.session("/mcp/fix").await);
    load.go_on(40, 0).await;
    spoil().await;
    load.go_on(0, 40).await;
    let said = load.refused.borrow().join("\n");
    assert!(said.contains(reason), "no `{reason}` in\n{said}");
    let unready = wait_until(house, false).await;
    assert!(unready.contains(reason), "{unready}");
    assert!(house.status()["ledger"]["trouble"].is_string());
    mend().await;
    // Without a call: who asks whether the gate is ready may send none before.
    wait_until(house, true).await;
    let refused = load.refused.borrow().len();
    load.go_on(40, 0).await;
    assert_eq!(load.refused.borrow().len(), refused, "{:?}", load.refused.borrow().last());

    let answered = load.answered.borrow().clone();
    let calls = seen(house, url).await;
    let calls = calls["calls"].as_array().unwrap().iter();
    let reached: BTreeSet<String> =
        calls.map(|call| call["arguments"]["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reached, answered, "what reached the server is what was answered");
    let until = Instant::now() + PATIENCE;
    let decided: BTreeSet<String> = loop {
        let rows = house.rows(&["--tool", "echo"]);
        let of = |kind: &'static str| rows.iter().filter(move |row| row["kind"] == kind);
        if of("outcome").count() == answered.len() {
            break of("decision").map(|row| row["args"]["message"].as_str().unwrap().to_owned()).collect();
        }
        assert!(
            Instant::now() < until,
            "the ends of some calls were not recorded: {}",
            of("outcome").count()
        );
    };
    assert_eq!(decided, answered, "what was answered is what was recorded");
    let (code, out, err) = house.run(&["ledger", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test]
async fn at_the_limit_on_file_size_nothing_passes_until_there_is_room_again() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let plan = Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" };
    let house = House::build(&plan);
    let limit = |bytes: Option<u64>| {
        let maximum = getrlimit(Resource::Fsize).maximum;
        prlimit(Some(house.pid()), Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
    };
    let reason = "this process may write no file beyond 0 bytes";
    spoil_and_mend(&house, &url, reason, async || limit(Some(0)), async || limit(None)).await;
}

#[tokio::test]
async fn a_limit_on_file_size_at_the_start_is_an_error_with_its_reason() {
    let house = House::plan(&Plan { upstreams: "  fix: { command: cat }", policy: ALLOW_ALL, more: "" });
    let by = ["sh", "-c", "ulimit -f 0; exec \"$@\"", "sh"];
    let output = house.command_by(&by, &["up"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("File too large"), "{} {err}", output.status);
}

/// Whether a file system of one's own can be mounted here.
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs", "/tmp"]).output();
    match tried {
        Ok(output) if output.status.success() => true,
        Ok(output) => {
            eprintln!("skipped: no mounts here: {}", String::from_utf8_lossy(&output.stderr));
            false
        }
        Err(error) => {
            eprintln!("skipped: unshare cannot be started: {error}");
            false
        }
    }
}

/// A script that starts its arguments with a file system of their own on `data`.
fn own_data(options: &str) -> String {
    format!("mkdir -p data && mount -t tmpfs -o mode=700,{options} tmpfs data && exec \"$@\"")
}

#[tokio::test]
async fn on_a_full_disk_nothing_passes_until_there_is_room_again() {
    if !can_mount() {
        return;
    }
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let mut house = House::plan(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    house.env.push(("PORTCULLIS_CONFIG", house.folder.path().join("portcullis.yaml").display().to_string()));
    house.up_by(&["unshare", "-Urm", "sh", "-c", &own_data("size=4m"), "sh"], &["up"]);
    // The gate alone sees what is mounted, and whoever goes where it is.
    let pid = house.pid().as_raw_nonzero().to_string();
    house.through = ["nsenter", "-U", "-m", "--preserve-credentials", "-t", &pid].map(str::to_owned).to_vec();
    let inside = house.folder.path().strip_prefix("/").unwrap();
    let data = Path::new("/proc").join(&pid).join("root").join(inside).join("data");
    let filler = data.join("filler");
    let fill = async || {
        // In small pieces, so that nothing is left over.
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
    };
    let mend = async || std::fs::remove_file(&filler).unwrap();
    spoil_and_mend(&house, &url, "database or disk is full", fill, mend).await;
}

#[tokio::test]
async fn a_read_only_data_folder_is_an_error_at_the_start() {
    if !can_mount() {
        return;
    }
    let house = House::plan(&Plan { upstreams: "  fix: { command: cat }", policy: ALLOW_ALL, more: "" });
    let by = ["unshare", "-Urm", "sh", "-c", &own_data("ro"), "sh"];
    let output = house.command_by(&by, &["up"]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(2) && err.contains("Read-only file system"),
        "{} {err}",
        output.status
    );
}

#[tokio::test]
async fn while_its_files_may_not_be_written_nothing_passes() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    // Files that are open for writing keep a file system writable; this attribute binds root too.
    let attribute = |change: &str| {
        let files = ["ledger.db", "ledger.db-wal"].map(|file| house.folder.path().join("data").join(file));
        Command::new("chattr").arg(change).args(files).output().map_err(|error| error.to_string()).and_then(
            |output| {
                let err = String::from_utf8_lossy(&output.stderr).into_owned();
                if output.status.success() { Ok(()) } else { Err(err) }
            },
        )
    };
    if let Err(why) = attribute("+i") {
        let _ = attribute("-i");
        eprintln!("skipped: files cannot be made immutable here: {why}");
        return;
    }
    attribute("-i").unwrap();
    let spoil = async || attribute("+i").unwrap();
    let mend = async || attribute("-i").unwrap();
    spoil_and_mend(&house, &url, "ledger.db-wal: Operation not permitted", spoil, mend).await;
}

#[tokio::test]
async fn a_ledger_that_is_moved_away_stops_all_calls_until_it_is_back() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let file = house.folder.path().join("data/ledger.db");
    let away = file.with_file_name("away.db");
    let spoil = async || std::fs::rename(&file, &away).unwrap();
    let mend = async || std::fs::rename(&away, &file).unwrap();
    spoil_and_mend(&house, &url, "ledger.db was removed or replaced while the gate ran", spoil, mend).await;
}

#[tokio::test]
async fn a_ledger_that_was_removed_or_replaced_is_not_written_unseen() {
    for part in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        for replaced in [false, true] {
            removed(part, replaced).await;
        }
    }
}

async fn removed(part: &str, replaced: bool) {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let mut house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let file = house.folder.path().join("data").join(part);
    {
        let session = house.session("/mcp/fix").await;
        assert_eq!(text(&session.call(1, "echo", json!({"message": "before"})).await), "before");
        if replaced {
            let copy = file.with_file_name("copy");
            std::fs::copy(&file, &copy).unwrap();
            std::fs::rename(&copy, &file).unwrap();
        } else {
            std::fs::remove_file(&file).unwrap();
        }
        let why = wait_until(&house, false).await;
        let said = format!("{part} was removed or replaced while the gate ran");
        assert!(why.contains(&said), "{why}");
        let answer = session.call(2, "echo", json!({"message": "after"})).await;
        let error = answer["error"]["message"].as_str().unwrap();
        assert!(answer["error"]["code"] == json!(-31507) && error.contains(&said), "{answer}");
        let (code, _, err) = house.run(&["grant", "add", "new", "--upstream", "fix=p"]);
        assert!(code == 1 && err.contains(&said), "{code} {err}");
        assert_eq!(seen(&house, &url).await["calls"].as_array().unwrap().len(), 1);
        assert_eq!(Path::new(&file).exists(), replaced, "the gate made {part} anew");
    }
    house.gate.as_mut().unwrap().terminate();
    house.up();
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(3, "echo", json!({"message": "again"})).await), "again");
    let anew = |row: &Value| row["message"].as_str().is_some_and(|it| it.contains("the record begins anew"));
    assert_eq!(house.rows(&[]).iter().any(anew), part == "ledger.db" && !replaced);
    let (code, out, err) = house.run(&["ledger", "verify", "--json"]);
    let report: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && report["ok"] == json!(true), "{report} {err}");
}
