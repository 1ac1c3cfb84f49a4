//! Any text as the address of a resource: what rules allow lies in the folder that they name, however often it is decoded.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_policy::{Call, Facts, Judgement, Kind, Policy, Target};

static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let policy = r#"{"version":"2","default":"deny","resources":{"file:///srv/*":{},
        "file:///srv/secrets/*":{"deny_if":[{"conditions":[]}]}}}"#;
    Policy::parse("resources.json", policy).expect("is a policy")
});

/// The names of the place that a server makes of an address when it decodes it once: lenient wherever servers are.
fn place(address: &str) -> Vec<String> {
    let mut bytes = Vec::new();
    let mut rest = address.as_bytes();
    while let [first, behind @ ..] = rest {
        let escape = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match escape.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    let decoded = String::from_utf8_lossy(&bytes).into_owned();
    let mut names: Vec<String> = Vec::new();
    for name in decoded.trim_start_matches("file://").split(['/', '\\']) {
        match name {
            ".." => drop(names.pop()),
            name if name.trim_end_matches(['.', ' ']).is_empty() => {}
            name => names.push(name.trim_end_matches(['.', ' ']).to_owned()),
        }
    }
    names
}

fuzz_target!(|text: &str| {
    for address in [text.to_owned(), format!("file:///srv/{text}")] {
        let tool = Target { kind: Kind::Resource, name: &address, ..Target::default() };
        let call = Call::<&str> { tool, arguments: "{}", properties: &[], facts: Facts::default() };
        let judgement = POLICY.judge(&call);
        assert_eq!(POLICY.explain(&call).rule.is_empty(), matches!(judgement, Judgement::Allow(_)));
        if matches!(judgement, Judgement::Allow(_)) {
            let names = place(&address);
            assert!(names.is_empty() || names[0] == "srv", "{address:?}");
            assert!(names.len() < 3 || names[1] != "secrets", "{address:?}");
        }
    }
});
