//! What the reader of `portcullis.yaml` says.

use crate::User;

/// What `up` says of a configuration that it does not take.
fn refused(text: &str) -> String {
    let user = User::new();
    user.write("portcullis.yaml", text);
    user.run(&["up"]).with_code(2).err
}

#[test]
fn one_fault_is_told_once() {
    for (text, fault) in [
        ("limits: { sessions_per_grant: \"64\" }\n", "expected a number, found the text \"64\""),
        ("limits: { calls: 1.5 }\n", "expected a whole number above 0, found the number 1.5"),
        ("limits: { message: 100 }\n", "expected a size of at least 1KiB such as 16MiB, found `100`"),
        ("listen: 7420\n", "expected an address and port, found 7420"),
        ("listen: \"7420\"\n", "help: write `127.0.0.1:7420`"),
        ("limits: { call: 300 }\n", "expected a duration with its unit, found 300"),
        ("limits: { call: \"300\" }\n", "help: write `300s` for seconds"),
        ("ledger: { retain: 90 }\n", "there are `ms`, `m`, `h` and `d`, too"),
        ("upstreams: { hosts: { builtin: ssh } }\n", "this built-in server is not part of this version"),
    ] {
        let said = refused(text);
        assert!(said.contains(fault), "{said}");
        assert_eq!(said.matches("portcullis.yaml:").count(), 1, "{said}");
    }
}

#[test]
fn a_size_may_be_a_plain_number_of_bytes() {
    let user = User::new();
    user.write("portcullis.yaml", "limits: { message: 4096 }\n");
    let said = user.run(&["doctor", "--json"]);
    let line = said.lines().into_iter().find(|line| line["check"] == "configuration").unwrap();
    assert_ne!(line["state"], "fail", "{line}");
}
