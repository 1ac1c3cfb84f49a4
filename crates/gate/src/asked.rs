//! What servers ask of clients: judged and recorded like what clients ask of servers.

use crate::gate::Gate;
use portcullis_admit::{Ask, Denied, End, Message, Principal, Subject};
use portcullis_ledger::now_ms;
use portcullis_wire::{Envelope, Id, request};

/// Whether a client may be asked. The record says that it was, or why not.
pub(crate) async fn judge(
    gate: &Gate,
    who: &Principal,
    upstream: &str,
    run: &str,
    question: &Envelope,
) -> Result<(), Denied> {
    let method = question.method().unwrap_or_default();
    let kind = method.split('/').next().unwrap_or_default();
    let nameless = Id::Text("".into());
    let ask = Ask {
        who,
        upstream,
        run,
        request: question.id().unwrap_or(&nameless),
        message: Message { envelope: question.clone(), headers: Vec::new() },
        subject: Subject::Question(kind),
    };
    let (_, ticket) = gate.admit.judge(ask, now_ms()).await?;
    ticket.close(&End::Answered { error: false });
    Ok(())
}

/// The same of what a server of the new era asks in an answer.
pub(crate) async fn judge_input(
    gate: &Gate,
    who: &Principal,
    upstream: &str,
    run: &str,
    method: &str,
    params: &str,
) -> Result<(), Denied> {
    let text = request(&Id::Text("".into()), method, params);
    let question = Envelope::reply(text).unwrap_or_else(|_| Envelope::nothing());
    judge(gate, who, upstream, run, &question).await
}
