//! Servers that are known from before, while they start.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, fixture, names};
use crate::stream::Stream;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// A gate with a server that does not start before there is a file `go`, with as many filler tools as `more` says.
fn house(place: &Path) -> House {
    let script = format!(
        "while [ ! -e {0}/go ]; do [ -d {0} ] || exit; sleep 0.02; done; exec {1} stdio --tools $(cat {0}/more)",
        place.display(),
        fixture().display()
    );
    let upstreams = format!("  slow: {{ command: sh, args: [-c, {}], new_tools: allow }}", json!(script));
    House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" })
}

async fn list(house: &House, path: &str) -> Value {
    house.session(path).await.ask(1, "tools/list", json!({})).await.0
}

/// Waits until what was listed stands in the store.
fn wait_until_kept(house: &House, tool: &str) {
    let until = Instant::now() + PATIENCE;
    let data = house.folder.path().join("data");
    let there = || {
        ["ledger.db", "ledger.db-wal"].iter().any(|file| {
            let bytes = std::fs::read(data.join(file)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).contains(tool)
        })
    };
    while !there() {
        assert!(Instant::now() < until, "{tool} was not kept");
    }
}

#[tokio::test]
async fn a_server_known_from_before_is_listed_while_it_starts_and_what_changed_is_told() {
    let place = tempfile::tempdir().unwrap();
    let (go, more) = (place.path().join("go"), place.path().join("more"));
    std::fs::write(&more, "1").unwrap();
    std::fs::write(&go, "").unwrap();
    let mut house = house(place.path());
    let first = list(&house, "/mcp").await;
    assert!(names(&first, "tools").contains(&"slow__filler_0".into()), "{first}");
    wait_until_kept(&house, "filler_0");

    house.gate.as_mut().unwrap().terminate();
    std::fs::remove_file(&go).unwrap();
    std::fs::write(&more, "2").unwrap();
    house.up();
    let session = house.session("/mcp").await;
    let mut stream = Stream::get(&house, "/mcp", &session.id, &[]).await;
    // It cannot have been asked: it is not there yet.
    let (before, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&before, "tools"), names(&first, "tools"));
    let noted = &before["result"]["_meta"]["portcullis/upstreams"];
    assert_eq!((noted[0]["name"].as_str(), noted[0]["state"].as_str()), (Some("slow"), Some("starting")));
    // A list that it did not have then is not waited for either.
    let (prompts, _) = session.ask(2, "prompts/list", json!({})).await;
    assert!(prompts["result"]["prompts"].is_array(), "{prompts}");

    std::fs::write(&go, "").unwrap();
    while stream.message().await.expect("the stream ended")["method"] != "notifications/tools/list_changed" {}
    let (now, _) = session.ask(3, "tools/list", json!({})).await;
    assert!(names(&now, "tools").contains(&"slow__filler_1".into()), "{now}");
    assert!(now["result"]["_meta"]["portcullis/upstreams"].is_null(), "{now}");
}

#[tokio::test]
async fn another_server_of_the_same_name_does_not_inherit_a_list() {
    let place = tempfile::tempdir().unwrap();
    let go = place.path().join("go");
    std::fs::write(place.path().join("more"), "1").unwrap();
    std::fs::write(&go, "").unwrap();
    let mut house = house(place.path());
    list(&house, "/mcp").await;
    wait_until_kept(&house, "filler_0");
    house.gate.as_mut().unwrap().terminate();
    house.configure("stdio --tools", "stdio --extra --tools");
    house.configure("policies:", "limits: { first_connect: 300ms }\npolicies:");
    std::fs::remove_file(&go).unwrap();
    house.up();
    let unknown = list(&house, "/mcp").await;
    assert_eq!(names(&unknown, "tools"), [""; 0]);
    assert_eq!(unknown["result"]["_meta"]["portcullis/upstreams"][0]["state"], "starting");
}
