//! Real clients and real servers, as `ci/parts` installs them.

mod agent;
mod browser;
#[path = "old_sse.rs"]
mod old_sse;
mod quality;
#[path = "task_everything.rs"]
mod task_everything;
mod unauthorized;
#[path = "walks.rs"]
mod walks;

use crate::approvals::one_that_waits;
use crate::house::{House, Plan, TOKEN, fixture_http, names, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub fn part(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/parts").join(path);
    assert!(path.exists(), "{} is missing: `ci/parts` installs it", path.display());
    std::path::absolute(path).unwrap()
}

fn program(name: &str) -> String {
    part(&format!("npm/node_modules/.bin/{name}")).display().to_string()
}

/// The upstreams of the five-minute path: the reference server and the file server, on npm.
fn npm_house(policy: &str) -> House {
    let upstreams = format!(
        "  everything: {{ command: \"{}\", args: [stdio] }}\n  files: {{ command: \"{}\", args: [\"./work\"] }}",
        program("mcp-server-everything"),
        program("mcp-server-filesystem"),
    );
    let folder = |house: &House| house.folder.path().join("work");
    let more = "limits: { first_connect: 30s }\nledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy, more });
    std::fs::create_dir_all(folder(&house)).unwrap();
    std::fs::write(folder(&house).join("hello.txt"), "read through the gate").unwrap();
    // The file server ends without its folder, which was not there yet; the gate starts it again.
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    loop {
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        if status["upstreams"].as_array().unwrap().iter().all(|upstream| upstream["state"] == "ready") {
            return house;
        }
        assert!(std::time::Instant::now() < until, "{}", status["upstreams"]);
    }
}

const POLICY: &str = "version: \"1\"\ndefault: deny\ntools:\n  echo: {}\n  get-sum: {}\n  list_allowed_directories: {}\n  read_text_file: {}\n";

const SCRIPT: &str = r#"
import asyncio, sys, json
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client, create_mcp_http_client

async def use(server, mode):
    async with Client(server, mode=mode) as client:
        tools = sorted(tool.name for tool in (await client.list_tools()).tools)
        said = (await client.call_tool("everything__echo", {"message": "hello"})).content[0].text
        read = (await client.call_tool("files__read_text_file", {"path": sys.argv[4]})).content[0].text
        denied = await client.call_tool("files__write_file", {"path": sys.argv[4], "content": "x"})
        print(json.dumps({"tools": tools, "said": said, "read": read, "denied": denied.content[0].text, "error": denied.is_error}))

async def main():
    url, token, program, _, config = sys.argv[1:6]
    for mode in ("auto", "legacy"):
        http = create_mcp_http_client(headers={"Authorization": f"Bearer {token}"})
        await use(streamable_http_client(url, http_client=http), mode)
    await use(StdioServerParameters(command=program, args=["stdio", "--grant", "t", "--config", config]), "auto")

asyncio.run(main())
"#;

#[tokio::test]
async fn the_python_client_lists_and_calls_through_http_and_through_stdio() {
    let house = npm_house(POLICY);
    let file = house.folder.path().join("work/hello.txt");
    let output = Command::new(part("venv/bin/python"))
        .args(["-c", SCRIPT, &format!("{}/mcp", house.url), TOKEN, env!("CARGO_BIN_EXE_portcullis")])
        .args([file.as_path(), &house.folder.path().join("portcullis.yaml")])
        .env_remove("XDG_RUNTIME_DIR")
        .env("TEST_TOKEN", TOKEN)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    let out = String::from_utf8(output.stdout).unwrap();
    let runs: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(runs.len(), 3, "HTTP in both eras, and stdio: {out}{err}");
    for run in runs {
        let listed = json!([
            "everything__echo",
            "everything__get-sum",
            "files__list_allowed_directories",
            "files__read_text_file"
        ]);
        assert_eq!(run["tools"], listed);
        assert!(run["said"].as_str().unwrap().contains("hello"), "{run}");
        assert_eq!(run["read"], "read through the gate");
        assert!(
            run["denied"].as_str().unwrap().starts_with("[POLICY DENIED]") && run["error"] == json!(true),
            "{run}"
        );
    }
}

#[tokio::test]
async fn files_come_from_the_folder_that_a_policy_of_version_2_names_and_from_nowhere_else() {
    let house = npm_house(POLICY);
    let work = house.folder.path().join("work");
    std::fs::write(work.join("secret.key"), "k").unwrap();
    let work = work.display();
    let policy = format!(
        "version: \"2\"\ndefault: deny\ntools:\n  read_text_file:\n    require:\n      \
         - {{ path: args.path, op: within, value: {work} }}\n      - {{ path: args.path, op: glob, value: \"*.txt\" }}\n"
    );
    std::fs::write(house.folder.path().join("policy.yaml"), policy).unwrap();
    let (code, out, err) = house.run(&["policy", "check", "policy.yaml", "--against", "files"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(house.run(&["reload"]).0, 0);
    let session = house.session("/mcp/files").await;
    for (path, said) in [
        (format!("{work}/hello.txt"), "read through the gate"),
        (format!("{work}//./hello.txt"), "read through the gate"),
        (format!("{work}/secret.key"), "denied by /tools/read_text_file/require/1"),
        (format!("{work}-2/hello.txt"), "denied by /tools/read_text_file/require/0"),
        ("/etc/motd.txt".to_owned(), "denied by /tools/read_text_file/require/0"),
        (format!("{work}/../work/hello.txt"), "args.path cannot be judged: it has `..` in it"),
        ("hello.txt".to_owned(), "args.path cannot be judged: it is not an absolute path: begin it with `/`"),
    ] {
        let answer = session.call(1, "read_text_file", json!({ "path": path })).await;
        assert!(text(&answer).contains(said), "{path}: {answer}");
    }
}

#[tokio::test]
async fn tools_are_permitted_by_what_they_do_where_a_policy_of_version_2_says_so() {
    let house = npm_house(POLICY);
    let work = house.folder.path().join("work");
    let policy = format!(
        "version: \"2\"\ndefault: deny\nhide: [read_media_file]\nall_tools:\n  deny_if: [{{ conditions: [{{ path: args.path, op: ends_with, value: .key }}] }}]\n\
         tools:\n  \"@read\": {{}}\n  \"files/write_*\":\n    require:\n      - conditions: [{{ path: args.path, op: within, value: {0} }}, \
         {{ path: args.content, op: length, value: {{ lte: 10 }} }}]\n        on_deny: Short notes only.\n  other/*: {{}}\n",
        work.display()
    );
    std::fs::write(house.folder.path().join("policy.yaml"), policy).unwrap();
    let (code, out, err) = house.run(&["policy", "check", "policy.yaml", "--against", "files"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert_eq!(house.run(&["reload"]).0, 0);
    let session = house.session("/mcp/files").await;
    let mut listed = names(&session.ask(1, "tools/list", json!({})).await.0, "tools");
    listed.sort();
    let reads = [
        "directory_tree",
        "get_file_info",
        "list_allowed_directories",
        "list_directory",
        "list_directory_with_sizes",
        "read_file",
        "read_multiple_files",
        "read_text_file",
        "search_files",
        "write_file",
    ];
    assert_eq!(listed, reads);
    let note = |name: &str, content: &str| json!({ "path": work.join(name), "content": content });
    for (tool, arguments, said) in [
        ("write_file", note("a.txt", "short"), "Successfully wrote"),
        ("read_text_file", json!({ "path": work.join("a.txt") }), "short"),
        ("write_file", note("b.txt", "longer than that"), "[POLICY DENIED] Short notes only."),
        ("read_text_file", json!({ "path": work.join("a.key") }), "denied by /all_tools/deny_if/0"),
        ("create_directory", json!({ "path": work.join("c") }), "(default deny)"),
    ] {
        let answer = session.call(2, tool, arguments).await;
        assert!(answer.to_string().contains(said), "{tool}: {answer}");
    }
    assert!(!work.join("b.txt").exists() && !work.join("c").exists());
    // What is hidden is no tool at all.
    let hidden = session.call(3, "read_media_file", json!({ "path": work.join("a.txt") })).await;
    assert_eq!(hidden["error"]["message"], "Unknown tool: read_media_file", "{hidden}");
    let call = json!({ "name": "move_file", "arguments": {} });
    std::fs::write(house.folder.path().join("call.json"), call.to_string()).unwrap();
    let explain = ["policy", "explain", "policy.yaml", "--call", "call.json", "--against", "files"];
    let (code, tree, _) = house.run(&explain);
    assert!(code == 0 && tree.contains("denied by (default deny)"), "{tree}");
}

/// The inspector at a gate's common route; gives what it prints.
async fn inspect(house: &House, era: &str, arguments: &[&str]) -> String {
    let inspector = tokio::process::Command::new(part("npm/node_modules/.bin/node"))
        .arg(program("mcp-inspector"))
        .args(["--cli", &format!("{}/mcp", house.url), "--transport", "http"])
        .args(["--header", &format!("Authorization: Bearer {TOKEN}"), "--protocol-era", era])
        .args(arguments)
        .env("HOME", house.folder.path())
        .stdin(Stdio::null())
        .output();
    let output =
        tokio::time::timeout(crate::house::PATIENCE, inspector).await.expect("it does not end").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{era} {arguments:?}: {out}{err}");
    out.into_owned()
}

/// Calls a tool as a task of the core design with the official SDK, and prints each word on it.
const AS_A_TASK: &str = r#"
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
const [url, token] = process.argv.slice(2);
const client = new Client({ name: "sdk", version: "1" });
const headers = { Authorization: `Bearer ${token}` };
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
await client.listTools();
const call = { name: "fix__slow_compute", arguments: { seconds: 0, label: "a sum" } };
for await (const message of client.experimental.tasks.callToolStream(call)) {
  console.log(message.type, message.task?.status ?? "", message.result?.content[0].text ?? message.error?.message ?? "");
}
await client.close();
"#;

#[tokio::test]
async fn real_clients_wait_for_a_person_in_the_task_that_their_held_call_becomes() {
    let (_server, url) = fixture_http(&["--extra"]);
    let policy = "version: \"2\"\ndefault: allow\ntools:\n  slow_compute: { hold_if: [{ conditions: [], on_hold: People decide. }] }\n";
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = "ledger: { durability: process }\napprovals: { wait: 50ms }";
    let house = House::build(&Plan { upstreams: &upstreams, policy, more });
    let person = || async {
        let held = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        // Longer than a request is kept open.
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(house.run(&["approvals", "approve", &held]).0, 0);
    };
    let call = ["--method", "tools/call", "--tool-name", "fix__slow_compute"];
    let call = [&call[..], &["--tool-arg", "seconds=0", "label=a sum"]].concat();
    let (printed, ()) = tokio::join!(inspect(&house, "modern", &call), person());
    assert!(printed.contains("a sum is computed"), "{printed}");
    // Beside the packages that it imports.
    let script = tempfile::Builder::new().suffix(".mjs").tempfile_in(part("npm")).unwrap();
    std::fs::write(script.path(), AS_A_TASK).unwrap();
    let sdk = tokio::process::Command::new(part("npm/node_modules/.bin/node"))
        .arg(script.path())
        .args([&format!("{}/mcp", house.url), TOKEN])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let sdk = tokio::time::timeout(crate::house::PATIENCE, sdk);
    let (output, ()) = tokio::join!(async { sdk.await.expect("it does not end").unwrap() }, person());
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.starts_with("taskCreated working") && said.ends_with("result  a sum is computed\n"),
        "{said}"
    );
    assert_eq!(crate::house::seen(&house, &url).await["calls"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_inspector_lists_and_calls_in_both_eras() {
    let house = npm_house(POLICY);
    for era in ["legacy", "modern"] {
        let inspect = async |arguments: &[&str]| inspect(&house, era, arguments).await;
        let listed = inspect(&["--method", "tools/list"]).await;
        assert!(listed.contains("everything__echo") && !listed.contains("files__write_file"), "{listed}");
        let called = inspect(&[
            "--method",
            "tools/call",
            "--tool-name",
            "everything__echo",
            "--tool-arg",
            "message=hi",
        ])
        .await;
        assert!(called.contains("hi"), "{called}");
    }
}

#[tokio::test]
async fn node_server_orchestrator_stops_its_servers_ten_times_a_minute_and_nothing_else() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/tests/data/stop_all_servers.json");
    let policy = std::fs::read_to_string(policy).unwrap();
    let upstreams = format!("  nso: {{ command: \"{}\", args: [mcp] }}", program("node-server-orchestrator"));
    let more = "limits: { first_connect: 30s }\nledger: { durability: process }";
    let house = House::build(&Plan { upstreams: &upstreams, policy: &policy, more });
    let session = house.session("/mcp/nso").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert_eq!(names(&list, "tools"), ["stop_all_servers"]);
    for (id, tool) in
        (2..).zip(["start_server", "stop_server", "get_server_status", "list_servers", "start_all_servers"])
    {
        let answer = session.call(id, tool, json!({})).await;
        let denied = answer["error"]["code"] == json!(-32602) || text(&answer).starts_with("[POLICY DENIED]");
        assert!(denied, "{tool}: {answer}");
    }
    let mut passed = 0;
    let denied = loop {
        let answer = session.call(100 + passed, "stop_all_servers", json!({})).await;
        if text(&answer).starts_with("[POLICY DENIED]") {
            break answer;
        }
        passed += 1;
        assert!(passed <= 20, "{answer}");
    };
    assert!(passed >= 10 && text(&denied).contains("resets at"), "{passed}: {denied}");
}

#[tokio::test]
async fn one_bad_upstream_harms_no_other() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!(
        "  fix: {{ url: \"{url}\" }}\n  absent: {{ command: no-such-program }}\n  quits: {{ command: \"false\" }}\n  mute: {{ command: sleep, args: [\"600\"] }}"
    );
    let plan = Plan {
        upstreams: &upstreams,
        policy: crate::house::ALLOW_ALL,
        more: "limits: { first_connect: 1s }",
    };
    let house = House::build(&plan);
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({"message": "fine"})).await), "fine");
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    assert!(names(&list, "tools").contains(&"fix__echo".into()));
    let down = list["result"]["_meta"]["portcullis/upstreams"].as_array().unwrap();
    let reason = |name: &str| {
        down.iter().find(|it| it["name"] == name).map(|it| it["reason"].as_str().unwrap().to_owned())
    };
    assert!(reason("absent").unwrap().contains("`no-such-program` was not found"), "{down:?}");
    assert!(reason("quits").unwrap().contains("code 1"), "{down:?}");
    assert!(reason("mute").is_some(), "{down:?}");
}
