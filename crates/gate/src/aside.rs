//! Requests that the gate sends for a client beside its calls. They are judged and recorded like calls; what the
//! server answers is for nobody.

use crate::gate::Gate;
use crate::rewrite::is_error;
use portcullis_admit::{Ask, Denied, End, Message, Permit, Principal, Recipient, Subject};
use portcullis_ledger::now_ms;
use portcullis_upstreams::Link;
use portcullis_wire::{Envelope, Id, request};
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take to answer; nobody must wait for it for ever.
const TAKES: Duration = Duration::from_secs(5);

/// One such request.
pub(crate) struct Aside<'a> {
    pub who: &'a Principal,
    pub upstream: &'a str,
    pub method: &'a str,
    /// The parameters, JSON.
    pub params: &'a str,
    /// What it names in the upstream's own words; empty where it names nothing.
    pub name: &'a str,
}

/// Sends it and gives how it ended.
pub(crate) async fn send(gate: &Gate, link: &Link, aside: &Aside<'_>) -> Result<End, Denied> {
    let id = Id::Text("".into());
    let text = request(&id, aside.method, aside.params);
    let envelope = Envelope::reply(text).unwrap_or_else(|_| Envelope::nothing());
    let ask = Ask {
        who: aside.who,
        upstream: aside.upstream,
        run: "",
        request: &id,
        message: Message { envelope, headers: Vec::new() },
        subject: Subject::Other(aside.name),
        to: Recipient { era: link.era(), forward_meta: &Arc::default(), entry: Some(link.entry()) },
    };
    let (permit, ticket) = gate.admit.judge(ask, now_ms()).await?;
    let late = || End::Broken(format!("no answer within {} s", TAKES.as_secs()));
    let end = tokio::time::timeout(TAKES, answer(link, permit)).await.unwrap_or_else(|_| late());
    ticket.close(&end);
    Ok(end)
}

async fn answer(link: &Link, permit: Permit) -> End {
    let mut reply = match link.send(permit).await {
        Ok(reply) => reply,
        Err(error) => return End::from(&error),
    };
    loop {
        match reply.next().await {
            Ok(Some(heard)) if heard.is_final() => {
                return End::Answered { error: heard.message.as_ref().is_none_or(is_error) };
            }
            Ok(Some(_)) => {}
            Ok(None) => return End::Broken("the upstream ended its stream without an answer".into()),
            Err(broken) => return End::Broken(broken.0),
        }
    }
}
