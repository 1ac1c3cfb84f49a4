//! Reads what other tools keep their services in: a Procfile, the scripts of a `package.json`, process-compose.
//!
//! A file means here what it means to its own tool. What has no counterpart here is named in a warning, and an entry
//! that cannot be one of ours does not take the others away.

mod compose;
mod dotenv;
mod expand;
mod package;
mod procfile;

use crate::definition::Definition;
use portcullis_document::{Colours, Document, Kind, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What a file has.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) definitions: Vec<Definition>,
    /// What does not mean here what it means there, for a person.
    pub(crate) warnings: Vec<String>,
}

/// Reads one file. Its name says what it is.
///
/// # Errors
/// Why it cannot be read, for a person.
pub(crate) fn read(file: &Path) -> Result<Imported, String> {
    let shown = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let environment = |name: &str| std::env::var(name).ok();
    let mut imported = if name == "package.json" {
        package::read(&tree(file, &text)?, folder)
    } else if name.starts_with("Procfile") {
        procfile::read(&text, folder, &environment)
    } else if name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json") {
        compose::read(&tree(file, &text)?, folder, &environment).ok_or_else(|| {
            format!("{shown}: expected the `processes` of process-compose, found none; a Procfile and a package.json are known too")
        })?
    } else {
        return Err(format!("{shown}: expected a Procfile, a package.json or a process-compose.yaml"));
    };
    imported.give_ids();
    imported.leave_circles_out();
    for warning in &mut imported.warnings {
        *warning = format!("{shown}: {warning}");
    }
    Ok(imported)
}

impl Imported {
    /// Reads a `.env` file that may be there.
    fn dotenv(&mut self, file: &Path, lookup: Option<dotenv::Lookup<'_>>) -> dotenv::Read {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return dotenv::Read::default(),
            Err(error) => {
                self.warnings.push(format!("{} cannot be read: {error}", file.display()));
                return dotenv::Read::default();
            }
        };
        let read = dotenv::read(&text, lookup);
        let odd =
            |line: &usize| format!("{}: line {line} is no `NAME=value` and is left out", file.display());
        self.warnings.extend(read.odd.iter().map(odd));
        read
    }

    /// Renames what cannot be a service's name, as near as can be, also where others depend on it.
    fn give_ids(&mut self) {
        let mut taken: BTreeSet<Arc<str>> = BTreeSet::new();
        let mut renamed: BTreeMap<Arc<str>, Arc<str>> = BTreeMap::new();
        let good = self.definitions.iter().filter(|it| Definition::is_id(&it.id)).map(|it| it.id.clone());
        let good: BTreeSet<Arc<str>> = good.collect();
        let warnings = &mut self.warnings;
        self.definitions.retain_mut(|definition| {
            let old = definition.id.clone();
            if good.contains(&old) {
                let first = taken.insert(old.clone());
                if !first {
                    warnings.push(format!("`{old}` stands there twice: the first is taken"));
                }
                return first;
            }
            let new = readable_id(&old).map(|new| new.as_str().into());
            match new.filter(|new| !good.contains(new) && taken.insert(Arc::clone(new))) {
                Some(new) => {
                    warnings.push(format!("`{old}` cannot be a service's name: it is `{new}` here"));
                    renamed.insert(old, new.clone());
                    definition.id = new;
                    true
                }
                None => {
                    warnings.push(format!("`{old}` is left out: it cannot be a service's name"));
                    false
                }
            }
        });
        let needs = self.definitions.iter_mut().flat_map(|it| &mut it.depends_on);
        for (other, new) in needs.filter_map(|(other, _)| renamed.get(other).cloned().map(|new| (other, new)))
        {
            *other = new;
        }
    }

    /// A start would go round in a circle for ever: its members are left out.
    fn leave_circles_out(&mut self) {
        let needs: BTreeMap<Arc<str>, Vec<Arc<str>>> = self
            .definitions
            .iter()
            .map(|it| (it.id.clone(), it.depends_on.iter().map(|(other, _)| other.clone()).collect()))
            .collect();
        let reaches_itself = |id: &Arc<str>| {
            let mut seen: BTreeSet<&Arc<str>> = BTreeSet::new();
            let mut next: Vec<&Arc<str>> = needs.get(id).into_iter().flatten().collect();
            while let Some(one) = next.pop() {
                if one == id {
                    return true;
                }
                if seen.insert(one) {
                    next.extend(needs.get(one).into_iter().flatten());
                }
            }
            false
        };
        let warnings = &mut self.warnings;
        self.definitions.retain(|it| {
            let circle = reaches_itself(&it.id);
            if circle {
                warnings
                    .push(format!("`{}` is left out: it depends on itself, directly or by others", it.id));
            }
            !circle
        });
    }
}

/// The nearest name that a service can have.
fn readable_id(name: &str) -> Option<String> {
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.:".contains(c) { c } else { '-' };
    let id: String = name.chars().map(good).collect();
    let id = id.trim_start_matches(|c: char| !c.is_ascii_alphanumeric()).trim_end_matches('-');
    Definition::is_id(id).then(|| id.to_owned())
}

fn tree(file: &Path, text: &str) -> Result<Node, String> {
    let name = file.to_string_lossy();
    let shown = |problems: portcullis_document::Problems| problems.render(100, Colours::Never);
    Document::read(&name, text).map(|document| document.root().clone()).map_err(shown)
}

fn members(node: &Node) -> impl Iterator<Item = (&str, &Node)> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries.as_slice(),
        _ => &[],
    };
    entries.iter().map(|entry| (entry.key.as_str(), &entry.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(name: &str, text: &str) -> (tempfile::TempDir, Imported) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let imported = read(&file).unwrap();
        (folder, imported)
    }

    fn ids(imported: &Imported) -> Vec<&str> {
        imported.definitions.iter().map(|it| &*it.id).collect()
    }

    #[test]
    fn a_name_that_cannot_be_an_id_becomes_a_readable_one_or_is_named() {
        let text =
            r#"{"scripts":{"build:css":"a","@x/dev all":"b","_go":"c","go":"d","ü":"e","x-dev-all":"f"}}"#;
        let (_folder, imported) = write("package.json", text);
        assert_eq!(ids(&imported), ["build:css", "go", "x-dev-all"]);
        assert_eq!(imported.definitions[1].command, ["npm", "run", "go"]);
        let said = imported.warnings.join("\n");
        for part in ["`@x/dev all` is left out", "`_go` is left out", "`ü` is left out"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let (_folder, imported) = write("package.json", r#"{"scripts":{"@x/dev all":"b"}}"#);
        assert_eq!(ids(&imported), ["x-dev-all"]);
        assert_eq!(imported.definitions[0].command, ["npm", "run", "@x/dev all"]);
        assert!(imported.warnings[0].contains("package.json: `@x/dev all`"), "{:?}", imported.warnings);
    }

    #[test]
    fn what_depends_on_itself_is_left_out_and_a_new_name_holds_everywhere() {
        let text = "processes:\n  a: { command: x, depends_on: { b: {} } }\n  b: { command: x, depends_on: { a: {} } }\n  \
                    c: { command: x, depends_on: { a: {} } }\n  \"d d\": { command: x }\n  e: { command: x, depends_on: { d d: {} } }\n";
        let (_folder, imported) = write("process-compose.yaml", text);
        assert_eq!(ids(&imported), ["c", "d-d", "e"]);
        assert_eq!(&*imported.definitions[2].depends_on[0].0, "d-d");
        let said = imported.warnings.join("\n");
        for part in
            ["`a` is left out", "`b` is left out", "`d d` cannot be a service's name: it is `d-d` here"]
        {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
