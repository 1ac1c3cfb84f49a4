//! The scripts of a `package.json`.

use super::{Imported, members};
use crate::definition::Definition;
use portcullis_document::{Kind, Node};
use std::path::Path;

/// Scripts that a package manager runs by itself at an install, a pack or a release.
const LIFE_CYCLE: [&str; 16] = [
    "dependencies",
    "install",
    "postinstall",
    "postpack",
    "postprepare",
    "postpublish",
    "postversion",
    "preinstall",
    "prepack",
    "prepare",
    "preprepare",
    "prepublish",
    "prepublishOnly",
    "preuninstall",
    "preversion",
    "uninstall",
];
/// Programs that run a script as `PROGRAM run NAME`.
const MANAGERS: [&str; 4] = ["npm", "pnpm", "yarn", "bun"];

/// Reads the scripts, but for those that run around another one or at an install. What a script does is not known: it
/// may deploy as well as serve. So each is started only where its name is said.
pub(super) fn read(root: &Node, folder: &Path) -> Imported {
    let mut imported = Imported::default();
    let manager = match root.get("packageManager").map(|node| &node.kind) {
        Some(Kind::Text(named)) => {
            let name = named.split('@').next().unwrap_or_default();
            MANAGERS.iter().find(|known| **known == name).copied().unwrap_or_else(|| {
                imported.warnings.push(format!("`packageManager` is `{named}`: `npm run` is used instead"));
                "npm"
            })
        }
        _ => "npm",
    };
    let scripts: Vec<&str> = root.get("scripts").into_iter().flat_map(members).map(|(id, _)| id).collect();
    for script in &scripts {
        let around = |prefix| script.strip_prefix(prefix).is_some_and(|of| scripts.contains(&of));
        if LIFE_CYCLE.contains(script) || around("pre") || around("post") {
            continue;
        }
        let command = [manager, "run", script].map(str::to_owned).to_vec();
        let mut definition = Definition::new(script, command, folder.to_owned());
        definition.only_by_name = true;
        imported.definitions.push(definition);
    }
    imported
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_document::Document;

    fn ran(text: &str) -> (Vec<String>, Vec<String>) {
        let document = Document::read("package.json", text).unwrap();
        let imported = read(document.root(), Path::new("/p"));
        assert!(imported.definitions.iter().all(|it| it.only_by_name));
        (imported.definitions.iter().map(|it| it.command.join(" ")).collect(), imported.warnings)
    }

    #[test]
    fn hooks_run_with_their_script_and_are_none_themselves() {
        let (commands, warnings) = ran(
            r#"{"scripts":{"prebuild":"a","build":"b","postbuild":"c","prepare":"d","preview":"e","postgres":"f","build:css":"g"}}"#,
        );
        assert_eq!(commands, ["npm run build", "npm run preview", "npm run postgres", "npm run build:css"]);
        assert!(warnings.is_empty());
    }

    #[test]
    fn the_package_manager_that_is_named_runs_them() {
        for (named, ran_by) in [("pnpm@9.1.0+sha512.x", "pnpm"), ("yarn@4.0.0", "yarn"), ("bun@1", "bun")] {
            let text = format!(r#"{{"packageManager":"{named}","scripts":{{"dev":"x"}}}}"#);
            assert_eq!(ran(&text), (vec![format!("{ran_by} run dev")], Vec::new()));
        }
        let (commands, warnings) = ran(r#"{"packageManager":"other@1","scripts":{"dev":"x"}}"#);
        assert_eq!(commands, ["npm run dev"]);
        assert!(warnings[0].contains("other@1"), "{warnings:?}");
    }
}
