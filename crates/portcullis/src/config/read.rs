//! The whole file.

use super::entry::{self, Around, read_duration};
use crate::webhook::Webhook;
use portcullis_admit::{Durability, Patience, Values};
use portcullis_document::{Document, Fields, Kind, Problems, Reading, Value, fill, size};
use portcullis_gate::{Options, SessionLimits};
use portcullis_upstreams::{Limits, Spec};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the gate listens when nothing says otherwise.
pub(crate) const LISTEN: &str = "127.0.0.1:7420";

/// What the configuration says.
#[derive(Debug)]
pub(crate) struct Config {
    /// The file.
    pub file: PathBuf,
    /// Where to listen.
    pub listen: String,
    /// The data folder.
    pub data: PathBuf,
    /// Upstreams that are switched on.
    pub upstreams: Vec<Spec>,
    /// Policy files by name.
    pub policies: BTreeMap<String, PathBuf>,
    /// Grants that the file names.
    pub grants: Vec<ConfigGrant>,
    /// Bounds of the gate.
    pub options: Options,
    /// How far a record must have come before its call leaves.
    pub durability: Durability,
    /// What the record keeps of arguments.
    pub values: Values,
    /// How long calls wait for a person.
    pub patience: Patience,
    /// Who is told of calls that wait.
    pub webhook: Option<Webhook>,
    /// How long rows are kept; `None`: for ever.
    pub retain: Option<Duration>,
    /// Whether a changed file is taken by itself.
    pub watch: bool,
    /// What is hardly meant so.
    pub warnings: Problems,
}

/// A grant of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConfigGrant {
    /// Its name.
    pub name: String,
    /// Its token, from outside of the file.
    pub token: String,
    /// Upstream to policy.
    pub upstreams: BTreeMap<String, String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the rules of its policies are only tried.
    pub shadow: bool,
}

/// Reads a configuration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read(file: &Path, text: &str) -> Result<Config, Problems> {
    let document = Document::read_past_mistakes(&file.to_string_lossy(), text)?;
    let reading = Reading::new(&document);
    let config = read_root(file, &reading.root());
    let problems = reading.finish();
    match config {
        Some(config) if !problems.has_errors() => Ok(Config { warnings: problems, ..config }),
        _ => Err(problems),
    }
}

/// The data folder that a configuration names. Needs nothing else of it: a client that starts
/// `portcullis stdio` does not have the secrets of the gate that runs.
pub(crate) fn read_data(file: &Path, text: &str) -> Result<PathBuf, Problems> {
    let document = Document::read(&file.to_string_lossy(), text)?;
    let reading = Reading::new(&document);
    let named = reading.root().fields().and_then(|mut fields| fields.optional("data")?.text());
    let folder = std::path::absolute(folder_of(file)).unwrap_or_else(|_| folder_of(file).to_owned());
    Ok(folder.join(named.unwrap_or(DATA)))
}

/// The data folder where the configuration names none.
const DATA: &str = ".portcullis";

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_root(file: &Path, root: &Value<'_>) -> Option<Config> {
    let folder = std::path::absolute(folder_of(file)).ok()?;
    let mut fields = root.fields()?;
    let listen =
        fields.optional("listen").and_then(|value| read_listen(&value)).unwrap_or_else(|| LISTEN.into());
    let data = fields.optional("data").and_then(|value| value.text()).unwrap_or(DATA);
    let data = folder.join(data);
    if let Some(store) = fields.optional("store")
        && let Some(found) = store.text()
        && found != "sqlite"
    {
        store.error(
            format!("expected `sqlite`, found `{found}`: other stores are not part of this version"),
            None,
        );
    }
    let mut options = Options::default();
    let limits =
        fields.optional("limits").map_or_else(Limits::default, |value| read_limits(&value, &mut options));
    if let Some(hosts) = fields.optional("hosts") {
        for host in hosts.list().unwrap_or_default() {
            options.hosts.extend(host.text().map(str::to_ascii_lowercase));
        }
    }
    let mut upstreams = Vec::new();
    let first = entry::read_first(&mut fields).unwrap_or_default();
    let around = Around { folder: &folder, limits: &limits, first };
    if let Some(entries) = fields.optional("upstreams").and_then(|value| value.entries()) {
        for (entry, value) in entries {
            upstreams.extend(entry::read(&entry.key, &value, &around));
        }
    }
    let policies = read_texts(fields.optional("policies"))
        .into_iter()
        .map(|(name, path)| (name, folder.join(path)))
        .collect();
    let grants = read_grants(fields.optional("grants"), &folder, &policies);
    let (durability, values, retain) = fields
        .optional("ledger")
        .map_or((Durability::default(), Values::default(), None), |value| read_ledger(&value));
    let (patience, webhook) =
        fields.optional("approvals").map(|value| read_approvals(&value, &folder)).unwrap_or_default();
    let watch = fields.optional("watch").and_then(|value| value.boolean()).unwrap_or(false);
    refuse_later(&mut fields);
    fields.finish();
    Some(Config {
        file: file.to_owned(),
        listen,
        data,
        upstreams,
        policies,
        grants,
        options,
        durability,
        values,
        patience,
        webhook,
        retain,
        watch,
        warnings: Problems::new(portcullis_document::Source::new("", "")),
    })
}

/// Words of the whole product that this version does not act on. What would make the gate less safe than its
/// author believes is an error, the rest a warning.
fn refuse_later(fields: &mut Fields<'_>) {
    for (key, why) in [
        ("tls", "TLS on the listener is not part of this version: put a proxy that ends TLS in front"),
        ("jwt", "JWT identities are not part of this version"),
        ("views", "views are not part of this version"),
        ("operator", "a remote operator is not part of this version: the control socket is local"),
    ] {
        fields.refuse(key, why, None);
    }
    if let Some(value) = fields.optional("discovery") {
        value.warning("`discovery` has no effect in this version", None);
    }
}

fn read_listen(value: &Value<'_>) -> Option<String> {
    if let Some(port) = value.digits() {
        let hint = format!("write `127.0.0.1:{port}`");
        value.error(format!("expected an address and port, found {port}"), Some(&hint));
        return None;
    }
    let text = value.text()?;
    if text.parse::<SocketAddr>().is_err() && !is_local_name(text) {
        value.error(format!("expected an address and port such as {LISTEN}, found `{text}`"), None);
        return None;
    }
    Some(text.to_owned())
}

fn is_local_name(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| host == "localhost" && port.parse::<u16>().is_ok())
}

/// Whether an address is reached from this machine alone.
pub(crate) fn is_loopback(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback(),
    }
}

/// How long calls wait for a person, and who is told of them.
fn read_approvals(value: &Value<'_>, folder: &Path) -> (Patience, Option<Webhook>) {
    let mut patience = Patience::default();
    let Some(mut fields) = value.fields() else { return (patience, None) };
    if let Some(wait) = fields.optional("wait").and_then(|value| read_duration(&value)) {
        patience.wait = wait;
    }
    if let Some(timeout) = fields.optional("timeout").and_then(|value| read_duration(&value)) {
        patience.timeout = timeout;
    }
    let webhook = fields.optional("webhook").filter(|value| !matches!(value.node().kind, Kind::Null));
    let webhook = webhook.and_then(|value| read_webhook(&value, folder));
    fields.finish();
    (patience, webhook)
}

fn read_webhook(value: &Value<'_>, folder: &Path) -> Option<Webhook> {
    let mut fields = value.fields()?;
    let url = fields.required("url").and_then(|value| {
        let text = value.text()?;
        let url: Option<http::Uri> = text.parse().ok();
        let host = |url: &http::Uri| url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
        let local = |host: &str| {
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        let good = url.filter(|url| match url.scheme_str() {
            Some("https") => url.host().is_some(),
            // What is told is for nobody on the way.
            Some("http") => host(url).is_some_and(|host| local(&host)),
            _ => false,
        });
        if good.is_none() {
            value.error(
                format!("expected an https address, or an http one of this machine, found {text:?}"),
                None,
            );
        }
        good
    });
    let secret = fields.required("secret").and_then(|secret| read_token(&secret, folder));
    fields.finish();
    Some(Webhook { url: url?, secret: secret? })
}

fn read_limits(value: &Value<'_>, options: &mut Options) -> Limits {
    let mut limits = Limits::default();
    let Some(mut fields) = value.fields() else { return limits };
    if let Some(call) = fields.optional("call").and_then(|value| read_duration(&value)) {
        limits.call = call;
    }
    if let Some(wait) = fields.optional("first_connect").and_then(|value| read_duration(&value)) {
        limits.first_connect = wait;
    }
    if let Some(bytes) = fields.optional("message").and_then(|value| read_message(&value)) {
        limits.message = bytes;
        options.message = bytes;
    }
    let mut sessions = SessionLimits::default();
    if let Some(number) = fields.optional("sessions_per_grant").and_then(|value| read_count(&value)) {
        sessions.per_grant = number;
    }
    if let Some(idle) = fields.optional("session_idle").and_then(|value| read_duration(&value)) {
        sessions.idle = idle;
    }
    if let Some(number) = fields.optional("calls").and_then(|value| read_count(&value)) {
        options.calls = number;
    }
    if let Some(number) = fields.optional("tasks_per_grant").and_then(|value| read_count(&value)) {
        options.tasks = number;
    }
    options.sessions = sessions;
    fields.finish();
    limits
}

/// A size in bytes, as text with a unit or as a plain number.
fn read_message(value: &Value<'_>) -> Option<usize> {
    let found = match &value.node().kind {
        Kind::Number(digits) => digits,
        _ => value.text()?,
    };
    let bytes = size(found).filter(|bytes| *bytes >= 1024);
    if bytes.is_none() {
        value.error(format!("expected a size of at least 1KiB such as 16MiB, found `{found}`"), None);
    }
    bytes
}

fn read_count(value: &Value<'_>) -> Option<usize> {
    let number = value.number()?.parse().ok().filter(|number| *number > 0);
    if number.is_none() {
        value.mismatch("a whole number above 0", None);
    }
    number
}

fn read_ledger(value: &Value<'_>) -> (Durability, Values, Option<Duration>) {
    let Some(mut fields) = value.fields() else { return (Durability::default(), Values::default(), None) };
    let durability = fields.optional("durability").and_then(|value| {
        value.word(&[
            ("process", Durability::Process),
            ("risky", Durability::Risky),
            ("every", Durability::Every),
        ])
    });
    let values = fields.optional("values").and_then(|value| {
        value.word(&[("redact", Values::Redact), ("keep", Values::Keep), ("digest", Values::Digest)])
    });
    let retain = fields.optional("retain").and_then(|value| read_duration(&value));
    fields.finish();
    (durability.unwrap_or_default(), values.unwrap_or_default(), retain)
}

fn read_texts(value: Option<Value<'_>>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    if let Some(entries) = value.and_then(|value| value.entries()) {
        for (entry, value) in entries {
            if let Some(text) = value.text() {
                texts.insert(entry.key.clone(), text.to_owned());
            }
        }
    }
    texts
}

fn read_grants(
    value: Option<Value<'_>>,
    folder: &Path,
    policies: &BTreeMap<String, PathBuf>,
) -> Vec<ConfigGrant> {
    let mut grants = Vec::new();
    let Some(entries) = value.and_then(|value| value.entries()) else { return grants };
    for (entry, value) in entries {
        let Some(mut fields) = value.fields() else { continue };
        let token = fields.required("token").and_then(|token| read_token(&token, folder));
        let upstreams = fields.required("upstreams");
        if let Some(entries) = upstreams.as_ref().and_then(|upstreams| upstreams.entries()) {
            for (_, policy) in entries {
                if let Some(name) = policy.text()
                    && !policies.contains_key(name)
                {
                    policy.error(format!("there is no policy named `{name}` under `policies`"), None);
                }
            }
        }
        let upstreams = read_texts(upstreams);
        let labels = read_texts(fields.optional("labels"));
        let shadow = fields.optional("shadow").and_then(|value| value.boolean()).unwrap_or(false);
        fields.finish();
        if let Some(token) = token {
            grants.push(ConfigGrant { name: entry.key.clone(), token, upstreams, labels, shadow });
        }
    }
    grants
}

fn read_token(value: &Value<'_>, folder: &Path) -> Option<String> {
    let text = value.text()?;
    if !(text.starts_with("${") && text.ends_with('}')) {
        value.error("a token does not stand in the file", Some("write ${env:NAME} or ${file:PATH}"));
        return None;
    }
    match fill(text, folder) {
        Ok(token) if token.len() >= 8 => Some(token),
        Ok(_) => {
            value.error("this token is shorter than 8 characters", None);
            None
        }
        Err(why) => {
            value.error(format!("this token cannot be filled in: {why}"), None);
            None
        }
    }
}
