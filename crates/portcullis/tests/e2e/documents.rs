//! What the documentation shows works: examples start, commands exist.

use crate::house::House;
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
        if !matches!(words.first(), Some(&("grant" | "policy" | "ledger"))) {
            words.truncate(1);
        }
        let (code, out, err) = house.run(&[&words[..], &["--help"]].concat());
        assert!(code == 0 && out.contains("Usage: portcullis"), "`portcullis {command}`: {err}");
    }
}
