//! Somebody outside is told of calls that wait for a person, and of what became of them.
//!
//! Each message is signed, so that who hears it knows from whom it is. It decides nothing: it leads to a page on which a person with
//! the token of an approver grant does.

use crate::running::Running;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::Uri;
use portcullis_admit::{Approval, State};
use portcullis_upstreams::HttpClient;
use serde_json::json;
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Where calls that wait are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) url: Uri,
    pub(crate) secret: String,
}

/// How long one try may take.
const TAKES: Duration = Duration::from_secs(10);
/// Pauses between tries; after the last of them it is given up.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];

/// Tells of every change, for as long as the gate runs.
pub(crate) async fn tell_for_ever(running: Arc<Running>) {
    let approvals = running.gate.admit().approvals().clone();
    let mut changed = approvals.watch();
    // What waited before the gate started was told of then.
    let mut known: HashMap<String, State> =
        approvals.list().into_iter().map(|one| (one.id, one.state)).collect();
    loop {
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = running.ending.cancelled() => return,
        }
        let all = approvals.list();
        known.retain(|id, _| all.iter().any(|one| one.id == *id));
        for approval in all {
            if known.insert(approval.id.clone(), approval.state) == Some(approval.state) {
                continue;
            }
            let webhook = running.config.lock().await.webhook.clone();
            if let Some(webhook) = webhook {
                let link =
                    running.own.address.map(|address| format!("http://{address}/approvals/{}", approval.id));
                let client = running.client.clone();
                tokio::spawn(async move { webhook.tell(&client, &approval, link.as_deref()).await });
            }
        }
    }
}

impl Webhook {
    async fn tell(&self, client: &HttpClient, approval: &Approval, link: Option<&str>) {
        let kind = match approval.state {
            State::Waiting => "approval.waiting",
            // Somebody was told already that it was approved.
            State::Used => "approval.used",
            State::Approved | State::Denied | State::Expired | State::Void => "approval.settled",
        };
        let delivery = format!("{}.{}", approval.id, approval.state.as_str());
        let body =
            json!({ "type": kind, "delivery": delivery, "approval": approval, "link": link }).to_string();
        let mut pauses = PAUSES.iter();
        loop {
            let why = match tokio::time::timeout(TAKES, self.send(client, &body)).await {
                Ok(Ok(status)) if status.is_success() => return,
                Ok(Ok(status)) => format!("it answered {status}"),
                Ok(Err(why)) => why,
                Err(_) => format!("no answer within {} s", TAKES.as_secs()),
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    tracing::warn!(approval = %approval.id, %why, "the webhook could not be told");
                    return;
                }
            }
        }
    }

    async fn send(&self, client: &HttpClient, body: &str) -> Result<http::StatusCode, String> {
        // Of each try, so that who hears it can refuse an old one.
        let time = jiff::Timestamp::now().as_second().to_string();
        let signature = self.sign(&time, body).ok_or("the secret is no key")?;
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-portcullis-timestamp", time),
            ("x-portcullis-signature", signature),
        ];
        client.tell(&self.url, &headers, Bytes::from(body.to_owned())).await
    }

    /// `sha256=` and the HMAC-SHA256 of time, a dot and the body, hexadecimal.
    fn sign(&self, time: &str, body: &str) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).ok()?;
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body.as_bytes());
        Some(format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes())))
    }
}
