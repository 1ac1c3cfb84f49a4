//! Requests that were turned away before any policy judged them: they are recorded too.

use crate::{Admit, Answer, Denied, Principal};
use portcullis_ledger::{Draft, Keep, Kind, Outcome};
use portcullis_wire::Id;

const DECISION: Draft<'static> = Draft::of(Kind::Decision);

impl Admit {
    /// Records a request that was not acceptable at all.
    pub async fn refused(
        &self,
        who: &Principal,
        upstream: Option<&str>,
        request: Option<&Id>,
        message: &str,
    ) {
        self.turned_away(who, upstream, request, "(malformed)", message).await;
    }

    /// Records a request that something else than the policy turned away before it was judged: `rule` names it.
    pub async fn turned_away(
        &self,
        who: &Principal,
        upstream: Option<&str>,
        request: Option<&Id>,
        rule: &str,
        message: &str,
    ) {
        let draft = Draft { upstream, outcome: Some(Outcome::Refused), rule: Some(rule), ..DECISION };
        self.record(who, request, message, draft).await;
    }

    /// Records a request for something that no upstream has.
    pub async fn unknown(&self, who: &Principal, method: &str, name: &str, request: &Id, message: &str) {
        let (method, rule) = match method {
            "tools/call" => (None, "(unknown tool)"),
            other => (Some(other), "(unknown)"),
        };
        let tool = (!name.is_empty()).then_some(name);
        let draft = Draft { method, tool, outcome: Some(Outcome::Denied), rule: Some(rule), ..DECISION };
        self.record(who, Some(request), message, draft).await;
    }

    /// Records a request whose upstream cannot be used at present.
    pub async fn unavailable(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        message: &str,
    ) {
        let draft = unjudged(upstream, name, Outcome::Error, "(upstream down)");
        self.record(who, Some(request), message, draft).await;
    }

    /// Records a request that a drop holds back for that reason before its upstream was even looked for. Gives its answer.
    pub async fn dropped(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        why: String,
    ) -> Denied {
        let rule = "(dropped)";
        let draft = unjudged(upstream, name, Outcome::Denied, rule);
        let row = self.record(who, Some(request), &why, draft).await;
        let (answer, rule) = (Answer::Dropped, rule.to_owned());
        Denied { answer, rule, message: why, row, retry_after_ms: None, approval: None }
    }

    /// Records a request that was cancelled before it was judged. Whoever stopped it knows it by its run.
    pub async fn cancelled(
        &self,
        who: &Principal,
        upstream: &str,
        name: &str,
        request: &Id,
        run: &str,
        message: &str,
    ) {
        let draft = Draft { run: Some(run), ..unjudged(upstream, name, Outcome::Cancelled, "(cancelled)") };
        self.record(who, Some(request), message, draft).await;
    }

    async fn record(
        &self,
        who: &Principal,
        request: Option<&Id>,
        message: &str,
        draft: Draft<'_>,
    ) -> Option<u64> {
        let request = request.map(Id::to_json);
        let draft = Draft {
            grant: Some(who.name()),
            client: (!who.client.is_empty()).then_some(&*who.client),
            request: request.as_deref(),
            message: Some(message),
            ..draft
        };
        // Where it cannot be written nothing passes anyway, and the writer has said so.
        let row = draft.write_covered(|text| self.kept_text(text));
        self.0.ledger.append(row, Vec::new(), Keep::Process).await.ok()
    }
}

/// The row of a request that came to a known upstream and was never judged.
fn unjudged<'a>(upstream: &'a str, name: &'a str, outcome: Outcome, rule: &'a str) -> Draft<'a> {
    let tool = (!name.is_empty()).then_some(name);
    Draft { upstream: Some(upstream), tool, outcome: Some(outcome), rule: Some(rule), ..DECISION }
}
