//! What real shells do with lines that hold: they start nothing but programs that the policy names.
//!
//! The programs are stubs in a folder of the test's own, which is all that `PATH` has, in an environment that is empty. Each
//! stub only writes its name down.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::{gives, groups, policy};

/// Those of this machine: dash is the `sh` of Debian.
const SHELLS: [&[&str]; 5] =
    [&["/bin/sh"], &["/bin/dash"], &["/bin/bash"], &["/bin/bash", "--posix"], &["/bin/busybox", "sh"]];

struct Folder(PathBuf);

impl Folder {
    fn new(programs: &BTreeSet<&str>) -> Self {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("portcullis-command-{}-{next}", std::process::id()));
        for inside in ["stubs", "work"] {
            fs::create_dir_all(folder.join(inside)).unwrap();
        }
        for program in programs.iter().filter(|program| !program.contains('/')) {
            let path = folder.join("stubs").join(program);
            fs::write(&path, format!("#!/bin/sh\necho {program} >> {}\n", folder.join("log").display()))
                .unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// The stubs that `shell` starts for `line`, and what it says.
    fn run(&self, shell: &[&str], line: &str) -> (BTreeSet<String>, String) {
        let log = self.0.join("log");
        fs::write(&log, "").unwrap();
        let output = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", line])
            .env_clear()
            .env("PATH", self.0.join("stubs"))
            .current_dir(self.0.join("work"))
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let started = fs::read_to_string(log).unwrap().lines().map(str::to_owned).collect();
        (started, String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shells() -> impl Iterator<Item = &'static [&'static str]> {
    SHELLS.into_iter().filter(|shell| Path::new(shell[0]).exists())
}

/// Runs a line that holds in each shell, and checks what it starts.
fn check(folder: &Folder, allowed: &[&str], line: &str) {
    let mut first: Option<BTreeSet<String>> = None;
    for shell in shells() {
        let (started, said) = folder.run(shell, line);
        assert!(
            started.iter().all(|program| allowed.contains(&program.as_str())),
            "{shell:?} started {started:?} for {line:?}"
        );
        assert!(!said.contains("not found"), "{shell:?} looked for another program for {line:?}: {said}");
        assert!(!said.to_lowercase().contains("syntax error"), "{shell:?} cannot read {line:?}: {said}");
        assert_eq!(first.get_or_insert_with(|| started.clone()), &started, "{shell:?} differs for {line:?}");
    }
}

#[test]
fn harmless_lines_start_only_what_the_policy_names() {
    let mut run = 0;
    for group in groups("harmless.yaml") {
        let programs: Vec<&str> =
            group.allows["programs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        // Stubs start nothing, so the lines of wrappers say nothing here; what runs behind the shell's end is not waited for.
        let has = |name: &str| programs.contains(&name);
        if has("env") || has("python3") || group.allows["background"] == true {
            continue;
        }
        let folder = Folder::new(&programs.iter().copied().chain(["id", "sh"]).collect());
        for line in group.lines.iter().filter_map(|line| line.as_str()).filter(|line| !line.contains("/bin/"))
        {
            check(&folder, &programs, line);
            run += 1;
        }
    }
    assert!(run >= 50, "{run}");
}

/// Pieces of lines that hold, and of such that must not.
const PIECES: [&str; 52] = [
    "ls ", "ls ", "ls ", "echo ", "echo ", "a ", "a ", "x ", "-n ", "b", " ", " ", "\t", "\n", "\n", "; ls ",
    "; a ", "| a ", "&& ls ", "|| a ", "(ls) ", "{ a; } ", "'", "'", "\"", "\"", "\\", "\\\n", "$(ls)",
    "`a`", "\"$(a)\"", "$x", "# ", "#", ">x ", "<x ", "2>&1 ", "=", "A=b ", "! ", "*", "~", "2", "id", "(",
    ")", ";", "&", "|", "$", "{", "}",
];

#[test]
fn random_lines_that_hold_start_only_what_the_policy_names() {
    let programs = ["ls", "echo", "a"];
    let policy = policy(
        &json!({ "programs": programs, "redirections": true, "substitutions": true, "assignments": true }),
    );
    let folder = Folder::new(&["ls", "a", "id"].into_iter().collect());
    // The same lines each time: a generator of Lehmer's.
    let mut state = 20_261_130_u64;
    let mut below = |bound: usize| {
        state = state * 48_271 % 2_147_483_647;
        usize::try_from(state).unwrap() % bound
    };
    let mut run = BTreeSet::new();
    while run.len() < 120 {
        let line: String = (0..3 + below(8)).map(|_| PIECES[below(PIECES.len())]).collect();
        if gives(&policy, &json!(line)) == 'T' && run.insert(line.clone()) {
            check(&folder, &programs, &line);
        }
    }
}
