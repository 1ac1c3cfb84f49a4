//! Reads JSON, YAML and TOML documents into one tree that remembers where each value stands.
//!
//! A person writes a policy or a configuration file and makes a mistake in it. What helps is to be told every mistake
//! at once, each with its line, the text underlined, what was expected, what was found, and what to write instead. A
//! deserializer into structs cannot do that: it stops at the first mistake and forgets where the values stood.
//!
//! - [`Document::read`] turns a text into a tree of [`Node`]s. The ending of the file's name chooses the [`Format`].
//!   Every key and value has its [`Span`]. All three formats are read to the strict core that they share: no duplicate
//!   keys, only text as keys, numbers as JSON writes them, no YAML anchors, aliases, tags or merges, at most
//!   [`MAX_DEPTH`] levels and [`MAX_BYTES`] bytes.
//! - [`Reading`] walks a document and collects [`Problem`]s instead of failing at the first. [`Value`] is one place in
//!   it, [`Fields`] a map whose members are taken by name; a member that nobody took is an unknown key, and the nearest
//!   name is offered.
//! - [`Problems`] is what a file got wrong: it renders for a person and serialises for `--json`.
//!
//! ```
//! use portcullis_document::{Document, Reading};
//!
//! let document = Document::read("gate.yaml", "listen: 127.0.0.1:7420\nretries: three\ndatta: here\n")?;
//! let reading = Reading::new(&document);
//! if let Some(mut fields) = reading.root().fields() {
//!     let listen = fields.required("listen").and_then(|value| value.text());
//!     let retries = fields.optional("retries").and_then(|value| value.number());
//!     let data = fields.optional("data").and_then(|value| value.text());
//!     fields.finish();
//!     assert_eq!((listen, retries, data), (Some("127.0.0.1:7420"), None, None));
//! }
//! let problems = reading.finish();
//! let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
//! assert_eq!(messages, ["expected a number, found the text \"three\"", "expected a known key, found \"datta\""]);
//! assert_eq!(problems.iter().last().and_then(|p| p.hint.as_deref()), Some("did you mean `data`?"));
//! # Ok::<(), portcullis_document::Problems>(())
//! ```

mod document;
mod json;
mod nearest;
mod node;
mod number;
mod problem;
mod reading;
mod render;
mod source;
mod text;
mod toml;
mod yaml;

pub use document::{Document, Format, MAX_BYTES, MAX_DEPTH};
pub use nearest::nearest;
pub use node::{Entry, Kind, Node};
pub use problem::{Problem, Problems, Severity};
pub use reading::{Fields, Reading, Value};
pub use render::Colours;
pub use source::{Source, Span};
pub use text::{duration, fill, size};
