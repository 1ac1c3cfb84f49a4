//! The command line's side of the control socket.

use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::lock::{self, Holder};
use crate::place;
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Bytes of an answer.
const ANSWER: usize = 64 << 20;

/// A running gate.
pub(crate) struct Client {
    data: PathBuf,
    holder: Option<Holder>,
}

impl Client {
    /// The gate that the arguments mean; it need not run.
    pub(crate) fn of(place: &PlaceArgs) -> Result<Self, Failure> {
        Ok(Self::at(place::data_folder(place)?))
    }

    /// The gate of a data folder.
    pub(crate) fn at(data: PathBuf) -> Self {
        let holder = lock::holder(&data);
        Self { data, holder }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// Whether a gate holds the data folder.
    pub(crate) fn is_held(&self) -> bool {
        self.holder.is_some()
    }

    /// The socket of the gate, where one runs and takes commands.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.holder.as_ref()?.socket.as_deref()
    }

    /// Asks; a gate that does not run is an error.
    pub(crate) fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask_within(method, path, body, None)
    }

    /// Asks; a gate that takes longer than that does not answer.
    pub(crate) fn ask_within(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        limit: Option<Duration>,
    ) -> Result<Value, Failure> {
        let Some(holder) = &self.holder else {
            return Err(Failure::unreachable(not_running(&self.data)));
        };
        let Some(socket) = &holder.socket else {
            let pid = holder.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
            let data = self.data.display();
            return Err(Failure::unreachable(format!(
                "the gate on {data}{pid} takes no commands: it is still starting, or it is the one of `portcullis stdio`, \
                 which ends with its client"
            )));
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::bug(error.to_string()))?;
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = async {
            let mut request = Request::new(Full::new(Bytes::from(text)));
            *request.method_mut() = method;
            *request.uri_mut() = format!("/api/v1/{path}")
                .parse()
                .map_err(|_| Failure::usage(format!("`{path}` is no name")))?;
            let response = send(socket, request).await?;
            let status = response.status();
            let body = http_body_util::Limited::new(response.into_body(), ANSWER)
                .collect()
                .await
                .map_err(|error| Failure::unreachable(format!("the gate's answer broke off: {error}")))?;
            let value: Value = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
                Failure::unreachable(format!("the gate's answer cannot be read: {error}"))
            })?;
            if status.is_success() {
                return Ok(value);
            }
            let text = value.get("error").and_then(Value::as_str).unwrap_or("it gave no reason");
            Err(match value.get("code").and_then(Value::as_u64) {
                // Mistakes in files are a list; other errors are a sentence, whoever's words are in it.
                Some(2) if path == "reload" => Failure::told(text),
                Some(2) => Failure::usage(text),
                Some(3) => Failure::unreachable(text),
                Some(4) => Failure::denied(text),
                Some(70) => Failure::bug(text),
                _ => Failure::untrue(text),
            })
        };
        runtime.block_on(async {
            match limit {
                None => answer.await,
                Some(limit) => tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
                    Err(Failure::unreachable(format!("the gate did not answer within {} s", limit.as_secs())))
                }),
            }
        })
    }
}

/// What is said where no gate runs on a data folder.
pub(crate) fn not_running(data: &Path) -> String {
    if let Err(error) = std::fs::read_dir(data)
        && error.kind() == std::io::ErrorKind::PermissionDenied
    {
        let owner = std::fs::metadata(data).ok().map(|meta| format!(" It belongs to uid {}.", meta.uid()));
        return format!(
            "{} cannot be read by uid {}, so whether a gate runs on it cannot be told.{} Run this as the user that runs the gate",
            data.display(),
            rustix::process::getuid().as_raw(),
            owner.unwrap_or_default()
        );
    }
    format!("no gate runs on {}; `portcullis up` starts it", data.display())
}

/// Sends one request over a connection of its own.
pub(crate) async fn send(
    socket: &Path,
    mut request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, Failure> {
    let gone = |error: &dyn std::fmt::Display| Failure::unreachable(format!("{}: {error}", socket.display()));
    let stream = UnixStream::connect(socket).await.map_err(|error| gone(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| gone(&error))?;
    tokio::spawn(async move { drop(connection.await) });
    request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    sender.send_request(request).await.map_err(|error| gone(&error))
}
