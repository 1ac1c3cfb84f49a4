//! The pages that show a terminal, typed from top to bottom: what they show is what comes.

use super::part;
use crate::documents::of;
use crate::house::{House, TOKEN};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// What stands between the outputs of two commands.
const MARK: &str = "@@next@@";

/// A command that a page shows, and the lines that it shows of its output.
struct Step {
    command: String,
    shown: Vec<String>,
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), shown: Vec::new() }),
            (None, Some(step)) if is_open(&step.command) && step.shown.is_empty() => {
                step.command.push('\n');
                step.command.push_str(line);
            }
            (None, Some(step)) => step.shown.push(line.to_owned()),
            (None, None) => panic!("output before any command:\n{block}"),
        }
    }
    steps
}

/// Whether a command goes on in the next line: it says so, or a quotation or a function is not closed.
fn is_open(command: &str) -> bool {
    command.ends_with('\\')
        || command.matches('\'').count() % 2 == 1
        || command.contains("() {") && !command.trim_end().ends_with("; }")
}

/// One terminal in the folder of a gate.
struct Terminal<'h> {
    house: &'h House,
    path: String,
    /// What a page writes and what stands for it here.
    here: Vec<(String, String)>,
}

impl Terminal<'_> {
    /// Types a block; every command that `skip` does not name must show what the block shows.
    fn types(&self, block: &str, skip: &[&str]) {
        let steps: Vec<Step> = steps(block)
            .into_iter()
            .filter(|step| !skip.iter().any(|skipped| step.command.starts_with(skipped)))
            .collect();
        let script: String = steps
            .iter()
            .map(|step| format!("{{ {}\n}} 2>&1 </dev/null\necho '{MARK}'\n", self.translated(&step.command)))
            .collect();
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(self.house.folder.path())
            .env("PATH", &self.path)
            .env("HOME", self.house.folder.path())
            .env("TEST_TOKEN", TOKEN)
            .env("NO_COLOR", "1")
            .env_remove("XDG_RUNTIME_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let outputs: Vec<&str> = said.split(MARK).collect();
        for (step, output) in steps.iter().zip(outputs) {
            let said = squeezed(output);
            // Answers that are under way at once have no order among each other.
            for line in &step.shown {
                let mut rest = &*said;
                for piece in self.translated(line).split('…').map(squeezed).filter(|piece| !piece.is_empty())
                {
                    let at = rest.find(&piece).unwrap_or_else(|| {
                        panic!("`{}` does not show `{piece}` there:\n{output}", step.command)
                    });
                    rest = &rest[at + piece.len()..];
                }
            }
        }
    }

    fn translated(&self, text: &str) -> String {
        self.here.iter().fold(text.to_owned(), |text, (page, here)| text.replace(page, here))
    }
}

/// Columns are as wide as what stands in them.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A gate as the quick start makes it, with the file server already installed, and a terminal beside it.
fn first_gate() -> (House, String, String) {
    let mut house = House::empty();
    let bin = house.folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let server = part("npm/node_modules/.bin/mcp-server-filesystem");
    let npx = bin.join("npx");
    // `npx -y PACKAGE FOLDER`, without fetching anything.
    std::fs::write(&npx, format!("#!/bin/sh\nexec \"{}\" \"$3\"\n", server.display())).unwrap();
    std::fs::set_permissions(&npx, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ours = Path::new(env!("CARGO_BIN_EXE_portcullis")).parent().unwrap();
    let node = part("npm/node_modules/.bin");
    let path = [&*bin, ours, &*node].map(|folder| folder.display().to_string()).join(":");
    let path = format!("{path}:{}", std::env::var("PATH").unwrap());
    let mut command = house.command(&["up", "--listen", "127.0.0.1:0"]);
    let gate = crate::house::start(command.env("PATH", &path));
    house.url = gate.line("ready ");
    house.gate = Some(gate);
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    while house.run(&["status", "--json"]).1.contains("\"state\":\"starting\"") {
        assert!(std::time::Instant::now() < until, "{}", house.run(&["status"]).1);
    }
    let token = house.run(&["grant", "rotate", "me"]).1;
    let token = token.split_whitespace().find(|word| word.starts_with("pcl_")).unwrap().to_owned();
    (house, path, token)
}

/// The rows of the record have other numbers here than in the page, because more was done before.
fn here(house: &House) -> Vec<(String, String)> {
    vec![("http://127.0.0.1:7420".into(), house.url.clone())]
}

#[test]
fn the_quick_start_ends_where_it_says() {
    let (mut house, path, _) = first_gate();
    let terminal = Terminal { house: &house, path, here: here(&house) };
    let [start, status, grant, claude, calls, record, change] = &of("quick-start.md", "console")[..] else {
        panic!("the quick start has other blocks than this test knows")
    };
    terminal.types(status, &[]);
    terminal.types(grant, &[]);
    // A client that is not ours.
    assert!(claude.starts_with("$ claude mcp add --transport http portcullis"));
    terminal.types(calls, &[]);
    terminal.types(record, &[]);
    let policy = house.folder.path().join("policies/careful.yaml");
    let mut rules = std::fs::read_to_string(&policy).unwrap();
    rules.push_str(&of("quick-start.md", "yaml")[0]);
    std::fs::write(&policy, rules).unwrap();
    terminal.types(change, &[]);
    // What the gate said at its start.
    let said = house.gate.as_mut().unwrap().last_words();
    for line in steps(start).pop().unwrap().shown.iter().take(2) {
        assert!(said.contains(line.as_str()), "no `{line}` in\n{said}");
    }
}

#[test]
fn a_first_policy_ends_where_its_page_says() {
    let (house, path, _) = first_gate();
    let terminal = Terminal { house: &house, path, here: here(&house) };
    let [begin, why, tests, copy, trial, work] = &of("first-policy.md", "console")[..] else {
        panic!("other blocks than this test knows")
    };
    let [policy] = &of("first-policy.md", "yaml policy")[..] else { panic!("one policy") };
    let [cases, name] = &of("first-policy.md", "yaml")[..] else { panic!("cases, and an entry") };
    let write = |file: &str, text: &str| std::fs::write(house.folder.path().join(file), text).unwrap();
    terminal.types(begin, &[]);
    write("mine/tests.yaml", policy);
    terminal.types(why, &[]);
    write("mine/tests.cases.yaml", cases);
    terminal.types(tests, &[]);
    terminal.types(copy, &[]);
    house.configure("policies:\n", &format!("policies:\n{name}\n"));
    terminal.types(trial, &[]);
    terminal.types(work, &[]);
}

#[test]
fn the_first_page_ends_where_it_says() {
    let (house, path, token) = first_gate();
    let mut here = here(&house);
    here.push(("export TOKEN=pcl_…".into(), format!("export TOKEN={token}")));
    here.push(("cargo run --release --".into(), "portcullis".into()));
    let terminal = Terminal { house: &house, path, here };
    let [build, calls] = &of("README.md", "console")[..] else { panic!("other blocks than this test knows") };
    assert!(
        build.starts_with("$ cargo run --release\n$ ./check"),
        "they build the gate, which runs this test"
    );
    // Numbers of rows depend on what was done before.
    terminal.types(&calls.replace("\"ledger\":6", "\"ledger\":…").replace("\n6  …", "\n…"), &[]);
}

#[test]
fn the_page_on_stopping_shows_what_comes() {
    let (house, path, _) = first_gate();
    let terminal = Terminal { house: &house, path, here: here(&house) };
    let [dropped, shown, stopped, tasks] = &of("stopping.md", "console")[..] else {
        panic!("other blocks than this test knows")
    };
    terminal.types(dropped, &[]);
    comes_back(&house);
    terminal.types(shown, &[]);
    let keys = |value: &serde_json::Value| -> Vec<String> {
        let members =
            |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        [members(value), members(&value["proof"]), members(&value["before"][0])].concat()
    };
    let [page] = &of("stopping.md", "json")[..] else { panic!("other blocks than this test knows") };
    let (_, said, _) = house.run(&["runs", "stop", "--upstream", "files", "--json"]);
    let said: serde_json::Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
    assert_eq!(keys(&serde_json::from_str(page).unwrap()), keys(&said));
    comes_back(&house);
    terminal.types(stopped, &[]);
    terminal.types(tasks, &[]);
}

/// Waits until the server that was stopped is started again, which comes by itself.
fn comes_back(house: &House) {
    let until = std::time::Instant::now() + crate::house::PATIENCE;
    while !house.run(&["runs"]).1.contains("files") {
        assert!(std::time::Instant::now() < until, "{}", house.run(&["status"]).1);
    }
}

#[test]
fn the_operators_page_shows_what_comes() {
    let (house, path, _) = first_gate();
    let terminal = Terminal { house: &house, path, here: here(&house) };
    let mut typed = 0;
    for block in of("operating.md", "console") {
        // `up` is what has started this gate, `tail` goes on for ever, and no run is known by the name `r_…`.
        terminal.types(&block, &["portcullis up", "portcullis ledger tail", "portcullis ledger query --run"]);
        typed += 1;
    }
    assert!(typed >= 6, "{typed}");
}
