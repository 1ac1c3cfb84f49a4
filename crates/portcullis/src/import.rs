//! What other MCP clients on this machine have configured, and how it comes behind the gate.
//!
//! [`client`] finds and reads their files, and [`registry`] those of registries; [`server`] turns one of their entries into one of ours, [`secret`]
//! finds what must not stand in a configuration, [`plan`] gives every entry its name or the reason why it stays
//! where it is, [`config`] puts the result into `portcullis.yaml`, and [`point`] makes a client's file name the
//! gate. [`journal`] knows what all of that wrote. Nothing that is read here is ever started here.

pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod journal;
pub(crate) mod json_text;
pub(crate) mod plan;
pub(crate) mod point;
pub(crate) mod policy;
pub(crate) mod registry;
pub(crate) mod secret;
pub(crate) mod server;

pub(crate) use client::found_client_servers;
