//! The store through its public face.

use portcullis_ledger::{
    ApprovalRow, Beside, CounterKey, CounterRow, Draft, Filter, Grant, Keep, Kind, Ledger, Outcome,
    SignedHead, TaskRow, new_token, query, verify,
};
use std::collections::BTreeMap;

fn row(tool: &str) -> portcullis_ledger::Written {
    Draft { tool: Some(tool), outcome: Some(Outcome::Allowed), ..Draft::of(Kind::Decision) }.write()
}

fn counter(used: &str, version: i64) -> CounterRow {
    let key =
        CounterKey { policy: "p".into(), counter: "c".into(), window: "minute".into(), scope: "me".into() };
    CounterRow { key, window_start: 60_000, used: used.into(), version }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_many_callers_form_one_chain_that_verifies_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|i| {
            let ledger = ledger.clone();
            let keep = if i % 3 == 0 { Keep::Disk } else { Keep::Process };
            tokio::spawn(async move { ledger.append(row(&format!("t{i}")), Vec::new(), keep).await.unwrap() })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<u64>>());
    ledger.close().await;
    let again = Ledger::open(folder.path()).unwrap();
    assert_eq!(again.append(row("after"), Vec::new(), Keep::Process).await.unwrap(), 201);
    let report = verify(folder.path(), None).unwrap();
    assert!(report.ok && report.rows == 201, "{report:?}");
}

fn task(id: &str, places: Option<&str>) -> TaskRow {
    TaskRow {
        id: id.into(),
        run: "r_1".into(),
        owner: "me".into(),
        upstream: "u".into(),
        theirs: "1".into(),
        tool: "t".into(),
        digest: "d".into(),
        design: "core".into(),
        state: "working".into(),
        why: None,
        ttl_ms: Some(5),
        created: 1,
        stamp: "now".into(),
        looked: 1,
        stop: None,
        said: "{}".into(),
        places: places.map(str::to_owned),
        version: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_layout_before_is_brought_up_with_all_that_is_in_it_and_one_of_a_later_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.keep_task(task("t_1", None), Some(row("before"))).await.unwrap();
    ledger.close().await;
    let file = rusqlite::Connection::open(folder.path().join(portcullis_ledger::FILE)).unwrap();
    file.execute_batch(
        "ALTER TABLE tasks DROP COLUMN places; ALTER TABLE tasks DROP COLUMN version;
         ALTER TABLE approvals DROP COLUMN version; PRAGMA user_version = 1",
    )
    .unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    assert_eq!(ledger.append(row("after"), Vec::new(), Keep::Process).await.unwrap(), 2);
    ledger.keep_task(task("t_2", Some("[]")), None).await.unwrap();
    // What was kept before there were versions is older than whatever is kept now.
    assert_eq!(
        ledger.tasks().unwrap(),
        [TaskRow { version: 0, ..task("t_1", None) }, task("t_2", Some("[]"))]
    );
    let newer = TaskRow { state: "completed".into(), version: 2, ..task("t_1", None) };
    ledger.keep_task(newer.clone(), None).await.unwrap();
    assert_eq!(ledger.tasks().unwrap(), [newer, task("t_2", Some("[]"))]);
    ledger.close().await;
    file.execute_batch("PRAGMA user_version = 99").unwrap();
    let refused = Ledger::open(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("layout 99 is newer than this program's 5"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_on_while_others_read_write_and_lock_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let other = rusqlite::Connection::open(folder.path().join(portcullis_ledger::FILE)).unwrap();
    let append = async |tool| ledger.append(row(tool), Vec::new(), Keep::Process).await.unwrap();
    let rows = || other.query_row("SELECT count(*) FROM ledger", [], |row| row.get::<_, u32>(0)).unwrap();
    append("first").await;
    for round in 0..3 {
        // The writer's own place in the log is older than this.
        other.execute("INSERT INTO definitions VALUES (?1, 'tools', '[]')", [round]).unwrap();
        append("after another's write").await;
        append("and again").await;
        assert_eq!(u64::from(rows()) + 1, append("seen by others").await);
    }
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = tokio::spawn({
        let ledger = ledger.clone();
        async move { ledger.append(row("while it is locked"), Vec::new(), Keep::Disk).await.unwrap() }
    });
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(!waiting.is_finished());
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(waiting.await.unwrap(), 11);
    drop(other);
    ledger.close().await;
    assert!(!folder.path().join("ledger.db-wal").exists(), "a clean stop leaves no log");
    assert!(verify(folder.path(), None).unwrap().ok);
}

/// The log begins at its start again although rows never stop coming: all of them are folded from time to time.
#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let log = || folder.path().join("ledger.db-wal").metadata().unwrap().len();
    let args = format!("\"{}\"", "x".repeat(20_000));
    let large = || Draft { args: Some(&args), ..Draft::of(Kind::Decision) }.write();
    let began = std::time::Instant::now();
    let mut written = 0;
    // On a machine that has much else to do it takes longer until the first folding.
    let enough = |written: u64| {
        written >= 200_000_000 && began.elapsed() >= std::time::Duration::from_secs(2) && log() < written / 2
    };
    while !enough(written) && written < 2_000_000_000 {
        ledger.append(large(), Vec::new(), Keep::Process).await.unwrap();
        written += 20_000;
    }
    assert!(log() < written / 2, "{} of {written} bytes", log());
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_cut_or_rewritten_chain_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for i in 0..10 {
        ledger.append(row(&format!("t{i}")), Vec::new(), Keep::Process).await.unwrap();
    }
    let kept = ledger.signed_head();
    ledger.close().await;
    assert!(kept.holds());
    assert!(verify(folder.path(), Some(&kept)).unwrap().ok);

    let file = folder.path().join(portcullis_ledger::FILE);
    let conn = rusqlite::Connection::open(&file).unwrap();
    assert!(conn.execute("UPDATE ledger SET text = '{}' WHERE n = 4", []).is_err(), "the trigger refuses");
    conn.execute_batch("DROP TRIGGER ledger_is_never_changed; DROP TRIGGER ledger_is_never_cut").unwrap();
    conn.execute("UPDATE ledger SET text = replace(text, 't3', 'xx') WHERE n = 4", []).unwrap();
    assert_eq!(verify(folder.path(), None).unwrap().first_bad, Some(4));
    conn.execute("UPDATE ledger SET text = replace(text, 'xx', 't3') WHERE n = 4", []).unwrap();
    assert!(verify(folder.path(), None).unwrap().ok);
    conn.execute("INSERT INTO anchor (n, hash) VALUES (-1, zeroblob(32))", []).unwrap();
    assert!(!verify(folder.path(), None).unwrap().ok);
    conn.execute("DELETE FROM anchor", []).unwrap();

    conn.execute("DELETE FROM ledger WHERE n > 7", []).unwrap();
    assert!(verify(folder.path(), None).unwrap().ok, "a cut tail alone shows nothing");
    let report = verify(folder.path(), Some(&kept)).unwrap();
    assert!(!report.ok && report.why.unwrap().contains("cut"));

    // Whoever can write the file can build a new chain from the same program; the kept head tells.
    drop(conn);
    for name in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let forged = Ledger::open(folder.path()).unwrap();
    for i in 0..12 {
        forged.append(row(&format!("f{i}")), Vec::new(), Keep::Process).await.unwrap();
    }
    assert!(verify(folder.path(), None).unwrap().ok);
    let report = verify(folder.path(), Some(&kept)).unwrap();
    assert!(!report.ok && report.why.unwrap().contains("rewritten"));

    let mut tampered = kept;
    tampered.rows = 3;
    assert!(!tampered.holds());
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_never_go_back_however_rows_overtake_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.append(row("a"), vec![counter("2", 2)], Keep::Process).await.unwrap();
    ledger.append(row("b"), vec![counter("1", 1)], Keep::Process).await.unwrap();
    assert_eq!(ledger.counters().unwrap(), [counter("2", 2)]);
    ledger.append(row("c"), vec![counter("0", 3)], Keep::Process).await.unwrap();
    assert_eq!(ledger.counters().unwrap(), [counter("0", 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn queries_filter_limit_and_link_rows() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for i in 0..20 {
        ledger.append(row(if i % 2 == 0 { "even" } else { "odd" }), Vec::new(), Keep::Process).await.unwrap();
    }
    let read = |filter: Filter| {
        let mut rows = Vec::new();
        query(folder.path(), &filter, |row| {
            rows.push(row);
            true
        })
        .unwrap();
        rows
    };
    let odd = read(Filter { tool: Some("odd".into()), limit: Some(3), ..Filter::default() });
    assert_eq!(odd.iter().map(|row| row["n"].as_u64().unwrap()).collect::<Vec<_>>(), [16, 18, 20]);
    let all = read(Filter::default());
    assert!(all.windows(2).all(|pair| pair[0]["hash"] == pair[1]["prev"]));
    assert_eq!(all[0]["prev"], "0".repeat(64));
    assert_eq!(read(Filter { after: Some(18), ..Filter::default() }).len(), 2);
    assert!(read(Filter { since: Some(i64::MAX / 2), ..Filter::default() }).is_empty());
    assert_eq!(read(Filter { since: Some(0), ..Filter::default() }).len(), 20);
}

/// A ledger of five rows that let go of all of them, and the head from before.
#[expect(clippy::unwrap_used, reason = "a test that goes no further")]
async fn pruned(folder: &std::path::Path) -> (Ledger, SignedHead) {
    let ledger = Ledger::open(folder).unwrap();
    for _ in 0..3 {
        ledger.append(row("old"), Vec::new(), Keep::Process).await.unwrap();
    }
    let head = ledger.signed_head();
    for _ in 0..2 {
        ledger.append(row("old"), Vec::new(), Keep::Process).await.unwrap();
    }
    ledger.prune(i64::MAX / 2, "retain: 90d").await.unwrap();
    (ledger, head)
}

#[expect(clippy::unwrap_used, reason = "a test that goes no further")]
fn file(folder: &std::path::Path) -> rusqlite::Connection {
    rusqlite::Connection::open(folder.join(portcullis_ledger::FILE)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_lets_old_rows_go_and_says_so_with_the_gates_signature() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, head) = pruned(folder.path()).await;
    // The act itself is the first row that is left.
    assert_eq!(ledger.append(row("new"), Vec::new(), Keep::Process).await.unwrap(), 7);
    let report = verify(folder.path(), None).unwrap();
    assert!(report.ok && report.rows == 7 && report.unproved.is_empty(), "{report:?}");
    let gone = report.let_go.unwrap();
    assert_eq!((gone.rows, &*gone.rule, gone.chain_rows, gone.unsigned), (5, "retain: 90d", 5, 0));
    let mut rows = Vec::new();
    query(folder.path(), &Filter::default(), |row| {
        rows.push(row.get("message").and_then(|message| message.as_str()).map(str::to_owned));
        true
    })
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rows[0].as_deref(), Some("the rows up to 5 were let go (retain: 90d)"));
    // A head of a row that was let go proves nothing, and that is said.
    let report = verify(folder.path(), Some(&head)).unwrap();
    assert!(report.ok && report.unproved[0].contains("head that was kept, 3, was let go"), "{report:?}");
    ledger.prune(i64::MAX / 2, "retain: 30d").await.unwrap();
    let report = verify(folder.path(), None).unwrap();
    assert!(report.ok && report.let_go.unwrap().rows == 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_somebody_else_cut_at_its_beginning_does_not_verify() {
    for (forged, why) in [
        ("DELETE FROM let_go", "nothing is signed"),
        ("UPDATE let_go SET rule = 'retain: 1d'", "the signature does not hold"),
        ("UPDATE let_go SET signature = '00'", "the signature does not hold"),
        ("DROP TABLE let_go", "nothing is signed"),
        (
            "INSERT INTO anchor SELECT n, hash FROM ledger WHERE n = 6;
             UPDATE let_go SET n = 6; DELETE FROM ledger WHERE n <= 6",
            "the signature does not hold",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (ledger, _) = pruned(folder.path()).await;
        ledger.append(row("new"), Vec::new(), Keep::Process).await.unwrap();
        ledger.close().await;
        file(folder.path()).execute_batch(forged).unwrap();
        let report = verify(folder.path(), None).unwrap();
        assert!(!report.ok && report.why.as_ref().unwrap().contains(why), "{forged}: {report:?}");
        assert!(report.why.unwrap().contains(" are gone, and nothing proves that the gate let them go"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_row_is_what_its_text_says_and_a_column_beside_it_cannot_change_it() {
    for (forged, bad) in [
        ("UPDATE ledger SET time = 0 WHERE n <= 2", 1),
        ("UPDATE ledger SET time = 0 WHERE n = 2", 2),
        ("UPDATE ledger SET time = 0", 1),
        ("UPDATE ledger SET time = time + 1 WHERE n = 3", 3),
        ("UPDATE ledger SET time = time + 1000000000000 WHERE n = 3", 3),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        for _ in 0..3 {
            ledger.append(row("young"), Vec::new(), Keep::Process).await.unwrap();
        }
        ledger.close().await;
        let by_hand = format!("DROP TRIGGER ledger_is_never_changed; {forged}");
        file(folder.path()).execute_batch(&by_hand).unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let an_hour_ago = portcullis_ledger::now_ms() - 3_600_000;
        // Either way, all rows are still there.
        drop(ledger.prune(an_hour_ago, "retain: 1h").await);
        assert_eq!(ledger.append(row("new"), Vec::new(), Keep::Process).await.unwrap(), 4, "{forged}");
        let report = verify(folder.path(), None).unwrap();
        assert!(report.let_go.is_none() && report.first_bad == Some(bad), "{forged}: {report:?}");
        assert!(report.why.unwrap().contains("another number or time"));
        // Nor does the clock of the rows that follow go by it.
        let mut times = Vec::new();
        query(folder.path(), &Filter::default(), |row| {
            times.push(row["time"].as_str().unwrap_or_default().get(..4).map(str::to_owned));
            true
        })
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(times.iter().collect::<std::collections::HashSet<_>>().len(), 1, "{times:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_let_go_of_a_chain_that_does_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for _ in 0..3 {
        ledger.append(row("old"), Vec::new(), Keep::Process).await.unwrap();
    }
    let by_hand = "DROP TRIGGER ledger_is_never_changed; UPDATE ledger SET text = replace(text, 'old', 'odd') WHERE n = 2";
    file(folder.path()).execute_batch(by_hand).unwrap();
    let why = ledger.prune(i64::MAX / 2, "retain: 90d").await.unwrap_err().to_string();
    assert!(why.contains("at row 2") && why.contains("Nothing is let go"), "{why}");
    assert_eq!(verify(folder.path(), None).unwrap().first_bad, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_an_older_version_let_go_are_told_of_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let (ledger, _) = pruned(folder.path()).await;
    ledger.close().await;
    file(folder.path()).execute_batch("DROP TABLE let_go; PRAGMA user_version = 2").unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.append(row("new"), Vec::new(), Keep::Process).await.unwrap();
    assert!(!verify(folder.path(), None).unwrap().ok);
    ledger.prune(i64::MAX / 2, "retain: 90d").await.unwrap();
    let report = verify(folder.path(), None).unwrap();
    assert!(report.ok && report.unproved[0].contains("1 to 5 were let go without a signature"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_keep_the_hash_of_their_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let token = new_token().unwrap();
    let grant = Grant {
        name: "me".into(),
        upstreams: BTreeMap::from([("*".into(), "careful".into())]),
        labels: BTreeMap::new(),
        expires: None,
        created: 0,
        approver: false,
        shadow: false,
    };
    let admin = || Draft { message: Some("grant added"), ..Draft::of(Kind::Admin) }.write();
    ledger.add_grant(grant.clone(), &token, admin()).await.unwrap();
    let error = ledger.add_grant(grant.clone(), &token, admin()).await.unwrap_err();
    assert_eq!(error.to_string(), "a grant named `me` exists already");
    assert_eq!(ledger.grants().unwrap(), [(ledger.token_hash(&token), grant)]);
    let next = new_token().unwrap();
    ledger.rotate_grant("me".into(), &next, admin()).await.unwrap();
    assert_eq!(ledger.grants().unwrap()[0].0, ledger.token_hash(&next));
    assert!(ledger.revoke_grant("you".into(), admin()).await.is_err());
    ledger.revoke_grant("me".into(), admin()).await.unwrap();
    assert!(ledger.grants().unwrap().is_empty());
    ledger.close().await;
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        // The log goes away when the last connection has closed.
        let Ok(bytes) = std::fs::read(entry.unwrap().path()) else { continue };
        assert!(!bytes.windows(token.len()).any(|part| part == token.as_bytes()));
    }
    assert!(verify(folder.path(), None).unwrap().ok);
}

/// Rows of one thing that were made one after the other may be written in any order: the newest stands, and what is over stays over.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_beside_the_record_never_goes_back() {
    let orders =
        [[1, 2, 3, 4], [4, 3, 2, 1], [1, 3, 2, 4], [2, 1, 4, 3], [4, 1, 2, 3], [3, 4, 1, 2], [1, 4, 3, 2]];
    for last_is_over in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).unwrap();
        let approval = |order: usize, version: i64| ApprovalRow {
            id: format!("a_{order}"),
            version,
            body: (version < 4 || !last_is_over).then(|| format!("version {version}")),
        };
        for (place, order) in orders.iter().enumerate() {
            for version in order {
                let approval = approval(place, *version);
                // With a row, and without one: these are two queues.
                if version % 2 == 0 {
                    let beside = Beside { counters: Vec::new(), approval: Some(approval) };
                    ledger.append(row("changed"), beside, Keep::Process).await.unwrap();
                } else {
                    ledger.keep_approval(approval).await.unwrap();
                }
            }
        }
        let expected: Vec<ApprovalRow> =
            (0..orders.len()).map(|place| approval(place, 4)).filter(|row| row.body.is_some()).collect();
        assert_eq!(ledger.approvals().unwrap(), expected);
        ledger.close().await;
        assert_eq!(Ledger::open(folder.path()).unwrap().approvals().unwrap(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_forgotten_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for id in ["t_1", "t_2"] {
        ledger.keep_task(task(id, None), None).await.unwrap();
    }
    let late = |id, version: i64| TaskRow { said: version.to_string(), version, ..task(id, None) };
    ledger.forget_tasks(vec!["t_1".into()]).await.unwrap();
    for (id, version) in [("t_1", 2), ("t_2", 3), ("t_2", 2)] {
        ledger.keep_task(late(id, version), None).await.unwrap();
    }
    ledger.close().await;
    assert_eq!(Ledger::open(folder.path()).unwrap().tasks().unwrap(), [late("t_2", 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_rows_are_found_from_the_end_and_all_of_them_without_holding_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for n in 0..1000 {
        let tool = if n % 100 == 0 { "seldom" } else { "often" };
        ledger.append(row(tool), Vec::new(), Keep::Process).await.unwrap();
    }
    let read = |filter: Filter| {
        let mut numbers = Vec::new();
        query(folder.path(), &filter, |row| {
            // Whoever stands still here holds nothing: the log can be folded whole.
            if numbers.is_empty() {
                let file = rusqlite::Connection::open(folder.path().join(portcullis_ledger::FILE)).unwrap();
                let busy: i64 =
                    file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
                assert_eq!(busy, 0, "{filter:?}");
            }
            numbers.push(row["n"].as_u64().unwrap());
            true
        })
        .unwrap();
        numbers
    };
    // The writer itself reads from one transaction to the next.
    ledger.close().await;
    let tool = |limit| Filter { tool: Some("seldom".into()), limit, ..Filter::default() };
    assert_eq!(read(Filter { limit: Some(3), ..Filter::default() }), [998, 999, 1000]);
    assert_eq!(read(Filter::default()), (1..=1000).collect::<Vec<_>>());
    assert_eq!(read(tool(Some(2))), [801, 901]);
    assert_eq!(read(tool(None)).len(), 10);
    assert_eq!(read(Filter { after: Some(950), limit: Some(100), ..Filter::default() }).len(), 50);
    assert_eq!(read(Filter { limit: Some(0), ..Filter::default() }), [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_let_go_at_once_and_taken_out_of_the_file_in_steps_that_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for _ in 0..5000 {
        ledger.append_later(row("old"), Vec::new()).unwrap();
    }
    ledger.append(row("old"), Vec::new(), Keep::Process).await.unwrap();
    let rows = || {
        let count = "SELECT count(*) FROM ledger";
        file(folder.path()).query_row(count, [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let pruned = ledger.clone();
    let pruning = tokio::spawn(async move { pruned.prune(i64::MAX / 2, "retain: 90d").await });
    let (mut steps, mut seen, mut looked) = (0, rows(), false);
    while !pruning.is_finished() {
        ledger.append(row("new"), Vec::new(), Keep::Process).await.unwrap();
        let now = rows();
        steps += u32::from(now + 32 < seen);
        seen = now;
        if steps == 1 && !std::mem::replace(&mut looked, true) {
            // What was let go is not shown while it is still there, and what is left holds.
            let mut first = None;
            query(folder.path(), &Filter::default(), |row| {
                first = row["n"].as_u64();
                false
            })
            .unwrap();
            assert!(first > Some(5001), "{first:?}");
            assert!(verify(folder.path(), None).unwrap().ok);
        }
    }
    pruning.await.unwrap().unwrap();
    assert!(steps >= 3, "all went in {steps} steps");
    assert!(rows() < 1000, "{}", rows());
    // A gate that was killed on the way goes on with it.
    let by_hand = "DROP TRIGGER ledger_is_never_changed; INSERT INTO ledger (n, time, text, hash) VALUES (3, 0, '', x'00')";
    file(folder.path()).execute_batch(by_hand).unwrap();
    ledger.prune(0, "retain: 90d").await.unwrap();
    let left: i64 = file(folder.path()).query_row("SELECT min(n) FROM ledger", [], |row| row.get(0)).unwrap();
    assert!(left > 5000);
    assert!(verify(folder.path(), None).unwrap().ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_was_ended_in_the_middle_is_made_whole_and_a_lost_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("gate.key");
    for has_ledger in [false, true] {
        std::fs::write(&key, "").unwrap();
        if has_ledger {
            std::fs::write(folder.path().join(portcullis_ledger::FILE), "").unwrap();
        }
        let ledger = Ledger::open(folder.path()).unwrap();
        assert!(!ledger.begins_anew());
        ledger.append(row("first"), Vec::new(), Keep::Process).await.unwrap();
        ledger.close().await;
        // From here on there is something that the key belongs to.
        let whole = std::fs::read(&key).unwrap();
        std::fs::write(&key, "").unwrap();
        let why = Ledger::open(folder.path()).unwrap_err().to_string();
        assert!(why.contains("64 hexadecimal digits"), "{why}");
        std::fs::write(&key, whole).unwrap();
        assert!(verify(folder.path(), None).unwrap().ok);
        std::fs::remove_file(folder.path().join(portcullis_ledger::FILE)).unwrap();
    }
}
