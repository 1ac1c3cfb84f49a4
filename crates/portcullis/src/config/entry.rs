//! One upstream entry, in the shape that MCP clients use.

use http::{HeaderName, HeaderValue, Uri};
use portcullis_admit::{FirstUse, NewTools, PinRules};
use portcullis_document::{Fields, Value, duration, fill};
use portcullis_upstreams::{
    Builtin, BuiltinSpec, CommandSpec, How, Limits, Per, Roots, Spec, Transport, UrlSpec,
};
use std::path::Path;
use std::sync::Arc;

/// Surroundings of an entry.
pub(crate) struct Around<'a> {
    /// The configuration's folder: paths are relative to it.
    pub folder: &'a Path,
    /// Bounds from the configuration.
    pub limits: &'a Limits,
    /// What becomes of definitions that a first connection brings, where an entry does not say.
    pub first: FirstUse,
}

/// Whether a name can be an upstream's: it makes tool prefixes and URIs that part unambiguously.
pub(crate) fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && name.len() <= 20
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Reads one entry; `None` where it is switched off or has mistakes, which are noted.
pub(crate) fn read(name: &str, value: &Value<'_>, around: &Around<'_>) -> Option<Spec> {
    let mut fields = value.fields()?;
    let kind = fields.optional("type").and_then(|kind| {
        kind.word(&[
            ("stdio", "stdio"),
            ("http", "http"),
            ("streamable-http", "http"),
            ("streamableHttp", "http"),
            ("sse", "sse"),
        ])
    });
    let command = fields.optional("command");
    let url = fields.optional("url").or_else(|| fields.optional("httpUrl"));
    let args = fields.optional("args");
    let env = fields.optional("env");
    let cwd = fields.optional("cwd");
    let headers = fields.optional("headers");
    let disabled = fields.optional("disabled").and_then(|value| value.boolean()).unwrap_or(false);
    for ignored in ["autoApprove", "alwaysAllow"] {
        if let Some(value) = fields.optional(ignored) {
            value.warning(format!("`{ignored}` is ignored: the policy decides what passes"), None);
        }
    }
    fields.refuse(
        "headersHelper",
        "a command that makes headers is not run",
        Some("put the value into `headers` with ${env:…} or ${file:…}"),
    );
    let builtin = fields.optional("builtin");
    let config = fields.optional("config");
    let per = fields.optional("per").and_then(|value| {
        value.word(&[("gate", Per::Gate), ("grant", Per::Grant), ("session", Per::Session)])
    });
    let roots = fields.optional("roots").map_or(Some(Roots::None), |value| read_roots(&value, around.folder));
    let forward_headers = read_forwarded(&mut fields);
    let forward_meta = read_forward_meta(&mut fields);
    let timeout = fields.optional("timeout").and_then(|value| read_duration(&value));
    let pins = read_pins(&mut fields, around.first);
    for later in ["sandbox", "tools_prefix"] {
        if let Some(value) = fields.optional(later) {
            value.warning(format!("`{later}` has no effect in this version"), None);
        }
    }
    fields.finish();
    if !is_name(name) {
        value.error(
            format!("`{name}` cannot be an upstream's name: expected [a-z][a-z0-9-]{{0,19}}"),
            Some("lower-case letters, digits and hyphens, at most 20, a letter first"),
        );
    }
    if let (None, Some(config)) = (&builtin, &config) {
        config.error("`config` goes with `builtin`", None);
    }
    let how = match (command, url) {
        (command, url) if let Some(builtin) = &builtin => {
            if let Some(value) = command.or(url) {
                value.error("an upstream has one of `command`, `url` and `builtin`", None);
            }
            How::Builtin(read_builtin(builtin, config, around.folder)?)
        }
        (Some(command), None) if kind.is_none_or(|kind| kind == "stdio") => {
            for (name, value) in [("headers", &headers)] {
                if let Some(value) = value {
                    value.error(format!("`{name}` goes with `url`, not with `command`"), None);
                }
            }
            How::Command(read_command(&command, args, env, cwd, around)?)
        }
        (None, Some(url)) if kind != Some("stdio") => {
            for (name, value) in [("args", &args), ("env", &env), ("cwd", &cwd)] {
                if let Some(value) = value {
                    value.error(format!("`{name}` goes with `command`, not with `url`"), None);
                }
            }
            let transport = match kind {
                Some("sse") => Some(Transport::OldSse),
                Some(_) => Some(Transport::Streamable),
                None => None,
            };
            How::Url(read_url(&url, headers, transport, around.folder)?)
        }
        (Some(command), Some(_)) => {
            command.error("an upstream has `command` or `url`, not both", None);
            return None;
        }
        (None, None) => {
            value.error(
                "expected `command` (a program), `url` (an HTTP endpoint) or `builtin` (a server of our own)",
                None,
            );
            return None;
        }
        (Some(value), None) | (None, Some(value)) => {
            value.error("`type` says another transport than this", None);
            return None;
        }
    };
    if disabled || !is_name(name) {
        return None;
    }
    let mut limits = around.limits.clone();
    if let Some(timeout) = timeout {
        limits.call = timeout;
        limits.call_key = format!("upstreams.{name}.timeout").into();
    }
    Some(Spec {
        name: name.into(),
        how,
        per: per.unwrap_or_default(),
        roots: roots?,
        forward_headers,
        forward_meta,
        limits,
        pins,
    })
}

/// A duration, or the mistake noted.
fn read_builtin(value: &Value<'_>, config: Option<Value<'_>>, folder: &Path) -> Option<BuiltinSpec> {
    let kind = match value.text()? {
        "ssh" | "gateway" => {
            value.error("this built-in server is not part of this version", Some("`services` is"));
            return None;
        }
        _ => value.word(&[("services", Builtin::Services)])?,
    };
    let config = match config {
        Some(config) => config.text()?.to_owned(),
        None => "services.yaml".into(),
    };
    Some(BuiltinSpec { kind, config: folder.join(config) })
}

pub(crate) fn read_duration(value: &Value<'_>) -> Option<std::time::Duration> {
    if let Some(digits) = value.digits() {
        let hint = format!("write `{digits}s` for seconds; there are `ms`, `m`, `h` and `d`, too");
        value.error(format!("expected a duration with its unit, found {digits}"), Some(&hint));
        return None;
    }
    let found = value.text()?;
    let read = duration(found);
    if read.is_none() {
        value.error(format!("expected a duration such as 90s, 10m or 2h, found `{found}`"), None);
    }
    read
}

fn filled(value: &Value<'_>, folder: &Path) -> Option<String> {
    match fill(value.text()?, folder) {
        Ok(text) => Some(text),
        Err(why) => {
            value.error(format!("this value cannot be filled in: {why}"), None);
            None
        }
    }
}

fn read_command(
    command: &Value<'_>,
    args: Option<Value<'_>>,
    env: Option<Value<'_>>,
    cwd: Option<Value<'_>>,
    around: &Around<'_>,
) -> Option<CommandSpec> {
    let program = filled(command, around.folder);
    let args: Vec<Option<String>> = args
        .and_then(|args| args.list())
        .unwrap_or_default()
        .iter()
        .map(|arg| filled(arg, around.folder))
        .collect();
    let mut variables = Vec::new();
    if let Some(entries) = env.and_then(|env| env.entries()) {
        for (entry, value) in entries {
            variables.push(filled(&value, around.folder).map(|value| (entry.key.clone(), value)));
        }
    }
    let cwd = match cwd {
        Some(value) => Some(around.folder.join(filled(&value, around.folder)?)),
        None => Some(around.folder.to_owned()),
    };
    let program = program?;
    // A path with a slash is meant from the configuration's folder, as a shell would from the current one.
    let program = if program.contains('/') && !program.starts_with('/') {
        around.folder.join(&program).to_string_lossy().into_owned()
    } else {
        program
    };
    Some(CommandSpec {
        program,
        args: args.into_iter().collect::<Option<_>>()?,
        env: variables.into_iter().collect::<Option<_>>()?,
        cwd,
    })
}

fn read_url(
    url: &Value<'_>,
    headers: Option<Value<'_>>,
    transport: Option<Transport>,
    folder: &Path,
) -> Option<UrlSpec> {
    let text = filled(url, folder);
    let mut read = Vec::new();
    if let Some(entries) = headers.and_then(|headers| headers.entries()) {
        for (entry, value) in entries {
            let name = HeaderName::try_from(entry.key.as_str());
            let text = filled(&value, folder);
            let header = text.as_deref().and_then(|text| HeaderValue::from_str(text).ok());
            match (name, header, text) {
                (Err(_), ..) => value.error(format!("`{}` is not a header's name", entry.key), None),
                (_, None, Some(_)) => {
                    value.error("this is not a header's value: visible characters only", None)
                }
                (Ok(name), Some(mut header), _) => {
                    header.set_sensitive(true);
                    read.push((name, header));
                }
                _ => {}
            }
        }
    }
    let text = text?;
    match address(&text) {
        Some(url) => Some(UrlSpec { url, headers: read, transport }),
        None => {
            url.error("expected an http:// or https:// address without a user name", None);
            None
        }
    }
}

/// What becomes of definitions that a first connection brings.
pub(crate) fn read_first(fields: &mut Fields<'_>) -> Option<FirstUse> {
    fields.optional("pins")?.word(&[("first_use", FirstUse::Accept), ("ask", FirstUse::Ask)])
}

/// What becomes of definitions that nobody looked at.
fn read_pins(fields: &mut Fields<'_>, otherwise: FirstUse) -> PinRules {
    let first = read_first(fields).unwrap_or(otherwise);
    let new_tools = fields.optional("new_tools").and_then(|value| {
        value.word(&[("ask", NewTools::Ask), ("allow", NewTools::Allow), ("hide", NewTools::Hide)])
    });
    PinRules { first, new_tools: new_tools.unwrap_or_default() }
}

/// The address of a server: http or https, without a user name.
pub(crate) fn address(text: &str) -> Option<Uri> {
    let parsed: Option<Uri> = text.parse().ok();
    parsed.filter(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
    })
}

fn read_roots(value: &Value<'_>, folder: &Path) -> Option<Roots> {
    if let portcullis_document::Kind::Text(_) = value.node().kind {
        let client = value.word(&[("client", true), ("none", false)])?;
        return Some(if client { Roots::Client } else { Roots::None });
    }
    let mut uris = Vec::new();
    for item in value.list()? {
        let path = filled(&item, folder)?;
        uris.push(if path.contains("://") {
            path
        } else {
            format!("file://{}", std::path::absolute(folder.join(&path)).ok()?.display())
        });
    }
    Some(Roots::Fixed(uris))
}

fn read_forwarded(fields: &mut Fields<'_>) -> Vec<String> {
    /// What must never leave: it is the client's proof to us, or ours to frame.
    const NEVER: [&str; 8] = [
        "authorization",
        "connection",
        "content-length",
        "cookie",
        "host",
        "mcp-session-id",
        "proxy-authorization",
        "transfer-encoding",
    ];
    let mut names = Vec::new();
    for item in fields.optional("forward_headers").and_then(|value| value.list()).unwrap_or_default() {
        let Some(name) = item.text() else { continue };
        let lower = name.to_ascii_lowercase();
        if NEVER.contains(&lower.as_str()) {
            item.error(format!("`{name}` is never passed on to an upstream"), None);
        } else if HeaderName::try_from(lower.as_str()).is_err() {
            item.error(format!("`{name}` is not a header's name"), None);
        } else {
            names.push(lower);
        }
    }
    names
}

/// Members of `_meta` that are passed on.
fn read_forward_meta(fields: &mut Fields<'_>) -> Arc<[String]> {
    let mut names = Vec::new();
    for item in fields.optional("forward_meta").and_then(|value| value.list()).unwrap_or_default() {
        let Some(name) = item.text() else { continue };
        if name.starts_with("io.modelcontextprotocol/") || name == "progressToken" {
            item.error(
                format!("`{name}` belongs to the protocol: what of it passes is not configured"),
                None,
            );
        } else if name.is_empty() || name.contains(char::is_control) {
            item.error(format!("`{}` is not the name of a member", name.escape_default()), None);
        } else {
            names.push(name.to_owned());
        }
    }
    names.into()
}
