//! Typical mistakes and what is said to them. Each file in `tests/mistakes` is one policy with a mistake; its snapshot is
//! the message.

use std::path::Path;

use portcullis_document::Colours;
use portcullis_policy::Policy;

#[test]
fn every_mistake_is_told_with_its_place_and_what_to_do() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 20);
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let Err(problems) = Policy::parse(name, &text) else { panic!("{name} was read") };
        insta::assert_snapshot!(name, problems.render(100, Colours::Never));
    }
}

#[test]
fn a_tool_both_hidden_and_ruled_is_a_warning() {
    let policy =
        Policy::parse("p.yaml", "version: \"1\"\ndefault: deny\nhide: [t]\ntools: { t: {} }").unwrap();
    insta::assert_snapshot!(policy.warnings());
}
