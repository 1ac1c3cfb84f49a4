//! Policies that PolicyLayer publishes load byte for byte.

use std::path::Path;

use portcullis_policy::{Judgement, Mode, Policy, Target, Window};

use crate::plain;

#[test]
fn every_published_policy_loads_and_limits_its_one_tool() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut loaded = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let tool = path.file_stem().unwrap().to_str().unwrap();
        let policy = Policy::parse(name, &std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(policy.warnings().is_empty());
        assert_eq!(policy.digest().len(), 64);
        let Judgement::Allow(due) = policy.judge(&plain(tool, "{}")) else { panic!("{tool} was denied") };
        let limits: Vec<_> = due.iter().collect();
        let [(limit, amount)] = limits.as_slice() else { panic!("{tool}: {limits:?}") };
        assert_eq!(limit.counter, format!("{}_rate", tool.to_lowercase()));
        assert_eq!(
            (limit.window, limit.max.to_string(), amount.to_string()),
            (Window::Minute, "10".into(), "1".into())
        );
        assert!(!policy.visible(&Target::named("another"), Mode::Enforced));
        loaded += 1;
    }
    assert_eq!(loaded, 4);
}

#[test]
fn the_digest_is_the_sha_256_of_the_bytes() {
    let policy = Policy::parse("p.json", r#"{"version":"1","default":"deny"}"#).unwrap();
    assert_eq!(policy.digest(), "aeaf06700126854b9186966605af6bd20042ae56be7753f94096266dbcf2d4f3");
}
