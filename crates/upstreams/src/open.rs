//! Opening a link: which era, which transport, and the first words.

use crate::http_line::HttpLine;
use crate::link::{Hello, Line, Link, SendFailed};
use crate::old_sse::OldSse;
use crate::process::start;
use crate::room::Rooms;
use crate::{Builtins, How, HttpClient, Inbox, Spec, Transport, UrlSpec, stdio};
use portcullis_admit::{FollowUp, Housekeeping, Permit};
use portcullis_runs::Keepers;
use portcullis_wire::{Envelope, Era, LATEST_OLD, MODERN, member, meta, text};
use serde_json::{Value, json};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may stay silent to `server/discover` before it is asked in the old era, too (specification, "stdio: Backward
/// Compatibility").
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
    pub rooms: &'a Rooms,
    pub(crate) entry: u64,
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
                let link = Link::new(Era::Old, wish, self.http(url, Era::Old), self.entry);
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
                let link = Link::new(Era::New, wish, self.http(url, Era::New), self.entry);
                discover(&link, wish).await?;
                Ok(link)
            }
        }
    }

    /// Opens the first link to a server of unknown era: the new one where it is spoken, else the old.
    pub(crate) async fn first(&self, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        match &self.spec.how {
            How::Url(url) if url.transport == Some(Transport::OldSse) => self.old_sse(url, wish).await,
            How::Url(_) => {
                let mut new = pin!(self.new_era(wish));
                match tokio::time::timeout(SILENT, &mut new).await {
                    Ok(found @ (Ok(_) | Err(SendFailed::NotReached(_)))) => found,
                    Ok(Err(_)) => self.old(wish).await,
                    Err(_) => either(new, self.old(wish)).await,
                }
            }
            How::Command(_) | How::Builtin(_) => {
                // One process serves the probe and, where it is of the old era, the session after it.
                let probe = self.start(Era::New, wish).await?;
                match greet(&probe, wish).await {
                    Ok((Era::New, hello)) => {
                        let _ = probe.hello.set(hello);
                        Ok(probe)
                    }
                    Ok((Era::Old, hello)) => {
                        probe.turn_old();
                        settle(&probe, hello).await.map(|()| probe)
                    }
                    // Some old servers end at a request before `initialize`: they get a process of their own.
                    Err(_) if probe.closed().is_some() => self.old(wish).await,
                    Err(error) => Err(error),
                }
            }
        }
    }

    async fn start(&self, era: Era, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        let (pipe, readers) = match &self.spec.how {
            How::Command(command) => {
                let piped = start(command, &self.spec.name, &wish.owner, self.keepers).await;
                let piped = piped.map_err(SendFailed::NotReached)?;
                stdio::open(&self.spec.name, self.rooms, piped, self.spec.limits.message)
            }
            How::Builtin(_) => {
                let stream = self.builtins.connect(&self.spec.name, &wish.owner);
                let stream = stream.map_err(SendFailed::NotReached)?;
                stdio::open_builtin(&self.spec.name, self.rooms, stream, self.spec.limits.message)
            }
            How::Url(_) => return Err(SendFailed::NotReached("it is not a program".into())),
        };
        let link = Link::new(era, wish, Line::Pipe(pipe), self.entry);
        readers.run(&link, wish.inbox.clone());
        Ok(link)
    }

    fn http(&self, url: &UrlSpec, era: Era) -> Line {
        Line::Http(HttpLine::new(self.client, url, self.spec.limits.message, &self.rooms.answers, era))
    }

    async fn old_sse(&self, url: &UrlSpec, wish: &Wish) -> Result<Arc<Link>, SendFailed> {
        let (line, stream) = OldSse::open(
            &self.spec.name,
            self.client.clone(),
            url,
            self.spec.limits.message,
            &self.rooms.answers,
        )
        .await?;
        let link = Link::new(Era::Old, wish, Line::OldSse(line), self.entry);
        if let Line::OldSse(line) = &link.line {
            line.run(stream, &link, wish.inbox.clone());
        }
        initialize(&link, wish).await?;
        Ok(link)
    }
}

/// What a program answers of which it is not known how it speaks.
async fn greet(probe: &Link, wish: &Wish) -> Result<(Era, Hello), SendFailed> {
    let mut new = pin!(async { discovered(probe, wish).await.map(|hello| (Era::New, hello)) });
    let old = async { initialized(probe, wish).await.map(|hello| (Era::Old, hello)) };
    match tokio::time::timeout(SILENT, &mut new).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(_)) => old.await,
        Err(_) => either(new, old).await,
    }
}

/// What a server answers that was silent for a while. It may be of the old era and have passed the probe over, or be still
/// starting, read both when it has come up, and be of the new era from its first answer on: so it has both questions, and the first
/// that it answers well counts.
async fn either<T>(
    new: impl Future<Output = Result<T, SendFailed>>,
    old: impl Future<Output = Result<T, SendFailed>>,
) -> Result<T, SendFailed> {
    let (mut new, mut old) = (pin!(new), pin!(old));
    tokio::select! {
        biased;
        found = &mut new => match found {
            Ok(found) => Ok(found),
            Err(_) => old.await,
        },
        found = &mut old => match found {
            Ok(found) => Ok(found),
            Err(refused) => new.await.map_err(|_| refused),
        },
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
    let hello = initialized(link, wish).await?;
    settle(link, hello).await
}

/// Its first half: what the server answers.
async fn initialized(link: &Link, wish: &Wish) -> Result<Hello, SendFailed> {
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
    Ok(Hello { result: result.into(), version: version.into() })
}

/// Its second half.
async fn settle(link: &Link, hello: Hello) -> Result<(), SendFailed> {
    if let Line::Http(line) = &link.line {
        line.agree(&hello.version);
    }
    let _ = link.hello.set(hello);
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
    let _ = link.hello.set(discovered(link, wish).await?);
    Ok(())
}

async fn discovered(link: &Link, wish: &Wish) -> Result<Hello, SendFailed> {
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
    Ok(Hello { result: result.into(), version: MODERN.into() })
}

/// Whether a message is a notification of that method.
pub(crate) fn is_notice(message: &Envelope, method: &str) -> bool {
    message.id().is_none() && message.method() == Some(method)
}
