//! The endpoint as clients of the new era use it: POST alone, every request on its own.

use crate::answer::{Answer, empty, rpc_error};
use crate::asker::Asker;
use crate::edge;
use crate::forward::forward;
use crate::gate::Gate;
use crate::{hello, listing, streams};
use http::StatusCode;
use portcullis_catalogue::ListKind;
use portcullis_wire::{Envelope, Kind, METHOD_NOT_FOUND, known_client};
use std::sync::Arc;

/// Methods that this era does not have any more.
const GONE: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];

/// One message of a client.
pub(crate) async fn post(gate: &Arc<Gate>, mut asker: Asker, message: Envelope) -> Answer {
    if let Err(answer) = edge::check_modern(&asker, &message) {
        let why = "the headers do not match the body";
        gate.admit.refused(&asker.principal, None, message.id(), why).await;
        return answer;
    }
    if message.kind() != Kind::Request {
        // No notification of a client is defined over HTTP; a closed stream cancels.
        return empty(StatusCode::ACCEPTED);
    }
    let meta = message.meta();
    asker.capabilities = meta.capabilities.unwrap_or("{}").into();
    asker.client_info = known_client(meta.client.unwrap_or("{}")).into();
    asker.principal.client = hello::client_name(&asker.client_info).into();
    let (Some(method), Some(id)) = (message.method(), message.id()) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    if let Some(kind) = ListKind::of_method(method) {
        return listing::answer(gate, &asker, &message, kind).await;
    }
    match method {
        "server/discover" => hello::discover(gate, &asker, id).await,
        "subscriptions/listen" => streams::listen(gate, &asker, &message).await,
        gone if GONE.contains(&gone) => {
            rpc_error(StatusCode::NOT_FOUND, Some(id), METHOD_NOT_FOUND, &format!("Method not found: {gone}"))
        }
        _ => forward(gate, &Arc::new(asker), message).await,
    }
}
