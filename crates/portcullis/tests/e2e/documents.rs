//! What the documentation shows works: examples start, commands exist.

use crate::house::{ALLOW_ALL, House, Plan, fixture, fixture_http};
use serde_json::{Value, json};
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Nothing outside of this machine is called by a test: addresses and package runners stand for themselves.
fn keep_at_home(config: &Path) {
    let text = std::fs::read_to_string(config).unwrap();
    let lines = text.lines().map(|line| match line.find("https://") {
        Some(at) if !line.trim_start().starts_with('#') => {
            let end = line[at..].find(['"', ' ', '}']).map_or(line.len(), |end| at + end);
            format!("{}http://127.0.0.1:9/mcp{}\n", &line[..at], &line[end..])
        }
        _ => format!("{}\n", line.replace("command: npx", "command: \"false\"")),
    });
    std::fs::write(config, lines.collect::<String>()).unwrap();
}

#[tokio::test]
async fn every_example_starts_as_it_is_and_its_policies_are_in_force() {
    let mut house = House::empty();
    copy(&Path::new(ROOT).join("examples"), house.folder.path());
    let mut tried = 0;
    for entry in std::fs::read_dir(house.folder.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with(".yaml") {
            continue;
        }
        keep_at_home(&house.folder.path().join(&name));
        house.up_with(&["up", "--config", &name, "--listen", "127.0.0.1:0"]);
        let (code, out, err) = house.run(&["status", "--config", &name, "--json"]);
        assert_eq!(code, 0, "{name}: {err}");
        let status: serde_json::Value = serde_json::from_str(&out).unwrap();
        for policy in status["policies"].as_array().unwrap() {
            assert_eq!(policy["loaded"], serde_json::json!(true), "{name}: {policy}");
        }
        house.gate = None;
        tried += 1;
    }
    assert!(tried >= 3, "{tried}");
}

#[tokio::test]
async fn every_command_that_the_pages_show_exists() {
    let house = House::empty();
    let mut pages: Vec<_> =
        std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.push(Path::new(ROOT).join("README.md"));
    let mut shown = std::collections::BTreeSet::new();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|ending| ending == "md")) {
        for line in std::fs::read_to_string(page).unwrap().lines() {
            let command = line.trim_start().strip_prefix("$ ").unwrap_or_default();
            let Some(command) = command.strip_prefix("portcullis ") else { continue };
            let words =
                command.split_whitespace().take_while(|word| word.bytes().all(|b| b.is_ascii_lowercase()));
            shown.insert(words.take(2).collect::<Vec<_>>().join(" "));
        }
    }
    assert!(shown.len() >= 8, "{shown:?}");
    for command in shown {
        let mut words: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
        // A second word may be an argument, such as a shell's or a grant's name.
        if !matches!(words.first(), Some(&("grant" | "policy" | "ledger" | "runs" | "catalogue"))) {
            words.truncate(1);
        }
        let (code, out, err) = house.run(&[&words[..], &["--help"]].concat());
        assert!(code == 0 && out.contains("Usage: portcullis"), "`portcullis {command}`: {err}");
    }
}

/// A fenced block of a page.
struct Block {
    page: String,
    language: String,
    text: String,
}

fn blocks() -> Vec<Block> {
    let root = Path::new(ROOT);
    let pages = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for page in pages.chain([root.join("README.md"), root.join("fixture/README.md")]) {
        if page.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let (name, text) =
            (page.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&page).unwrap());
        for block in format!("\n{text}").split("\n```").skip(1).step_by(2) {
            let (language, text) = block.split_once('\n').unwrap();
            found.push(Block { page: name.clone(), language: language.to_owned(), text: text.to_owned() });
        }
    }
    found
}

/// The blocks of a page in one language.
pub fn of(page: &str, language: &str) -> Vec<String> {
    let all = blocks().into_iter().filter(|block| block.page == page && block.language == language);
    all.map(|block| block.text).collect()
}

fn json_of(page: &str) -> Vec<Value> {
    of(page, "json")
        .iter()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
        .collect()
}

/// Every block is run, read or compared by a test, or stands here with the reason why it cannot be.
#[test]
fn no_block_of_a_page_goes_untried() {
    for Block { page, language, text } in blocks() {
        let first = text.lines().next().unwrap_or_default();
        let tried = match (&*page, &*language) {
            // `every_policy_in_the_documentation_loads`, beside the language.
            (
                "policy.md" | "approvals.md" | "policy-tools.md" | "policy-cookbook.md" | "first-policy.md",
                "yaml policy" | "json policy",
            ) => true,
            // `policy_tools`, beside the commands.
            ("policy-tools.md", "yaml" | "console") => true,
            // `walks::a_first_policy_ends_where_its_page_says`.
            ("first-policy.md", "yaml" | "console") => true,
            // `approvals::the_page_shows_what_comes`, and `unseen` for what is not shown.
            ("approvals.md", "console" | "json") => true,
            // The tests below compare each with what the gate answers.
            ("decision.md" | "protocol.md", "json") | ("decision.md", "text") => true,
            // `what_a_page_configures_starts` and `the_quick_start_ends_where_it_says`.
            ("configuration.md" | "quick-start.md", "yaml") => true,
            // `services::the_page_shows_what_comes`.
            ("services.md", "yaml" | "json") => true,
            // Entries for clients that are not ours: they are read, and their addresses and commands compared.
            ("quick-start.md", "json" | "toml") => true,
            // `every_command_that_the_pages_show_exists`, and the walks through both pages.
            ("quick-start.md" | "operating.md" | "stopping.md", "console") => true,
            // `untrusted::a_record_cut_by_somebody_else_is_told_from_one_that_retention_cut`.
            ("operating.md", "text") => true,
            // `the_page_on_stopping_shows_what_comes` too.
            ("stopping.md", "json") => true,
            // The suite installs hundreds of packages and runs for minutes; the release check runs it.
            ("protocol.md" | "conformance.md", "console") => text.contains("ci/through-gate"),
            // `pins::the_page_shows_what_comes`.
            ("catalogue.md", "console") => true,
            // `scan::the_page_shows_what_comes`.
            ("scan.md", "console") => true,
            // It builds the gate from its sources and measures for minutes; `./check long` runs it.
            ("benchmark.md", "console") => {
                text.contains("portcullis-bench run") || text.contains("bench/policy/Cargo.toml")
            }
            // The same, for more than an hour; `./check` runs its quick form.
            ("stop-bed.md", "console") => text.contains("ci/stop-bed"),
            // Both build the gate from its sources, which is what runs this test; what is printed is compared
            // by `the_first_words_of_the_gate_are_those_of_the_pages`.
            ("README.md", "console" | "text") => true,
            _ => false,
        };
        assert!(tried, "{page}: nothing tries the {language} block `{first}`");
    }
}

/// Takes out what differs from call to call.
fn steady(mut answer: Value) -> Value {
    for place in ["/result/_meta/portcullis~1decision", "/error/data/portcullis~1decision"] {
        if let Some(decision) = answer.pointer_mut(place) {
            assert!(decision["ledger"].as_u64().is_some_and(|row| row > 0), "{decision}");
            decision["ledger"] = json!(0);
        }
    }
    answer
}

#[tokio::test]
async fn a_denied_agent_sees_what_the_page_shows() {
    let shown = json_of("decision.md");
    assert_eq!(shown.len(), 3);
    let of_ours =
        |it: &Value| steady(serde_json::from_str(&it.to_string().replace("move_file", "echo")).unwrap());
    let (house, _server) = House::fixture("version: \"1\"\ndefault: deny\n", &[]);
    let session = house.session("/mcp/fix").await;
    assert_eq!(steady(session.call(3, "echo", json!({})).await), of_ours(&shown[0]));
    let (denied, _) = session.ask(4, "prompts/get", json!({"name": "test_simple_prompt"})).await;
    assert_eq!(steady(denied), of_ours(&shown[1]));
    assert_eq!(session.call(1, "drop_database", json!({})).await, shown[2], "unknown");
    let limit = "tools: { echo: { limits: [{ counter: changes, window: minute, max: 30, scope: grant }] } }";
    let (house, _server) = House::fixture(
        &format!("version: \"1\"\ndefault: allow\nhide: [drop_database, delay]\n{limit}\n"),
        &[],
    );
    let session = house.session("/mcp/fix").await;
    let hidden = session.call(1, "delay", json!({})).await.to_string().replace("delay", "drop_database");
    assert_eq!(serde_json::from_str::<Value>(&hidden).unwrap(), shown[2]);
    let said = of("decision.md", "text").pop().unwrap();
    let (before_time, _) = said.trim().split_once("2026").unwrap();
    // A minute that turns in the middle gives thirty more.
    let denied = loop {
        let answer = session.call(2, "echo", json!({"message": "x"})).await;
        if answer["result"]["isError"] == json!(true) {
            break answer;
        }
    };
    let text = crate::house::text(&denied);
    assert!(text.starts_with(before_time) && text.len() == said.trim().len(), "{text}");
    assert!(denied["result"]["_meta"]["portcullis/decision"]["retryAfterMs"].as_u64().is_some(), "{denied}");
}

#[tokio::test]
async fn lists_name_tools_and_servers_that_are_down_as_the_page_shows() {
    let [_, shown @ ..] = &json_of("protocol.md")[..] else { panic!("other blocks than this test knows") };
    assert_eq!(shown.len(), 2);
    let upstreams = format!(
        "  pm: {{ command: \"{}\", args: [stdio, --extra] }}\n  web: {{ url: \"http://127.0.0.1:9/mcp\" }}",
        fixture().display()
    );
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let session = house.session("/mcp").await;
    let (list, _) = session.ask(1, "tools/list", json!({})).await;
    let tools = list["result"]["tools"].as_array().unwrap();
    let tool = tools.iter().find(|tool| tool["name"] == shown[0]["name"]).unwrap();
    for (member, value) in shown[0].as_object().unwrap() {
        assert_eq!(tool[member], *value, "{tool}");
    }
    let (down, as_shown) =
        (&list["result"]["_meta"]["portcullis/upstreams"], &shown[1]["_meta"]["portcullis/upstreams"]);
    assert_eq!(down.as_array().unwrap().len(), 1, "{down}");
    assert_eq!((&down[0]["name"], &down[0]["state"]), (&as_shown[0]["name"], &as_shown[0]["state"]));
    let beginning = as_shown[0]["reason"].as_str().unwrap().trim_end_matches('…');
    assert!(down[0]["reason"].as_str().unwrap().starts_with(beginning), "{down}");
}

#[tokio::test]
async fn tasks_name_their_server_and_servers_that_are_silent_as_the_page_shows() {
    let shown = &json_of("protocol.md")[0];
    let (mut server, url) = fixture_http(&[]);
    let upstreams = format!("  web: {{ url: \"{url}\" }}");
    let house = House::build(&Plan { upstreams: &upstreams, policy: ALLOW_ALL, more: "" });
    let session = house.session("/mcp").await;
    let arguments = json!({ "name": "web__slow_compute", "arguments": { "seconds": 600 }, "task": {} });
    session.ask(1, "tools/call", arguments).await;
    server.kill();
    let list = session.ask(2, "tasks/list", json!({})).await.0["result"].take();
    let task = &shown["tasks"][0];
    assert!(list["tasks"][0]["taskId"].as_str().unwrap().starts_with("t_"), "{list}");
    for member in ["status", "_meta"] {
        assert_eq!(list["tasks"][0][member], task[member], "{list}");
    }
    let (silent, as_shown) =
        (&list["_meta"]["portcullis/upstreams"][0], &shown["_meta"]["portcullis/upstreams"][0]);
    assert_eq!((&silent["name"], &silent["state"]), (&as_shown["name"], &as_shown["state"]), "{list}");
    assert!(silent["reason"].is_string() && as_shown["reason"].is_string(), "{list}");
}

#[test]
fn what_a_page_configures_starts() {
    let texts = of("configuration.md", "yaml");
    assert_eq!(texts.len(), 3);
    for text in texts {
        let mut house = House::empty();
        let folder = house.folder.path().to_owned();
        // What the excerpts name and do not show.
        std::fs::create_dir_all(folder.join("policies")).unwrap();
        std::fs::create_dir_all(folder.join("secrets")).unwrap();
        std::fs::write(folder.join("secrets/notes-key"), "not-a-real-key").unwrap();
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::fs::write(folder.join("bin/notes-server"), "#!/bin/sh\nexec cat >/dev/null\n").unwrap();
        for name in ["careful", "github"] {
            std::fs::write(folder.join(format!("policies/{name}.yaml")), ALLOW_ALL).unwrap();
        }
        let mut config = text.clone();
        if !config.contains("policies:") {
            config.push_str("\npolicies: { careful: policies/careful.yaml, github: policies/github.yaml }\n");
        }
        if !config.contains("upstreams:\n") {
            config.push_str("upstreams: { github: { url: \"http://127.0.0.1:9/mcp\" } }\n");
        }
        std::fs::write(
            folder.join("portcullis.yaml"),
            config.replace("${env:CI_TOKEN}", "${env:TEST_TOKEN}"),
        )
        .unwrap();
        keep_at_home(&folder.join("portcullis.yaml"));
        house.up_with(&["up", "--listen", "127.0.0.1:0"]);
        let status: Value = serde_json::from_str(&house.run(&["status", "--json"]).1).unwrap();
        let upstreams = status["upstreams"].as_array().unwrap();
        assert!(
            !upstreams.is_empty() && upstreams.iter().all(|it| text.contains(it["name"].as_str().unwrap())),
            "{status}"
        );
        assert!(
            status["policies"].as_array().unwrap().iter().all(|it| it["loaded"] == json!(true)),
            "{status}"
        );
    }
}

#[test]
fn entries_for_other_clients_say_what_the_gate_offers() {
    let [http, stdio] = &json_of("quick-start.md")[..] else { panic!("two entries") };
    let http = &http["mcpServers"]["portcullis"];
    assert_eq!((&http["type"], &http["url"]), (&json!("http"), &json!("http://127.0.0.1:7420/mcp")));
    assert!(http["headers"]["Authorization"].as_str().unwrap().starts_with("Bearer pcl_"));
    let words: Vec<&str> = stdio["mcpServers"]["portcullis"]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it.as_str().unwrap())
        .collect();
    let (code, help, _) = House::empty().run(&["stdio", "--help"]);
    assert!(code == 0 && words[0] == "stdio");
    assert!(words.iter().filter(|word| word.starts_with("--")).all(|option| help.contains(option)), "{help}");
    let toml = of("quick-start.md", "toml");
    let codex: toml::Table = toml::from_str(&toml[0]).unwrap();
    assert_eq!(codex["mcp_servers"]["portcullis"]["url"].as_str(), Some("http://127.0.0.1:7420/mcp"));
    assert_eq!(codex["mcp_servers"]["portcullis"]["bearer_token_env_var"].as_str(), Some("PORTCULLIS_TOKEN"));
}
