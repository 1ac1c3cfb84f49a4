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
