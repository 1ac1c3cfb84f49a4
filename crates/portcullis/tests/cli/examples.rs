//! The policies among the examples: they fit the tools that they are for, stop what is tried on them, and let pass what should.

use crate::User;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// The files in the folder of policies that end so, without the ending.
fn files(ending: &str) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(Path::new(ROOT).join("examples/policies")).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths
        .filter_map(|path| Some(PathBuf::from(path.to_str()?.strip_suffix(ending)?)))
        .filter(|path| !path.to_string_lossy().ends_with(".cases"))
        .collect();
    found.sort();
    found
}

fn with(path: &Path, ending: &str) -> String {
    format!("{}{ending}", path.display())
}

fn tried() -> Value {
    let folder = format!("{ROOT}/examples/policies");
    let said = User::new().run(&["policy", "test", &folder, "--json"]).with_code(0);
    said.lines().remove(0)
}

#[test]
fn no_attack_on_the_examples_passes_and_no_twin_is_blocked() {
    let said = tried();
    let attacks = &said["attacks"];
    assert_eq!((&said["failed"], &said["failures"]), (&json!(0), &json!([])));
    assert_eq!((&attacks["passed_silently"], &attacks["twins_blocked"]), (&json!(0), &json!(0)));
    let count = |key: &str| attacks[key].as_u64().unwrap();
    assert!(count("tried") >= 60 && count("twins") >= 60, "{attacks}");
    assert!(attacks["classes"].as_object().unwrap().len() >= 13, "{attacks}");
}

/// What a policy stops says little without what it has to let pass.
#[test]
fn every_attack_on_the_examples_has_a_twin_and_its_class_is_on_the_page() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/policy-cookbook.md")).unwrap();
    for path in files(".cases.yaml") {
        let text = std::fs::read_to_string(with(&path, ".cases.yaml")).unwrap();
        for line in text.lines().filter(|line| line.contains(", attack: ")) {
            assert!(line.contains(", twin: "), "{}: {line}", path.display());
        }
    }
    let shown: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| ") && line.matches('|').count() == 5)
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let shown: Vec<String> =
        shown.iter().skip(1).map(|row| format!("{}: {}, {}", row[1], row[2], row[3])).collect();
    let said = tried();
    let of = |sum: &Value| format!("{}, {}", sum["tried"], sum["twins"]);
    let classes = said["attacks"]["classes"].as_object().unwrap();
    let mut expected: Vec<String> =
        classes.iter().map(|(class, sum)| format!("{class}: {}", of(sum))).collect();
    expected.push(format!("all: {}", of(&said["attacks"])));
    assert_eq!(shown, expected);
}

/// The page names tests that run through the gate; they are there.
#[test]
fn every_test_that_the_page_names_is_there() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/policy-cookbook.md")).unwrap();
    let named: Vec<(&str, &str)> =
        page.split('`').skip(1).step_by(2).filter_map(|words| words.split_once("::")).collect();
    assert!(named.len() >= 10, "{named:?}");
    for (file, test) in named {
        let text = std::fs::read_to_string(format!("{ROOT}/crates/portcullis/tests/e2e/{file}.rs")).unwrap();
        assert!(text.contains(&format!("fn {test}(")), "{file}::{test}");
    }
}

#[test]
fn every_example_is_without_a_mistake_and_fits_its_tools() {
    let user = User::new();
    let mut fitted = 0;
    for path in files(".yaml") {
        let policy = with(&path, ".yaml");
        let name = path.file_name().unwrap().to_str().unwrap();
        let tools = match name {
            "careful" | "reader" => with(&path.with_file_name("filesystem"), ".tools.json"),
            _ => with(&path, ".tools.json"),
        };
        let mut arguments = vec!["policy", "check", &policy];
        if Path::new(&tools).exists() {
            arguments.extend(["--against", &tools]);
            fitted += 1;
        }
        let said = user.run(&arguments).with_code(0);
        assert_eq!((said.err.as_str(), said.out.ends_with(": ok\n")), ("", true), "{policy}");
    }
    assert!(fitted >= 10 && files(".tools.json").len() == files(".cases.yaml").len(), "{fitted}");
}
