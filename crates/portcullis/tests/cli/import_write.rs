//! `portcullis import --write`: no client is worse off after it.

use crate::{Said, User};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A server whose tools are the words behind its name.
const SERVER: &str = r#"
import json, os, sys
names = [word for word in sys.argv[2:]]
for line in sys.stdin:
    asked = json.loads(line)
    if "id" not in asked: continue
    answer = {}
    if asked["method"] == "initialize":
        answer = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": sys.argv[1], "version": "1"}}
    elif asked["method"] == "tools/list":
        answer = {"tools": [{"name": name, "description": name.replace("_", " ").capitalize() + " by its name.",
                             "inputSchema": {"type": "object"}} for name in names]}
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answer}), flush=True)
"#;

/// The entry of a server with these tools, each server another one.
fn entry(user: &User, name: &str, tools: &[&str]) -> Value {
    let file = user.home.join("server.py");
    if !file.exists() {
        std::fs::write(&file, SERVER).unwrap();
    }
    let args: Vec<String> = [file.display().to_string(), name.to_owned()]
        .into_iter()
        .chain(tools.iter().map(|it| (*it).to_owned()))
        .collect();
    json!({ "command": "python3", "args": args })
}

fn with(mut entry: Value, more: Value) -> Value {
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn read_home(user: &User, file: &str) -> String {
    std::fs::read_to_string(user.home.join(file)).unwrap()
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The tools that a client sees which starts this entry.
#[expect(clippy::disallowed_methods, reason = "a client starts this command itself")]
fn tools_seen(user: &User, entry: &Value) -> Vec<String> {
    let args: Vec<&str> = entry["args"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    let mut child = Command::new(entry["command"].as_str().unwrap())
        .args(args)
        .current_dir(&user.home)
        .env_clear()
        .env("HOME", &user.home)
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for line in [
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-06-18", "capabilities": {},
                "clientInfo": { "name": "test", "version": "1" } } }),
        json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} }),
    ] {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = Said::of(&output);
    let answer = said.lines().into_iter().find(|line| line["id"] == 2).unwrap_or_else(|| panic!("{said:?}"));
    let mut names: Vec<String> = answer["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect();
    names.retain(|name| !name.starts_with("gateway."));
    names.sort();
    names
}

/// An address that answers every request with 401.
fn that_wants_a_sign_in() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            );
        }
    });
    url
}

#[test]
fn only_what_works_behind_the_gate_leaves_its_client() {
    let user = User::new();
    let later = user.home.join("later");
    let cursor = json!({ "mcpServers": {
        "notes": entry(&user, "notes", &["read_note", "list_notes"]),
        "empty": entry(&user, "empty", &[]),
        "drops": entry(&user, "drops", &["delete_all"]),
        "later": { "command": later },
        "sign-in": { "url": that_wants_a_sign_in() },
    } });
    user.write_home(".cursor/mcp.json", &cursor.to_string());
    let said = user.run(&["import", "--write", "--yes"]).with_code(0);
    let now = json_of(&read_home(&user, ".cursor/mcp.json"));
    let mut names: Vec<&String> = now["mcpServers"].as_object().unwrap().keys().collect();
    names.sort();
    assert_eq!(names, ["drops", "empty", "later", "portcullis", "sign-in"]);
    for (name, why) in [
        ("empty", "it lists no tools"),
        ("drops", "lets nothing pass"),
        ("later", "was not found"),
        ("sign-in", "it wants you to sign in"),
    ] {
        let line =
            said.err.lines().find(|line| line.starts_with(&format!("{name} stays in "))).unwrap_or_default();
        assert!(line.contains(why), "{name}: {}", said.err);
    }
    // What moved is seen through the entry that stands there now, and only that.
    let gate = &now["mcpServers"]["portcullis"];
    assert_eq!((&gate["args"][3], &gate["args"][4]), (&json!("--grant"), &json!("cursor")));
    assert_eq!(tools_seen(&user, gate), ["notes__list_notes", "notes__read_note"]);

    // The next import moves what works by then.
    let script =
        format!("#!/bin/sh\nexec python3 {} later read_later\n", user.home.join("server.py").display());
    std::fs::write(&later, script).unwrap();
    std::fs::set_permissions(&later, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = user.run(&["import", "--write", "--yes", "--json"]).with_code(0);
    let line = said.lines().into_iter().find(|line| line["name"] == "later").unwrap();
    assert_eq!((&line["moved"], &line["kept"]), (&json!(true), &Value::Null), "{line}");
    let line = said.lines().into_iter().find(|line| line["name"] == "empty").unwrap();
    assert_eq!((&line["moved"], &line["kept"]), (&json!(false), &json!("it lists no tools")), "{line}");
    let now = json_of(&read_home(&user, ".cursor/mcp.json"));
    assert_eq!(now["mcpServers"]["later"], Value::Null);
    assert_eq!(now["mcpServers"]["portcullis"], *gate);
    assert_eq!(tools_seen(&user, gate), ["later__read_later", "notes__list_notes", "notes__read_note"]);
}

#[test]
fn nothing_moves_where_nobody_says_so() {
    let user = User::new();
    let text = json!({ "mcpServers": { "notes": entry(&user, "notes", &["read_note"]) } }).to_string();
    user.write_home(".cursor/mcp.json", &text);
    let said = user.run(&["import", "--write"]).with_code(1);
    assert!(said.err.contains("notes stays in ") && said.err.contains("--yes"), "{}", said.err);
    // Those that may be started are still not moved.
    user.run(&["import", "--yes"]).with_code(0);
    let said = user.run(&["import", "--write"]).with_code(1);
    assert!(said.err.contains("was not changed: nobody said that it may be (`--yes` does)"), "{}", said.err);
    assert_eq!(read_home(&user, ".cursor/mcp.json"), text);
    assert!(!user.read("portcullis.yaml").contains("grants:"));
}

#[test]
fn a_variable_stays_one_and_the_gate_s_need_of_it_is_said() {
    let user = User::new();
    let one = with(
        entry(&user, "notes", &["read_note"]),
        json!({ "env": { "LEVEL": "${MY_LEVEL}", "B": "${NONE:-b}" } }),
    );
    user.write_home(".cursor/mcp.json", &json!({ "mcpServers": { "notes": one } }).to_string());
    let said = user.run_with(&["import"], &[("MY_LEVEL", "value-of-this-shell")]).with_code(0);
    assert!(said.err.contains("the gate needs MY_LEVEL in its own environment"), "{}", said.err);
    assert!(said.err.contains("does not start where one of them is not set"), "{}", said.err);
    let config = user.read("portcullis.yaml");
    assert!(config.contains("${env:MY_LEVEL}") && !config.contains("value-of-this-shell"), "{config}");
    // A gate that the client starts gets it as the server did.
    user.run_with(&["import", "--write", "--yes"], &[("MY_LEVEL", "value-of-this-shell")]).with_code(0);
    let text = read_home(&user, ".cursor/mcp.json");
    let gate = &json_of(&text)["mcpServers"]["portcullis"];
    assert_eq!(gate["env"], json!({ "MY_LEVEL": "${env:MY_LEVEL}" }));
    assert!(!text.contains("value-of-this-shell"), "{text}");
    // Where it is not set, that is said, and nothing runs without it.
    let said = user.run(&["up", "--listen", "127.0.0.1:0"]).with_code(2);
    assert!(said.err.contains("`MY_LEVEL` is not set"), "{}", said.err);
}

#[test]
fn a_file_that_a_repository_shares_is_not_changed_unasked() {
    let user = User::new();
    let git = |args: &[&str]| {
        let done =
            Command::new("git").args(args).current_dir(&user.here).env("HOME", &user.home).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    git(&["init", "-q"]);
    let text = |name: &str| json!({ "mcpServers": { name: entry(&user, name, &["read_note"]) } }).to_string();
    user.write(".mcp.json", &text("team"));
    user.write(".cursor/mcp.json", &text("own"));
    user.write(".gitignore", ".cursor\n");
    let said = user.run(&["import", "--write", "--yes"]).with_code(0);
    assert!(said.err.contains(".mcp.json was not changed: it is shared in a repository"), "{}", said.err);
    assert_eq!(user.read(".mcp.json"), text("team"));
    assert!(user.read(".cursor/mcp.json").contains("portcullis"));
    git(&["add", ".mcp.json"]);
    user.run(&["import", "--write", "--yes"]).with_code(1);
    assert_eq!(user.read(".mcp.json"), text("team"));
    user.run(&["import", "--write", "--yes", "--shared"]).with_code(0);
    let now = json_of(&user.read(".mcp.json"));
    assert_eq!(now["mcpServers"]["portcullis"]["args"][4], "claude-code");
    // Nothing that may hold a secret is there for git to take.
    let seen = Command::new("git")
        .args(["status", "--porcelain", "-uall"])
        .current_dir(&user.here)
        .output()
        .unwrap();
    let seen = String::from_utf8(seen.stdout).unwrap();
    assert!(!seen.contains(".portcullis/") && !seen.contains("before"), "{seen}");
}

/// A user with servers that work in three clients, and the text of each file.
fn three_clients(user: &User) -> [(&'static str, String); 3] {
    let (one, two) = (entry(user, "one", &["read_one"]), entry(user, "two", &["read_two"]));
    let claude = format!(
        "{{\n  \"numStartups\": 3,\n  \"mcpServers\": {{\n    \"One\": {one},\n    \"odd\": {{ \"command\": \"x\", \"args\": [\"${{input:key}}\"] }}\n  }},\n  \
         \"projects\": {{ \"{}\": {{ \"mcpServers\": {{ \"two\": {two} }}, \"allowed\": [] }} }}\n}}\n",
        user.here.display()
    );
    let codex = format!(
        "model = \"m\"\n[mcp_servers.three]\ncommand = \"python3\"\nargs = {}\n",
        entry(user, "three", &["read_three"])["args"]
    );
    let cursor = json!({ "mcpServers": { "uno": one } }).to_string();
    let files = [(".claude.json", claude), (".codex/config.toml", codex), (".cursor/mcp.json", cursor)];
    for (file, text) in &files {
        user.write_home(file, text);
    }
    files
}

#[test]
fn clients_name_the_gate_and_keep_what_is_theirs() {
    let user = User::new();
    three_clients(&user);
    user.run(&["import", "--write", "--yes"]).with_code(0);
    let claude = read_home(&user, ".claude.json");
    assert!(claude.starts_with("{\n  \"numStartups\": 3,\n"), "{claude}");
    let claude = json_of(&claude);
    let gate = &claude["mcpServers"]["portcullis"];
    assert_eq!(gate["args"][1], "--config");
    assert_eq!(gate["args"][2], user.here.join("portcullis.yaml").display().to_string());
    assert_eq!(tools_seen(&user, gate), ["one__read_one", "two__read_two"]);
    // What was not imported is still the client's own.
    assert_eq!(claude["mcpServers"]["odd"]["command"], "x");
    assert_eq!(claude["projects"][user.here.to_str().unwrap()]["mcpServers"], json!({}));
    let cursor = json_of(&read_home(&user, ".cursor/mcp.json"));
    assert_eq!(tools_seen(&user, &cursor["mcpServers"]["portcullis"]), ["one__read_one"]);
    let codex = read_home(&user, ".codex/config.toml");
    assert!(codex.starts_with("model = \"m\"\n") && !codex.contains("mcp_servers.three"), "{codex}");
    assert!(codex.contains("\"--grant\",\"codex\""), "{codex}");
    let said = user.run(&["import"]).with_code(0);
    assert!(!said.out.contains("imported  "), "{}", said.out);
}

#[test]
fn an_import_is_taken_back_but_for_what_was_changed_since() {
    let user = User::new();
    let files = three_clients(&user);
    let before = "# mine\nupstreams:\n  old: { url: \"https://old.example/mcp\" }\n";
    user.write("portcullis.yaml", before);
    user.run(&["import", "--undo"]).with_code(2);
    user.run(&["import", "--write", "--yes"]).with_code(0);
    let policy = user.read("policies/three.yaml").replace("deny", "allow");
    user.write("policies/three.yaml", &policy);
    let said = user.run(&["import", "--undo"]).with_code(1);
    assert!(said.out.contains("policies/three.yaml: it was changed since the import"), "{}", said.out);
    assert_eq!(user.read("portcullis.yaml"), before);
    for (file, text) in files {
        assert_eq!(read_home(&user, file), text, "{file}");
    }
    assert!(!user.here.join("policies/one.yaml").exists());
    assert_eq!(user.read("policies/three.yaml"), policy);
    // What it made again is taken back too.
    user.run(&["import"]).with_code(0);
    user.run(&["import", "--undo"]).with_code(0);
    assert_eq!(user.read("portcullis.yaml"), before);
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.flat_map(|it| if it.path().is_dir() { files(&it.path()) } else { vec![it.path()] }).collect()
}

#[test]
fn what_a_file_had_is_kept_for_its_user_alone_and_comes_back() {
    let user = User::new();
    let one = with(entry(&user, "notes", &["read_note"]), json!({ "env": { "MY_PASS": "hunter22" } }));
    let text = json!({ "mcpServers": { "notes": one } }).to_string();
    let file = user.write_home(".cursor/mcp.json", &text);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let before = "# mine\nupstreams: {}\n";
    user.write("portcullis.yaml", before);
    user.run(&["import", "--write", "--yes"]).with_code(0);
    assert!(read_home(&user, ".cursor/mcp.json").contains("portcullis"));
    let kept: Vec<_> = files(&user.here)
        .into_iter()
        .filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains("hunter22")))
        .collect();
    assert!(kept.len() >= 2, "{kept:?}");
    for file in &kept {
        assert_eq!(
            std::fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{}",
            file.display()
        );
    }
    assert!(user.read(".portcullis/secrets/grant-cursor").len() > 20);
    assert!(user.read("portcullis.yaml").contains("token: \"${file:.portcullis/secrets/grant-cursor}\""));

    user.run(&["import", "--undo"]).with_code(0);
    assert_eq!(read_home(&user, ".cursor/mcp.json"), text);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    assert_eq!(user.read("portcullis.yaml"), before);
    let left: Vec<_> = files(&user.here)
        .into_iter()
        .filter(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains("hunter22")))
        .collect();
    assert!(left.is_empty() && !user.here.join(".portcullis/secrets/grant-cursor").exists(), "{left:?}");
}

#[test]
fn tools_that_a_client_has_off_stay_off() {
    let user = User::new();
    let tools = ["read_one", "read_two", "read_three"];
    let codex = entry(&user, "codex", &tools)["args"].to_string();
    user.write_home(
        ".codex/config.toml",
        &format!(
            "[mcp_servers.codex]\ncommand = \"python3\"\nargs = {codex}\nenabled_tools = [\"read_one\", \"read_two\"]\ndisabled_tools = [\"read_two\"]\n"
        ),
    );
    let entries = json!({ "mcpServers": {
        "in": with(entry(&user, "in", &tools), json!({ "includeTools": ["read_two"], "trust": true })),
        "ex": with(entry(&user, "ex", &tools), json!({ "excludeTools": ["read_two"] })),
    } });
    user.write_home(".gemini/settings.json", &entries.to_string());
    let entries = json!({ "mcpServers": {
        "wind": with(entry(&user, "wind", &tools), json!({ "disabledTools": ["read_one"], "alwaysAllow": ["read_one"] })),
        // The same server as one of Gemini's: what either has off stays off.
        "ex": with(entry(&user, "ex", &tools), json!({ "disabledTools": ["read_three"], "autoApprove": ["read_one"] })),
    } });
    user.write_home(".codeium/windsurf/mcp_config.json", &entries.to_string());
    let said = user.run(&["import", "--write", "--yes"]).with_code(0);
    for part in ["`trust` of in is not taken over", "`alwaysAllow` of wind", "`autoApprove` of ex"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    let gemini = json_of(&read_home(&user, ".gemini/settings.json"));
    assert_eq!(tools_seen(&user, &gemini["mcpServers"]["portcullis"]), ["ex__read_one", "in__read_two"]);
    let windsurf = json_of(&read_home(&user, ".codeium/windsurf/mcp_config.json"));
    assert_eq!(
        tools_seen(&user, &windsurf["mcpServers"]["portcullis"]),
        ["ex__read_one", "wind__read_three", "wind__read_two"]
    );
    let policy = user.read("policies/codex.yaml");
    assert!(policy.contains("read_one:") && !policy.contains("read_three:"), "{policy}");
    assert!(policy.contains("# Switched off in a client, and so denied: read_two, read_three"), "{policy}");
}

#[test]
fn a_policy_that_lets_more_pass_than_the_client_keeps_the_server_there() {
    let user = User::new();
    let one = entry(&user, "notes", &["read_one", "read_two"]);
    user.write_home(".cursor/mcp.json", &json!({ "mcpServers": { "notes": one } }).to_string());
    user.run(&["import", "--write", "--yes"]).with_code(0);
    let text =
        json!({ "mcpServers": { "notes": with(one, json!({ "disabledTools": ["read_two"] })) } }).to_string();
    user.write_home(".codeium/windsurf/mcp_config.json", &text);
    let said = user.run(&["import", "--write", "--yes"]).with_code(1);
    assert!(said.err.contains("has switched off what") && said.err.contains("read_two"), "{}", said.err);
    assert_eq!(read_home(&user, ".codeium/windsurf/mcp_config.json"), text);
}

#[test]
fn each_client_is_read_and_written_in_its_own_words() {
    let user = User::new();
    let words = |name: &str| entry(&user, name, &["read_note"]);
    let list = |name: &str| {
        let entry = words(name);
        let mut all = vec![entry["command"].clone()];
        all.extend(entry["args"].as_array().unwrap().clone());
        json!(all)
    };
    let (zed, old) = (words("zed"), words("zed-old"));
    user.write_home(
        ".config/zed/settings.json",
        &format!(
            "// mine\n{{\n  \"theme\": \"One\", // dark\n  \"context_servers\": {{\n    \"zed\": {zed},\n    \
             \"zed-old\": {{ \"source\": \"custom\", \"command\": {{ \"path\": \"python3\", \"args\": {} }} }},\n    \
             \"ext\": {{ \"source\": \"extension\", \"settings\": {{}} }},\n  }},\n}}\n",
            old["args"]
        ),
    );
    let opencode = json!({ "mcp": {
        "open": { "type": "local", "command": list("open"), "environment": { "A": "{env:HOME}" }, "enabled": true },
        "off": { "type": "local", "command": list("off"), "enabled": false },
    } });
    user.write_home(".config/opencode/opencode.json", &opencode.to_string());
    let wind =
        json!({ "mcpServers": { "wind": words("wind"), "far": { "serverUrl": "http://127.0.0.1:9/mcp" } } });
    user.write_home(".codeium/windsurf/mcp_config.json", &wind.to_string());
    let storage = ".config/Code/User/globalStorage";
    let cline = format!("{storage}/saoudrizwan.claude-dev/settings/cline_mcp_settings.json");
    let roo = format!("{storage}/rooveterinaryinc.roo-cline/settings/mcp_settings.json");
    let of = |name: &str| with(words(name), json!({ "disabled": false, "timeout": 60 }));
    let remote = json!({ "type": "streamableHttp", "url": "http://127.0.0.1:9/mcp2", "disabled": false });
    user.write_home(&cline, &json!({ "mcpServers": { "cline": of("cline"), "far2": remote } }).to_string());
    user.write_home(&roo, &json!({ "mcpServers": { "roo": of("roo") } }).to_string());
    user.write(".roo/mcp.json", &json!({ "mcpServers": { "near": words("near") } }).to_string());
    let goose = format!(
        "GOOSE_MODEL: m\nextensions:\n  developer: {{ type: builtin, enabled: true, name: developer }}\n  goose:\n    type: stdio\n    enabled: true\n    \
         cmd: python3\n    args: {}\n    envs: {{}}\n    available_tools: []\n",
        words("goose")["args"]
    );
    user.write_home(".config/goose/config.yaml", &goose);

    let said = user.run(&["import", "--write", "--yes", "--json"]).with_code(0);
    let found: Vec<(String, String, bool)> = said
        .lines()
        .iter()
        .map(|line| {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            (text("client"), text("name"), line["moved"] == true)
        })
        .collect();
    let mut expected: Vec<(String, String, bool)> = [
        ("Roo", "near", true),
        ("Windsurf", "wind", true),
        ("Windsurf", "far", false),
        ("Zed", "zed", true),
        ("Zed", "zed-old", true),
        ("Zed", "ext", false),
        ("Cline", "cline", true),
        ("Cline", "far2", false),
        ("Roo", "roo", true),
        ("opencode", "open", true),
        ("opencode", "off", false),
        ("Goose", "developer", false),
        ("Goose", "goose", false),
    ]
    .map(|(client, name, moved)| (client.to_owned(), name.to_owned(), moved))
    .to_vec();
    let mut sorted = found.clone();
    sorted.sort();
    expected.sort();
    assert_eq!(sorted, expected, "{}", said.err);

    let zed = read_home(&user, ".config/zed/settings.json");
    assert!(zed.starts_with("// mine\n{\n  \"theme\": \"One\", // dark\n"), "{zed}");
    assert!(
        zed.contains("\"ext\": { \"source\"")
            && zed.contains("\"source\":\"custom\"")
            && !zed.contains("server.py")
    );
    let opencode = json_of(&read_home(&user, ".config/opencode/opencode.json"));
    let gate = &opencode["mcp"]["portcullis"];
    assert_eq!(
        (&gate["type"], &gate["enabled"], &opencode["mcp"]["off"]["enabled"]),
        (&json!("local"), &json!(true), &json!(false))
    );
    let words = gate["command"].as_array().unwrap();
    let as_entry = json!({ "command": words[0], "args": words[1..] });
    assert_eq!(tools_seen(&user, &as_entry), ["open__read_note"]);
    for (file, kept) in [(cline.as_str(), "far2"), (".codeium/windsurf/mcp_config.json", "far")] {
        let now = json_of(&read_home(&user, file));
        assert!(now["mcpServers"][kept].is_object() && now["mcpServers"]["portcullis"].is_object(), "{now}");
    }
    let now = json_of(&read_home(&user, &roo));
    assert_eq!(tools_seen(&user, &now["mcpServers"]["portcullis"]), ["near__read_note", "roo__read_note"]);
    // What would lose its comments is told what to paste, and its grant is there.
    assert_eq!(read_home(&user, ".config/goose/config.yaml"), goose);
    assert!(
        said.err.contains("    type: stdio\n") && said.err.contains("\"--grant\",\"goose\""),
        "{}",
        said.err
    );
    assert!(user.read("portcullis.yaml").contains("  goose:\n    token:"));
}

#[test]
fn a_folder_for_configurations_may_be_elsewhere() {
    let user = User::new();
    let folder = user.home.join("elsewhere");
    user.write_home(
        "elsewhere/opencode/opencode.json",
        r#"{ "mcp": { "far": { "type": "local", "command": ["./far"] } } }"#,
    );
    let variables = [("XDG_CONFIG_HOME", folder.to_str().unwrap())];
    let said = user.run_with(&["import", "--json"], &variables).with_code(0);
    let line = said.lines().remove(0);
    assert_eq!((&line["client"], &line["imported_as"]), (&json!("opencode"), &json!("far")), "{line}");
    // It is the user's own, and of no project.
    let config = user.read("portcullis.yaml");
    assert!(config.contains("command: \"./far\"") && !config.contains("cwd"), "{config}");
}

#[test]
fn passwords_of_any_name_stand_in_files_of_their_own() {
    let user = User::new();
    let names =
        ["MY_PASS", "PASSWD", "GPG_PASSPHRASE", "CREDENTIALS", "SECRET_OF_MINE", "DB_PASS", "DBPASSWORD"];
    let env: serde_json::Map<String, Value> = names
        .iter()
        .enumerate()
        .map(|(at, name)| ((*name).to_owned(), json!(format!("clear-{at}"))))
        .collect();
    let one = with(entry(&user, "notes", &["read_note"]), json!({ "env": env }));
    user.write_home(".cursor/mcp.json", &json!({ "mcpServers": { "notes": one } }).to_string());
    user.run(&["import"]).with_code(0);
    let config = user.read("portcullis.yaml");
    assert!(!config.contains("clear-"), "{config}");
    assert_eq!(user.read(".portcullis/secrets/notes-my-pass"), "clear-0");
}
