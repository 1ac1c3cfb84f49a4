//! What other MCP clients on this machine have configured, and how it comes behind the gate.
//!
//! [`client`] finds and reads their files, [`dialect`] knows how each writes an entry, and [`registry`] reads those of
//! registries; [`server`] turns one of their entries into one of ours, [`secret`] finds what must not stand in a
//! configuration, [`filter`] which tools a client has switched off, [`plan`] gives every entry its name or the reason
//! why it stays where it is, and [`config`] puts the result into `portcullis.yaml`. Where clients are to name the gate
//! in their place, [`moving`] says which entries go, [`shared`] which files are not this machine's alone, [`grants`]
//! gives each client its grant, and [`point`] changes its file. [`journal`] knows what all of that wrote. Nothing that
//! is read here is ever started here.

pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod dialect;
pub(crate) mod filter;
pub(crate) mod grants;
pub(crate) mod journal;
pub(crate) mod json_text;
pub(crate) mod moving;
pub(crate) mod plan;
pub(crate) mod point;
pub(crate) mod policy;
pub(crate) mod registry;
pub(crate) mod secret;
pub(crate) mod server;
pub(crate) mod shared;

pub(crate) use client::found_client_servers;
