//! The HTTP client that all upstreams share.

use crate::given_up::Parcel;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(60);

type Plain = Client<HttpConnector, Parcel>;
type Tls = Client<HttpsConnector<HttpConnector>, Parcel>;

/// Pools connections. Redirects are not followed: a server that moves is a change of configuration, and a
/// redirect could lead credentials or calls to somewhere nobody allowed.
#[derive(Clone)]
pub struct HttpClient {
    plain: Plain,
    /// Made when the first https upstream is called: reading the system's roots costs time and memory.
    tls: Arc<OnceLock<Result<Tls, String>>>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient")
    }
}

impl Default for HttpClient {
    fn default() -> Self {
        let plain = builder().build(connector());
        Self { plain, tls: Arc::default() }
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.enforce_http(false);
    connector
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
    builder
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFailed {
    #[error("{0}")]
    Tls(String),
    #[error("{}", chain(.0))]
    Send(#[from] Error),
}

impl HttpFailed {
    /// Whether the request surely never left.
    pub(crate) fn never_left(&self) -> bool {
        match self {
            Self::Tls(_) => true,
            Self::Send(error) => error.is_connect(),
        }
    }
}

/// hyper's outer messages say little; the cause at the end says what happened.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

impl HttpClient {
    /// Sends one request and gives the head of its answer.
    pub(crate) async fn send(&self, request: Request<Parcel>) -> Result<Response<Incoming>, HttpFailed> {
        Ok(self.start(request)?.await?)
    }

    /// Sends one request; the head of its answer is still to come.
    pub(crate) fn start(&self, request: Request<Parcel>) -> Result<ResponseFuture, HttpFailed> {
        if request.uri().scheme() != Some(&http::uri::Scheme::HTTPS) {
            return Ok(self.plain.request(request));
        }
        let tls = self.tls.get_or_init(|| {
            let roots = hyper_rustls::HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| format!("the system's certificates cannot be read: {error}"))?;
            let connector = roots.https_only().enable_http1().enable_http2().wrap_connector(connector());
            Ok(builder().build(connector))
        });
        match tls {
            Ok(client) => Ok(client.request(request)),
            Err(why) => Err(HttpFailed::Tls(why.clone())),
        }
    }
}
