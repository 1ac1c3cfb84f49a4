//! Looking at a service: whether it is ready, whether it still works.

use crate::definition::{Definition, Probe};
use crate::ports::{self, Holder};
use crate::start;
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use portcullis_runs::{Held, Keepers, Limits, has_said, millis};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long an answer over HTTP, and a command that looks, may take.
const ANSWERS: Duration = Duration::from_secs(2);
const COMMAND: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It is as it should be.
    Good,
    /// Not yet, or not any more: what is missing.
    Not(String),
    /// It never will be: what stands in the way.
    Never(String),
}

/// A running service, for whoever looks at it.
#[derive(Clone)]
pub(crate) struct Looked {
    pub(crate) definition: Arc<Definition>,
    pub(crate) held: Arc<Held>,
    pub(crate) port: Option<u16>,
    /// Where its output begins in the spool.
    pub(crate) log_from: u64,
    pub(crate) keepers: Keepers,
    pub(crate) upstream: Arc<str>,
}

impl Looked {
    pub(crate) fn look<'a>(&'a self, probe: &'a Probe) -> BoxFuture<'a, Seen> {
        Box::pin(async move {
            match probe {
                Probe::Port(port) => match port.or(self.port) {
                    Some(port) => self.has_port(port).await,
                    None => Seen::Never("it has no port".into()),
                },
                Probe::Http { host, path, port, status } => {
                    let Some(port) = port.or(self.port) else { return Seen::Never("it has no port".into()) };
                    let host = match host {
                        Some(host) => host.clone(),
                        // Somebody else's answer proves nothing.
                        None => match self.has_port(port).await {
                            Seen::Good => self.address(port).await.to_string(),
                            other => return other,
                        },
                    };
                    match tokio::time::timeout(ANSWERS, get(&host, port, path)).await {
                        Ok(Ok(found)) if status.contains(&found) => Seen::Good,
                        Ok(Ok(found)) => {
                            Seen::Not(format!("GET {path} on port {port} is answered with {found}"))
                        }
                        Ok(Err(error)) => Seen::Not(format!("GET {path} on port {port}: {error}")),
                        Err(_) => Seen::Not(format!(
                            "GET {path} on port {port} is not answered within {} s",
                            ANSWERS.as_secs()
                        )),
                    }
                }
                Probe::Log(pattern) => self.has_said(&pattern.0).await,
                Probe::Exec(command) => self.runs(command).await,
                Probe::All(all) => {
                    for probe in all {
                        match self.look(probe).await {
                            Seen::Good => {}
                            other => return other,
                        }
                    }
                    Seen::Good
                }
                Probe::Any(any) => {
                    let mut missing = Vec::new();
                    for probe in any {
                        match self.look(probe).await {
                            Seen::Good => return Seen::Good,
                            Seen::Not(what) | Seen::Never(what) => missing.push(what),
                        }
                    }
                    Seen::Not(missing.join("; "))
                }
            }
        })
    }

    async fn has_port(&self, port: u16) -> Seen {
        let held = self.held.clone();
        let holder = tokio::task::spawn_blocking(move || ports::holder(port, || held.processes())).await;
        match holder {
            Ok(Holder::Own) => Seen::Good,
            Ok(Holder::Free) => Seen::Not(format!("nothing listens on port {port} yet")),
            Ok(Holder::Stranger(by)) => Seen::Never(ports::taken(port, by.as_ref())),
            Err(error) => Seen::Not(error.to_string()),
        }
    }

    /// Where its own process can be reached: a stranger may listen on the port at another address.
    async fn address(&self, port: u16) -> IpAddr {
        let held = self.held.clone();
        let own = tokio::task::spawn_blocking(move || ports::of(&held.processes())).await.unwrap_or_default();
        own.get(&port).copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    async fn has_said(&self, pattern: &regex::Regex) -> Seen {
        let (spool, from, grep) = (self.held.spool(), self.log_from, pattern.clone());
        let found = tokio::task::spawn_blocking(move || has_said(&spool, from, &grep)).await.unwrap_or(false);
        match found {
            true => Seen::Good,
            false => Seen::Not(format!("it has not written a line with `{pattern}` yet")),
        }
    }

    async fn runs(&self, command: &[String]) -> Seen {
        let limits = Limits { wall_ms: Some(millis(COMMAND)), ..Limits::default() };
        let hold = start::probe(&self.upstream, &self.definition, self.port, command, limits);
        let run = match self.keepers.hold(hold).await {
            Ok(run) => run,
            Err(why) => return Seen::Not(why),
        };
        let exit = run.held.exited().await;
        match exit.code {
            Some(0) => Seen::Good,
            _ => Seen::Not(format!("`{}` {exit}", command.join(" "))),
        }
    }
}

/// Asks a machine. Gives the status code.
async fn get(host: &str, port: u16, path: &str) -> Result<u16, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((bare, port)).await.map_err(|error| text(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| text(&error))?;
    let connection = tokio::spawn(connection);
    // A server that knows its names knows this one.
    let named = if bare.parse::<IpAddr>().is_ok() { "localhost" } else { host };
    let request = http::Request::get(path)
        .header(http::header::HOST, format!("{named}:{port}"))
        .body(Empty::<&[u8]>::new())
        .map_err(|error| text(&error))?;
    let answer = sender.send_request(request).await.map_err(|error| text(&error));
    connection.abort();
    Ok(answer?.status().as_u16())
}
