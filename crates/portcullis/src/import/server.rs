//! One server of another client as one of ours.

use super::client::Found;
use super::registry::WHY_NOT;
use serde_json::{Map, Value, json};
use std::path::Path;

/// A server; its texts are in the notation of `portcullis.yaml`, references and all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Server {
    /// A program.
    Command { command: String, args: Vec<String>, env: Vec<(String, String)>, cwd: Option<String> },
    /// An endpoint.
    Url { url: String, transport: Option<&'static str>, headers: Vec<(String, String)> },
}

/// Words by which a client says that a server needs what this version does not do.
const NOT_DONE: [(&str, &str); 5] = [
    ("headersHelper", "a command makes its headers (`headersHelper`), which the gate does not run"),
    ("oauth", "it signs in with OAuth, which this version does not do for upstreams"),
    ("authProviderType", "it signs in with OAuth, which this version does not do for upstreams"),
    ("envFile", "it reads variables from `envFile`; set them in `env` with ${env:…} or ${file:…}"),
    ("tcp", "it speaks over a WebSocket, which is no transport of MCP"),
];

impl Server {
    /// Reads an entry.
    ///
    /// # Errors
    /// Why it cannot be one of ours.
    pub(crate) fn of(found: &Found) -> Result<Self, String> {
        let Value::Object(entry) = &found.entry else {
            return Err("expected a map, found something else".into());
        };
        if let Some(why) = entry.get(WHY_NOT).and_then(Value::as_str) {
            return Err(why.to_owned());
        }
        if is(entry, "disabled", true) || is(entry, "enabled", false) {
            return Err("it is switched off there".into());
        }
        if let Some((_, why)) = NOT_DONE.iter().find(|(key, _)| entry.contains_key(*key)) {
            return Err((*why).into());
        }
        let project = found.project.as_deref();
        let text = |text: &str| translate(text, found.file.client, project);
        if let Some(command) = entry.get("command").and_then(Value::as_str) {
            let mut env = pairs(entry, "env", &text)?;
            for name in entry.get("env_vars").and_then(Value::as_array).into_iter().flatten() {
                let name = name.as_str().ok_or("`env_vars` holds more than names")?;
                env.push((name.to_owned(), reference(name, project)?));
            }
            let args = entry.get("args").and_then(Value::as_array).cloned().unwrap_or_default();
            let args = args.iter().map(|arg| text(&plain(arg).ok_or("`args` holds more than texts")?));
            let cwd = entry.get("cwd").and_then(Value::as_str).map(&text).transpose()?;
            return Ok(Self::Command {
                command: rooted(text(command)?, project, true),
                args: args.collect::<Result<_, _>>()?,
                env,
                cwd: match (cwd, project) {
                    (Some(cwd), project) => Some(rooted(cwd, project, false)),
                    // A client starts a project's servers in the project.
                    (None, Some(project)) => Some(escape(&project.to_string_lossy())),
                    (None, None) => None,
                },
            });
        }
        let streamable = entry.get("httpUrl").and_then(Value::as_str);
        let Some(url) = streamable.or_else(|| entry.get("url").and_then(Value::as_str)) else {
            return Err("expected `command` or `url`, found neither".into());
        };
        let transport = match entry.get("type").and_then(Value::as_str) {
            Some("http" | "streamable-http" | "streamableHttp") => Some("http"),
            Some("sse") => Some("sse"),
            Some(other) => return Err(format!("its transport `{other}` is not one of MCP's")),
            None if streamable.is_some() => Some("http"),
            // Gemini means the older transport by `url`.
            None if found.file.client == "Gemini" => Some("sse"),
            None => None,
        };
        let mut headers = pairs(entry, "headers", &text)?;
        headers.extend(pairs(entry, "http_headers", &text)?);
        for (name, variable) in pairs(entry, "env_http_headers", &|name: &str| reference(name, project))? {
            headers.push((name, variable));
        }
        if let Some(variable) = entry.get("bearer_token_env_var").and_then(Value::as_str) {
            headers.push(("Authorization".into(), format!("Bearer {}", reference(variable, project)?)));
        }
        Ok(Self::Url { url: text(url)?, transport, headers })
    }

    /// Variables of the environment that the gate has to have to start or reach it.
    pub(crate) fn variables(&self) -> Vec<String> {
        let values: Vec<&String> = match self {
            Self::Command { command, args, env, cwd } => {
                let env = env.iter().map(|(_, value)| value);
                std::iter::once(command).chain(args).chain(env).chain(cwd).collect()
            }
            Self::Url { url, headers, .. } => {
                std::iter::once(url).chain(headers.iter().map(|(_, value)| value)).collect()
            }
        };
        let mut names = Vec::new();
        values.into_iter().for_each(|value| names.extend(variables_in(value)));
        names
    }

    /// How it is reached, in one word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Command { .. } => "stdio",
            Self::Url { transport: Some("sse"), .. } => "sse",
            Self::Url { .. } => "http",
        }
    }

    /// Its entry, in the order in which people write one.
    pub(crate) fn members(&self) -> Vec<(&'static str, Value)> {
        let map = |pairs: &[(String, String)]| {
            Value::Object(pairs.iter().map(|(key, text)| (key.clone(), text.as_str().into())).collect())
        };
        let mut members = Vec::new();
        match self {
            Self::Command { command, args, env, cwd } => {
                members.push(("command", json!(command)));
                members.extend((!args.is_empty()).then(|| ("args", json!(args))));
                members.extend((!env.is_empty()).then(|| ("env", map(env))));
                members.extend(cwd.as_ref().map(|cwd| ("cwd", json!(cwd))));
            }
            Self::Url { url, transport, headers } => {
                members.extend(transport.map(|transport| ("type", json!(transport))));
                members.push(("url", json!(url)));
                members.extend((!headers.is_empty()).then(|| ("headers", map(headers))));
            }
        }
        members
    }

    /// Whether it is a gate on this address: what stands behind it must not be the gate itself.
    pub(crate) fn is_the_gate(&self, listen: &str) -> bool {
        match self {
            Self::Command { command, args, .. } => {
                let program = Path::new(command).file_name().and_then(|name| name.to_str());
                program == Some("portcullis") && args.iter().any(|arg| arg == "stdio")
            }
            Self::Url { url, .. } => url.parse::<http::Uri>().is_ok_and(|url| {
                let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
                let local = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]"));
                let named = url.authority().is_some_and(|authority| authority.as_str() == listen);
                named || (local && url.port_u16() == port)
            }),
        }
    }
}

/// The variables that a value of `portcullis.yaml` names and cannot do without.
pub(crate) fn variables_in(value: &str) -> Vec<String> {
    // A literal dollar is written twice.
    let value = value.replace("$$", "");
    let inside = value.split("${").skip(1).filter_map(|from| from.split('}').next());
    let named = inside.map(|name| name.strip_prefix("env:").unwrap_or(name));
    named.filter(|name| !name.contains(':')).map(str::to_owned).collect()
}

fn is(entry: &Map<String, Value>, key: &str, wanted: bool) -> bool {
    entry.get(key).and_then(Value::as_bool) == Some(wanted)
}

/// Clients take numbers and truth values where texts are meant.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

fn pairs(
    entry: &Map<String, Value>,
    key: &str,
    text: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (name, value) in entry.get(key).and_then(Value::as_object).into_iter().flatten() {
        let value = plain(value).ok_or_else(|| format!("`{key}` holds more than texts"))?;
        pairs.push((name.clone(), text(&value)?));
    }
    Ok(pairs)
}

/// A path as the project's own programs would see it; a program without a slash is looked for in PATH.
fn rooted(path: String, project: Option<&Path>, program: bool) -> String {
    match project {
        Some(project) if !path.starts_with(['/', '$']) && (!program || path.contains('/')) => {
            escape(&project.join(&path).to_string_lossy())
        }
        _ => path,
    }
}

fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

/// A client's text in our notation. References to the environment stay references, those that only the client
/// can resolve are resolved or refused.
fn translate(text: &str, client: &str, project: Option<&Path>) -> Result<String, String> {
    match client {
        "opencode" => return translate_opencode(text, project),
        // A dollar means nothing to these, and so what they start gets it.
        "Claude Desktop" | "Cline" | "Codex" | "Zed" => return Ok(escape(text)),
        _ => {}
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('$') {
        out.push_str(before);
        let inside = from.strip_prefix('{').and_then(|inside| inside.split_once('}'));
        let bare = from.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(from.len());
        if let Some((name, after)) = inside {
            out.push_str(&reference(name, project)?);
            rest = after;
        } else if client == "Gemini" && bare > 0 {
            let (name, after) = from.split_at_checked(bare).unwrap_or((from, ""));
            out.push_str(&reference(name, project)?);
            rest = after;
        } else {
            out.push_str("$$");
            rest = from;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// opencode writes `{env:NAME}` and `{file:PATH}`; a dollar means nothing to it.
fn translate_opencode(text: &str, project: Option<&Path>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('{') {
        out.push_str(&escape(before));
        let inside = from.split_once('}');
        match inside {
            Some((name, after)) if name.starts_with("env:") => {
                out.push_str(&reference(name, project)?);
                rest = after;
            }
            Some((name, _)) if name.starts_with("file:") => {
                return Err(format!(
                    "it reads `{{{name}}}`: put the value in its place, or write ${{file:PATH}}"
                ));
            }
            _ => {
                out.push('{');
                rest = from;
            }
        }
    }
    out.push_str(&escape(rest));
    Ok(out)
}

fn reference(name: &str, project: Option<&Path>) -> Result<String, String> {
    let unknown = || format!("`${{{name}}}` means something to its client alone: put the value in its place");
    match name {
        "userHome" => {
            return super::client::home().map(|home| escape(&home.to_string_lossy())).ok_or_else(unknown);
        }
        "workspaceFolder" => {
            return project.map(|project| escape(&project.to_string_lossy())).ok_or_else(unknown);
        }
        "pathSeparator" | "/" => return Ok("/".into()),
        _ => {}
    }
    let variable = name.strip_prefix("env:").unwrap_or(name);
    let (variable, default) = match variable.split_once(":-") {
        Some((variable, default)) => (variable, Some(default)),
        None => (variable, None),
    };
    if variable.is_empty() || !variable.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(unknown());
    }
    if default.is_none() && std::env::var_os(variable).is_none() {
        return Err(format!(
            "the environment variable `{variable}` is not set here: set it and import again"
        ));
    }
    Ok(match default {
        Some(default) => format!("${{env:{variable}:-{default}}}"),
        None => format!("${{env:{variable}}}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::client::ClientFile;

    fn found(client: &'static str, entry: Value, project: Option<&str>) -> Found {
        let file = ClientFile { client, path: "/x".into() };
        Found { file, under: Vec::new(), name: "x".into(), entry, project: project.map(Into::into) }
    }

    fn read(client: &'static str, entry: Value) -> Result<Server, String> {
        Server::of(&found(client, entry, None))
    }

    #[test]
    fn references_to_the_environment_stay_and_a_literal_dollar_is_escaped() {
        let entry = json!({ "command": "x", "args": ["${PATH}", "${env:PATH}", "${NO_SUCH:-d}", "a$b$"] });
        let Server::Command { args, .. } = read("Claude Code", entry).unwrap() else { panic!() };
        assert_eq!(args, ["${env:PATH}", "${env:PATH}", "${env:NO_SUCH:-d}", "a$$b$$"]);
        let entry = json!({ "command": "x", "args": ["$PATH/y"] });
        let Server::Command { args, .. } = read("Gemini", entry).unwrap() else { panic!() };
        assert_eq!(args, ["${env:PATH}/y"]);
    }

    #[test]
    fn a_dollar_is_one_where_it_means_nothing_to_the_client() {
        let entry = json!({ "command": "sh", "args": ["-c", "x ${NO_SUCH_VARIABLE}"], "env_vars": ["PATH"] });
        for client in ["Claude Desktop", "Cline", "Codex", "Zed"] {
            let Server::Command { args, env, .. } = read(client, entry.clone()).unwrap() else { panic!() };
            assert_eq!(args, ["-c", "x $${NO_SUCH_VARIABLE}"]);
            assert_eq!(env, [("PATH".into(), "${env:PATH}".into())]);
        }
    }

    #[test]
    fn opencode_s_references_are_its_own() {
        let entry = json!({ "command": "x", "args": ["{env:PATH}", "${PATH}", "{a}", "5$"] });
        let server = read("opencode", entry).unwrap();
        assert_eq!(server.variables(), ["PATH"]);
        let Server::Command { args, .. } = server else { panic!() };
        assert_eq!(args, ["${env:PATH}", "$${PATH}", "{a}", "5$$"]);
        assert!(read("opencode", json!({ "url": "https://a/{file:x}" })).unwrap_err().contains("{file:x}"));
    }

    #[test]
    fn what_cannot_be_taken_over_says_why() {
        for (entry, why) in [
            (json!({ "url": "https://a/b", "headersHelper": "x" }), "headersHelper"),
            (json!({ "command": "x", "args": ["${input:key}"] }), "its client alone"),
            (json!({ "command": "x", "args": ["${NO_SUCH_VARIABLE}"] }), "not set here"),
            (json!({ "command": "x", "disabled": true }), "switched off"),
            (json!({ "url": "ws://a", "type": "ws" }), "transport"),
            (json!({}), "neither"),
            (json!(3), "expected a map"),
        ] {
            let said = read("VS Code", entry.clone()).unwrap_err();
            assert!(said.contains(why), "{entry}: {said}");
        }
    }

    #[test]
    fn codex_and_gemini_have_words_of_their_own() {
        let entry =
            json!({ "url": "https://a/b", "bearer_token_env_var": "PATH", "http_headers": { "X": "y" } });
        let Server::Url { headers, transport, .. } = read("Codex", entry).unwrap() else { panic!() };
        assert_eq!(
            headers,
            [("X".into(), "y".into()), ("Authorization".into(), "Bearer ${env:PATH}".into())]
        );
        assert_eq!(transport, None);
        assert_eq!(read("Gemini", json!({ "url": "https://a/b" })).unwrap().kind(), "sse");
        assert_eq!(read("Gemini", json!({ "httpUrl": "https://a/b" })).unwrap().kind(), "http");
    }

    #[test]
    fn a_project_s_server_runs_in_the_project() {
        let entry = json!({ "command": "./bin/x" });
        let server = Server::of(&found("Claude Code", entry, Some("/p"))).unwrap();
        let Server::Command { command, cwd, .. } = server else { panic!() };
        assert_eq!((command.as_str(), cwd.as_deref()), ("/p/./bin/x", Some("/p")));
    }

    #[test]
    fn the_gate_itself_is_recognised() {
        let gate = read("Cursor", json!({ "url": "http://localhost:7420/mcp" })).unwrap();
        assert!(gate.is_the_gate("127.0.0.1:7420"));
        assert!(!gate.is_the_gate("127.0.0.1:7421"));
        let gate = read("Cursor", json!({ "command": "/usr/bin/portcullis", "args": ["stdio"] })).unwrap();
        assert!(gate.is_the_gate("127.0.0.1:7421"));
    }
}
