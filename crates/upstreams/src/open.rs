//! Opening a link: which era, which transport, and the first words.

use crate::http_line::HttpLine;
use crate::link::{Hello, Line, Link, SendFailed};
use crate::old_sse::OldSse;
use crate::process::start;
use crate::{Builtins, How, HttpClient, Inbox, Spec, Transport, UrlSpec, stdio};
use portcullis_admit::{FollowUp, Housekeeping, Permit};
use portcullis_runs::Keepers;
use portcullis_wire::{Envelope, Era, LATEST_OLD, MODERN, member, meta, text};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long a server on stdio may stay silent to `server/discover` before it is taken for one of the old era
/// (specification, "stdio: Backward Compatibility").
const SILENT: Duration = Duration::from_secs(3);

/// What a link is opened for.
#[derive(Clone)]
pub(crate) struct Wish {
    /// The client's capabilities as they are offered to the server, JSON.
    pub offered: Box<str>,
    /// Name and version of the client, JSON.
    pub client: Box<str>,
    /// The version to ask for in the old era.
    pub version: Box<str>,
    /// Whether more than one principal will use it.
    pub shared: bool,
    /// Whose the process is that is started, where one is.
    pub owner: Arc<str>,
    /// Who hears what belongs to no call.
    pub inbox: Arc<dyn Inbox>,
}

impl Wish {
    /// A link for the gate itself.
    pub(crate) fn own(inbox: Arc<dyn Inbox>) -> Self {
        Self {
            offered: "{}".into(),
            client: json!({"name": "portcullis", "version": env!("CARGO_PKG_VERSION")}).to_string().into(),
            version: LATEST_OLD.into(),
            shared: true,
            owner: "gate".into(),
            inbox,
        }
    }
}

pub(crate) struct Opener<'a> {
    pub spec: &'a Spec,
    pub client: &'a HttpClient,
    pub keepers: &'a Keepers,
    pub builtins: &'a dyn Builtins,
}

impl Opener<'_> {
    /// Opens a link of the old era.
    pub(crate) async fn old(&self, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        match &self.spec.how {
            How::Command(_) | How::Builtin(_) => {
                let link = self.start(Era::Old, wish).await?;
                initialize(&link, wish).await?;
                Ok(link)
            }
            How::Url(url) if url.transport == Some(Transport::OldSse) => self.old_sse(url, wish).await,
            How::Url(url) => {
                let link = Link::new(Era::Old, wish, self.http(url, Era::Old));
                match initialize(&link, wish).await {
                    Ok(()) => Ok(link),
                    // A server of 2024-11-05 does not know POST at this address.
                    Err(SendFailed::Refused { status: 400 | 404 | 405, why }) if url.transport.is_none() => {
                        let original = SendFailed::Refused { status: 404, why };
                        self.old_sse(url, wish).await.map_err(|_| original)
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Opens a link of the new era; fails with `Refused` where the server does not speak it.
    pub(crate) async fn new_era(&self, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        match &self.spec.how {
            How::Command(_) | How::Builtin(_) => {
                let link = self.start(Era::New, wish).await?;
                discover(&link, wish).await?;
                Ok(link)
            }
            How::Url(url) => {
                let link = Link::new(Era::New, wish, self.http(url, Era::New));
                discover(&link, wish).await?;
                Ok(link)
            }
        }
    }

    /// Opens the first link to a server of unknown era: the new one where it is spoken, else the old.
    pub(crate) async fn first(&self, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        match &self.spec.how {
            How::Url(url) if url.transport == Some(Transport::OldSse) => self.old_sse(url, wish).await,
            How::Url(_) => match self.new_era(wish).await {
                Ok(link) => Ok(link),
                Err(error @ SendFailed::NotReached(_)) => Err(error),
                Err(_) => self.old(wish).await,
            },
            How::Command(_) | How::Builtin(_) => {
                // One process serves the probe and, where it is of the old era, the session after it.
                let probe = self.start(Era::New, wish).await?;
                match tokio::time::timeout(SILENT, discover(&probe, wish)).await {
                    Ok(Ok(())) => Ok(probe),
                    // Some old servers end at a request before `initialize`: they get a process of their own.
                    _ if probe.closed().is_some() => self.old(wish).await,
                    _ => {
                        probe.turn_old();
                        initialize(&probe, wish).await.map(|()| probe)
                    }
                }
            }
        }
    }

    async fn start(&self, era: Era, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        let (pipe, readers) = match &self.spec.how {
            How::Command(command) => {
                let piped = start(command, &self.spec.name, &wish.owner, self.keepers).await;
                stdio::open(&self.spec.name, piped.map_err(SendFailed::NotReached)?, self.spec.limits.message)
            }
            How::Builtin(_) => {
                let stream = self.builtins.connect(&self.spec.name, &wish.owner);
                stdio::open_builtin(
                    &self.spec.name,
                    stream.map_err(SendFailed::NotReached)?,
                    self.spec.limits.message,
                )
            }
            How::Url(_) => return Err(SendFailed::NotReached("it is not a program".into())),
        };
        let link = Link::new(era, wish, Line::Pipe(pipe));
        readers.run(&link, wish.inbox.clone());
        Ok(link)
    }

    fn http(&self, url: &UrlSpec, era: Era) -> Line {
        let limit = self.spec.limits.message;
        Line::Http(HttpLine::new(self.client, url.url.clone(), url.headers.clone(), limit, era))
    }

    async fn old_sse(&self, url: &UrlSpec, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        let (line, stream) =
            OldSse::open(&self.spec.name, self.client.clone(), url, self.spec.limits.message).await?;
        let link = Link::new(Era::Old, wish, Line::OldSse(line));
        if let Line::OldSse(line) = &link.line {
            line.run(stream, &link, wish.inbox.clone());
        }
        initialize(&link, wish).await?;
        Ok(link)
    }
}

/// Sends one housekeeping request and gives its result.
pub(crate) async fn ask(link: &Link, what: Housekeeping, params: &str) -> Result<String, SendFailed> {
    let mut reply = link.send(Permit::housekeeping(what, params)).await?;
    let status = reply.status;
    loop {
        let heard = reply.next().await.map_err(|broken| SendFailed::Broken(broken.0))?;
        let Some(heard) = heard else {
            return Err(SendFailed::Broken(format!("the answer to {} did not come", what.method())));
        };
        let Some(message) = heard.message else { continue };
        if let Some(result) = message.result() {
            return Ok(result.to_owned());
        }
        if let Some(error) = message.error() {
            return Err(SendFailed::Refused { status, why: error_text(what, error) });
        }
    }
}

fn error_text(what: Housekeeping, error: &str) -> String {
    let message = member(error, "message").and_then(text).unwrap_or_default();
    let code = member(error, "code").unwrap_or("?");
    format!("{} was answered with error {code}: {message}", what.method())
}

/// The handshake of the old era.
async fn initialize(link: &Link, wish: &Wish) -> Result<(), SendFailed> {
    let params = format!(
        r#"{{"protocolVersion":{},"capabilities":{},"clientInfo":{}}}"#,
        Value::from(&*wish.version),
        wish.offered,
        wish.client
    );
    let result = ask(link, Housekeeping::Initialize, &params).await?;
    let version = member(&result, "protocolVersion").and_then(text).unwrap_or_default().into_owned();
    if version.is_empty() {
        return Err(SendFailed::Broken("the answer to initialize names no protocolVersion".into()));
    }
    if let Line::Http(line) = &link.line {
        line.agree(&version);
    }
    let _ = link.hello.set(Hello { result: result.into(), version: version.into() });
    link.follow(FollowUp::initialized()).await
}

/// The `_meta` that every request of the new era carries.
pub(crate) fn modern_meta(capabilities: &str, client: &str) -> String {
    format!(
        r#"{{"{}":"{MODERN}","{}":{capabilities},"{}":{client}}}"#,
        meta::VERSION,
        meta::CAPABILITIES,
        meta::CLIENT
    )
}

/// The `_meta` of what the gate asks for itself, with these capabilities.
pub(crate) fn own_meta(capabilities: &str) -> String {
    modern_meta(capabilities, r#"{"name":"portcullis","version":"0"}"#)
}

async fn discover(link: &Link, wish: &Wish) -> Result<(), SendFailed> {
    let params = format!("{{\"_meta\":{}}}", modern_meta(&wish.offered, &wish.client));
    let result = ask(link, Housekeeping::Discover, &params).await?;
    let versions: Vec<String> = member(&result, "supportedVersions")
        .and_then(|raw| serde_json::from_str(raw).ok())
        .unwrap_or_default();
    if !versions.iter().any(|version| version == MODERN) {
        return Err(SendFailed::Refused {
            status: 200,
            why: format!("it speaks {versions:?}, not {MODERN}"),
        });
    }
    let _ = link.hello.set(Hello { result: result.into(), version: MODERN.into() });
    Ok(())
}

/// Whether a message is a notification of that method.
pub(crate) fn is_notice(message: &Envelope, method: &str) -> bool {
    message.id().is_none() && message.method() == Some(method)
}
