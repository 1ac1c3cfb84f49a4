//! The program as its users meet it: the real binary in a folder of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod config;
mod doctor;
mod examples;
mod help;
mod import;
mod import_write;
mod policy_tools;
mod schema;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A user with an empty home folder, in an empty project.
struct User {
    _root: tempfile::TempDir,
    home: PathBuf,
    here: PathBuf,
}

impl User {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        // The system's folder for such things may be a link.
        let path = root.path().canonicalize().unwrap();
        let (home, here) = (path.join("home"), path.join("here"));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::create_dir_all(&here).unwrap();
        Self { _root: root, home, here }
    }

    /// Runs the program to its end.
    fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    /// Runs the program with further variables.
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
            .args(arguments)
            .current_dir(&self.here)
            .env_clear()
            .env("HOME", &self.home)
            .env("PATH", "/usr/bin:/bin")
            .env("NO_COLOR", "1")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        Said::of(&output)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.here.join(file)).unwrap()
    }

    fn write(&self, file: &str, text: &str) -> PathBuf {
        write(&self.here.join(file), text)
    }

    fn write_home(&self, file: &str, text: &str) -> PathBuf {
        write(&self.home.join(file), text)
    }

    /// A text without what differs from one run of a test to the next.
    fn plain(&self, text: &str) -> String {
        text.replace(&self.here.display().to_string(), "HERE")
            .replace(&self.home.display().to_string(), "HOME")
    }
}

fn write(path: &Path, text: &str) -> PathBuf {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    path.to_owned()
}

/// What the program said.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Self { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    #[track_caller]
    fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// One JSON object a line.
    fn lines(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
