//! `portcullis up`: the gate itself.

use super::first_grant;
use super::start::{self, Prepared};
use crate::cli::{PlaceArgs, UpArgs};
use crate::config::{Config, is_loopback};
use crate::control;
use crate::failure::Failure;
use crate::first_run;
use crate::out::{aside, aside_lines};
use crate::place;
use crate::running::{Own, Running};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Open files at most: programs that are started get the same, and some go through all that they may have.
const FILES: u64 = 65_536;
/// How long a start takes with all that follows it, such as the first words with the upstreams.
const START: std::time::Duration = std::time::Duration::from_millis(300);

/// Starts the gate and runs it until it is told to stop.
pub(crate) fn run(place: &PlaceArgs, args: &UpArgs) -> Result<ExitCode, Failure> {
    keep_others_out();
    allow_files();
    let runtime = start::runtime(&mut tokio::runtime::Builder::new_multi_thread())?;
    let prepared = start::prepare(place, args)?;
    let result = runtime.block_on(serve(prepared, args));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

async fn serve(prepared: Prepared, args: &UpArgs) -> Result<ExitCode, Failure> {
    let Prepared { config, own, lock, fresh } = prepared;
    // Before anything can be seen of the gate: whoever sees it may tell it to end, and must be heard.
    let signals = Signals::listen()?;
    let listener = listen(&config, args).await?;
    let address = listener.local_addr().map_err(|error| Failure::usage(error.to_string()))?;
    let data = config.data.clone();
    let running = Running::start(config, Own { address: Some(address), ..own }).await?;
    // Whoever comes as soon as it is ready is to find it.
    let minted = first_grant::mint_where_none(&running, fresh).await;
    let socket_path = place::socket(&data)?;
    let socket = control::bind(&socket_path)?;
    lock.announce(&socket_path)?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(portcullis_gate::serve(running.gate.clone(), listener, stop.clone()));
    let controlling = tokio::spawn(control::serve(running.clone(), socket, stop.clone()));
    crate::watch::start(&running, stop.clone())?;
    aside!("ready http://{address}");
    greet(&running, &address, minted);
    tokio::spawn(async {
        tokio::time::sleep(START).await;
        portcullis_runs::let_go_of_the_start();
    });
    signals.wait_for_the_end(&running).await;
    stop.cancel();
    running.stop().await;
    let _ = tokio::join!(serving, controlling);
    let _ = std::fs::remove_file(&socket_path);
    drop(lock);
    Ok(ExitCode::SUCCESS)
}

/// Takes as many open files as the system allows: what a login allows by itself is few for many clients and servers.
fn allow_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(FILES).min(FILES).max(limit.current.unwrap_or(FILES));
    let wanted = Rlimit { current: Some(wanted), maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Keeps other processes of the same user from reading the memory and the environment of this one, where secrets are.
pub(super) fn keep_others_out() {
    if let Err(error) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(%error, "other processes of this user can read the memory of the gate");
    }
}

async fn listen(config: &Config, args: &UpArgs) -> Result<TcpListener, Failure> {
    let wrong = |why: String| Failure::usage(format!("cannot listen on {}: {why}", config.listen));
    let mut addresses =
        tokio::net::lookup_host(&config.listen).await.map_err(|error| wrong(error.to_string()))?;
    let address = addresses.next().ok_or_else(|| wrong("the name has no address".into()))?;
    if !is_loopback(&address) && !args.insecure_listen {
        return Err(wrong(
            "other machines could reach it and tokens would travel in the clear; put a proxy that ends TLS in front, or say --insecure-listen"
                .into(),
        ));
    }
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            wrong("the port is in use; choose another with --listen 127.0.0.1:0".into())
        }
        _ => wrong(error.to_string()),
    })
}

/// What the operator and the system tell by signals.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let heard = |kind| signal(kind).map_err(|error| Failure::bug(error.to_string()));
        Ok(Self {
            terminate: heard(SignalKind::terminate())?,
            interrupt: heard(SignalKind::interrupt())?,
            hang_up: heard(SignalKind::hangup())?,
        })
    }

    async fn wait_for_the_end(mut self, running: &Arc<Running>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                // Whoever has the uid can send it, and so can a process that an agent started.
                _ = self.hang_up.recv() => crate::watch::changed(running).await,
            }
        }
    }
}

/// Says how to use the gate, and shows the token of the grant `me` where this start made it, once.
fn greet(running: &Running, address: &SocketAddr, minted: Result<Option<String>, Failure>) {
    match minted {
        Ok(Some(token)) => first_run::show_entries(&format!("http://{address}/mcp"), &token),
        Ok(None) => {}
        Err(failure) => aside_lines!("no grant could be made: {failure}\n`portcullis grant add` makes one"),
    }
    running.say_troubles();
}
