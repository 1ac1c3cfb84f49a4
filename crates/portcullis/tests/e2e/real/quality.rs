//! What is counted in definitions, held against the published implementation, on real servers.

use super::part;
use crate::house::House;
use serde_json::{Map, Value, json};

/// Servers, with what each of them wants in its environment, and as its arguments, to start at all.
const SERVERS: [(&str, &str, &str); 9] = [
    ("portkey-admin-mcp", "PORTKEY_API_KEY=none", ""),
    ("mcp-server-github", "GITHUB_PERSONAL_ACCESS_TOKEN=none", ""),
    ("chrome-devtools-mcp", "CI=1", ""),
    ("playwright-mcp", "CI=1", ""),
    ("notion-mcp-server", "NOTION_TOKEN=none", ""),
    ("mcp-server-everything", "CI=1", ""),
    ("mcp-server-filesystem", "CI=1", "/tmp"),
    ("mcp-server-memory", "CI=1", ""),
    ("node-server-orchestrator", "CI=1", "mcp"),
];
/// Definitions that have to be compared at least.
const ENOUGH: usize = 300;

/// `paramsWithEnums` as `params_with_enums`.
fn snake(value: &Value) -> Value {
    let name = |name: &str| {
        name.chars().fold(String::new(), |mut out, letter| {
            if letter.is_uppercase() {
                out.push('_');
            }
            out.extend(letter.to_lowercase());
            out
        })
    };
    match value {
        Value::Object(members) => {
            members.iter().map(|(key, value)| (name(key), snake(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// The tools of all pages among what a server said.
fn tools(said: &str) -> Value {
    let lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let tools = lines.filter_map(|line| line.pointer("/result/tools")?.as_array().cloned());
    json!({ "tools": tools.flatten().collect::<Vec<_>>() })
}

#[test]
fn what_is_counted_is_what_the_published_implementation_counts() {
    let house = House::empty();
    let oracle = part("venv/bin/tdqs");
    let (mut compared, mut alarms) = (0, Vec::new());
    for (server, variable, arguments) in SERVERS {
        let program = part(&format!("npm/node_modules/.bin/{server}"));
        // What it says is kept on its way: the other side is to have the same bytes, and its own client drops members.
        let said = house.folder.path().join(format!("{server}.said"));
        let line = format!("{variable} {} {arguments} | tee {}", program.display(), said.display());
        let (code, out, err) = house.run(&["scan", "--json", "--", "sh", "-c", &line]);
        assert_eq!(code, 0, "{server}: {out}{err}");
        let ours: Value = serde_json::from_str(&out).unwrap();
        let ours = &ours["servers"][0];
        let list = house.folder.path().join(format!("{server}.json"));
        std::fs::write(&list, tools(&std::fs::read_to_string(said).unwrap()).to_string()).unwrap();
        let mut ask = std::process::Command::new(&oracle);
        ask.args(["lint", "--fail-on", "never", "--format", "json", "--file"]).arg(&list);
        let answer = ask.output().unwrap();
        assert!(answer.status.success(), "{server}: {}", String::from_utf8_lossy(&answer.stderr));
        let theirs: Value = serde_json::from_slice(&answer.stdout).unwrap();
        let tools = ours["tools"].as_array().unwrap();
        assert_eq!(tools.len(), theirs["tools"].as_array().unwrap().len(), "{server}");
        for (our, their) in tools.iter().zip(theirs["tools"].as_array().unwrap()) {
            assert_eq!(our["name"], their["name"], "{server}");
            assert_eq!(our["quality"]["facts"], snake(&their["contextSignals"]), "{server}: {}", our["name"]);
            let flags: Vec<&str> = our["quality"]["flags"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|flag| match flag.as_str().unwrap() {
                    "no_description" => Some("No Description"),
                    "tautological_description" => Some("Tautological Description"),
                    // A model finds that one there.
                    _ => None,
                })
                .collect();
            assert_eq!(Value::from(flags), their["flags"], "{server}: {}", our["name"]);
            if our["findings"].as_array().is_some_and(|found| !found.is_empty()) {
                alarms.push(format!("{server} {}: {}", our["name"], our["findings"]));
            }
            compared += 1;
        }
        let shadows: Vec<Value> = theirs["shadowCandidates"].as_array().unwrap().iter().map(snake).collect();
        assert_eq!(ours["quality"]["shadows"], Value::from(shadows), "{server}");
    }
    assert!(compared >= ENOUGH, "{compared} definitions were compared");
    // All of them are meant well.
    assert!(100 * alarms.len() <= compared, "{} false alarms in {compared}: {alarms:#?}", alarms.len());
}
