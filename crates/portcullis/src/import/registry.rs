//! Servers as a registry describes them (`server.json`, schema 2025-12-11; one, or a page of a registry's list), as entries in
//! the shape that clients write.
//!
//! What only its user can know, such as a token, becomes a reference to a variable of the environment.

use serde_json::{Map, Value, json};

/// The member of an entry that says why there is none.
pub(crate) const WHY_NOT: &str = "whyNot";

/// The servers that a document describes, each by the last part of its name, with its entry or why there is none. `None` where
/// it describes none.
pub(crate) fn entries(document: &Value) -> Option<Vec<(String, Result<Value, String>)>> {
    let is_one = |value: &Value| {
        value.get("name").is_some_and(Value::is_string)
            && (value.get("packages").is_some_and(Value::is_array)
                || value.get("remotes").is_some_and(Value::is_array))
    };
    let one = |value: &Value| {
        let server = value.get("server").unwrap_or(value);
        is_one(server).then(|| (name(server), entry(server)))
    };
    match document.get("servers") {
        Some(Value::Array(servers)) => Some(servers.iter().filter_map(one).collect()),
        _ => Some(vec![one(document)?]),
    }
}

fn name(server: &Value) -> String {
    let name = server.get("name").and_then(Value::as_str).unwrap_or_default();
    name.rsplit('/').next().unwrap_or(name).to_owned()
}

/// A program of a package where there is one that the gate can start, else an address.
fn entry(server: &Value) -> Result<Value, String> {
    // Whoever wrote it could ask for any variable of its user's.
    if server.to_string().contains("${") {
        return Err("it has references `${…}` of its own, which no registry has".to_owned());
    }
    let all = |member: &str| server.get(member).and_then(Value::as_array).into_iter().flatten();
    let mut why = "it has neither packages nor remotes".to_owned();
    for package in all("packages") {
        match of_package(package) {
            Ok(entry) => return Ok(entry),
            Err(cannot) => why = cannot,
        }
    }
    // The newer transport first.
    for kind in ["streamable-http", "sse"] {
        if let Some(remote) = all("remotes").find(|remote| text(remote, "type") == Some(kind)) {
            return of_remote(remote, kind);
        }
    }
    Err(why)
}

fn of_package(package: &Value) -> Result<Value, String> {
    let kind = text(package, "registryType").unwrap_or_default();
    let transport = package.get("transport").and_then(|transport| text(transport, "type")).unwrap_or("stdio");
    if transport != "stdio" {
        return Err(format!("its package speaks {transport}: start it yourself, and give its address"));
    }
    let identifier = text(package, "identifier").ok_or("its package has no `identifier`")?;
    let version = text(package, "version").filter(|version| !version.is_empty());
    let at = |sign: &str| {
        version.map_or_else(|| identifier.to_owned(), |version| format!("{identifier}{sign}{version}"))
    };
    let (program, before, what) = match kind {
        "npm" => ("npx", vec!["-y"], at("@")),
        "pypi" => ("uvx", vec![], at("@")),
        "nuget" => ("dnx", vec!["--yes"], at("@")),
        // An image has its version in its name, or none.
        "oci" => ("docker", vec!["run", "-i", "--rm"], identifier.to_owned()),
        other => return Err(format!("its package is of the kind `{other}`, which the gate does not start")),
    };
    let program = text(package, "runtimeHint").unwrap_or(program);
    let ours: Vec<String> = before.into_iter().map(str::to_owned).collect();
    let mut args = ours.clone();
    let mut env = Map::new();
    for variable in package.get("environmentVariables").and_then(Value::as_array).into_iter().flatten() {
        let name = text(variable, "name").ok_or("a variable of its package has no name")?;
        if let Some(value) = value(variable, name) {
            env.insert(name.to_owned(), value.into());
        }
    }
    // What we say ourselves may be said there too.
    args.extend(
        arguments(package, "runtimeArguments")?.into_iter().filter(|argument| !ours.contains(argument)),
    );
    if kind == "oci" {
        // A container has the variables that it is given.
        env.keys().for_each(|name| args.extend(["-e".to_owned(), name.clone()]));
    }
    args.push(what);
    args.extend(arguments(package, "packageArguments")?);
    Ok(json!({ "command": program, "args": args, "env": env }))
}

fn of_remote(remote: &Value, kind: &str) -> Result<Value, String> {
    let url = text(remote, "url").ok_or("its address is missing")?;
    let mut headers = Map::new();
    for header in remote.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let name = text(header, "name").ok_or("a header has no name")?;
        if let Some(value) = value(header, name) {
            headers.insert(name.to_owned(), value.into());
        }
    }
    Ok(json!({ "type": kind, "url": filled(url, remote), "headers": headers }))
}

fn arguments(package: &Value, member: &str) -> Result<Vec<String>, String> {
    let mut args = Vec::new();
    for argument in package.get(member).and_then(Value::as_array).into_iter().flatten() {
        let hint = text(argument, "valueHint").or(text(argument, "name")).unwrap_or("argument");
        match text(argument, "type") {
            Some("positional") => args.extend(value(argument, hint)),
            Some("named") => {
                let name = text(argument, "name").ok_or("a named argument has no name")?;
                let has_value = ["value", "default", "valueHint"].iter().any(|it| argument.get(it).is_some());
                match value(argument, hint) {
                    Some(value) if has_value => args.extend([name.to_owned(), value]),
                    // A flag.
                    Some(_) => args.push(name.to_owned()),
                    None if !has_value => args.push(name.to_owned()),
                    None => {}
                }
            }
            other => return Err(format!("an argument is of the kind `{}`", other.unwrap_or("(none)"))),
        }
    }
    Ok(args)
}

/// The value of an input, or where only its user knows it a reference; nothing where it may be left out.
fn value(input: &Value, name: &str) -> Option<String> {
    let given = text(input, "value").or(text(input, "default"));
    let required = input.get("isRequired") == Some(&Value::Bool(true));
    given.map(|given| filled(given, input)).or_else(|| required.then(|| reference(name)))
}

/// A text with its variables `{name}`: those with a value by that, the others by a reference.
fn filled(template: &str, input: &Value) -> String {
    let mut out = template.to_owned();
    for (name, variable) in input.get("variables").and_then(Value::as_object).into_iter().flatten() {
        let given = text(variable, "value")
            .or(text(variable, "default"))
            .map_or_else(|| reference(name), str::to_owned);
        out = out.replace(&format!("{{{name}}}"), &given);
    }
    out
}

/// `github-token` as `${env:GITHUB_TOKEN}`.
fn reference(name: &str) -> String {
    let plain = name.trim_start_matches('-').chars();
    let upper: String = plain
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .collect();
    format!("${{env:{upper}}}")
}

fn text<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.get(member).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(document: &Value) -> Result<Value, String> {
        entries(document).unwrap().remove(0).1
    }

    #[test]
    fn a_package_becomes_the_program_that_starts_it() {
        let server = json!({ "name": "io.example/files", "description": "", "version": "1.2.0", "packages": [{
            "registryType": "npm", "identifier": "@example/files", "version": "1.2.0", "transport": { "type": "stdio" },
            "packageArguments": [
                { "type": "positional", "valueHint": "root_dir", "isRequired": true },
                { "type": "named", "name": "--mode", "default": "ro" }, { "type": "named", "name": "--quiet" },
                { "type": "named", "name": "--log", "valueHint": "file" },
                { "type": "positional", "value": "{place}/x", "variables": { "place": { "default": "/tmp" } } } ],
            "environmentVariables": [{ "name": "API_KEY", "isRequired": true, "isSecret": true }, { "name": "LEVEL" }, { "name": "A", "value": "1" }],
        }] });
        let expected = json!({ "command": "npx", "args": ["-y", "@example/files@1.2.0", "${env:ROOT_DIR}", "--mode", "ro", "--quiet", "/tmp/x"],
            "env": { "A": "1", "API_KEY": "${env:API_KEY}" } });
        assert_eq!(only(&server), Ok(expected));
        let pypi = json!({ "name": "x/y", "packages": [{ "registryType": "pypi", "identifier": "y", "version": "2", "runtimeHint": "uvx" }] });
        assert_eq!(only(&pypi), Ok(json!({ "command": "uvx", "args": ["y@2"], "env": {} })));
        let image = json!({ "name": "x/y", "packages": [{ "registryType": "oci", "identifier": "r.example/y:2", "runtimeArguments":
            [{ "type": "named", "name": "--rm" }], "environmentVariables": [{ "name": "T", "isRequired": true }] }] });
        let args = json!(["run", "-i", "--rm", "-e", "T", "r.example/y:2"]);
        assert_eq!(
            only(&image),
            Ok(json!({ "command": "docker", "args": args, "env": { "T": "${env:T}" } }))
        );
    }

    #[test]
    fn what_cannot_be_started_is_reached_by_its_address_or_says_why_not() {
        let remotes = json!([
            { "type": "sse", "url": "https://old.example/sse" },
            { "type": "streamable-http", "url": "https://{tenant}.example/mcp", "variables": { "tenant": {} },
              "headers": [{ "name": "Authorization", "value": "Bearer {token}", "variables": { "token": { "isRequired": true } } }, { "name": "X-Key", "isRequired": true }] },
        ]);
        let server = json!({ "name": "x/y", "packages": [{ "registryType": "mcpb", "identifier": "y" }], "remotes": remotes });
        let expected = json!({ "type": "streamable-http", "url": "https://${env:TENANT}.example/mcp",
            "headers": { "Authorization": "Bearer ${env:TOKEN}", "X-Key": "${env:X_KEY}" } });
        assert_eq!(only(&server), Ok(expected));
        let bundle = json!({ "name": "x/y", "packages": [{ "registryType": "mcpb", "identifier": "y" }] });
        assert!(only(&bundle).unwrap_err().contains("`mcpb`"));
        let curious = json!({ "name": "x/y", "remotes": [{ "type": "sse", "url": "https://x.example/?k=${env:AWS_SECRET_ACCESS_KEY}" }] });
        assert!(only(&curious).unwrap_err().contains("references"));
    }

    #[test]
    fn a_page_of_a_registry_has_many_and_a_clients_file_none() {
        let one = json!({ "name": "x/one", "remotes": [{ "type": "sse", "url": "https://one.example" }] });
        let page = json!({ "servers": [{ "server": one, "_meta": {} }, { "server": { "name": "x/none" } }], "metadata": { "count": 2 } });
        let names: Vec<String> = entries(&page).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["one"]);
        assert_eq!(entries(&json!({ "servers": { "a": { "command": "a" } } })), None);
        assert_eq!(entries(&json!({ "mcpServers": {} })), None);
    }
}
