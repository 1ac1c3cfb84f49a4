//! A reverse proxy that looks at nothing: the yardstick for what a hop costs by itself.

use http::{Request, Response, StatusCode, Uri};
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::net::TcpListener;

use crate::{serve::serve, target::Target};

type Upstream = Client<HttpConnector, Incoming>;

/// Forwards every request, path and headers unchanged, to the target's address until it is dropped.
pub async fn pass(listener: TcpListener, upstream: Target) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new()).build(connector);
    serve(listener, move |request| {
        let client = client.clone();
        let authority = upstream.authority().to_owned();
        async move { forward(&client, &authority, request).await }
    })
    .await;
}

async fn forward(
    client: &Upstream,
    authority: &str,
    mut request: Request<Incoming>,
) -> Response<Either<Incoming, Empty<Bytes>>> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path).build();
    let answer = match uri {
        Ok(uri) => {
            *request.uri_mut() = uri;
            client.request(request).await.ok()
        }
        Err(_) => None,
    };
    answer.map(|response| response.map(Either::Left)).unwrap_or_else(|| {
        let mut response = Response::new(Either::Right(Empty::new()));
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        response
    })
}
