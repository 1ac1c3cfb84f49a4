//! What the built-in MCP servers have in common: a server on a pair of byte streams that lists [`Tool`]s, checks what
//! they are called with, runs calls side by side and cancels them.
//!
//! It speaks the old era (2025-11-25), one message a line, as any server on stdin and stdout: the gate sees no
//! difference, and `portcullis mcp …` puts the same server on its own. Each connection belongs to one principal.
//!
//! ```
//! use portcullis_builtin::{Answer, Effect, Tool, arguments};
//! use serde_json::json;
//! let tool = Tool::new("ping", "Ping a host.", Effect::Reads, json!({ "host": { "type": "string", "description": "Its name." } }));
//! assert_eq!(tool.shown()["annotations"]["readOnlyHint"], true);
//! #[derive(serde::Deserialize)] struct Ping { host: String }
//! let wrong = arguments::<Ping>(json!({ "host": 5 })).err().unwrap();
//! assert_eq!(wrong.0, "host: invalid type: integer `5`, expected a string");
//! assert!(Answer::failed("it does not answer").is_error());
//! ```

mod answer;
mod serve;
mod tool;

pub use answer::{Answer, Wrong, arguments};
pub use serve::{Calling, Server, serve};
pub use tool::{Effect, Tool};
