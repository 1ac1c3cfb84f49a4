use super::*;
use crate::definition::{Probe, Ready};
use portcullis_document::Document;

/// The processes of a text by their names, and the warnings.
fn read_in(folder: &Path, text: &str) -> (BTreeMap<String, Definition>, String) {
    let document = Document::read("process-compose.yaml", text).unwrap();
    let environment = |name: &str| match name {
        "OUTSIDE" => Some("out".to_owned()),
        "BOTH" => Some("gate".to_owned()),
        _ => None,
    };
    let imported = read(document.root(), folder, &environment).unwrap();
    let all = imported.definitions.into_iter().map(|it| (it.id.to_string(), it)).collect();
    (all, imported.warnings.join("\n"))
}

fn read_text(text: &str) -> (BTreeMap<String, Definition>, String) {
    read_in(Path::new("/no/such/folder"), text)
}

fn value(definition: &Definition, name: &str) -> Option<String> {
    definition.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

#[test]
fn variables_come_from_all_places_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join(".env"), "FROM_ENV='e'\nBOTH=file\nWAIT=7\n").unwrap();
    std::fs::write(folder.path().join("sub/own.env"), "A=own_file\nB=$OUTSIDE\n").unwrap();
    let (all, said) = read_in(
        folder.path(),
        "environment: { A: 1, G: \"${OUTSIDE}\" }\nprocesses:\n  \
         a:\n    command: \"run ${FROM_ENV} ${BOTH} $$A $A ${NONE:-d}\"\n    working_dir: sub\n    env_file: own.env\n    \
         environment: [\"C=x=y\"]\n    availability: { restart: always, backoff_seconds: \"${WAIT}\" }\n  \
         b: { command: x, environment: { A: true }, is_dotenv_disabled: true }\n",
    );
    assert_eq!(said, "");
    let (a, b) = (&all["a"], &all["b"]);
    assert_eq!(a.command, ["sh", "-c", "run e file $A $A d"]);
    assert_eq!(a.cwd, folder.path().join("sub"));
    assert_eq!(a.restart.backoff, Duration::from_secs(7));
    for (of, name, expected) in [
        (a, "A", Some("own_file")),
        (a, "B", Some("out")),
        (a, "C", Some("x=y")),
        (a, "G", Some("out")),
        (a, "FROM_ENV", Some("e")),
        (a, "BOTH", Some("gate")),
        (a, "PC_PROC_NAME", Some("a")),
        (b, "A", Some("true")),
        (b, "FROM_ENV", None),
    ] {
        assert_eq!(value(of, name).as_deref(), expected, "{name} of {}", of.id);
    }
}

#[test]
fn expansion_can_be_switched_off() {
    let (all, _) =
        read_text("disable_env_expansion: true\nprocesses: { a: { command: \"x ${OUTSIDE} $$A\" } }\n");
    assert_eq!(all["a"].command[2], "x ${OUTSIDE} $$A");
}

#[test]
fn commands_are_lines_words_or_daemons() {
    let (all, said) = read_text(
        "shell: { shell_command: bash, shell_argument: -lc }\nvars: { V: 1 }\nprocesses:\n  \
         line: { command: \"x {{.V}} {{ .OWN }}\", vars: { OWN: o }, shutdown: { command: stop, signal: 2 } }\n  \
         words: { entrypoint: [sleep, \"30\", 5] }\n  daemon: { command: x, is_daemon: true }\n  \
         odd: { description: no command }\n  template: { command: \"{{if .V}}x{{end}}\" }\n  \
         expansion: { command: \"${A/x/y}\" }\n",
    );
    assert_eq!(all["line"].command, ["bash", "-lc", "x 1 o"]);
    assert_eq!(all["line"].stop.command.as_deref().unwrap(), ["bash", "-lc", "stop"]);
    assert_eq!((all["line"].stop.signal, all["line"].stop.grace), (Some(2), GRACE));
    assert_eq!(all["words"].command, ["sleep", "30", "5"]);
    assert_eq!(all["daemon"].command, ["sh", "-c", DAEMON, "sh", "bash", "-lc", "x"]);
    assert_eq!(all.len(), 4);
    for part in
        ["`odd` is left out: it has neither", "`expansion` is left out: `${A/x/y}`", "`template`: a template"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn what_has_no_counterpart_is_named() {
    let (all, said) = read_text(
        "env_cmds: { A: date }\nmcp_server: {}\nx-mine: 1\nprocesses:\n  \
         a: { command: x, replicas: 2, x-own: 1, availability: { restart: exit_on_failure }, shutdown: { parent_only: true } }\n  \
         b: { command: x, is_tty: true, log_location: l, env_file: none.env }\n  c: { command: x, is_foreground: true }\n",
    );
    assert_eq!(all.keys().collect::<Vec<_>>(), ["a", "c"]);
    for part in [
        "`env_cmds` has no counterpart",
        "`mcp_server` has no counterpart",
        "`a`: `replicas` has no",
        "`restart: exit_on_failure`",
        "`shutdown.parent_only`",
        "`b` is left out: its `env_file`",
        "`c`: it wants a terminal",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("x-"), "{said}");
    let (_, said) = read_text(
        "processes:\n  a: { command: x, replicas: 1, is_tty: false, availability: { exit_on_end: no }, \
         readiness_probe: { exec: { command: y }, success_threshold: 1 } }\n",
    );
    assert_eq!(said, "");
}

#[test]
fn who_is_disabled_is_started_by_its_name_alone() {
    let (all, _) = read_text(
        "processes:\n  a: { command: x }\n  b: { command: x, disabled: true }\n  c: { command: x, is_disabled: \"true\" }\n  \
         d: { command: x, disabled: true, is_disabled: \"false\" }\n  e: { command: x, namespace: [one, default, two] }\n",
    );
    let found: Vec<bool> = all.values().map(|it| it.only_by_name).collect();
    assert_eq!(found, [false, true, true, false, false]);
    assert_eq!(all["e"].tags, ["one", "two"]);
}

#[test]
fn dependencies_have_their_conditions() {
    let (all, said) = read_text(
        "processes:\n  a:\n    command: x\n    depends_on: { b: {}, c: { condition: process_healthy }, d: { condition: process_log_ready }, \
         e: { condition: process_completed }, f: { condition: process_completed_successfully } }\n  g: { command: x, depends_on: { a: { condition: odd } } }\n",
    );
    let conditions: Vec<Condition> = all["a"].depends_on.iter().map(|(_, condition)| *condition).collect();
    use Condition::{Exited, ExitedOk, Ready, Started};
    assert_eq!(conditions, [Started, Ready, Ready, Exited, ExitedOk]);
    assert!(said.contains("`g` is left out: the condition `odd`"), "{said}");
}

#[test]
fn probes_are_asked_where_they_say() {
    let http = |host: Option<&str>, path: &str, port: u16, status| {
        Some(Probe::Http { host: host.map(str::to_owned), path: path.to_owned(), port: Some(port), status })
    };
    for (more, found, expected, warning) in [
        ("", "http_get: { port: 80 }", http(None, "/", 80, 200..=399), ""),
        (
            "",
            "http_get: { port: \"${P:-81}\", path: h, status_code: 204 }",
            http(None, "/h", 81, 204..=204),
            "",
        ),
        ("", "http_get: { host: localhost, scheme: http, port: \"82\" }", http(None, "/", 82, 200..=399), ""),
        ("", "http_get: { host: db.lan }", http(Some("db.lan"), "/", 80, 200..=399), ""),
        ("is_daemon: true", "http_get: { port: 83 }", http(Some("localhost"), "/", 83, 200..=399), ""),
        ("", "http_get: { scheme: https, port: 84 }", Some(Probe::Port(Some(84))), "only looked at"),
        ("", "http_get: { scheme: https, host: a.b }", None, "`https` is not asked here"),
        ("", "http_get: { port: no }", None, "expected a port, found `no`"),
        ("", "http_get: { port: 85, headers: { A: b } }", http(None, "/", 85, 200..=399), "headers"),
        ("", "exec: { command: x }", Some(Probe::Exec(in_shell("x"))), ""),
        ("", "other: {}", None, "expected `http_get` or `exec`"),
    ] {
        let more = if more.is_empty() { String::new() } else { format!(", {more}") };
        let text = format!("processes: {{ a: {{ command: x{more}, readiness_probe: {{ {found} }} }} }}\n");
        let (all, said) = read_text(&text);
        assert_eq!(all["a"].ready.as_ref().map(|ready| ready.probe.clone()), expected, "{text}");
        assert!(said.contains(warning) && said.is_empty() == warning.is_empty(), "{text}: {said}");
    }
    let (all, _) = read_text(
        "processes:\n  a: { command: x, liveness_probe: { exec: { command: y, working_dir: w }, period_seconds: 2, failure_threshold: 5 } }\n  \
         b: { command: x, ready_log_line: \"up .* now\", readiness_probe: { period_seconds: 0 } }\n  c: { command: x, ready_log_line: \"(\" }\n",
    );
    let live = all["a"].live.as_ref().unwrap();
    assert_eq!((live.every, live.failures), (Duration::from_secs(2), 5));
    assert!(matches!(&live.probe, Probe::Exec(words) if words[4] == "/no/such/folder/w"), "{live:?}");
    let log = |of: &str| match &all[of].ready {
        Some(Ready { probe: Probe::Log(pattern), .. }) => pattern.0.as_str().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((log("b"), log("c")), ("up .* now".into(), "\\(".into()));
}
