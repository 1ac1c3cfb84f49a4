//! What goes over the line between MCP clients, the gate and MCP servers.
//!
//! The gate must forward what it judged, so nothing here parses a message into a model and writes it out
//! again. An [`Envelope`] is the message's own bytes plus the places of the members that matter; a [`Splice`]
//! replaces single values and leaves every other byte as it came. Unknown members, future extensions and
//! number spellings therefore pass untouched.
//!
//! Reading is strict where something is judged ([`Envelope::request`]): one object, each member once at every
//! depth, no member that differs from a known one only by case, bounded depth. Messages that come back from
//! a server are read with [`Envelope::reply`], which looks at the envelope alone.
//!
//! ```
//! use portcullis_wire::{Envelope, Splice};
//! let message = br#"{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
//! let envelope = Envelope::request(bytes::Bytes::from_static(message)).unwrap();
//! assert_eq!(envelope.method(), Some("tools/call"));
//! let mut splice = Splice::new(envelope.bytes());
//! splice.replace(envelope.id_span().unwrap(), "7");
//! assert!(splice.finish().starts_with(br#"{"jsonrpc":"2.0","id":7,"#));
//! ```
//!
//! No policy, no storage, no sockets.

mod canonical;
mod codes;
mod envelope;
mod era;
mod header;
mod id;
mod lines;
mod methods;
mod narrow;
mod params;
mod reply;
mod splice;
mod sse;
mod strict;

pub use canonical::canonical;
pub use codes::*;
pub use envelope::{Envelope, Kind, Refused};
pub use era::{Era, LATEST_OLD, MODERN, OLD_VERSIONS, known_old_version, meta};
pub use header::{decode_value, encode_value};
pub use id::Id;
pub use lines::{Line, LineDecoder, push_line};
pub use methods::{is_known_notice, is_known_request, misspelt};
pub use narrow::{Allowance, LOG_LEVELS, is_trace_parent, known_capabilities, known_client};
pub use params::{Meta, Params, keys, member, span_in};
pub use portcullis_json::text;
pub use reply::{error_response, notification, request, result_response};
pub use splice::{Span, Splice, insert_member};
pub use sse::{Event, EventDecoder, EventTooLarge, encode_event};
pub use strict::{Fault, check as check_strictly, folds_to, reads_as};
