//! `portcullis doctor`.

use crate::User;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

const CONFIG: &str = "\
upstreams:
  shell: { command: sh, args: [\"-c\", \"cat\"] }
  web: { url: \"https://mcp.example/mcp?key=1\" }
policies:
  careful: careful.yaml
";

fn user(config: &str) -> User {
    let user = User::new();
    user.write("portcullis.yaml", config);
    user.write("careful.yaml", "version: \"1\"\ndefault: deny\n");
    std::fs::DirBuilder::new().mode(0o700).create(user.here.join(".portcullis")).unwrap();
    user
}

/// The text without what the machine decides.
fn steady(user: &User, text: &str) -> String {
    let machine = ["disk space:", "open files:", "separation:"];
    let advice = ["make room", "ulimit", "user of its own", "you do not trust"];
    let own = |line: &&str| !machine.iter().chain(&advice).any(|words| line.contains(words));
    user.plain(text).lines().filter(own).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_good_folder_without_a_running_gate_gets_ok_and_one_hint() {
    let user = user(CONFIG);
    let said = user.run(&["doctor"]).with_code(0);
    insta::assert_snapshot!("a-good-folder", steady(&user, &said.out));
    assert!(said.out.contains("separation: "), "{}", said.out);
    assert!(!said.out.contains("key=1"), "{}", said.out);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let user = user(
        "listen: 0.0.0.0:7420\nupstreams:\n  gone: { command: no-such-program-here }\npolicies:\n  careful: careful.yaml\n  missing: missing.yaml\n",
    );
    user.write("careful.yaml", "version: \"1\"\ndefault: maybe\n");
    let data = user.here.join(".portcullis");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let said = user.run(&["doctor"]).with_code(1);
    insta::assert_snapshot!("all-that-is-wrong", steady(&user, &said.out));
}

#[test]
fn a_configuration_with_mistakes_shows_them_all() {
    let user = user("lisen: x\nupstreams: 3\n");
    let said = user.run(&["doctor"]).with_code(1);
    assert!(
        said.out.contains("did you mean `listen`?") && said.out.contains("expected a map"),
        "{}",
        said.out
    );
}

#[test]
fn scripts_get_one_object_a_line() {
    let said = user(CONFIG).run(&["doctor", "--json"]).with_code(0);
    let lines = said.lines();
    assert!(lines.len() > 8);
    for line in lines {
        let mut keys: Vec<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["advice", "check", "found", "state"]);
        assert!(["ok", "warn", "fail"].contains(&line["state"].as_str().unwrap()), "{line}");
    }
}

#[test]
fn an_empty_folder_is_no_failure() {
    let said = User::new().run(&["doctor"]).with_code(0);
    assert!(said.out.contains("`portcullis up` makes one"), "{}", said.out);
}

#[test]
fn folders_that_are_not_there_are_named() {
    let user = user(
        "upstreams:\n  files: { command: sh, args: [-c, cat, ./no-such-folder] }\n  services: { builtin: services, config: services.yaml }\npolicies: { careful: careful.yaml }\n",
    );
    user.write("services.yaml", "services: { web: { command: sleep 1, cwd: no-web-here } }\n");
    let said = user.run(&["doctor"]);
    for words in ["./no-such-folder", "no-web-here of web"] {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
}
