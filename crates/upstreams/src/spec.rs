//! One entry of the configuration, parsed.

use http::{HeaderName, HeaderValue, Uri};
use portcullis_admit::PinRules;
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How to reach a server and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its name: `[a-z][a-z0-9-]{0,19}`.
    pub name: Arc<str>,
    /// Where it is.
    pub how: How,
    /// Who shares a process of it.
    pub per: Per,
    /// Which roots it is told of.
    pub roots: Roots,
    /// Client headers that go with a call, in lower case.
    pub forward_headers: Vec<String>,
    /// Members of `_meta` that go with a request, beside those of the protocol.
    pub forward_meta: Arc<[String]>,
    /// Bounds.
    pub limits: Limits,
    /// What becomes of its definitions.
    pub pins: PinRules,
}

impl Spec {
    /// What tells this server from another one, without the values of secrets: a token may be another one tomorrow.
    pub(crate) fn entry(&self) -> String {
        match &self.how {
            How::Command(CommandSpec { program, args, env, cwd }) => {
                let names: Vec<&str> = env.iter().map(|(name, _)| name.as_str()).collect();
                format!("{program:?} {args:?} {names:?} {cwd:?}")
            }
            How::Url(UrlSpec { url, .. }) => url.to_string(),
            How::Builtin(BuiltinSpec { kind, .. }) => format!("{kind:?}"),
        }
    }
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// A program on this machine that speaks on stdin and stdout.
    Command(CommandSpec),
    /// An HTTP endpoint.
    Url(UrlSpec),
    /// A server that the program has in itself.
    Builtin(BuiltinSpec),
}

/// A built-in server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltinSpec {
    /// Which.
    pub kind: Builtin,
    /// Its own configuration.
    pub config: PathBuf,
}

/// The built-in servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// Local services and commands.
    Services,
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// The program.
    pub program: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables beside the allow-list.
    pub env: Vec<(String, String)>,
    /// Where it runs.
    pub cwd: Option<PathBuf>,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UrlSpec {
    /// Its address.
    pub url: Uri,
    /// Headers with every request; values are secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The transport, where the entry says it.
    pub transport: Option<Transport>,
}

/// The two HTTP transports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Streamable HTTP (2025-03-26 and later).
    Streamable,
    /// HTTP+SSE (2024-11-05).
    OldSse,
}

/// Who shares one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Per {
    /// Everyone; such a process is offered no client features.
    #[default]
    Gate,
    /// All sessions of one grant.
    Grant,
    /// One session of the old era.
    Session,
}

/// What a server that asks for roots is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Roots {
    /// Roots are not offered.
    #[default]
    None,
    /// These, as `file://` URIs.
    Fixed(Vec<String>),
    /// The client's own. They widen what some servers touch, so an entry must say it.
    Client,
}

/// Bounds on one upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message: usize,
    /// How long a caller waits for a server that is starting, that opens a session for it, or that gives a list.
    pub first_connect: Duration,
    /// How long one call may take.
    pub call: Duration,
    /// The key of the configuration that says so, for whoever has to change it.
    pub call_key: Cow<'static, str>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message: 16 << 20,
            first_connect: Duration::from_secs(30),
            call: Duration::from_mins(5),
            call_key: Cow::Borrowed("limits.call"),
        }
    }
}
