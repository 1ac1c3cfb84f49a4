//! The control socket: `/api/v1` for the command line, and `/mcp` for `portcullis stdio`.

mod api;
mod approvals;
mod catalogue;
mod client;
mod runs;

pub(crate) use client::{Client, not_running};

use crate::failure::Failure;
use crate::peer;
use crate::running::Running;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use portcullis_gate::{Body, Via};
use std::convert::Infallible;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

/// Names the grant that a connection speaks for, on the control socket alone.
pub(crate) const GRANT: &str = "x-portcullis-grant";

/// Opens the socket (mode 0600 in a folder of mode 0700). The caller holds the data folder's lock, so one that
/// is left there belongs to nobody.
pub(crate) fn bind(path: &Path) -> Result<UnixListener, Failure> {
    let failed =
        |error: std::io::Error| Failure::usage(format!("the control socket {}: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Serves the socket until `stop`.
pub(crate) async fn serve(running: Arc<Running>, listener: UnixListener, stop: CancellationToken) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a control connection could not be accepted");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = stop.cancelled() => return,
        };
        tokio::spawn(connection(running.clone(), stream));
    }
}

async fn connection(running: Arc<Running>, stream: UnixStream) {
    let objection = peer::objection(&stream);
    if let Some(why) = &objection {
        tracing::warn!(%why, "a control connection was refused");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let (running, objection) = (running.clone(), objection.clone());
        async move {
            let response = match objection {
                Some(why) => said(StatusCode::FORBIDDEN, 4, &why),
                None => answer(&running, request).await,
            };
            Ok::<_, Infallible>(response)
        }
    });
    let served = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a control connection broke");
    }
}

/// Adds a grant as `POST /api/v1/grants` does, for this process itself. Gives the answer's body.
pub(crate) async fn add_grant(
    running: &Arc<Running>,
    grant: &serde_json::Value,
) -> Result<serde_json::Value, Failure> {
    let added = api::add_grant(running, grant.to_string().as_bytes()).await;
    added.map_err(|no| Failure::usage(no.2))
}

/// Answers one request, from the socket or from within this process.
pub(crate) async fn answer(running: &Arc<Running>, request: Request<Incoming>) -> Response<Body> {
    if !request.uri().path().starts_with("/mcp") {
        return api::answer(running, request).await;
    }
    let name = request.headers().get(GRANT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    match running.gate.grants().by_name(name).cloned() {
        Some(grant) => running.gate.handle(request, Via::Socket(grant)).await,
        None => said(
            StatusCode::FORBIDDEN,
            4,
            &format!("there is no grant named `{name}`; `portcullis grant list` shows them"),
        ),
    }
}

/// An error for the command line: its text and the exit code that goes with it.
fn said(status: StatusCode, code: u8, text: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": text, "code": code }).to_string();
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response
}
