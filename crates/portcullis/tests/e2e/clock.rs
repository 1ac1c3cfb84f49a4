//! Clocks that are set while the gate runs, or that are wrong when it starts.

use crate::house::{House, Plan};
use crate::scripted::Scripted;
use serde_json::{Value, json};
use std::path::PathBuf;

const POLICY: &str = "version: \"2\"\ndefault: deny\ntools:\n  free: {}\n  minute: { limits: [{ counter: m, window: minute, max: 3, scope: grant }] }\n  day: { limits: [{ counter: d, window: day, max: 5, scope: grant }] }\n";

/// What moves the clock of one process, where it is installed.
fn faketime() -> Option<PathBuf> {
    let libraries = std::fs::read_dir("/usr/lib").ok()?.flatten().map(|folder| folder.path());
    libraries.map(|folder| folder.join("faketime/libfaketime.so.1")).find(|file| file.is_file())
}

struct Set {
    house: House,
    clock: PathBuf,
    _server: Scripted,
}

impl Set {
    async fn start() -> Option<Self> {
        let Some(library) = faketime() else {
            eprintln!("skipped: faketime is not installed");
            return None;
        };
        let server = Scripted::start(&["free", "minute", "day"], |_, _| None).await;
        let upstreams = format!("  fix: {{ url: \"{}\" }}", server.url);
        let more = "ledger: { durability: process, retain: 90d }";
        let mut house = House::plan(&Plan { upstreams: &upstreams, policy: POLICY, more });
        let clock = house.folder.path().join("clock");
        house.env = vec![
            ("LD_PRELOAD", library.to_string_lossy().into_owned()),
            ("FAKETIME_TIMESTAMP_FILE", clock.to_string_lossy().into_owned()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        let mut set = Self { house, clock, _server: server };
        set.clock("+0d");
        set.house.up();
        set.house.ready().await.unwrap();
        Some(set)
    }

    fn clock(&self, offset: &str) {
        std::fs::write(&self.clock, offset).unwrap();
    }

    async fn again(&mut self, offset: &str) {
        assert!(self.house.gate.as_mut().unwrap().terminate().success());
        self.clock(offset);
        self.house.up();
        self.house.ready().await.unwrap();
    }

    /// How many of so many calls pass.
    async fn pass(&self, tool: &str, calls: u64) -> u64 {
        let session = self.house.session("/mcp/fix").await;
        let mut passed = 0;
        for id in 0..calls {
            let answer = session.call(id + 1, tool, json!({})).await;
            passed += u64::from(answer.pointer("/result/isError") != Some(&Value::Bool(true)));
        }
        passed
    }

    /// What the record says of the clock, and the year of its last row.
    fn said(&self) -> (Vec<String>, String) {
        let rows = self.house.rows(&[]);
        let messages = rows.iter().filter_map(|row| row["message"].as_str());
        let said = messages.filter(|message| message.starts_with("the clock")).map(str::to_owned).collect();
        (said, rows.last().unwrap()["time"].as_str().unwrap()[..4].to_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_the_record_survive_a_clock_that_is_set_while_the_gate_runs() {
    let Some(set) = Set::start().await else { return };
    let year = set.said().1;
    assert_eq!(set.pass("day", 3).await, 3);
    // Set back by two days: no new window.
    set.clock("-2d");
    assert_eq!(set.pass("day", 4).await, 2);
    // A year ahead for a moment.
    set.clock("+365d");
    assert_eq!(set.pass("minute", 4).await, 3);
    let (said, ahead) = set.said();
    assert_ne!(ahead, year);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("was set back") && said[1].contains("was set ahead"), "{said:?}");
    set.clock("+0d");
    assert_eq!(set.pass("minute", 1).await, 1);
    let (said, last) = set.said();
    assert_eq!((said.len(), &last), (3, &year), "{said:?}");
    // What is asked for by time is what was written since, whatever the clock said meanwhile.
    let since: Vec<u64> =
        set.house.rows(&["--since", "1h"]).iter().map(|row| row["n"].as_u64().unwrap()).collect();
    let all = set.house.rows(&[]);
    assert_eq!(since.last(), all.last().unwrap()["n"].as_u64().as_ref());
    assert!(since.windows(2).all(|two| two[1] == two[0] + 1), "{since:?}");
    let (code, out, err) = set.house.run(&["ledger", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_at_the_start_takes_neither_the_record_nor_what_was_used_away() {
    let Some(mut set) = Set::start().await else { return };
    assert_eq!(set.pass("day", 4).await, 4);
    let before = set.house.rows(&[]).len();
    set.again("+730d").await;
    // Longer than the first look at what is old takes.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    set.again("+0d").await;
    assert!(set.house.rows(&[]).len() > before);
    assert_eq!(set.pass("day", 3).await, 1);
    let (said, _) = set.said();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("was set back"), "{said:?}");
}
