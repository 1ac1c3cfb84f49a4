//! Services of other tools' files: they mean here what they mean there.

use crate::house::{ALLOW_ALL, House, PATIENCE, Plan, Session, text};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A gate whose services are imported from these files.
fn house(files: &[(&str, &str)]) -> House {
    let upstreams = "  services: { builtin: services, config: services.yaml }";
    let more = "ledger: { durability: process }";
    let mut house = House::plan(&Plan { upstreams, policy: ALLOW_ALL, more });
    let folder = house.folder.path();
    let names: Vec<&str> =
        files.iter().map(|(name, _)| *name).filter(|name| !name.starts_with('.')).collect();
    std::fs::write(folder.join("services.yaml"), format!("import: [{}]\n", names.join(", "))).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    house.up();
    house
}

async fn call(session: &Session<'_>, tool: &str, arguments: Value) -> (Value, String, bool) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static IDS: AtomicU64 = AtomicU64::new(1000);
    let answer = session.call(IDS.fetch_add(1, Ordering::Relaxed), tool, arguments).await;
    let result = &answer["result"];
    assert!(result.is_object(), "{answer}");
    (result["structuredContent"].clone(), text(&answer).to_owned(), result["isError"] == true)
}

/// Starts a service and gives its first line.
async fn first_line(session: &Session<'_>, id: &str) -> String {
    let (_, said, failed) = call(session, "start_server", json!({ "server_id": id })).await;
    assert!(!failed, "{said}");
    let until = Instant::now() + PATIENCE;
    loop {
        let (logs, ..) = call(session, "read_server_logs", json!({ "server_id": id, "cursor": 0 })).await;
        if let Some(line) = logs["lines"][0]["text"].as_str() {
            return line.to_owned();
        }
        assert!(Instant::now() < until, "{id} writes nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn names(list: &Value) -> Vec<&str> {
    list["servers"].as_array().unwrap().iter().map(|it| it["server_id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_process_compose_file_means_what_it_means_there() {
    let file = "environment: [\"GREETING=hello\"]\nprocesses:\n  \
                one: { command: \"echo $GREETING ${FROM_ENV} $PC_PROC_NAME; exec sleep 30\" }\n  \
                two: { command: \"echo $$GREETING; exec sleep 30\", environment: { GREETING: own } }\n  \
                words: { entrypoint: [sh, -c, \"echo $GREETING; exec sleep 30\"] }\n  \
                daemon: { command: \"echo up\", is_daemon: true }\n  \
                off: { command: \"echo off; exec sleep 30\", disabled: true }\n  \
                odd: { description: nothing to run }\n  many: { command: \"exec sleep 30\", replicas: 3 }\n";
    let house = house(&[("process-compose.yaml", file), (".env", "FROM_ENV=e\n")]);
    let session = house.session("/mcp/services").await;
    for (id, line) in [("one", "hello e one"), ("two", "own"), ("words", "hello"), ("daemon", "up")] {
        assert_eq!(first_line(&session, id).await, line, "{id}");
    }
    // What started the daemon has gone; the service counts as running until it is stopped.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let (status, ..) = call(&session, "get_server_status", json!({ "server_id": "daemon" })).await;
    assert_eq!(status["state"], "running", "{status}");

    let (started, said, _) = call(&session, "start_all_servers", json!({})).await;
    let mut all: Vec<&str> =
        started["results"].as_array().unwrap().iter().map(|it| it["server_id"].as_str().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, ["daemon", "many", "one", "two", "words"], "{said}");
    let (started, said, _) = call(&session, "start_all_servers", json!({ "names": ["off"] })).await;
    assert_eq!(started["results"][0]["state"], "running", "{said}");

    // One odd entry is named and left out, here and by `doctor`.
    let (list, said, _) = call(&session, "list_servers", json!({})).await;
    assert_eq!(names(&list), ["daemon", "many", "off", "one", "two", "words"]);
    let (_, doctor, _) = house.run(&["doctor"]);
    for part in ["`odd` is left out", "`many`: `replicas` has no counterpart"] {
        assert!(said.contains(part) && list["warnings"].to_string().contains(part), "{part}: {said}");
        assert!(doctor.contains(part), "{part}: {doctor}");
    }
    let (stopped, said, failed) = call(&session, "stop_all_servers", json!({})).await;
    assert!(!failed && stopped["counts"]["stopped"] == 6, "{said}: {stopped}");
}

#[tokio::test]
async fn a_dependency_that_only_has_to_end_may_fail() {
    let file = "processes:\n  fails: { command: \"exit 3\" }\n  \
                after: { command: \"echo after; exec sleep 30\", depends_on: { fails: { condition: process_completed } } }\n  \
                never: { command: x, depends_on: { fails: { condition: process_completed_successfully } } }\n";
    let house = house(&[("process-compose.yaml", file)]);
    let session = house.session("/mcp/services").await;
    assert_eq!(first_line(&session, "after").await, "after");
    let (_, said, failed) = call(&session, "start_server", json!({ "server_id": "never" })).await;
    assert!(failed && said.contains("`fails`"), "{said}");
}

#[tokio::test]
async fn each_line_of_a_procfile_has_its_own_port() {
    let file = "web: port=own; echo $PORT $NAMED ${port}; exec sleep 30\nno line\nside-kick: echo $PORT; exec sleep 30\n";
    let house = house(&[("Procfile", file), (".env", "PORT=41000\nNAMED='a $b'\n")]);
    let session = house.session("/mcp/services").await;
    assert_eq!(first_line(&session, "web").await, "41000 a $b own");
    assert_eq!(first_line(&session, "side-kick").await, "41100");
    // Nothing listens there, so nothing is said to.
    let (status, ..) = call(&session, "get_server_status", json!({ "server_id": "web" })).await;
    assert_eq!(status["url"], Value::Null);
    let (list, said, _) = call(&session, "list_servers", json!({})).await;
    assert_eq!(names(&list), ["side-kick", "web"]);
    assert!(said.contains("line 2 is left out"), "{said}");
}

#[tokio::test]
async fn scripts_of_a_package_are_started_by_their_names_alone() {
    let file = r#"{"packageManager":"yarn@4.1.0","scripts":{"predev":"a","dev":"b","prepare":"c","@x/all of it":"d"}}"#;
    let house = house(&[("package.json", file)]);
    let session = house.session("/mcp/services").await;
    let (list, said, _) = call(&session, "list_servers", json!({})).await;
    assert_eq!(names(&list), ["dev", "x-all-of-it"]);
    assert!(said.contains("`@x/all of it` cannot be a service's name: it is `x-all-of-it` here"), "{said}");
    let (started, ..) = call(&session, "start_all_servers", json!({})).await;
    assert_eq!(started["results"], json!([]));
}

#[tokio::test]
async fn a_service_that_listens_on_ipv6_alone_has_a_url_that_answers() {
    let web = "import http.server, os, socket\n\
               class Server(http.server.HTTPServer): address_family = socket.AF_INET6\n\
               Server((\"::1\", int(os.environ[\"PORT\"])), http.server.SimpleHTTPRequestHandler).serve_forever()\n";
    let house =
        house(&[("Procfile", "web: exec python3 .web.py\n"), (".env", "PORT=41900\n"), (".web.py", web)]);
    let services = "import: [Procfile]\nservices:\n  own: { command: [python3, .web.py], port: auto, ready: { http: /, timeout: 20s } }\n";
    std::fs::write(house.folder.path().join("services.yaml"), services).unwrap();
    house.run(&["reload"]);
    let session = house.session("/mcp/services").await;
    for id in ["own", "web"] {
        let (_, said, failed) = call(&session, "start_server", json!({ "server_id": id })).await;
        assert!(!failed, "{said}");
        let until = Instant::now() + PATIENCE;
        let url = loop {
            let (list, ..) = call(&session, "list_servers", json!({})).await;
            let found = list["servers"].as_array().unwrap().iter().find(|it| it["server_id"] == id).unwrap();
            if let Some(url) = found["url"].as_str() {
                break url.to_owned();
            }
            assert!(Instant::now() < until, "{list}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let address = url.strip_prefix("http://").unwrap();
        assert!(address.starts_with("[::1]:"), "{url}");
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("200 OK"), "{answer}");
    }
}
