//! Whether upstreams can be started or reached, and what the running gate says of them. Nothing is started.

use super::check::Check;
use crate::first_run::on_path;
use crate::out::counted;
use portcullis_upstreams::{CommandSpec, How, Spec};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Programs that run on Node.
const ON_NODE: [&str; 4] = ["npx", "npm", "pnpm", "yarn"];

/// What can be told from the entry alone.
pub(super) fn reachable(spec: &Spec) -> Vec<Check> {
    let name = format!("upstream {}", spec.name);
    match &spec.how {
        How::Command(command) => {
            let mut checks = vec![program(&name, &command.program)];
            if ON_NODE.contains(&command.program.as_str()) && on_path(&command.program) && !on_path("node") {
                let found = format!("`{}` is in PATH, `node` is not", command.program);
                checks.push(Check::fail(name.clone(), found, "install Node.js 22 or later"));
            }
            let folder = command.cwd.as_deref().filter(|folder| !folder.is_dir());
            checks.extend(folder.map(|folder| {
                let found = format!("its folder {} is not there", folder.display());
                Check::fail(name.clone(), found, "make it, or change `cwd`")
            }));
            let missing: Vec<&str> = missing(command).collect();
            if !missing.is_empty() {
                let found = format!("what its arguments name is not there: {}", missing.join(", "));
                checks.push(Check::warn(
                    name,
                    found,
                    "make it, or change `args`; relative ones begin at `cwd`",
                ));
            }
            checks
        }
        How::Builtin(builtin) => {
            let file = builtin.config.display();
            let read = std::fs::read_to_string(&builtin.config).map_err(|error| error.to_string()).and_then(
                |text| {
                    portcullis_services::read(&builtin.config, &text)
                        .map_err(|problems| problems.render(100, portcullis_document::Colours::Never))
                },
            );
            vec![match read {
                Ok(read) if read.definitions.values().any(|it| !it.cwd.is_dir()) => {
                    let missing = read.definitions.values().filter(|it| !it.cwd.is_dir());
                    let missing: Vec<String> =
                        missing.map(|it| format!("{} of {}", it.cwd.display(), it.id)).collect();
                    let found = format!("{file}: folders are not there: {}", missing.join(", "));
                    Check::warn(name, found, "make them, or change `cwd`")
                }
                Ok(read) if read.warnings.is_empty() => {
                    let services = counted(read.definitions.len(), "service", "services");
                    Check::ok(name, format!("{file}: {services}"))
                }
                Ok(read) => {
                    Check::warn(name, read.warnings.to_string(), "these parts do not run as they stand there")
                }
                Err(why) => Check::fail(name, format!("{file}: {why}"), "mend it, then `portcullis reload`"),
            }]
        }
        How::Url(url) => {
            let host = url.url.host().unwrap_or_default();
            let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
            if url.url.scheme_str() == Some("http") && !local {
                let found = format!("{host} is spoken to in the clear");
                vec![Check::warn(name, found, "use https:// if the server has it")]
            } else {
                // The rest of an address may hold a secret.
                vec![Check::ok(name, format!("{}://{host}", url.url.scheme_str().unwrap_or_default()))]
            }
        }
    }
}

/// Arguments that are paths, as `./work` is, of which nothing is there.
fn missing(command: &CommandSpec) -> impl Iterator<Item = &str> {
    let from = command.cwd.clone().unwrap_or_default();
    let is_path = |word: &&str| ["/", "./", "../"].iter().any(|start| word.starts_with(start));
    command.args.iter().map(String::as_str).filter(is_path).filter(move |word| !from.join(word).exists())
}

fn program(name: &str, program: &str) -> Check {
    if program.contains('/') {
        let file = std::fs::metadata(Path::new(program));
        return match file {
            Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => Check::ok(name, program),
            Ok(_) => Check::fail(name, format!("{program} is not a program"), format!("chmod +x {program}")),
            Err(error) => Check::fail(name, format!("{program}: {error}"), "install it or change `command`"),
        };
    }
    if on_path(program) {
        return Check::ok(name, format!("`{program}` is in PATH"));
    }
    let advice = match program {
        _ if ON_NODE.contains(&program) || program == "node" => "install Node.js 22 or later".to_owned(),
        "uvx" | "uv" => "install uv, which runs servers that are written in Python".to_owned(),
        _ => "install it, or write its whole path as `command`".to_owned(),
    };
    Check::fail(name, format!("`{program}` is not in PATH"), advice)
}

/// What the running gate says.
pub(super) fn states(status: &Value) -> Vec<Check> {
    let upstreams = status.get("upstreams").and_then(Value::as_array).into_iter().flatten();
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let check = |upstream: &Value| {
        let name = format!("upstream {} in the gate", text(upstream, "name"));
        match text(upstream, "state").as_str() {
            "ready" => {
                let tools = upstream.get("tools").and_then(Value::as_u64);
                Check::ok(name, tools.map_or_else(|| "ready".into(), |tools| format!("ready, {tools} tools")))
            }
            "starting" => {
                Check::warn(name, "starting", "a first start may install it; look again in a minute")
            }
            state => {
                let advice = match (upstream.get("run").and_then(Value::as_str), text(upstream, "kind").as_str())
                {
                    (Some(run), _) => {
                        format!("`portcullis runs logs {run}` shows what it wrote; the gate goes on trying")
                    }
                    (None, "stdio") => "`portcullis runs list --all` names what was started of it, `portcullis runs logs ID` shows \
                                        what that wrote; the gate goes on trying"
                        .to_owned(),
                    _ => "the gate goes on trying".to_owned(),
                };
                Check::fail(name, format!("{state}: {}", text(upstream, "reason")), advice)
            }
        }
    };
    upstreams.map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_not_there_says_what_to_install() {
        assert!(!program("u", "sh").has_failed());
        let check = program("u", "no-such-program-here");
        assert!(check.to_string().contains("whole path"), "{check}");
        assert!(program("u", "/no/such").has_failed());
        assert!(program("u", "/etc/passwd").has_failed());
    }

    #[test]
    fn the_gate_s_word_on_an_upstream_is_passed_on() {
        let status = serde_json::json!({ "upstreams": [
            { "name": "a", "state": "ready", "tools": 3 }, { "name": "b", "state": "down", "reason": "gone" } ] });
        let checks: Vec<String> = states(&status).iter().map(ToString::to_string).collect();
        assert_eq!(checks[0], "ok    upstream a in the gate: ready, 3 tools");
        assert!(checks[1].starts_with("fail  upstream b in the gate: down: gone"), "{}", checks[1]);
    }

    #[test]
    fn only_a_program_s_output_is_pointed_to() {
        let of = |kind: &str, run: serde_json::Value| {
            let down = serde_json::json!({ "name": "b", "kind": kind, "state": "down", "reason": "gone", "run": run });
            states(&serde_json::json!({ "upstreams": [down] }))[0].to_string()
        };
        assert!(of("stdio", "r_1".into()).contains("portcullis runs logs r_1"));
        assert!(of("stdio", serde_json::Value::Null).contains("portcullis runs list --all"));
        assert!(!of("http", serde_json::Value::Null).contains("runs"));
    }
}
