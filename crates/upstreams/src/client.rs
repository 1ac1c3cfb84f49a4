//! The HTTP client that all upstreams share.

use crate::given_up::Parcel;
use crate::origin::{Answer, IDLE, Origin, PlainFailed, Sent, deepest};
use http::uri::{Authority, Scheme};
use http::{Response, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);

type Tls = Client<HttpsConnector<HttpConnector>, Parcel>;

/// The head of an answer that is to come.
pub(crate) type Head = Pin<Box<dyn Future<Output = Result<Response<Answer>, HttpFailed>> + Send>>;

/// Pools connections. Redirects are not followed: a server that moves is a change of configuration, and a
/// redirect could lead credentials or calls to somewhere nobody allowed.
#[derive(Clone, Default)]
pub struct HttpClient(Arc<Inner>);

#[derive(Default)]
struct Inner {
    plain: Mutex<HashMap<Authority, Arc<Origin>>>,
    /// Made when the first https upstream is called: reading the system's roots costs time and memory.
    tls: OnceLock<Result<Tls, String>>,
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpClient")
    }
}

fn connector() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT));
    connector.enforce_http(false);
    connector
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpFailed {
    #[error("{0}")]
    Tls(String),
    #[error(transparent)]
    Plain(#[from] PlainFailed),
    #[error("{}", deepest(.0))]
    Send(#[from] Error),
    #[error("not an address: {0}")]
    Address(String),
}

impl HttpFailed {
    /// Whether the request surely never left.
    pub(crate) fn never_left(&self) -> bool {
        match self {
            Self::Tls(_) | Self::Address(_) | Self::Plain(PlainFailed::Connect(_)) => true,
            Self::Plain(PlainFailed::Send { never_left, .. }) => *never_left,
            Self::Send(error) => error.is_connect(),
        }
    }
}

impl HttpClient {
    /// Tells somebody who is no upstream something; gives the status of the answer.
    ///
    /// # Errors
    /// Why no answer came.
    pub async fn tell(
        &self,
        address: &Uri,
        headers: &[(&'static str, String)],
        body: bytes::Bytes,
    ) -> Result<http::StatusCode, String> {
        let mut request = http::Request::post(address);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Parcel::new(body)).map_err(|error| error.to_string())?;
        self.send(request).await.map(|answer| answer.status()).map_err(|error| error.to_string())
    }

    /// Sends one request to an absolute address and gives the head of its answer.
    pub(crate) fn send(&self, request: Sent) -> Head {
        self.way_to(request.uri()).send(request)
    }

    /// The way to the server of an absolute address, for whoever sends it many requests.
    pub(crate) fn way_to(&self, address: &Uri) -> Way {
        match address.authority() {
            Some(authority) if address.scheme() != Some(&Scheme::HTTPS) => {
                self.origin(authority).map_or_else(|error| Way::None(error.to_string()), Way::Plain)
            }
            _ => Way::Tls(self.clone()),
        }
    }

    fn origin(&self, authority: &Authority) -> Result<Arc<Origin>, http::Error> {
        let mut plain = self.0.plain.lock();
        if let Some(origin) = plain.get(authority) {
            return Ok(origin.clone());
        }
        let origin = Arc::new(Origin::new(connector(), authority)?);
        plain.insert(authority.clone(), origin.clone());
        Ok(origin)
    }

    fn tls(&self) -> &Result<Tls, String> {
        self.0.tls.get_or_init(|| {
            let roots = hyper_rustls::HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|error| format!("the system's certificates cannot be read: {error}"))?;
            let connector = roots.https_only().enable_http1().enable_http2().wrap_connector(connector());
            let mut builder = Client::builder(TokioExecutor::new());
            Ok(builder.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(connector))
        })
    }
}

/// How requests get to one server.
pub(crate) enum Way {
    Plain(Arc<Origin>),
    Tls(HttpClient),
    /// The address is none.
    None(String),
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Way")
    }
}

impl Way {
    /// Sends one request and gives the head of its answer.
    pub(crate) fn send(&self, request: Sent) -> Head {
        match self {
            Self::Plain(origin) => {
                let origin = origin.clone();
                Box::pin(async move { Ok(origin.send(request).await?) })
            }
            Self::Tls(client) => match client.tls() {
                Ok(client) => {
                    let response = client.request(request);
                    Box::pin(async move { Ok(response.await?.map(Answer::from)) })
                }
                Err(why) => {
                    let failed = HttpFailed::Tls(why.clone());
                    Box::pin(async { Err(failed) })
                }
            },
            Self::None(why) => {
                let failed = HttpFailed::Address(why.clone());
                Box::pin(async { Err(failed) })
            }
        }
    }
}
