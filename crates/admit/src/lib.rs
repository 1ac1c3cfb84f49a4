//! May it: policy, limits and record give a [`Permit`].
//!
//! [`Admit::judge`] is the one place where a request becomes something that may be sent. It judges by the
//! policies in force, reserves every limit in one step, records the decision and waits until the record is
//! kept. Only then is there a [`Permit`], which sending consumes, and a [`Ticket`], which records how the call
//! ended. That the gate cannot be walked round is thus checked by the compiler: a permit has no other
//! constructor, except for what the gate says on its own behalf ([`Permit::housekeeping`]).
//!
//! ```
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! use portcullis_admit::{Admit, Ask, Loaded, Message, Principal, Recipient, Rules, Subject};
//! # use portcullis_ledger::{Grant, Ledger}; use portcullis_policy::Policy; use portcullis_runs::Drops;
//! # use portcullis_wire::{Envelope, Era, Id};
//! # let folder = tempfile::tempdir().unwrap();
//! let ledger = Ledger::open(folder.path()).unwrap();
//! let policy = Policy::parse("p.yaml", "version: \"1\"\ndefault: deny\ntools: { echo: {} }\n").unwrap();
//! let policies = [("careful".to_owned(), Loaded::Good(policy.into()))].into();
//! let admit = Admit::new(ledger, Rules { policies, ..Rules::default() }, Drops::of(folder.path())).unwrap();
//! # let grant = Grant { name: "me".into(), upstreams: [("*".to_owned(), "careful".to_owned())].into(),
//! #     labels: Default::default(), expires: None, created: 0, approver: false, shadow: false };
//! # let grants = portcullis_admit::Grants::new([([0; 32], grant.clone())]);
//! # let entries = [("files".into(), 1)].into_iter().collect::<portcullis_admit::Entries>();
//! admit.put_in_force(|now| (now.grants, now.entries) = (grants.into(), entries.into()));
//! let who = Principal { grant: grant.into(), client: "".into(), history: None };
//! let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"rm","arguments":{}}}"#;
//! let message = Message { envelope: Envelope::request(text.as_slice().into()).unwrap(), headers: Vec::new() };
//! let tool = portcullis_catalogue::Tool::read(r#"{"name":"rm"}"#, &Default::default());
//! let subject = Subject::Tool("rm", &tool);
//! let to = Recipient { era: Era::Old, forward_meta: &Default::default(), entry: Some(1) };
//! let ask = Ask { who: &who, upstream: "files", run: "r_1", request: &Id::from(1), message, subject, to };
//! assert_eq!(admit.judge(ask, 0).await.unwrap_err().rule, "(default deny)");
//! # });
//! ```

mod admit;
mod approvals;
mod ask;
mod decide;
mod follow_up;
mod generation;
mod grant_calls;
mod grants;
mod history;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test ends at the first thing that is not as it should be")]
mod interleaved;
mod limits;
mod permit;
mod person;
mod pins;
mod points;
mod principal;
mod questions;
mod redact;
mod release;
mod rules;
mod ticket;
mod turned_away;
mod view;

pub use admit::Admit;
pub use approvals::{Approval, Approvals, Decider, NotDecided, Patience, State, Unseen};
pub use ask::{Answer, Ask, Denied, Recipient, Subject};
pub use follow_up::{AnswerText, ClientAnswer, ClientAnswers, FollowUp};
pub use generation::{Entries, Generation};
pub use grant_calls::GrantCalls;
pub use grants::Grants;
pub use history::History;
pub use limits::Places;
pub use permit::{Housekeeping, Message, Permit};
pub use pins::{
    FirstUse, Held, Identity, Kept, NewTools, PinRules, Pins, ServerPin, Sight, Sighting, ToolPin, Withheld,
};
pub use portcullis_policy::{Kind as What, Stopping};
pub use principal::{Principal, client_name};
pub use questions::{InputRequest, InputRequests};
pub use redact::{Values, covered_line};
pub use release::{Authority, NotReleased, Questions, Release};
pub use rules::{Durability, Loaded, Rules};
pub use ticket::{End, Ticket};
