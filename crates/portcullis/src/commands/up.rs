//! `portcullis up`: the gate itself.

use crate::cli::{PlaceArgs, UpArgs};
use crate::config::{Config, is_loopback};
use crate::control::{self, Client};
use crate::failure::Failure;
use crate::first_run;
use crate::lock::Lock;
use crate::out::aside;
use crate::place::{self, config_file, read_config, rendered};
use crate::running::{Own, Running};
use http::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Starts the gate and runs it until it is told to stop.
pub(crate) fn run(place: &PlaceArgs, args: &UpArgs) -> Result<ExitCode, Failure> {
    let (file, fresh) = match config_file(place)? {
        Some(file) => (file, None),
        None => {
            let made = first_run::make()?;
            (made.file.clone(), Some(made))
        }
    };
    let mut config = read_config(&file)?;
    let own = Own {
        address: None,
        listen: args.listen.clone(),
        data: place.data.as_deref().map(place::absolute).transpose()?,
    };
    own.apply(&mut config);
    if !config.warnings.is_empty() {
        aside!("{}", rendered(&config.warnings).trim_end());
    }
    place::make_data_folder(&config.data)?;
    let lock = Lock::take(&config.data)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::bug(error.to_string()))?;
    let result = runtime.block_on(serve(config, own, args, fresh, &lock));
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    drop(lock);
    result
}

async fn serve(
    config: Config,
    own: Own,
    args: &UpArgs,
    fresh: Option<first_run::Made>,
    lock: &Lock,
) -> Result<ExitCode, Failure> {
    let listener = listen(&config, args).await?;
    let address = listener.local_addr().map_err(|error| Failure::usage(error.to_string()))?;
    let data = config.data.clone();
    let running = Running::start(config, Own { address: Some(address), ..own }).await?;
    let socket_path = place::socket(&data)?;
    let socket = control::bind(&socket_path)?;
    lock.announce(&socket_path)?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(portcullis_gate::serve(running.gate.clone(), listener, stop.clone()));
    let controlling = tokio::spawn(control::serve(running.clone(), socket, stop.clone()));
    let _watching = crate::watch::start(&running)?;
    aside!("ready http://{address}");
    greet(&running, &address, &data, fresh.is_some()).await;
    wait_for_the_end(&running).await?;
    stop.cancel();
    running.stop().await;
    let _ = tokio::join!(serving, controlling);
    let _ = std::fs::remove_file(&socket_path);
    Ok(ExitCode::SUCCESS)
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

async fn wait_for_the_end(running: &Arc<Running>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::bug(error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(failed)?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hang_up.recv() => {
                if let Err(failure) = running.reload().await {
                    aside!("{failure}");
                }
            }
        }
    }
}

/// Says how to use the gate. The first start mints the grant `me` and shows its token, once.
async fn greet(running: &Arc<Running>, address: &SocketAddr, data: &std::path::Path, first: bool) {
    let url = format!("http://{address}/mcp");
    if first || running.gate.grants().all().is_empty() {
        match mint(data, running).await {
            Ok(token) => first_run::show_entries(&url, &token),
            Err(failure) => aside!("no grant could be made: {failure}\n`portcullis grant add` makes one"),
        }
    }
    for (name, why) in running.troubles() {
        aside!("the policy {name} denies everything until it is mended:\n{why}");
    }
}

async fn mint(data: &std::path::Path, running: &Arc<Running>) -> Result<String, Failure> {
    let rules = running.gate.admit().rules();
    let policy = rules
        .policies
        .keys()
        .find(|name| *name == "careful")
        .or_else(|| rules.policies.keys().find(|name| *name != "everyone"))
        .cloned()
        .ok_or_else(|| Failure::usage("the configuration has no policy"))?;
    let body = json!({ "name": "me", "upstreams": { "*": policy } });
    let data = data.to_owned();
    // The same way as `grant add`, so that there is one way; it blocks, hence a thread of its own.
    let added = tokio::task::spawn_blocking(move || Client::at(data).ask(Method::POST, "grants", &body))
        .await
        .map_err(|error| Failure::bug(error.to_string()))??;
    added
        .get("token")
        .and_then(Value::as_str)
        .map(str::to_owned)
        .ok_or_else(|| Failure::bug("no token came back"))
}
