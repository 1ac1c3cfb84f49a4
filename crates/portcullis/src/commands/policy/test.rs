//! `portcullis policy test`.

use super::cases::{Case, File, Reader};
use crate::failure::Failure;
use crate::out::{counted, say};
use crate::place::rendered;
use portcullis_policy::{Branch, Explanation, Outcome, Policy};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// The endings of files of cases.
const ENDINGS: [&str; 3] = [".cases.yaml", ".cases.yml", ".cases.json"];

/// Judges the cases of a file, or of all files in a folder.
pub(super) fn test(path: &Path, as_json: bool) -> Result<ExitCode, Failure> {
    let mut reader = Reader::default();
    // All of them, so that every mistake is told.
    let read: Vec<Option<File>> = files(path)?.iter().map(|file| reader.file(file)).collect();
    if !reader.problems.is_empty() {
        let all: Vec<String> = reader.problems.iter().map(rendered).collect();
        return Err(Failure::report(&all.join("\n")));
    }
    let files: Vec<File> = read.into_iter().flatten().collect();
    let tried: Vec<(&File, Vec<Tried<'_>>)> = files
        .iter()
        .map(|file| (file, file.cases.iter().map(|case| Tried::of(case, file)).collect()))
        .collect();
    let all = || tried.iter().flat_map(|(_, cases)| cases);
    let failed = all().filter(|tried| !tried.is_as_expected()).count();
    let passed = all().count() - failed;
    let attacks = Attacks::of(&tried, None);
    if as_json {
        let failures: Vec<Value> = tried
            .iter()
            .flat_map(|(file, cases)| cases.iter().map(move |tried| (file, tried)))
            .filter(|(_, tried)| !tried.is_as_expected())
            .map(|(file, tried)| tried.json(&file.name))
            .collect();
        let mut said = json!({ "passed": passed, "failed": failed, "failures": failures });
        if let (Some(attacks), Some(said)) = (attacks, said.as_object_mut()) {
            let mut attacks = attacks.json();
            attacks.insert("classes".into(), classes(&tried));
            said.insert("attacks".into(), attacks.into());
        }
        say!("{said}");
    } else {
        tried.iter().for_each(|(file, cases)| print(file, cases));
        if let Some(attacks) = attacks {
            say!("{}", attacks.line());
        }
        say!("{passed} passed, {failed} failed");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The files of cases that a path means, sorted.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    search(path, &mut found)?;
    found.sort();
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "expected files of cases in {}, found none that ends in {}: write one, with `policy: FILE` and a list of \
             `cases`, each with `name`, `tool`, `arguments` and `expect`",
            path.display(),
            ENDINGS.join(", "),
        )));
    }
    Ok(found)
}

/// Hidden folders are not searched, and links are not followed, so it ends.
fn search(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::usage(format!("{} cannot be read: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') {
            search(&entry.path(), found)?;
        } else if !kind.is_dir() && ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            let path = entry.path();
            found.push(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path));
        }
    }
    Ok(())
}

/// A case, and what came of it.
struct Tried<'c> {
    case: &'c Case,
    outcome: Outcome,
    rule: String,
    message: String,
    /// Of the policy that decided; where all of them allow, of each.
    why: Vec<Explanation>,
}

impl<'c> Tried<'c> {
    /// Judges a case as the gate does: a policy that denies decides, else one that holds, the first of them.
    fn of(case: &'c Case, file: &File) -> Self {
        let explain = |policy: &Arc<Policy>| policy.explain(&case.call());
        let mut why: Vec<Explanation> = file.policies.iter().map(explain).collect();
        let first = |outcome| why.iter().position(|said| said.outcome == outcome);
        let decided = first(Outcome::Denied).or_else(|| first(Outcome::Held));
        if let Some(decided) = decided {
            why = why.drain(decided..=decided).collect();
        }
        let (outcome, rule, message) = match (decided, why.first()) {
            (Some(_), Some(said)) => (said.outcome, said.rule.clone(), said.message.clone()),
            _ => (Outcome::Allowed, String::new(), String::new()),
        };
        Self { case, outcome, rule, message, why }
    }

    fn is_as_expected(&self) -> bool {
        let expected = &self.case.expected;
        self.outcome == expected.outcome
            && expected.rule.as_ref().is_none_or(|rule| *rule == self.rule)
            && expected.message.as_ref().is_none_or(|part| self.message.contains(part.as_str()))
    }

    fn json(&self, file: &str) -> Value {
        let expected = &self.case.expected;
        let tree: Vec<&Branch> = self.why.iter().flat_map(|said| &said.tree).collect();
        let mut said = json!({
            "file": file, "case": self.case.name,
            "expected": expected.outcome, "found": self.outcome,
            "rule": self.rule, "message": self.message,
            "policy": self.why.iter().map(|said| said.policy.as_str()).collect::<Vec<_>>().join(", "),
            "tree": tree,
        });
        if let Some(said) = said.as_object_mut() {
            let more = [("expected_rule", &expected.rule), ("expected_message", &expected.message)];
            said.extend(
                more.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?.into()))),
            );
            said.extend(self.case.facts.json());
        }
        said
    }

    fn print(&self) {
        let expected = &self.case.expected;
        let mut wanted = expected.outcome.as_str().to_owned();
        if let Some(rule) = &expected.rule {
            wanted.push_str(&format!(" by {rule}"));
        }
        if let Some(part) = &expected.message {
            wanted.push_str(&format!(" with {part:?}"));
        }
        say!("  FAILED {}: expected {wanted}, found {}", self.case.name, self.outcome.as_str());
        say!("    {} {}", self.case.tool, self.case.arguments);
        let facts = self.case.facts.line();
        if !facts.is_empty() {
            say!("    {facts}");
        }
        for line in
            self.why.iter().flat_map(|said| said.to_string().lines().map(str::to_owned).collect::<Vec<_>>())
        {
            say!("    {line}");
        }
    }
}

fn print(file: &File, cases: &[Tried<'_>]) {
    let failed = cases.iter().filter(|tried| !tried.is_as_expected()).count();
    let passed = format!("{} passed", cases.len() - failed);
    match failed {
        0 => say!("{}: {passed}", file.name),
        _ => say!("{}: {passed}, {failed} failed", file.name),
    }
    cases.iter().filter(|tried| !tried.is_as_expected()).for_each(Tried::print);
}

/// What came of the cases that are attacks, and of those in which the same is done rightly.
struct Attacks {
    tried: usize,
    /// Those that should not have been allowed, and were.
    passed_silently: usize,
    twins: usize,
    /// Those that came out stricter than expected.
    twins_blocked: usize,
}

impl Attacks {
    /// Of those of one class, or of all; `None` where no case is one.
    fn of(tried: &[(&File, Vec<Tried<'_>>)], class: Option<&str>) -> Option<Self> {
        let mut sum = Self { tried: 0, passed_silently: 0, twins: 0, twins_blocked: 0 };
        for (_, cases) in tried {
            let attacks = || {
                let all = cases.iter().filter_map(|tried| Some((tried, tried.case.attack.as_ref()?)));
                all.filter(|(_, attack)| class.is_none_or(|class| class == attack.class))
            };
            let named: BTreeSet<&str> = attacks().filter_map(|(_, attack)| attack.twin.as_deref()).collect();
            let twins = || cases.iter().filter(|tried| named.contains(tried.case.name.as_str()));
            sum.tried += attacks().count();
            let passed = |tried: &Tried<'_>| {
                tried.outcome == Outcome::Allowed && tried.case.expected.outcome != Outcome::Allowed
            };
            sum.passed_silently += attacks().filter(|(tried, _)| passed(tried)).count();
            sum.twins += twins().count();
            let blocked = |tried: &&Tried<'_>| tried.outcome > tried.case.expected.outcome;
            sum.twins_blocked += twins().filter(blocked).count();
        }
        (sum.tried > 0).then_some(sum)
    }

    fn json(&self) -> Map<String, Value> {
        let all = [
            ("tried", self.tried),
            ("passed_silently", self.passed_silently),
            ("twins", self.twins),
            ("twins_blocked", self.twins_blocked),
        ];
        all.map(|(key, sum)| (key.to_owned(), sum.into())).into_iter().collect()
    }

    fn line(&self) -> String {
        let tried = counted(self.tried, "attack", "attacks");
        let twins = counted(self.twins, "twin", "twins");
        format!(
            "{tried} tried, {} passed silently; {twins}, {} blocked",
            self.passed_silently, self.twins_blocked
        )
    }
}

/// The same for each class of attacks.
fn classes(tried: &[(&File, Vec<Tried<'_>>)]) -> Value {
    let attacks = tried.iter().flat_map(|(_, cases)| cases).filter_map(|tried| tried.case.attack.as_ref());
    let names: BTreeSet<&str> = attacks.map(|attack| attack.class.as_str()).collect();
    let sum = |name: &str| Some((name.to_owned(), Attacks::of(tried, Some(name))?.json().into()));
    Value::Object(names.into_iter().filter_map(sum).collect::<Map<_, _>>())
}
