//! Procfiles, as foreman, honcho and overmind read them.

use super::{Imported, dotenv};
use crate::definition::{Definition, Port, in_shell};
use std::path::Path;

/// The port of the first process where nothing else is said, and how far the next one's is from it.
const BASE: u16 = 5000;
const STEP: u16 = 100;

/// Reads `name: command` lines. Each process gets the variables of the `.env` beside the file, and a `PORT`: the `PORT`
/// of that `.env`, else that of the environment, else 5000, and 100 more for each line.
pub(super) fn read(text: &str, folder: &Path, lookup: dotenv::Lookup<'_>) -> Imported {
    let mut imported = Imported::default();
    let dotenv = imported.dotenv(&folder.join(".env"), None);
    let named = dotenv.get("PORT").map(str::to_owned).or_else(|| lookup("PORT"));
    let base = named.as_deref().map_or(Some(BASE), |port| port.trim().parse().ok().filter(|port| *port > 0));
    if base.is_none() {
        let port = named.unwrap_or_default();
        imported.warnings.push(format!("PORT is `{port}`, which is no port: {BASE} is used instead"));
    }
    let mut port = base;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let pair = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        let Some((name, command)) = pair.filter(|(name, command)| is_name(name) && !command.is_empty())
        else {
            imported
                .warnings
                .push(format!("line {number} is left out: expected `name: command`, found `{line}`"));
            continue;
        };
        let mut definition = Definition::new(name, in_shell(command), folder.to_owned());
        definition.env.extend(dotenv.variables.iter().filter(|(name, _)| name != "PORT").cloned());
        definition.env.push(("PS".into(), format!("{name}.1")));
        definition.port = Some(Port::Offered(port.unwrap_or(BASE)));
        port = Some(port.unwrap_or(BASE).checked_add(STEP).unwrap_or(BASE));
        imported.definitions.push(definition);
    }
    imported
}

/// Names as these programs take them; a line with another one is no process to them.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(env: &str, outside: Option<&str>) -> (Vec<(String, Option<Port>)>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), env).unwrap();
        let text = "# all\nweb: x $PORT\r\n\nworker-1: y\nno line\na b: c\n_z:w\n";
        let imported =
            read(text, folder.path(), &|name| outside.filter(|_| name == "PORT").map(str::to_owned));
        assert!(imported.definitions.iter().all(|it| it.env.iter().all(|(name, _)| name != "PORT")));
        let ports = imported.definitions.iter().map(|it| (it.id.to_string(), it.port)).collect();
        (ports, imported.warnings)
    }

    #[test]
    fn each_process_has_a_port_of_its_own() {
        for (env, outside, first) in
            [("", None, 5000), ("A=b\nPORT=3000\n", Some("9"), 3000), ("A=b", Some("4000"), 4000)]
        {
            let expected = [("web", first), ("worker-1", first + 100), ("_z", first + 200)];
            let (found, warnings) = ports(env, outside);
            let expected: Vec<_> =
                expected.map(|(id, port)| (id.to_owned(), Some(Port::Offered(port)))).to_vec();
            assert_eq!(found, expected);
            assert_eq!(warnings.len(), 2, "{warnings:?}");
            assert!(warnings[0].starts_with("line 5 ") && warnings[1].contains("`a b: c`"), "{warnings:?}");
        }
        let (found, warnings) = ports("PORT=none", None);
        assert_eq!(found[0].1, Some(Port::Offered(5000)));
        assert!(warnings[0].contains("`none`"), "{warnings:?}");
    }

    #[test]
    fn the_dotenv_beside_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".env"), "A='b $c'\nodd\n").unwrap();
        let imported = read("web: x", folder.path(), &|_| None);
        let env = [("A".to_owned(), "b $c".to_owned()), ("PS".to_owned(), "web.1".to_owned())];
        assert_eq!(imported.definitions[0].env, env);
        assert!(imported.warnings[0].contains(".env") && imported.warnings[0].contains("line 2"));
    }
}
