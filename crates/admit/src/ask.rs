//! What is asked, and how it is answered where it does not pass.

use crate::limits::Exceeded;
use crate::{Message, Principal};
use portcullis_catalogue::Tool;
use portcullis_ledger::CounterRow;
use portcullis_policy::{Kind as What, Target};
use portcullis_wire::{Era, Id};
use std::sync::Arc;

/// A request to be judged.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Who asks.
    pub who: &'a Principal,
    /// For which upstream.
    pub upstream: &'a str,
    /// As which run.
    pub run: &'a str,
    /// The client's request id.
    pub request: &'a Id,
    /// What would be sent, under the upstream's own names.
    pub message: Message,
    /// What it is about.
    pub subject: Subject<'a>,
    /// The server that it would be sent to.
    pub to: Recipient<'a>,
}

/// The server that a request would be sent to.
#[derive(Debug, Clone, Copy)]
pub struct Recipient<'a> {
    /// How it speaks.
    pub era: Era,
    /// Members of `_meta` that its entry passes on.
    pub forward_meta: &'a Arc<[String]>,
    /// Its entry, by [`crate::Entries`]; absent for what goes to a client.
    pub entry: Option<u64>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A tool that the upstream lists.
    Tool(&'a str, &'a Tool),
    /// A tool that the upstream does not list.
    UnknownTool(&'a str),
    /// A task that the asker owns, by the tool that made it, where that is still listed. The call that made it was judged; to look
    /// after it is part of that.
    Task(&'a str, Option<&'a Tool>),
    /// Anything else: the prompt, the resource, or nothing.
    Other(&'a str),
    /// What a server asks of its client: `sampling`, `elicitation` or `roots`; and the rule and the reason by which it is not asked
    /// whatever the policy says.
    Question(&'a str, Option<(&'a str, &'a str)>),
}

impl Ask<'_> {
    /// What it is to a policy; where it is no tool, the method tells.
    pub(crate) fn target(&self) -> Target<'_> {
        let method = self.message.envelope.method().unwrap_or_default();
        let (kind, name, category) = match (self.subject, method) {
            (Subject::Tool(name, tool), _) => (What::Tool, name, tool.category.as_str()),
            (Subject::UnknownTool(name), _) => (What::Tool, name, ""),
            (Subject::Task(name, tool), _) => {
                (What::Tool, name, tool.map_or("", |tool| tool.category.as_str()))
            }
            (Subject::Question(kind, _), _) => (What::ServerRequest, kind, ""),
            (Subject::Other(name), method) => match What::of_request(method, name) {
                kind @ (What::Prompt | What::Resource) => (kind, name, ""),
                What::Tool | What::Method | What::ServerRequest => (What::Method, method, ""),
            },
        };
        Target { kind, upstream: self.upstream, name, category }
    }
}

/// Why a request does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// How it is to be answered.
    pub answer: Answer,
    /// The rule that decided.
    pub rule: String,
    /// Why, for the agent.
    pub message: String,
    /// Number of the row; absent where none could be written.
    pub row: Option<u64>,
    /// When trying again may help, in milliseconds from now.
    pub retry_after_ms: Option<i64>,
    /// What a person has to decide, where that is why.
    pub approval: Option<String>,
}

/// How a request that does not pass is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The policy denies it.
    Denied,
    /// A limit is used up.
    Limited,
    /// A person has to decide.
    Held,
    /// Byte for byte as if the tool did not exist.
    UnknownTool,
    /// The operator dropped it.
    Dropped,
    /// The gate cannot record, so nothing passes.
    NotRecorded,
}

/// Why a request does not pass, before it is recorded.
pub(crate) struct No {
    pub(crate) answer: Answer,
    pub(crate) rule: String,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<i64>,
    pub(crate) approval: Option<String>,
    /// Counters that moved although it does not pass: what waits is charged already.
    pub(crate) rows: Vec<CounterRow>,
}

impl No {
    pub(crate) fn new(answer: Answer, rule: &str, message: impl Into<String>) -> Self {
        let (rule, message) = (rule.to_owned(), message.into());
        Self { answer, rule, message, retry_after_ms: None, approval: None, rows: Vec::new() }
    }

    pub(crate) fn over(exceeded: Exceeded, now_ms: i64) -> Self {
        let retry_after_ms = exceeded.resets_at.map(|at| at.saturating_sub(now_ms));
        Self { retry_after_ms, ..Self::new(Answer::Limited, &exceeded.rule, exceeded.message) }
    }
}
